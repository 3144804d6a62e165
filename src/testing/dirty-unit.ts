/**
 * What a crash can leave, as data: the units of 8 bytes whose content on the medium is uncertain, and one
 * choice among the values that each of them may have. The medium makes the list, `crash-images.ts` makes the
 * choices, `SimulatedMedium.fork` turns a choice into a medium again. Nothing here has behaviour of its own.
 */

/** Bytes that reach a medium together or not at all: an aligned 8-byte store is never torn. */
export const UNIT_BYTES = 8;

/** A unit of 8 bytes that may or may not have reached the medium. */
export interface DirtyUnit {
  readonly path: string;
  /** Position in the file in bytes; a multiple of 8. */
  readonly offset: number;
  /**
   * What a crash may find here, without repeats, as little-endian words of 64 bits. `values[0]` is the durable
   * value; the others were stored later, in this order. At least two.
   */
  readonly values: readonly bigint[];
  /** Index in `values` of what the program reads at present. */
  readonly current: number;
  /** Whether its line was flushed since the last fence: the next fence makes it durable. */
  readonly flushed: boolean;
}

/** One state in which a crash may leave the medium. */
export interface CrashImage {
  readonly units: readonly DirtyUnit[];
  /** For each unit the index of its value in `values`; 0 is the durable one. */
  readonly choice: Uint8Array;
}
