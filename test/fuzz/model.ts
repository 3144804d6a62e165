/**
 * The naive model: plain objects, arrays and Maps with an undo list. What a field of each type holds at first,
 * how a random value of it is made (for the pool and for the model at once), and how the two are compared.
 */
import { expect } from 'vitest';
import { type ClassOf, type FieldType, layoutOf } from '../../src/layout/index.js';
import type { Random } from '../../src/testing/index.js';

export class ModelObject {
  readonly type: ClassOf;
  readonly values: Record<string, unknown> = {};

  constructor(type: ClassOf) {
    this.type = type;
    for (const field of layoutOf(type).fields) this.values[field.name] = initialValue(field.type);
  }
}

/** A list, queue or fixed array. */
export class ModelSequence {
  items: unknown[];
  constructor(items: unknown[] = []) {
    this.items = items;
  }
}

/** Entries by what makes keys equal. */
export class ModelMap {
  entries = new Map<unknown, { key: unknown; value: unknown }>();
}

/** A random value: as it is given to the pool, and as the model holds it. */
export interface Pair {
  readonly give: unknown;
  readonly model: unknown;
}

/** The objects there are to refer to. */
export interface Objects {
  pick(type: ClassOf): ModelObject | null;
  instanceOf(object: ModelObject): object;
}

export function initialValue(type: FieldType): unknown {
  if (type.nullable) return null;
  switch (type.kind) {
    case 'i64':
    case 'u64':
      return 0n;
    case 'bool':
      return false;
    case 'date':
      return new Date(0);
    case 'enum':
      return type.values[0];
    case 'string':
      return '';
    case 'bytes':
      return new Uint8Array(0);
    case 'typedArray':
      return new (typedArrayClass(type.array))(0);
    case 'ref':
      return null;
    case 'embedded':
      return new ModelObject(type.target());
    case 'fixedArray':
      return new ModelSequence(Array.from({ length: type.length }, () => initialValue(type.element)));
    case 'list':
    case 'queue':
      return new ModelSequence();
    case 'map':
      return new ModelMap();
    default:
      return 0;
  }
}

export function randomValue(random: Random, type: FieldType, objects: Objects, depth = 0): Pair {
  if (type.nullable && type.kind !== 'ref' && random.chance(0.2)) return same(null);
  switch (type.kind) {
    case 'i8':
      return same(random.between(-128, 127));
    case 'u8':
      return same(random.int(256));
    case 'i16':
      return same(random.between(-32768, 32767));
    case 'u16':
      return same(random.int(65536));
    case 'i32':
      return same(random.chance(0.5) ? random.u32() | 0 : random.between(-20, 20));
    case 'u32':
      return same(random.chance(0.5) ? random.u32() : random.int(20));
    case 'f32': {
      const value = randomFloat(random);
      return { give: value, model: Math.fround(value) };
    }
    case 'f64':
      return same(randomFloat(random));
    case 'i64':
      return same(BigInt.asIntN(64, randomBigint(random)));
    case 'u64':
      return same(BigInt.asUintN(64, randomBigint(random)));
    case 'bool':
      return same(random.chance(0.5));
    case 'date':
      return same(
        new Date(random.chance(0.5) ? random.int(30) : random.between(-8.64e15 / 2 ** 22, 2 ** 31)),
      );
    case 'enum':
      return same(random.pick(type.values));
    case 'string':
      return same(randomString(random));
    case 'bytes':
      return same(Uint8Array.from({ length: randomLength(random) }, () => random.int(256)));
    case 'typedArray':
      return same(typedArrayClass(type.array).from({ length: random.int(9) }, () => random.int(1000)));
    case 'ref': {
      const object = random.chance(0.15) ? null : objects.pick(type.target());
      return { give: object === null ? null : objects.instanceOf(object), model: object };
    }
    case 'embedded':
      return randomStruct(random, type.target(), objects, depth);
    case 'fixedArray':
      return sequence(Array.from({ length: type.length }, () => randomValue(random, type.element, objects)));
    case 'list':
    case 'queue': {
      const length = depth > 0 ? random.int(5) : random.int(random.chance(0.05) ? 80 : 8);
      return sequence(Array.from({ length }, () => randomValue(random, type.element, objects, depth + 1)));
    }
    case 'map': {
      const model = new ModelMap();
      const give: [unknown, unknown][] = [];
      for (let left = random.int(5); left > 0; left -= 1) {
        const key = randomKey(random, type.key, objects);
        if (key.model === null) continue;
        const value = randomValue(random, type.value, objects, depth + 1);
        give.push([key.give, value.give]);
        setEntry(model, key.model, value.model);
      }
      return { give: new Map(give), model };
    }
  }
}

