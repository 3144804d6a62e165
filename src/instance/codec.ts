/**
 * Codecs: how one value of a field type is read from, checked for and written to a place in the pool. Objects
 * have accessors compiled from the same rules; containers store their elements through slot codecs.
 */
import type { Offset, Ref } from '../format/index.js';
import type { FieldLayout, FieldType } from '../layout/index.js';

/** Told about everything a slot or block refers to (check and garbage collection). */
export interface Tracer {
  /** A block that belongs to this slot alone: a string, bytes, a boxed container, a node of a container. */
  owned(ref: Ref): void;
  /** A reference to an object that others may refer to as well. */
  reference(ref: Ref): void;
}

export interface SlotCodec<T = unknown> {
  readonly type: FieldType;
  /** 1, 2, 4, 8 or 16; a slot is aligned to the smaller of its size and 8. */
  readonly sizeBytes: number;
  /** Whether a slot owns memory outside itself, so that `release` has something to do. */
  readonly owns: boolean;
  /** Whether `trace` has something to tell. */
  readonly traced: boolean;
  read(at: Offset): T;
  /**
   * Checks a value before anything is changed.
   * @throws ValueError or ForeignObjectError naming class and field
   */
  check(value: unknown): asserts value is T;
  /**
   * A copy of the value from which it is stored, where storing it would otherwise read objects of the program
   * (arrays, maps) and so run its code while the pool is half changed. Check the copy, not the value.
   * @throws ValueError for what has no contents
   */
  settle?(value: unknown): T;
  /**
   * Stores a checked value. The caller has snapshotted the slot or knows it to be fresh, and has released what
   * it held. May allocate, and so throw PoolFullError; the transaction is doomed then and will roll back.
   */
  write(at: Offset, value: T): void;
  /** Frees what the slot owns (at commit). The slot must be overwritten or discarded afterwards. */
  release(at: Offset): void;
  trace(at: Offset, tracer: Tracer): void;
}

/** One field of the objects of one pool. The object is snapshotted, or fresh, when `write` or `clear` is called. */
export interface FieldAccess {
  readonly layout: FieldLayout;
  read(ref: Ref): unknown;
  /** @throws ValueError or ForeignObjectError naming class and field; nothing was changed */
  check(value: unknown): void;
  /** Stores a checked value and frees what it replaces. */
  write(ref: Ref, value: unknown): void;
  /** Back to the initial value; frees what was there. */
  clear(ref: Ref): void;
  /** The same, when the struct that the field is in gives way to null: handles of what lies inside die. */
  discard(ref: Ref): void;
  /** Frees what the field owns, when the whole object goes. */
  release(ref: Ref): void;
  trace(ref: Ref, tracer: Tracer): void;
}
