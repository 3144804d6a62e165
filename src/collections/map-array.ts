/**
 * A growing array of equally large slots in the pool: what a map keeps its entries and its buckets in. The slots
 * lie in chunks, the chunks are reached through a radix tree of tables (at most MAP_MAX_LEVEL levels).
 *
 * INV-MAP-2  A slot never moves to another index, and no step copies more than one chunk or table: the only
 *            chunk, or the topmost table, is replaced by one twice as large until it has its full size; from
 *            then on the array grows by whole chunks, and the tree by a level on top.
 * INV-MAP-3  `peak` is at least the number of slots in use, at the start of the transaction as well as at each
 *            savepoint and now. So slots from `peak` on hold nothing that a rollback or a recovery would
 *            bring back: they are reported fresh and never logged. A slot below it is snapshotted before it is
 *            stored to, even when it is free now. A new block may lower `peak`, since a rollback brings back
 *            the old block with it.
 *
 * A slot is a whole number of granules, so no granule holds a live slot beside a fresh one. The caller touches
 * the map header before it calls anything that changes it. This file knows nothing of what is in the slots.
 */

import type { CorruptionError } from '../errors/index.js';
import {
  BLOCK_HEADER_BYTES,
  GRANULE_BYTES,
  LAYOUT_ID,
  MAP_ARRAY,
  MAP_CHUNK_BYTES,
  MAP_CHUNK_HEADER_BYTES,
  MAP_MAX_LEVEL,
  MAP_TABLE,
  MAP_TABLE_MIN_SHIFT,
  MAP_TABLE_SHIFT,
  type Ref,
} from '../format/index.js';
import type { Runtime, Tracer } from '../instance/index.js';
import { corruptWord } from './corrupt.js';

const CAPACITY = MAP_ARRAY.capacity.offset / 4;
const SHAPE = MAP_ARRAY.shape.offset / 4;
const PEAK = MAP_ARRAY.peak.offset / 4;
const REFS = MAP_TABLE.refs.offset / 4;
// Local copies: V8 folds constants of a module, imported ones it loads.
const TABLE_SHIFT = MAP_TABLE_SHIFT;
const TABLE_MASK = (1 << TABLE_SHIFT) - 1;
const CHUNK = LAYOUT_ID.mapChunk;
const TABLE = LAYOUT_ID.mapTable;

export interface MapArrayOptions {
  readonly runtime: Runtime;
  /** Names the field in messages. */
  readonly where: string;
  /** Offset of the MAP_ARRAY in the map header. */
  readonly field: number;
  readonly slotBytes: number;
  /** Slots of the first chunk: a power of two. */
  readonly minCapacity: number;
  /** 0 for entries, 1 for buckets: tells their blocks apart. */
  readonly tag: 0 | 1;
}

/** One kind of array; `header` is the position of the map header in 32-bit words. */
export class MapArray {
  readonly slotGranules: number;
  readonly #runtime: Runtime;
  readonly #where: string;
  readonly #field: number;
  readonly #shift: number;
  readonly #mask: number;
  readonly #minCapacity: number;
  readonly #tag: number;

  constructor(options: MapArrayOptions) {
    this.#runtime = options.runtime;
    this.#where = options.where;
    this.#field = options.field / 4;
    this.slotGranules = options.slotBytes / GRANULE_BYTES;
    this.#shift = 31 - Math.clz32(MAP_CHUNK_BYTES / options.slotBytes);
    this.#mask = (1 << this.#shift) - 1;
    this.#minCapacity = options.minCapacity;
    this.#tag = options.tag;
  }