/** Keys are drawn from small ranges, so that they are met again. */
export function randomKey(random: Random, type: FieldType, objects: Objects): Pair {
  if (type.kind === 'string') return same(`${random.pick(['k', 'ключ', 'ÿ'])}${random.int(40)}`);
  if (type.kind === 'f64' || type.kind === 'f32')
    return same(random.pick([0, -0, 1.5, Number.NaN, -7, 2 ** 40]));
  if (type.kind === 'i64') return same(random.pick([0n, -1n, 5n, -(2n ** 63n), 2n ** 63n - 1n]));
  if (type.kind === 'u64') return same(random.pick([0n, 1n, 5n, 2n ** 64n - 1n]));
  return randomValue(random, type, objects);
}

/** What makes two keys one. */
export function keyOf(key: unknown): unknown {
  return key instanceof Date ? `date ${key.getTime()}` : key;
}

export function setEntry(map: ModelMap, key: unknown, value: unknown): void {
  const known = map.entries.get(keyOf(key));
  if (known === undefined) map.entries.set(keyOf(key), { key, value });
  else map.entries.set(keyOf(key), { key: known.key, value });
}

function same(value: unknown): Pair {
  return { give: value, model: value };
}

function sequence(pairs: readonly Pair[]): Pair {
  return { give: pairs.map((pair) => pair.give), model: new ModelSequence(pairs.map((pair) => pair.model)) };
}

/** Some of the fields; those that are left out go back to their initial values. */
function randomStruct(random: Random, type: ClassOf, objects: Objects, depth: number): Pair {
  const model = new ModelObject(type);
  const give: Record<string, unknown> = {};
  for (const field of layoutOf(type).fields) {
    if (random.chance(0.4)) continue;
    const pair = randomValue(random, field.type, objects, depth + 1);
    give[field.name] = pair.give;
    model.values[field.name] = pair.model;
  }
  return { give, model };
}

function randomFloat(random: Random): number {
  return random.chance(0.2)
    ? random.pick([Number.NaN, -0, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 5e-324, 1e308])
    : (random.float() - 0.5) * 10 ** random.between(-10, 20);
}

function randomBigint(random: Random): bigint {
  return (BigInt(random.u32()) << 32n) | BigInt(random.u32());
}

function randomLength(random: Random): number {
  if (random.chance(0.7)) return random.int(30);
  return random.chance(0.98) ? random.int(600) : random.int(70_000);
}

const ALPHABETS = ['abcdefgh ', 'äöüßÿ\0', 'жщ漢\ud83d\ude00', '\ud800x\udc00'];

function randomString(random: Random): string {
  const alphabet = random.pick(ALPHABETS);
  const length = randomLength(random);
  let text = '';
  for (let i = 0; i < Math.min(length, 40); i += 1) text += alphabet[random.int(alphabet.length)];
  return length > 40 ? text.repeat(Math.ceil(length / 40)).slice(0, length) : text;
}

// biome-ignore lint/suspicious/noExplicitAny: the constructors have no common type
function typedArrayClass(name: string): any {
  return (globalThis as unknown as Record<string, unknown>)[name];
}

/** Compares what the pool holds with the model; objects are paired off as they are met. */
export class Comparison {
  readonly #pairs = new Map<ModelObject, object>();
  readonly #models = new Map<object, ModelObject>();
  readonly #pending: ModelObject[] = [];

