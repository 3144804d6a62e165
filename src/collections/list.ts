/**
 * PersistentList: an Array whose elements live in the pool. This is its interface; list-tree.ts stores them.
 *
 * INV-LIST-8  Every value is checked before anything is changed, and what the program supplies (iterables,
 *             comparators) has run to its end by then.
 */
import { ValueError } from '../errors/index.js';
import { CONTAINER_BYTES, LAYOUT_ID, type Ref } from '../format/index.js';
import {
  BOUND,
  Container,
  type ContainerBinding,
  type ContainerOps,
  detach,
  GET,
  PAGE,
  REF,
  SET,
  type SlotCodec,
  STAMP,
} from '../instance/index.js';
import type { ContainerType, ListType } from '../layout/index.js';
import { contentsOf } from './contents.js';
import { ListTree } from './list-tree.js';
import { type ListCodecs, releaseList, walkList } from './list-walk.js';
import { clampIndex, Sequence } from './sequence.js';
import { settleElements, takeValues } from './slots.js';
import type { Storable } from './storable.js';

/** Method: adds values that were checked and taken. */
const APPEND_ALL: unique symbol = Symbol('perdure.appendAll');

/**
 * An ordered list in the pool, with the interface of Array. Reading, storing, adding and removing anywhere take
 * O(log n). Methods that return a new list return a plain array.
 *
 * Unlike an array it has no holes: storing at `length` appends, storing beyond it is refused.
 */
export class PersistentList<T = unknown> extends Sequence<T, ListCodecs> {
  readonly #tree: ListTree<T>;
  /** The element at an index; undefined beyond the end. */
  [index: number]: T;

  /** For the library: lists are opened by the fields that hold them. */
  constructor(binding: ContainerBinding<ListCodecs>, ref: Ref) {
    super(binding, ref);
    this.#tree = new ListTree<T>(binding, this, () => this.touch());
  }

  /** Number of elements. Set it to remove those beyond. @throws ValueError when it would grow */
  override get length(): number {
    return this.#tree.length;
  }

