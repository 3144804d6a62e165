/**
 * What the open transaction of a redo log has touched, and the old bytes that a rollback puts back: all of it in the
 * memory of the process, because the pool's file sees nothing before a checkpoint.
 *
 * INV-RLOG-1  After `restore` to a mark, every range noted since holds what it held at the mark; memory allocated since
 *             may hold anything.
 */
import type { Views } from '../memory/index.js';
import { GrowingWords } from './growing-words.js';
import type { LogMark } from './txn-log.js';

interface WriteSetMark extends LogMark {
  readonly saved: number;
  readonly ranges: number;
  /** Length of the last range, which may grow. */
  readonly lastGranules: number;
  readonly granules: number;
}

export class WriteSet {
  /** (ref, granules) of everything touched, in order; may overlap. */
  readonly ranges = new GrowingWords(1024);
  /** Sum of the lengths in `ranges`, overlaps counted twice. */
  granules = 0;
  readonly #i32: Int32Array;
  /** (ref, granules) of every saved range, in order. */
  readonly #entries = new GrowingWords(1024);
  #saved = new Int32Array(4096);
  #savedLength = 0;

  constructor(views: Views) {
    this.#i32 = views.i32;
  }

  get isEmpty(): boolean {
    return this.ranges.length === 0;
  }

  /** Saves the bytes of a range that is about to be stored to. Returns true when `ranges.words` was replaced. */
  save(ref: number, granules: number): boolean {
    const count = granules * 4;
    const to = this.#savedLength;
    if (to + count > this.#saved.length) this.#growSaved(to + count);
    copyWords(this.#i32, ref * 4, this.#saved, to, count);
    // In this order, and no call in between: whatever throws, entries and saved bytes belong together.
    this.#entries.pushPair(ref, granules);
    this.#savedLength = to + count;
    return this.touch(ref, granules);
  }

  /** Notes a range without saving it. Returns true when `ranges.words` was replaced. */
  touch(ref: number, granules: number): boolean {
    this.granules += granules;
    const words = this.ranges.words;
    const last = this.ranges.length - 2;
    if (last >= 0 && (words[last] as number) + (words[last + 1] as number) === ref) {
      words[last + 1] = (words[last + 1] as number) + granules;
      return false;
    }
    return this.ranges.pushPair(ref, granules);
  }

  mark(): LogMark {
    const mark: WriteSetMark = {
      records: this.#entries.length,
      saved: this.#savedLength,
      ranges: this.ranges.length,
      lastGranules: this.ranges.words[this.ranges.length - 1] ?? 0,
      granules: this.granules,
    };
    return mark;
  }

  /** Puts the old bytes back, newest first, and forgets what was touched since the mark. */
  restore(to: LogMark): void {
    const { records, saved, ranges, lastGranules, granules } = to as WriteSetMark;
    this.#putBack(records);
    this.#entries.length = records;
    this.#savedLength = saved;
    this.ranges.length = ranges;
    if (ranges > 0) this.ranges.words[ranges - 1] = lastGranules;
    this.granules = granules;
  }

  /** Puts all old bytes back, newest first; nothing is forgotten. */
  restoreAll(): void {
    this.#putBack(0);
  }

  /**
   * Runs `body` with memory as it was before the transaction, then puts the transaction's bytes back: those of memory that
   * it allocated as well, whose pages `body` may give back.
   */
  setAside(body: () => void): void {
    const { words, length } = this.ranges;
    const after: Int32Array[] = [];
    for (let i = 0; i < length; i += 2) {
      const from = (words[i] as number) * 4;
      after.push(this.#i32.slice(from, from + (words[i + 1] as number) * 4));
    }
    this.#putBack(0);
    try {
      body();
    } finally {
      for (let i = 0; i < length; i += 2) this.#i32.set(after[i / 2] as Int32Array, (words[i] as number) * 4);
    }
  }

  /** The transaction is over. */
  clear(): void {
    this.ranges.length = 0;
    this.granules = 0;
    this.#entries.length = 0;
    this.#savedLength = 0;
    if (this.#saved.length > KEEP_WORDS) this.#saved = new Int32Array(4096);
  }

  #putBack(firstEntry: number): void {
    const { words, length } = this.#entries;
    let from = this.#savedLength;
    for (let i = length - 2; i >= firstEntry; i -= 2) {
      const count = (words[i + 1] as number) * 4;
      from -= count;
      copyWords(this.#saved, from, this.#i32, (words[i] as number) * 4, count);
    }
  }

  #growSaved(least: number): void {
    const larger = new Int32Array(Math.max(least, this.#saved.length * 2));
    larger.set(this.#saved);
    this.#saved = larger;
  }
}

/** Saved bytes beyond this are given back after the transaction that needed them: 16 MiB. */
const KEEP_WORDS = 4 * 1024 * 1024;

function copyWords(source: Int32Array, from: number, target: Int32Array, to: number, count: number): void {
  if (count <= 64) for (let i = 0; i < count; i += 1) target[to + i] = source[from + i] as number;
  else target.set(source.subarray(from, from + count), to);
}
