/** What the tests of lists share: element types, and a list in a runtime that checks itself. */
import { listOps, type PersistentList, queueOps } from '../../src/collections/index.js';
import type { FieldType, ListType } from '../../src/layout/index.js';
import { placeOf, TestRuntime, type TestRuntimeOptions } from './test-runtime.js';

export const i32: FieldType = { kind: 'i32', nullable: false };
export const f64: FieldType = { kind: 'f64', nullable: true };
export const u8: FieldType = { kind: 'u8', nullable: false };
export const text: FieldType = { kind: 'string', nullable: true };
export const wide: FieldType = { kind: 'bytes', nullable: false };
export const ref: FieldType = { kind: 'ref', nullable: true, target: () => Object };
export const listOf = (element: FieldType): ListType => ({ kind: 'list', nullable: false, element });

export interface Setup<T> {
  readonly runtime: TestRuntime;
  readonly list: PersistentList<T>;
  /** Runs `fn` in a transaction and checks the whole pool afterwards. */
  txn<R>(fn: () => R): R;
}

export function setup<T>(element: FieldType, options: TestRuntimeOptions = {}): Setup<T> {
  const runtime = new TestRuntime({ ops: { list: listOps, queue: queueOps }, ...options });
  const list = runtime.container(listOps, listOf(element), 'Root.items') as PersistentList<T>;
  return {
    runtime,
    list,
    txn: (fn) => {
      try {
        return runtime.transact(fn);
      } finally {
        runtime.checkReachable([placeOf(list)]);
      }
    },
  };
}

export const range = (count: number, from = 0): number[] => Array.from({ length: count }, (_, i) => from + i);
