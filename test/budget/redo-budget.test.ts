/**
 * The flush budget of the redo log: what a commit costs in syncs, fences and lines of the log. Counts, not times; a change
 * here is a change of the protocol and belongs into docs/decisions.md.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  Field,
  i32,
  list,
  Persistent,
  type PersistentList,
  Pool,
  type PoolOptions,
} from '../../src/index.js';
import { STEP, type Step } from '../../src/memory/step.js';
import { SimulatedMedium } from '../../src/testing/index.js';

@Persistent()
class Item {
  @Field(i32) declare a: number;
  @Field(i32) declare b: number;
  @Field(() => Item) declare next: Item | null;
}

@Persistent()
class Root {
  @Field(list(() => Item)) declare items: PersistentList<Item>;
  @Field(list(i32)) declare numbers: PersistentList<number>;
}

/** Calls of the medium, by step. */
interface Cost {
  /** Writes to the log: native calls of the record writer. */
  readonly appends: number;
  /** fdatasync of the log, or a fence where it lies in byte-addressable memory. */
  readonly syncs: number;
  readonly others: number;
  /** Lines of the record. */
  readonly lines: number;
}

const media: [string, PoolOptions, number][] = [
  ['on a disk', { domain: 'block' }, 1],
  ['on a disk, relaxed', { domain: 'block', durability: 'relaxed', flushInterval: 0 }, 0],
  ['in persistent memory', { log: 'redo' }, 1],
];
describe.each(media)('%s', (_name, options, syncs) => {
  const medium = new SimulatedMedium();
  let pool: Pool;
  let items: Item[];
  const seen: Step[] = [];

  beforeAll(() => {
    pool = Pool.create('budget.pool', {
      root: Root,
      backend: medium,
      maxSize: 4 * 2 ** 20,
      uuid: new Uint8Array(16),
      ...options,
    });
    // Steady state: spans taken, the log made.
    pool.txn(() => {
      items = Array.from({ length: 16 }, () => new Item());
      pool.root(Root).items.push(...items);
      for (let i = 0; i < 100; i += 1) pool.root(Root).numbers.push(i);
    });
    const note = (_path: string, step: Step | null): void => {
      if (step !== null) seen.push(step);
    };
    medium.observe({ onWrite: note, onFence: note });
  });
  afterAll(() => {
    expect(pool.check().problems).toEqual([]);
    pool.close();
  });

  function cost(body: () => void): Cost {
    seen.length = 0;
    const before = pool.stats();
    pool.txn(body);
    const after = pool.stats();
    const count = (step: Step): number => seen.filter((each) => each === step).length;
    const appends = count(STEP.walAppend);
    const spent = count(STEP.walSync);
    return {
      appends,
      syncs: spent,
      others: seen.length - appends - spent,
      lines: after.lines - before.lines,
    };
  }

  it('costs nothing to run an empty transaction, or one that only reads', () => {
    const nothing = { appends: 0, syncs: 0, others: 0, lines: 0 };
    expect(cost(() => undefined)).toEqual(nothing);
    expect(cost(() => void items[3]?.a)).toEqual(nothing);
  });

  it('sets one field with one write of one line, and one sync where commits wait', () => {
    const spent = cost(() => {
      (items[0] as Item).a = 1;
    });
    expect(spent).toEqual({ appends: 1, syncs, others: 0, lines: 1 });
  });

  it('sets a field of sixteen objects for the price of a longer record', () => {
    const spent = cost(() => {
      for (let i = 0; i < 16; i += 1) (items[i] as Item).b = i;
    });
    expect(spent).toMatchObject({ appends: 1, syncs, others: 0 });
    expect(spent.lines).toBeLessThanOrEqual(16);
  });

  it('allocates, links and pushes for the price of one write', () => {
    const spent = cost(() => {
      const item = new Item();
      (items[15] as Item).next = item;
      pool.root(Root).numbers.push(1000);
    });
    expect(spent).toMatchObject({ appends: 1, syncs, others: 0 });
    expect(spent.lines).toBeLessThanOrEqual(6);
  });

  it('rolls back for nothing', () => {
    const spent = cost(() => {
      expect(() =>
        pool.txn(() => {
          (items[2] as Item).a = 5;
          throw new Error('rolled back');
        }),
      ).toThrow('rolled back');
    });
    expect(spent).toEqual({ appends: 0, syncs: 0, others: 0, lines: 0 });
  });
});
