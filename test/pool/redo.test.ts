/** Pools with the redo log: options, waiting for room and for the medium, `txnAsync`, timers, failures. */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import {
  bytes,
  Field,
  i32,
  list,
  Persistent,
  type PersistentList,
  Pool,
  type PoolOptions,
} from '../../src/index.js';
import { SimulatedMedium } from '../../src/testing/index.js';
import { expectError, testPools } from './helpers.js';

@Persistent()
class Ledger {
  @Field(i32) declare count: number;
  @Field(list('string')) declare texts: PersistentList<string>;
  @Field(bytes) declare large: Uint8Array;
}

const pools = testPools();
const KIB = 1024;
/** On tmpfs, as on a disk, with the smallest log. */
const disk = { root: Ledger, emulate: false, domain: 'block', walSize: 16 * KIB } as const;

let simulated: Pool | null = null;
afterEach(() => {
  simulated?.close();
  simulated = null;
});

function simulate(medium: SimulatedMedium, options: PoolOptions = {}): Pool {
  simulated = Pool.open('redo.pool', {
    root: Ledger,
    backend: medium,
    domain: 'block',
    walSize: 16 * KIB,
    maxSize: 2 ** 22,
    ...options,
  });
  return simulated;
}

function add(pool: Pool, text = 'x'): void {
  const root = pool.root(Ledger);
  root.count += 1;
  root.texts.push(text);
}

function wal(pool: Pool) {
  const { wal: stats } = pool.stats();
  if (stats === null) throw new Error('the pool has no redo log');
  return stats;
}

describe('options', () => {
  const refused: [string, PoolOptions, RegExp][] = [
    ['durability', { durability: 'lazy' as 'strict' }, /'strict' or 'relaxed'/],
    ['walSize', { walSize: 1000 }, /whole number from 16384/],
    ['walSize', { walSize: Number.NaN }, /whole number/],
    ['flushInterval', { flushInterval: -1 }, /whole number from 0/],
    ['checkpointInterval', { checkpointInterval: 1.5 }, /whole number/],
    ['memoryBudget', { memoryBudget: -1 }, /whole number/],
    ['log', { log: 'both' as 'undo' }, /'undo' or 'redo'/],
  ];
  it.each(refused)('%s is refused where it makes no sense', (name, options, pattern) => {
    expectError('OPTION', () => pools.open({ ...disk, ...options }), name, pattern);
  });

  it('the undo log is refused on a disk, with the way out', () => {
    const undo = { ...disk, log: 'undo' } as const;
    expectError('DOMAIN', () => pools.open(undo), /undo log/, /emulate: true/);
  });

  it('say in the statistics what is in force', () => {
    const strict = pools.open(disk, 'strict');
    expect(strict.stats()).toMatchObject({ domain: 'block', log: 'redo', durability: 'strict' });
    expect(wal(strict)).toMatchObject({ sizeBytes: 0, usedBytes: 0, waits: 0 });
    const relaxed = pools.open({ ...disk, durability: 'relaxed' }, 'relaxed');
    expect(relaxed.stats().durability).toBe('relaxed');
    const undo = pools.open({ root: Ledger }, 'undo');
    expect(undo.stats()).toMatchObject({ log: 'undo', wal: null });
  });
});

describe('a log that is full', () => {
  it('makes writers wait, and is never larger than walSize', () => {
    const pool = pools.open(disk);
    for (let step = 0; step < 300; step++) {
      pool.txn(() => add(pool, 'y'.repeat(1500)));
      expect(wal(pool).sizeBytes).toBeLessThanOrEqual(16 * KIB);
    }
    const { waits, waitMs, checkpoints, pagesWritten } = wal(pool);
    expect(waits).toBeGreaterThan(0);
    expect(waitMs).toBeGreaterThan(0);
    expect(checkpoints).toBeGreaterThan(10);
    expect(pagesWritten).toBeGreaterThan(checkpoints);
  });

  it('grows for one transaction that needs more, and gives the room back', async () => {
    const pool = pools.open({ ...disk, checkpointInterval: 10 });
    pool.txn(() => add(pool));
    pool.txn(() => {
      pool.root(Ledger).large = new Uint8Array(300 * KIB).fill(5);
    });
    expect(wal(pool).sizeBytes).toBeGreaterThan(300 * KIB);
    for (let step = 0; step < 100; step++) pool.txn(() => add(pool, 'z'.repeat(1000)));
    for (let tries = 0; wal(pool).sizeBytes > 16 * KIB && tries < 200; tries++) await sleep(10);
    expect(wal(pool).sizeBytes).toBe(16 * KIB);
    pool.txn(() => add(pool));
    expect(pool.root(Ledger).large.every((byte) => byte === 5)).toBe(true);
  });

  it('keeps what the waiting transaction allocated when pages are given back', () => {
    const pool = pools.open({ ...disk, memoryBudget: 0 });
    const expected: string[] = [];
    for (let step = 0; step < 400; step++) {
      const text = String.fromCharCode(97 + (step % 26)).repeat((step * 131) % 2500);
      pool.txn(() => {
        add(pool, text);
        expected.push(text);
        if (expected.length > 30) {
          pool.root(Ledger).texts.shift();
          expected.shift();
        }
      });
      if (step % 20 === 0) expect([...pool.root(Ledger).texts]).toEqual(expected);
    }
    expect(wal(pool).waits).toBeGreaterThan(0);
    pool.close();
    const again = pools.open(disk);
    expect([...again.root(Ledger).texts]).toEqual(expected);
  });
});

