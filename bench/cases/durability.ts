/**
 * The redo log on a disk, against what the disk can do: an append to a file and fdatasync. And the longest pause of the event
 * loop while a checkpoint writes a gigabyte, against that of a loop without one.
 */
import { closeSync, fdatasyncSync, openSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import {
  Field,
  type FixedArray,
  fixedArray,
  i32,
  list,
  Persistent,
  type PersistentList,
  Pool,
  type PoolOptions,
} from 'perdure';
import type { BenchCase, Work } from '../harness.js';
import { diskFolder } from '../pools.js';

const CONCURRENT = 32;
const OBJECTS = 1_000_000;
const RECORD_BYTES = 128;

@Persistent({ access: 'direct' })
class Item {
  @Field(i32) declare a: number;
  @Field(i32) declare b: number;
  @Field(i32) declare c: number;
  @Field(i32) declare d: number;
}

@Persistent()
class Root {
  @Field(list(() => Item)) declare items: PersistentList<Item>;
}

interface Bench {
  readonly pool: Pool;
  readonly items: readonly Item[];
  /** One append of a record to a preallocated file, and fdatasync. */
  readonly append: Work;
  close(): void;
}

function open(count: number, options: PoolOptions): Bench {
  const folder = diskFolder();
  const pool = Pool.open(join(folder, 'bench.pool'), { root: Root, maxSize: 2 ** 31, ...options });
  const items = fill(pool, count);
  const file = openSync(join(folder, 'append'), 'w+');
  const record = Buffer.alloc(RECORD_BYTES, 7);
  writeSync(file, Buffer.alloc(2 ** 20), 0, 2 ** 20, 0);
  fdatasyncSync(file);
  let at = 0;
  return {
    pool,
    items,
    append(n) {
      for (let i = 0; i < n; i += 1) {
        writeSync(file, record, 0, RECORD_BYTES, at);
        fdatasyncSync(file);
        at = (at + RECORD_BYTES) % 2 ** 20;
      }
      return at;
    },
    close() {
      pool.close();
      closeSync(file);
      rmSync(folder, { recursive: true });
    },
  };
}

function fill(pool: Pool, count: number): Item[] {
  const all: Item[] = [];
  while (all.length < count) {
    pool.txn(() => {
      const batch = Array.from({ length: Math.min(10_000, count - all.length) }, () => new Item());
      pool.root(Root).items.push(...batch);
      all.push(...batch);
    });
  }
  return all;
}

function strict(pool: Pool, items: readonly Item[]): Work {
  return (n) => {
    for (let i = 0; i < n; i += 1) {
      pool.txn(() => {
        (items[i & 1023] as Item).a = i;
      });
    }
    return n;
  };
}

/** Keeps so many transactions waiting to be durable at any time. */
function concurrent(pool: Pool, items: readonly Item[]): Work {
  return async (n) => {
    let next = 0;
    const writer = async (): Promise<void> => {
      while (next < n) {
        const i = next++;
        await pool.txnAsync(() => {
          (items[i & 1023] as Item).a = i;
        });
      }
    };
    await Promise.all(Array.from({ length: CONCURRENT }, writer));
    return n;
  };
}

function scattered(pool: Pool, items: readonly Item[]): Work {
  let at = 1;
  return (n) => {
    for (let i = 0; i < n; i += 1) {
      at = (Math.imul(at, 1_664_525) + 1_013_904_223) >>> 0;
      const item = items[at % items.length] as Item;
      pool.txn(() => {
        item.b = i;
      });
    }
    return n;
  };
}

const commits: readonly BenchCase[] = [
  {
    name: 'durability/strict-one-field/append',
    operations: 500,
    prepare() {
      const { pool, items, append, close } = open(1024, {});
      return { timed: true, run: timed(strict(pool, items)), baseline: timed(append), close };
    },
  },
  {
    name: 'durability/async-32/append',
    operations: 4000,
    prepare() {
      const { pool, items, append, close } = open(1024, {});
      return { timed: true, run: timed(concurrent(pool, items)), baseline: timed(append, 300), close };
    },
  },
  {
    name: 'durability/async-32/strict-one-field',
    operations: 2000,
    prepare() {
      const { pool, items, close } = open(1024, {});
      return {
        timed: true,
        run: timed(concurrent(pool, items)),
        baseline: timed(strict(pool, items), 300),
        close,
      };
    },
  },
  {
    name: 'durability/relaxed-one-field/append',
    operations: 100_000,
    prepare() {
      const { pool, items, append, close } = open(1024, { durability: 'relaxed' });
      return { timed: true, run: timed(strict(pool, items)), baseline: timed(append, 200), close };
    },
  },
  {
    name: 'durability/relaxed-random/1000000',
    heavy: true,
    operations: 300_000,
    prepare() {
      const { pool, items, append, close } = open(OBJECTS, { durability: 'relaxed' });
      return { timed: true, run: timed(scattered(pool, items)), baseline: timed(append, 200), close };
    },
  },
];

/** An object that fills a page. */
@Persistent({ access: 'direct' })
class Page {
  @Field(i32) declare value: number;
  @Field(fixedArray(i32, 1000)) declare rest: FixedArray<number>;
}

@Persistent()
class Book {
  @Field(list(() => Page)) declare pages: PersistentList<Page>;
}

const PAGES = 250_000;
const CHECKPOINT_AFTER_MS = 6000;

/**
 * The longest pause of an event loop, whose every turn runs one transaction, while a checkpoint writes a gigabyte; against
 * that of the same loop when there is none.
 */
const longestPause: BenchCase = {
  name: 'durability/longest-pause/checkpoint-of-1-GB',
  operations: 1,
  heavy: true,
  maxRounds: 3,
  prepare() {
    const folder = diskFolder();
    const pool = Pool.open(join(folder, 'bench.pool'), {
      root: Book,
      maxSize: 2 ** 31,
      durability: 'relaxed',
      walSize: 2 ** 28,
      checkpointInterval: CHECKPOINT_AFTER_MS,
      memoryBudget: 2 ** 32,
    });
    const pages: Page[] = [];
    while (pages.length < PAGES) {
      pool.txn(() => {
        const batch = Array.from({ length: 500 }, () => new Page());
        pool.root(Book).pages.push(...batch);
        pages.push(...batch);
      });
    }
    let turn = 0;
    const write = (): void => {
      const page = pages[(turn++ * 7919) % 1000] as Page;
      pool.txn(() => {
        page.value = turn;
      });
    };
    const checkpoints = (): number => pool.stats().wal?.checkpoints ?? 0;
    const pauseUntil = (done: () => boolean): Promise<number> => longestTurn(write, done);
    return {
      timed: true,
      warmUps: 0,
      async run() {
        for (const page of pages)
          pool.txn(() => {
            page.value += 1;
          });
        const before = checkpoints();
        return pauseUntil(() => checkpoints() > before);
      },
      async baseline() {
        const until = performance.now() + CHECKPOINT_AFTER_MS / 2;
        return pauseUntil(() => performance.now() > until);
      },
      close() {
        pool.close();
        rmSync(folder, { recursive: true });
      },
    };
  },
};

/** Nanoseconds of the longest turn; `done` is asked now and then, outside of the turns. */
async function longestTurn(work: () => void, done: () => boolean): Promise<number> {
  let longest = 0;
  do {
    let last = performance.now();
    for (let i = 0; i < 20_000; i += 1) {
      work();
      await new Promise((resolve) => setImmediate(resolve));
      const now = performance.now();
      longest = Math.max(longest, now - last);
      last = now;
    }
  } while (!done());
  return longest * 1e6;
}

/** Measures itself, on `most` operations at the most, and returns the nanoseconds that `n` would take. */
function timed(work: Work, most = Number.POSITIVE_INFINITY): Work {
  return async (n) => {
    const count = Math.min(n, most);
    const start = process.hrtime.bigint();
    await work(count);
    return (Number(process.hrtime.bigint() - start) / count) * n;
  };
}

export const durabilityCases: readonly BenchCase[] = [...commits, longestPause];
