/** Transactions: one field, eight fields, eight objects, allocation; with real flushes and without. */
import { Field, i32, list, Persistent, type PersistentList, type Pool } from 'perdure';
import type { BenchCase, Work } from '../harness.js';
import { openBenchPool } from '../pools.js';

const COUNT = 100_000;
const OPERATIONS = 200_000;

@Persistent({ access: 'direct' })
class Item {
  @Field(i32) declare a: number;
  @Field(i32) declare b: number;
  @Field(i32) declare c: number;
  @Field(i32) declare d: number;
  @Field(i32) declare e: number;
  @Field(i32) declare f: number;
  @Field(i32) declare g: number;
  @Field(i32) declare h: number;
}

class PlainItem {
  a = 0;
  b = 0;
  c = 0;
  d = 0;
  e = 0;
  f = 0;
  g = 0;
  h = 0;
}

@Persistent()
class Root {
  @Field(list(() => Item)) declare items: PersistentList<Item>;
}

/** Indices that visit the items in a scattered order. */
const ORDER = Uint32Array.from({ length: 1 << 16 }, (_, i) => (Math.imul(i, 2_654_435_761) >>> 0) % COUNT);

interface Operation {
  readonly name: string;
  persistent(pool: Pool, items: readonly Item[], at: number): void;
  plain(items: readonly PlainItem[], at: number): void;
}

const OPERATION_LIST: readonly Operation[] = [
  {
    name: 'empty',
    persistent: (pool) => pool.txn(() => undefined),
    plain: () => undefined,
  },
  {
    name: 'one-field',
    persistent: (pool, items, at) =>
      pool.txn(() => {
        (items[ORDER[at & 0xffff] as number] as Item).a = at;
      }),
    plain: (items, at) => {
      (items[ORDER[at & 0xffff] as number] as PlainItem).a = at;
    },
  },
  {
    name: 'one-field-hot',
    persistent: (pool, items, at) =>
      pool.txn(() => {
        (items[at & 1023] as Item).a = at;
      }),
    plain: (items, at) => {
      (items[at & 1023] as PlainItem).a = at;
    },
  },
  {
    name: 'eight-fields',
    persistent: (pool, items, at) =>
      pool.txn(() => {
        const item = items[ORDER[at & 0xffff] as number] as Item;
        item.a = at;
        item.b = at;
        item.c = at;
        item.d = at;
        item.e = at;
        item.f = at;
        item.g = at;
        item.h = at;
      }),
    plain: (items, at) => {
      const item = items[ORDER[at & 0xffff] as number] as PlainItem;
      item.a = at;
      item.h = at;
    },
  },
  {
    name: 'eight-objects',
    persistent: (pool, items, at) =>
      pool.txn(() => {
        for (let i = 0; i < 8; i += 1) (items[ORDER[(at * 8 + i) & 0xffff] as number] as Item).a = at;
      }),
    plain: (items, at) => {
      for (let i = 0; i < 8; i += 1) (items[ORDER[(at * 8 + i) & 0xffff] as number] as PlainItem).a = at;
    },
  },
];

function txnCase(operation: Operation, flush: boolean): BenchCase {
  return {
    name: `txn/${operation.name}/${flush ? 'flush' : 'no-flush'}`,
    operations: OPERATIONS,
    prepare() {
      const bench = openBenchPool(Root, { flush });
      const { pool } = bench;
      const items = Array.from({ length: COUNT / 1000 }, () =>
        pool.txn(() => {
          const batch = Array.from({ length: 1000 }, () => new Item());
          pool.root(Root).items.push(...batch);
          return batch;
        }),
      ).flat();
      const plain = Array.from({ length: COUNT }, () => new PlainItem());
      const run: Work = (n) => {
        for (let i = 0; i < n; i += 1) operation.persistent(pool, items, i);
        return n;
      };
      const baseline: Work = (n) => {
        for (let i = 0; i < n; i += 1) operation.plain(plain, i);
        return n;
      };
      return { run, baseline, close: () => bench.close() };
    },
  };
}

/** Allocates an object a transaction and forgets it, against allocating a plain one. */
function allocationCase(flush: boolean): BenchCase {
  return {
    name: `txn/allocate-48-bytes/${flush ? 'flush' : 'no-flush'}`,
    operations: 100_000,
    prepare() {
      const bench = openBenchPool(Root, { flush });
      const { pool } = bench;
      const run: Work = (n) => {
        for (let i = 0; i < n; i += 1) {
          pool.txn(() => {
            new Item();
          });
        }
        return n;
      };
      const kept: PlainItem[] = new Array(1024);
      const baseline: Work = (n) => {
        for (let i = 0; i < n; i += 1) kept[i & 1023] = new PlainItem();
        return kept.length;
      };
      return { run, baseline, close: () => bench.close() };
    },
  };
}

export const txnCases: readonly BenchCase[] = [true, false].flatMap((flush) => [
  ...OPERATION_LIST.map((operation) => txnCase(operation, flush)),
  allocationCase(flush),
]);
