import { inspect } from 'node:util';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { PersistentMap } from '../../src/collections/map.js';
import type { MapCodecs } from '../../src/collections/map-codecs.js';
import { mapOps } from '../../src/collections/map-ops.js';
import { CorruptionError, PoolFullError, ValueError } from '../../src/errors/errors.js';
import { LAYOUT_ID, MAP, MAP_ARRAY } from '../../src/format/format.js';
import { BOUND, REF, STAMP } from '../../src/instance/index.js';
import type { FieldType, MapType } from '../../src/layout/index.js';
import { placeOf, TestRuntime, type TestRuntimeOptions } from './test-runtime.js';

const I32: FieldType = { kind: 'i32', nullable: false };
const F64: FieldType = { kind: 'f64', nullable: false };
const U8: FieldType = { kind: 'u8', nullable: false };
const STRING: FieldType = { kind: 'string', nullable: false };
const REF_TYPE: FieldType = { kind: 'ref', nullable: true, target: () => Object };
const mapOf = (key: FieldType, value: FieldType): MapType => ({ kind: 'map', nullable: false, key, value });

function make<K, V>(key: FieldType, value: FieldType, options: TestRuntimeOptions = {}) {
  const runtime = new TestRuntime({ ops: { map: mapOps }, ...options });
  const map = runtime.container<MapCodecs, PersistentMap<K, V> & PersistentMap>(
    mapOps,
    mapOf(key, value),
    'Root.byName',
  ) as unknown as PersistentMap<K, V>;
  const check = (): void => runtime.checkReachable([placeOf(map as PersistentMap)]);
  const word = (field: number): number => runtime.memory.u32[map[REF] * 4 + field / 4] as number;
  return { runtime, map, check, word };
}

