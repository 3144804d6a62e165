/**
 * The workloads of the crash tests. Each is small enough that hundreds of images at each fence cover most of what a
 * crash can do, and each goes through what its name says often enough to grow, split and shrink on the way.
 */
import {
  embedded,
  Field,
  f64,
  fixedArray,
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
} from '../../src/index.js';
import { dying, opening } from './opening.js';
import type { Scenario } from './scenario.js';

@Persistent()
class Numbers {
  @Field(list(i32)) declare items: PersistentList<number>;
}

const lists: Scenario<Numbers, number[]> = {
  name: 'list: push, set, splice, pop',
  root: Numbers,
  initial: [],
  read: (root) => [...root.items],
  steps(run) {
    const { random } = run;
    for (let step = 0; step < 70; step++) {
      run.commit(({ items }, draft) => {
        const at = draft.length === 0 ? 0 : random.int(draft.length);
        const value = random.int(1000);
        const kind = random.int(8);
        if (kind < 4 || draft.length < 3) {
          const values = Array.from({ length: 1 + random.int(6) }, () => random.int(1000));
          items.push(...values);
          draft.push(...values);
        } else if (kind === 4) {
          items[at] = value;
          draft[at] = value;
        } else if (kind === 5) {
          const count = random.int(4);
          items.splice(at, count, value, value + 1);
          draft.splice(at, count, value, value + 1);
        } else if (kind === 6) {
          items.pop();
          draft.pop();
        } else {
          items.unshift(value);
          draft.unshift(value);
        }
      });
    }
  },
};

@Persistent()
class Texts {
  @Field('string') declare title: string;
  @Field(list('string')) declare items: PersistentList<string>;
}

const ALPHABETS = ['abcdefgh', 'äöüßéèêë', 'ελληνικά', '日本語の文字'];

function text(random: { int(bound: number): number }, most: number): string {
  const letters = [...(ALPHABETS[random.int(ALPHABETS.length)] as string)];
  return Array.from({ length: random.int(most) }, () => letters[random.int(letters.length)]).join('');
}

const strings: Scenario<Texts, { title: string; items: string[] }> = {
  name: 'strings: replaced, removed, of all sizes',
  root: Texts,
  initial: { title: '', items: [] },
  read: (root) => ({ title: root.title, items: [...root.items] }),
  steps(run) {
    const { random } = run;
    for (let step = 0; step < 60; step++) {
      run.commit((root, draft) => {
        const value = text(random, step % 10 === 9 ? 1500 : 60);
        const kind = random.int(5);
        if (kind === 0) {
          root.title = value;
          draft.title = value;
        } else if (kind < 3 || draft.items.length === 0) {
          root.items.push(value);
          draft.items.push(value);
        } else if (kind === 3) {
          const at = random.int(draft.items.length);
          root.items[at] = value;
          draft.items[at] = value;
        } else {
          root.items.splice(0, 1);
          draft.items.splice(0, 1);
        }
      });
    }
  },
};

@Persistent()
class Dictionary {
  @Field(map('string', i32)) declare entries: PersistentMap<string, number>;
}

const maps: Scenario<Dictionary, [string, number][]> = {
  name: 'map: insert, overwrite, delete across growth',
  root: Dictionary,
  initial: [],
  read: (root) => [...root.entries],
  steps(run) {
    const { random } = run;
    for (let step = 0; step < 60; step++) {
      run.commit(({ entries }, draft) => {
        const model = new Map(draft);
        for (let count = 1 + random.int(4); count > 0; count--) {
          const key = `k${random.int(60)}`;
          if (random.chance(0.7)) {
            entries.set(key, step);
            model.set(key, step);
          } else {
            entries.delete(key);
            model.delete(key);
          }
        }
        draft.length = 0;
        draft.push(...model);
      });
      if (step === 45) {
        run.commit(({ entries }, draft) => {
          entries.clear();
          draft.length = 0;
        });
      }
    }
  },
};

@Persistent()
class Jobs {
  @Field(queue('string')) declare jobs: PersistentQueue<string>;
}

const queues: Scenario<Jobs, string[]> = {
  name: 'queue: enqueue, dequeue, across chunks',
  root: Jobs,
  initial: [],
  read: (root) => [...root.jobs],
  steps(run) {
    const { random } = run;
    for (let step = 0; step < 70; step++) {
      run.commit(({ jobs }, draft) => {
        const grows = step % 30 < 20;
        for (let count = 1 + random.int(4); count > 0; count--) {
          if (random.chance(grows ? 0.8 : 0.1)) {
            const job = `job ${step}.${count}`;
            jobs.enqueue(job);
            draft.push(job);
          } else if (draft.length > 0) {
            jobs.dequeue();
            draft.shift();
          }
        }
      });
    }
  },
};

@Persistent()
class Point {
  @Field(i32) declare x: number;
  @Field('string') declare label: string;
}