describe('no room', () => {
  it('for the log rolls the transaction back, and the pool goes on', () => {
    const medium = new SimulatedMedium();
    const pool = simulate(medium);
    pool.txn(() => add(pool));
    const fault = medium.inject({ operation: 'extend', at: 1, keepFailing: true });
    const tooMuch = (): void => {
      pool.root(Ledger).large = new Uint8Array(100 * KIB);
    };
    expectError('POOL_FULL', () => pool.txn(tooMuch));
    expect(pool.root(Ledger).large.length).toBe(0);
    pool.txn(() => add(pool));
    fault.remove();
    pool.txn(tooMuch);
    expect([pool.root(Ledger).count, pool.root(Ledger).large.length]).toEqual([2, 100 * KIB]);
    expect(pool.check()).toMatchObject({ ok: true, leakedBlocks: 0 });
  });

  it('for the pool itself does the same', () => {
    const medium = new SimulatedMedium({ capacityBytes: 5 * 2 ** 20 });
    const pool = simulate(medium, { maxSize: 2 ** 25 });
    pool.txn(() => add(pool));
    const tooMuch = (): void => {
      pool.root(Ledger).large = new Uint8Array(8 * 2 ** 20);
    };
    expectError('POOL_FULL', () => pool.txn(tooMuch));
    for (let step = 0; step < 20; step++) pool.txn(() => add(pool, 'w'.repeat(800)));
    expect(pool.root(Ledger).count).toBe(21);
    expect(pool.check()).toMatchObject({ ok: true, leakedBlocks: 0 });
  });
});

describe('a medium that fails', () => {
  it('rejects the commit, then everything, until the pool is opened again', () => {
    const medium = new SimulatedMedium();
    const pool = simulate(medium);
    pool.txn(() => add(pool));
    const fault = medium.inject({ operation: 'walSync', at: 1 });
    expectError('IO', () => pool.txn(() => add(pool)), /walSync/);
    fault.remove();
    for (const use of [() => pool.txn(() => add(pool)), () => pool.flush()]) expectError('POISONED', use);
    pool.close();
    const again = simulate(medium);
    expect([1, 2]).toContain(again.root(Ledger).count);
    again.txn(() => add(again));
  });

  it('rejects all promises that wait', async () => {
    const medium = new SimulatedMedium();
    const pool = simulate(medium);
    pool.txn(() => add(pool));
    const fault = medium.inject({ operation: 'walSync', at: 1, keepFailing: true });
    const waiting = [1, 2, 3].map(() => pool.txnAsync(() => add(pool)));
    for (const outcome of await Promise.allSettled(waiting))
      expect(outcome).toMatchObject({ status: 'rejected', reason: { code: 'IO' } });
    fault.remove();
    await expect(pool.txnAsync(() => add(pool))).rejects.toMatchObject({ code: 'POISONED' });
    pool.close();
    expect([1, 2, 3, 4]).toContain(simulate(medium).root(Ledger).count);
  });

  it('rejects promises of transactions after which something else failed in the same turn', async () => {
    const medium = new SimulatedMedium();
    const pool = simulate(medium);
    pool.txn(() => add(pool));
    const waiting = pool.txnAsync(() => add(pool));
    const rejected = expect(waiting).rejects.toMatchObject({ code: 'IO' });
    const fault = medium.inject({ operation: 'walSync', at: 1 });
    expectError('IO', () => pool.flush());
    fault.remove();
    await rejected;
    pool.close();
  });
});

