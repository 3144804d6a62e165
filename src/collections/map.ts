/**
 * PersistentMap: the Map of JavaScript, in the pool. Entries are kept in insertion order (map-entries.ts) and
 * found through a hash index (map-index.ts); both lie in growing arrays (map-array.ts) and are reached from a
 * header inside the object that owns the map.
 *
 * INV-MAP-9  Every operation but `clear`, and those that go through all entries, takes a bounded number of steps
 *            whatever the size of the map, given that hashes are spread.
 *
 * What operations log: a new entry the header (once in a transaction) and one granule of a bucket; a new value
 * one granule; a deletion the header, one granule of the entry and one or two of its bucket. Every sixth
 * insertion splits a bucket: one or two lines more. A compaction that is under way adds two records for each of
 * up to four entries it moves.
 *
 * Handles keep no pool contents; only the cursors of running iterations are volatile (map-cursor.ts).
 */

import { type InspectOptionsStylized, inspect } from 'node:util';
import { ValueError } from '../errors/index.js';
import { CONTAINER_BYTES, MAP, type Offset } from '../format/index.js';
import { BOUND, Container, REF } from '../instance/index.js';
import type { MapCodecs } from './map-codecs.js';
import { CursorSet } from './map-cursor.js';
import { type EntryPart, MapIterator } from './map-iterator.js';
import type { Storable } from './storable.js';

const COUNT = MAP.count.offset / 4;
const USED = MAP.used.offset / 4;
const HEADER_WORDS = CONTAINER_BYTES.map / 4;
const NOT_WRITING = -1;

/** A Map in the pool, as a field of type `map(key, value)`. Changes need a transaction. */
export class PersistentMap<K = unknown, V = unknown> extends Container<MapCodecs> {
  /** Places of running iterations. */
  readonly #cursors: CursorSet = new CursorSet();
  /** Stamp of the transaction in which a value is being stored that may run code of the program. */
  #writing: number = NOT_WRITING;

  get [Symbol.toStringTag](): string {
    return 'PersistentMap';
  }

  /** Number of entries. */
  get size(): number {
    return this[BOUND].runtime.views.u32[this[REF] * 4 + COUNT] as number;
  }

  /** The value stored under the key, or undefined. */
  get(key: K): V | undefined {
    const { codecs } = this[BOUND];
    const entry = this.#find(codecs, key);
    if (entry === 0) return undefined;
    return codecs.value.read((entry * 4 + codecs.entries.valueBytes) as Offset) as V;
  }

  /** Whether there is an entry with the key. */
  has(key: K): boolean {
    return this.#find(this[BOUND].codecs, key) !== 0;
  }

  /**
   * Stores a value under a key: a new entry comes last, an existing one keeps its place.
   * @throws ValueError or ForeignObjectError when key or value do not fit; nothing is changed then
   * @throws TxnRequiredError outside a transaction
   * @throws PoolFullError
   */
  set(key: K, value: Storable<V>): this {
    const { codecs } = this[BOUND];
    const { keys, index, value: valueCodec } = codecs;
    const stored = keys.check(key);
    const checked: { check(value: unknown): void } = valueCodec;
    const copy = valueCodec.settle === undefined ? value : valueCodec.settle(value);
    checked.check(copy);
    const hash = keys.hash(stored);
    const { runtime } = this[BOUND];
    const entry = index.find(runtime.views, this[REF] * 4, keys, hash, stored);
    if (!codecs.reentrant) {
      if (entry !== 0) codecs.entries.overwrite(entry, value);
      else this.#append(codecs, hash, stored, value);
      return this;
    }
    this.#assertNotWriting();
    this.#writing = runtime.txn.stamp;
    try {
      if (entry !== 0)
        codecs.entries.overwrite(entry, codecs.entries.valueAt(entry) === value ? value : copy);
      else this.#append(codecs, hash, stored, copy);
    } finally {
      this.#writing = NOT_WRITING;
    }
    return this;
  }

