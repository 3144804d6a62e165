/** Reopening a pool of 1,000,000 objects, up to the first read, against parsing the same data as JSON. */
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { Field, i32, list, Persistent, type PersistentList, Pool } from 'perdure';
import type { BenchCase } from '../harness.js';
import { openBenchPool } from '../pools.js';

@Persistent({ access: 'direct' })
class Item {
  @Field(i32) declare id: number;
  @Field('string') declare name: string;
}

@Persistent()
class Root {
  @Field(list(() => Item)) declare items: PersistentList<Item>;
}

const BATCH = 10_000;

function openCase(count: number): BenchCase {
  return {
    name: `pool/open/${count}`,
    operations: 1,
    prepare() {
      const bench = openBenchPool(Root, { flush: false });
      const { pool, path } = bench;
      const { items } = pool.root(Root);
      for (let start = 0; start < count; start += BATCH) {
        pool.txn(() => {
          for (let id = start; id < start + BATCH; id += 1) {
            const item = new Item();
            item.id = id;
            item.name = `item ${id}`;
            items.push(item);
          }
        });
      }
      pool.close();
      const json = `${path}.json`;
      writeFileSync(
        json,
        JSON.stringify(Array.from({ length: count }, (_, id) => ({ id, name: `item ${id}` }))),
      );
      return {
        run: () => {
          const reopened = Pool.open(path, { root: Root, emulate: true, maxSize: 2 ** 31 });
          const { id } = reopened.root(Root).items.at(count - 1) as Item;
          reopened.close();
          return id;
        },
        baseline: () => (JSON.parse(readFileSync(json, 'utf8')) as Item[])[count - 1]?.id ?? 0,
        close: () => {
          rmSync(json);
          bench.close();
        },
      };
    },
  };
}

export const openCases: readonly BenchCase[] = [openCase(10_000), openCase(1_000_000)];
