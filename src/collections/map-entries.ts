/**
 * The entries of a map: slots in insertion order, appended at the end. A deleted entry is marked and stays;
 * compaction slides the entries behind it down, a few per operation, and so keeps the order.
 *
 * INV-MAP-7  While a compaction is under way (`read` > 0), slots in [write, read) are dead whatever is in them;
 *            below `write` and from `read` to `used` a slot is live unless it is marked deleted.
 * INV-MAP-8  Each insertion or deletion looks at SCAN_SLOTS slots and moves MOVE_ENTRIES entries at most, which
 *            keeps `used` below a fixed multiple of the entries in the map.
 *
 * Why a new entry needs no log record: it lies from `used` on, where nothing is live (INV-MAP-3), and becomes
 * part of the map by the header and the index, which are logged. A rollback or a recovery restores those two
 * and leaves dead bytes behind. Entries are whole granules, so no live bytes share one with it.
 *
 * What an operation logs: an insertion nothing here; a deletion one granule; a moved entry its target, and the
 * word of the index that leads to it.
 */

import { GRANULE_BYTES, MAP, MAP_DELETED, MAP_ENTRY, type Offset, type Ref } from '../format/index.js';
import { Container, REF, type Runtime, type SlotCodec } from '../instance/index.js';
import type { Views } from '../memory/index.js';
import type { KeyCodec } from './keys.js';
import { MapArray } from './map-array.js';
import type { CursorSet } from './map-cursor.js';
import type { MapIndex } from './map-index.js';

const COUNT = MAP.count.offset / 4;
const USED = MAP.used.offset / 4;
const READ = MAP.read.offset / 4;
const WRITE = MAP.write.offset / 4;
const NEXT = MAP_ENTRY.next.offset / 4;
const DELETED = MAP_DELETED;
const MIN_ENTRIES = 4;

const SCAN_SLOTS = 16;
const MOVE_ENTRIES = 4;
/** Deleted entries that are not worth a compaction, beside as many as there are live ones. */
const SPARE_SLOTS = 8;

/** `header` is the position of the map header in 32-bit words, `entry` that of an entry. */
export class MapEntries {
  /** Offsets of the slots within an entry. */
  readonly keyBytes: number;
  readonly valueBytes: number;
  readonly array: MapArray;
  readonly #runtime: Runtime;
  readonly #keys: KeyCodec;
  readonly #value: SlotCodec;

  constructor(runtime: Runtime, keys: KeyCodec, value: SlotCodec, where: string) {
    this.#runtime = runtime;
    this.#keys = keys;
    this.#value = value;
    this.keyBytes = MAP_ENTRY.key.offset;
    const valueAlign = Math.min(8, value.sizeBytes);
    this.valueBytes = Math.ceil((this.keyBytes + keys.slot.sizeBytes) / valueAlign) * valueAlign;
    this.array = new MapArray({
      runtime,
      where,
      field: MAP.entries.offset,
      slotBytes: Math.ceil((this.valueBytes + value.sizeBytes) / GRANULE_BYTES) * GRANULE_BYTES,
      minCapacity: MIN_ENTRIES,
      tag: 0,
    });
  }

  /** Index of the first live entry from slot `index` on, or -1. */
  nextLive(u32: Uint32Array, header: number, index: number): number {
    const used = u32[header + USED] as number;
    const read = u32[header + READ] as number;
    const write = u32[header + WRITE] as number;
    for (let i = index; i < used; i++) {
      if (i >= write && i < read) i = read;
      if (i >= used) break;
      if (u32[this.array.locate(u32, header, i) * 4 + NEXT] !== DELETED) return i;
    }
    return -1;
  }

  /** Appends an entry that is in no bucket yet; key and value were checked. @returns its position */
  append(views: Views, header: number, hash: number, key: unknown, value: unknown): number {
    const { u32 } = views;
    const used = u32[header + USED] as number;
    const entry = this.array.append(u32, header, used) * 4;
    this.#value.write((entry * 4 + this.valueBytes) as Offset, value);
    this.#keys.slot.write((entry * 4 + this.keyBytes) as Offset, key);
    views.i32[entry] = hash;
    u32[entry + NEXT] = 0;
    u32[header + USED] = used + 1;
    u32[header + COUNT] = (u32[header + COUNT] as number) + 1;
    return entry;
  }

  /** The value of an entry. */
  valueAt(entry: number): unknown {
    return this.#value.read((entry * 4 + this.valueBytes) as Offset);
  }

  /** Replaces the value of an entry; it was checked. */
  overwrite(entry: number, value: unknown): void {
    const at = (entry * 4 + this.valueBytes) as Offset;
    // A container that is stored where it already is stays as it is: its handle must not go stale.
    if (value instanceof Container && value[REF] === this.#runtime.views.u32[at / 4] && this.#value.owns)
      return;
    this.#runtime.writer.snapshot(Math.floor(at / GRANULE_BYTES) as Ref, 1);
    if (this.#value.owns) this.#value.release(at);
    this.#value.write(at, value);
  }

  /** Marks an entry deleted that is in no bucket any more, and frees what it owns. */
  delete(u32: Uint32Array, header: number, entry: number): void {
    this.#runtime.writer.snapshot((entry / 4) as Ref, 1);
    u32[entry + NEXT] = DELETED;
    u32[header + COUNT] = (u32[header + COUNT] as number) - 1;
    this.releaseSlots(entry);
  }

  releaseSlots(entry: number): void {
    if (this.#keys.slot.owns) this.#keys.slot.release((entry * 4 + this.keyBytes) as Offset);
    if (this.#value.owns) this.#value.release((entry * 4 + this.valueBytes) as Offset);
  }

  /** The step of compaction that each insertion and deletion takes (INV-MAP-8). */
  compact(u32: Uint32Array, header: number, index: MapIndex, cursors: CursorSet): void {
    const used = u32[header + USED] as number;
    const count = u32[header + COUNT] as number;
    if (count === 0) {
      this.#finish(u32, header, 0, cursors);
      this.array.trim(u32, header, 0);
      return;
    }
    let read = u32[header + READ] as number;
    if (read === 0) {
      if (used <= count * 2 + SPARE_SLOTS) {
        this.array.trim(u32, header, used);
        return;
      }
      u32[header + WRITE] = 0;
    }
    let write = u32[header + WRITE] as number;
    const end = Math.min(used, read + SCAN_SLOTS);
    for (let moves = 0; read < end && moves < MOVE_ENTRIES; read++) {
      const entry = this.array.locate(u32, header, read) * 4;
      if (u32[entry + NEXT] === DELETED) continue;
      if (write < read) {
        this.#move(u32, header, entry, read, write, index);
        cursors.moved(read, write);
        moves++;
      }
      write++;
    }
    if (read < used) {
      u32[header + READ] = read;
      u32[header + WRITE] = write;
      return;
    }
    this.#finish(u32, header, write, cursors);
  }

  /** All live entries are below slot `used`. */
  #finish(u32: Uint32Array, header: number, used: number, cursors: CursorSet): void {
    u32[header + READ] = 0;
    u32[header + WRITE] = 0;
    u32[header + USED] = used;
    cursors.truncated(used);
  }

  #move(u32: Uint32Array, header: number, from: number, read: number, write: number, index: MapIndex): void {
    const granules = this.array.slotGranules;
    const to = this.array.locate(u32, header, write) * 4;
    this.#runtime.writer.snapshot((to / 4) as Ref, granules);
    for (let word = 0; word < granules * 4; word++) u32[to + word] = u32[from + word] as number;
    index.renumber(u32, header, u32[from] as number, read + 1, write + 1);
  }
}
