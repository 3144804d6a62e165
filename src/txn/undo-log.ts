/**
 * The undo log: before the transaction stores to a range, the range's old bytes are durable in the log. Lives in
 * the pool: a first segment of fixed size, extended by runs of spans when a transaction outgrows it.
 *
 * INV-LOG-3  Records of one transaction are chained by checksum from the seed of the current epoch, so a scan
 *            finds exactly the records that were durable, in order, and none of another transaction.
 * INV-LOG-4  No store of a transaction, not even to memory it has just allocated, precedes its first durable
 *            record: that record retires the transaction before, whose commit is only valid as long as its data
 *            is unchanged.
 * INV-LOG-5  A rollback is durable before the log is written again.
 * INV-LOG-6  No range of a commit record overlaps the log's records: what a rolled-back savepoint touched is no
 *            part of the transaction any more, and spans that the transaction frees are not given to the log.
 * INV-LOG-7  The first record of a transaction leaves all records of the transaction before as they are, or is one
 *            line in the place of the first of them: torn, it must not leave that one without its commit record.
 * INV-LOG-8  No record that verifies follows the end of the log: what a rolled-back savepoint wrote is erased. So a
 *            record that does not verify, with one behind it that continues it, is damaged, not torn.
 *
 * It may not decide what is logged (transaction.ts) nor read a log it did not write (recovery.ts).
 */
import { PoolFullError } from '../errors/index.js';
import {
  GRANULE_BYTES,
  LOG_SEGMENT,
  LOG_SEGMENT_HEADER_BYTES,
  logStarts,
  MAX_COMMIT_RANGES,
  type Offset,
  type Ref,
  SPAN_BYTES,
} from '../format/index.js';
import { CONTROL, type Memory, type RecordWriter, STEP, type Views } from '../memory/index.js';
import { GrowingWords } from './growing-words.js';
import { Health } from './health.js';
import {
  commitGranules,
  LINE_GRANULES,
  type LogSegment,
  lineGranules,
  RECORD_HEADER_GRANULES,
  restoreRecord,
} from './log-records.js';
import { LogSegments, RESERVE_GRANULES } from './log-segments.js';
import { PortableRecordWriter } from './record-writer.js';
import type { LogEpoch, LogMark, TxnLog } from './txn-log.js';

/** Where the log gets more room from: runs of spans, allocated and freed within the open transaction. */
export interface SegmentSource {
  allocateLogRun(bytes: number): LogSegment;
  freeLogRun(segment: LogSegment): void;
  /** Starts a new epoch: whatever the log holds is dead. */
  retireLog(): void;
}

const SEGMENT_HEADER_GRANULES = LOG_SEGMENT_HEADER_BYTES / GRANULE_BYTES;
/** The most that one snapshot record carries; longer ranges are split. */
const MAX_PAYLOAD_GRANULES = 4096;
/** Extensions beyond this are given back after the transaction that needed them. */
const KEEP_EXTENSION_GRANULES = (4 * 1024 * 1024) / GRANULE_BYTES;
/** Size of an extension; its span table entries must fit the reserve. */
const EXTENSION_BYTES = 1024 * 1024;
/** Number of the first transaction of an epoch. */
export const FIRST_TXN_NUMBER = 1;
const RELEASE_AT_ONCE = 4;

interface UndoMark extends LogMark {
  readonly segment: number;
  readonly position: number;
  readonly chain: number;
  /** Words of ranges, and the length of the last one, which may grow. */
  readonly ranges: number;
  readonly lastGranules: number;
}

