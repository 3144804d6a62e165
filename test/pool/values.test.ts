/** Values that do not fit their field: refused with class, field and what fits, and nothing is changed. */
import { describe, expect, it } from 'vitest';
import {
  bool,
  bytes,
  date,
  embedded,
  enumOf,
  Field,
  type FixedArray,
  f32,
  f64,
  fixedArray,
  i8,
  i16,
  i32,
  i64,
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
  typedArray,
  u8,
  u16,
  u32,
  u64,
} from '../../src/index.js';
import { expectError, testPools } from './helpers.js';

@Persistent()
class Point {
  @Field(i32) declare x: number;
  @Field(i32) declare y: number;
}

@Persistent()
class Other {
  @Field(i32) declare x: number;
}

@Persistent()
class Values {
  @Field(i8) declare i8: number;
  @Field(u8) declare u8: number;
  @Field(i16) declare i16: number;
  @Field(u16) declare u16: number;
  @Field(i32) declare i32: number;
  @Field(u32) declare u32: number;
  @Field(f32) declare f32: number;
  @Field(f64) declare f64: number;
  @Field(i64) declare i64: bigint;
  @Field(u64) declare u64: bigint;
  @Field(bool) declare bool: boolean;
  @Field('string') declare string: string;
  @Field(bytes) declare bytes: Uint8Array;
  @Field(date) declare date: Date;
  @Field(enumOf(['a', 'b'])) declare enum: 'a' | 'b';
  @Field(typedArray('Float32Array')) declare floats: Float32Array;
  @Field(() => Point) declare ref: Point | null;
  @Field(embedded(() => Point)) declare embedded: Point;
  @Field(fixedArray(u8, 3)) declare fixed: FixedArray<number>;
  @Field(list(i32)) declare list: PersistentList<number>;
  @Field(queue('string')) declare queue: PersistentQueue<string>;
  @Field(map('string', () => Point)) declare map: PersistentMap<string, Point>;
  @Field(nullable(i8)) declare i8Null: number | null;
  @Field(nullable('string')) declare stringNull: string | null;
  @Field(nullable(date)) declare dateNull: Date | null;
  @Field(nullable(enumOf([1, 2]))) declare enumNull: 1 | 2 | null;
  @Field(nullable(embedded(() => Point))) declare embeddedNull: Point | null;
  @Field(nullable(fixedArray(u8, 2))) declare fixedNull: FixedArray<number> | null;
  @Field(nullable(list(i32))) declare listNull: PersistentList<number> | null;
}

const pools = testPools();
const NAMES = [
  ...['i8', 'u8', 'i16', 'u16', 'i32', 'u32', 'f32', 'f64', 'i64', 'u64', 'bool', 'string', 'bytes', 'date'],
  ...['enum', 'floats', 'ref', 'embedded', 'fixed', 'list', 'queue', 'map'],
] as const;
const NULLABLE = [
  'i8Null',
  'stringNull',
  'dateNull',
  'enumNull',
  'embeddedNull',
  'fixedNull',
  'listNull',
] as const;
const INTEGERS: readonly [string, number, number][] = [
  ['i8', -128, 127],
  ['u8', 0, 255],
  ['i16', -32768, 32767],
  ['u16', 0, 65535],
  ['i32', -(2 ** 31), 2 ** 31 - 1],
  ['u32', 0, 2 ** 32 - 1],
];

/** The fields as assignable properties of any type. */
function open(): { pool: Pool; root: Record<string, unknown> } {
  const pool = pools.open({ root: Values });
  return { pool, root: pool.root<object>() as Record<string, unknown> };
}

function expectRefused(pool: Pool, root: Record<string, unknown>, field: string, value: unknown): void {
  const before = JSON.stringify(toPlain(root), (_, v) => (typeof v === 'bigint' ? `${v}n` : v));
  pool.txn(() => {
    expectError(
      'VALUE',
      () => {
        root[field] = value;
      },
      new RegExp(`Values.${field}|Point.[xy]`),
      /expected|cannot|takes/,
    );
  });
  expect(JSON.stringify(toPlain(root), (_, v) => (typeof v === 'bigint' ? `${v}n` : v))).toBe(before);
}

