/** A full pool or file system: the transaction rolls back, nothing is lost, and the pool goes on working. */
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import {
  bytes,
  Field,
  i32,
  list,
  map,
  Persistent,
  type PersistentList,
  type PersistentMap,
  Pool,
} from '../../src/index.js';
import { canMount, Scratch } from '../memory/fixtures.js';
import { expectError, testPools } from './helpers.js';

const MIB = 2 ** 20;

@Persistent()
class Box {
  @Field(i32) declare count: number;
  @Field(bytes) declare large: Uint8Array;
  @Field(list('string')) declare texts: PersistentList<string>;
  @Field(map('string', 'string')) declare byName: PersistentMap<string, string>;
  @Field(() => Box) declare next: Box | null;
}

const pools = testPools();
const scratch = new Scratch();
afterAll(() => scratch.removeAll());
const small = { root: Box, maxSize: 2 * MIB, logSize: 4096 };

function fill(root: Box): never {
  for (let i = 0; ; i += 1) {
    root.count += 1;
    root.texts.push('x'.repeat(5000));
    root.byName.set(`key ${i}`, 'y'.repeat(5000));
    const next = new Box();
    next.next = root.next;
    root.next = next;
  }
}

/** The pool is as `fill` found it, and may be written to. */
function expectUnharmed(pool: Pool): void {
  const root = pool.root(Box);
  expect([root.count, root.texts.length, root.byName.size, root.next]).toEqual([1, 1, 0, null]);
  expect(pool.check()).toMatchObject({ ok: true, unreachableBlocks: 0, leakedBlocks: 0, objects: 1 });
  for (let i = 0; i < 20; i += 1) {
    pool.txn(() => {
      root.large = new Uint8Array(300_000);
      root.texts.push('more');
    });
    pool.txn(() => {
      root.large = new Uint8Array(0);
      root.texts.pop();
    });
  }
}

function start(pool: Pool): Box {
  const root = pool.root(Box);
  pool.txn(() => {
    root.count = 1;
    root.texts.push('first');
  });
  return root;
}

describe('maxSize is reached', () => {
  it('rolls the transaction back with a clear error, again and again', () => {
    const pool = pools.open(small);
    const root = start(pool);
    for (let i = 0; i < 5; i += 1) {
      expectError(
        'POOL_FULL',
        () => pool.txn(() => fill(root)),
        pool.path,
        /maxSize is 2097152/,
        /larger maxSize|free/,
      );
    }
    expectUnharmed(pool);
    pool.close();
    const again = pools.open(small);
    expectUnharmed(again);
  });

  it('fails the transaction even if the program swallows the error', () => {
    const pool = pools.open(small);
    const root = start(pool);
    let swallowed = 0;
    expectError('POOL_FULL', () =>
      pool.txn(() => {
        try {
          fill(root);
        } catch {
          swallowed += 1;
        }
        root.count = 77;
        return 'fine';
      }),
    );
    expect(swallowed).toBe(1);
    expectUnharmed(pool);
  });

  it('fails only the savepoint around it', () => {
    const pool = pools.open(small);
    const root = start(pool);
    pool.txn(() => {
      root.count = 5;
      expectError('POOL_FULL', () => pool.txn(() => fill(root)));
      expectError('POOL_FULL', () =>
        pool.txn(() => {
          try {
            fill(root);
          } catch {}
        }),
      );
      expect(root.count).toBe(5);
      expect(root.next).toBe(null);
      root.count = 1;
      root.texts.push('second');
      root.texts.pop();
    });
    expectUnharmed(pool);
  });

  it('refuses a single value that is larger than the pool', () => {
    const pool = pools.open(small);
    const root = start(pool);
    for (const bytes of [2 * MIB, 64 * MIB]) {
      expectError(
        'POOL_FULL',
        () =>
          pool.txn(() => {
            root.large = new Uint8Array(bytes);
          }),
        /full/,
      );
    }
    expectUnharmed(pool);
  });

  it('a larger maxSize at the next opening makes room, as far as the pool was laid out for it', () => {
    const path = pools.path('grown');
    Pool.create(path, { root: Box, emulate: { flush: false }, logSize: 4096 }).close();
    const options = { root: Box, emulate: { flush: false } };
    const tight = Pool.open(path, { ...options, maxSize: 8 * MIB });
    expectError(
      'POOL_FULL',
      () =>
        tight.txn(() => {
          tight.root(Box).large = new Uint8Array(16 * MIB);
        }),
      /maxSize/,
    );
    tight.close();
    const wide = Pool.open(path, { ...options, maxSize: 64 * MIB });
    wide.txn(() => {
      wide.root(Box).large = new Uint8Array(16 * MIB);
    });
    wide.close();
  });

  it('dropping data in a full pool makes room', () => {
    const pool = pools.open(small);
    const root = start(pool);
    let pushed = 0;
    for (;;) {
      try {
        pool.txn(() => root.texts.push('x'.repeat(3000)));
        pushed += 1;
      } catch {
        break;
      }
    }
    expect(pushed).toBeGreaterThan(100);
    pool.txn(() => root.texts.clear());
    for (let i = 0; i < pushed - 20; i += 1) pool.txn(() => root.texts.push('y'.repeat(3000)));
    expect(root.texts.length).toBe(pushed - 20);
  });
});

describe.skipIf(!canMount)('the file system is full', () => {
  it('rolls the transaction back, and the pool goes on when there is room again', () => {
    const directory = scratch.mount('size=6m') as string;
    const pool = Pool.create(join(directory, 'a.pool'), {
      root: Box,
      emulate: { flush: false },
      maxSize: 256 * MIB,
      logSize: 4096,
    });
    const root = start(pool);
    for (let i = 0; i < 3; i += 1)
      expectError('POOL_FULL', () => pool.txn(() => fill(root)), /a\.pool/, /file system|space|full/);
    expectUnharmed(pool);
    scratch.remount(directory, 'size=32m');
    pool.txn(() => {
      root.large = new Uint8Array(8 * MIB);
    });
    expect(pool.check().ok).toBe(true);
    pool.close();
  });
});