export class UndoLog implements TxnLog {
  readonly kind = 'undo';
  readonly health = new Health();
  readonly #memory: Memory;
  readonly #u32: Uint32Array;
  readonly #u8: Uint8Array;
  readonly #writer: RecordWriter;
  readonly #portable: PortableRecordWriter;
  readonly #control: Uint32Array;
  readonly #seed: number;
  /** The medium keeps stores in program order and needs no flush: data precedes its commit record as it is. */
  readonly #ordered: boolean;
  readonly #segments: LogSegments;
  readonly #source: SegmentSource;
  /** Refs of the snapshot records of the open transaction, in order. */
  readonly #records = new GrowingWords(1024);
  /** (ref, granules) of everything the open transaction touched. */
  readonly #ranges = new GrowingWords(1024);
  #segment = 0;
  /** The two places where a transaction may start: `logStarts`. */
  readonly #head: number;
  readonly #middle: number;
  /** Where the open transaction started in the first segment, and where its records there ended when it left it. */
  #start: number;
  #firstEnd = 0;
  /** Whether the transaction before started at the same place: INV-LOG-7. */
  #sameStart = false;
  /** Whether a savepoint that was rolled back had run over the middle: what had started there is gone. */
  #overran = false;
  /** Where the next record goes, and where records in this segment must end. */
  #position = 0;
  #limit = 0;
  /** Counts the transactions of this epoch that have records. */
  #txnNumber = FIRST_TXN_NUMBER;

  /**
   * @param segments the chain found at opening, the first segment first
   * @param epoch the epoch that this opening of the pool began
   */
  constructor(
    memory: Memory,
    views: Views,
    segments: readonly LogSegment[],
    epoch: LogEpoch,
    source: SegmentSource,
  ) {
    this.#memory = memory;
    this.#u32 = views.u32;
    this.#u8 = views.u8;
    this.#portable = new PortableRecordWriter(memory, views, memory.recordWriter?.control);
    this.#writer = memory.recordWriter ?? this.#portable;
    this.#control = this.#writer.control;
    this.#seed = epoch.seed;
    this.#control[CONTROL.epoch] = epoch.number;
    this.#ordered = memory.info.domain === 'emulated' && memory.info.flushInstruction === 'none';
    this.#segments = new LogSegments(views.u32, segments);
    this.#source = source;
    this.#writer.setRanges(this.#ranges.words);
    const { ref, granules } = this.#segments.at(0);
    const [head, middle] = logStarts(granules * GRANULE_BYTES);
    this.#head = ref + head / GRANULE_BYTES;
    this.#middle = ref + middle / GRANULE_BYTES;
    this.#start = this.#head;
    this.#begin();
  }

  /** Bytes of the pool that the log occupies. */
  get sizeBytes(): number {
    return this.#segments.sizeBytes;
  }

  /** The extensions, for `pool.check()`. */
  get extensions(): readonly LogSegment[] {
    return this.#segments.extensions;
  }

  snapshot(ref: number, granules: number): void {
    for (let done = 0; done < granules; done += MAX_PAYLOAD_GRANULES)
      this.#append(ref + done, Math.min(MAX_PAYLOAD_GRANULES, granules - done));
    this.#addRange(ref, granules);
  }

