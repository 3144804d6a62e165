/**
 * Workloads for the redo log, whose parts meet in small logs only: checkpoints go on between transactions, the ring wraps,
 * a transaction is larger than the log, private pages are given back, the process dies in any operation.
 */
import {
  bytes,
  Field,
  i32,
  list,
  nullable,
  Persistent,
  type PersistentList,
  type PersistentMap,
  map as persistentMap,
} from '../../src/index.js';
import type { MediumName, Run, Scenario } from './scenario.js';

const REDO = [
  'redo log on a disk',
  'redo log on a disk, relaxed',
  'redo log in persistent memory',
] as const satisfies MediumName[];

@Persistent()
class Ring {
  @Field(i32) declare count: number;
  @Field(list('string')) declare texts: PersistentList<string>;
  @Field(persistentMap(i32, i32)) declare numbers: PersistentMap<number, number>;
  @Field(nullable(bytes)) declare blob: Uint8Array | null;
}

interface RingModel {
  count: number;
  texts: string[];
  numbers: [number, number][];
  blob: string | null;
}

const POOL = { maxSize: 2 << 20 };

const base = {
  root: Ring,
  media: REDO,
  options: POOL,
  initial: { count: 0, texts: [], numbers: [], blob: null },
  read: ({ count, texts, numbers, blob }: Ring): RingModel => ({
    count,
    texts: [...texts].map(brief),
    numbers: [...numbers],
    blob: blob === null ? null : brief(Buffer.from(blob).toString('latin1')),
  }),
};

/** A transaction of `size` bytes and a little. */
function change(run: Run<Ring, RingModel>, size: number) {
  const { random } = run;
  const letter = String.fromCharCode(97 + random.int(26));
  const key = random.int(40);
  const slot = random.int(4);
  return (root: Ring, draft: RingModel): void => {
    draft.count += 1;
    root.count = draft.count;
    const value = letter.repeat(size);
    if (draft.texts.length > slot) {
      root.texts[slot] = value;
      draft.texts[slot] = brief(value);
    } else {
      root.texts.push(value);
      draft.texts.push(brief(value));
    }
    root.numbers.set(key, draft.count);
    const model = new Map(draft.numbers).set(key, draft.count);
    draft.numbers = [...model];
  };
}

/** Laps of the smallest log; every few transactions one that must wait for a checkpoint. */
const wrapping: Scenario<Ring, RingModel> = {
  ...base,
  name: 'a log that wraps many times, checkpoints between transactions',
  steps(run) {
    for (let step = 0; step < 36; step++) {
      const size = run.random.int(step % 6 === 5 ? 5000 : 1800);
      if (step % 5 === 4) run.commitAsync(change(run, size));
      else run.commit(change(run, size));
      if (step % 7 === 6) run.abort((root) => root.texts.push('never'.repeat(100)));
    }
  },
};

/** Every checkpoint gives all private pages back; what is read afterwards comes from the file. */
const givingBack: Scenario<Ring, RingModel> = {
  ...wrapping,
  name: 'private pages given back by every checkpoint',
  options: { ...POOL, memoryBudget: 0 },
  steps(run) {
    for (let step = 0; step < 30; step++) {
      run.commit(change(run, run.random.int(2200)));
      const found = JSON.stringify(base.read(run.root));
      if (found !== JSON.stringify(run.model)) throw new Error(`the program reads ${found}`);
    }
  },
};

/** The log becomes larger than allowed, and smaller again; the file grows with records that say so. */
const large: Scenario<Ring, RingModel> = {
  ...base,
  name: 'transactions larger than the log, growth in their records',
  share: 0.5,
  steps(run) {
    for (let step = 0; step < 12; step++) {
      const size = step % 3 === 2 ? 20_000 + run.random.int(60_000) : run.random.int(900);
      run.commit(change(run, size));
      if (step % 4 === 3) {
        run.commit((root, draft) => {
          const value = step % 8 === 3 ? new Uint8Array(50_000).fill(65 + step) : null;
          root.blob = value;
          draft.blob = value === null ? null : brief(Buffer.from(value).toString('latin1'));
        });
      }
      if (step === 6) run.reopen();
    }
  },
};

/** What nobody waits for is promised from the next flush on. */
const flushing: Scenario<Ring, RingModel> = {
  ...base,
  name: 'transactions that nobody waits for, flushed now and then',
  steps(run) {
    for (let step = 0; step < 40; step++) {
      run.commitAsync(change(run, run.random.int(400)));
      if (run.random.chance(0.12)) run.flush();
      if (step % 19 === 18) run.die();
    }
    run.flush();
  },
};

/** The process dies in each operation of a transaction, of the checkpoint that it steps, and of the opening before. */
const dyingAnywhere: Scenario<Ring, RingModel> = {
  ...base,
  name: 'death of the process in each operation',
  options: { ...POOL, flushInterval: 0 },
  share: 0.5,
  steps(run) {
    for (let number = 1, died = true; died; number++) {
      // So full that the transaction waits for a checkpoint.
      for (let step = 0; step < 3; step++) run.commit(change(run, 1500));
      died = run.dieAt('any', number, change(run, 5500));
    }
  },
};

/** The same file under either log in turn, closed cleanly or not. */
const alternating: Scenario<Ring, RingModel> = {
  ...base,
  media: ['redo log in persistent memory'],
  openAs: (number) => (number % 2 === 0 ? 'redo log in persistent memory' : 'undo log'),
  name: 'opened with the other log every time',
  steps(run) {
    for (let round = 0; round < 10; round++) {
      for (let step = 0; step < 3; step++) run.commit(change(run, run.random.int(600)));
      if (round % 3 === 0) run.reopen();
      else run.die();
      if (round % 4 === 1) {
        run.abort((root) => {
          root.texts.length = 0;
        });
      }
    }
  },
};

function brief(value: string): string {
  const first = value.charAt(0);
  return value === first.repeat(value.length) ? `${value.length} ${first}` : `mixed ${value.slice(0, 80)}`;
}

export const REDO_SCENARIOS: readonly Scenario<Ring, RingModel>[] = [
  wrapping,
  givingBack,
  large,
  flushing,
  dyingAnywhere,
  alternating,
];
export { wrapping };
