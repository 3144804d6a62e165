/**
 * The content of a file that programs write to with system calls, behind the page cache: what is durable, and for each
 * unit (a page of a pool, a sector of a log, or 8 bytes of a log in persistent memory) what was written since.
 *
 * INV-SIM-11  Until a sync, each unit may hold its durable content or any that a write left since, whatever the others
 *             hold; a sync makes durable what was written before it began, and nothing else.
 * INV-SIM-5 holds for failed syncs as for failed fences.
 *
 * Nobody maps it: every change passes through `write`, and the current content is the last one written.
 */
import type { DirtyUnit } from './dirty-unit.js';
import type { DurableImage } from './durable-image.js';
import { MAX_VALUES } from './mapped-content.js';

/** Counts the writes of one medium, so that those to different files can be put in order. */
export interface WriteClock {
  /** Number of the last write. */
  now: number;
}

/** What one write left in a unit. */
interface Version {
  readonly bytes: Uint8Array;
  /** Number of the write. */
  readonly written: number;
  /** Whether a sync makes it durable: not where the flush of a store was left out. */
  readonly flushed: boolean;
}

/** The content of one file, as programs read and write it. */
export class WrittenContent {
  readonly unitBytes: number;
  readonly #path: string;
  readonly #durable: DurableImage;
  readonly #clock: WriteClock;
  /** What was written to each unit since it was durable, oldest first; never empty. */
  readonly #versions = new Map<number, Version[]>();
  /** Syncs of what was written up to here have failed. */
  #voidUntil = 0;

  constructor(path: string, durable: DurableImage, options: { unitBytes: number; clock: WriteClock }) {
    this.unitBytes = options.unitBytes;
    this.#path = path;
    this.#durable = durable;
    this.#clock = options.clock;
  }

  /** Copies [at, at + target.length) as programs see it; what lies behind the end is zero. */
  read(at: number, target: Uint8Array): void {
    this.#durable.read(at, target);
    const end = at + target.length;
    for (const [unit, versions] of this.#versions) {
      const start = unit * this.unitBytes;
      if (start >= end || start + this.unitBytes <= at) continue;
      const from = Math.max(at, start);
      target.set(last(versions).bytes.subarray(from - start, end - start), from - at);
    }
  }

  /** One write. @param flushed `false`: it is seen, but no sync makes it durable */
  write(at: number, bytes: Uint8Array, flushed = true): void {
    const { unitBytes } = this;
    const written = ++this.#clock.now;
    const end = at + bytes.length;
    for (let unit = Math.floor(at / unitBytes); unit * unitBytes < end; unit++) {
      const start = unit * unitBytes;
      const from = Math.max(at, start);
      const part = bytes.subarray(from - at, start + unitBytes - at);
      this.#writeUnit(unit, from - start, part, { written, flushed });
    }
  }

  /** What a sync does that began after write number `until`. */
  settle(until: number): void {
    for (const [unit, versions] of this.#versions) {
      const index = versions.findLastIndex(({ flushed, written }) => flushed && written <= until);
      if (index < 0) continue;
      const { bytes, written } = versions[index] as Version;
      if (written <= this.#voidUntil) continue;
      this.#durable.write(unit * this.unitBytes, bytes);
      if (index === versions.length - 1) this.#versions.delete(unit);
      else versions.splice(0, index + 1);
    }
  }

  /** What a failed sync does: nothing written so far will become durable by a later one. */
  voidWrites(): void {
    this.#voidUntil = this.#clock.now;
  }

  /** Units beyond the end are gone, bytes beyond it are zero. The durable image was cut already. */
  truncate(sizeBytes: number): void {
    for (const [unit, versions] of this.#versions) {
      const rest = sizeBytes - unit * this.unitBytes;
      if (rest >= this.unitBytes) continue;
      if (rest <= 0) this.#versions.delete(unit);
      else for (const { bytes } of versions) bytes.fill(0, rest);
    }
  }

  /** All uncertain units by address. */
  dirtyUnits(): DirtyUnit[] {
    const dirty: DirtyUnit[] = [];
    for (const [unit, versions] of this.#versions) {
      const durable = this.#durableUnit(unit);
      const values = [durable];
      const written = [0];
      for (const version of versions) {
        if (indexOf(values, version.bytes) >= 0) continue;
        values.push(version.bytes);
        written.push(version.written);
      }
      if (values.length === 1) continue;
      const current = last(versions);
      if (values.length > MAX_VALUES) {
        values.splice(1, values.length - MAX_VALUES);
        written.splice(1, written.length - MAX_VALUES);
      }
      if (indexOf(values, current.bytes) < 0) {
        values[1] = current.bytes;
        written[1] = current.written;
      }
      dirty.push({
        path: this.#path,
        offset: unit * this.unitBytes,
        values,
        current: indexOf(values, current.bytes),
        flushed: versions.some((version) => version.flushed && version.written > this.#voidUntil),
        written,
      });
    }
    return dirty.sort((a, b) => a.offset - b.offset);
  }

  /** @param at offset in the unit */
  #writeUnit(unit: number, at: number, part: Uint8Array, how: { written: number; flushed: boolean }): void {
    const versions = this.#versions.get(unit);
    const before = versions === undefined ? this.#durableUnit(unit) : last(versions).bytes;
    const isSame = Buffer.compare(before.subarray(at, at + part.length), part) === 0;
    if (isSame && versions === undefined) return;
    const bytes = isSame ? before : before.slice();
    if (!isSame) bytes.set(part, at);
    if (versions === undefined) this.#versions.set(unit, [{ bytes, ...how }]);
    else versions.push({ bytes, ...how });
  }

  #durableUnit(unit: number): Uint8Array {
    const bytes = new Uint8Array(this.unitBytes);
    this.#durable.read(unit * this.unitBytes, bytes);
    return bytes;
  }
}

function last(versions: readonly Version[]): Version {
  return versions[versions.length - 1] as Version;
}

function indexOf(values: readonly Uint8Array[], bytes: Uint8Array): number {
  return values.findIndex((value) => value === bytes || Buffer.compare(value, bytes) === 0);
}
