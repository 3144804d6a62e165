/**
 * Lists against arrays: the same random changes, with savepoints and rollbacks. After every transaction the
 * runtime has checked what was logged, and every block is reached exactly once.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { PersistentList } from '../../src/collections/index.js';
import type { FieldType } from '../../src/layout/index.js';
import { f64, i32, range, setup, text, u8, wide } from './list-setup.js';
import { placeOf } from './test-runtime.js';

interface Kind {
  readonly name: string;
  readonly element: FieldType;
  readonly value: (n: number) => unknown;
}

const kinds: readonly Kind[] = [
  { name: 'u8', element: u8, value: (n) => n & 255 },
  { name: 'i32', element: i32, value: (n) => n },
  { name: 'f64 or null', element: f64, value: (n) => (n % 7 === 0 ? null : n / 3) },
  { name: 'string or null', element: text, value: (n) => (n % 7 === 0 ? null : `s${n % 50}`) },
  { name: '16-byte slots', element: wide, value: (n) => `w${n}` },
];

/** What a change is made of: a position, counts, and values. */
interface Draw {
  readonly at: number;
  readonly a: number;
  readonly b: number;
  readonly values: (count: number) => unknown[];
}
type Change = (list: unknown[], draw: Draw) => unknown;

const changes: readonly Change[] = [
  (it, { values }) => it.push(...values(1)),
  (it, { a, values }) => it.push(...values(a % 300)),
  (it) => it.pop(),
  (it) => it.shift(),
  (it, { a, values }) => it.unshift(...values(a % 5)),
  (it, { at, a, b, values }) => it.splice(at, a % 20, ...values(b % 20)),
  (it, { at, a, b, values }) => it.splice(at, a % 400, ...values(b % 400)),
  (it, { a, b }) => it.splice(-(a % 50), b % 3),
  (it, { at, values }) => {
    it[at] = values(1)[0];
  },
  (it, { at, a, values }) => it.fill(values(1)[0], at, at + (a % 100)).length,
  (it) => it.reverse().length,
  (it) => it.sort().length,
  (it, { a }) => {
    it.length -= Math.min(it.length, a % 30);
  },
  (it, { at }) => it.splice(at, 1),
  (it, { at, values }) => it.splice(at, 0, ...values(1)),
  (it, { values }) => {
    for (let i = 0; i < 8; i++) it.pop();
    it.push(...values(8));
  },
  (it, { a, at }) => it.splice(a % 4 === 0 ? at : it.length),
  (it, { a }) => (a % 10 === 0 ? it.splice(0) : it.at(-1)),
  (it, { at }) => it.at(at),
];

type Step = readonly [kind: number, position: number, a: number, b: number];

/** Carries out one random change on a list and on an array; both must answer the same. */
function carryOut(list: PersistentList<unknown>, model: unknown[], step: Step, value: Kind['value']): void {
  const [kind, position, a, b] = step;
  const draw = {
    at: position % (model.length + 1),
    a,
    b,
    values: (count: number) => range(count, b).map(value),
  };
  const change = changes[kind % changes.length] as Change;
  expect(change(list as unknown as unknown[], draw)).toEqual(change(model, draw));
}

function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

