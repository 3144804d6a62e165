/** Values that are code of the program in part (getters, proxies, subclasses): an operation that fails because of them changes nothing. */
import { describe, expect, it } from 'vitest';
import {
  bytes,
  embedded,
  Field,
  i32,
  list,
  map,
  nullable,
  Persistent,
  type PersistentList,
  type PersistentMap,
  type PersistentQueue,
  queue,
} from '../../src/index.js';
import { expectError, testPools } from './helpers.js';

@Persistent({ fields: { toString: i32, valueOf: i32 } })
class OddNames {}

@Persistent()
class HostileRoot {
  @Field(embedded(() => OddNames)) declare odd: object;
  @Field(list(list('string'))) declare lists: PersistentList<PersistentList<string>>;
  @Field(list(list(list('string')))) declare deep: PersistentList<PersistentList<PersistentList<string>>>;
  @Field(map('string', list('string'))) declare byName: PersistentMap<string, PersistentList<string>>;
  @Field(queue(list('string'))) declare line: PersistentQueue<PersistentList<string>>;
  @Field(list(bytes)) declare blobs: PersistentList<Uint8Array>;
  @Field(nullable(list('string'))) declare maybe: PersistentList<string> | null;
  @Field(i32) declare count: number;
}

const pools = testPools();
const open = () => {
  const pool = pools.open({ root: HostileRoot });
  return { pool, root: pool.root(HostileRoot) };
};

/** An array that calls `act` when it is read from the n-th time on. */
function readable<T>(values: T[], n: number, act: () => void): T[] {
  let reads = 0;
  return new Proxy(values, {
    get(target, key, receiver) {
      if (key === Symbol.iterator) {
        reads += 1;
        if (reads >= n) act();
      }
      return Reflect.get(target, key, receiver) as unknown;
    },
  });
}

const fail = (): never => {
  throw new Error('on purpose');
};

const OPERATIONS: Readonly<Record<string, (root: HostileRoot, value: string[]) => void>> = {
  push: (root, value) => root.lists.push(value),
  'push of several': (root, value) => root.lists.push(['x'], value, ['y']),
  insert: (root, value) => root.lists.insert(1, ['x'], value, ['y']),
  unshift: (root, value) => root.lists.unshift(value),
  splice: (root, value) => root.lists.splice(0, 2, ['1'], value, ['3'], ['4']),
  fill: (root, value) => root.lists.fill(value as never),
  'store by index': (root, value) => {
    root.lists[0] = value as never;
  },
  'assignment of a list': (root, value) => {
    root.lists = [['n'], value] as never;
  },
  'set of a new entry': (root, value) => root.byName.set('new', value),
  'set of an entry': (root, value) => root.byName.set('k0', value),
  'assignment of a map': (root, value) => {
    root.byName = { a: ['1'], b: value } as never;
  },
  enqueue: (root, value) => root.line.enqueue(['1'], value),
  'assignment of a queue': (root, value) => {
    root.line = [['a'], value] as never;
  },
};

describe('arrays that throw when they are read', () => {
  const rows = Object.keys(OPERATIONS).flatMap((name) => [1, 2, 3].map((n) => [name, n] as const));

  it.each(rows)('%s, reading %i: everything or nothing', (name, n) => {
    const { pool, root } = open();
    pool.txn(() => {
      for (let i = 0; i < 40; i += 1) {
        root.lists.push([`a${i}`]);
        root.byName.set(`k${i}`, [`v${i}`]);
        root.line.enqueue([`q${i}`]);
      }
    });
    const before = JSON.stringify(root);
    let failed = false;
    pool.txn(() => {
      try {
        OPERATIONS[name]?.(root, readable(['v', 'w'], n, fail));
      } catch {
        failed = true;
      }
    });
    if (failed) expect(JSON.stringify(root)).toBe(before);
    pool.txn(() => {
      root.lists.clear();
      root.byName.clear();
      root.line.clear();
    });
  });
});

