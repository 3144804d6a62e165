import { inspect } from 'node:util';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type PersistentQueue, queueOps } from '../../src/collections/index.js';
import type { FieldType, QueueType } from '../../src/layout/index.js';
import { f64, i32, range, text, u8, wide } from './list-setup.js';
import { placeOf, TestRuntime, type TestRuntimeOptions } from './test-runtime.js';

interface Setup<T> {
  readonly runtime: TestRuntime;
  readonly queue: PersistentQueue<T>;
  /** Runs `fn` in a transaction and checks the whole pool afterwards. */
  txn<R>(fn: () => R): R;
}

function setup<T>(element: FieldType, options: TestRuntimeOptions = {}): Setup<T> {
  const runtime = new TestRuntime({ ops: { queue: queueOps }, ...options });
  const type: QueueType = { kind: 'queue', nullable: false, element };
  const queue = runtime.container(queueOps, type, 'Root.jobs') as PersistentQueue<T>;
  return {
    runtime,
    queue,
    txn: (fn) => {
      try {
        return runtime.transact(fn);
      } finally {
        runtime.checkReachable([placeOf(queue)]);
      }
    },
  };
}

describe('a queue', () => {
  it('gives the elements back in order', () => {
    const { queue, txn } = setup<string>(text);
    expect([queue.length, queue.size, queue.isEmpty(), queue.peek()]).toEqual([0, 0, true, undefined]);
    expect(txn(() => queue.enqueue('a', 'b'))).toBe(2);
    expect(txn(() => queue.enqueue('c'))).toBe(3);
    expect([queue.peek(), queue.isEmpty()]).toEqual(['a', false]);
    expect(txn(() => [queue.dequeue(), queue.dequeue(), queue.dequeue(), queue.dequeue()])).toEqual([
      'a',
      'b',
      'c',
      undefined,
    ]);
    expect(queue.isEmpty()).toBe(true);
  });

  it('prints and serialises its elements', () => {
    const { queue, txn } = setup<number>(i32);
    txn(() => queue.enqueue(1, 2, 3));
    expect(inspect(queue)).toBe('PersistentQueue(3) [ 1, 2, 3 ]');
    expect(inspect(queue, { maxArrayLength: 1 })).toBe('PersistentQueue(3) [ 1, ... 2 more items ]');
    expect(JSON.stringify({ queue })).toBe('{"queue":[1,2,3]}');
    expect([...queue.values()]).toEqual([1, 2, 3]);
    expect(Object.prototype.toString.call(queue)).toBe('[object PersistentQueue]');
    expect(Object.keys(queue)).toEqual([]);
  });

  it('checks all values before anything changes', () => {
    const { queue, txn } = setup<number>(i32);
    txn(() => queue.enqueue(1));
    const bad = 'x' as unknown as number;
    txn(() => expect(() => queue.enqueue(2, bad)).toThrow(/Root.jobs element/));
    txn(() => expect(() => queueOps.assign(queue as PersistentQueue, [3, bad])).toThrow(/Root.jobs element/));
    expect(() => queueOps.checkContents(placeOf(queue).binding as never, [1].values())).toThrow(/array/);
    expect(queue.toArray()).toEqual([1]);
    txn(() => queueOps.assign(queue as PersistentQueue, [4, 5]));
    txn(() => queueOps.assign(queue as PersistentQueue, queue));
    expect(queue.toArray()).toEqual([4, 5]);
  });

  it('refuses writes outside a transaction and use after close', () => {
    const { runtime, queue, txn } = setup<number>(i32);
    expect(() => queue.enqueue(1)).toThrow(/outside/);
    txn(() => queue.enqueue(1));
    expect(() => queue.dequeue()).toThrow(/outside/);
    expect(() => queue.clear()).toThrow(/outside/);
    expect(queue.toArray()).toEqual([1]);
    runtime.close();
    expect(() => queue.peek()).toThrow(/closed/);
  });

  it('logs its header only', () => {
    const { runtime, queue, txn } = setup<number>(f64);
    txn(() => queue.enqueue(...range(1000)));
    txn(() => queue.enqueue(1));
    expect(runtime.stats).toMatchObject({ snapshots: 1, snapshotBytes: 32, fresh: 1 });
    txn(() => queue.dequeue());
    expect(runtime.stats).toMatchObject({ snapshots: 1, snapshotBytes: 32, fresh: 0 });
  });

  it('starts small, and holds no more than a chunk when it is empty', () => {
    const { runtime, queue, txn } = setup<number>(f64);
    txn(() => queue.enqueue(1));
    expect([...runtime.blocks.values()]).toEqual([32, 48]);
    for (let i = 0; i < 500; i++) txn(() => [queue.enqueue(i), queue.dequeue()]);
    txn(() => queue.dequeue());
    expect(runtime.blocks.size).toBeLessThanOrEqual(2);
  });

  it('visits what is enqueued, and not what is dequeued, during an iteration', () => {
    const { runtime, queue, txn } = setup<number>(u8);
    txn(() => queue.enqueue(...range(100)));
    const seen: number[] = [];
    txn(() => {
      for (const value of queue) {
        seen.push(value);
        if (value === 5) for (let i = 0; i < 3; i++) queue.dequeue();
        if (value === 10) while (queue.peek() !== 50) queue.dequeue();
        if (value === 60) queue.enqueue(...range(100, 100));
      }
    });
    expect(seen).toEqual([...range(11), ...range(150, 50)]);
    txn(() => queue.clear());
    txn(() => queue.enqueue(1, 2));
    const drained: number[] = [];
    txn(() => {
      for (const value of queue) {
        drained.push(value);
        while (!queue.isEmpty()) queue.dequeue();
        if (value < 50) queue.enqueue(value + 10, value + 11);
      }
    });
    expect(drained).toEqual([1, 11, 21, 31, 41, 51]);
    txn(() => queue.enqueue(1, 2));
    const iterator = queue[Symbol.iterator]();
    iterator.next();
    runtime.attempt(() => queue.dequeue());
    expect(() => iterator.next()).toThrow(/rolled back during an iteration/);
  });

  it('fails cleanly at any allocation when the pool is full', () => {
    for (let failAt = 0; failAt < 12; failAt++) {
      const { runtime, queue, txn } = setup<string>(text);
      txn(() => queue.enqueue('a', 'b'));
      runtime.allocationsLeft = failAt;
      try {
        txn(() => queue.enqueue(...range(9).map(String)));
      } catch (error) {
        expect((error as { code: string }).code).toBe('POOL_FULL');
        expect(queue.toArray()).toEqual(['a', 'b']);
      }
      runtime.allocationsLeft = Number.POSITIVE_INFINITY;
      txn(() => queue.enqueue('z'));
      expect(queue.toArray().at(-1)).toBe('z');
    }
  });
});

