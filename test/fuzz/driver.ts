/**
 * Runs random operations on a pool and on the model side by side: transactions of a few operations, rolled back
 * now and then as a whole or to a savepoint; reopened after a close or a death, copied in the middle of a transaction as a crash would
 * leave it, filled up. Everything follows from the seed.
 */
import { expect } from 'vitest';
import type { PersistentList, PersistentMap, PersistentQueue } from '../../src/index.js';
import { type FixedArray, type PerdureError, Pool, type PoolOptions } from '../../src/index.js';
import type { ClassOf, FieldType } from '../../src/layout/index.js';
import { layoutOf } from '../../src/layout/index.js';
import { Random } from '../../src/testing/index.js';
import {
  Comparison,
  keyOf,
  ModelMap,
  ModelObject,
  ModelSequence,
  randomKey,
  randomValue,
  setEntry,
} from './model.js';
import { FuzzDirect, FuzzLeaf, FuzzNode, FuzzWorld } from './schema.js';

export interface FuzzOptions {
  readonly seed: number;
  readonly ops: number;
  readonly path: string;
  readonly pool: PoolOptions;
  /** Copies a pool, and the log beside it if there is one: what the death of its process would leave. */
  copy(from: string, to: string): void;
  /** Ends the process as far as the pool is concerned; null where it cannot be done. */
  readonly die: (() => void) | null;
  /** Bytes of a value that does not fit the pool any more; 0: the pool is not filled up. */
  readonly tooLarge: number;
  /** Transactions between two comparisons of everything, and between two checks. */
  readonly compareEvery: number;
  readonly checkEvery: number;
}

export interface FuzzResult {
  readonly ops: number;
  readonly txns: number;
  readonly rollbacks: number;
  readonly savepoints: number;
  readonly refusals: number;
  readonly full: number;
  readonly reopens: number;
  readonly copies: number;
  readonly checks: number;
}

/** Thrown on purpose, to roll back. */
class Rollback extends Error {}

const MAX_NODES = 40;
const MAX_ITEMS = 120;
const NODE_CLASSES: readonly ClassOf[] = [FuzzNode, FuzzLeaf, FuzzDirect];
const NAMES = ['a', 'b', 'ç', '漢'];

/** @throws Error with seed and operation when pool and model differ */
export function runFuzz(options: FuzzOptions): FuzzResult {
  const run = new FuzzRun(options);
  try {
    return run.run();
  } catch (error) {
    throw new Error(`seed ${options.seed}, operation ${run.op}: ${(error as Error).message}`, {
      cause: error,
    });
  } finally {
    run.pool.close();
  }
}

