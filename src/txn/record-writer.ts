/**
 * The portable record writer: builds the records of the undo log with plain stores and makes them durable with
 * the medium's `flush` and `fence`. The native addon does the same in one call per record; a test holds the two
 * against each other byte for byte, so that what the simulated medium proves of this one holds for that one.
 *
 * INV-LOG-1  A snapshot record is durable when `append` returns.
 * INV-LOG-2  `commit` needs one fence for data and commit record together: the record carries a checksum of the
 *            data, so a commit record without all of its data is recognised as no commit.
 */
import {
  COMMIT_PAYLOAD,
  crc32c,
  GRANULE_BYTES,
  LINE_BYTES,
  type Offset,
  RECORD_EPOCH_MASK,
  RECORD_EPOCH_SHIFT,
  RECORD_HEADER_BYTES,
  RECORD_KIND,
  RECORD_KIND_SHIFT,
} from '../format/index.js';
import {
  CONTROL,
  CONTROL_WORDS,
  type Memory,
  type RecordWriter,
  STEP,
  type Step,
  type Views,
} from '../memory/index.js';

export class PortableRecordWriter implements RecordWriter {
  readonly control: Uint32Array;
  readonly #memory: Memory;
  readonly #u8: Uint8Array;
  readonly #u32: Uint32Array;
  #ranges: Uint32Array = new Uint32Array(0);

  constructor(memory: Memory, views: Views, control: Uint32Array = new Uint32Array(CONTROL_WORDS)) {
    this.control = control;
    this.#memory = memory;
    this.#u8 = views.u8;
    this.#u32 = views.u32;
  }

  setRanges(ranges: Uint32Array): void {
    this.#ranges = ranges;
  }

  append(): void {
    const control = this.control;
    const at = (control[CONTROL.at] as number) * GRANULE_BYTES;
    const source = control[CONTROL.source] as number;
    const granules = control[CONTROL.granules] as number;
    // [LOG 1] The record: header, the old bytes, padding.
    this.#u8.copyWithin(
      at + RECORD_HEADER_BYTES,
      source * GRANULE_BYTES,
      (source + granules) * GRANULE_BYTES,
    );
    const bytes = this.#seal(at, RECORD_KIND.snapshot.value, source, granules);
    // [LOG 2] Durable before the caller stores to the range.
    this.#persist(at, bytes, STEP.recordFlush, STEP.recordFence);
  }

  commit(): void {
    const control = this.control;
    const at = (control[CONTROL.at] as number) * GRANULE_BYTES;
    const count = control[CONTROL.rangeCount] as number;
    const checked = control[CONTROL.checked] === 1;
    // [COMMIT 1] Write the data back; not yet ordered.
    this.#memory.flushRanges(this.#ranges, count, STEP.dataFlush);
    // [COMMIT 2] The commit record: which ranges, and the checksum of what they hold now.
    const words = at / 4;
    const listed = checked ? count : 0;
    const payloadGranules = 1 + Math.ceil(listed / 2);
    this.#u32.fill(0, words + COMMIT_PAYLOAD.afterChecksum.offset / 4, words + 4 + payloadGranules * 4);
    this.#u32.set(this.#ranges.subarray(0, listed * 2), words + COMMIT_PAYLOAD.ranges.offset / 4);
    this.#u32[words + COMMIT_PAYLOAD.afterChecksum.offset / 4] = this.#afterChecksum(listed);
    const bytes = this.#seal(at, RECORD_KIND.commit.value, listed, payloadGranules);
    // [COMMIT 3] ATOMIC: with this fence the record and its data are durable, and the transaction is committed.
    this.#persist(at, bytes, STEP.commitFlush, STEP.commitFence);
  }

  /** Writes a chain record and makes it durable: recordFlush, recordFence. */
  chain(segment: number, granules: number): void {
    const control = this.control;
    const at = (control[CONTROL.at] as number) * GRANULE_BYTES;
    const words = at / 4;
    this.#u32.fill(0, words + 4, words + 8);
    this.#u32[words + 4] = granules;
    const bytes = this.#seal(at, RECORD_KIND.chain.value, segment, 1);
    this.#persist(at, bytes, STEP.recordFlush, STEP.recordFence);
  }

  #afterChecksum(count: number): number {
    let crc = 0;
    for (let i = 0; i < count; i += 1) {
      const start = (this.#ranges[2 * i] as number) * GRANULE_BYTES;
      crc = crc32c(crc, this.#u8, start, start + (this.#ranges[2 * i + 1] as number) * GRANULE_BYTES);
    }
    return crc;
  }

  /** Fills in the record header and the padding; returns the record's length with padding. */
  #seal(at: number, kind: number, subject: number, payloadGranules: number): number {
    const control = this.control;
    const words = at / 4;
    const end = at + RECORD_HEADER_BYTES + payloadGranules * GRANULE_BYTES;
    const padded = Math.ceil(end / LINE_BYTES) * LINE_BYTES;
    this.#u8.fill(0, end, padded);
    const epoch = ((control[CONTROL.epoch] as number) & RECORD_EPOCH_MASK) << RECORD_EPOCH_SHIFT;
    this.#u32[words + 1] = ((kind << RECORD_KIND_SHIFT) | epoch | payloadGranules) >>> 0;
    this.#u32[words + 2] = subject;
    this.#u32[words + 3] = control[CONTROL.txn] as number;
    const crc = crc32c(control[CONTROL.chain] as number, this.#u8, at + 4, end);
    this.#u32[words] = crc;
    control[CONTROL.chain] = crc;
    return padded - at;
  }

  #persist(at: number, bytes: number, flush: Step, fence: Step): void {
    this.#memory.flush(at as Offset, bytes, flush);
    this.#memory.fence(fence);
  }
}
