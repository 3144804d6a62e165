/** Pools with the redo log after something has failed: nothing that was promised is lost, and nothing half done is kept. */
import { mkdtempSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, it, vi } from 'vitest';
import {
  Field,
  i32,
  list,
  Persistent,
  type PersistentList,
  Pool,
  type PoolOptions,
} from '../../src/index.js';
import type { MemoryBackend } from '../../src/memory/index.js';
import { exploreCrashes, SimulatedMedium } from '../../src/testing/index.js';
import { SimulatedWal } from '../../src/testing/simulated-wal.js';
import { GrowingWords } from '../../src/txn/index.js';
import { WriteSet } from '../../src/txn/write-set.js';
import { expectError } from './helpers.js';

@Persistent()
class Root {
  @Field(i32) declare n: number;
  @Field(list(i32)) declare items: PersistentList<number>;
}

const PATH = 'fails.pool';
const OPTIONS: PoolOptions = {
  root: Root,
  domain: 'block',
  maxSize: 1 << 21,
  logSize: 4096,
  flushInterval: 0,
};

function open(backend: MemoryBackend, options: PoolOptions = {}): Pool {
  return Pool.open(PATH, { ...OPTIONS, backend, ...options });
}

function count(pool: Pool, last: number): void {
  const root = pool.root(Root);
  while (root.n < last)
    pool.txn(() => {
      root.n += 1;
    });
}

afterEach(() => {
  vi.restoreAllMocks();
});

it('a power failure that takes one of very many commits that were never synced leaves those before it', () => {
  const medium = new SimulatedMedium({ appendsPerSync: Number.POSITIVE_INFINITY });
  const pool = open(medium, { durability: 'relaxed' });
  count(pool, 1);
  pool.flush();
  count(pool, 70_000);
  const units = medium.dirtyUnits();
  const choice = Uint8Array.from(units, ({ current }) => current);
  choice[300] = 0;
  const crashed = medium.fork({ units, choice });
  const { n } = open(crashed, { durability: 'relaxed' }).root(Root);
  expect(n).toBeGreaterThan(1);
  expect(n).toBeLessThan(1000);
});

describe('a step of a checkpoint that fails', () => {
  it.each(['strict', 'relaxed'] as const)('ends the pool, and loses nothing: %s', async (durability) => {
    const medium = new SimulatedMedium();
    const pool = open(medium, { durability, walSize: 16 * 1024 });
    count(pool, 5);
    vi.spyOn(SimulatedWal.prototype, 'startWrite').mockImplementationOnce(() => {
      throw new RangeError('no memory');
    });
    const root = pool.root(Root);
    let committed = root.n;
    expectError('POISONED', () => {
      for (;;) {
        try {
          pool.txn(() => {
            root.n += 1;
          });
          committed += 1;
        } catch (error) {
          if (!(error instanceof RangeError)) throw error;
        }
      }
    });
    await sleep(20);
    expect(pool.stats().wal?.checkpoints).toBe(0);
    pool.close();
    const again = open(medium);
    expect(again.root(Root).n).toBe(committed);
    again.close();
  });
});

it('a rollback that fails leaves nothing of its transaction, however long the event loop turns', async () => {
  const medium = new SimulatedMedium();
  const pool = open(medium, { durability: 'relaxed', checkpointInterval: 5 });
  count(pool, 1);
  const root = pool.root(Root);
  vi.spyOn(WriteSet.prototype, 'restoreAll').mockImplementationOnce(() => {
    throw new RangeError('no memory');
  });
  const fails = (): void =>
    pool.txn(() => {
      root.n = 2;
      throw new Error('rolled back on purpose');
    });
  expectError('POISONED', fails);
  await sleep(50);
  pool.close();
  const again = open(medium);
  expect(again.root(Root).n).toBe(1);
  again.close();
});

