export { GrowingWords } from './growing-words.js';
export { PortableRecordWriter } from './record-writer.js';
export { type RecoveryInput, type RecoveryResult, readSegments, recover } from './recovery.js';
export { IDLE_STAMP, runningTransaction, Transactions } from './transaction.js';
export type { LogMark, TxnLog } from './txn-log.js';
export { type LogSegment, type SegmentSource, UndoLog } from './undo-log.js';
