/**
 * The heap: blocks of the size classes (`SIZE_CLASSES`) in spans of 64 KiB, larger ones in runs of spans.
 *
 * Persistent state is one entry per span in the span table, and a bitmap at the start of every span of small
 * blocks; both change through the transaction's Writer like any field, so a transaction that rolls back leaks
 * nothing. Everything else here is volatile and rebuilt lazily, span by span: opening a pool reads none of it.
 *
 * INV-HEAP-1  A set bit (or a run's entry) in a committed pool is a block with a valid block header.
 * INV-HEAP-2  Blocks freed in a transaction keep their bytes, and are not given out again, until it has committed.
 * INV-HEAP-3  Bytes of free blocks and free spans mean nothing: whoever allocates them writes them anew.
 */
import { CorruptionError, PoolFullError } from '../errors/index.js';
import {
  GRANULE_BYTES,
  MAX_SMALL_BYTES,
  offsetOf,
  type Ref,
  SIZE_CLASSES,
  SPAN_BYTES,
  SPAN_GRANULES,
  SPAN_KIND,
  SPAN_KIND_MASK,
  SPAN_PARAM_SHIFT,
} from '../format/index.js';
import type { Views } from '../memory/index.js';
import { HeapWalk } from './heap-walk.js';
import type { HeapPlace } from './place.js';
import {
  BITMAP_GRANULES,
  BITMAP_WORDS,
  BLOCKS,
  CLASS_COUNT,
  CLASS_GRANULES,
  CLASS_OF,
} from './size-classes.js';
import { SpanTable } from './span-table.js';
import type { TxnContext, TxnParticipant } from './writer.js';

/** Spans of a class that are looked at for a free block before a fresh span is taken. */
const CANDIDATES_PER_REFILL = 8;
const NO_SPAN = -1;

export class Heap implements TxnParticipant {
  /** Reads the whole heap. */
  readonly walk: HeapWalk;
  readonly #u32: Uint32Array;
  readonly #f64: Float64Array;
  readonly #txn: TxnContext;
  readonly #heapStart: Ref;
  readonly #table: SpanTable;
  // The span that each class allocates from, the bitmap word it is at, and the free blocks left in that word.
  readonly #span = new Int32Array(CLASS_COUNT).fill(NO_SPAN);
  readonly #word = new Int32Array(CLASS_COUNT);
  readonly #mask = new Int32Array(CLASS_COUNT);
  /** Spans of each class that may have free blocks. */
  readonly #candidates: number[][] = SIZE_CLASSES.map(() => []);
  readonly #candidateKind = new Map<number, number>();
  /** Whether the running transaction has changed the heap. */
  #enlisted = false;
  /** Refs below lie inside the file; the file may have grown since. */
  endRef = 0;
  /** Blocks to free when the transaction commits. */
  #freed: Ref[] = [];

