/**
 * Recovery: reads the undo log that the last process left, and puts the pool back to the state before the
 * transaction that was open, if one was.
 *
 * INV-REC-1  Recovery may be interrupted at any point and run again: it reads only the log, and changes only the
 *            ranges that the log names. The log stays valid until the header's epoch moves on.
 * INV-REC-2  Nothing read from the medium is used before it is validated.
 *
 * The steps, with pool/ doing the last:
 *   [RECOVERY 1] scan the records of the last transaction, in order, up to the first that does not verify
 *   [RECOVERY 2] its commit record holds, and the data matches it: committed, nothing to undo
 *   [RECOVERY 3] otherwise restore the old bytes, newest record first
 *   [RECOVERY 4] flush and fence the data, restored or committed: if only the process died, all that was read here
 *                may be in the caches still, and power may fail next
 *   [RECOVERY 5] write the header with the next epoch: ATOMIC, the records are dead from here on
 */
import { CorruptionError } from '../errors/index.js';
import {
  COMMIT_PAYLOAD,
  crc32c,
  GRANULE_BYTES,
  LOG_SEGMENT,
  LOG_SEGMENT_HEADER_BYTES,
  logStarts,
  MAX_COMMIT_RANGES,
  RECORD_EPOCH_MASK,
  RECORD_EPOCH_SHIFT,
  RECORD_KIND,
  RECORD_KIND_SHIFT,
  RECORD_PAYLOAD_MASK,
  type Ref,
  SPAN_BYTES,
} from '../format/index.js';
import { type Memory, STEP, type Views } from '../memory/index.js';
import { GrowingWords } from './growing-words.js';
import { LINE_GRANULES, type LogSegment, lineGranules, restoreRecord } from './log-records.js';
import type { LogEpoch } from './txn-log.js';
import { FIRST_TXN_NUMBER } from './undo-log.js';

/** What recovery needs to know of the pool. */
export interface RecoveryInput {
  readonly memory: Memory;
  readonly views: Views;
  readonly firstSegment: LogSegment;
  /** The epoch that wrote the log. */
  readonly epoch: LogEpoch;
  /** First granule that a transaction may change, the granule after the last. */
  readonly bounds: { readonly start: number; readonly end: number };
  /** First granule of the heap, where extensions of the log lie. */
  readonly heapStart: number;
}

/** What recovery found. */
export interface RecoveryResult {
  readonly outcome: 'clean' | 'committed' | 'rolled-back' | 'replayed';
  /** Records read: snapshots of the last transaction, or transactions of a write-ahead log. */
  readonly records: number;
}

interface Scan {
  readonly snapshots: GrowingWords;
  commit: Ref | null;
  /** Number of the transaction; -1 when there is no record. */
  txn: number;
  /** Whether the transaction before it must still be found at the other place where transactions start. */
  followsOther: boolean;
  /** Where its records in the first segment end. */
  end: number;
  /** Whether one of its snapshot records is empty. */
  hasEmpty: boolean;
  /** Position of a record that was damaged after it was durable, or 0. */
  damaged: number;
}

/** Brings the pool back to its last committed state; the caller then moves the epoch on. */
export function recover(input: RecoveryInput): RecoveryResult {
  const { last: scan, other } = lastTransactions(input);
  const records = scan.snapshots.length;
  if (scan.damaged !== 0)
    throw badRecord(scan.damaged, 'the record that its successor continues: it is damaged');
  if (records === 0 && scan.commit === null) return { outcome: 'clean', records };
  if (scan.commit !== null && commitHolds(input, scan.commit)) {
    const ranges = committedRanges(input, scan.commit);
    input.memory.flushRanges(ranges, ranges.length / 2, STEP.recoveryFlush);
    input.memory.fence(STEP.recoveryFence);
    return { outcome: 'committed', records };
  }
  if (scan.commit !== null && scan.followsOther && other.txn === -1) {
    // A crash cannot do this: what changed the data after the commit had a durable first record at the other place.
    throw badRecord(
      scan.commit,
      'the data that it describes, or a later transaction at the other place: the log is damaged',
    );
  }
  const { u32, u8 } = input.views;
  const restored = new GrowingWords(Math.max(2, records * 2));
  for (let i = records - 1; i >= 0; i -= 1) {
    const record = scan.snapshots.words[i] as number;
    restoreRecord(u32, u8, record);
    restored.pushPair(u32[record * 4 + 2] as number, (u32[record * 4 + 1] as number) & RECORD_PAYLOAD_MASK);
  }
  input.memory.flushRanges(restored.words, records, STEP.recoveryFlush);
  input.memory.fence(STEP.recoveryFence);
  return { outcome: 'rolled-back', records };
}

