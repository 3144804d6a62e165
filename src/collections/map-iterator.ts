/**
 * The iterators of maps. They are iterator objects like those of Map (they inherit from the built-in
 * Iterator.prototype, iterator helpers included where the runtime has them).
 *
 * An iterator is a cursor (map-cursor.ts) with a way to decode; it holds no pool contents between steps.
 */

import { StaleObjectError } from '../errors/index.js';
import { MAP, type Offset, type Ref } from '../format/index.js';
import type { ContainerBinding } from '../instance/index.js';
import type { MapCodecs } from './map-codecs.js';
import { type Cursor, type CursorSet, NOTHING } from './map-cursor.js';

const USED = MAP.used.offset / 4;
const READ = MAP.read.offset / 4;
const WRITE = MAP.write.offset / 4;

/** What an iterator yields of each entry. */
export type EntryPart = 'key' | 'value' | 'entry';

/** Iterator over the keys, values or entries of a `PersistentMap`. */
export class MapIterator<T> implements IterableIterator<T> {
  readonly #binding: ContainerBinding<MapCodecs>;
  readonly #ref: Ref;
  readonly #cursors: CursorSet;
  readonly #part: EntryPart;
  /** Null before the first step and after the last one. */
  #cursor: Cursor | null = null;
  #rollbacks = 0;
  #done = false;

  /** @internal */
  constructor(binding: ContainerBinding<MapCodecs>, ref: Ref, cursors: CursorSet, part: EntryPart) {
    this.#binding = binding;
    this.#ref = ref;
    this.#cursors = cursors;
    this.#part = part;
  }

  get [Symbol.toStringTag](): string {
    return 'PersistentMap Iterator';
  }

  /** @throws StaleObjectError when the place of the iterator was lost in a rollback */
  next(): IteratorResult<T, undefined> {
    if (this.#done) return { value: undefined, done: true };
    const { runtime, codecs } = this.#binding;
    const { u32 } = runtime.views;
    const header = this.#ref * 4;
    const { entries } = codecs;
    const cursor = this.#ready(u32, header);
    const index = entries.nextLive(u32, header, cursor.next);
    if (index < 0) {
      this.return();
      return { value: undefined, done: true };
    }
    const entry = entries.array.locate(u32, header, index) * 4;
    cursor.next = index + 1;
    cursor.last = index;
    cursor.lastHash = u32[entry] as number;
    return { value: this.#decode(codecs, entry) as T, done: false };
  }

  /** Ends the iteration. */
  return(): IteratorResult<T, undefined> {
    this.#done = true;
    if (this.#cursor !== null) this.#cursors.remove(this.#cursor);
    this.#cursor = null;
    return { value: undefined, done: true };
  }

  [Symbol.iterator](): this {
    return this;
  }

  #decode(codecs: MapCodecs, entry: number): unknown {
    const { entries, keys, value } = codecs;
    const keyAt = (entry * 4 + entries.keyBytes) as Offset;
    const valueAt = (entry * 4 + entries.valueBytes) as Offset;
    switch (this.#part) {
      case 'key':
        return keys.slot.read(keyAt);
      case 'value':
        return value.read(valueAt);
      default:
        return [keys.slot.read(keyAt), value.read(valueAt)];
    }
  }

  /** The cursor, at a place that is valid now. */
  #ready(u32: Uint32Array, header: number): Cursor {
    const { rollbacks } = this.#binding.runtime.txn;
    let cursor = this.#cursor;
    if (cursor === null) {
      cursor = { next: 0, last: NOTHING, lastHash: 0, dropped: -1 };
      this.#cursors.add(cursor);
      this.#cursor = cursor;
      this.#rollbacks = rollbacks;
      return cursor;
    }
    if (cursor.dropped >= 0 && !this.#cursors.resume(cursor)) {
      throw this.#lost('entries were moved while hundreds of later iterations were left unfinished');
    }
    if (this.#rollbacks !== rollbacks) {
      this.#rollbacks = rollbacks;
      if (cursor.last === NOTHING) cursor.next = 0;
      else if (this.#isStill(u32, header, cursor)) cursor.next = cursor.last + 1;
      else throw this.#lost('a transaction that changed it was rolled back');
    }
    return cursor;
  }

  /** Whether the entry visited last, dead or alive, is still in the slot where it was. */
  #isStill(u32: Uint32Array, header: number, cursor: Cursor): boolean {
    const { last } = cursor;
    const read = u32[header + READ] as number;
    const write = u32[header + WRITE] as number;
    if (last < 0 || last >= (u32[header + USED] as number) || (last >= write && last < read)) return false;
    const entry = this.#binding.codecs.entries.array.locate(u32, header, last) * 4;
    return u32[entry] === cursor.lastHash;
  }

  #lost(why: string): StaleObjectError {
    this.return();
    const { where } = this.#binding;
    return new StaleObjectError(
      `${where}: this iterator lost its place in the map because ${why}. Iterate again`,
      { field: where },
    );
  }
}

Object.setPrototypeOf(
  MapIterator.prototype,
  Object.getPrototypeOf(Object.getPrototypeOf([][Symbol.iterator]())),
);
