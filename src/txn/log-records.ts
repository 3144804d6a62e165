/** What writing the undo log and reading it have in common: segments, and the sizes and effect of records. */
import {
  GRANULE_BYTES,
  LINE_BYTES,
  MAX_COMMIT_RANGES,
  RECORD_HEADER_BYTES,
  RECORD_PAYLOAD_MASK,
  type Ref,
} from '../format/index.js';

export const LINE_GRANULES = LINE_BYTES / GRANULE_BYTES;
export const RECORD_HEADER_GRANULES = RECORD_HEADER_BYTES / GRANULE_BYTES;

/** A contiguous part of the log. */
export interface LogSegment {
  readonly ref: Ref;
  readonly granules: number;
}

/** Puts the payload of the snapshot record at `record` back to where it came from. */
export function restoreRecord(u32: Uint32Array, u8: Uint8Array, record: number): void {
  const words = record * 4;
  const granules = (u32[words + 1] as number) & RECORD_PAYLOAD_MASK;
  const target = u32[words + 2] as number;
  if (granules <= 16) {
    const from = words + 4;
    const to = target * 4;
    for (let i = 0; i < granules * 4; i += 1) u32[to + i] = u32[from + i] as number;
  } else {
    const from = record * GRANULE_BYTES + RECORD_HEADER_BYTES;
    u8.copyWithin(target * GRANULE_BYTES, from, from + granules * GRANULE_BYTES);
  }
}

/** Granules of the commit record of a transaction with so many ranges. */
export function commitGranules(ranges: number): number {
  return RECORD_HEADER_GRANULES + 1 + (ranges <= MAX_COMMIT_RANGES ? Math.ceil(ranges / 2) : 0);
}

/** Rounded up to whole lines, as records are. */
export function lineGranules(granules: number): number {
  return (granules + LINE_GRANULES - 1) & -LINE_GRANULES;
}
