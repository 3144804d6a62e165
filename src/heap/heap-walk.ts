/**
 * Walks over the whole heap: for `pool.check()`, `pool.stats()` and the collector. Reads only.
 */
import { CorruptionError } from '../errors/index.js';
import {
  GRANULE_BYTES,
  offsetOf,
  type Ref,
  SIZE_CLASSES,
  SPAN_BYTES,
  SPAN_GRANULES,
  SPAN_KIND,
} from '../format/index.js';
import type { Views } from '../memory/index.js';
import { BITMAP_GRANULES, BITMAP_WORDS, BLOCKS, CLASS_GRANULES } from './size-classes.js';
import type { SpanTable } from './span-table.js';

/** Counts for `pool.stats()`, by walking the span table. */
export interface HeapStats {
  readonly spans: number;
  readonly freeSpans: number;
  readonly blocks: number;
  /** Bytes in allocated blocks, rounded up to their size classes. */
  readonly allocatedBytes: number;
}

export class HeapWalk {
  readonly #u32: Uint32Array;
  readonly #heapStart: Ref;
  readonly #table: SpanTable;

  constructor(views: Views, heapStart: Ref, table: SpanTable) {
    this.#u32 = views.u32;
    this.#heapStart = heapStart;
    this.#table = table;
  }

  /** Calls `visit` for every allocated block, in the order of addresses. @throws CorruptionError on a bad span table */
  forEachBlock(visit: (ref: Ref, bytes: number) => void): void {
    this.#table.forEachRun((span, kind, spans) => {
      if (kind === SPAN_KIND.large.value) visit(this.#spanStart(span), spans * SPAN_BYTES);
      else if (kind >= SPAN_KIND.small.value) this.#forEachInSpan(span, kind - SPAN_KIND.small.value, visit);
    });
  }

  stats(): HeapStats {
    let blocks = 0;
    let allocatedBytes = 0;
    let freeSpans = 0;
    this.#table.forEachRun((span, kind, spans) => {
      if (kind === SPAN_KIND.free.value) {
        freeSpans += spans;
      } else if (kind === SPAN_KIND.large.value) {
        blocks += 1;
        allocatedBytes += spans * SPAN_BYTES;
      } else if (kind >= SPAN_KIND.small.value) {
        const count = this.countInSpan(span, kind - SPAN_KIND.small.value);
        blocks += count;
        allocatedBytes += count * (SIZE_CLASSES[kind - SPAN_KIND.small.value] as number);
      }
    });
    return { spans: this.#table.spanCount, freeSpans, blocks, allocatedBytes };
  }

  /** Compares the span table with the extensions that the undo log knows. @throws CorruptionError */
  checkLogRuns(extensions: readonly { readonly ref: Ref; readonly granules: number }[]): void {
    const expected = new Map(extensions.map(({ ref, granules }) => [ref as number, granules]));
    this.#table.forEachRun((span, kind, spans) => {
      const start = this.#spanStart(span);
      if (kind !== SPAN_KIND.log.value) return;
      if (expected.get(start) !== spans * SPAN_GRANULES) {
        throw new CorruptionError(`span ${span} belongs to the undo log, which does not know it`, {
          span,
          offset: offsetOf(start),
        });
      }
      expected.delete(start);
    });
    for (const ref of expected.keys()) {
      throw new CorruptionError(
        `the undo log extends to offset ${ref * GRANULE_BYTES}, which the span table does not know`,
        {
          offset: ref * GRANULE_BYTES,
        },
      );
    }
  }

  /** Allocated blocks in a span of small ones. */
  countInSpan(span: number, sizeClass: number): number {
    let count = 0;
    for (let word = 0; word < (BITMAP_WORDS[sizeClass] as number); word += 1) {
      for (let bits = this.#u32[this.#bitmapWord(span, word)] as number; bits !== 0; bits &= bits - 1)
        count += 1;
    }
    return count;
  }

  #forEachInSpan(span: number, sizeClass: number, visit: (ref: Ref, bytes: number) => void): void {
    const bytes = SIZE_CLASSES[sizeClass] as number;
    const first = this.#spanStart(span) + (BITMAP_GRANULES[sizeClass] as number);
    for (let word = 0; word < (BITMAP_WORDS[sizeClass] as number); word += 1) {
      let bits = this.#u32[this.#bitmapWord(span, word)] as number;
      const left = (BLOCKS[sizeClass] as number) - word * 32;
      if (left < 32 && bits >>> left !== 0) {
        const offset = this.#bitmapWord(span, word) * 4;
        throw new CorruptionError(
          `the bitmap of span ${span} at offset ${offset} marks blocks beyond its end`,
          {
            span,
            offset,
          },
        );
      }
      while (bits !== 0) {
        const bit = 31 - Math.clz32(bits & -bits);
        bits &= bits - 1;
        visit((first + (word * 32 + bit) * (CLASS_GRANULES[sizeClass] as number)) as Ref, bytes);
      }
    }
  }

  #spanStart(span: number): Ref {
    return (this.#heapStart + span * SPAN_GRANULES) as Ref;
  }

  #bitmapWord(span: number, word: number): number {
    return this.#spanStart(span) * 4 + word;
  }
}