  /**
   * Where slot `index` starts, in granules. The index must be below the capacity.
   * @throws CorruptionError when the way there is not what was written
   */
  locate(u32: Uint32Array, header: number, index: number): number {
    const field = header + this.#field;
    let block = u32[field] as number;
    let level = (u32[field + SHAPE] as number) & 0xff;
    const chunk = index >>> this.#shift;
    while (level > 0) {
      if (u32[block * 4] !== TABLE) throw this.#unexpected(block, TABLE);
      level--;
      block = u32[block * 4 + REFS + ((chunk >>> (level * TABLE_SHIFT)) & TABLE_MASK)] as number;
    }
    if (u32[block * 4] !== CHUNK) throw this.#unexpected(block, CHUNK);
    return block + 4 - (block & 3) + (index & this.#mask) * this.slotGranules;
  }

  /**
   * The same for lookups, without a look at the headers on the way, which would be cache misses. The caller
   * proves what it reads by the content, or calls `locate` before it relies on it; it stores nothing.
   */
  seek(u32: Uint32Array, header: number, index: number): number {
    const field = header + this.#field;
    const level = (u32[field + SHAPE] as number) & 0xff;
    const chunk = index >>> this.#shift;
    let block = u32[field] as number;
    if (level > 0) {
      if (level > 1) block = u32[block * 4 + REFS + (chunk >>> TABLE_SHIFT)] as number;
      block = u32[block * 4 + REFS + (chunk & TABLE_MASK)] as number;
    }
    return block + 4 - (block & 3) + (index & this.#mask) * this.slotGranules;
  }

  /**
   * Takes slot `index`, the first free one, into use: makes room and a way back.
   * @returns where it starts, in granules; its content is undefined
   * @throws PoolFullError
   */
  append(u32: Uint32Array, header: number, index: number): number {
    const field = header + this.#field;
    if (index >= (u32[field + CAPACITY] as number)) this.#grow(u32, field);
    const ref = this.locate(u32, header, index);
    const { writer } = this.#runtime;
    if (index >= (u32[field + PEAK] as number)) {
      writer.fresh(ref as Ref, this.slotGranules);
      u32[field + PEAK] = index + 1;
    } else {
      writer.snapshot(ref as Ref, this.slotGranules);
    }
    return ref;
  }

  /** Gives memory back when much more is there than `used` slots need: at most one chunk, one path of tables. */
  trim(u32: Uint32Array, header: number, used: number): void {
    const field = header + this.#field;
    const capacity = u32[field + CAPACITY] as number;
    const full = this.#mask + 1;
    if (capacity <= full) {
      if (capacity > this.#minCapacity && used * 4 < capacity) this.#resize(u32, field, capacity / 2, used);
      return;
    }
    if (capacity - used < 2 * full) return;
    const chunks = (capacity >>> this.#shift) - 1;
    this.#freeChunk(u32, field, chunks);
    u32[field + CAPACITY] = capacity - full;
    if ((u32[field + PEAK] as number) > capacity - full) u32[field + PEAK] = capacity - full;
    let level = (u32[field + SHAPE] as number) & 0xff;
    while (level > 0 && chunks <= 1 << (TABLE_SHIFT * (level - 1))) {
      const table = u32[field] as number;
      u32[field] = u32[table * 4 + REFS] as number;
      level--;
      u32[field + SHAPE] = level === 0 ? 0 : level | (TABLE_SHIFT << 8);
      this.#runtime.heap.free(table as Ref);
    }
  }

  /** Frees all chunks and tables. The header is left as it is. */
  release(u32: Uint32Array, header: number): void {
    const field = header + this.#field;
    const root = u32[field] as number;
    if (root === 0) return;
    const level = (u32[field + SHAPE] as number) & 0xff;
    if (level > 0) {
      for (let chunk = ((u32[field + CAPACITY] as number) >>> this.#shift) - 1; chunk >= 0; chunk--) {
        this.#freeChunk(u32, field, chunk);
      }
    } else this.#expect(u32, root, CHUNK);
    this.#runtime.heap.free(root as Ref);
  }

  /**
   * Validates the array, which must have room for `used` slots, and tells the tracer of its blocks.
   * @throws CorruptionError
   */
  trace(u32: Uint32Array, header: number, used: number, tracer: Tracer): void {
    const field = header + this.#field;
    const root = u32[field] as number;
    const capacity = u32[field + CAPACITY] as number;
    const shape = u32[field + SHAPE] as number;
    const peak = u32[field + PEAK] as number;
    const level = shape & 0xff;
    const rootShift = shape >>> 8;
    const full = this.#mask + 1;
    if (used > peak || peak > capacity) {
      throw corruptWord(this.#where, header, `${used} slots used <= peak ${peak} <= capacity ${capacity}`);
    }
    if (level === 0) {
      if (capacity === 0 && root === 0 && shape === 0) return;
      const fits = (capacity & (capacity - 1)) === 0 && capacity >= this.#minCapacity && capacity <= full;
      if (!fits || shape !== 0) throw corruptWord(this.#where, header, 'capacity of a single chunk');
      this.#traceBlock(root, 0, 0, capacity, tracer);
      return;
    }
    const chunks = capacity / full;
    const perRef = 2 ** (TABLE_SHIFT * (level - 1));
    if (
      level > MAP_MAX_LEVEL ||
      rootShift < MAP_TABLE_MIN_SHIFT ||
      rootShift > TABLE_SHIFT ||
      !Number.isInteger(chunks) ||
      chunks <= perRef ||
      chunks > perRef * 2 ** rootShift
    ) {
      throw corruptWord(this.#where, header, 'levels that fit the capacity');
    }
    this.#traceBlock(root, level, 0, 1 << rootShift, tracer);
    for (let chunk = 0; chunk < chunks; chunk++) {
      let block = root;
      for (let below = level - 1; below >= 0; below--) {
        const number = chunk >>> (below * TABLE_SHIFT);
        block = u32[block * 4 + REFS + (number & TABLE_MASK)] as number;
        // Each block is validated at the first chunk that leads through it.
        if ((chunk & ((1 << (below * TABLE_SHIFT)) - 1)) === 0) {
          this.#traceBlock(block, below, number, below === 0 ? full : TABLE_MASK + 1, tracer);
        }
      }
    }
  }

  #traceBlock(ref: number, level: number, number: number, slots: number, tracer: Tracer): void {
    const { heap, views } = this.#runtime;
    const { u32 } = views;
    if (!heap.isBlock(ref as Ref)) throw corruptWord(this.#where, ref * 4, 'a block');
    this.#expect(u32, ref, level === 0 ? CHUNK : TABLE);
    const bytes = level === 0 ? this.#chunkBytes(slots) : BLOCK_HEADER_BYTES + slots * 4;
    if (heap.blockBytes(ref as Ref) < bytes)
      throw corruptWord(this.#where, ref * 4, `a block of ${bytes} bytes`);
    if (u32[ref * 4 + 1] !== this.#place(level, number)) {
      throw corruptWord(this.#where, ref * 4, `number ${number} of level ${level}`);
    }
    tracer.owned(ref as Ref);
  }

  #chunkBytes(slots: number): number {
    return MAP_CHUNK_HEADER_BYTES + slots * this.slotGranules * GRANULE_BYTES;
  }

  #place(level: number, number: number): number {
    return (number * 4 + level) * 2 + this.#tag;
  }

  #newChunk(number: number, slots: number): Ref {
    return this.#runtime.heap.allocateRaw(this.#chunkBytes(slots), CHUNK, this.#place(0, number));
  }

  #newTable(level: number, number: number, refs: number): Ref {
    return this.#runtime.heap.allocate(BLOCK_HEADER_BYTES + refs * 4, TABLE, this.#place(level, number));
  }

  #grow(u32: Uint32Array, field: number): void {
    const capacity = u32[field + CAPACITY] as number;
    if (capacity === 0) {
      u32[field] = this.#newChunk(0, this.#minCapacity);
      u32[field + CAPACITY] = this.#minCapacity;
      u32[field + PEAK] = 0;
    } else if (capacity <= this.#mask) {
      this.#resize(u32, field, capacity * 2, capacity);
    } else {
      this.#addChunk(u32, field, capacity >>> this.#shift);
      u32[field + CAPACITY] = capacity + this.#mask + 1;
    }
  }

  /** Replaces the only chunk by one of `capacity` slots; `used` of them are copied. */
  #resize(u32: Uint32Array, field: number, capacity: number, used: number): void {
    const old = u32[field] as number;
    this.#expect(u32, old, CHUNK);
    const chunk = this.#newChunk(0, capacity);
    const from = (old + 4 - (old & 3)) * 4;
    u32.copyWithin((chunk + 4 - (chunk & 3)) * 4, from, from + used * this.slotGranules * 4);
    u32[field] = chunk;
    u32[field + CAPACITY] = capacity;
    u32[field + PEAK] = used;
    this.#runtime.heap.free(old as Ref);
  }

  #addChunk(u32: Uint32Array, field: number, chunk: number): void {
    const shape = u32[field + SHAPE] as number;
    const rootShift = shape >>> 8;
    let level = shape & 0xff;
    if (level === 0 || chunk >>> (TABLE_SHIFT * (level - 1)) >= 1 << rootShift) {
      const old = u32[field] as number;
      this.#expect(u32, old, level === 0 ? CHUNK : TABLE);
      if (level > 0 && rootShift < TABLE_SHIFT) {
        const table = this.#newTable(level, 0, 2 << rootShift);
        u32.copyWithin(table * 4 + REFS, old * 4 + REFS, old * 4 + REFS + (1 << rootShift));
        u32[field] = table;
        u32[field + SHAPE] = level | ((rootShift + 1) << 8);
        this.#runtime.heap.free(old as Ref);
      } else {
        level++;
        const table = this.#newTable(level, 0, 1 << MAP_TABLE_MIN_SHIFT);
        u32[table * 4 + REFS] = old;
        u32[field] = table;
        u32[field + SHAPE] = level | (MAP_TABLE_MIN_SHIFT << 8);
      }
    }
    let table = u32[field] as number;
    for (let below = level - 1; below >= 0; below--) {
      this.#expect(u32, table, TABLE);
      const number = chunk >>> (below * TABLE_SHIFT);
      const word = table * 4 + REFS + (number & TABLE_MASK);
      if ((chunk & ((1 << (below * TABLE_SHIFT)) - 1)) === 0) {
        const block =
          below === 0
            ? this.#newChunk(number, this.#mask + 1)
            : this.#newTable(below, number, TABLE_MASK + 1);
        this.#runtime.writer.snapshot(((word - (word & 3)) / 4) as Ref, 1);
        u32[word] = block;
      }
      table = u32[word] as number;
    }
  }

  /** Frees a chunk and the tables, but for the topmost one, that lead to it and to none before it. */
  #freeChunk(u32: Uint32Array, field: number, chunk: number): void {
    const { heap } = this.#runtime;
    const top = (u32[field + SHAPE] as number) & 0xff;
    let block = u32[field] as number;
    for (let level = top; level > 0; level--) {
      this.#expect(u32, block, TABLE);
      const child = u32[block * 4 + REFS + ((chunk >>> ((level - 1) * TABLE_SHIFT)) & TABLE_MASK)];
      if (level < top && (chunk & ((1 << (level * TABLE_SHIFT)) - 1)) === 0) heap.free(block as Ref);
      block = child as number;
    }
    this.#expect(u32, block, CHUNK);
    heap.free(block as Ref);
  }

  #expect(u32: Uint32Array, block: number, layout: number): void {
    if (u32[block * 4] !== layout) throw this.#unexpected(block, layout);
  }

  #unexpected(block: number, layout: number): CorruptionError {
    return corruptWord(this.#where, block * 4, layout === CHUNK ? 'a chunk of a map' : 'a table of a map');
  }
}