  override set length(length: number) {
    const old = this.length;
    if (!Number.isInteger(length) || length < 0 || length > old) {
      throw this.#error(
        `length ${String(length)}: a list of ${old} can only be made shorter this way; use push to add`,
      );
    }
    this.#tree.remove(length, old - length);
  }

  [APPEND_ALL](values: readonly T[]): void {
    this.#tree.appendAll(values);
  }

  override [GET](index: number): T | undefined {
    return this.#tree.get(index);
  }

  override [SET](index: number, value: unknown): void {
    const [taken] = takeValues(this.#codec, [value]) as [T];
    const { length } = this;
    if (index < length) this.#tree.overwrite(index, this.#kept(index, [value], [taken]));
    else if (index === length) this.#tree.append(taken);
    else throw this.#error(`index ${index} is beyond the end: the list has ${length} elements and no holes`);
  }

  /** Array's `at`: the element at `index`, from the end when negative. The fastest way to read an element. */
  at(index: number): T | undefined {
    const whole = Math.trunc(index) || 0;
    return this.#tree.get(whole < 0 ? whole + this.#tree.length : whole);
  }

  /** Adds elements at the end; returns the new length. @throws ValueError */
  push(...stored: Storable<T>[]): number {
    const values = stored as T[];
    const codec: SlotCodec<T> = this.#codec;
    if (values.length === 1 && codec.settle === undefined) {
      codec.check(values[0]);
      return this.#tree.append(values[0] as T);
    }
    this.#tree.appendAll(takeValues(codec, values));
    return this.#tree.length;
  }

  /** Removes and returns the last element. */
  pop(): T | undefined {
    const last = this.length - 1;
    if (last < 0) return undefined;
    const value = detach(this.#tree.get(last)) as T;
    this.#tree.remove(last, 1);
    return value;
  }

  /** Removes and returns the first element (a container as a plain copy). For queues, PersistentQueue is faster. */
  shift(): T | undefined {
    if (this.length === 0) return undefined;
    const value = detach(this.#tree.get(0)) as T;
    this.#tree.remove(0, 1);
    return value;
  }

  /** Adds elements at the front; returns the new length. @throws ValueError */
  unshift(...stored: Storable<T>[]): number {
    this.#tree.insert(0, takeValues(this.#codec, stored));
    return this.length;
  }

  /** Inserts elements before the one at `index` (0 to length); returns the new length. @throws ValueError */
  insert(index: number, ...stored: Storable<T>[]): number {
    const values = takeValues(this.#codec, stored);
    const { length } = this;
    if (!Number.isInteger(index) || index < 0 || index > length) {
      throw this.#error(`insert at ${String(index)}: the list has ${length} elements`);
    }
    this.#tree.insert(index, values);
    return this.length;
  }

  /** Array's `splice`: removes elements and inserts others in their place; returns the removed ones. @throws ValueError */
  splice(...args: [start?: number, deleteCount?: number, ...values: Storable<T>[]]): T[] {
    const given = args.slice(2);
    const values = takeValues(this.#codec, given);
    const { length } = this;
    const start = clampIndex(args[0], length, 0);
    let removedCount = 0;
    if (args.length === 1) removedCount = length - start;
    else if (args.length > 1)
      removedCount = Math.min(Math.max(Math.trunc(args[1] as number) || 0, 0), length - start);
    const removed = this.slice(start, start + removedCount).map(detach) as T[];
    const replaced = Math.min(removedCount, values.length);
    const tree = this.#tree;
    tree.overwrite(start, this.#kept(start, given, values.slice(0, replaced)));
    tree.remove(start + replaced, removedCount - replaced);
    if (values.length > replaced) tree.insert(start + replaced, values.slice(replaced));
    return removed;
  }

  /** Removes all elements. */
  clear(): void {
    if (this.length > 0) this.#tree.clear();
  }

  /** Array's `fill`. @throws ValueError */
  fill(value: T, start?: number, end?: number): this {
    const [taken] = takeValues(this.#codec, [value]) as [T];
    const { length } = this;
    const from = clampIndex(start, length, 0);
    const to = clampIndex(end, length, length);
    if (to > from) {
      const count = to - from;
      const given = new Array<T>(count).fill(value);
      this.#tree.overwrite(from, this.#kept(from, given, new Array<T>(count).fill(taken)));
    }
    return this;
  }

  /** Array's `reverse`, in place. */
  reverse(): this {
    const { length } = this;
    this.#tree.permute(Uint32Array.from({ length }, (_, index) => length - 1 - index));
    return this;
  }

  /**
   * Array's `sort`: stable, in place; without a comparator by the elements as strings. When the comparator
   * throws, the list is unchanged. @throws ValueError when the comparator changes the list
   */
  sort(compare?: (a: T, b: T) => number): this {
    if (compare !== undefined && typeof compare !== 'function') {
      throw new TypeError('the comparator of sort is no function');
    }
    const tree = this.#tree;
    const { txn } = this[BOUND].runtime;
    const { changes } = tree;
    const { rollbacks } = txn;
    const values = this.toArray();
    const order = values.map((_, index) => index);
    if (compare === undefined) {
      const texts = values.map(String);
      order.sort((a, b) =>
        (texts[a] as string) < (texts[b] as string) ? -1 : texts[a] === texts[b] ? 0 : 1,
      );
    } else {
      order.sort((a, b) => compare(values[a] as T, values[b] as T));
    }
    if (changes !== tree.changes || rollbacks !== txn.rollbacks) {
      throw this.#error('the list was changed while it was being sorted');
    }
    tree.permute(order);
    return this;
  }

  get [Symbol.toStringTag](): string {
    return 'PersistentList';
  }

  get #codec(): SlotCodec<T> {
    return this[BOUND].codecs.element as SlotCodec<T>;
  }

  /** A container that is stored where it already is stays as it is; all others are stored as copies. */
  #kept(index: number, given: readonly unknown[], taken: readonly T[]): readonly T[] {
    if (this.#codec.settle === undefined) return taken;
    return taken.map((copy, i) => (given[i] === this.#tree.get(index + i) ? (given[i] as T) : copy));
  }

  #error(what: string): ValueError {
    const { where } = this[BOUND];
    return new ValueError(`${where}: ${what}`, { field: where });
  }
}

// What Container has lies behind the proxy of index access; it is brought before it.
for (const key of ['touch', REF, STAMP, PAGE, BOUND] as const) {
  const descriptor = Object.getOwnPropertyDescriptor(Container.prototype, key) as PropertyDescriptor;
  Object.defineProperty(PersistentList.prototype, key, descriptor);
}

/** Lists, as fields and codecs see them. */
export const listOps: ContainerOps<ListCodecs> = {
  kind: 'list',
  headerBytes: CONTAINER_BYTES.list,
  layoutId: LAYOUT_ID.list,
  codecs: (runtime, type: ContainerType, where) => ({
    element: runtime.codec((type as ListType).element, `${where} element`),
  }),
  open: (binding, ref) => new PersistentList(binding, ref),
  checkContents: (binding, value) => {
    const codec: SlotCodec = binding.codecs.element;
    for (const element of contentsOf(value, binding.where)) codec.check(element);
  },
  settle: (binding, value) => settleElements(binding.codecs.element, contentsOf(value, binding.where)),
  assign: (container, value) => {
    if (value === container) return;
    const list = container as PersistentList;
    const { codecs, where } = list[BOUND];
    const codec: SlotCodec = codecs.element;
    // Checked before, but a program's array may give other values each time it is read.
    const values = takeValues(codec, contentsOf(value, where));
    list.clear();
    list[APPEND_ALL](values);
  },
  release: releaseList,
  trace: (binding, ref, tracer) => {
    const { element } = binding.codecs;
    walkList(binding, ref, {
      node: (node) => tracer.owned(node),
      leaf: (leaf, slots, count) => {
        tracer.owned(leaf);
        if (!element.traced) return;
        for (let i = 0; i < count; i++)
          element.trace((slots + i * element.sizeBytes) as typeof slots, tracer);
      },
    });
  },
};