  fresh(ref: number, granules: number): void {
    // INV-LOG-4: an empty record retires the transaction before.
    if (this.#records.length === 0) this.#appendRecord(ref, 0);
    this.#addRange(ref, granules);
  }

  mark(): LogMark {
    const mark: UndoMark = {
      records: this.#records.length,
      segment: this.#segment,
      position: this.#position,
      chain: this.#control[CONTROL.chain] as number,
      ranges: this.#ranges.length,
      lastGranules: this.#ranges.words[this.#ranges.length - 1] ?? 0,
    };
    return mark;
  }

  rollbackTo(mark: LogMark): void {
    const { records, segment, position, chain, ranges, lastGranules } = mark as UndoMark;
    if (records === 0) {
      this.rollback();
      return;
    }
    this.#overran ||= this.#start === this.#head && this.#endInFirst() > this.#middle;
    // [ROLLBACK 1, 2] as for the whole transaction: INV-LOG-5.
    this.#restore(records);
    this.#flushRestored();
    // [ROLLBACK 3] INV-LOG-8.
    this.#eraseRecords(records);
    // The link to an extension that the savepoint added was restored with everything else.
    this.#segments.forgetUnlinked();
    // INV-LOG-6: what the savepoint allocated may become anything, even a segment of this log.
    this.#ranges.length = ranges;
    if (ranges > 0) this.#ranges.words[ranges - 1] = lastGranules;
    this.#segment = segment;
    this.#position = position;
    this.#limit = this.#segments.limit(segment);
    this.#control[CONTROL.chain] = chain;
  }

  prepare(): void {
    if (this.#records.length === 0) return;
    // For recovery, which would look for the transaction before if this one's data did not fit its commit record.
    if (this.#overran) this.#appendRecord(this.#head, 0);
    // A new segment, which has room for any commit record, is three ranges more.
    this.#makeRoom(commitGranules(this.#ordered ? 0 : this.#ranges.length / 2));
  }

  commit(): void {
    if (this.#records.length === 0) return;
    const count = this.#ordered ? 0 : this.#ranges.length / 2;
    const checked = !this.#ordered && count <= MAX_COMMIT_RANGES;
    if (!checked && !this.#ordered) {
      // [COMMIT 0] Too many ranges to list in the record: the data gets a fence of its own.
      this.#memory.flushRanges(this.#ranges.words, count, STEP.dataFlush);
      this.#memory.fence(STEP.dataFence);
    }
    const control = this.#control;
    control[CONTROL.at] = this.#position;
    control[CONTROL.rangeCount] = checked ? count : 0;
    control[CONTROL.checked] = checked ? 1 : 0;
    this.#writer.commit();
    this.#position += lineGranules(commitGranules(count));
    this.#end();
  }

  rollback(): void {
    if (this.#records.length === 0) {
      this.#begin();
      return;
    }
    // [ROLLBACK 1] Put the old bytes back, newest first.
    this.#restore(0);
    // [ROLLBACK 2] INV-LOG-5: durable before these records are overwritten.
    this.#flushRestored();
    this.#segments.forgetUnlinked();
    this.#end();
  }

  /** Whether the extensions have outgrown what is kept between transactions. */
  get isDue(): boolean {
    return this.#segments.extensionGranules > KEEP_EXTENSION_GRANULES;
  }

  /** Gives extensions back, a few at a time: such a transaction fits the first segment. */
  maintain(inTxn: (body: () => void) => void): void {
    while (this.isDue) inTxn(() => this.#releaseTail());
  }

  /** A commit of this log is durable when it returns. */
  durable(): null {
    return null;
  }

  flush(): void {}

  end(): void {
    this.#source.retireLog();
  }

  close(): void {}

  #releaseTail(): void {
    const first = Math.max(1, this.#segments.count - RELEASE_AT_ONCE);
    this.#setLink(first - 1, 0 as Ref);
    for (const segment of this.#segments.cut(first)) this.#source.freeLogRun(segment);
  }

  #append(ref: number, granules: number): void {
    // INV-LOG-7: where the transaction before is in the way, it is retired by a record of one line.
    if (this.#records.length === 0 && this.#sameStart) this.#appendRecord(ref, 0);
    this.#appendRecord(ref, granules);
  }

  #appendRecord(ref: number, granules: number): void {
    this.#makeRoom(RECORD_HEADER_GRANULES + granules);
    const position = this.#position;
    const control = this.#control;
    control[CONTROL.at] = position;
    control[CONTROL.source] = ref;
    control[CONTROL.granules] = granules;
    this.#writer.append();
    this.#records.push(position);
    this.#position = position + lineGranules(RECORD_HEADER_GRANULES + granules);
  }

  #addRange(ref: number, granules: number): void {
    const words = this.#ranges.words;
    const last = this.#ranges.length - 2;
    if (last >= 0 && (words[last] as number) + (words[last + 1] as number) === ref) {
      words[last + 1] = (words[last + 1] as number) + granules;
      return;
    }
    if (this.#ranges.pushPair(ref, granules)) this.#writer.setRanges(this.#ranges.words);
  }

  /** Puts back what the records from number `count` on have saved. */
  #restore(count: number): void {
    const { words, length } = this.#records;
    for (let i = length - 1; i >= count; i -= 1) restoreRecord(this.#u32, this.#u8, words[i] as number);
  }

  #flushRestored(): void {
    this.#memory.flushRanges(this.#ranges.words, this.#ranges.length / 2, STEP.rollbackFlush);
    this.#memory.fence(STEP.rollbackFence);
  }

  /** Makes the records behind the first `count` unrecognisable, and durably so: what they restore is durable. */
  #eraseRecords(count: number): void {
    const { words, length } = this.#records;
    for (let i = count; i < length; i += 1) {
      const record = words[i] as number;
      // ATOMIC for each: checksum and length are one unit.
      this.#u32.fill(0, record * 4, record * 4 + 2);
      this.#memory.flush((record * GRANULE_BYTES) as Offset, 8, STEP.rollbackFlush);
    }
    if (length > count) this.#memory.fence(STEP.rollbackFence);
    this.#records.length = count;
  }

  #makeRoom(granules: number): void {
    if (this.#position + lineGranules(granules) > this.#limit) this.#extend(granules);
  }

  /** Continues in the next segment: one left from an earlier transaction, or a new run of spans. */
  #extend(granules: number): void {
    const wanted = lineGranules(granules) + SEGMENT_HEADER_GRANULES + RESERVE_GRANULES;
    // Segments that are too small are passed over: the chain record names the one that follows.
    const next = this.#segments.nextWith(this.#segment, wanted);
    if (next === this.#segments.count) this.#addSegment(wanted);
    const segment = this.#segments.at(next);
    this.#control[CONTROL.at] = this.#position;
    this.#portable.chain(segment.ref, segment.granules);
    if (this.#segment === 0) this.#firstEnd = this.#position + LINE_GRANULES;
    this.#segment = next;
    this.#position = segment.ref + SEGMENT_HEADER_GRANULES;
    this.#limit = this.#segments.limit(this.#segment);
  }

  /** Allocates a segment and links it behind the last one, in the open transaction. */
  #addSegment(wantedGranules: number): void {
    const least = wantedGranules * GRANULE_BYTES;
    const bytes = Math.max(least, Math.min(Math.max(SPAN_BYTES, this.sizeBytes), EXTENSION_BYTES));
    const limit = this.#limit;
    // The records of this allocation go into the reserve.
    this.#limit = limit + RESERVE_GRANULES - LINE_GRANULES;
    try {
      const segment = this.#allocate(bytes, least);
      const words = segment.ref * 4;
      this.#u32.fill(0, words, words + SEGMENT_HEADER_GRANULES * 4);
      this.#u32[words + LOG_SEGMENT.spans.offset / 4] = (segment.granules * GRANULE_BYTES) >>> 16;
      this.fresh(segment.ref, SEGMENT_HEADER_GRANULES);
      this.#setLink(this.#segments.count - 1, segment.ref);
      this.#segments.add(segment);
    } finally {
      this.#limit = limit;
    }
  }

  #allocate(bytes: number, leastBytes: number): LogSegment {
    if (bytes === leastBytes) return this.#source.allocateLogRun(bytes);
    try {
      return this.#source.allocateLogRun(bytes);
    } catch (error) {
      if (!(error instanceof PoolFullError)) throw error;
      // Near the end of the pool a small extension may still fit; if not, this throws the same error.
      return this.#source.allocateLogRun(leastBytes);
    }
  }

  #setLink(segment: number, next: Ref): void {
    this.snapshot(this.#segments.at(segment).ref, 1);
    this.#segments.setLink(segment, next);
  }

  /** Where the records of the open transaction in the first segment end. */
  #endInFirst(): number {
    return this.#segment === 0 ? this.#position : this.#firstEnd;
  }

  /** The open transaction, which has records, is over: chooses where the next one starts (INV-LOG-7). */
  #end(): void {
    const end = this.#endInFirst();
    const fromHead = this.#start === this.#head;
    this.#sameStart = fromHead && end > this.#middle;
    this.#start = fromHead && end <= this.#middle ? this.#middle : this.#head;
    this.#txnNumber = (this.#txnNumber + 1) >>> 0;
    this.#begin();
  }

  /** Prepares for the next transaction. */
  #begin(): void {
    this.#records.length = 0;
    this.#ranges.length = 0;
    this.#overran = false;
    this.#segment = 0;
    this.#position = this.#start;
    this.#limit = this.#segments.limit(0);
    this.#control[CONTROL.chain] = this.#seed;
    this.#control[CONTROL.txn] = this.#txnNumber;
  }
}