/** The chain of log segments, as linked in a recovered pool. @throws CorruptionError */
export function readSegments(input: RecoveryInput): LogSegment[] {
  const { u32 } = input.views;
  const segments = [input.firstSegment];
  const limit = (input.bounds.end - input.heapStart) / (SPAN_BYTES / GRANULE_BYTES);
  for (;;) {
    const ref = u32[
      (segments[segments.length - 1] as LogSegment).ref * 4 + LOG_SEGMENT.next.offset / 4
    ] as number;
    if (ref === 0) return segments;
    // INV-REC-2: a load behind the end of the file may be a bus error.
    const inside = ref >= input.heapStart && ref < input.bounds.end;
    const spans = inside ? (u32[ref * 4 + LOG_SEGMENT.spans.offset / 4] as number) : 0;
    const segment = { ref: ref as Ref, granules: spans * (SPAN_BYTES / GRANULE_BYTES) };
    if (!isSegment(input, segment) || segments.length > limit) {
      throw new CorruptionError(`the undo log names an impossible segment at offset ${ref * GRANULE_BYTES}`, {
        offset: ref * GRANULE_BYTES,
        expected: 'a run of spans inside the heap',
      });
    }
    segments.push(segment);
  }
}

/** Of the transactions that start at the two places, the one with the higher number is the last. */
function lastTransactions(input: RecoveryInput): { readonly last: Scan; readonly other: Scan } {
  const { ref, granules } = input.firstSegment;
  const [head, middle] = logStarts(granules * GRANULE_BYTES);
  const first = scanLog(input, ref + head / GRANULE_BYTES);
  const second = scanLog(input, ref + middle / GRANULE_BYTES);
  const secondIsLast = second.txn !== -1 && (first.txn === -1 || ((second.txn - first.txn) | 0) > 0);
  if (secondIsLast) return { last: { ...second, followsOther: true }, other: first };
  return {
    last: { ...first, followsOther: followsMiddle(first, ref + middle / GRANULE_BYTES) },
    other: second,
  };
}

/**
 * Whether the transaction at the head left the first record of the one before, in the middle, as it was: it is not the
 * first of its epoch, its records end before the middle, and none of them is empty. An empty one says that the
 * transaction before had run over the middle, or that a savepoint of this one had.
 */
function followsMiddle(scan: Scan, middle: number): boolean {
  return scan.txn !== -1 && scan.txn !== FIRST_TXN_NUMBER && !scan.hasEmpty && scan.end <= middle;
}

function scanLog(input: RecoveryInput, start: number): Scan {
  const { u32, u8 } = input.views;
  const scan: Scan = {
    snapshots: new GrowingWords(256),
    commit: null,
    txn: -1,
    followsOther: false,
    end: start,
    hasEmpty: false,
    damaged: 0,
  };
  let segment = input.firstSegment;
  let position = start;
  let crc = input.epoch.seed;
  let segmentsLeft = Math.ceil((input.bounds.end - input.heapStart) / (SPAN_BYTES / GRANULE_BYTES));
  for (;;) {
    if (position + 1 > segment.ref + segment.granules) return scan;
    const words = position * 4;
    const head = u32[words + 1] as number;
    const payload = head & RECORD_PAYLOAD_MASK;
    const end = position + 1 + payload;
    if (end > segment.ref + segment.granules) {
      scan.damaged = isDamaged(input, segment, { position, txn: scan.txn, next: 0, computed: 0 })
        ? position
        : 0;
      return scan;
    }
    crc = crc32c(crc, u8, position * GRANULE_BYTES + 4, end * GRANULE_BYTES);
    if (crc !== u32[words]) {
      scan.damaged = isDamaged(input, segment, {
        position,
        txn: scan.txn,
        next: lineGranules(end),
        computed: crc,
      })
        ? position
        : 0;
      return scan;
    }
    if (scan.txn === -1) scan.txn = u32[words + 3] as number;
    else if (scan.txn !== u32[words + 3]) return scan;
    if (segment === input.firstSegment) scan.end = end;
    const kind = head >>> RECORD_KIND_SHIFT;
    const subject = u32[words + 2] as number;
    if (kind === RECORD_KIND.commit.value) {
      scan.commit = position as Ref;
      return scan;
    }
    if (kind === RECORD_KIND.chain.value) {
      segment = { ref: subject as Ref, granules: u32[words + 4] as number };
      segmentsLeft -= 1;
      if (payload !== 1 || !isSegment(input, segment) || segmentsLeft < 0) {
        throw badRecord(position, 'a segment inside the heap, and none twice');
      }
      position = segment.ref + LOG_SEGMENT_HEADER_BYTES / GRANULE_BYTES;
      continue;
    }
    if (kind !== RECORD_KIND.snapshot.value) throw badRecord(position, 'a known kind of record');
    if (payload > 0 && (subject < input.bounds.start || subject + payload > input.bounds.end)) {
      throw badRecord(position, 'a range inside the pool');
    }
    scan.snapshots.push(position);
    scan.hasEmpty ||= payload === 0;
    position = lineGranules(end);
  }
}

