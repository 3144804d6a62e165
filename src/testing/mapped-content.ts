/**
 * The content of a file that programs store to through a shared mapping of byte-addressable memory: what they read and
 * write (`current`), and for each unit of 8 bytes the values stored since it was durable, any of which a crash may find.
 *
 * INV-SIM-3  Between fences or syncs a dirty unit may hold its durable value or any value seen in it since, whatever the
 *            other units hold.
 * INV-SIM-4  A fence makes durable what a line held when it was last flushed, and nothing else. What was stored to
 *            it after that flush stays dirty.
 * INV-SIM-5  A failed fence or sync guarantees nothing, and neither does a later one, for what was flushed or written
 *            before it: it must be flushed or written again (as pages are after a failed fsync).
 *
 * Stores cannot be intercepted: they are found by comparing `current` with what is durable (`capture`). A value that is
 * overwritten before anybody looks is not known; while it is observed, the medium looks at every flush, fence and growth.
 */
import { LINE_BYTES, PAGE_BYTES } from '../format/index.js';
import { type DirtyUnit, UNIT_BYTES } from './dirty-unit.js';
import type { DurableImage } from './durable-image.js';
import { detach, type Scratch } from './scratch.js';

const UNITS_PER_LINE = LINE_BYTES / UNIT_BYTES;
const LINES_PER_PAGE = PAGE_BYTES / LINE_BYTES;
const WORDS_PER_LINE = LINE_BYTES / 4;
const NOT_FLUSHED = -1;
/** Values of one unit that a crash image can choose among; of more, the oldest are left out. */
export const MAX_VALUES = 256;

/** Values seen in a unit since it was durable, oldest first; never empty, no two neighbours alike. */
interface History {
  readonly values: bigint[];
  /** Index of the value that the next fence makes durable. */
  flushed: number;
}

/** The content of one file, as the program sees it through a shared mapping. */
export class MappedContent {
  readonly #path: string;
  readonly #durable: DurableImage;
  readonly #scratch: Scratch | null;
  readonly #history = new Map<number, History>();
  readonly #flushed = new Set<number>();
  #current: ArrayBuffer | null = null;
  #bytes: Buffer = Buffer.alloc(0);
  #words = new Uint32Array(0);
  #units = new BigUint64Array(0);

  constructor(path: string, durable: DurableImage, scratch: Scratch | null) {
    this.#path = path;
    this.#durable = durable;
    this.#scratch = scratch;
  }

  /** The buffer to hand out: `reserveBytes` long, with `pageBytes` of current content, whole pages. */
  attach(reserveBytes: number, pageBytes: number): ArrayBuffer {
    const old = this.#current;
    if (old !== null && old.byteLength === reserveBytes) return old;
    const buffer = this.#scratch?.take(reserveBytes) ?? new ArrayBuffer(reserveBytes);
    this.read(0, new Uint8Array(buffer, 0, pageBytes));
    if (old !== null) this.#scratch?.give(old);
    this.#use(buffer);
    return buffer;
  }

  /** Takes the buffer away from its views; the content stays, with what is uncertain about it. */
  detach(): void {
    if (this.#current !== null) this.#use(detach(this.#current));
  }

  /** Gives the memory back. The content is gone. */
  release(): void {
    if (this.#current === null) return;
    const buffer = detach(this.#current);
    this.#current = null;
    this.#scratch?.give(buffer);
  }

  /** Copies [at, at + target.length) as the program sees it. */
  read(at: number, target: Uint8Array): void {
    if (this.#current === null) this.#durable.read(at, target);
    else target.set(new Uint8Array(this.#current, at, target.length));
  }

  /** The file has grown, within the buffer: new bytes are zero. */
  grow(from: number, to: number): void {
    this.#bytes.fill(0, from, to);
  }

  /** Flushes every line that [at, at + bytes) touches and returns how many they are. */
  flush(at: number, bytes: number): number {
    if (bytes === 0) return 0;
    const first = Math.floor(at / LINE_BYTES);
    const end = Math.ceil((at + bytes) / LINE_BYTES);
    for (let line = first; line < end; line++) this.#flushLine(line);
    return end - first;
  }

  /** What a fence does: flushed values become durable. */
  settle(): void {
    for (const unit of this.#flushed) {
      const history = this.#history.get(unit) as History;
      const { values, flushed } = history;
      this.#durable.writeUnit(unit, values[flushed] as bigint);
      if (flushed === values.length - 1) {
        this.#history.delete(unit);
      } else {
        values.splice(0, flushed + 1);
        history.flushed = NOT_FLUSHED;
      }
    }
    this.#flushed.clear();
  }

  /** What a failed fence does: flushes since the last one are void. */
  voidFlushes(): void {
    for (const unit of this.#flushed) (this.#history.get(unit) as History).flushed = NOT_FLUSHED;
    this.#flushed.clear();
  }

  /** Finds all stores since the last look. */
  capture(): void {
    if (this.#current === null) return;
    const units = this.#units;
    for (const [unit, { values }] of this.#history) {
      const value = units[unit] as bigint;
      if (values[values.length - 1] !== value) values.push(value);
    }
    this.#durable.diff(this.#bytes, this.#words, (unit) => {
      if (!this.#history.has(unit)) {
        this.#history.set(unit, { values: [units[unit] as bigint], flushed: NOT_FLUSHED });
      }
    });
  }

  /** All uncertain units by address. */
  dirtyUnits(): DirtyUnit[] {
    this.capture();
    const dirty: DirtyUnit[] = [];
    for (const [unit, history] of this.#history) {
      const values = [...new Set([this.#durable.readUnit(unit), ...history.values])];
      if (values.length === 1) continue;
      const current = history.values[history.values.length - 1] as bigint;
      if (values.length > MAX_VALUES) values.splice(1, values.length - MAX_VALUES);
      if (!values.includes(current)) values[1] = current;
      dirty.push({
        path: this.#path,
        offset: unit * UNIT_BYTES,
        values: values.map((value) => new Uint8Array(BigUint64Array.of(value).buffer)),
        current: values.indexOf(current),
        flushed: history.flushed !== NOT_FLUSHED,
        written: null,
      });
    }
    return dirty.sort((a, b) => a.offset - b.offset);
  }

  #flushLine(line: number): void {
    const page = Math.floor(line / LINES_PER_PAGE);
    const durable = this.#durable.pageWords(page);
    const inPage = (line % LINES_PER_PAGE) * WORDS_PER_LINE;
    const inFile = line * WORDS_PER_LINE;
    for (let slot = 0; slot < UNITS_PER_LINE; slot++) {
      const unit = line * UNITS_PER_LINE + slot;
      const a = inPage + slot * 2;
      const b = inFile + slot * 2;
      const changed = durable[a] !== this.#words[b] || durable[a + 1] !== this.#words[b + 1];
      if (changed || this.#history.has(unit)) this.#flushUnit(unit);
    }
  }

  #flushUnit(unit: number): void {
    const value = this.#units[unit] as bigint;
    let history = this.#history.get(unit);
    if (history === undefined) {
      history = { values: [value], flushed: NOT_FLUSHED };
      this.#history.set(unit, history);
    } else if (history.values[history.values.length - 1] !== value) {
      history.values.push(value);
    }
    history.flushed = history.values.length - 1;
    this.#flushed.add(unit);
  }

  #use(buffer: ArrayBuffer): void {
    this.#current = buffer;
    this.#bytes = Buffer.from(buffer);
    this.#words = new Uint32Array(buffer);
    this.#units = new BigUint64Array(buffer);
  }
}
