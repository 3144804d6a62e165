/** Lists, maps and queues against Array and Map. */
import {
  Field,
  f64,
  i32,
  list,
  map,
  Persistent,
  type PersistentList,
  type PersistentMap,
  type PersistentQueue,
  queue,
} from 'perdure';
import type { BenchCase, Work } from '../harness.js';
import { openBenchPool } from '../pools.js';

@Persistent()
class Root {
  @Field(list(i32)) declare list: PersistentList<number>;
  @Field(map(f64, i32)) declare byNumber: PersistentMap<number, number>;
  @Field(map('string', i32)) declare byString: PersistentMap<string, number>;
  @Field(queue(i32)) declare queue: PersistentQueue<number>;
}

/** Integer keys spread over 53 bits. */
function spreadKey(i: number): number {
  return (Math.imul(i, 2_654_435_761) >>> 0) * 2 ** 21 + (Math.imul(i, 40_503) & 0x1f_ffff);
}

function collectionCase(options: {
  name: string;
  operations: number;
  fill?: (root: Root) => void;
  run: (root: Root, txn: (body: () => void) => void) => Work;
  baseline: () => Work;
  flush?: boolean;
}): BenchCase {
  return {
    name: options.name,
    operations: options.operations,
    prepare() {
      const bench = openBenchPool(Root, { flush: options.flush ?? false });
      const root = bench.pool.root(Root);
      if (options.fill !== undefined) options.fill(root);
      const run = options.run(root, (body) => bench.pool.txn(body));
      return { run, baseline: options.baseline(), close: () => bench.close() };
    },
  };
}

const SIZE = 100_000;

function inTxns(root: Root, count: number, step: (i: number) => void, txn: (body: () => void) => void): Root {
  for (let start = 0; start < count; start += 1000) {
    txn(() => {
      for (let i = start; i < Math.min(count, start + 1000); i += 1) step(i);
    });
  }
  return root;
}

function mapCase(operation: 'get' | 'insert', kind: 'number' | 'string', flush: boolean): BenchCase {
  const key = kind === 'number' ? spreadKey : (i: number): string => `key-${spreadKey(i)}`;
  const keys = Array.from({ length: SIZE }, (_, i) => key(i));
  const select = (root: Root): PersistentMap<unknown, number> =>
    (kind === 'number' ? root.byNumber : root.byString) as PersistentMap<unknown, number>;
  return collectionCase({
    name: `map/${operation}-${kind}${flush ? '-flush' : ''}/100000`,
    operations: SIZE,
    flush,
    run: (root, txn) => {
      const target = select(root);
      if (operation === 'get') {
        inTxns(root, SIZE, (i) => target.set(keys[i], i), txn);
        return (n) => {
          let sum = 0;
          for (let i = 0; i < n; i += 1) sum += target.get(keys[(i * 7919) % SIZE]) as number;
          return sum;
        };
      }
      return (n) => {
        txn(() => target.clear());
        for (let i = 0; i < n; i += 1) txn(() => target.set(keys[i % SIZE], i));
        return target.size;
      };
    },
    baseline: () => {
      const target = new Map<unknown, number>();
      if (operation === 'get') {
        for (let i = 0; i < SIZE; i += 1) target.set(keys[i], i);
        return (n) => {
          let sum = 0;
          for (let i = 0; i < n; i += 1) sum += target.get(keys[(i * 7919) % SIZE]) as number;
          return sum;
        };
      }
      return (n) => {
        target.clear();
        for (let i = 0; i < n; i += 1) target.set(keys[i % SIZE], i);
        return target.size;
      };
    },
  });
}

function listPushCase(flush: boolean): BenchCase {
  return collectionCase({
    name: `list/push${flush ? '-flush' : ''}/100000`,
    operations: SIZE,
    flush,
    run: (root, txn) => (n) => {
      txn(() => root.list.clear());
      const target = root.list;
      for (let i = 0; i < n; i += 1) txn(() => target.push(i));
      return target.length;
    },
    baseline: () => (n) => {
      const target: number[] = [];
      for (let i = 0; i < n; i += 1) target.push(i);
      return target.length;
    },
  });
}

export const collectionCases: readonly BenchCase[] = [
  ...[true, false].map(listPushCase),
  collectionCase({
    name: 'list/at/100000',
    operations: 1_000_000,
    run: (root, txn) => {
      const target = root.list;
      inTxns(root, SIZE, (i) => target.push(i), txn);
      return (n) => {
        let sum = 0;
        for (let i = 0; i < n; i += 1) sum += target.at((i * 7919) % SIZE) as number;
        return sum;
      };
    },
    baseline: () => {
      const target = Array.from({ length: SIZE }, (_, i) => i);
      return (n) => {
        let sum = 0;
        for (let i = 0; i < n; i += 1) sum += target.at((i * 7919) % SIZE) as number;
        return sum;
      };
    },
  }),
  collectionCase({
    name: 'list/iterate/100000',
    operations: SIZE,
    run: (root, txn) => {
      const target = root.list;
      inTxns(root, SIZE, (i) => target.push(i), txn);
      return () => {
        let sum = 0;
        for (const value of target) sum += value;
        return sum;
      };
    },
    baseline: () => {
      const target = Array.from({ length: SIZE }, (_, i) => i);
      return () => {
        let sum = 0;
        for (const value of target) sum += value;
        return sum;
      };
    },
  }),
  collectionCase({
    name: 'queue/enqueue-dequeue/1000',
    operations: SIZE,
    run: (root, txn) => {
      const target = root.queue;
      txn(() => {
        for (let i = 0; i < 1000; i += 1) target.enqueue(i);
      });
      return (n) => {
        let sum = 0;
        for (let i = 0; i < n; i += 1) {
          txn(() => {
            target.enqueue(i);
            sum += target.dequeue() as number;
          });
        }
        return sum;
      };
    },
    baseline: () => {
      const target = Array.from({ length: 1000 }, (_, i) => i);
      return (n) => {
        let sum = 0;
        for (let i = 0; i < n; i += 1) {
          target.push(i);
          sum += target.shift() as number;
        }
        return sum;
      };
    },
  }),
  ...(['get', 'insert'] as const).flatMap((operation) =>
    (['number', 'string'] as const).map((kind) => mapCase(operation, kind, false)),
  ),
  mapCase('insert', 'number', true),
];
