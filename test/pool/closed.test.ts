/** Use of a closed pool and writes outside a transaction: a clear error from everything there is. */
import { describe, expect, it } from 'vitest';
import {
  embedded,
  Field,
  type FixedArray,
  fixedArray,
  i32,
  list,
  map,
  nullable,
  Persistent,
  type PersistentList,
  type PersistentMap,
  type PersistentQueue,
  type Pool,
  queue,
  toPlain,
} from '../../src/index.js';
import { expectError, testPools } from './helpers.js';

@Persistent()
class Part {
  @Field(i32) declare x: number;
  @Field('string') declare text: string;
}

@Persistent({ access: 'direct' })
class Direct {
  @Field(i32) declare id: number;
  @Field('string') declare text: string;
}

@Persistent()
class Whole {
  @Field(i32) declare number: number;
  @Field('string') declare string: string;
  @Field(nullable(i32)) declare maybe: number | null;
  @Field(() => Whole) declare self: Whole | null;
  @Field(() => Direct) declare direct: Direct | null;
  @Field(embedded(() => Part)) declare part: Part;
  @Field(fixedArray(i32, 2)) declare fixed: FixedArray<number>;
  @Field(fixedArray('string', 2)) declare texts: FixedArray<string>;
  @Field(list(i32)) declare list: PersistentList<number>;
  @Field(queue(i32)) declare queue: PersistentQueue<number>;
  @Field(map('string', i32)) declare map: PersistentMap<string, number>;
}

const pools = testPools();

function filled(): { pool: Pool; root: Whole } {
  const pool = pools.open({ root: Whole });
  const root = pool.root(Whole);
  pool.txn(() => {
    root.self = root;
    root.direct = new Direct();
    root.list.push(1, 2, 3);
    root.queue.enqueue(1, 2);
    root.map.set('a', 1).set('b', 2);
    pool.named.set('root', root);
  });
  return { pool, root };
}

it('a closed pool refuses every method and object', () => {
  const { pool, root } = filled();
  const { part, fixed, texts, named } = { ...root, named: pool.named };
  const { list: items, queue: jobs, map: byName } = root;
  const direct = root.direct as Direct;
  const iterators = [
    items.values(),
    items.entries(),
    jobs.values(),
    byName.entries(),
    byName.keys(),
    fixed[Symbol.iterator](),
    pool.named.keys(),
  ];
  for (const iterator of iterators) iterator.next();
  const untouched = [items.keys(), byName.values(), jobs[Symbol.iterator]()];
  pool.close();
  pool.close();
  expect(pool.closed).toBe(true);
  expect(pool.path).toContain('test.pool');
  const uses: Record<string, () => unknown> = {
    root: () => pool.root(),
    'root(Class)': () => pool.root(Whole),
    named: () => pool.named,
    'named.get': () => named.get('root'),
    'named.set': () => named.set('a', root),
    'named.has': () => named.has('a'),
    'named.delete': () => named.delete('root'),
    'named.keys': () => [...named.keys()],
    txn: () => pool.txn(() => 1),
    inTxn: () => pool.inTxn,
    onCommit: () => pool.onCommit(() => undefined),
    onRollback: () => pool.onRollback(() => undefined),
    create: () => pool.create(Part),
    check: () => pool.check(),
    stats: () => pool.stats(),
    read: () => root.number,
    'read string': () => root.string,
    'read ref': () => root.self,
    'read list': () => root.list,
    write: () => {
      root.number = 1;
    },
    'write ref': () => {
      root.self = null;
    },
    'read embedded': () => part.x,
    'write embedded': () => {
      part.text = 'x';
    },
    'read direct': () => direct.id,
    'read direct string': () => direct.text,
    'write direct': () => {
      direct.id = 1;
    },
    keys: () => Object.keys(root),
    spread: () => ({ ...root }),
    json: () => JSON.stringify(root),
    toPlain: () => toPlain(root),
    'toPlain direct': () => toPlain(direct),
    'toPlain list': () => toPlain(items),
    'toPlain map': () => toPlain(byName),
    'fixed length': () => fixed.length,
    'fixed at': () => fixed.at(0),
    'fixed index': () => fixed[0],
    'fixed set': () => fixed.set(0, 1),
    'fixed iterate': () => [...fixed],
    'fixed string': () => texts.at(0),
    'list length': () => items.length,
    'list at': () => items.at(0),
    'list index': () => items[0],
    'list push': () => items.push(1),
    'list iterate': () => [...items],
    'list json': () => JSON.stringify(items),
    'queue length': () => jobs.length,
    'queue peek': () => jobs.peek(),
    'queue enqueue': () => jobs.enqueue(1),
    'queue dequeue': () => jobs.dequeue(),
    'queue iterate': () => [...jobs],
    'map size': () => byName.size,
    'map get': () => byName.get('a'),
    'map has': () => byName.has('a'),
    'map set': () => byName.set('a', 1),
    'map delete': () => byName.delete('a'),
    'map iterate': () => [...byName],
    'map clear': () => byName.clear(),
  };
  for (const [name, use] of Object.entries(uses)) {
    try {
      expectError('CLOSED', use, /closed/, /open it again/i);
    } catch (error) {
      throw new Error(`${name}: ${(error as Error).message}`, { cause: error });
    }
  }
  for (const iterator of [...iterators, ...untouched]) expectError('CLOSED', () => iterator.next(), /closed/);
  pool[Symbol.dispose]();
});

