export { Heap, type HeapStats } from './heap.js';
export type { HeapPlace } from './place.js';
export type { TxnContext, TxnParticipant, Writer } from './writer.js';