@Persistent()
class Large {
  @Field(i32) declare a: number;
  @Field(fixedArray(f64, 20)) declare many: { [index: number]: number };
  @Field(embedded(() => Point)) declare point: Point;
  @Field(nullable(i32)) declare maybe: number | null;
  @Field(nullable('string')) declare maybeText: string | null;
  @Field(i64) declare z: bigint;
}

@Persistent()
class Small {
  @Field(i32) declare a: number;
  @Field(nullable(embedded(() => Point))) declare point: Point | null;
  @Field(() => Large) declare large: Large | null;
}

@Persistent()
class Objects {
  @Field(() => Small) declare small: Small;
  @Field(() => Large) declare large: Large;
}

interface ObjectsModel {
  small: [number, [number, string] | null];
  large: [number, number[], number, string, number | null, string | null, string] | null;
}

const objects: Scenario<Objects, ObjectsModel> = {
  name: 'fields of small and large objects, embedded structs, nullable fields',
  root: Objects,
  classes: [Small, Large, Point],
  initial: { small: [0, null], large: null },
  read: ({ small, large }) => ({
    small: [small?.a ?? 0, small?.point ? [small.point.x, small.point.label] : null],
    large:
      large === null
        ? null
        : [
            large.a,
            Array.from({ length: 20 }, (_, index) => large.many[index] as number),
            large.point.x,
            large.point.label,
            large.maybe,
            large.maybeText,
            String(large.z),
          ],
  }),
  steps(run) {
    const { random } = run;
    run.commit((root, draft) => {
      root.small = new Small();
      root.large = new Large();
      draft.large = [0, new Array(20).fill(0), 0, '', null, null, '0'];
    });
    for (let step = 1; step < 70; step++) {
      run.commit(({ small, large }, draft) => {
        const model = draft.large as NonNullable<ObjectsModel['large']>;
        for (let count = 1 + random.int(2); count > 0; count--) {
          const value = step * 10 + count;
          const label = text(random, 30);
          const kind = random.int(9);
          if (kind === 0) small.a = draft.small[0] = value;
          if (kind === 1) large.a = model[0] = value;
          if (kind === 2) {
            const at = random.int(20);
            large.many[at] = value;
            model[1][at] = value;
          }
          if (kind === 3) large.point.x = model[2] = value;
          if (kind === 4) large.point.label = model[3] = label;
          if (kind === 5) large.maybe = model[4] = random.chance(0.5) ? null : value;
          if (kind === 6) large.maybeText = model[5] = random.chance(0.3) ? null : label;
          if (kind === 7) {
            large.z = BigInt(value) << 33n;
            model[6] = String(large.z);
          }
          if (kind === 8) {
            if (small.point === null) {
              const point = new Point();
              point.x = value;
              point.label = label;
              small.point = point;
              draft.small[1] = [value, label];
            } else {
              small.point = null;
              draft.small[1] = null;
            }
          }
        }
      });
    }
  },
  // The Point that is copied into an embedded field is an object of its own.
  drops: true,
};

@Persistent()
class Nested {
  @Field(i32) declare a: number;
  @Field('string') declare b: string;
  @Field(list('string')) declare texts: PersistentList<string>;
}

interface NestedModel {
  a: number;
  b: string;
  texts: string[];
}

const nested: Scenario<Nested, NestedModel> = {
  name: 'savepoints that commit and roll back, transactions that roll back',
  root: Nested,
  initial: { a: 0, b: '', texts: [] },
  read: (root) => ({ a: root.a, b: root.b, texts: [...root.texts] }),
  steps(run) {
    const { random } = run;
    for (let step = 1; step <= 30; step++) {
      run.commit((root, draft) => {
        if (random.chance(0.5)) root.a = draft.a = step;
        run.attempt(() => {
          root.a = -step;
          root.texts.push(`lost ${step}`, text(random, 200));
          if (random.chance(0.5)) run.savepoint(() => root.texts.push('lost within'));
        });
        run.savepoint(() => {
          root.b = draft.b = `kept ${step}`;
          run.attempt(() => {
            root.b = 'lost';
            root.a += 1000;
          });
          root.texts.push(`kept ${step}`);
          draft.texts.push(`kept ${step}`);
        });
        if (random.chance(0.5)) root.a = draft.a = step + 500;
        if (draft.texts.length > 6) {
          root.texts.shift();
          draft.texts.shift();
        }
      });
      if (step % 3 === 0) {
        run.abort((root) => {
          root.a = 77;
          root.b = text(random, 300);
          root.texts.length = 0;
        });
      }
    }
  },
};

@Persistent()
class Node {
  @Field(i32) declare id: number;
  @Field(() => Node) declare next: Node | null;
}

@Persistent()
class Chain {
  @Field(() => Node) declare head: Node | null;
  @Field(() => Node) declare tail: Node | null;
  @Field(i32) declare length: number;
}

