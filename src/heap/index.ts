export { Heap } from './heap.js';
export type { HeapStats } from './heap-walk.js';
export type { HeapPlace } from './place.js';
export type { TxnContext, TxnParticipant, Writer } from './writer.js';
