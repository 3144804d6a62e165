export { GrowingWords } from './growing-words.js';
export type { LogSegment } from './log-records.js';
export { PortableRecordWriter } from './record-writer.js';
export { type RecoveryInput, type RecoveryResult, readSegments, recover } from './recovery.js';
export { IDLE_STAMP, runningTransaction, Transactions } from './transaction.js';
export type { LogEpoch, LogMark, TxnLog } from './txn-log.js';
export { type SegmentSource, UndoLog } from './undo-log.js';
