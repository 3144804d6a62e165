/** Temporary pools for benches: on a memory file system where there is one, removed when they are closed. */
import { existsSync, mkdtempSync, rmSync, statfsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ClassOf, Pool, type PoolOptions } from 'perdure';

export interface BenchPool {
  readonly pool: Pool;
  readonly path: string;
  close(): void;
}

const MEMORY_FILE_SYSTEM = '/dev/shm';

/** Where temporary folders of benches go. */
export function benchFolder(): string {
  return existsSync(MEMORY_FILE_SYSTEM) ? MEMORY_FILE_SYSTEM : tmpdir();
}

/** A folder on a disk: temporary files may lie in memory. */
export function diskFolder(): string {
  const inMemory = statfsSync(tmpdir()).type === TMPFS;
  return mkdtempSync(join(inMemory ? process.cwd() : tmpdir(), 'perdure-bench-'));
}

/** Magic number of statfs(2). */
const TMPFS = 0x01021994;

/** `flush: false` leaves flush instructions and fences out: what a transaction costs without them. */
export function openBenchPool(
  root: ClassOf,
  options: { readonly flush: boolean; readonly maxSize?: number },
): BenchPool {
  const folder = mkdtempSync(join(benchFolder(), 'perdure-bench-'));
  const path = join(folder, 'bench.pool');
  const poolOptions: PoolOptions = {
    root,
    emulate: { flush: options.flush },
    maxSize: options.maxSize ?? 2 ** 30,
  };
  const pool = Pool.open(path, poolOptions);
  return {
    pool,
    path,
    close() {
      pool.close();
      rmSync(folder, { recursive: true });
    },
  };
}