describe('txnAsync', () => {
  const media: [string, () => Pool][] = [
    ['a disk', () => pools.open(disk)],
    ['a disk, relaxed', () => pools.open({ ...disk, durability: 'relaxed' })],
    ['memory, redo', () => pools.open({ root: Ledger, log: 'redo', emulate: false })],
    ['memory, undo', () => pools.open({ root: Ledger })],
  ];
  describe.each(media)('on %s', (_name, open) => {
    it('resolves with the value, hooks after it is durable', async () => {
      const pool = open();
      const order: string[] = [];
      const promise = pool.txnAsync(() => {
        pool.onCommit(() => order.push('hook'));
        add(pool);
        return 'value';
      });
      order.push('returned');
      expect(pool.root(Ledger).count).toBe(1);
      expect(await promise).toBe('value');
      order.push('resolved');
      expect(order.indexOf('hook')).toBeLessThan(order.indexOf('resolved'));
      if (pool.stats().domain === 'block') expect(order).toEqual(['returned', 'hook', 'resolved']);
    });

    it('rejects with what the body throws, rolled back', async () => {
      const pool = open();
      const reason = new Error('no');
      const body = (): never => {
        add(pool);
        throw reason;
      };
      await expect(pool.txnAsync(body)).rejects.toBe(reason);
      expect(pool.root(Ledger).count).toBe(0);
    });

    it('refuses async functions, no function, and being called inside a transaction', async () => {
      const pool = open();
      await expect(pool.txnAsync(async () => add(pool))).rejects.toMatchObject({ code: 'TXN_ASYNC' });
      await expect(pool.txnAsync(1 as never)).rejects.toMatchObject({ code: 'VALUE' });
      let inside: Promise<unknown> | null = null;
      pool.txn(() => {
        inside = pool.txnAsync(() => add(pool));
        inside.catch(() => undefined);
      });
      await expect(inside).rejects.toMatchObject({ code: 'TXN_ASYNC' });
      expect(pool.root(Ledger).count).toBe(0);
    });

    it('takes a transaction inside as a savepoint', async () => {
      const pool = open();
      await pool.txnAsync(() => {
        add(pool, 'outer');
        expect(() =>
          pool.txn(() => {
            add(pool, 'inner');
            throw new Error('inner');
          }),
        ).toThrow('inner');
      });
      expect([...pool.root(Ledger).texts]).toEqual(['outer']);
    });

    it('is resolved by close', async () => {
      const pool = open();
      const waiting = Array.from({ length: 5 }, () => pool.txnAsync(() => add(pool)));
      pool.close();
      await Promise.all(waiting);
    });
  });

  it('shares syncs: many that wait cost a few', async () => {
    const medium = new SimulatedMedium();
    const pool = simulate(medium, { walSize: 2 ** 20 });
    pool.txn(() => add(pool));
    let syncs = 0;
    const stop = medium.observe({ onFence: () => (syncs += 1) });
    await Promise.all(Array.from({ length: 32 }, () => pool.txnAsync(() => add(pool))));
    stop();
    expect(syncs).toBeGreaterThan(0);
    expect(syncs).toBeLessThanOrEqual(3);
    expect(wal(pool).waiting).toBe(0);
  });
});

describe('in the background', () => {
  it('a checkpoint is made some time after a commit', async () => {
    const pool = pools.open({ ...disk, walSize: 2 ** 20, checkpointInterval: 20 });
    pool.txn(() => add(pool));
    for (let tries = 0; wal(pool).checkpoints === 0 && tries < 200; tries++) await sleep(10);
    expect(wal(pool)).toMatchObject({ checkpoints: 1, dirtyPages: 0, usedBytes: 0 });
  });

  it('flush makes a relaxed pool durable, and costs nothing twice', () => {
    const medium = new SimulatedMedium({ appendsPerSync: 1000 });
    const pool = simulate(medium, { durability: 'relaxed', flushInterval: 0 });
    for (let step = 0; step < 5; step++) pool.txn(() => add(pool));
    const countAfterCrash = (): number => {
      const fork = medium.fork();
      const opened = Pool.open('redo.pool', {
        root: Ledger,
        backend: fork,
        domain: 'block',
        maxSize: 2 ** 22,
      });
      const { count } = opened.root(Ledger);
      opened.close();
      return count;
    };
    expect(countAfterCrash()).toBe(0);
    pool.flush();
    expect(countAfterCrash()).toBe(5);
    let syncs = 0;
    medium.observe({ onFence: () => (syncs += 1) });
    pool.flush();
    expect(syncs).toBe(0);
  });
});
