/**
 * The elements of a list: reading, storing, inserting and removing them in the leaves of its tree.
 *
 * INV-LIST-6  What changes the length snapshots the header before anything is stored to, new blocks included.
 * INV-LIST-7  What is remembered of a leaf is void after a rollback and after every change of shape.
 *
 * Values are checked by the caller. The list is closed to changes while a codec writes: it may run foreign code.
 */
import { ValueError } from '../errors/index.js';
import type { Offset, Ref } from '../format/index.js';
import { type ContainerBinding, type Handle, REF, type Runtime, type SlotCodec } from '../instance/index.js';
import { corrupt } from './corrupt.js';
import { LeafLog } from './list-log.js';
import { repair } from './list-repair.js';
import {
  LENGTH,
  type ListPath,
  ListStructure,
  ROOT,
  SLOTS,
  TAIL,
  TAIL_CAPACITY,
  TAIL_START,
} from './list-structure.js';
import { type ListCodecs, releaseList } from './list-walk.js';
import { releaseSlots, replaceSlot, writeSlots } from './slots.js';

const MAX_LENGTH = 2 ** 32 - 1; // every index is an array index of JavaScript

export class ListTree<T> {
  readonly #binding: ContainerBinding<ListCodecs>;
  readonly #runtime: Runtime;
  readonly #owner: Handle;
  readonly #codec: SlotCodec<T>;
  readonly #size: number;
  readonly #structure: ListStructure;
  readonly #log: LeafLog;
  readonly #touch: () => void;
  /** The leaf read last: elements [start, end) are in the slots from #slots on, as of so many rollbacks. */
  #leaf = 0;
  #slots = 0;
  #start = 0;
  #end = 0;
  #rollbacks = -1;
  #changing = false;
  /** Incremented by every change. */
  changes = 0;

  constructor(binding: ContainerBinding<ListCodecs>, owner: Handle, touch: () => void) {
    this.#binding = binding;
    this.#runtime = binding.runtime;
    this.#owner = owner;
    this.#codec = binding.codecs.element as SlotCodec<T>;
    this.#size = this.#codec.sizeBytes;
    this.#structure = new ListStructure(binding, owner);
    this.#log = new LeafLog(binding.runtime, this.#size);
    this.#touch = touch;
  }

  get length(): number {
    return this.#runtime.views.u32[this.#owner[REF] * 4 + LENGTH] as number;
  }

  /** Element `index`, or undefined when there is none. */
  get(index: number): T | undefined {
    if (
      index >= this.#start &&
      index < this.#end &&
      this.#rollbacks === this.#runtime.txn.rollbacks &&
      Number.isInteger(index)
    ) {
      return this.#codec.read((this.#slots + (index - this.#start) * this.#size) as Offset);
    }
    if (!(index >= 0 && index < this.length) || !Number.isInteger(index)) return undefined;
    return this.#codec.read(this.#seek(index) as Offset);
  }

