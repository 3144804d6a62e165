/**
 * The reading half of Array's interface, over a length and an element by index: what a list has in common with
 * an array that nobody changes. Callbacks may change the list; what they are called with then is what Array's
 * methods would call them with.
 *
 * It may not change anything.
 */
import { type InspectOptions, inspect } from 'node:util';
import { addIndexAccess, Container, GET, type Indexed, SET } from '../instance/index.js';

type Visit<T, S, R> = (value: T, index: number, sequence: S) => R;

/** Position that Array's methods make of a relative index. */
export function clampIndex(index: number | undefined, length: number, absent: number): number {
  if (index === undefined) return absent;
  const whole = Math.trunc(index) || 0;
  return whole < 0 ? Math.max(length + whole, 0) : Math.min(whole, length);
}

/** How containers print: `PersistentList(3) [ 1, 2, 3 ]`, cut off like an array. */
export function inspectElements(options: {
  readonly name: string;
  readonly length: number;
  readonly first: (count: number) => unknown[];
  readonly depth: number;
  readonly inspectOptions: InspectOptions;
}): string {
  const { name, length, depth, inspectOptions } = options;
  if (depth < 0) return `[${name}]`;
  const shown = Math.min(length, inspectOptions.maxArrayLength ?? length);
  const elements = options.first(shown);
  if (shown < length) {
    const more = length - shown;
    elements.push({ [inspect.custom]: () => `... ${more} more item${more > 1 ? 's' : ''}` });
  }
  return `${name}(${length}) ${inspect(elements, { ...inspectOptions, maxArrayLength: null, depth })}`;
}

