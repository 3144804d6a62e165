export { Heap, type HeapPlace, type HeapStats } from './heap.js';
export type { TxnContext, TxnParticipant, Writer } from './writer.js';
