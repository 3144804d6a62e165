/**
 * The flush budget: how many fences and flushed cache lines each operation costs. Counts, not times, so they hold on
 * every machine; a change here is a change of the protocol and belongs into docs/decisions.md.
 */
import { afterAll, beforeAll, expect, it } from 'vitest';
import {
  Field,
  i32,
  list,
  map,
  Persistent,
  type PersistentList,
  type PersistentMap,
  type PersistentQueue,
  Pool,
  queue,
} from '../../src/index.js';
import { SimulatedMedium } from '../../src/testing/index.js';

@Persistent()
class Item {
  @Field(i32) declare a: number;
  @Field(i32) declare b: number;
  @Field(i32) declare c: number;
  @Field(i32) declare d: number;
  @Field(i32) declare e: number;
  @Field(i32) declare f: number;
  @Field(i32) declare g: number;
  @Field(i32) declare h: number;
  @Field(() => Item) declare next: Item | null;
}

@Persistent()
class Root {
  @Field(list(() => Item)) declare items: PersistentList<Item>;
  @Field(list(i32)) declare numbers: PersistentList<number>;
  @Field(map(i32, i32)) declare byNumber: PersistentMap<number, number>;
  @Field(queue(i32)) declare jobs: PersistentQueue<number>;
  @Field(() => Item) declare head: Item | null;
}

let pool: Pool;
let items: Item[];

beforeAll(() => {
  pool = Pool.create('budget.pool', {
    root: Root,
    backend: new SimulatedMedium(),
    maxSize: 4 * 2 ** 20,
    uuid: new Uint8Array(16),
  });
  const root = pool.root(Root);
  // Steady state: spans taken, first nodes allocated, so that an operation costs what it usually costs.
  pool.txn(() => {
    items = Array.from({ length: 16 }, () => new Item());
    root.items.push(...items);
    for (let i = 0; i < 100; i += 1) {
      root.numbers.push(i);
      root.byNumber.set(i, i);
      root.jobs.enqueue(i);
    }
  });
});

afterAll(() => {
  expect(pool.check().problems).toEqual([]);
  pool.close();
});

function cost(body: () => void): { fences: number; lines: number } {
  const before = pool.stats();
  pool.txn(body);
  const after = pool.stats();
  return { fences: after.fences - before.fences, lines: after.lines - before.lines };
}

it('costs nothing to run an empty transaction, or one that only reads', () => {
  expect(cost(() => undefined)).toEqual({ fences: 0, lines: 0 });
  expect(cost(() => void items[3]?.a)).toEqual({ fences: 0, lines: 0 });
});

it('sets one field with two fences: snapshot record, commit', () => {
  expect(
    cost(() => {
      (items[0] as Item).a = 1;
    }),
  ).toEqual({ fences: 2, lines: 4 });
});

it('sets eight fields of one object for the price of one', () => {
  expect(
    cost(() => {
      Object.assign(items[1] as Item, { a: 1, b: 2, c: 3, d: 4, e: 5, f: 6, g: 7, h: 8 });
    }),
  ).toEqual({ fences: 2, lines: 4 });
});

it('sets a field of eight objects with a fence each and one for the commit', () => {
  const spent = cost(() => {
    for (let i = 0; i < 8; i += 1) (items[i] as Item).b = i;
  });
  expect(spent.fences).toBe(9);
  expect(spent.lines).toBeLessThanOrEqual(28);
});

it('allocates an object with two fences: bitmap record, commit', () => {
  const spent = cost(() => {
    new Item();
  });
  expect(spent.fences).toBe(2);
  expect(spent.lines).toBeLessThanOrEqual(5);
});

it('appends to a linked list with a fence for each of bitmap, tail and head, and the commit', () => {
  const spent = cost(() => {
    const item = new Item();
    (items[15] as Item).next = item;
    pool.root(Root).head = item;
  });
  expect(spent.fences).toBeLessThanOrEqual(5);
});

it('pushes to a list with two fences: header record, commit', () => {
  const spent = cost(() => {
    pool.root(Root).numbers.push(1000);
  });
  expect(spent).toEqual({ fences: 2, lines: 4 });
});

it('enqueues and dequeues with two fences', () => {
  const { jobs } = pool.root(Root);
  expect(cost(() => void jobs.enqueue(1000)).fences).toBe(2);
  expect(cost(() => void jobs.dequeue()).fences).toBe(2);
});

it('inserts into a map with three fences as a rule, and a bounded number of lines when it grows', () => {
  const { byNumber } = pool.root(Root);
  const fences: number[] = [];
  let worstLines = 0;
  for (let i = 0; i < 1000; i += 1) {
    const spent = cost(() => void byNumber.set(1000 + i, i));
    fences.push(spent.fences);
    worstLines = Math.max(worstLines, spent.lines);
  }
  const sorted = fences.sort((a, b) => a - b);
  // At most: a new chunk, which is flushed as a whole.
  expect({ median: sorted[500], most: sorted.at(-1), worstLines }).toEqual({
    median: 3,
    most: 8,
    worstLines: 150,
  });
});
