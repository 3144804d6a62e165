/**
 * Recovery from a write-ahead log: puts the after-images of every complete record into the pool, in order, up to the first
 * record that does not verify.
 *
 * INV-REC-3  Replaying may be interrupted at any point and run again: it reads only the log, which stays valid until the
 *            header of the pool names it no more, and what it writes does not depend on what was there.
 * INV-REC-4  A record that does not verify ends the log only if it may have been torn: when a later one says that it was
 *            durable, it is damaged, and opening refuses.
 *
 *   [REPLAY 0] read record after record from the tail on
 *   [REPLAY 1] make the log durable: its process may have died before it did. Records that are not known to be durable are
 *              written once more: after a failed sync the kernel takes what it could not write for written
 *   [REPLAY 2] copy its after-images into the pool
 *   [REPLAY 3] make them durable
 *   [REPLAY 4] the pool's header names no log any more: ATOMIC (pool/)
 */
import { CorruptionError } from '../errors/index.js';
import {
  crc32c,
  GRANULE_BYTES,
  LINE_BYTES,
  PAGE_BYTES,
  WAL_MAX_DISTANCE,
  WAL_RECORD,
  WAL_SKIP,
  walRecordGranules,
} from '../format/index.js';
import { type Memory, STEP, type Views, type WalFile, type WriteAheadLog } from '../memory/index.js';
import { GrowingWords } from './growing-words.js';
import { PageSet } from './page-set.js';
import { FIRST_LINE, type WalHeader, walSeed } from './wal-header.js';
import { walLines } from './wal-record-writer.js';

/** What replaying needs to know of the pool. */
export interface ReplayInput {
  readonly memory: Memory;
  readonly views: Views;
  readonly wal: WriteAheadLog;
  readonly header: WalHeader;
  /** First granule that a transaction may change. */
  readonly start: number;
  /** The pool's checkpoint mark: the last record of which its file may hold something. */
  readonly markedSeq: number;
}

export interface ReplayResult {
  /** Records found complete. */
  readonly records: number;
  /** Size of the pool after the last of them. */
  readonly sizeBytes: number;
}

interface ScannedRecord {
  readonly seq: number;
  /** How many records before it were not known to be durable when it was written; `WAL_MAX_DISTANCE`: nobody knows. */
  readonly distance: number;
  readonly lines: number;
  readonly count: number;
  readonly sizeBytes: number;
  /** The whole record. */
  readonly bytes: Uint8Array;
  readonly words: Uint32Array;
}

/** Pages flushed in one go. */
const PAGES_AT_ONCE = 1024;
/** Changed pages that replaying keeps before it writes them: 64 MiB. */
const PAGES_IN_MEMORY = 16_384;
const PAGE_GRANULES = PAGE_BYTES / GRANULE_BYTES;
const HEADER_BYTES = WAL_RECORD.ranges.offset;

/**
 * Applies the log; the caller then writes the pool's header.
 * @returns null when the log ends before `markedSeq`: it is an older copy, and nothing was changed
 * @throws CorruptionError, PoolFullError, IoError
 */
export function replay(input: ReplayInput): ReplayResult | null {
  const { memory, header, wal } = input;
  const reader = new WalReader(wal, walSeed(header));
  // [REPLAY 0]
  const found = scan(reader, header);
  if (header.tailSeq + found.lines.length - 1 < input.markedSeq) return null;
  // [REPLAY 1] The pool must not be ahead of its log.
  for (let i = Math.max(0, found.durable + 1 - header.tailSeq); i < found.lines.length; i += 1) {
    const line = found.lines.words[i] as number;
    wal.write(line * LINE_BYTES, reader.again(line).bytes, STEP.walAppend);
  }
  wal.sync(STEP.walSyncAhead);
  // [REPLAY 2]
  if (found.sizeBytes > memory.sizeBytes) memory.grow(found.sizeBytes);
  const touched = new PageSet();
  const end = found.sizeBytes / GRANULE_BYTES;
  let records = 0;
  for (let i = 0; i < found.lines.length; i += 1) {
    const line = found.lines.words[i] as number;
    const record = reader.again(line);
    if (record.count === WAL_SKIP) continue;
    apply(input, record, { line, end }, touched);
    records += 1;
    if (touched.size >= PAGES_IN_MEMORY) writeOut(input, touched);
  }
  // [REPLAY 3]
  writeOut(input, touched);
  memory.fence(STEP.recoveryFence);
  return { records, sizeBytes: found.sizeBytes };
}

interface Found {
  /** Where the records are, skip records included. */
  readonly lines: GrowingWords;
  /** Sequence number of the last record that is known to be durable. */
  durable: number;
  /** Size of the pool after the last record. */
  sizeBytes: number;
}

function scan(reader: WalReader, header: WalHeader): Found {
  const found: Found = {
    lines: new GrowingWords(1024),
    durable: header.tailSeq - 1,
    sizeBytes: header.sizeBytes,
  };
  let line = header.tailLine;
  let seq = header.tailSeq;
  for (;;) {
    const record = reader.read(line);
    if (record === null || record.seq !== seq) break;
    found.lines.push(line);
    if (record.distance < WAL_MAX_DISTANCE)
      found.durable = Math.max(found.durable, seq - 1 - record.distance);
    found.sizeBytes = Math.max(found.sizeBytes, record.sizeBytes);
    line = record.count === WAL_SKIP ? FIRST_LINE : line + record.lines;
    seq += 1;
  }
  refuseDamage(reader, line, seq);
  return found;
}

/** Whether the log holds a complete record at its tail: whether anything is lost with it. */
export function holdsRecords(wal: WalFile, header: WalHeader): boolean {
  return new WalReader(wal, walSeed(header)).read(header.tailLine)?.seq === header.tailSeq;
}

