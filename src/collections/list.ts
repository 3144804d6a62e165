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
  SET,
  type SlotCodec,
} from '../instance/index.js';
import type { ContainerType, ListType } from '../layout/index.js';
import { contentsOf } from './contents.js';
import { ListTree } from './list-tree.js';
import { type ListCodecs, releaseList, walkList } from './list-walk.js';
import { clampIndex, Sequence } from './sequence.js';
import { settleElements, takeValues } from './slots.js';
import type { Storable } from './storable.js';

const TREE: unique symbol = Symbol('perdure.tree');

/**
 * An ordered list in the pool, with the interface of Array. Reading, storing, adding and removing anywhere take
 * O(log n). Methods that return a new list return a plain array.
 *
 * Unlike an array it has no holes: storing at `length` appends, storing beyond it is refused.
 */
export class PersistentList<T = unknown> extends Sequence<T, ListCodecs> {
  readonly [TREE]: ListTree<T>;
  /** The element at an index; undefined beyond the end. */
  [index: number]: T;

  /** For the library: lists are opened by the fields that hold them. */
  constructor(binding: ContainerBinding<ListCodecs>, ref: Ref) {
    super(binding, ref);
    this[TREE] = new ListTree<T>(binding, this, () => this.touch());
  }

  /** Number of elements. Set it to remove those beyond. @throws ValueError when it would grow */
  override get length(): number {
    return this[TREE].length;
  }

  override set length(length: number) {
    const old = this.length;
    if (!Number.isInteger(length) || length < 0 || length > old) {
      throw this.#error(
        `length ${String(length)}: a list of ${old} can only be made shorter this way; use push to add`,
      );
    }
    this[TREE].remove(length, old - length);
  }

  override [GET](index: number): T | undefined {
    return this[TREE].get(index);
  }

  override [SET](index: number, value: unknown): void {
    const [taken] = takeValues(this.#codec, [value]) as [T];
    const { length } = this;
    if (index < length) this[TREE].overwrite(index, this.#kept(index, [value], [taken]));
    else if (index === length) this[TREE].append(taken);
    else throw this.#error(`index ${index} is beyond the end: the list has ${length} elements and no holes`);
  }

  /** Array's `at`: the element at `index`, from the end when negative. The fastest way to read an element. */
  at(index: number): T | undefined {
    const whole = Math.trunc(index) || 0;
    return this[TREE].get(whole < 0 ? whole + this[TREE].length : whole);
  }

  /** Adds elements at the end; returns the new length. @throws ValueError */
  push(...stored: Storable<T>[]): number {
    const values = stored as T[];
    const codec: SlotCodec<T> = this.#codec;
    if (values.length === 1 && codec.settle === undefined) {
      codec.check(values[0]);
      return this[TREE].append(values[0] as T);
    }
    this[TREE].appendAll(takeValues(codec, values));
    return this[TREE].length;
  }

  /** Removes and returns the last element. */
  pop(): T | undefined {
    const last = this.length - 1;
    if (last < 0) return undefined;
    const value = detach(this[TREE].get(last)) as T;
    this[TREE].remove(last, 1);
    return value;
  }

  /** Removes and returns the first element (a container as a plain copy). For queues, PersistentQueue is faster. */
  shift(): T | undefined {
    if (this.length === 0) return undefined;
    const value = detach(this[TREE].get(0)) as T;
    this[TREE].remove(0, 1);
    return value;
  }

  /** Adds elements at the front; returns the new length. @throws ValueError */
  unshift(...stored: Storable<T>[]): number {
    this[TREE].insert(0, takeValues(this.#codec, stored));
    return this.length;
  }

  /** Inserts elements before the one at `index` (0 to length); returns the new length. @throws ValueError */
  insert(index: number, ...stored: Storable<T>[]): number {
    const values = takeValues(this.#codec, stored);
    const { length } = this;
    if (!Number.isInteger(index) || index < 0 || index > length) {
      throw this.#error(`insert at ${String(index)}: the list has ${length} elements`);
    }
    this[TREE].insert(index, values);
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
    const tree = this[TREE];
    tree.overwrite(start, this.#kept(start, given, values.slice(0, replaced)));
    tree.remove(start + replaced, removedCount - replaced);
    if (values.length > replaced) tree.insert(start + replaced, values.slice(replaced));
    return removed;
  }

  /** Removes all elements. */
  clear(): void {
    if (this.length > 0) this[TREE].clear();
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
      this[TREE].overwrite(from, this.#kept(from, given, new Array<T>(count).fill(taken)));
    }
    return this;
  }

  /** Array's `reverse`, in place. */
  reverse(): this {
    const { length } = this;
    this[TREE].permute(Uint32Array.from({ length }, (_, index) => length - 1 - index));
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
    const tree = this[TREE];
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
    return taken.map((copy, i) => (given[i] === this[TREE].get(index + i) ? (given[i] as T) : copy));
  }

  #error(what: string): ValueError {
    const { where } = this[BOUND];
    return new ValueError(`${where}: ${what}`, { field: where });
  }
}

// Container's own methods lie behind the proxy of index access; the hot one is brought before it.
Object.defineProperty(
  PersistentList.prototype,
  'touch',
  Object.getOwnPropertyDescriptor(Container.prototype, 'touch') as PropertyDescriptor,
);

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
    list[TREE].appendAll(values);
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
