import 'reflect-metadata';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import {
  Field,
  i32,
  list,
  map,
  nullable,
  Persistent,
  type PersistentList,
  type PersistentMap,
  type PersistentQueue,
  Pool,
  type PoolOptions,
  queue,
} from '../../src/index.js';

@Persistent()
class Entry {
  @Field(i32) declare id: number;
  @Field() declare name: string;
  @Field(() => Entry) declare next: Entry | null;
}

@Persistent()
class Root {
  @Field(() => Entry) declare head: Entry | null;
  @Field(() => Entry) declare tail: Entry | null;
  @Field(map('string', () => Entry)) declare byName: PersistentMap<string, Entry>;
  @Field(list(i32)) declare numbers: PersistentList<number>;
  @Field(queue('string')) declare jobs: PersistentQueue<string>;
  @Field(nullable(i32)) declare maybe: number | null;
}

const LOGS: PoolOptions[] = [
  { emulate: true },
  { domain: 'block' },
  { domain: 'block', durability: 'relaxed', walSize: 16 * 1024, memoryBudget: 0 },
];

it.each(LOGS)('works with %o', (log) => {
  const dir = mkdtempSync(join(tmpdir(), 'perdure-'));
  const path = join(dir, 'a.pool');
  {
    const pool = Pool.open(path, { root: Root, ...log });
    const root = pool.root<Root>();
    for (let i = 0; i < 100; i += 1) {
      pool.txn(() => {
        const entry = new Entry();
        entry.id = i;
        entry.name = `n${i}`;
        if (root.head === null) root.head = entry;
        else (root.tail as Entry).next = entry;
        root.tail = entry;
        root.byName.set(entry.name, entry);
        root.numbers.push(i);
        root.jobs.enqueue(`j${i}`);
        root.maybe = i;
      });
    }
    expect(() => {
      root.maybe = 1;
    }).toThrow(/outside a transaction/);
    expect(() =>
      pool.txn(() => {
        root.maybe = 1;
        root.numbers.push(1, 2, 3);
        throw new Error('no');
      }),
    ).toThrow('no');
    expect(root.maybe).toBe(99);
    expect(root.numbers.length).toBe(100);
    console.log(pool.stats(), pool.check(), root.head);
    pool.close();
    expect(() => root.maybe).toThrow(/closed/);
  }
  const pool = Pool.open(path, { root: Root, ...log });
  const root = pool.root(Root);
  expect(root.byName.get('n42')?.id).toBe(42);
  expect(root.byName.get('n42')?.next).toBe(root.byName.get('n43'));
  expect([...root.numbers]).toEqual(Array.from({ length: 100 }, (_, i) => i));
  expect(root.jobs.peek()).toBe('j0');
  expect(pool.check().ok).toBe(true);
  pool.close();
  rmSync(dir, { recursive: true });
});
