/**
 * Where records go in the write-ahead log: a ring of lines between the tail, from which recovery reads, and the head.
 *
 * INV-WAL-2  No record is written over a line between tail and head; head equals tail only when there is none.
 * INV-WAL-3  A record is contiguous. Where the end of the file is too near, a skip record, for which a line is always
 *            left, sends readers to the start.
 */
import { LINE_BYTES } from '../format/index.js';
import { FIRST_LINE } from './wal-header.js';

/** A place between two records. */
export interface WalPosition {
  readonly line: number;
  /** Sequence number of the record that starts there. */
  readonly seq: number;
}

/** Where a record of some length can go. */
export type Room = 'here' | 'at-start' | 'none';

export class WalRing {
  /** The line before which records end: the end of the file, or less, so that it can be cut. */
  capacity: number;
  head = FIRST_LINE;
  tail = FIRST_LINE;
  /** Sequence number of the next record. */
  seq = 1;
  tailSeq = 1;
  /** Where the last skip record lies. */
  #skippedAt = FIRST_LINE;

  constructor(sizeBytes: number) {
    this.capacity = Math.floor(sizeBytes / LINE_BYTES);
  }

  /** Lines between tail and head. */
  get used(): number {
    return this.isWrapped ? this.#skippedAt + 1 - this.tail + this.head - FIRST_LINE : this.head - this.tail;
  }

  /** Lines for records. */
  get total(): number {
    return this.capacity - FIRST_LINE;
  }

  /** Whether the records in use run over the end of the file, so that it cannot be extended. */
  get isWrapped(): boolean {
    return this.head < this.tail;
  }

  /** The line before which a record at the head must end. */
  get end(): number {
    return this.isWrapped ? this.tail - 1 : this.capacity - 1;
  }

  roomFor(lines: number): Room {
    if (this.head + lines <= this.end) return 'here';
    return !this.isWrapped && FIRST_LINE + lines < this.tail ? 'at-start' : 'none';
  }

  /** A record of so many lines was written at the head. */
  advance(lines: number): void {
    this.head += lines;
    this.seq += 1;
  }

  /** A skip record was written at the head. */
  wrap(): void {
    this.#skippedAt = this.head;
    this.head = FIRST_LINE;
    this.seq += 1;
  }

  /** Everything before `position` is given up. */
  release(position: WalPosition): void {
    this.tail = position.line;
    this.tailSeq = position.seq;
  }
}