  constructor(views: Views, place: HeapPlace, txn: TxnContext) {
    this.#u32 = views.u32;
    this.#f64 = views.f64;
    this.#txn = txn;
    this.#heapStart = place.heapStart;
    this.#table = new SpanTable(views, place, txn, (span, kind) => this.#noteSpan(span, kind));
    this.walk = new HeapWalk(views, place.heapStart, this.#table);
  }

  /**
   * Allocates a zeroed block of at least `bytes` (block header included) and writes its block header.
   * @throws PoolFullError; the transaction is doomed then
   */
  allocate(bytes: number, layoutId: number, info: number): Ref {
    const ref = this.allocateRaw(bytes, layoutId, info);
    const f64 = this.#f64;
    const first = ref * 2 + 1;
    const end = ref * 2 + Math.ceil(bytes / GRANULE_BYTES) * 2;
    if (bytes <= 256) for (let i = first; i < end; i += 1) f64[i] = 0;
    else f64.fill(0, first, end);
    return ref;
  }

  /** The same without zeroing what follows the block header: the caller writes all of it. */
  allocateRaw(bytes: number, layoutId: number, info: number): Ref {
    if (!this.#enlisted) this.#enlist();
    const ref =
      bytes <= MAX_SMALL_BYTES
        ? this.#allocateSmall(CLASS_OF[(bytes + 15) >>> 4] as number)
        : this.#allocateRun(bytes);
    this.#txn.fresh(ref, Math.ceil(bytes / GRANULE_BYTES));
    this.#u32[ref * 4] = layoutId;
    this.#u32[ref * 4 + 1] = info;
    return ref;
  }

  /** Frees the block when the transaction commits; until then its bytes stay as they are. */
  free(ref: Ref): void {
    if (!this.#enlisted) this.#enlist();
    this.#freed.push(ref);
  }

  /** Whether `ref` lies behind the last span of the file, where a load reads nothing of the pool, or with mmap-io ends the process. */
  isBeyondEnd(ref: number): boolean {
    if (ref < this.endRef) return false;
    this.endRef = this.#heapStart + this.#table.spanCount * SPAN_GRANULES;
    return ref >= this.endRef;
  }

  /** Size of the block at `ref`, as allocated (its size class). */
  blockBytes(ref: Ref): number {
    const span = this.#spanOf(ref);
    const entry = this.#table.entry(span);
    const kind = entry & SPAN_KIND_MASK;
    if (kind >= SPAN_KIND.small.value) return SIZE_CLASSES[kind - SPAN_KIND.small.value] as number;
    return (entry >>> SPAN_PARAM_SHIFT) * SPAN_BYTES;
  }

  /** Whether an allocated block starts at `ref`: for validation of refs read from the pool. */
  isBlock(ref: Ref): boolean {
    if (!(ref >= this.#heapStart)) return false;
    const span = this.#spanOf(ref);
    if (span >= this.#table.spanCount) return false;
    const entry = this.#table.entry(span);
    const kind = entry & SPAN_KIND_MASK;
    const inSpan = (ref - this.#heapStart) % SPAN_GRANULES;
    if (kind === SPAN_KIND.large.value) {
      const spans = entry >>> SPAN_PARAM_SHIFT;
      return inSpan === 0 && spans > 0 && span + spans <= this.#table.spanCount;
    }
    const sizeClass = kind - SPAN_KIND.small.value;
    if (sizeClass < 0 || sizeClass >= CLASS_COUNT) return false;
    const index = (inSpan - (BITMAP_GRANULES[sizeClass] as number)) / (CLASS_GRANULES[sizeClass] as number);
    if (!Number.isInteger(index) || index < 0 || index >= (BLOCKS[sizeClass] as number)) return false;
    return ((this.#u32[this.#bitmapWord(span, index >> 5)] as number) & (1 << (index & 31))) !== 0;
  }

  /** A run of spans for the undo log. */
  allocateLogRun(bytes: number): { ref: Ref; granules: number } {
    if (!this.#enlisted) this.#enlist();
    const spans = Math.ceil(bytes / SPAN_BYTES);
    const span = this.#table.allocate(spans, SPAN_KIND.log.value);
    return { ref: this.#spanStart(span), granules: spans * SPAN_GRANULES };
  }

  freeLogRun(run: { readonly ref: Ref; readonly granules: number }): void {
    if (!this.#enlisted) this.#enlist();
    this.#table.free(this.#spanOf(run.ref), run.granules / SPAN_GRANULES);
  }

  // -------------------------------------------------------------------------------- as TxnParticipant

  /** Carries out the frees of the transaction: its last writes. */
  beforeCommit(): void {
    for (let i = 0; i < this.#freed.length; i += 1) this.#release(this.#freed[i] as Ref);
  }

  ended(committed: boolean): void {
    this.#enlisted = false;
    if (this.#freed.length > 0) this.#freed = [];
    if (!committed) this.#forgetActive();
    this.#table.ended(committed);
  }

  mark(): number {
    return this.#freed.length;
  }

  rolledBackTo(mark: number): void {
    this.#freed.length = mark;
    this.#forgetActive();
    this.#table.rolledBack();
  }

  #enlist(): void {
    this.#enlisted = true;
    this.#txn.enlist(this);
  }

  // -------------------------------------------------------------------------------- small blocks

  #allocateSmall(sizeClass: number): Ref {
    while (this.#mask[sizeClass] === 0) this.#nextWord(sizeClass);
    const span = this.#span[sizeClass] as number;
    const mask = this.#mask[sizeClass] as number;
    const bit = 31 - Math.clz32(mask & -mask);
    const word = this.#word[sizeClass] as number;
    const start = this.#spanStart(span);
    this.#txn.snapshot(start + (word >> 2), 1);
    const at = start * 4 + word;
    this.#u32[at] = (this.#u32[at] as number) | (1 << bit);
    this.#mask[sizeClass] = mask & (mask - 1);
    return (start +
      (BITMAP_GRANULES[sizeClass] as number) +
      (word * 32 + bit) * (CLASS_GRANULES[sizeClass] as number)) as Ref;
  }

  /** Moves on to the next bitmap word of the span, or to another span. */
  #nextWord(sizeClass: number): void {
    const span = this.#span[sizeClass] as number;
    if (span === NO_SPAN) {
      this.#refill(sizeClass);
      return;
    }
    const word = (this.#word[sizeClass] as number) + 1;
    if (word < (BITMAP_WORDS[sizeClass] as number)) {
      this.#word[sizeClass] = word;
      this.#mask[sizeClass] = this.#freeIn(span, sizeClass, word);
    } else {
      this.#span[sizeClass] = NO_SPAN;
    }
  }

  /** Free blocks of one bitmap word, as a mask. */
  #freeIn(span: number, sizeClass: number, word: number): number {
    const left = (BLOCKS[sizeClass] as number) - word * 32;
    const valid = left >= 32 ? -1 : (1 << left) - 1;
    return ~(this.#u32[this.#bitmapWord(span, word)] as number) & valid;
  }

  #refill(sizeClass: number): void {
    const candidates = this.#candidates[sizeClass] as number[];
    for (let tries = 0; tries < CANDIDATES_PER_REFILL; tries += 1) {
      if (candidates.length === 0 && !this.#table.scanMore()) break;
      const span = candidates.pop();
      if (span === undefined) continue;
      this.#unnote(span, sizeClass);
      if (this.#tryActivate(span, sizeClass)) return;
    }
    try {
      this.#activate(this.#newSpan(sizeClass), sizeClass, 0);
    } catch (error) {
      if (error instanceof PoolFullError && this.#activateAny(sizeClass)) return;
      this.#txn.doom(error);
      throw error;
    }
  }

  /** The pool is full: every span that may have a free block is looked at. */
  #activateAny(sizeClass: number): boolean {
    while (this.#table.scanMore());
    const candidates = this.#candidates[sizeClass] as number[];
    for (let span = candidates.pop(); span !== undefined; span = candidates.pop()) {
      this.#unnote(span, sizeClass);
      if (this.#tryActivate(span, sizeClass)) return true;
    }
    return false;
  }

  #tryActivate(span: number, sizeClass: number): boolean {
    // A rollback or a free may have made it something else since it was noted.
    if ((this.#table.entry(span) & SPAN_KIND_MASK) !== SPAN_KIND.small.value + sizeClass) return false;
    for (let word = 0; word < (BITMAP_WORDS[sizeClass] as number); word += 1) {
      if (this.#freeIn(span, sizeClass, word) !== 0) {
        this.#activate(span, sizeClass, word);
        return true;
      }
    }
    return false;
  }

  #activate(span: number, sizeClass: number, word: number): void {
    this.#span[sizeClass] = span;
    this.#word[sizeClass] = word;
    this.#mask[sizeClass] = this.#freeIn(span, sizeClass, word);
  }

  #newSpan(sizeClass: number): number {
    const span = this.#table.allocate(1, SPAN_KIND.small.value + sizeClass);
    const start = this.#spanStart(span);
    const granules = BITMAP_GRANULES[sizeClass] as number;
    this.#txn.fresh(start, granules);
    this.#u32.fill(0, start * 4, (start + granules) * 4);
    return span;
  }

  #unnote(span: number, sizeClass: number): void {
    if (this.#candidateKind.get(span) === SPAN_KIND.small.value + sizeClass) this.#candidateKind.delete(span);
  }

  #noteSpan(span: number, kind: number): void {
    // By kind: a span that was noted, freed and taken for another size class is a candidate of that one.
    if (this.#candidateKind.get(span) === kind) return;
    const candidates = this.#candidates[kind - SPAN_KIND.small.value];
    if (candidates === undefined) return; // no valid kind: `check` reports it
    this.#candidateKind.set(span, kind);
    candidates.push(span);
  }

  /** Blocks given out since may be free again: the volatile view of every active span is void. */
  #forgetActive(): void {
    for (let sizeClass = 0; sizeClass < CLASS_COUNT; sizeClass += 1) {
      const span = this.#span[sizeClass] as number;
      if (span === NO_SPAN) continue;
      this.#span[sizeClass] = NO_SPAN;
      this.#mask[sizeClass] = 0;
      this.#noteSpan(span, SPAN_KIND.small.value + sizeClass);
    }
  }

  // -------------------------------------------------------------------------------- large blocks, frees

  #allocateRun(bytes: number): Ref {
    try {
      return this.#spanStart(this.#table.allocate(Math.ceil(bytes / SPAN_BYTES), SPAN_KIND.large.value));
    } catch (error) {
      this.#txn.doom(error);
      throw error;
    }
  }

  #release(ref: Ref): void {
    if (!this.isBlock(ref)) {
      throw new CorruptionError(`block at offset ${offsetOf(ref)} is freed but not allocated`, {
        offset: offsetOf(ref),
      });
    }
    const span = this.#spanOf(ref);
    const entry = this.#table.entry(span);
    const kind = entry & SPAN_KIND_MASK;
    if (kind === SPAN_KIND.large.value) {
      this.#table.freeRun(span);
      return;
    }
    const sizeClass = kind - SPAN_KIND.small.value;
    const inSpan = (ref - this.#heapStart) % SPAN_GRANULES;
    const index = (inSpan - (BITMAP_GRANULES[sizeClass] as number)) / (CLASS_GRANULES[sizeClass] as number);
    const word = index >> 5;
    this.#txn.snapshot(this.#spanStart(span) + (word >> 2), 1);
    const at = this.#bitmapWord(span, word);
    const bits = (this.#u32[at] as number) & ~(1 << (index & 31));
    this.#u32[at] = bits;
    if (span === this.#span[sizeClass]) {
      // Blocks before the cursor are found again when the span is next activated.
      if (word < (this.#word[sizeClass] as number)) this.#noteSpan(span, kind);
      else if (word === this.#word[sizeClass]) this.#mask[sizeClass] = this.#freeIn(span, sizeClass, word);
    } else if (bits === 0 && this.walk.countInSpan(span, sizeClass) === 0) {
      this.#table.free(span, 1);
    } else {
      this.#noteSpan(span, kind);
    }
  }

  #spanOf(ref: number): number {
    return Math.floor((ref - this.#heapStart) / SPAN_GRANULES);
  }

  #spanStart(span: number): Ref {
    return (this.#heapStart + span * SPAN_GRANULES) as Ref;
  }

  #bitmapWord(span: number, word: number): number {
    return this.#spanStart(span) * 4 + word;
  }
}
