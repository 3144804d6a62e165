export { Heap, type HeapPlace, type HeapStats } from './heap.js';
export type { Writer } from './writer.js';