/** Small numbers for tests that need not be random but want to look so. */
function random(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

type Op =
  | ['set', number, number]
  | ['delete', number]
  /** Stores, or deletes, a run of keys: what makes compactions begin and end. */
  | ['fill', number, number]
  | ['drop', number, number]
  | ['clear']
  | ['rollback', Op[]]
  | ['savepoint', Op[]];
const key = fc.nat(60);
const simpleOp: fc.Arbitrary<Op> = fc.oneof(
  { weight: 40, arbitrary: fc.tuple(fc.constant('set' as const), key, fc.nat(1000)) },
  { weight: 40, arbitrary: fc.tuple(fc.constant('delete' as const), key) },
  { weight: 12, arbitrary: fc.tuple(fc.constant('fill' as const), key, fc.nat(60)) },
  { weight: 16, arbitrary: fc.tuple(fc.constant('drop' as const), key, fc.nat(60)) },
  { weight: 1, arbitrary: fc.constant(['clear'] as Op) },
);
const group = fc.array(simpleOp, { maxLength: 40 });
const nested: fc.Arbitrary<Op> = fc.oneof(
  { weight: 8, arbitrary: simpleOp },
  { weight: 1, arbitrary: fc.tuple(fc.constant('rollback' as const), group) },
  { weight: 1, arbitrary: fc.tuple(fc.constant('savepoint' as const), group) },
);
const txns = fc.array(fc.tuple(fc.boolean(), fc.array(nested, { maxLength: 40 })), { maxLength: 12 });

function modelTest<K, V>(
  key: FieldType,
  value: FieldType,
  keyOf: (n: number) => K,
  makeValue: (n: number) => V,
) {
  fc.assert(
    fc.property(txns, fc.nat(), (list, seed) => {
      const next = random(seed);
      const { runtime, map, check } = make<K, V>(key, value, {
        random: () => next(1000) / 1000,
        bytes: 1 << 17,
      });
      let model = new Map<K, V>();
      const run = (op: Op): void => {
        switch (op[0]) {
          case 'set':
            map.set(keyOf(op[1]), makeValue(op[2]));
            model.set(keyOf(op[1]), makeValue(op[2]));
            break;
          case 'delete':
            expect(map.delete(keyOf(op[1]))).toBe(model.delete(keyOf(op[1])));
            break;
          case 'fill':
            for (let n = op[1]; n < op[1] + op[2]; n++) run(['set', n % 61, n]);
            break;
          case 'drop':
            for (let n = op[1]; n < op[1] + op[2]; n++) run(['delete', n % 61]);
            break;
          case 'clear':
            map.clear();
            model.clear();
            break;
          case 'savepoint':
            runtime.transact(() => op[1].forEach(run));
            break;
          case 'rollback': {
            const before = new Map(model);
            runtime.attempt(() => op[1].forEach(run));
            model = before;
          }
        }
      };
      for (const [commit, ops] of list) {
        const before = new Map(model);
        if (commit) runtime.transact(() => ops.forEach(run));
        else {
          runtime.attempt(() => ops.forEach(run));
          model = before;
        }
        expect([...map]).toEqual([...model]);
        expect(map.size).toBe(model.size);
        for (let n = 0; n <= 60; n++) expect(map.get(keyOf(n))).toEqual(model.get(keyOf(n)));
        check();
      }
    }),
    { numRuns: 120 },
  );
}

describe('PersistentMap against Map', () => {
  it('behaves the same under random operations, rollbacks and savepoints: integers', () => {
    modelTest(
      I32,
      I32,
      (n) => n * 7919 - 1000,
      (n) => n,
    );
  });

  it('behaves the same: strings to numbers', () => {
    modelTest(
      STRING,
      F64,
      (n) => (n === 0 ? '' : `key ${n} ${n % 3 === 0 ? '\u{1f600}' : 'é'}`),
      (n) => n / 8,
    );
  });

  it('behaves the same: floats to strings', () => {
    modelTest(
      F64,
      STRING,
      (n) => (n === 3 ? Number.NaN : n / 3),
      (n) => `v${n}`,
    );
  });

  it('behaves the same: one-byte keys and values', () => {
    modelTest(
      U8,
      U8,
      (n) => n,
      (n) => n % 256,
    );
  });
});

describe('PersistentMap', () => {
  it('is empty without any memory of its own', () => {
    const { runtime, map, check } = make<number, number>(I32, I32);
    expect(map.size).toBe(0);
    expect(map.get(1)).toBeUndefined();
    expect(map.has(1)).toBe(false);
    expect(map.delete(1)).toBe(false);
    expect([...map]).toEqual([]);
    map.clear();
    expect(runtime.blocks.size).toBe(1);
    check();
  });

  it('stays small while it has few entries', () => {
    const { runtime, map } = make<number, number>(I32, I32);
    runtime.transact(() => map.set(1, 1).set(2, 2).set(3, 3));
    const bytes = [...runtime.blocks.values()].reduce((sum, size) => sum + size, 0);
    expect(bytes).toBeLessThanOrEqual(64 + 2 * 128);
  });

  it('has the interface of Map', () => {
    const { runtime, map } = make<string, number>(STRING, I32);
    runtime.transact(() => {
      expect(map.set('a', 1)).toBe(map);
      map.set('b', 2).set('a', 3);
    });
    expect([...map.keys()]).toEqual(['a', 'b']);
    expect([...map.values()]).toEqual([3, 2]);
    expect([...map.entries()]).toEqual([
      ['a', 3],
      ['b', 2],
    ]);
    const seen: unknown[] = [];
    map.forEach(function (this: unknown, value, key, of) {
      seen.push([value, key, of === map, this]);
    }, 'self');
    expect(seen).toEqual([
      [3, 'a', true, 'self'],
      [2, 'b', true, 'self'],
    ]);
    expect(Object.prototype.toString.call(map)).toBe('[object PersistentMap]');
    expect(map.toMap()).toEqual(new Map(Object.entries({ a: 3, b: 2 })));
    expect(JSON.stringify(map)).toBe('{"a":3,"b":2}');
    expect(inspect(map)).toBe("PersistentMap(2) { 'a' => 3, 'b' => 2 }");
    expect(inspect([[[map]]])).toBe('[ [ [ [PersistentMap] ] ] ]');
    expect(inspect(map, { maxArrayLength: 1 })).toBe("PersistentMap(2) { 'a' => 3, ... 1 more }");
    expect(map.get(7 as unknown as string)).toBeUndefined();
    const iterator = map.keys();
    expect(iterator[Symbol.iterator]()).toBe(iterator);
    expect(Object.prototype.toString.call(iterator)).toBe('[object PersistentMap Iterator]');
    const builtIn = Object.getPrototypeOf(Object.getPrototypeOf([][Symbol.iterator]()));
    expect(Object.getPrototypeOf(Object.getPrototypeOf(iterator))).toBe(builtIn);
    runtime.transact(() => {
      expect(map.getOrInsert('c', 9)).toBe(9);
      expect(map.getOrInsert('c', 10)).toBe(9);
      expect(map.getOrInsertComputed('d', (key) => key.length)).toBe(1);
    });
  });

  it('converts to pairs in JSON when keys are no strings, and keeps keys like __proto__', () => {
    const numbers = make<number, number>(I32, I32);
    numbers.runtime.transact(() => numbers.map.set(5, 6));
    expect(JSON.stringify(numbers.map)).toBe('[[5,6]]');
    const strings = make<string, number>(STRING, I32);
    strings.runtime.transact(() => strings.map.set('__proto__', 6));
    expect(JSON.stringify(strings.map)).toBe('{"__proto__":6}');
  });

  it('changes nothing when key or value do not fit', () => {
    const { runtime, map, check } = make<unknown, unknown>(STRING, I32);
    runtime.transact(() => {
      expect(() => map.set(1, 1)).toThrow(ValueError);
      expect(() => map.set('a', 'b')).toThrow(ValueError);
      expect(() => map.set(null, 1)).toThrow(ValueError);
    });
    expect(map.size).toBe(0);
    check();
  });

  it('takes objects as keys by identity', () => {
    const { runtime, map, check } = make<object, number>(REF_TYPE, I32);
    const [a, b, c] = ['a', 'b', 'c'].map((name) => runtime.object(name)) as [object, object, object];
    runtime.transact(() => map.set(a, 1).set(b, 2));
    expect([map.get(a), map.get(b), map.get(c), map.has({})]).toEqual([1, 2, undefined, false]);
    expect([...map.keys()]).toEqual([a, b]);
    expect(() => runtime.transact(() => map.set(null as unknown as object, 1))).toThrow(ValueError);
    check();
  });

  it('compares keys as Map does: NaN, -0, empty string, lone surrogates, latin1 and utf16', () => {
    const floats = make<number, number>(F64, I32);
    floats.runtime.transact(() => floats.map.set(Number.NaN, 1).set(-0, 2).set(0.5, 3));
    expect([floats.map.get(Number.NaN), floats.map.get(0), floats.map.get(-0), floats.map.get(0.5)]).toEqual([
      1, 2, 2, 3,
    ]);
    expect(Object.is([...floats.map.keys()][1], 0)).toBe(true);
    floats.check();
    const strings = make<string, number>(STRING, I32);
    const keys = ['', '\ud800', '\udc00', '\ud800\udc00', 'é', 'e\u0301', '\u0100', 'a', 'a\0', '\0'];
    strings.runtime.transact(() => keys.forEach((key, i) => void strings.map.set(key, i)));
    expect(keys.map((key) => strings.map.get(key))).toEqual(keys.map((_, i) => i));
    expect([...strings.map.keys()]).toEqual(keys);
    strings.check();
  });

  it('leaves a container that is stored where it is', () => {
    const runtime = new TestRuntime({ ops: { map: mapOps } });
    const map = runtime.container<MapCodecs, PersistentMap>(mapOps, mapOf(I32, mapOf(I32, I32)));
    runtime.transact(() => map.set(1, new Map([[1, 2]])));
    const inner = map.get(1) as PersistentMap;
    const blocks = runtime.blocks.size;
    runtime.transact(() => map.set(1, inner));
    expect(map.get(1)).toBe(inner);
    expect(runtime.blocks.size).toBe(blocks);
    runtime.transact(() => map.set(2, inner).set(1, [[5, 6]]));
    expect([...(map.get(1) as PersistentMap)]).toEqual([[5, 6]]);
    expect([...(map.get(2) as PersistentMap)]).toEqual([[1, 2]]);
    runtime.checkReachable([placeOf(map)]);
    runtime.transact(() => map.delete(2));
    runtime.checkReachable([placeOf(map)]);
  });

  it('refuses to be changed by the iterable that fills one of its values', () => {
    const runtime = new TestRuntime({ ops: { map: mapOps } });
    const map = runtime.container<MapCodecs, PersistentMap>(mapOps, mapOf(I32, mapOf(I32, I32)));
    let armed = 0;
    const nasty = {
      *[Symbol.iterator]() {
        yield [1, 1];
        if (armed++ > 0) map.delete(1);
      },
    };
    runtime.transact(() => map.set(1, []));
    expect(() => runtime.transact(() => map.set(2, nasty))).toThrow(ValueError);
    expect(map.size).toBe(1);
    runtime.checkReachable([placeOf(map)]);
    runtime.transact(() => map.set(3, []));
    expect(map.size).toBe(2);
  });

  it('survives a full pool by the rollback of the transaction', () => {
    const { runtime, map, check } = make<string, string>(STRING, STRING);
    const model = new Map<string, string>();
    for (let i = 0; i < 12; i++) model.set(`k${i}`, 'v');
    runtime.transact(() => model.forEach((value, key) => void map.set(key, value)));
    for (let left = 0; left < 30; left++) {
      runtime.allocationsLeft = left;
      expect(() =>
        runtime.transact(() => {
          for (let i = 0; i < 40; i++) map.set(`n${i}`, 'w');
        }),
      ).toThrow(PoolFullError);
      runtime.allocationsLeft = Number.POSITIVE_INFINITY;
      expect([...map]).toEqual([...model]);
      check();
    }
  });

  it('says so when the pool is closed', () => {
    const { runtime, map } = make<number, number>(I32, I32);
    runtime.transact(() => map.set(1, 1));
    const iterator = map.keys();
    runtime.close();
    for (const use of [() => map.get(1), () => map.size, () => map.has(1), () => iterator.next()]) {
      expect(use).toThrow(expect.objectContaining({ code: 'CLOSED' }));
    }
  });
});

describe('assigning to a map', () => {
  it.each([
    [
      'a Map',
      new Map([
        ['x', 1],
        ['y', 2],
      ] as const),
    ],
    [
      'pairs',
      [
        ['x', 1],
        ['y', 2],
      ],
    ],
    ['a plain object', { x: 1, y: 2 }],
    [
      'a collection',
      {
        *[Symbol.iterator]() {
          yield ['x', 1];
          yield ['y', 2];
        },
      },
    ],
  ])('replaces the contents by %s', (_, value) => {
    const { runtime, map, check } = make<string, number>(STRING, I32);
    runtime.transact(() => map.set('old', 1));
    const own = map as PersistentMap;
    runtime.transact(() => {
      mapOps.checkContents(own[BOUND], value);
      mapOps.assign(own, value);
    });
    expect([...map]).toEqual([
      ['x', 1],
      ['y', 2],
    ]);
    runtime.transact(() => mapOps.assign(own, own));
    expect(map.size).toBe(2);
    check();
  });

  it('refuses what is no map, before anything is changed', () => {
    const { runtime, map } = make<string, number>(STRING, I32);
    const own = map as PersistentMap;
    runtime.transact(() => map.set('old', 1));
    for (const value of [
      null,
      3,
      'ab',
      [1],
      [['a', 'b']],
      { a: 'b' },
      new Date(),
      new Map([[1, 1]]).entries(),
    ]) {
      expect(() => mapOps.checkContents(own[BOUND], value)).toThrow(ValueError);
      runtime.transact(() => expect(() => mapOps.assign(own, value)).toThrow(ValueError));
    }
    expect([...map]).toEqual([['old', 1]]);
  });

  it('frees everything on release', () => {
    const { runtime, map } = make<string, string>(STRING, STRING);
    runtime.transact(() => {
      for (let i = 0; i < 700; i++) map.set(`k${i}`, `v${i}`);
    });
    runtime.transact(() => mapOps.release((map as PersistentMap)[BOUND], map[REF]));
    expect(runtime.blocks.size).toBe(1);
  });
});

describe('iteration under mutation', () => {
  it('visits what Map visits', () => {
    fc.assert(
      fc.property(
        fc.array(fc.array(simpleOp, { maxLength: 12 }), { maxLength: 60 }),
        fc.nat(80),
        (steps, initial) => {
          const { runtime, map, check } = make<number, number>(I32, I32, { bytes: 1 << 17 });
          const model = new Map<number, number>();
          runtime.transact(() => {
            for (let i = 0; i < initial; i++) {
              map.set(i, i);
              model.set(i, i);
            }
          });
          const mine = map.entries();
          const theirs = model.entries();
          for (const ops of steps) {
            runtime.transact(() => {
              for (const op of ops) {
                for (const of of [map, model]) {
                  const [kind, first = 0, second = 0] = op as [string, number?, number?];
                  if (kind === 'set') of.set(first, second);
                  else if (kind === 'delete') of.delete(first);
                  else if (kind === 'clear') of.clear();
                  else
                    for (let n = first; n < first + second; n++)
                      kind === 'fill' ? of.set(n, n) : of.delete(n);
                }
              }
            });
            expect(mine.next()).toEqual(theirs.next());
          }
          expect([...mine]).toEqual([...theirs]);
          check();
        },
      ),
      { numRuns: 150 },
    );
  });

  it('is not disturbed by compaction: every survivor is visited once', () => {
    const { runtime, map } = make<number, number>(I32, I32, { verify: false });
    runtime.transact(() => {
      for (let i = 0; i < 3000; i++) map.set(i, i);
    });
    const seen: number[] = [];
    for (const key of map.keys()) {
      seen.push(key);
      runtime.transact(() => {
        // Deletes two thirds of all keys, before and behind the cursor.
        for (const gone of [key * 3 + 1, key * 3 + 2]) map.delete(gone % 3000);
      });
    }
    expect(new Set(seen).size).toBe(seen.length);
    for (const key of map.keys()) expect(seen).toContain(key);
    expect(seen).toEqual([...seen].sort((a, b) => a - b));
  });

  it('goes on after an unrelated rollback and after its own, or says that it cannot', () => {
    fc.assert(
      fc.property(fc.array(group, { maxLength: 30 }), fc.nat(60), (rollbacks, initial) => {
        const { runtime, map } = make<number, number>(I32, I32, { bytes: 1 << 17 });
        runtime.transact(() => {
          for (let i = 0; i < initial; i++) map.set(i, i);
        });
        const iterator = map.keys();
        const seen: number[] = [];
        try {
          for (const ops of rollbacks) {
            const step = (): void => {
              const { value, done } = iterator.next();
              if (!done) seen.push(value);
            };
            step();
            runtime.attempt(() => {
              for (const op of ops) if (op[0] === 'set') map.set(op[1] + 100, 1);
              for (const op of ops) if (op[0] === 'delete') map.delete(op[1]);
              for (const op of ops)
                if (op[0] === 'drop') for (let n = 0; n < op[2]; n++) map.delete(op[1] + n);
            });
          }
          seen.push(...iterator);
          expect(seen).toEqual([...Array(initial).keys()]);
        } catch (error) {
          expect(error).toMatchObject({ code: 'STALE_OBJECT' });
          expect(seen).toEqual([...Array(seen.length).keys()]);
        }
      }),
      { numRuns: 100 },
    );
  });

  it('iterates on after rollbacks elsewhere, even in a map that was compacted', () => {
    const { runtime, map } = make<number, number>(I32, I32);
    runtime.transact(() => {
      for (let i = 0; i < 200; i++) map.set(i, i);
      for (let i = 0; i < 150; i++) map.delete(i);
    });
    const seen: number[] = [];
    for (const key of map.keys()) {
      seen.push(key);
      runtime.attempt(() => {});
    }
    expect(seen.length).toBe(50);
  });

  it('loses only old abandoned iterators, with an error', () => {
    const { runtime, map } = make<number, number>(I32, I32, { verify: false });
    runtime.transact(() => {
      for (let i = 0; i < 100; i++) map.set(i, i);
    });
    const oldest = map.keys();
    oldest.next();
    for (let i = 0; i < 300; i++) map.keys().next();
    expect(oldest.next().value).toBe(1);
    for (let i = 0; i < 300; i++) map.keys().next();
    runtime.transact(() => {
      for (let i = 0; i < 80; i++) map.delete(i);
    });
    expect(() => oldest.next()).toThrow(expect.objectContaining({ code: 'STALE_OBJECT' }));
  });
});

describe('growth and garbage', () => {
  it('does a bounded amount of work per operation over 100,000 insertions and deletions', () => {
    const { runtime, map, check, word } = make<number, number>(I32, I32, { verify: false, bytes: 1 << 26 });
    const { stats } = runtime;
    let worstSnapshots = 0;
    let worstBytes = 0;
    const measure = (fn: () => void): void => {
      runtime.transact(fn);
      worstSnapshots = Math.max(worstSnapshots, stats.snapshots);
      worstBytes = Math.max(worstBytes, stats.snapshotBytes + stats.freshBytes);
    };
    for (let i = 0; i < 100_000; i++) measure(() => void map.set(i * 31, i));
    expect(map.size).toBe(100_000);
    expect(worstSnapshots).toBeLessThanOrEqual(12);
    expect(worstBytes).toBeLessThanOrEqual(12_000);
    check();
    worstSnapshots = 0;
    for (let i = 0; i < 100_000; i++) {
      measure(() => void map.delete(i * 31));
      expect(word(MAP.used.offset)).toBeLessThanOrEqual(4 * map.size + 64);
    }
    expect(worstSnapshots).toBeLessThanOrEqual(24);
    check();
    const bytes = [...runtime.blocks.values()].reduce((sum, size) => sum + size, 0);
    expect(bytes).toBeLessThan(40_000);
  }, 60_000);

  it('grows by two levels of tables and back', () => {
    // 128 entries of 32 bytes in a chunk, 4096 chunks below a table.
    const count = 530_000;
    const { runtime, map, check, word } = make<number, number>(I32, F64, { verify: false, bytes: 1 << 26 });
    const level = (): number => word(MAP.entries.offset + MAP_ARRAY.shape.offset) & 0xff;
    const inBatches = (step: (i: number) => void): void => {
      for (let start = 0; start < count; start += 10_000) {
        runtime.transact(() => {
          for (let i = start; i < start + 10_000; i++) step(i);
        });
      }
    };
    inBatches((i) => void map.set(i, i / 2));
    expect(level()).toBe(2);
    check();
    for (let i = 0; i < count; i += 997) expect(map.get(i)).toBe(i / 2);
    inBatches((i) => i % 1000 !== 0 && map.delete(i));
    expect([...map.keys()]).toEqual(Array.from({ length: count / 1000 }, (_, i) => i * 1000));
    expect(level()).toBeLessThan(2);
    check();
    runtime.transact(() => map.clear());
    expect(runtime.blocks.size).toBe(1);
  }, 120_000);

  it.each([
    ['a queue', 0],
    ['a working set', 1],
    ['few survivors', 2],
  ])('bounds garbage when used as %s', (_, pattern) => {
    const { runtime, map, check, word } = make<number, string>(I32, STRING, {
      verify: false,
      bytes: 1 << 24,
    });
    const next = random(7);
    for (let i = 0; i < 30_000; i++) {
      runtime.transact(() => {
        map.set(i, `${i}`);
        if (pattern === 0 && i >= 500) map.delete(i - 500);
        if (pattern === 1 && i >= 500) map.delete(next(i));
        if (pattern === 2 && i % 100 !== 0) map.delete(i - next(100));
      });
      expect(word(MAP.used.offset)).toBeLessThanOrEqual(4 * map.size + 64);
      if (i % 5000 === 0) check();
    }
    check();
  });
});

describe('colliding hashes', () => {
  it('keep working, through splits, merges and compaction', () => {
    for (const constant of [0, 0xabc, -1]) {
      const { runtime, map, check } = make<number, number>(I32, I32, { bytes: 1 << 18 });
      const { keys } = (map as PersistentMap)[BOUND].codecs;
      keys.hash = (key) => ((key as number) % 5 === 0 ? key : constant) as number;
      const model = new Map<number, number>();
      const next = random(constant + 2);
      for (let round = 0; round < 60; round++) {
        runtime.transact(() => {
          for (let i = 0; i < 20; i++) {
            const key = next(200);
            if (next(round < 30 ? 4 : 2) !== 0) {
              map.set(key, i);
              model.set(key, i);
            } else expect(map.delete(key)).toBe(model.delete(key));
          }
        });
        expect([...map]).toEqual([...model]);
        for (const [key, value] of model) expect(map.get(key)).toBe(value);
        check();
      }
    }
  });
});

describe('corrupted bytes', () => {
  it('are reported or harmless, and never hang', () => {
    const { runtime, map, check } = make<string, string>(STRING, STRING, { verify: false, bytes: 1 << 17 });
    runtime.transact(() => {
      for (let i = 0; i < 900; i++) map.set(`k${i}`, `v${i}`);
      for (let i = 0; i < 500; i++) map.delete(`k${i}`);
    });
    check();
    const own = map as PersistentMap;
    const { u32 } = runtime.memory;
    const words: number[] = [];
    for (let i = 2; i < 16; i++) words.push(map[REF] * 4 + i);
    for (const [ref, bytes] of runtime.blocks) {
      const layout = u32[ref * 4] as number;
      if (layout !== LAYOUT_ID.mapChunk && layout !== LAYOUT_ID.mapTable) continue;
      for (let i = 0; i < bytes / 4; i += i < 24 ? 1 : 37) words.push(ref * 4 + i);
    }
    let reported = 0;
    const next = random(11);
    for (const word of words) {
      for (const value of [0, 1, 0xffffffff, next(2 ** 32), (u32[word] as number) ^ 1, next(1000)]) {
        const saved = u32.slice();
        u32[word] = value;
        const uses = [
          () => mapOps.trace(own[BOUND], map[REF], { owned: () => {}, reference: () => {} }),
          () => map.get('k600'),
          () => map.get('nothing'),
        ];
        for (const use of uses) {
          try {
            use();
          } catch (error) {
            expect(error).toBeInstanceOf(CorruptionError);
            reported++;
          }
        }
        u32.set(saved);
        map[STAMP] = 0;
      }
    }
    expect(reported).toBeGreaterThan(500);
    check();
  }, 60_000);

  it('a cycle in a chain ends a lookup', () => {
    const { runtime, map } = make<number, number>(I32, I32);
    const { codecs } = (map as PersistentMap)[BOUND];
    codecs.keys.hash = () => 5;
    runtime.transact(() => {
      for (let i = 0; i < 40; i++) map.set(i, i);
    });
    const header = map[REF] * 4;
    const { u32 } = runtime.memory;
    const entry = codecs.entries.array.locate(u32, header, 11) * 4;
    for (let i = 11; i < 40; i++) u32[codecs.entries.array.locate(u32, header, i) * 4 + 1] = 12;
    expect(u32[entry + 1]).toBe(12);
    expect(() => map.get(99)).toThrow(CorruptionError);
    expect(() =>
      mapOps.trace((map as PersistentMap)[BOUND], map[REF], { owned: () => {}, reference: () => {} }),
    ).toThrow(CorruptionError);
  });
});
