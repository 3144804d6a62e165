/**
 * The span table: what each span of 64 KiB is used for. One word a span, in one contiguous table whose place
 * does not depend on the size of the pool; see `SPAN_KIND`.
 *
 * Free spans are found by a first-fit scan from a hint below which none is free. Spans of small blocks are
 * discovered in steps (`scanMore`), so that opening a pool and its first allocations cost the same at any size.
 */
import { CorruptionError } from '../errors/index.js';
import {
  GRANULE_BYTES,
  offsetOf,
  type Ref,
  SIZE_CLASSES,
  SPAN_ENTRY_BYTES,
  SPAN_KIND,
  SPAN_KIND_MASK,
  SPAN_PARAM_SHIFT,
} from '../format/index.js';
import type { Views } from '../memory/index.js';
import type { HeapPlace } from './place.js';
import type { Writer } from './writer.js';

const ENTRIES_PER_GRANULE = GRANULE_BYTES / SPAN_ENTRY_BYTES;
/** Entries looked at by one `scanMore`: 64 MiB of heap. */
const SCAN_STEP = 1024;

export class SpanTable {
  readonly #u32: Uint32Array;
  readonly #start: number;
  readonly #tableRef: Ref;
  readonly #place: HeapPlace;
  readonly #writer: Writer;
  readonly #found: (span: number, kind: number) => void;
  /** No span below is free. */
  #freeHint = 0;
  #freeHintAtBegin = 0;
  /** Spans that the open transaction has freed. */
  readonly #freedNow = new Set<number>();
  /** Spans below were told to `found` (or were allocated since the pool was opened). */
  #scanned = 0;

  /** @param found told of every span of small blocks that a scan comes across */
  constructor(views: Views, place: HeapPlace, writer: Writer, found: (span: number, kind: number) => void) {
    this.#u32 = views.u32;
    this.#start = place.tableStart * ENTRIES_PER_GRANULE;
    this.#tableRef = place.tableStart;
    this.#place = place;
    this.#writer = writer;
    this.#found = found;
  }

  get spanCount(): number {
    return this.#place.spanCount();
  }

  entry(span: number): number {
    return this.#u32[this.#start + span] as number;
  }

  /** Takes `spans` adjacent free spans. @throws PoolFullError */
  allocate(spans: number, kind: number): number {
    let first = this.#reserve(spans);
    // The snapshot may have made the log grow, into the very spans that were found.
    while (!this.#areFree(first, spans)) first = this.#reserve(spans);
    this.#u32[this.#start + first] =
      kind >= SPAN_KIND.small.value ? kind : (kind | (spans << SPAN_PARAM_SHIFT)) >>> 0;
    this.#u32.fill(SPAN_KIND.tail.value, this.#start + first + 1, this.#start + first + spans);
    if (spans === 1) this.#freeHint = first + 1;
    return first;
  }

  free(first: number, spans: number): void {
    this.#snapshot(first, spans);
    this.#u32.fill(SPAN_KIND.free.value, this.#start + first, this.#start + first + spans);
    // INV-HEAP-2: until the commit nobody gets them, the log included. Then the hint is lowered.
    for (let span = first; span < first + spans; span += 1) this.#freedNow.add(span);
  }

  /** Frees a run of which `first` is the first span. @throws CorruptionError when it is none */
  freeRun(first: number): void {
    this.free(first, this.#validRun(first, this.spanCount));
  }

  /** Tells of the next batch of spans of small blocks; false when all are known. */
  scanMore(): boolean {
    const count = this.spanCount;
    if (this.#scanned >= count) return false;
    const end = Math.min(count, this.#scanned + SCAN_STEP);
    for (let span = this.#scanned; span < end; span += 1) {
      const kind = this.entry(span) & SPAN_KIND_MASK;
      if (kind >= SPAN_KIND.small.value) this.#found(span, kind);
    }
    this.#scanned = end;
    return true;
  }

  /** Visits every run, and every stretch of free spans, in order. @throws CorruptionError */
  forEachRun(visit: (span: number, kind: number, spans: number) => void): void {
    const count = this.spanCount;
    for (let span = 0; span < count; ) {
      const spans = this.#validRun(span, count);
      visit(span, this.entry(span) & SPAN_KIND_MASK, spans);
      span += spans;
    }
  }

  ended(committed: boolean): void {
    if (this.#freedNow.size > 0) {
      if (committed) for (const span of this.#freedNow) this.#freeHint = Math.min(this.#freeHint, span);
      this.#freedNow.clear();
    }
    if (!committed) this.rolledBack();
    this.#freeHintAtBegin = this.#freeHint;
  }

  rolledBack(): void {
    this.#freeHint = Math.min(this.#freeHint, this.#freeHintAtBegin);
  }

  #validRun(span: number, count: number): number {
    const entry = this.entry(span);
    const kind = entry & SPAN_KIND_MASK;
    const parameter = entry >>> SPAN_PARAM_SHIFT;
    if (kind === SPAN_KIND.free.value && parameter === 0) return 1;
    if (
      kind >= SPAN_KIND.small.value &&
      kind < SPAN_KIND.small.value + SIZE_CLASSES.length &&
      parameter === 0
    )
      return 1;
    if (kind === SPAN_KIND.large.value || kind === SPAN_KIND.log.value) {
      let tails = 1;
      while (tails < parameter && span + tails < count && this.entry(span + tails) === SPAN_KIND.tail.value)
        tails += 1;
      if (parameter > 0 && tails === parameter) return parameter;
    }
    const offset = offsetOf(this.#tableRef) + span * SPAN_ENTRY_BYTES;
    throw new CorruptionError(
      `span table entry ${span} at offset ${offset} is 0x${entry.toString(16)}: no valid span`,
      {
        offset,
        span,
        actual: entry,
      },
    );
  }

  /** Finds free spans, or makes some, and snapshots their entries. */
  #reserve(spans: number): number {
    let first = this.#findFree(spans);
    if (first < 0) {
      first = this.#freeTail();
      this.#place.growTo(first + spans);
    }
    this.#snapshot(first, spans);
    return first;
  }

  #areFree(first: number, spans: number): boolean {
    for (let span = first; span < first + spans; span += 1)
      if (this.entry(span) !== SPAN_KIND.free.value) return false;
    return true;
  }

  /** First of `spans` adjacent free spans below the end of the file, or -1. */
  #findFree(spans: number): number {
    const count = this.spanCount;
    const u32 = this.#u32;
    const start = this.#start;
    let length = 0;
    for (let span = this.#freeHint; span < count; span += 1) {
      const entry = u32[start + span] as number;
      if (entry !== SPAN_KIND.free.value || (this.#freedNow.size > 0 && this.#freedNow.has(span))) {
        length = 0;
        continue;
      }
      length += 1;
      if (length === spans) return span - spans + 1;
    }
    return -1;
  }

  /** Where the free spans at the end of the file begin. */
  #freeTail(): number {
    let span = this.spanCount;
    while (
      span > 0 &&
      this.entry(span - 1) === SPAN_KIND.free.value &&
      !(this.#freedNow.size > 0 && this.#freedNow.has(span - 1))
    ) {
      span -= 1;
    }
    return span;
  }

  #snapshot(first: number, spans: number): void {
    const start = Math.floor(first / ENTRIES_PER_GRANULE);
    const end = Math.ceil((first + spans) / ENTRIES_PER_GRANULE);
    this.#writer.snapshot(this.#tableRef + start, end - start);
  }
}
