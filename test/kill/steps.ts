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

export const OPTIONS = { root: KillRoot, emulate: true, maxSize: 64 << 20, logSize: 4096 } as const;

export function emptyModel(): KillModel {
  return { steps: 0, texts: [], names: new Map() };
}

/** Lengths of texts repeat with a period, so that blocks of many sizes come and go and the pool stays small. */
function text(step: number): string {
  const length = step % 97 === 0 ? 40_000 : (step * 7) % 300;
  return `${step}:${'x'.repeat(length)}`;
}

export function runStep(pool: Pool, root: KillRoot, step: number): void {
  pool.txn(() => {
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
  });
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
