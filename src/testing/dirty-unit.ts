/**
 * What a crash can leave, as data: the units whose content on the medium is uncertain, and one choice among the
 * contents that each of them may have. The medium makes the list, `crash-images.ts` makes the choices,
 * `SimulatedMedium.fork` turns a choice into a medium again. Nothing here has behaviour of its own.
 */

/** Bytes that reach persistent memory together or not at all: an aligned 8-byte store is never torn. */
export const UNIT_BYTES = 8;

/**
 * Bytes that may or may not have reached the medium, all of them or none: 8 bytes of persistent memory, a sector of a
 * log, a page of a pool's file on a disk.
 */
export interface DirtyUnit {
  readonly path: string;
  /** Position in the file in bytes; a multiple of the length. */
  readonly offset: number;
  /**
   * What a crash may find here, without repeats, each as long as the unit. `values[0]` is the durable content; the
   * others were stored later, in this order. At least two. Not to be changed.
   */
  readonly values: readonly Uint8Array[];
  /** Index in `values` of what programs read at present. */
  readonly current: number;
  /** Whether the next fence or sync makes something durable here that is not so yet. */
  readonly flushed: boolean;
  /**
   * For each of `values` when it was written first: a number that grows with each write to the medium; 0 for the
   * durable one. Null for stores to a mapping, which have no order.
   */
  readonly written: readonly number[] | null;
}

/** One state in which a crash may leave the medium. */
export interface CrashImage {
  readonly units: readonly DirtyUnit[];
  /** For each unit the index of its value in `values`; 0 is the durable one. */
  readonly choice: Uint8Array;
}
