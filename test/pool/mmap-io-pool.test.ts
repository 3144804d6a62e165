/** A whole pool on the mmap-io backend: create, transact, roll back, grow, close, reopen. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import {
  Field,
  i32,
  list,
  map,
  Persistent,
  type PersistentList,
  type PersistentMap,
  Pool,
} from '../../src/index.js';
import { MmapIoBackend } from '../../src/memory/index.js';
import { loadMmapIo } from '../../src/memory/mmap-io-module.js';

const found = loadMmapIo(process.env.PERDURE_MMAP_IO || 'mmap-io');

@Persistent()
class Item {
  @Field(i32) declare id: number;
  @Field('string') declare name: string;
}

@Persistent()
class Root {
  @Field(list(() => Item)) declare items: PersistentList<Item>;
  @Field(map('string', () => Item)) declare byName: PersistentMap<string, Item>;
}

describe.skipIf(found.module === null)('a pool on mmap-io (npm run test:mmap-io installs it)', () => {
  it('keeps what was committed, and only that', () => {
    if (found.module === null) throw new Error('unreachable');
    const folder = mkdtempSync(join(tmpdir(), 'perdure-'));
    const path = join(folder, 'a.pool');
    const options = { root: Root, backend: new MmapIoBackend(found.module), emulate: true, maxSize: 2 ** 28 };
    try {
      const pool = Pool.create(path, options);
      const root = pool.root(Root);
      for (let id = 0; id < 2000; id += 1) {
        pool.txn(() => {
          const item = new Item();
          item.id = id;
          item.name = `item ${id}`;
          root.items.push(item);
          root.byName.set(item.name, item);
        });
      }
      expect(() =>
        pool.txn(() => {
          root.items.clear();
          throw new Error('undo this');
        }),
      ).toThrow('undo this');
      expect(() => Pool.open(path, options)).toThrow(expect.objectContaining({ code: 'LOCKED' }));
      expect(pool.check().problems).toEqual([]);
      pool.close();
      expect(() => root.items.length).toThrow(expect.objectContaining({ code: 'CLOSED' }));

      using reopened = Pool.open(path, options);
      expect(reopened.root(Root).items.length).toBe(2000);
      expect(reopened.root(Root).byName.get('item 1999')).toBe(reopened.root(Root).items.at(-1));
      expect(reopened.check().ok).toBe(true);
      expect(reopened.stats().backend).toBe('mmap-io');
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
