export { listOps, PersistentList } from './list.js';
export { PersistentMap } from './map.js';
export { mapOps } from './map-ops.js';
export { PersistentQueue, queueOps } from './queue.js';
export type { Storable } from './storable.js';