it('shows a closed object instead of failing to print it', async () => {
  const { inspect } = await import('node:util');
  const { pool, root } = filled();
  const direct = root.direct as Direct;
  const { list: items, map: byName, fixed } = root;
  pool.close();
  expect(inspect(root)).toMatch(/Whole.*closed/);
  expect(inspect(direct)).toMatch(/Direct.*closed/);
  expect(() => inspect([items, byName, fixed])).not.toThrow(TypeError);
});

it('objects and containers of a reopened pool work, while those of the closed one do not', () => {
  const { pool, root } = filled();
  pool.close();
  const again = pools.open({ root: Whole });
  expect(again.root(Whole).list.length).toBe(3);
  expectError('CLOSED', () => root.number);
  again.txn(() => {
    expectError('CLOSED', () => {
      root.number = 1;
    });
    expectError('FOREIGN_OBJECT', () => {
      again.root(Whole).self = root;
    });
  });
});

it('cannot be closed inside a transaction', () => {
  const { pool, root } = filled();
  pool.txn(() => {
    root.number = 5;
    expectError('OPTION', () => pool.close(), /inside a transaction/, /after txn/);
  });
  expect(root.number).toBe(5);
});

describe('a write outside a transaction names what was to be written', () => {
  const writes: [string, (root: Whole, pool: Pool) => unknown, RegExp][] = [
    [
      'number',
      (root) => {
        root.number = 1;
      },
      /Whole\.number/,
    ],
    [
      'string',
      (root) => {
        root.string = 'x';
      },
      /Whole\.string/,
    ],
    [
      'nullable',
      (root) => {
        root.maybe = null;
      },
      /Whole\.maybe/,
    ],
    [
      'ref',
      (root) => {
        root.self = null;
      },
      /Whole\.self/,
    ],
    [
      'embedded field',
      (root) => {
        root.part.x = 1;
      },
      /Part\.x/,
    ],
    [
      'embedded',
      (root) => {
        root.part = { x: 1, text: '' };
      },
      /Whole\.part/,
    ],
    [
      'direct',
      (root) => {
        (root.direct as Direct).id = 1;
      },
      /Direct\.id/,
    ],
    [
      'direct string',
      (root) => {
        (root.direct as Direct).text = 'x';
      },
      /Direct\.text/,
    ],
    [
      'fixed array',
      (root) => {
        root.fixed[0] = 1;
      },
      /Whole\.fixed/,
    ],
    [
      'fixed array as a whole',
      (root) => {
        (root as { fixed: unknown }).fixed = [1, 2];
      },
      /Whole\.fixed/,
    ],
    ['list', (root) => root.list.push(1), /Whole\.list/],
    ['list pop', (root) => root.list.pop(), /Whole\.list/],
    [
      'list index',
      (root) => {
        root.list[0] = 1;
      },
      /write|Whole\.list/,
    ],
    [
      'list as a whole',
      (root) => {
        (root as { list: unknown }).list = [1];
      },
      /Whole\.list/,
    ],
    ['queue', (root) => root.queue.enqueue(1), /Whole\.queue/],
    ['queue dequeue', (root) => root.queue.dequeue(), /Whole\.queue/],
    ['map', (root) => root.map.set('c', 1), /Whole\.map/],
    ['map, a known key', (root) => root.map.set('a', 5), /write|Whole\.map/],
    ['map delete', (root) => root.map.delete('a'), /Whole\.map/],
    ['map clear', (root) => root.map.clear(), /Whole\.map/],
    ['named', (root, pool) => pool.named.set('x', root), /named/],
    ['named delete', (_root, pool) => pool.named.delete('root'), /named/],
    ['new', () => new Part(), /new Part\(\)/],
    ['onCommit', (_root, pool) => pool.onCommit(() => undefined), /onCommit/],
    ['onRollback', (_root, pool) => pool.onRollback(() => undefined), /onRollback/],
  ];
  it.each(writes)('%s', (_name, write, pattern) => {
    const { pool, root } = filled();
    const before = JSON.stringify(toPlain({ ...root, self: null, map: [...root.map] }));
    expectError('TXN_REQUIRED', () => write(root, pool), pattern, /outside a transaction/, /pool\.txn\(/);
    expect(JSON.stringify(toPlain({ ...root, self: null, map: [...root.map] }))).toBe(before);
  });
});