/**
 * Whether a record that does not verify was damaged. Otherwise it is the end of the log, torn by the crash. Damaged it
 * is when one behind it verifies as its successor: that was only written when this one was durable (INV-LOG-8). Says
 * nothing of any but the last transaction, whose records may be overwritten by now.
 */
function isDamaged(
  input: RecoveryInput,
  segment: LogSegment,
  at: { readonly position: number; readonly txn: number; readonly next: number; readonly computed: number },
): boolean {
  // What follows a first record may be what followed the one that was there before.
  if (at.txn === -1) return false;
  const stored = input.views.u32[at.position * 4] as number;
  const end = segment.ref + segment.granules;
  // Its checksum was damaged: the successor continues the true one.
  let damaged =
    at.next !== 0 && at.next < end && verifies(input, segment, at.next, { txn: at.txn, chain: at.computed });
  // Its contents were damaged, its length perhaps too: the successor is somewhere behind it.
  for (let next = at.position + LINE_GRANULES; !damaged && next < end; next += LINE_GRANULES) {
    damaged = verifies(input, segment, next, { txn: at.txn, chain: stored });
  }
  return damaged;
}

/** Whether a record of the transaction at `position` verifies when the one before has the checksum `chain`. */
function verifies(
  input: RecoveryInput,
  segment: LogSegment,
  position: number,
  before: { readonly txn: number; readonly chain: number },
): boolean {
  const { u32, u8 } = input.views;
  const head = u32[position * 4 + 1] as number;
  const epoch = (head >>> RECORD_EPOCH_SHIFT) & RECORD_EPOCH_MASK;
  if (u32[position * 4 + 3] !== before.txn || epoch !== (input.epoch.number & RECORD_EPOCH_MASK))
    return false;
  const end = position + 1 + (head & RECORD_PAYLOAD_MASK);
  if (end > segment.ref + segment.granules) return false;
  return crc32c(before.chain, u8, position * GRANULE_BYTES + 4, end * GRANULE_BYTES) === u32[position * 4];
}

function commitHolds(input: RecoveryInput, record: Ref): boolean {
  const { u32, u8 } = input.views;
  const words = record * 4;
  const count = u32[words + 2] as number;
  const payload = (u32[words + 1] as number) & RECORD_PAYLOAD_MASK;
  if (count > MAX_COMMIT_RANGES || payload !== 1 + Math.ceil(count / 2)) {
    throw badRecord(record, 'a commit record that lists its ranges');
  }
  let crc = 0;
  for (let i = 0; i < count; i += 1) {
    const at = words + COMMIT_PAYLOAD.ranges.offset / 4 + 2 * i;
    const ref = u32[at] as number;
    const granules = u32[at + 1] as number;
    if (ref < input.bounds.start || ref + granules > input.bounds.end)
      throw badRecord(record, 'ranges inside the pool');
    crc = crc32c(crc, u8, ref * GRANULE_BYTES, (ref + granules) * GRANULE_BYTES);
  }
  return crc === u32[words + COMMIT_PAYLOAD.afterChecksum.offset / 4];
}

function committedRanges(input: RecoveryInput, record: Ref): Uint32Array {
  const { u32 } = input.views;
  const at = record * 4 + COMMIT_PAYLOAD.ranges.offset / 4;
  return u32.slice(at, at + 2 * (u32[record * 4 + 2] as number));
}

function isSegment(input: RecoveryInput, segment: LogSegment): boolean {
  const spanGranules = SPAN_BYTES / GRANULE_BYTES;
  return (
    segment.ref >= input.heapStart &&
    (segment.ref - input.heapStart) % spanGranules === 0 &&
    segment.granules > 0 &&
    segment.granules % spanGranules === 0 &&
    segment.ref + segment.granules <= input.bounds.end
  );
}

function badRecord(position: number, expected: string): CorruptionError {
  const offset = position * GRANULE_BYTES;
  return new CorruptionError(`undo log record at offset ${offset}: expected ${expected}`, {
    offset,
    expected,
  });
}