  /** Every object met, and its instance. */
  get pairs(): ReadonlyMap<ModelObject, object> {
    return this.#pairs;
  }

  object(instance: unknown, model: ModelObject, where: string): void {
    this.#meet(instance, model, where);
    for (let next = this.#pending.pop(); next !== undefined; next = this.#pending.pop()) {
      this.#fields(this.#pairs.get(next) as object, next, next.type.name);
    }
  }

  value(type: FieldType, actual: unknown, model: unknown, where: string): void {
    if (model === null || actual === null) {
      if (model !== actual) expect.fail(`${where}: ${show(actual)}, model ${show(model)}`);
      return;
    }
    switch (type.kind) {
      case 'ref':
        this.#meet(actual, model as ModelObject, where);
        return;
      case 'embedded':
        this.#fields(actual as object, model as ModelObject, where);
        return;
      case 'fixedArray':
      case 'list':
      case 'queue': {
        const { items } = model as ModelSequence;
        const { length } = actual as { length: number };
        if (length !== items.length) expect.fail(`${where}: length ${length}, model ${items.length}`);
        let i = 0;
        for (const element of actual as Iterable<unknown>) {
          this.value(type.element, element, items[i], `${where}[${i}]`);
          i += 1;
        }
        if (i !== items.length) expect.fail(`${where}: iteration gave ${i}, model ${items.length}`);
        return;
      }
      case 'map': {
        const { entries } = model as ModelMap;
        const map = actual as ReadonlyMap<unknown, unknown>;
        if (map.size !== entries.size) expect.fail(`${where}: size ${map.size}, model ${entries.size}`);
        const expected = [...entries.values()];
        let i = 0;
        for (const [key, value] of map) {
          this.value(type.key, key, expected[i]?.key, `${where} key ${i}`);
          this.value(type.value, value, expected[i]?.value, `${where}[${String(expected[i]?.key)}]`);
          i += 1;
        }
        if (i !== entries.size) expect.fail(`${where}: iteration gave ${i}, model ${entries.size}`);
        return;
      }
      default:
        if (!equalScalars(type, actual, model))
          expect.fail(`${where}: ${show(actual)}, model ${show(model)}`);
    }
  }

  #meet(actual: unknown, model: ModelObject, where: string): void {
    const known = this.#pairs.get(model);
    const other = this.#models.get(actual as object);
    if (known === undefined && other === undefined) {
      if (typeof actual !== 'object' || actual === null || actual.constructor !== model.type) {
        expect.fail(`${where}: ${show(actual)}, model a ${model.type.name}`);
      }
      this.#pairs.set(model, actual);
      this.#models.set(actual, model);
      this.#pending.push(model);
    } else if (known !== actual) {
      expect.fail(`${where}: a different object from the one met before`);
    }
  }

  #fields(instance: object, model: ModelObject, where: string): void {
    for (const field of layoutOf(model.type).fields) {
      const actual = (instance as Record<string, unknown>)[field.name];
      this.value(field.type, actual, model.values[field.name], `${where}.${field.name}`);
    }
  }
}

function equalScalars(type: FieldType, actual: unknown, model: unknown): boolean {
  if (type.kind === 'date') return (actual as Date).getTime() === (model as Date).getTime();
  if (type.kind === 'bytes' || type.kind === 'typedArray') {
    const [a, b] = [actual as Uint8Array, model as Uint8Array];
    return (
      a.constructor === b.constructor &&
      a.length === b.length &&
      a.every((value, i) => Object.is(value, b[i]))
    );
  }
  // A map stores the key -0 as 0, as Map does.
  return (
    Object.is(actual, model) ||
    (actual === 0 && model === 0 && type.kind !== 'f64' && type.kind !== 'f32') ||
    actual === model
  );
}

function show(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value.slice(0, 60));
  return typeof value === 'object' && value !== null ? `a ${value.constructor?.name}` : String(value);
}