describe('arrays that change the pool when they are read', () => {
  it.each([1, 2, 3])('reading %i: a map that is cleared in a savepoint', (n) => {
    const { pool, root } = open();
    pool.txn(() => {
      for (let i = 0; i < 20; i += 1) root.byName.set(`k${i}`, ['v']);
      root.byName.set(
        'new',
        readable(['w'], n, () => pool.txn(() => root.byName.clear())),
      );
    });
    expect(root.byName.get('new')?.toArray()).toEqual(['w']);
    expect([1, 21]).toContain(root.byName.size);
  });

  it.each([1, 2, 3])('reading %i: a list that goes with the list around it', (n) => {
    const { pool, root } = open();
    pool.txn(() => {
      root.deep.push([['a']], [['b']]);
      const inner = root.deep[0] as PersistentList<PersistentList<string>>;
      try {
        inner.push(readable(['w'], n, () => root.deep.clear()));
      } catch (error) {
        expect(error).toMatchObject({ code: 'STALE_OBJECT' });
      }
    });
  });
});

describe('containers stored in place of what holds them', () => {
  it('elements change places', () => {
    const { pool, root } = open();
    pool.txn(() => {
      root.lists.push(['a'], ['b'], ['c']);
      const [a, b] = [root.lists[0], root.lists[1]] as PersistentList<string>[];
      root.lists.splice(0, 2, b as never, a as never);
    });
    expect(root.lists.map((inner) => inner.toArray())).toEqual([['b'], ['a'], ['c']]);
    pool.txn(() => {
      root.lists = [...root.lists].reverse() as never;
    });
    expect(root.lists.map((inner) => inner.toArray())).toEqual([['c'], ['a'], ['b']]);
  });

  it('one that is stored where it is stays the same', () => {
    const { pool, root } = open();
    pool.txn(() => {
      root.lists.push(['a'], ['b']);
      const first = root.lists[0] as PersistentList<string>;
      root.lists[0] = first;
      root.lists.fill(first);
      expect(root.lists[0]).toBe(first);
      expect(root.lists[1]?.toArray()).toEqual(['a']);
    });
  });
});

describe('typed arrays with members of their own', () => {
  it.each([1, 2, 3])('a byteLength that throws when it is asked for the %i. time', (n) => {
    const { pool, root } = open();
    const value = new Uint8Array([1, 2, 3]);
    let asked = 0;
    Object.defineProperty(value, 'byteLength', {
      get() {
        asked += 1;
        return asked >= n ? fail() : 3;
      },
    });
    pool.txn(() => {
      root.blobs.push(new Uint8Array([9]), new Uint8Array([8]));
      root.blobs[0] = value;
      root.blobs.insert(1, value);
    });
    expect(root.blobs.map((blob) => [...blob])).toEqual([[1, 2, 3], [1, 2, 3], [8]]);
  });
});

describe('a value that is replaced by null and another one', () => {
  it('has one handle after a rollback: the first', () => {
    const { pool, root } = open();
    pool.txn(() => {
      root.maybe = ['a', 'b'] as never;
    });
    const first = root.maybe as PersistentList<string>;
    let second: PersistentList<string> | null = null;
    expect(() =>
      pool.txn(() => {
        root.maybe = null;
        root.maybe = ['c'] as never;
        second = root.maybe;
        fail();
      }),
    ).toThrow('on purpose');
    expect(root.maybe).toBe(first);
    expect(first.toArray()).toEqual(['a', 'b']);
    expectError('STALE_OBJECT', () => (second as PersistentList<string> | null)?.length);
  });
});

describe('fields named as methods of every object', () => {
  it('are left out of a plain object that does not give them', () => {
    const { pool, root } = open();
    pool.txn(() => {
      root.odd = { toString: 1, valueOf: 2 };
      root.odd = { valueOf: 3 };
    });
    expect(JSON.stringify(root.odd)).toBe('{"toString":0,"valueOf":3}');
  });
});

describe('a call stack that overflows around transactions', () => {
  it('leaves none of them open', () => {
    const { pool, root } = open();
    const descend = (): void => {
      try {
        descend();
      } catch {
        // Each way back up has a little more stack.
      }
      if (pool.inTxn) throw new Error('a transaction is open');
      pool.txn(() => {
        root.count += 1;
      });
    };
    try {
      descend();
    } catch {
      // Whether the pool still takes transactions is not the point.
    }
    expect(pool.inTxn).toBe(false);
  });
});