const chains: Scenario<Chain, number[]> = {
  name: 'linked objects: append, allocation in rolled-back transactions',
  root: Chain,
  initial: [],
  read(root) {
    const ids: number[] = [];
    for (let node = root.head; node !== null; node = node.next) ids.push(node.id);
    if (ids.length !== root.length) throw new Error(`${ids.length} nodes, length ${root.length}`);
    return ids;
  },
  steps(run) {
    const append = (root: Chain, id: number) => {
      const node = new Node();
      node.id = id;
      if (root.tail === null) root.head = node;
      else root.tail.next = node;
      root.tail = node;
      root.length += 1;
    };
    for (let step = 0; step < 40; step++) {
      run.commit((root, draft) => {
        append(root, step);
        draft.push(step);
      });
      if (step % 4 === 1) run.abort((root) => append(root, -step));
    }
  },
};

@Persistent()
class Registered {
  @Field(i32) declare value: number;
}

@Persistent()
class AlsoRegistered {
  @Field('string') declare value: string;
}

@Persistent()
class Empty {
  @Field(i32) declare unused: number;
}

const NAMES = ['alpha', 'beta', 'gamma', 'delta', 'a rather long name of a root, longer than any slot'];

const roots: Scenario<Empty, [string, number | string][]> = {
  name: 'named roots, and classes registered in a transaction',
  root: Empty,
  classes: [Registered, AlsoRegistered],
  initial: [],
  read: (_root, pool: Pool) =>
    [...pool.named.keys()].map((name) => [
      name,
      pool.named.get<Registered | AlsoRegistered>(name)?.value as number | string,
    ]),
  steps(run) {
    const { random } = run;
    run.abort(() => run.pool.named.set('lost', new Registered()));
    for (let step = 0; step < 30; step++) {
      run.commit((_root, draft) => {
        const name = random.pick(NAMES);
        const model = new Map(draft);
        if (random.chance(0.3)) {
          run.pool.named.delete(name);
          model.delete(name);
        } else if (step > 10 && random.chance(0.5)) {
          const object = new AlsoRegistered();
          object.value = `value ${step}`;
          run.pool.named.set(name, object);
          model.set(name, object.value);
        } else {
          const object = new Registered();
          object.value = step;
          run.pool.named.set(name, object);
          model.set(name, step);
        }
        draft.length = 0;
        draft.push(...model);
      });
    }
  },
  drops: true,
};

/** An object that is logged whole, in a record of two lines. */
@Persistent()
class Record96 {
  @Field(i32) declare value: number;
  @Field(fixedArray(f64, 8)) declare filler: { [index: number]: number };
}

@Persistent()
class Many {
  @Field(list(() => Record96)) declare records: PersistentList<Record96>;
  @Field(list('string')) declare texts: PersistentList<string>;
}

interface ManyModel {
  records: number[];
  texts: string[];
}

/** More ranges than a commit record lists; the log is extended, the file grows within the transaction. */
const many: Scenario<Many, ManyModel> = {
  name: 'transactions larger than the log, and than a commit record; growth of the file',
  root: Many,
  options: { maxSize: 2 << 20 },
  share: 0.15,
  initial: { records: [], texts: [] },
  read: (root) => ({
    records: [...root.records].map(({ value }) => value),
    texts: [...root.texts].map(brief),
  }),
  prepare(run) {
    run.commit((root, draft) => {
      for (let index = 0; index < 150; index++) {
        const record = new Record96();
        root.records.push(record);
        draft.records.push(0);
      }
    });
  },
  steps(run) {
    const touch = (root: Many, value: number, count: number, model?: number[]) => {
      for (let number = 0; number < count; number++) {
        // Not neighbours, or they would be one range.
        const index = number * 2;
        (root.records.at(index) as Record96).value = value + index;
        if (model !== undefined) model[index] = value + index;
      }
    };
    for (let step = 1; step <= 3; step++) {
      run.commit((root, draft) => touch(root, step * 1000, 23 * (1 + (step % 3)), draft.records));
      run.abort((root) => touch(root, -step, 66));
      run.commit((root, draft) => {
        run.attempt(() => touch(root, -1, 60));
        const value = String.fromCharCode(96 + step).repeat(20_000 * step);
        root.texts.push(value);
        draft.texts.push(brief(value));
        touch(root, step * 2000, 3, draft.records);
        if (step % 2 === 0) {
          root.texts.shift();
          draft.texts.shift();
        }
      });
    }
  },
};

function brief(value: string): string {
  const first = value.charAt(0);
  return value === first.repeat(value.length)
    ? `${value.length} times ${first}`
    : `mixed ${value.slice(0, 80)}`;
}

// Each has types of its own; a list of them needs none.
// biome-ignore lint/suspicious/noExplicitAny: what a scenario is about, only the scenario knows
type AnyScenario = Scenario<any, any>;

export const SCENARIOS: readonly AnyScenario[] = [
  lists,
  strings,
  maps,
  queues,
  objects,
  nested,
  chains,
  roots,
  many,
  opening,
  dying,
];
export { chains, lists, many, nested, strings };