export abstract class Sequence<T, Codecs = unknown>
  extends Container<Codecs>
  implements Indexed, Iterable<T>
{
  abstract get length(): number;
  abstract [GET](index: number): T | undefined;
  abstract [SET](index: number, value: unknown): void;

  /** Array's `indexOf`: compares with `===`; objects by identity. */
  indexOf(value: T, fromIndex?: number): number {
    const { length } = this;
    for (let i = clampIndex(fromIndex, length, 0); i < length; i++) if (this[GET](i) === value) return i;
    return -1;
  }

  /** Array's `lastIndexOf`. */
  lastIndexOf(value: T, fromIndex = this.length - 1): number {
    const { length } = this;
    const whole = Math.trunc(fromIndex) || 0;
    for (let i = whole < 0 ? length + whole : Math.min(whole, length - 1); i >= 0; i--) {
      if (this[GET](i) === value) return i;
    }
    return -1;
  }

  /** Array's `includes`: as `indexOf`, and NaN is found. */
  includes(value: T, fromIndex?: number): boolean {
    const { length } = this;
    for (let i = clampIndex(fromIndex, length, 0); i < length; i++) {
      const element = this[GET](i);
      if (element === value || Object.is(element, value)) return true;
    }
    return false;
  }

  /** Array's `find`. */
  find<S extends T>(
    predicate: (value: T, index: number, sequence: this) => value is S,
    thisArg?: unknown,
  ): S | undefined;
  find(predicate: Visit<T, this, unknown>, thisArg?: unknown): T | undefined;
  find(predicate: Visit<T, this, unknown>, thisArg?: unknown): T | undefined {
    const { length } = this;
    for (let i = 0; i < length; i++) {
      const value = this[GET](i) as T;
      if (predicate.call(thisArg, value, i, this)) return value;
    }
    return undefined;
  }

  /** Array's `findIndex`. */
  findIndex(predicate: Visit<T, this, unknown>, thisArg?: unknown): number {
    const { length } = this;
    for (let i = 0; i < length; i++) if (predicate.call(thisArg, this[GET](i) as T, i, this)) return i;
    return -1;
  }

  /** Array's `findLast`. */
  findLast(predicate: Visit<T, this, unknown>, thisArg?: unknown): T | undefined {
    for (let i = this.length - 1; i >= 0; i--) {
      const value = this[GET](i) as T;
      if (predicate.call(thisArg, value, i, this)) return value;
    }
    return undefined;
  }

  /** Array's `findLastIndex`. */
  findLastIndex(predicate: Visit<T, this, unknown>, thisArg?: unknown): number {
    for (let i = this.length - 1; i >= 0; i--) {
      if (predicate.call(thisArg, this[GET](i) as T, i, this)) return i;
    }
    return -1;
  }

  /** Array's `forEach`. */
  forEach(visit: Visit<T, this, void>, thisArg?: unknown): void {
    const { length } = this;
    for (let i = 0; i < length && i < this.length; i++) visit.call(thisArg, this[GET](i) as T, i, this);
  }

  /** Array's `map`; the result is a plain array. */
  map<U>(transform: Visit<T, this, U>, thisArg?: unknown): U[] {
    const { length } = this;
    const result = new Array<U>(length);
    for (let i = 0; i < length && i < this.length; i++) {
      result[i] = transform.call(thisArg, this[GET](i) as T, i, this);
    }
    return result;
  }

  /** Array's `flatMap`; lists that the callback returns are flattened like arrays. */
  flatMap<U>(transform: Visit<T, this, U | readonly U[] | Sequence<U>>, thisArg?: unknown): U[] {
    const result: U[] = [];
    this.forEach((value, index) => {
      const part = transform.call(thisArg, value, index, this);
      if (Array.isArray(part) || part instanceof Sequence)
        for (const element of part) result.push(element as U);
      else result.push(part as U);
    });
    return result;
  }

  /** Array's `filter`; the result is a plain array. */
  filter<S extends T>(
    predicate: (value: T, index: number, sequence: this) => value is S,
    thisArg?: unknown,
  ): S[];
  filter(predicate: Visit<T, this, unknown>, thisArg?: unknown): T[];
  filter(predicate: Visit<T, this, unknown>, thisArg?: unknown): T[] {
    const result: T[] = [];
    this.forEach((value, index) => {
      if (predicate.call(thisArg, value, index, this)) result.push(value);
    });
    return result;
  }

  /** Array's `some`. */
  some(predicate: Visit<T, this, unknown>, thisArg?: unknown): boolean {
    const { length } = this;
    for (let i = 0; i < length && i < this.length; i++) {
      if (predicate.call(thisArg, this[GET](i) as T, i, this)) return true;
    }
    return false;
  }

  /** Array's `every`. */
  every(predicate: Visit<T, this, unknown>, thisArg?: unknown): boolean {
    return !this.some((value, index) => !predicate.call(thisArg, value, index, this));
  }

  /** Array's `reduce`. @throws TypeError when there is no element and no initial value */
  reduce(combine: (accumulator: T, value: T, index: number, sequence: this) => T): T;
  reduce<U>(combine: (accumulator: U, value: T, index: number, sequence: this) => U, initial: U): U;
  reduce<U>(combine: (accumulator: U, value: T, index: number, sequence: this) => U, ...initial: [U?]): U {
    const { length } = this;
    let i = 0;
    if (initial.length === 0 && length === 0)
      throw new TypeError('reduce of an empty list with no initial value');
    let accumulator = (initial.length === 0 ? this[GET](i++) : initial[0]) as U;
    for (; i < length && i < this.length; i++) accumulator = combine(accumulator, this[GET](i) as T, i, this);
    return accumulator;
  }

  /** Array's `reduceRight`. @throws TypeError when there is no element and no initial value */
  reduceRight(combine: (accumulator: T, value: T, index: number, sequence: this) => T): T;
  reduceRight<U>(combine: (accumulator: U, value: T, index: number, sequence: this) => U, initial: U): U;
  reduceRight<U>(
    combine: (accumulator: U, value: T, index: number, sequence: this) => U,
    ...initial: [U?]
  ): U {
    let i = this.length - 1;
    if (initial.length === 0 && i < 0) throw new TypeError('reduce of an empty list with no initial value');
    let accumulator = (initial.length === 0 ? this[GET](i--) : initial[0]) as U;
    for (; i >= 0; i--) {
      if (i < this.length) accumulator = combine(accumulator, this[GET](i) as T, i, this);
    }
    return accumulator;
  }

  /** Array's `slice`; the result is a plain array. */
  slice(start?: number, end?: number): T[] {
    const { length } = this;
    const from = clampIndex(start, length, 0);
    const to = clampIndex(end, length, length);
    const result: T[] = [];
    for (let i = from; i < to; i++) result.push(this[GET](i) as T);
    return result;
  }

  /** Array's `concat`; the result is a plain array, and lists are spread like arrays. */
  concat<U>(...others: readonly (U | readonly U[] | Sequence<U>)[]): (T | U)[] {
    return (this.toArray() as (T | U)[]).concat(
      ...others.map((other) => (other instanceof Sequence ? other.toArray() : (other as U | readonly U[]))),
    );
  }

  /** Array's `toReversed`: a plain array. */
  toReversed(): T[] {
    return this.toArray().reverse();
  }

  /** Array's `toSorted`: a plain array. */
  toSorted(compare?: (a: T, b: T) => number): T[] {
    return this.toArray().sort(compare);
  }

  /** Array's `toSpliced`: a plain array. */
  toSpliced(...args: [start: number, deleteCount?: number, ...values: T[]]): T[] {
    const result = this.toArray();
    Reflect.apply(result.splice, result, args);
    return result;
  }

  /** Array's `with`: a plain array with one element replaced. @throws RangeError when there is no such element */
  with(index: number, value: T): T[] {
    const result = this.toArray();
    const at = Math.trunc(index) || 0;
    const position = at < 0 ? result.length + at : at;
    if (!(position >= 0 && position < result.length)) throw new RangeError(`no element ${index}`);
    result[position] = value;
    return result;
  }

  /** Array's `join`. */
  join(separator?: string): string {
    return this.toArray().join(separator);
  }

  /** The elements as a plain array. */
  toArray(): T[] {
    return this.slice();
  }

  /** For JSON.stringify: the elements as a plain array. */
  toJSON(): T[] {
    return this.slice();
  }

  /** As an array's: the elements, joined with commas. */
  override toString(): string {
    return this.join();
  }

  /** As an array's. */
  override toLocaleString(): string {
    return this.toArray().toLocaleString();
  }

  /** The indices, as of an array: changes during the iteration are seen. */
  *keys(): IterableIterator<number> {
    for (let i = 0; i < this.length; i++) yield i;
  }

  /** The elements, as of an array: by index, with the length as it is then. */
  *values(): IterableIterator<T> {
    for (let i = 0; i < this.length; i++) yield this[GET](i) as T;
  }

  /** Index and element, as of an array. */
  *entries(): IterableIterator<[number, T]> {
    for (let i = 0; i < this.length; i++) yield [i, this[GET](i) as T];
  }

  /** The elements; the same as `values()`. */
  [Symbol.iterator](): IterableIterator<T> {
    return this.values();
  }

  [inspect.custom](depth: number, options: InspectOptions): string {
    return inspectElements({
      name: this.constructor.name,
      length: this.length,
      first: (count) => this.slice(0, count),
      depth,
      inspectOptions: options,
    });
  }
}

addIndexAccess(Sequence);
