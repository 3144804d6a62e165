/**
 * The portable writer of the redo log's records: builds a record out of the pool's memory and gives it to the log in one
 * `write`. The native addon does the same in one call; a test holds the two against each other byte for byte.
 *
 * INV-RLOG-2  A record holds what every range of its transaction holds when it commits, each granule once; its checksum
 *             covers all of it, so a record that lost a sector is not taken for one.
 */
import {
  crc32c,
  GRANULE_BYTES,
  LINE_BYTES,
  WAL_RECORD,
  WAL_SKIP,
  walRecordGranules,
} from '../format/index.js';
import {
  STEP,
  type Views,
  WAL_CONTROL,
  WAL_CONTROL_WORDS,
  type WalFile,
  type WalRecordWriter,
} from '../memory/index.js';

import type { GrowingWords } from './growing-words.js';

const LINE_GRANULES = LINE_BYTES / GRANULE_BYTES;

/** The lines that a record of so many granules takes. */
export function walLines(granules: number): number {
  return Math.ceil(granules / LINE_GRANULES);
}

/** The most lines that a record of so many ranges and granules can take. */
export function recordLines(ranges: number, granules: number): number {
  return walLines(walRecordGranules(ranges, granules));
}

/** The lines that the record of these ranges takes, which may overlap; they are left as they are. */
export function mergedLines(ranges: GrowingWords): number {
  const pairs = ranges.words.slice(0, ranges.length);
  const count = mergeRanges(pairs, ranges.length / 2);
  let granules = 0;
  for (let i = 0; i < count; i += 1) granules += pairs[2 * i + 1] as number;
  return recordLines(count, granules);
}

export class PortableWalRecordWriter implements WalRecordWriter {
  readonly control: Uint32Array;
  readonly #wal: WalFile;
  readonly #u8: Uint8Array;
  #ranges: Uint32Array = new Uint32Array(0);

  constructor(wal: WalFile, views: Views, control: Uint32Array = new Uint32Array(WAL_CONTROL_WORDS)) {
    this.control = control;
    this.#wal = wal;
    this.#u8 = views.u8;
  }

  setRanges(ranges: Uint32Array): void {
    this.#ranges = ranges;
  }

  append(): void {
    const control = this.control;
    const count = mergeRanges(this.#ranges, control[WAL_CONTROL.count] as number);
    const ranges = this.#ranges;
    let data = 0;
    for (let i = 0; i < count; i += 1) data += ranges[2 * i + 1] as number;
    const granules = walRecordGranules(count, data);
    this.#checkRoom(walLines(granules));
    const record = new Uint8Array(walLines(granules) * LINE_BYTES);
    const words = new Uint32Array(record.buffer);
    let at = granules - data;
    for (let i = 0; i < count; i += 1) {
      const ref = ranges[2 * i] as number;
      const length = ranges[2 * i + 1] as number;
      words[WAL_RECORD.ranges.offset / 4 + 2 * i] = ref;
      words[WAL_RECORD.ranges.offset / 4 + 2 * i + 1] = length;
      record.set(this.#u8.subarray(ref * GRANULE_BYTES, (ref + length) * GRANULE_BYTES), at * GRANULE_BYTES);
      at += length;
    }
    this.#write(words, granules, count);
    control[WAL_CONTROL.count] = count;
  }

  /** Writes a record of one line that sends readers to the start of the ring. */
  skip(): void {
    this.#checkRoom(1);
    this.#write(new Uint32Array(LINE_BYTES / 4), walRecordGranules(0, 0), WAL_SKIP);
  }

  #checkRoom(lines: number): void {
    const { at, end } = WAL_CONTROL;
    if ((this.control[at] as number) + lines > (this.control[end] as number))
      throw new RangeError('the record does not fit the log');
  }

  /** Fills in the header and the checksum. */
  #write(words: Uint32Array, granules: number, count: number): void {
    const control = this.control;
    const record = new Uint8Array(words.buffer);
    words[WAL_RECORD.granules.offset / 4] = granules;
    words[WAL_RECORD.seqLow.offset / 4] = control[WAL_CONTROL.seqLow] as number;
    words[WAL_RECORD.seqHigh.offset / 4] = control[WAL_CONTROL.seqHigh] as number;
    words[WAL_RECORD.count.offset / 4] = count;
    words[WAL_RECORD.sizeGranules.offset / 4] = control[WAL_CONTROL.sizeGranules] as number;
    words[0] = crc32c(control[WAL_CONTROL.seed] as number, record, 4, granules * GRANULE_BYTES);
    control[WAL_CONTROL.lines] = record.length / LINE_BYTES;
    this.#wal.write((control[WAL_CONTROL.at] as number) * LINE_BYTES, record, STEP.walAppend);
    if (this.#wal.synchronous) this.#wal.sync(STEP.walSync);
  }
}

/** Sorts (ref, granules) pairs and merges those that overlap or touch, in place. Returns how many are left. */
function mergeRanges(pairs: Uint32Array, count: number): number {
  const sorted = Array.from({ length: count }, (_, i) => [
    pairs[2 * i] as number,
    pairs[2 * i + 1] as number,
  ]);
  sorted.sort(([a], [b]) => (a as number) - (b as number));
  let merged = 0;
  for (const [ref = 0, granules = 0] of sorted) {
    if (granules === 0) continue;
    const last = 2 * (merged - 1);
    if (merged > 0 && ref <= (pairs[last] as number) + (pairs[last + 1] as number)) {
      pairs[last + 1] = Math.max(pairs[last + 1] as number, ref + granules - (pairs[last] as number));
    } else {
      pairs[2 * merged] = ref;
      pairs[2 * merged + 1] = granules;
      merged += 1;
    }
  }
  return merged;
}