describe.each([
  { name: 'u8', element: u8, value: (n: number): unknown => n & 255 },
  { name: 'f64', element: f64, value: (n: number): unknown => n / 3 },
  { name: 'string', element: text, value: (n: number): unknown => `s${n}` },
  { name: '16-byte slots', element: wide, value: (n: number): unknown => `w${n}` },
])('a queue of $name behaves like an array', ({ element, value }) => {
  it('through random changes, savepoints and rollbacks', () => {
    const step = fc.tuple(fc.nat(9), fc.nat(150));
    const scope = fc.record({ steps: fc.array(step, { maxLength: 10 }), fate: fc.nat(3) });
    const txn = fc.record({ scopes: fc.array(scope, { minLength: 1, maxLength: 4 }), fate: fc.nat(3) });
    fc.assert(
      fc.property(
        fc.array(txn, { maxLength: 30 }),
        fc.infiniteStream(fc.double({ min: 0, max: 0.99, noNaN: true })),
        (txns, tears) => {
          const random = (): number => tears.next().value as number;
          const { runtime, queue } = setup<unknown>(element, { random });
          let model: unknown[] = [];
          let count = 0;
          const change = (inner: unknown[], [kind, n]: readonly [number, number]): void => {
            const values = range(kind === 0 ? n : n % 5, count).map(value);
            count += values.length;
            if (kind === 9 && n < 15) {
              queue.clear();
              inner.length = 0;
            } else if (kind < 5) expect(queue.enqueue(...values)).toBe(inner.push(...values));
            else
              for (let i = 0; i < (kind === 5 ? n : 3); i++) expect(queue.dequeue()).toEqual(inner.shift());
            expect(queue.peek()).toEqual(inner[0]);
          };
          for (const { scopes, fate } of txns) {
            let current = [...model];
            const body = (): void => {
              for (const scope of scopes) {
                const inner = [...current];
                const run = (): void => {
                  for (const one of scope.steps) change(inner, one);
                };
                if (scope.fate === 0) runtime.attempt(run);
                else if (scope.fate === 1) runtime.transact(run);
                else run();
                if (scope.fate !== 0) current = inner;
                expect(queue.toArray()).toEqual(current);
              }
            };
            if (fate === 0) runtime.attempt(body);
            else {
              runtime.transact(body);
              model = current;
            }
            expect(queue.toArray()).toEqual(model);
            runtime.checkReachable([placeOf(queue)]);
          }
        },
      ),
      { numRuns: Number(process.env.PERDURE_RUNS ?? 60) },
    );
  });
});

describe('a queue with corrupted bytes', () => {
  it('gives an error or data, and never hangs', () => {
    const { runtime, queue } = setup<number>(i32, { verify: false });
    runtime.transact(() => queue.enqueue(...range(800)));
    runtime.transact(() => queue.dequeue());
    const { binding, ref } = placeOf(queue);
    const { u8: memory } = runtime.memory;
    const tracer = { owned: () => {}, reference: () => {} };
    let detected = 0;
    for (const block of runtime.blocks.keys()) {
      for (let at = block * 16; at < block * 16 + 16 + (block === ref ? 16 : 0); at++) {
        for (const flip of [0x01, 0xff]) {
          memory[at] = (memory[at] as number) ^ flip;
          const read = (): void => {
            const iterator = (binding.ops.open(binding, ref) as PersistentQueue<number>)[Symbol.iterator]();
            for (let i = 0; i < 10_000 && iterator.next().done !== true; i++);
          };
          for (const attempt of [() => binding.ops.trace(binding, ref, tracer), read]) {
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
    }
    expect(detected).toBeGreaterThan(100);
    binding.ops.trace(binding, ref, tracer);
  });
});