it('a close that dies in the header keeps the log until that is durable', () => {
  for (let at = 1; at < 12; at += 1) {
    const medium = new SimulatedMedium();
    const pool = open(medium);
    count(pool, 3);
    const fault = medium.inject({ operation: 'fence', at, keepFailing: true });
    try {
      pool.close();
    } catch {
      // it died
    }
    fault.remove();
    medium.killProcess();
    const report = exploreCrashes<number>({
      medium,
      imagesPerInstant: 16,
      workload: (backend) => open(backend),
      verify: (image) => expect(open(image).root(Root).n).toBe(3),
    });
    expect(report.violations).toEqual([]);
  }
});

it('a write set whose bookkeeping fails puts back what was saved', () => {
  const medium = new SimulatedMedium();
  const pool = open(medium);
  const root = pool.root(Root);
  pool.txn(() => root.items.push(...Array.from({ length: 2000 }, (_, i) => i)));
  for (let at = 1; at < 6; at += 1) {
    let calls = 0;
    const { pushPair } = GrowingWords.prototype;
    vi.spyOn(GrowingWords.prototype, 'pushPair').mockImplementation(function (
      this: GrowingWords,
      first: number,
      second: number,
    ) {
      calls += 1;
      if (calls === at) throw new RangeError('no memory');
      return pushPair.call(this, first, second);
    });
    const change = (): void =>
      pool.txn(() => {
        for (let i = 0; i < 2000; i += 300) root.items[i] = -1;
      });
    expect(change).toThrow('no memory');
    vi.restoreAllMocks();
    expect([...root.items]).toEqual(Array.from({ length: 2000 }, (_, i) => i));
  }
  pool.close();
});

it('an object that many savepoints change takes no more of the log than one change', () => {
  const medium = new SimulatedMedium();
  const pool = open(medium, { walSize: 16 * 1024 });
  count(pool, 1);
  const root = pool.root(Root);
  pool.txn(() => {
    for (let i = 0; i < 3000; i += 1)
      pool.txn(() => {
        root.n += 1;
      });
  });
  expect(pool.stats().wal).toMatchObject({ sizeBytes: 16 * 1024, waits: 0 });
  pool.close();
});

it('files that are moved while they are open stay one pool, and leave those alone that take their place', () => {
  const folder = mkdtempSync(join(tmpdir(), 'perdure-test-'));
  const [a, b] = [join(folder, 'a.pool'), join(folder, 'b.pool')];
  const options = { ...OPTIONS, maxSize: 1 << 24, walSize: 1 << 23 };
  const moved = Pool.open(a, options);
  count(moved, 1);
  renameSync(a, b);
  renameSync(`${a}-wal`, `${b}-wal`);
  const other = Pool.open(a, { ...options, durability: 'relaxed' });
  count(other, 2000);
  other.flush();
  moved.txn(() => {
    for (let i = 0; i < 300; i += 1) moved.root(Root).items.push(...new Array<number>(1000).fill(7));
  });
  moved.close();
  count(other, 3000);
  other.close();
  for (const [path, n] of [
    [a, 3000],
    [b, 1],
  ] as const) {
    // The log of the moved pool was left to the one that opens it.
    const again = Pool.open(path, options);
    expect(again.root(Root).n).toBe(n);
    expect(again.check().problems).toEqual([]);
    again.close();
  }
  rmSync(folder, { recursive: true });
});

it('close tells of a failure in the background that nobody was told of', async () => {
  for (const tell of [false, true]) {
    const medium = new SimulatedMedium();
    const pool = open(medium, { checkpointInterval: 1 });
    count(pool, 3);
    medium.inject({ operation: 'pageSync', at: 1 });
    await sleep(30);
    if (tell) expectError('POISONED', () => pool.txn(() => undefined));
    if (tell) pool.close();
    else expectError('POISONED', () => pool.close());
    expect(pool.closed).toBe(true);
    pool.close();
    const again = open(medium);
    expect(again.root(Root).n).toBe(3);
    again.close();
  }
});
