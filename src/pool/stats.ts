/** `pool.stats()`. */
import { GRANULE_BYTES } from '../format/index.js';
import type { HeapStats } from '../heap/index.js';
import type { MemoryInfo } from '../memory/index.js';
import type { RecoveryResult, WalStats } from '../txn/index.js';
import type { OpenPool } from './open.js';
import type { Durability } from './options.js';

/** Sizes in bytes; counts since the pool was opened. */
export interface PoolStats extends MemoryInfo {
  readonly path: string;
  /** Size of the file. */
  readonly sizeBytes: number;
  /** What it may grow to in this process. */
  readonly maxBytes: number;
  readonly durability: Durability;
  /** Bytes of the pool's file that the undo log occupies. */
  readonly logBytes: number;
  /** The write-ahead log of the redo log; null with the undo log. */
  readonly wal: WalStats | null;
  readonly heap: HeapStats;
  /** Classes that the pool knows. */
  readonly countClasses: number;
  readonly txns: { readonly committed: number; readonly rolledBack: number };
  /** Cache lines flushed and fences issued, in the calling thread. */
  readonly lines: number;
  readonly fences: number;
  /** Syncs of the write-ahead log, in the calling thread and in the background. */
  readonly syncs: number;
  /** What opening found: `clean`, a last transaction that was `committed`, or one that was `rolled-back`. */
  readonly recovery: RecoveryResult;
}

export function collectStats(pool: OpenPool): PoolStats {
  const { memory, space, log, runtime, records, recovery } = pool;
  return {
    ...memory.info,
    path: pool.path,
    sizeBytes: space.sizeBytes,
    maxBytes: space.maxBytes,
    durability: pool.durability,
    logBytes:
      space.header.logBytes + sum(pool.logExtensions().map(({ granules }) => granules * GRANULE_BYTES)),
    wal: log.kind === 'redo' ? log.stats : null,
    heap: runtime.heap.walk.stats(),
    countClasses: records.countRecords,
    txns: runtime.txn.counts,
    lines: memory.counters.lines,
    fences: memory.counters.fences,
    syncs: memory.counters.syncs,
    recovery,
  };
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