class FuzzRun {
  readonly #options: FuzzOptions;
  readonly #random: Random;
  pool: Pool;
  op = 0;
  #world = new ModelObject(FuzzWorld);
  #instances = new Map<ModelObject, object>();
  #nodes: ModelObject[] = [];
  readonly #named = new Map<string, ModelObject>();
  readonly #undo: (() => void)[] = [];
  #created: object[] = [];
  readonly #counts = {
    txns: 0,
    rollbacks: 0,
    savepoints: 0,
    refusals: 0,
    full: 0,
    reopens: 0,
    copies: 0,
    checks: 0,
  };

  constructor(options: FuzzOptions) {
    this.#options = options;
    this.#random = new Random(options.seed);
    this.pool = Pool.open(options.path, options.pool);
    this.#instances.set(this.#world, this.pool.root<object>());
  }

  run(): FuzzResult {
    const { ops, compareEvery, checkEvery } = this.#options;
    for (let txn = 1; this.op < ops; txn += 1) {
      this.#txn();
      if (txn % compareEvery === 0) this.#compare();
      if (txn % checkEvery === 0) this.#check();
      if (this.#random.chance(1 / (compareEvery * 4))) this.#reopen();
    }
    this.#compare();
    this.#check();
    this.#reopen();
    return { ops: this.op, ...this.#counts };
  }

  // ---------------------------------------------------------------------------------------- transactions

  #txn(): void {
    const random = this.#random;
    const fails = random.chance(0.1);
    const copies = fails && random.chance(1 / this.#options.compareEvery);
    const fills = this.#options.tooLarge > 0 && random.chance(0.01);
    const swallows = random.chance(0.5);
    // The pool may be full before the copy is made.
    let copied = false;
    this.#counts.txns += 1;
    this.#created = [];
    const committed = this.#attempt(() => {
      this.#operations(1 + random.int(random.chance(0.05) ? 200 : 16), 0);
      if (copies) {
        this.#options.copy(this.#options.path, this.#copyPath);
        copied = true;
      }
      if (fills) this.#fill(swallows);
      if (fails) throw new Rollback('rolled back on purpose');
    });
    if (committed) {
      if (fails || fills) expect.fail('a transaction that had to fail has committed');
      this.#undo.length = 0;
    } else {
      this.#counts.rollbacks += 1;
      if (copied) this.#compareCopy();
      this.#expectStale();
    }
  }

  /** Runs a transaction or savepoint; the model follows if it is rolled back. */
  #attempt(body: () => void): boolean {
    const mark = this.#undo.length;
    try {
      this.pool.txn(body);
      return true;
    } catch (error) {
      while (this.#undo.length > mark) (this.#undo.pop() as () => void)();
      if (!(error instanceof Rollback) && (error as PerdureError).code !== 'POOL_FULL') throw error;
      return false;
    }
  }

  #operations(count: number, depth: number): void {
    const random = this.#random;
    for (let i = 0; i < count; i += 1) {
      if (depth < 3 && random.chance(0.04)) {
        this.#counts.savepoints += 1;
        const fails = random.chance(0.4);
        this.#attempt(() => {
          this.#operations(1 + random.int(6), depth + 1);
          if (fails) throw new Rollback('savepoint');
        });
      } else {
        this.op += 1;
        try {
          this.#operation();
        } catch (error) {
          if ((error as PerdureError).code === 'POOL_FULL') this.#counts.full += 1;
          throw error;
        }
      }
    }
  }

  #fill(swallow: boolean): void {
    this.#counts.full += 1;
    const world = this.#instances.get(this.#world) as { bytes: Uint8Array };
    const attempt = (): void => {
      world.bytes = new Uint8Array(this.#options.tooLarge);
    };
    if (swallow) expect(attempt).toThrow(/full/);
    else attempt();
  }

  // ---------------------------------------------------------------------------------------- whole-pool steps

  get #copyPath(): string {
    return `${this.#options.path}.copy`;
  }

  #comparison(pool: Pool): Comparison {
    const comparison = new Comparison();
    comparison.object(pool.root<object>(), this.#world, 'root');
    for (const [name, model] of this.#named) comparison.object(pool.named.get(name), model, `named ${name}`);
    expect([...pool.named.keys()].sort()).toEqual([...this.#named.keys()].sort());
    return comparison;
  }

  #compare(): void {
    const { pairs } = this.#comparison(this.pool);
    for (const [model, instance] of pairs) {
      if (this.#instances.get(model) !== instance)
        expect.fail(`a ${model.type.name} is another instance now`);
    }
  }

  #check(pool = this.pool): void {
    this.#counts.checks += 1;
    const report = pool.check();
    if (!report.ok) expect.fail(`check: ${report.problems.join('; ')}`);
    if (report.leakedBlocks !== 0) expect.fail(`${report.leakedBlocks} blocks leaked`);
  }

  #reopen(): void {
    this.#counts.reopens += 1;
    const { path, pool, die } = this.#options;
    if (die !== null && this.#random.chance(0.5)) die();
    else this.pool.close();
    this.pool = Pool.open(path, pool);
    const { pairs } = this.#comparison(this.pool);
    this.#instances = new Map(pairs);
    this.#nodes = this.#nodes.filter((node) => pairs.has(node));
  }

  /** The file as it was in the middle of a transaction that was rolled back since. */
  #compareCopy(): void {
    this.#counts.copies += 1;
    const copy = Pool.open(this.#copyPath, this.#options.pool);
    try {
      this.#comparison(copy);
      this.#check(copy);
    } finally {
      copy.close();
    }
  }

  #expectStale(): void {
    const object = this.#created.pop() as { name: string } | undefined;
    if (object === undefined) return;
    let code = 'nothing';
    try {
      object.name;
    } catch (error) {
      code = (error as PerdureError).code;
    }
    if (code !== 'STALE_OBJECT') expect.fail(`an object that was rolled back answers with ${code}`);
  }

  // ---------------------------------------------------------------------------------------- operations

  #operation(): void {
    const random = this.#random;
    if (random.chance(0.02) || this.#nodes.length === 0) this.#createNode();
    else if (random.chance(0.01)) this.#changeNamed();
    const model = random.chance(0.7) ? this.#world : random.pick([this.#world, ...this.#nodes]);
    this.#changeObject(this.#instances.get(model) as object, model, 0);
  }

  #createNode(): void {
    const random = this.#random;
    const type = random.pick(NODE_CLASSES);
    const model = new ModelObject(type);
    const instance = new (type as new () => object)();
    const name = `node ${this.op}`;
    (instance as FuzzNode).name = name;
    model.values.name = name;
    const nodes = this.#nodes;
    const at = nodes.length < MAX_NODES ? nodes.length : random.int(MAX_NODES);
    const old = nodes[at];
    nodes[at] = model;
    this.#instances.set(model, instance);
    this.#created.push(instance);
    this.#undo.push(() => {
      this.#instances.delete(model);
      if (old === undefined) nodes.length = at;
      else nodes[at] = old;
    });
  }

  #changeNamed(): void {
    const random = this.#random;
    const name = random.pick(NAMES);
    const before = this.#named.get(name);
    if (random.chance(0.3)) {
      expect(this.pool.named.delete(name)).toBe(before !== undefined);
      this.#named.delete(name);
    } else {
      const model = random.pick(this.#nodes);
      this.pool.named.set(name, this.#instances.get(model) as object);
      this.#named.set(name, model);
    }
    this.#undo.push(() => {
      if (before === undefined) this.#named.delete(name);
      else this.#named.set(name, before);
    });
  }

  #changeObject(instance: object, model: ModelObject, depth: number): void {
    const random = this.#random;
    const { name, type } = random.pick(layoutOf(model.type).fields);
    const fields = instance as Record<string, unknown>;
    const inside = model.values[name];
    const isStructure = inside instanceof ModelObject ? type.kind === 'embedded' : isContainer(inside);
    if (isStructure && random.chance(0.93)) {
      this.#changeInside(type, fields[name], inside, depth);
      return;
    }
    if (random.chance(0.03)) {
      this.#refused(() => {
        fields[name] = Symbol('no value of any field');
      });
      return;
    }
    const pair = randomValue(random, type, this.#objects, depth);
    fields[name] = pair.give;
    const { values } = model;
    values[name] = pair.model;
    this.#undo.push(() => {
      values[name] = inside;
    });
    if (random.chance(0.2)) this.#compareValue(type, fields[name], pair.model, name);
  }

  #changeInside(type: FieldType, actual: unknown, model: unknown, depth: number): void {
    const random = this.#random;
    if (type.kind === 'embedded') {
      this.#changeObject(actual as object, model as ModelObject, depth + 1);
    } else if (type.kind === 'map') {
      const map = actual as PersistentMap;
      const element = random.chance(0.3)
        ? random.pick([...(model as ModelMap).entries.values(), null])
        : null;
      if (element !== null && isContainer(element.value)) {
        this.#changeInside(type.value, map.get(this.#give(element.key)), element.value, depth + 1);
      } else {
        this.#changeMap(type, map, model as ModelMap);
      }
    } else if (type.kind === 'list' || type.kind === 'queue' || type.kind === 'fixedArray') {
      const { items } = model as ModelSequence;
      const index = random.int(items.length + 1);
      if (type.kind === 'list' && isContainer(items[index]) && random.chance(0.5)) {
        this.#changeInside(type.element, (actual as PersistentList).at(index), items[index], depth + 1);
      } else if (type.kind === 'list') {
        this.#changeList(type.element, actual as PersistentList, model as ModelSequence);
      } else if (type.kind === 'queue') {
        this.#changeQueue(type.element, actual as PersistentQueue, model as ModelSequence);
      } else {
        this.#changeFixed(type.element, actual as FixedArray, model as ModelSequence);
      }
    }
    if (random.chance(0.05)) this.#compareValue(type, actual, model, 'inside');
  }

  #changeList(element: FieldType, list: PersistentList, model: ModelSequence): void {
    const random = this.#random;
    const value = () => randomValue(random, element, this.#objects, 1);
    const before = model.items;
    const { length } = before;
    const index = random.int(length + 1);
    const items = this.#ownItems(model);
    const choice = length > MAX_ITEMS ? 9 : random.int(16);
    switch (choice) {
      case 0:
      case 1:
      case 2: {
        const pair = value();
        expect(list.push(pair.give)).toBe(items.push(pair.model));
        return;
      }
      case 3: {
        const pairs = Array.from({ length: random.int(30) }, value);
        list.push(...pairs.map((pair) => pair.give));
        items.push(...pairs.map((pair) => pair.model));
        return;
      }
      case 4: {
        const popped = list.pop();
        if (isScalar(element)) this.#compareResult(element, popped, items.pop());
        else items.pop();
        return;
      }
      case 5: {
        const shifted = list.shift();
        if (isScalar(element)) this.#compareResult(element, shifted, items.shift());
        else items.shift();
        return;
      }
      case 6: {
        const pair = value();
        list.unshift(pair.give);
        items.unshift(pair.model);
        return;
      }
      case 7: {
        const pair = value();
        list.insert(index, pair.give);
        items.splice(index, 0, pair.model);
        return;
      }
      case 8:
      case 9: {
        const pairs = Array.from({ length: random.int(4) }, value);
        const count = random.int(choice === 9 ? length : 4);
        list.splice(index, count, ...pairs.map((pair) => pair.give));
        items.splice(index, count, ...pairs.map((pair) => pair.model));
        return;
      }
      case 10: {
        if (random.chance(0.9)) return;
        list.clear();
        items.length = 0;
        return;
      }
      case 11: {
        list.length = Math.max(0, length - random.int(3));
        items.length = list.length;
        return;
      }
      case 12: {
        list.reverse();
        items.reverse();
        return;
      }
      case 13:
        this.#refused(() => list.splice(index, 2, Symbol('no element') as never));
        return;
      default: {
        const pair = value();
        list[index] = pair.give;
        items[index] = pair.model;
      }
    }
  }

  #changeQueue(element: FieldType, queue: PersistentQueue, model: ModelSequence): void {
    const random = this.#random;
    const before = model.items.length;
    const items = this.#ownItems(model);
    const choice = before > MAX_ITEMS ? 3 : random.int(7);
    if (choice < 2) {
      const pairs = Array.from({ length: random.int(choice === 0 ? 2 : 12) }, () =>
        randomValue(random, element, this.#objects, 1),
      );
      queue.enqueue(...pairs.map((pair) => pair.give));
      items.push(...pairs.map((pair) => pair.model));
    } else if (choice < 6) {
      for (let left = random.int(choice === 3 ? 12 : 2); left >= 0; left -= 1) {
        if (isScalar(element)) this.#compareResult(element, queue.peek(), items[0]);
        const dequeued = queue.dequeue();
        if (isScalar(element)) this.#compareResult(element, dequeued, items[0]);
        items.shift();
      }
    } else if (random.chance(0.1)) {
      queue.clear();
      items.length = 0;
    }
  }

  #changeMap(type: FieldType & { kind: 'map' }, map: PersistentMap, model: ModelMap): void {
    const random = this.#random;
    const key = randomKey(random, type.key, this.#objects);
    if (key.model === null) return;
    const id = keyOf(key.model);
    const { entries } = model;
    const known = entries.get(id);
    const choice = entries.size > MAX_ITEMS ? 5 : random.int(9);
    if (choice < 4) {
      const value = randomValue(random, type.value, this.#objects, 1);
      this.#undo.push(() => {
        if (known === undefined) entries.delete(id);
        else entries.set(id, known);
      });
      map.set(key.give, value.give);
      setEntry(model, key.model, value.model);
    } else if (choice < 7) {
      this.#undo.push(() => {
        model.entries = entries;
      });
      model.entries = new Map(entries);
      expect(map.delete(key.give)).toBe(model.entries.delete(id));
    } else if (choice === 7) {
      expect(map.has(key.give)).toBe(known !== undefined);
      if (known !== undefined) this.#compareValue(type.value, map.get(key.give), known.value, 'map value');
    } else if (random.chance(0.1)) {
      this.#undo.push(() => {
        model.entries = entries;
      });
      map.clear();
      model.entries = new Map();
    } else {
      this.#refused(() => map.set(key.give, Symbol('no value')));
    }
  }

  #changeFixed(element: FieldType, array: FixedArray, model: ModelSequence): void {
    const random = this.#random;
    const index = random.int(model.items.length);
    const pair = randomValue(random, element, this.#objects, 1);
    const items = this.#ownItems(model);
    if (random.chance(0.5)) array[index] = pair.give;
    else array.set(index, pair.give);
    items[index] = pair.model;
  }

  // ---------------------------------------------------------------------------------------- helpers

  /** A copy of the elements to be changed; a rollback goes back to the array that was. */
  #ownItems(model: ModelSequence): unknown[] {
    const before = model.items;
    this.#undo.push(() => {
      model.items = before;
    });
    model.items = before.slice();
    return model.items;
  }

  readonly #objects = {
    pick: (type: ClassOf): ModelObject | null => {
      if (type === FuzzWorld) return this.#world;
      const fitting = this.#nodes.filter(
        (node) => node.type === type || layoutOf(node.type).bases.includes(type),
      );
      return fitting.length === 0 ? null : this.#random.pick(fitting);
    },
    instanceOf: (model: ModelObject): object => this.#instances.get(model) as object,
  };

  /** What a key of the model is called in the pool. */
  #give(key: unknown): unknown {
    return key instanceof ModelObject ? this.#instances.get(key) : key;
  }

  #refused(body: () => unknown): void {
    this.#counts.refusals += 1;
    let code = 'nothing';
    try {
      body();
    } catch (error) {
      code = (error as PerdureError).code;
    }
    if (code !== 'VALUE') expect.fail(`a symbol was answered with ${code}`);
  }

  #compareResult(type: FieldType, actual: unknown, model: unknown): void {
    if (model === undefined || actual === undefined) {
      if (model !== actual) expect.fail(`got ${String(actual)}, model ${String(model)}`);
    } else {
      new Comparison().value(type, actual, model, 'result');
    }
  }

  #compareValue(type: FieldType, actual: unknown, model: unknown, where: string): void {
    if (type.kind === 'ref') {
      if (actual !== (model === null ? null : this.#instances.get(model as ModelObject))) {
        expect.fail(`${where}: another object`);
      }
    } else {
      new Comparison().value(type, actual, model, where);
    }
  }
}

function isContainer(model: unknown): model is ModelSequence | ModelMap {
  return model instanceof ModelSequence || model instanceof ModelMap;
}

function isScalar(type: FieldType): boolean {
  return !['ref', 'list', 'queue', 'map'].includes(type.kind);
}
