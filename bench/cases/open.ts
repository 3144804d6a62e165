/** Reopening a pool of 1,000,000 objects, up to the first read, against parsing the same data as JSON. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Pool } from 'perdure';
import type { BenchCase } from '../harness.js';
import { benchFolder } from '../pools.js';
import { Item, OPEN_OPTIONS, Root } from './open-model.js';

const BATCH = 10_000;
const CHILD = fileURLToPath(new URL('./open-child.js', import.meta.url));

function fill(path: string, count: number): void {
  const pool = Pool.create(path, { ...OPEN_OPTIONS, root: Root });
  const { items } = pool.root(Root);
  for (let start = 0; start < count; start += BATCH) {
    pool.txn(() => {
      for (let id = start; id < Math.min(count, start + BATCH); id += 1) {
        const item = new Item();
        item.id = id;
        item.name = `item ${id}`;
        items.push(item);
      }
    });
  }
  pool.close();
}

function child(...args: string[]): number {
  return Number(execFileSync(process.execPath, [CHILD, ...args], { encoding: 'utf8' }));
}

function openCase(count: number): BenchCase {
  return {
    name: `pool/open/${count}`,
    heavy: count === 1_000_000,
    operations: 1,
    prepare() {
      const folder = mkdtempSync(join(benchFolder(), 'perdure-bench-'));
      const [pool, small, json] = ['bench.pool', 'small.pool', 'bench.json'].map((name) =>
        join(folder, name),
      ) as [string, string, string];
      fill(pool, count);
      fill(small, 10);
      writeFileSync(
        json,
        JSON.stringify(Array.from({ length: count }, (_, id) => ({ id, name: `item ${id}` }))),
      );
      return {
        timed: true,
        run: () => child('pool', pool, small),
        baseline: () => child('json', json),
        close: () => rmSync(folder, { recursive: true }),
      };
    },
  };
}

export const openCases: readonly BenchCase[] = [openCase(10_000), openCase(1_000_000)];
