/** The transactions of the kill test, by number, and the same on a naive model. Used by child and parent. */
import {
  Field,
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
export class KillRoot {
  @Field(i32) declare steps: number;
  @Field(list('string')) declare texts: PersistentList<string>;
  @Field(map(i32, 'string')) declare names: PersistentMap<number, string>;
}

export interface KillModel {
  steps: number;
  texts: string[];
  names: Map<number, string>;
}

const BASE = { root: KillRoot, maxSize: 64 << 20, logSize: 4096 } as const;
/** The smallest log: checkpoints go on all the time. */
const REDO = { ...BASE, log: 'redo', walSize: 16 * 1024 } as const;

/** What pools are killed on. `asynchronous`: every third transaction is not waited for. */
export const VARIANTS = {
  'undo log on a disk, emulated': { place: 'disk', asynchronous: false, options: { ...BASE, emulate: true } },
  'undo log in memory': { place: 'memory', asynchronous: false, options: { ...BASE, emulate: true } },
  'redo log on a disk': { place: 'disk', asynchronous: false, options: { ...REDO, domain: 'block' } },
  'redo log on a disk, relaxed': {
    place: 'disk',
    asynchronous: true,
    options: { ...REDO, domain: 'block', durability: 'relaxed', flushInterval: 5, memoryBudget: 0 },
  },
  'redo log in memory': { place: 'memory', asynchronous: false, options: { ...REDO, memoryBudget: 0 } },
} as const satisfies Record<
  string,
  { place: 'disk' | 'memory'; asynchronous: boolean; options: PoolOptions }
>;
export type VariantName = keyof typeof VARIANTS;

export function emptyModel(): KillModel {
  return { steps: 0, texts: [], names: new Map() };
}

/** Lengths of texts repeat with a period, so that blocks of many sizes come and go and the pool stays small. */
function text(step: number): string {
  const length = step % 97 === 0 ? 40_000 : (step * 7) % 300;
  return `${step}:${'x'.repeat(length)}`;
}

/** Returns when what the step did survives the death of the process. */
export function runStep(pool: Pool, root: KillRoot, step: number, asynchronous: boolean): void {
  const body = (): void => {
    root.steps = step;
    root.texts.push(text(step));
    while (root.texts.length > 40) root.texts.shift();
    for (let change = 0; change < (step % 50 === 0 ? 90 : 1 + (step % 3)); change++) {
      const key = (step * 31 + change * 17) % 500;
      if ((step + change) % 4 === 0) root.names.delete(key);
      else root.names.set(key, `name ${step}.${change}`);
    }
    if (step % 5 === 0) {
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
  };
  // That nobody waits for the promise is no matter: the record is written when the call returns.
  if (asynchronous && step % 3 === 0) pool.txnAsync(body).catch(fail);
  else pool.txn(body);
}

function fail(error: unknown): never {
  throw error;
}

export function runModelStep(model: KillModel, step: number): void {
  model.steps = step;
  model.texts.push(text(step));
  while (model.texts.length > 40) model.texts.shift();
  for (let change = 0; change < (step % 50 === 0 ? 90 : 1 + (step % 3)); change++) {
    const key = (step * 31 + change * 17) % 500;
    if ((step + change) % 4 === 0) model.names.delete(key);
    else model.names.set(key, `name ${step}.${change}`);
  }
}

export function readModel(root: KillRoot): KillModel {
  return { steps: root.steps, texts: [...root.texts], names: new Map(root.names) };
}