function apply(
  { views, start }: ReplayInput,
  { words, bytes, count }: ScannedRecord,
  limit: { readonly line: number; readonly end: number },
  touched: PageSet,
): void {
  let from = walRecordGranules(count, 0) * GRANULE_BYTES;
  for (let i = 0; i < count; i += 1) {
    const ref = words[HEADER_BYTES / 4 + 2 * i] as number;
    const granules = words[HEADER_BYTES / 4 + 2 * i + 1] as number;
    if (ref < start || ref + granules > limit.end || from + granules * GRANULE_BYTES > bytes.length)
      throw badRecord(limit.line, 'ranges inside the pool');
    views.u8.set(bytes.subarray(from, from + granules * GRANULE_BYTES), ref * GRANULE_BYTES);
    touched.add(ref, granules);
    from += granules * GRANULE_BYTES;
  }
}

/** Writes pages to the pool's file; private copies of them are not needed any more. */
function writeOut({ memory, wal }: ReplayInput, touched: PageSet): void {
  const pages = new Uint32Array(PAGES_AT_ONCE);
  const ranges = new Uint32Array(2 * PAGES_AT_ONCE);
  for (let count = touched.take(pages); count > 0; count = touched.take(pages)) {
    for (let i = 0; i < count; i += 1) {
      ranges[2 * i] = (pages[i] as number) * PAGE_GRANULES;
      ranges[2 * i + 1] = PAGE_GRANULES;
    }
    memory.flushRanges(ranges, count, STEP.recoveryFlush);
    if (memory.info.log === 'redo') wal.giveBack(pages, count);
  }
}

/** INV-REC-4 */
function refuseDamage(reader: WalReader, line: number, seq: number): void {
  for (const later of reader.recordsAfter(seq)) {
    if (later.distance === WAL_MAX_DISTANCE || later.seq - 1 - later.distance < seq) continue;
    throw badRecord(line, `record ${seq}, which record ${later.seq} says was durable: the log is damaged`);
  }
}

/** Reads records by their place in the file. */
class WalReader {
  readonly #wal: WalFile;
  readonly #seed: number;
  readonly #lines: number;

  constructor(wal: WalFile, seed: number) {
    this.#wal = wal;
    this.#seed = seed;
    this.#lines = Math.floor(wal.sizeBytes / LINE_BYTES);
  }

  /** The record at a line; null when there is none that verifies. */
  read(line: number): ScannedRecord | null {
    if (line < FIRST_LINE || line >= this.#lines) return null;
    return this.#verified(line, this.#head(line));
  }

  /** A record that was found to verify. */
  again(line: number): ScannedRecord {
    return this.#record(line, walLines(this.#head(line)[WAL_RECORD.granules.offset / 4] as number));
  }

  /** All records that verify and have a higher sequence number, wherever they lie. */
  *recordsAfter(seq: number): Generator<ScannedRecord> {
    const chunk = new Uint32Array((64 * 1024) / 4);
    const chunkLines = chunk.byteLength / LINE_BYTES;
    for (let first = FIRST_LINE; first < this.#lines; first += chunkLines) {
      this.#wal.read(first * LINE_BYTES, new Uint8Array(chunk.buffer));
      const count = Math.min(chunkLines, this.#lines - first);
      for (let i = 0; i < count; i += 1) {
        const head = chunk.subarray((i * LINE_BYTES) / 4, (i * LINE_BYTES + HEADER_BYTES) / 4);
        const found = seqOf(head);
        // A log holds no more records than lines.
        if (found <= seq || found > seq + this.#lines) continue;
        const record = this.#verified(first + i, head);
        if (record !== null) yield record;
      }
    }
  }

  #verified(line: number, head: Uint32Array): ScannedRecord | null {
    const granules = head[WAL_RECORD.granules.offset / 4] as number;
    const count = head[WAL_RECORD.count.offset / 4] as number;
    const lines = walLines(granules);
    if (granules < walRecordGranules(count === WAL_SKIP ? 0 : count, 0) || line + lines > this.#lines)
      return null;
    const record = this.#record(line, lines);
    return crc32c(this.#seed, record.bytes, 4, granules * GRANULE_BYTES) === record.words[0] ? record : null;
  }

  #head(line: number): Uint32Array {
    const head = new Uint32Array(HEADER_BYTES / 4);
    this.#wal.read(line * LINE_BYTES, new Uint8Array(head.buffer));
    return head;
  }

  #record(line: number, lines: number): ScannedRecord {
    const words = new Uint32Array((lines * LINE_BYTES) / 4);
    const bytes = new Uint8Array(words.buffer);
    this.#wal.read(line * LINE_BYTES, bytes);
    return {
      seq: seqOf(words),
      distance: (words[WAL_RECORD.seqHigh.offset / 4] as number) >>> 16,
      lines,
      count: words[WAL_RECORD.count.offset / 4] as number,
      sizeBytes: (words[WAL_RECORD.sizeGranules.offset / 4] as number) * GRANULE_BYTES,
      bytes,
      words,
    };
  }
}

function seqOf(words: Uint32Array): number {
  const low = words[WAL_RECORD.seqLow.offset / 4] as number;
  return ((words[WAL_RECORD.seqHigh.offset / 4] as number) & 0xffff) * 2 ** 32 + low;
}

function badRecord(line: number, expected: string): CorruptionError {
  const offset = line * LINE_BYTES;
  return new CorruptionError(`write-ahead log, around offset ${offset}: expected ${expected}`, {
    offset,
    expected,
  });
}
