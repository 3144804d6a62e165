/** The seam through which a heap learns where it lies, and asks for more room: pool/ supplies it. */
import type { Ref } from '../format/index.js';

/** Where the heap lies, and how it gets more room. */
export interface HeapPlace {
  /** First granule of the span table, first granule of span 0. */
  readonly tableStart: Ref;
  readonly heapStart: Ref;
  /** Spans that the file holds now. */
  spanCount(): number;
  /** Makes the file hold at least `count` spans. @throws PoolFullError */
  growTo(count: number): void;
}