  /** Overwrites elements from `index` on, which exist. */
  overwrite(index: number, values: readonly T[]): void {
    if (values.length === 0) return;
    const codec = this.#codec;
    this.#begin();
    try {
      for (let done = 0; done < values.length; ) {
        const at = this.#seek(index + done);
        const count = Math.min(values.length - done, this.#end - index - done);
        this.#log.slots(this.#leaf, at, count * this.#size);
        for (let i = 0; i < count; i++) {
          replaceSlot(codec, (at + i * this.#size) as Offset, values[done + i] as T);
        }
        done += count;
      }
    } finally {
      this.#changing = false;
    }
  }

  /** Adds one element at the end; returns the new length. */
  append(value: T): number {
    this.#begin();
    try {
      this.#touch();
      return this.#append(value, 1);
    } finally {
      this.#changing = false;
    }
  }

  appendAll(values: readonly T[]): void {
    this.#begin(values.length);
    try {
      this.#touch();
      for (let i = 0; i < values.length; i++) this.#append(values[i] as T, values.length - i);
    } finally {
      this.#changing = false;
    }
  }

  /** Inserts before element `index`, 0 <= index <= length. */
  insert(index: number, values: readonly T[]): void {
    if (index === this.length) {
      this.appendAll(values);
      return;
    }
    this.#begin(values.length);
    try {
      this.#touch();
      this.#forget();
      for (let done = 0; done < values.length; ) done += this.#insertSome(index + done, values, done);
      if (values.length > 1) {
        repair(this.#structure, index + values.length - 1);
        repair(this.#structure, index + values.length);
      }
      this.#structure.refreshTail();
    } finally {
      this.#changing = false;
      this.#forget();
    }
  }

  /** Removes `count` elements from `index` on, which exist. */
  remove(index: number, count: number): void {
    if (count === 0) return;
    if (index === 0 && count > 1 && count === this.length) {
      this.clear();
      return;
    }
    this.#begin();
    try {
      this.#touch();
      if (count === 1 && this.#removeLast(index)) return;
      const { u32 } = this.#runtime.views;
      const header = this.#structure.header();
      this.#forget();
      let isThin = false;
      for (let left = count; left > 0; ) {
        const path = this.#structure.descend(index);
        const removed = this.#removeSome(path, index - path.leafStart, left);
        isThin ||= path.leafCount - removed < this.#structure.fullCapacity >> 2;
        u32[header + LENGTH] = (u32[header + LENGTH] as number) - removed;
        left -= removed;
      }
      if (isThin || count > 1) {
        repair(this.#structure, index - 1);
        repair(this.#structure, index);
      }
      this.#structure.refreshTail();
    } finally {
      this.#changing = false;
    }
  }

  /** Removes everything. */
  clear(): void {
    this.#begin();
    try {
      this.#touch();
      this.#forget();
      releaseList(this.#binding, this.#owner[REF]);
      const header = this.#structure.header();
      this.#runtime.views.u32.fill(0, header + LENGTH, header + TAIL_CAPACITY + 1);
    } finally {
      this.#changing = false;
    }
  }

  /**
   * Reorders the elements by moving their bytes: element i becomes what element `from(i)` was.
   * @param order the old index of each new element
   */
  permute(order: ArrayLike<number>): void {
    this.#begin();
    try {
      this.#structure.permute(order, this.#log);
    } finally {
      this.#changing = false;
    }
  }

  #begin(added = 0): void {
    if (this.#changing) {
      throw new ValueError(`${this.#binding.where}: the list was changed by a value being stored in it`);
    }
    if (added > 0 && this.length + added > MAX_LENGTH) {
      throw new ValueError(`${this.#binding.where}: a list has at most ${MAX_LENGTH} elements`);
    }
    this.#changing = true;
    this.changes++;
  }

  #forget(): void {
    this.#end = 0;
  }

  /** Where the slot of element `index` is, which exists; remembers its leaf. */
  #seek(index: number): number {
    if (index < this.#start || index >= this.#end || this.#rollbacks !== this.#runtime.txn.rollbacks) {
      const { u32 } = this.#runtime.views;
      const header = this.#owner[REF] * 4;
      const length = u32[header + LENGTH] as number;
      const tailStart = u32[header + TAIL_START] as number;
      const structure = this.#structure;
      if (index >= tailStart) structure.takeTail(tailStart, length - tailStart);
      else structure.find(index, null);
      const { leaf, leafStart, leafCount } = structure;
      if (index - leafStart >= leafCount) throw corrupt(this.#binding.where, leaf, `element ${index}`);
      this.#start = leafStart;
      this.#end = leafStart + leafCount;
      this.#leaf = leaf;
      this.#slots = leaf * 16 + SLOTS;
      this.#rollbacks = this.#runtime.txn.rollbacks;
    }
    return this.#slots + (index - this.#start) * this.#size;
  }

  #append(value: T, expected: number): number {
    const { u32 } = this.#runtime.views;
    const header = this.#owner[REF] * 4;
    const length = u32[header + LENGTH] as number;
    let slot = length - (u32[header + TAIL_START] as number);
    if (slot >= (u32[header + TAIL_CAPACITY] as number)) {
      this.#growTail(u32, header, length, expected);
      slot = length - (u32[header + TAIL_START] as number);
    }
    const leaf = u32[header + TAIL] as number;
    this.#structure.checkLeaf(u32, leaf, slot + 1);
    const at = leaf * 16 + SLOTS + slot * this.#size;
    this.#log.append(leaf, at, u32[header + TAIL_CAPACITY] as number);
    this.#codec.write(at as Offset, value);
    u32[header + LENGTH] = length + 1;
    return length + 1;
  }

  /** Makes room for `expected` more elements at the end: a larger leaf, or one more. */
  #growTail(u32: Uint32Array, header: number, length: number, expected: number): void {
    const structure = this.#structure;
    const tail = u32[header + TAIL] as number;
    const capacity = u32[header + TAIL_CAPACITY] as number;
    if (u32[header + ROOT] === 0) {
      const leaf = structure.allocateLeaf(expected);
      u32[header + ROOT] = leaf;
      this.#setTail(u32, header, leaf, 0);
    } else if (capacity < structure.fullCapacity) {
      this.#enlarge(u32, header, length, Math.max(capacity * 2 - 1, length + expected));
    } else {
      this.#structure.checkLeaf(u32, tail, capacity);
      const leaf = structure.allocateLeaf(structure.fullCapacity);
      const path = structure.descend(length - 1);
      structure.insertChild(path, leaf, path.leafCount, 0, 0);
      this.#setTail(u32, header, leaf, length);
    }
  }

  #setTail(u32: Uint32Array, header: number, leaf: number, start: number): void {
    u32[header + TAIL] = leaf;
    u32[header + TAIL_START] = start;
    u32[header + TAIL_CAPACITY] = u32[leaf * 4 + 1] as number;
    this.#log.own(leaf);
  }

  /** Moves the elements of the only leaf to a larger one. */
  #enlarge(u32: Uint32Array, header: number, length: number, capacity: number): void {
    const old = u32[header + ROOT] as number;
    this.#structure.checkLeaf(u32, old, length);
    const leaf = this.#structure.allocateLeaf(capacity);
    const from = old * 16 + SLOTS;
    this.#runtime.views.u8.copyWithin(leaf * 16 + SLOTS, from, from + length * this.#size);
    this.#runtime.heap.free(old as Ref);
    this.#forget();
    u32[header + ROOT] = leaf;
    this.#setTail(u32, header, leaf, 0);
  }

  /** Inserts values from `done` on before element `index`; returns how many. */
  #insertSome(index: number, values: readonly T[], done: number): number {
    const structure = this.#structure;
    const { u32, u8 } = this.#runtime.views;
    const header = structure.header();
    const length = u32[header + LENGTH] as number;
    const left = values.length - done;
    // After the element before, so that the values of one call fill one leaf after the other.
    const path = structure.descend(Math.max(index - 1, 0));
    const { leaf, leafCount } = path;
    const slot = index - path.leafStart;
    const capacity = u32[leaf * 4 + 1] as number;
    const size = this.#size;
    if (capacity - leafCount < left) {
      if (capacity < structure.fullCapacity) {
        this.#enlarge(u32, header, length, Math.max(capacity * 2 - 1, length + left));
        return 0;
      }
      if (slot < leafCount) {
        if (left <= structure.fullCapacity >> 2) {
          this.#splitLeaf(path, leafCount >> 1, 0);
          return 0;
        }
        const count = Math.min(left, capacity - slot);
        this.#log.part(leaf, slot, slot + count);
        this.#splitLeaf(path, slot, count);
        this.#writeSlots(leaf, slot, values, { done, count });
        u32[header + LENGTH] = length + count;
        return count;
      }
      if (leafCount === capacity) {
        const count = Math.min(left, capacity);
        const added = structure.allocateLeaf(capacity);
        this.#log.own(added);
        this.#writeSlots(added, 0, values, { done, count });
        structure.insertChild(path, added, leafCount, count, count);
        u32[header + LENGTH] = length + count;
        return count;
      }
    }
    const count = Math.min(left, capacity - leafCount);
    const at = leaf * 16 + SLOTS + slot * size;
    this.#log.part(leaf, slot, leafCount + count);
    u8.copyWithin(at + count * size, at, at + (leafCount - slot) * size);
    this.#writeSlots(leaf, slot, values, { done, count });
    structure.bump(path, path.depth - 1, count);
    u32[header + LENGTH] = length + count;
    return count;
  }

  #writeSlots(
    leaf: number,
    slot: number,
    values: readonly T[],
    range: { done: number; count: number },
  ): void {
    writeSlots(this.#codec, leaf * 16 + SLOTS + slot * this.#size, values, range);
  }

  /** Moves the slots from `at` on to a new leaf; the old one is about to get `added` elements instead. */
  #splitLeaf(path: ListPath, at: number, added: number): void {
    const { leaf, leafCount } = path;
    const right = this.#structure.allocateLeaf(this.#structure.fullCapacity);
    this.#log.part(leaf, at, leafCount);
    const from = leaf * 16 + SLOTS + at * this.#size;
    const bytes = (leafCount - at) * this.#size;
    this.#runtime.views.u8.copyWithin(right * 16 + SLOTS, from, from + bytes);
    this.#structure.insertChild(path, right, at + added, leafCount - at, added);
  }

  /** Removes the last element when that changes no more than the count. */
  #removeLast(index: number): boolean {
    const { u32 } = this.#runtime.views;
    const header = this.#structure.header();
    const length = u32[header + LENGTH] as number;
    if (index !== length - 1) return false;
    const leaf = u32[header + TAIL] as number;
    const slot = index - (u32[header + TAIL_START] as number);
    if (slot === 0 && leaf !== u32[header + ROOT]) return false;
    this.#structure.checkLeaf(u32, leaf, slot + 1);
    // The vacated slot may be stored to again in this transaction: saved while it is live (INV-LIST-4).
    const at = leaf * 16 + SLOTS + slot * this.#size;
    this.#log.slots(leaf, at, this.#size);
    releaseSlots(this.#codec, at, 1);
    u32[header + LENGTH] = index;
    if (this.#end > index) this.#end = index;
    return true;
  }

  /** Removes up to `left` elements of the leaf of the path, from `slot` on; returns how many. */
  #removeSome(path: ListPath, slot: number, left: number): number {
    const { leaf, leafCount } = path;
    const count = Math.min(left, leafCount - slot);
    if (count <= 0) throw corrupt(this.#binding.where, leaf, `slot ${slot}`);
    const size = this.#size;
    const at = leaf * 16 + SLOTS + slot * size;
    releaseSlots(this.#codec, at, count);
    if (count === leafCount) {
      this.#structure.dropLeaf(path);
    } else {
      this.#log.part(leaf, slot, leafCount);
      this.#runtime.views.u8.copyWithin(at, at + count * size, at + (leafCount - slot) * size);
      this.#structure.bump(path, path.depth - 1, -count);
    }
    return count;
  }
}
