/**
 * The transactions of the fault test, by number, and the same on a naive model; used by the child that runs into
 * the faults and by the parent that looks at what is left. A transaction is made from its number alone.
 */
import { isDeepStrictEqual } from 'node:util';
import {
  Field,
  f64,
  i32,
  list,
  map,
  Persistent,
  type PersistentList,
  type PersistentMap,
  type Pool,
  type PoolOptions,
} from '../../src/index.js';

@Persistent()
export class FaultCell {
  @Field(i32) declare number: number;
  @Field(f64) declare amount: number;
  @Field('string') declare label: string;
}

@Persistent()
export class FaultRoot {
  /** Number of the last transaction. */
  @Field(i32) declare step: number;
  @Field(f64) declare sum: number;
  @Field(list(() => FaultCell)) declare cells: PersistentList<FaultCell>;
  @Field(list('string')) declare texts: PersistentList<string>;
  @Field(map(i32, 'string')) declare names: PersistentMap<number, string>;
  @Field(list(i32)) declare numbers: PersistentList<number>;
}

/** How a child runs the workload. */
export interface Workload {
  readonly options: PoolOptions;
  /** So many transactions are in the pool already; its process died in the middle of the next one. 0: there is no pool. */
  readonly before: number;
  /** Number of the last transaction; in its middle the pool is closed and opened again. */
  readonly transactions: number;
  /** How it ends: with the pool closed, or killed in a transaction that follows the last. */
  readonly end: 'close' | 'death';
  /** `txn` returns before its transaction is acknowledged: `flush`, `close` or a `txnAsync` does that. */
  readonly relaxed: boolean;
  /** Some transactions are run with `txnAsync`. */
  readonly asynchronous: boolean;
}

interface Cell {
  number: number;
  amount: number;
  label: string;
}

interface Model {
  step: number;
  sum: number;
  readonly cells: Cell[];
  readonly texts: string[];
  readonly names: Map<number, string>;
  readonly numbers: number[];
}

/** What transactions need of root and model alike. */
interface Target {
  step: number;
  sum: number;
  readonly cells: { readonly length: number; [index: number]: Cell };
  readonly texts: { readonly length: number; push(text: string): number; shift(): string | undefined };
  readonly names: { set(key: number, value: string): unknown; delete(key: number): boolean };
  readonly numbers: { length: number; push(value: number): number; [index: number]: number };
}

/** Every third one is large: the file grows. Old ones go, so that blocks are freed and used again. */
function text(step: number): string {
  return `${step}:${String.fromCharCode(97 + (step % 26)).repeat(step % 3 === 2 ? 150_000 : (step * 37) % 400)}`;
}

function change(target: Target, step: number, addCell: (cell: Cell) => void): void {
  target.step = step;
  target.sum += step * step;
  addCell({ number: step, amount: step / 4, label: `cell ${step}` });
  const cell = target.cells[(step * 7) % target.cells.length] as Cell;
  cell.amount += step;
  cell.label = `changed in ${step}`;
  target.texts.push(text(step));
  if (target.texts.length > 16) target.texts.shift();
  for (let i = 0; i < 4; i++) target.names.set((step * 31 + i * 17) % 60, `name ${step}.${i}`);
  target.names.delete((step * 13) % 60);
  // Now and then a large one: more than the log holds.
  if (step % 10 !== 6) return;
  for (let i = 0; i < target.numbers.length; i++) target.numbers[i] = step + i;
  for (let i = 0; i < 6000; i++) target.numbers.push(step - i);
}

/** The body of transaction `step`. */
export function runStep(pool: Pool, root: FaultRoot, step: number): void {
  change(root, step, (cell) => root.cells.push(pool.create(FaultCell, cell)));
  if (step % 5 !== 3) return;
  try {
    pool.txn(() => {
      root.texts.length = 0;
      root.names.clear();
      throw new RangeError('rolled back');
    });
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
  }
}

function model(steps: readonly number[]): Model {
  const result: Model = { step: 0, sum: 0, cells: [], texts: [], names: new Map(), numbers: [] };
  for (const step of steps) change(result, step, (cell) => result.cells.push(cell));
  return result;
}

/** Which field of the pool is not as these transactions leave it; null when all are. */
export function difference(root: FaultRoot, steps: readonly number[]): string | null {
  const expected = model(steps);
  const actual: Model = {
    step: root.step,
    sum: root.sum,
    cells: Array.from(root.cells, ({ number, amount, label }) => ({ number, amount, label })),
    texts: [...root.texts],
    names: new Map(root.names),
    numbers: [...root.numbers],
  };
  for (const key of Object.keys(expected) as (keyof Model)[])
    if (!isDeepStrictEqual(actual[key], expected[key])) return key;
  return null;
}