describe('every kind of field refuses', () => {
  it.each(NAMES)('undefined, a symbol and a function: %s', (name) => {
    const { pool, root } = open();
    for (const value of [undefined, Symbol('s'), () => 1]) expectRefused(pool, root, name, value);
  });

  it.each(NULLABLE)('undefined, a symbol and a function, but takes null: %s', (name) => {
    const { pool, root } = open();
    for (const value of [undefined, Symbol('s'), () => 1]) expectRefused(pool, root, name, value);
    pool.txn(() => {
      root[name] = null;
    });
    expect(root[name]).toBe(null);
  });

  it.each(NAMES.filter((name) => name !== 'ref'))('null where it is not nullable: %s', (name) => {
    const { pool, root } = open();
    expectRefused(pool, root, name, null);
  });

  it.each(INTEGERS)('what is no integer in range: %s', (name, least, most) => {
    const { pool, root } = open();
    const bad = [
      least - 1,
      most + 1,
      1.5,
      Number.NaN,
      Infinity,
      -Infinity,
      '1',
      1n,
      true,
      {},
      [1],
      new Number(1),
    ];
    for (const value of bad) expectRefused(pool, root, name, value);
    for (const value of [least, most, 0]) {
      pool.txn(() => {
        root[name] = value;
      });
      expect(root[name]).toBe(value);
    }
    pool.txn(() => {
      root[name] = -0;
    });
    expect(Object.is(root[name], 0)).toBe(true);
    expectError(
      'VALUE',
      () =>
        pool.txn(() => {
          root[name] = most + 1;
        }),
      `${least} to ${most}`,
    );
  });

  it('bigints out of range, and numbers where bigints belong', () => {
    const { pool, root } = open();
    for (const value of [2n ** 63n, -(2n ** 63n) - 1n, 1, '1']) expectRefused(pool, root, 'i64', value);
    for (const value of [2n ** 64n, -1n, 1, '1']) expectRefused(pool, root, 'u64', value);
  });

  it('the wrong type', () => {
    const { pool, root } = open();
    for (const value of ['1', 1n, new Date(), null]) expectRefused(pool, root, 'f64', value);
    for (const value of [1, 'true', 0]) expectRefused(pool, root, 'bool', value);
    for (const value of [1, {}, ['a'], new String('a')]) expectRefused(pool, root, 'string', value);
    for (const value of ['x', [1], new Uint16Array(1), new ArrayBuffer(1)])
      expectRefused(pool, root, 'bytes', value);
    for (const value of [new Date(Number.NaN), 0, '2020-01-01']) expectRefused(pool, root, 'date', value);
    for (const value of ['c', 0, '']) expectRefused(pool, root, 'enum', value);
    for (const value of [new Float64Array(1), [1], 'x']) expectRefused(pool, root, 'floats', value);
    for (const value of [[1, 2], [1, 2, 3, 4], 'abc', {}, [1, 2, 300]])
      expectRefused(pool, root, 'fixed', value);
    for (const value of ['abc', {}, 5, [1.5], [1, '2']]) expectRefused(pool, root, 'list', value);
    for (const value of ['abc', {}, [1]]) expectRefused(pool, root, 'queue', value);
    for (const value of ['abc', 5, [1], { a: 1 }, new Map([[1, null]])])
      expectRefused(pool, root, 'map', value);
    for (const value of [5, 'x', { z: 1 }, { x: 'a' }, { x: 1, y: 2 ** 40 }])
      expectRefused(pool, root, 'embedded', value);
  });

  it('in a reference, what is no object of its class', () => {
    const { pool, root } = open();
    expectRefused(pool, root, 'ref', { x: 1, y: 2 });
    expectRefused(pool, root, 'ref', 7);
    expectRefused(pool, root, 'ref', root.embedded);
    expectRefused(pool, root, 'ref', root);
    expectRefused(pool, root, 'ref', root.list);
    expectRefused(pool, root, 'ref', Object.create(Point.prototype));
    expectError(
      'VALUE',
      () =>
        pool.txn(() => {
          root.ref = { x: 1 };
        }),
      /pool\.create\(Point/,
    );
    expectError(
      'VALUE',
      () =>
        pool.txn(() => {
          root.ref = root.embedded;
        }),
      /embedded.*copy/,
    );
    pool.txn(() => {
      const other = new Other();
      expectError(
        'VALUE',
        () => {
          root.ref = other;
        },
        'Values.ref',
        /Point/,
      );
    });
  });

  it('an object of another pool', () => {
    const { pool, root } = open();
    const second = pools.open({ root: Values }, 'second');
    const foreign = second.create(Point, { x: 1 });
    const containers = root as unknown as Values;
    pool.txn(() => {
      for (const assign of [
        () => {
          root.ref = foreign;
        },
        () => containers.map.set('a', foreign),
        () => {
          root.map = { a: foreign };
        },
        () => pool.named.set('a', foreign),
      ]) {
        expectError('FOREIGN_OBJECT', assign, pool.path, second.path, /toPlain/);
      }
    });
    expect(containers.map.size).toBe(0);
    pool.txn(() => {
      root.embedded = foreign;
    });
    expect(toPlain(root.embedded)).toEqual({ x: 1, y: 0 });
  });

  it('a field that is not declared', () => {
    const { pool, root } = open();
    pool.txn(() => {
      expectError(
        'VALUE',
        () => {
          root.i9 = 1;
        },
        'Values.i9',
        /no such @Field/,
      );
    });
    expectError('VALUE', () => pool.create(Point, { z: 1 } as never), 'Point.z', /no such @Field/);
    expectError('VALUE', () => pool.create(Point, { x: 'a' } as never), 'Point.x');
  });
});

describe('values are kept exactly', () => {
  it('floats: NaN, infinities, -0, the smallest and largest', () => {
    const { pool, root } = open();
    for (const value of [Number.NaN, Infinity, -Infinity, -0, 5e-324, Number.MAX_VALUE, 0.1]) {
      pool.txn(() => {
        root.f64 = value;
        root.f32 = value;
      });
      expect(Object.is(root.f64, value)).toBe(true);
      expect(Object.is(root.f32, Math.fround(value))).toBe(true);
    }
  });

  it('strings: empty, zeros, Latin-1, UTF-16, lone surrogates, of every length around the limits', () => {
    const { pool, root } = open();
    const texts = ['', '\0', 'a\0b', 'ÿ', 'Ā', '\ud800', 'x\udc00', '\udfff\ud800', '😀', '\ufeff', '\r\n'];
    for (let length = 20; length < 30; length += 1) texts.push('é'.repeat(length), '漢'.repeat(length));
    for (const text of texts) {
      pool.txn(() => {
        root.string = text;
        root.stringNull = text;
      });
      expect(root.string).toBe(text);
      expect(root.stringNull).toBe(text);
    }
    pool.close();
    const again = open();
    expect(again.root.string).toBe('漢'.repeat(29));
  });

  it('a string of 100 MB, also after reopening', () => {
    const text = `${'0123456789'.repeat(10_000_000)}é`;
    const pool = pools.open({ root: Values, maxSize: 2 ** 29 });
    pool.txn(() => {
      pool.root(Values).string = text;
    });
    expect(pool.root(Values).string === text).toBe(true);
    pool.close();
    const again = pools.open({ root: Values, maxSize: 2 ** 29 });
    expect(again.root(Values).string === text).toBe(true);
    again.txn(() => {
      again.root(Values).string = '';
    });
    expect(again.check().unreachableBlocks).toBe(0);
  });

  it('bigints and dates at their limits', () => {
    const { pool, root } = open();
    pool.txn(() => {
      root.i64 = -(2n ** 63n);
      root.u64 = 2n ** 64n - 1n;
      root.date = new Date(-8.64e15);
    });
    expect([root.i64, root.u64, root.date]).toEqual([-(2n ** 63n), 2n ** 64n - 1n, new Date(-8.64e15)]);
  });

  it('bytes are copied in and out', () => {
    const { pool, root } = open();
    const given = Uint8Array.of(1, 2, 3);
    pool.txn(() => {
      root.bytes = given;
    });
    given[0] = 9;
    (root.bytes as Uint8Array)[1] = 9;
    expect(root.bytes).toEqual(Uint8Array.of(1, 2, 3));
  });
});
