/**
 * What of the leaves of a list is told to the writer before it is stored to, and what need not be told again.
 *
 * INV-LIST-5  A slot at or beyond the count is reported with `writer.fresh` and not snapshotted when it is
 *             stored to (unless the whole leaf was logged or allocated since the savepoint). It may share a
 *             granule with live slots; their bytes do not change, so a partial write-back of the granule is
 *             harmless, and the slot itself is dead in every state that a rollback could return to (INV-LIST-4).
 *             `fresh` therefore only means "flush this": a later snapshot of the granule must still be taken.
 *
 * It may not store anything itself. What it remembers holds for one stamp: the log of a savepoint is of no use to
 * the next one.
 */
import { GRANULE_BYTES, LINE_BYTES, LIST_LEAF, type Ref } from '../format/index.js';
import type { Runtime } from '../instance/index.js';

const SLOTS = LIST_LEAF.slots.offset;

export class LeafLog {
  readonly #runtime: Runtime;
  readonly #size: number;
  /** The leaf that was wholly logged or allocated under this stamp. */
  #ownLeaf = 0;
  #ownStamp = Number.NaN;
  /** Bytes of the tail that were reported fresh under this stamp. */
  #freshFrom = 0;
  #freshTo = 0;
  #freshStamp = Number.NaN;

  constructor(runtime: Runtime, sizeBytes: number) {
    this.#runtime = runtime;
    this.#size = sizeBytes;
  }

  /** The leaf was allocated just now: nothing of it needs to be told. */
  own(leaf: number): void {
    this.#ownLeaf = leaf;
    this.#ownStamp = this.#runtime.txn.stamp;
  }

  /** Call before storing to `bytes` bytes of slots from byte `at` on. */
  slots(leaf: number, at: number, bytes: number): void {
    if (leaf === this.#ownLeaf && this.#ownStamp === this.#runtime.txn.stamp) return;
    snapshotBytes(this.#runtime, at, bytes);
  }

  /** Call before storing to slots [from, to), dead ones included. Logs all of the leaf when that is most of it. */
  part(leaf: number, from: number, to: number): void {
    if (leaf === this.#ownLeaf && this.#ownStamp === this.#runtime.txn.stamp) return;
    const start = leaf * GRANULE_BYTES + SLOTS;
    const capacity = this.#runtime.views.u32[leaf * 4 + 1] as number;
    if ((to - from) * 2 > capacity) {
      snapshotBytes(this.#runtime, start, capacity * this.#size);
      this.own(leaf);
    } else {
      snapshotBytes(this.#runtime, start + from * this.#size, (to - from) * this.#size);
    }
  }

  /** Call before storing to the slot at byte `at`, which is the first beyond the count. */
  append(leaf: number, at: number, capacity: number): void {
    const { stamp } = this.#runtime.txn;
    if (leaf === this.#ownLeaf && stamp === this.#ownStamp) return;
    const end = at + this.#size;
    if (at >= this.#freshFrom && end <= this.#freshTo && this.#freshStamp === stamp) return;
    // To the end of the cache line: it is flushed as a whole anyway, and the next appends need not report.
    const leafEnd = leaf * GRANULE_BYTES + SLOTS + capacity * this.#size;
    const to = Math.min(
      Math.ceil(end / LINE_BYTES) * LINE_BYTES,
      Math.ceil(leafEnd / GRANULE_BYTES) * GRANULE_BYTES,
    );
    const first = Math.floor(at / GRANULE_BYTES);
    this.#freshFrom = at;
    this.#freshTo = to;
    this.#freshStamp = stamp;
    this.#runtime.writer.fresh(first as Ref, to / GRANULE_BYTES - first);
  }
}

/** Snapshots the granules of a byte range. */
export function snapshotBytes(runtime: Runtime, at: number, bytes: number): void {
  if (bytes === 0) return;
  const first = Math.floor(at / GRANULE_BYTES);
  const last = Math.floor((at + bytes - 1) / GRANULE_BYTES);
  runtime.writer.snapshot(first as Ref, last - first + 1);
}