describe.each(kinds)('a list of $name behaves like an array', ({ element, value }) => {
  it('through random changes, savepoints and rollbacks', () => {
    const step = fc.tuple(fc.nat(changes.length - 1), fc.nat(100_000), fc.nat(100_000), fc.nat(100_000));
    const scope = fc.record({ steps: fc.array(step, { maxLength: 6 }), fate: fc.nat(3) });
    const txn = fc.record({ scopes: fc.array(scope, { minLength: 1, maxLength: 4 }), fate: fc.nat(3) });
    const start = fc.oneof(fc.constant(0), fc.nat(400));
    fc.assert(
      fc.property(fc.array(txn, { maxLength: 25 }), start, fc.nat(), (txns, count, seed) => {
        const { runtime, list } = setup<unknown>(element, { random: randomFrom(seed) });
        let model: unknown[] = range(count).map(value);
        runtime.transact(() => list.push(...model));
        for (const { scopes, fate } of txns) {
          let current = [...model];
          const body = (): void => {
            for (const scope of scopes) {
              const inner = [...current];
              const run = (): void => {
                for (const one of scope.steps) carryOut(list, inner, one, value);
              };
              if (scope.fate === 0) runtime.attempt(run);
              else if (scope.fate === 1) runtime.transact(run);
              else run();
              if (scope.fate !== 0) current = inner;
              expect(list.toArray()).toEqual(current);
            }
          };
          if (fate === 0) runtime.attempt(body);
          else {
            runtime.transact(body);
            model = current;
          }
          expect(list.toArray()).toEqual(model);
          expect(list.at(model.length >> 1)).toEqual(model.at(model.length >> 1));
          runtime.checkReachable([placeOf(list)]);
        }
      }),
      { numRuns: Number(process.env.PERDURE_RUNS ?? 60) },
    );
  });

  it('while it grows deep and shrinks again', () => {
    const seed = Number(process.env.PERDURE_SEED ?? 1);
    const random = randomFrom(seed);
    const { runtime, list } = setup<unknown>(element, { random, bytes: 1 << 22 });
    const whole = (limit: number): number => Math.floor(random() * limit);
    let model: unknown[] = [];
    for (let round = 0; round < 120; round++) {
      const inner = [...model];
      const grows = Math.floor(round / 30) % 2 === 0;
      const run = (): void => {
        for (let i = 0; i < 12; i++) {
          const at = whole(inner.length + 1);
          const values = range(grows ? whole(300) : whole(20), whole(1000)).map(value);
          const removed = grows ? whole(20) : whole(500);
          expect(list.splice(at, removed, ...values)).toEqual(inner.splice(at, removed, ...values));
          for (let j = 0; j < 40; j++) {
            carryOut(list, inner, [grows ? 14 : 13, whole(100_000), 0, whole(1000)], value);
          }
          if (i % 4 === 0)
            carryOut(list, inner, [whole(changes.length), whole(100_000), whole(1000), i], value);
        }
      };
      if (random() < 0.2) runtime.attempt(run);
      else {
        runtime.transact(run);
        model = inner;
      }
      expect(list.toArray(), `seed ${seed}`).toEqual(model);
      runtime.checkReachable([placeOf(list)]);
    }
  });
});

describe('a list with corrupted bytes', () => {
  it('gives an error or data, and never hangs', () => {
    const { runtime, list } = setup<number>(i32, { verify: false });
    runtime.transact(() => {
      for (let i = 0; i < 9000; i++) list.insert(i >> 1, i);
    });
    const { binding, ref: header } = placeOf(list);
    const { u8: memory } = runtime.memory;
    const tracer = { owned: () => {}, reference: () => {} };
    const targets: number[] = [];
    for (const [block, bytes] of runtime.blocks) {
      const isLeaf = bytes > 300 && bytes !== 272;
      for (let i = 0; i < (isLeaf ? 8 : Math.min(bytes, 64)); i++) targets.push(block * 16 + i);
    }
    let detected = 0;
    for (const at of targets) {
      for (const flip of [0x01, 0xff]) {
        memory[at] = (memory[at] as number) ^ flip;
        const attempts = [
          () => binding.ops.trace(binding, header, tracer),
          () => {
            const fresh = binding.ops.open(binding, header) as PersistentList<number>;
            const step = Math.max(1, Math.floor(fresh.length / 40));
            for (let i = 0; i < fresh.length; i += step) fresh.at(i);
          },
        ];
        for (const attempt of attempts) {
          try {
            attempt();
          } catch (error) {
            if ((error as { code?: string }).code !== 'CORRUPT') throw error;
            detected++;
          }
        }
        memory[at] = (memory[at] as number) ^ flip;
      }
    }
    expect(detected).toBeGreaterThan(targets.length);
    binding.ops.trace(binding, header, tracer);
  });
});