  /**
   * Removes the entry with the key and frees what it owns.
   * @returns whether there was one
   * @throws TxnRequiredError outside a transaction
   */
  delete(key: K): boolean {
    const { codecs, runtime } = this[BOUND];
    const { entries, index } = codecs;
    const entry = this.#find(codecs, key);
    if (entry === 0) return false;
    const number = index.found;
    const { u32 } = runtime.views;
    const header = this[REF] * 4;
    const hash = u32[entry] as number;
    if (codecs.reentrant) this.#assertNotWriting();
    this.touch();
    index.remove(u32, header, hash, number);
    entries.delete(u32, header, entry);
    index.shrink(u32, header);
    entries.compact(u32, header, index, this.#cursors);
    return true;
  }

  /**
   * Removes all entries and frees all memory of the map; takes time in proportion to it.
   * @throws TxnRequiredError outside a transaction
   */
  clear(): void {
    const { codecs, runtime } = this[BOUND];
    const { u32 } = runtime.views;
    const header = this[REF] * 4;
    if (u32[header + USED] === 0 && u32[header + MAP.entries.offset / 4] === 0) return;
    if (codecs.reentrant) this.#assertNotWriting();
    this.touch();
    codecs.release(u32, header);
    u32.fill(0, header + COUNT, header + HEADER_WORDS);
    this.#cursors.truncated(0);
  }

  /** The value under the key; when there is none, `value` is stored first. As the proposed `Map.prototype.getOrInsert`. */
  getOrInsert(key: K, value: Storable<V>): V {
    if (!this.has(key)) this.set(key, value);
    return this.get(key) as V;
  }

  /** The value under the key; when there is none, what `make` returns is stored first. */
  getOrInsertComputed(key: K, make: (key: K) => Storable<V>): V {
    if (!this.has(key)) this.set(key, make(key));
    return this.get(key) as V;
  }

  /** Calls `visit` for each entry in insertion order; entries added meanwhile are visited, removed ones are not. */
  forEach(visit: (value: V, key: K, map: this) => void, thisArg?: unknown): void {
    for (const [key, value] of this.entries()) visit.call(thisArg, value, key, this);
  }

  /** The keys in insertion order. */
  keys(): MapIterator<K> {
    return this.#iterate('key') as MapIterator<K>;
  }

  /** The values in insertion order of their keys. */
  values(): MapIterator<V> {
    return this.#iterate('value') as MapIterator<V>;
  }

  /** The entries `[key, value]` in insertion order. */
  entries(): MapIterator<[K, V]> {
    return this.#iterate('entry') as MapIterator<[K, V]>;
  }

  /** Same as `entries()`. */
  [Symbol.iterator](): MapIterator<[K, V]> {
    return this.entries();
  }

  /** A plain Map with the same entries; it needs no pool. Objects in it are still those of the pool. */
  toMap(): Map<K, V> {
    return new Map(this);
  }

  /** What `JSON.stringify` uses: an object when keys are strings, an array of pairs otherwise. */
  toJSON(): Record<string, V> | [K, V][] {
    if (this[BOUND].codecs.keys.slot.type.kind !== 'string') return [...this];
    // fromEntries defines properties, so that a key like `__proto__` is one like any other.
    return Object.fromEntries(this) as Record<string, V>;
  }

  [inspect.custom](depth: number, options: InspectOptionsStylized): string {
    if (depth < 0) return options.stylize('[PersistentMap]', 'special');
    const { size } = this;
    const limit = options.maxArrayLength ?? Number.POSITIVE_INFINITY;
    const shown = new Map<K, V>();
    for (const [key, value] of this) {
      if (shown.size >= limit) break;
      shown.set(key, value);
    }
    const text = inspect(shown, { ...options, depth: options.depth ?? null }).replace(/^Map\(\d+\)/, '');
    const rest = size - shown.size;
    const more = rest > 0 ? text.replace(/ ?\}$/, `${shown.size > 0 ? ',' : ''} ... ${rest} more }`) : text;
    return `PersistentMap(${size})${more}`;
  }

  #find(codecs: MapCodecs, key: K): number {
    const { keys } = codecs;
    const { views } = codecs.runtime;
    const stored = keys.normalize(key);
    if (stored === undefined) return 0;
    return codecs.index.find(views, this[REF] * 4, keys, keys.hash(stored), stored);
  }

  #append(codecs: MapCodecs, hash: number, key: unknown, value: unknown): void {
    const { entries, index, runtime } = codecs;
    const { views } = runtime;
    const { u32 } = views;
    const header = this[REF] * 4;
    this.touch();
    const entry = entries.append(views, header, hash, key, value);
    index.insert(u32, header, hash, u32[header + USED] as number, entry);
    index.grow(u32, header);
    entries.compact(u32, header, index, this.#cursors);
  }

  #iterate(part: EntryPart): MapIterator<unknown> {
    return new MapIterator(this[BOUND], this[REF], this.#cursors, part);
  }

  /** A value such as a list is filled from an iterable of the program while its slot is half written. */
  #assertNotWriting(): void {
    if (this.#writing === this[BOUND].runtime.txn.stamp) {
      throw new ValueError(
        `${this[BOUND].where}: the map was changed by the iterable from which one of its values is filled; collect ` +
          'the elements in an array first',
        { field: this[BOUND].where },
      );
    }
  }
}
