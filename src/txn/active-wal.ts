/**
 * The write-ahead log of an open pool: makes the file, appends records at the ring's head, and knows how much of it is
 * durable.
 *
 * INV-WAL-4  The pool's header names a log only when that log's file and header are durable: [WAL 1] before [WAL 2].
 */
import { PoolFullError } from '../errors/index.js';
import {
  INITIAL_WAL_BYTES,
  LINE_BYTES,
  MIN_WAL_BYTES,
  SPAN_BYTES,
  WAL_MAX_DISTANCE,
} from '../format/index.js';
import {
  type Memory,
  STEP,
  type Views,
  WAL_CONTROL,
  type WalAccess,
  type WalRecordWriter,
  type WriteAheadLog,
} from '../memory/index.js';
import type { GrowingWords } from './growing-words.js';
import { encodeWalHeader, FIRST_LINE, type WalIdentity, walHeaderOffset, walSeed } from './wal-header.js';
import { PortableWalRecordWriter } from './wal-record-writer.js';
import { type WalPosition, WalRing } from './wal-ring.js';

/** What a new log starts with. */
export interface NewWal {
  readonly identity: WalIdentity;
  readonly access: WalAccess;
  /** The most that the log shall grow to. */
  readonly maxBytes: number;
  /** Size of the pool. */
  readonly poolBytes: number;
}

export class ActiveWal {
  readonly file: WriteAheadLog;
  readonly ring: WalRing;
  /** Sequence number of the last record that is known to be durable. */
  durableSeq = 0;
  /** The checkpoint mark in the pool's file. */
  markedSeq = 0;
  readonly #identity: WalIdentity;
  readonly #portable: PortableWalRecordWriter;
  readonly #writer: WalRecordWriter;
  readonly #control: Uint32Array;
  #generation = 0;

  /**
   * [WAL 1] Makes the file: zeros, then its header, durable before anyone names it.
   * @throws PoolFullError, IoError; PoolOpenError READ_ONLY. Whatever is left of the file is needed by nobody
   */
  static create(memory: Memory, views: Views, { identity, access, maxBytes, poolBytes }: NewWal): ActiveWal {
    const file = memory.openWal({ create: true, access }) as WriteAheadLog;
    try {
      // What an older log left behind must not be taken for records or headers of this one.
      file.truncate(0);
      firstExtent(file, Math.min(INITIAL_WAL_BYTES, maxBytes));
      const wal = new ActiveWal(file, views, identity);
      const header = wal.#encodeHeader({ line: FIRST_LINE, seq: 1 }, poolBytes, file.sizeBytes);
      file.write(walHeaderOffset(0), header, STEP.walCreate);
      file.sync(STEP.walCreateSync);
      return wal;
    } catch (error) {
      file.close();
      throw error;
    }
  }

  private constructor(file: WriteAheadLog, views: Views, identity: WalIdentity) {
    this.file = file;
    this.ring = new WalRing(file.sizeBytes);
    this.#identity = identity;
    this.#portable = new PortableWalRecordWriter(file, views, file.recordWriter?.control);
    this.#writer = file.recordWriter ?? this.#portable;
    this.#control = this.#writer.control;
    this.#control[WAL_CONTROL.seed] = walSeed(identity);
  }

  setRanges(ranges: Uint32Array): void {
    this.#writer.setRanges(ranges);
  }

  /**
   * Appends the record of a transaction, for which `lines` were found free. The ranges are sorted and merged in place.
   * @returns how many ranges are left
   */
  append(ranges: GrowingWords, lines: number, sizeGranules: number): number {
    const { ring } = this;
    const control = this.#control;
    if (ring.roomFor(lines) === 'at-start') {
      this.#aim(ring.head + 1, sizeGranules);
      this.#portable.skip();
      ring.wrap();
    }
    this.#aim(ring.end, sizeGranules);
    control[WAL_CONTROL.count] = ranges.length / 2;
    this.#writer.append();
    ring.advance(control[WAL_CONTROL.lines] as number);
    return control[WAL_CONTROL.count] as number;
  }

  /** Returns when all records are durable. @throws IoError */
  sync(): void {
    if (!this.file.synchronous) this.file.sync(STEP.walSync);
    this.durableSeq = this.ring.seq - 1;
  }

  get position(): WalPosition {
    return { line: this.ring.head, seq: this.ring.seq };
  }

  /** The next header of the log, with this tail, and where it goes. */
  nextHeader(
    tail: WalPosition,
    poolBytes: number,
    fileBytes = this.file.sizeBytes,
  ): { readonly at: number; readonly bytes: Uint8Array } {
    this.#generation = (this.#generation + 1) >>> 0;
    const bytes = this.#encodeHeader(tail, poolBytes, fileBytes);
    return { at: walHeaderOffset(this.#generation), bytes };
  }

  /**
   * An empty log starts at the start again, with room for at least `lines`.
   * @throws PoolFullError: the log is as before
   */
  restart(lines: number, poolBytes: number): void {
    const { ring, file } = this;
    const least = (FIRST_LINE + lines + 1) * LINE_BYTES;
    if (least > file.sizeBytes) file.extend(Math.ceil(least / SPAN_BYTES) * SPAN_BYTES);
    const tail = { line: FIRST_LINE, seq: ring.seq };
    // INV-WAL-1: durable before a record is written where the old header would not look for it.
    this.#writeHeader(tail, poolBytes);
    ring.capacity = Math.floor(file.sizeBytes / LINE_BYTES);
    ring.release(tail);
    ring.head = FIRST_LINE;
  }

  /** Cuts the file, behind all records, to this size. */
  cut(sizeBytes: number, poolBytes: number): void {
    const { ring } = this;
    // First what the header says of the file's length, then that.
    this.#writeHeader({ line: ring.tail, seq: ring.tailSeq }, poolBytes, sizeBytes);
    this.file.truncate(sizeBytes);
    ring.capacity = Math.floor(sizeBytes / LINE_BYTES);
  }

  #writeHeader(tail: WalPosition, poolBytes: number, fileBytes?: number): void {
    const { at, bytes } = this.nextHeader(tail, poolBytes, fileBytes);
    this.file.write(at, bytes, STEP.walTail);
    this.file.sync(STEP.walTailSync);
  }

  #aim(end: number, sizeGranules: number): void {
    const { ring } = this;
    const control = this.#control;
    const distance = Math.min(ring.seq - 1 - this.durableSeq, WAL_MAX_DISTANCE);
    control[WAL_CONTROL.at] = ring.head;
    control[WAL_CONTROL.end] = end;
    control[WAL_CONTROL.seqLow] = ring.seq;
    control[WAL_CONTROL.seqHigh] = distance * 65536 + Math.floor(ring.seq / 2 ** 32);
    control[WAL_CONTROL.sizeGranules] = sizeGranules;
  }

  #encodeHeader(tail: WalPosition, sizeBytes: number, fileBytes: number): Uint8Array {
    return encodeWalHeader({
      ...this.#identity,
      generation: this.#generation,
      tailSeq: tail.seq,
      tailLine: tail.line,
      sizeBytes,
      fileBytes,
      markedSeq: this.markedSeq,
    });
  }
}

/** A full disk may still have room for the smallest log, in which what is on it can be freed. */
function firstExtent(file: WriteAheadLog, bytes: number): void {
  try {
    file.extend(bytes);
  } catch (error) {
    if (!(error instanceof PoolFullError) || bytes <= MIN_WAL_BYTES) throw error;
    file.extend(MIN_WAL_BYTES);
  }
}
