export type { CheckReport } from './check.js';
export type { NamedRoots } from './named-roots.js';
export type { Durability, PoolOptions } from './options.js';
export { Pool } from './pool.js';
export type { PoolStats } from './stats.js';
