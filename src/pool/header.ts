/**
 * The pool header: two copies, each written and made durable before the other, so that one is always whole.
 *
 * INV-HDR-1  At any instant at least one copy is valid and durable; between writes both are, and hold the same.
 *            `settleHeader` makes this true of a file that another process left, before a header is written to it.
 * INV-HDR-2  The copy of the highest generation that is valid counts; a newer one is only ever valid when whole.
 *
 * Nothing in it is used before it is validated.
 */
import { CorruptionError, PoolOpenError } from '../errors/index.js';
import {
  CHECKPOINT_MARK,
  CHECKPOINT_MARK_BYTES,
  CHECKPOINT_MARK_OFFSETS,
  crc32c,
  FEATURE,
  FORMAT_VERSION,
  HEADER,
  HEADER_BYTES,
  HEADER_CHECKSUM_START,
  MAGIC_HIGH,
  MAGIC_LOW,
  MAX_POOL_BYTES,
  MIN_LOG_BYTES,
  type Offset,
  PAGE_BYTES,
  REGION,
  SPAN_BYTES,
  SPAN_ENTRY_BYTES,
} from '../format/index.js';
import { type Memory, STEP, type Views } from '../memory/index.js';
import type { LogEpoch } from '../txn/index.js';

/** What the header says. Sizes and offsets in bytes. */
export interface Header {
  readonly generation: number;
  readonly epoch: number;
  readonly uuid: Uint8Array;
  readonly sizeBytes: number;
  readonly maxBytes: number;
  readonly logBytes: number;
  readonly spanTableOffset: number;
  readonly heapOffset: number;
  /** Identity of the write-ahead log without which the pool is incomplete, or 0. */
  readonly walId: bigint;
}

/** Where the regions of a new pool lie. @throws PoolOpenError OPTION when they do not fit `maxBytes` */
export function planRegions(options: {
  readonly maxBytes: number;
  readonly logBytes: number;
}): Omit<Header, 'uuid'> {
  const { logBytes } = options;
  const maxBytes = Math.min(options.maxBytes, MAX_POOL_BYTES);
  const spanTableOffset = REGION.log.offset + logBytes;
  const tableBytes = Math.ceil(maxBytes / SPAN_BYTES) * SPAN_ENTRY_BYTES;
  const heapOffset = pageUp(spanTableOffset + tableBytes);
  if (heapOffset + 4 * SPAN_BYTES > maxBytes) {
    const least = heapOffset + 4 * SPAN_BYTES;
    throw new PoolOpenError(
      'OPTION',
      `maxSize ${maxBytes} is too small: a pool with this logSize needs at least ${least} bytes`,
      {
        maxSize: maxBytes,
        least,
      },
    );
  }
  return {
    generation: 0,
    epoch: 1,
    sizeBytes: heapOffset,
    maxBytes,
    logBytes,
    spanTableOffset,
    heapOffset,
    walId: 0n,
  };
}

/** The epoch that the header names; its seed differs from pool to pool. */
export function logEpoch(header: Header): LogEpoch {
  const bytes = new Uint8Array(20);
  bytes.set(header.uuid);
  new DataView(bytes.buffer).setUint32(16, header.epoch, true);
  return { number: header.epoch, seed: crc32c(0, bytes, 0, bytes.length) };
}

/**
 * Makes INV-HDR-1 hold in a file that was just opened. A crash may have left the other copy torn or old; after the
 * death of a process alone, even the copy that counts may be in the caches only.
 * @param header what `readHeader` returned
 */
export function settleHeader(memory: Memory, views: Views, header: Header): void {
  const [a, b] = [REGION.headerA.offset, REGION.headerB.offset];
  const copy = readCopy(views, a);
  const aCounts = copy.state === 'valid' && copy.header.generation === header.generation;
  const [counts, other] = aCounts ? [a, b] : [b, a];
  // [HEADER 0] What is read here is durable before the other copy is touched.
  flushCopy(memory, a);
  flushCopy(memory, b);
  memory.fence(STEP.headerFence);
  const { u8 } = views;
  for (let i = 0; i < HEADER_BYTES; i += 1) {
    if (u8[counts + i] === u8[other + i]) continue;
    u8.copyWithin(other, counts, counts + HEADER_BYTES);
    flushCopy(memory, other);
    memory.fence(STEP.headerFence);
    return;
  }
}

/** Writes both copies, one after the other; returns the header with its new generation. */
export function writeHeader(memory: Memory, views: Views, header: Header): Header {
  const next = { ...header, generation: (header.generation + 1) >>> 0 };
  // [HEADER 1] ATOMIC: with its fence copy A counts; torn, it is invalid and B counts.
  writeCopy(memory, views, next, REGION.headerA.offset);
  // [HEADER 2] B follows, so that damage to either copy loses nothing.
  writeCopy(memory, views, next, REGION.headerB.offset);
  return next;
}

function writeCopy(memory: Memory, views: Views, header: Header, at: number): void {
  const { u8, u32, f64, u64 } = views;
  u8.fill(0, at, at + HEADER_BYTES);
  u32[(at + HEADER.magic.offset) / 4] = MAGIC_LOW;
  u32[(at + HEADER.magic.offset) / 4 + 1] = MAGIC_HIGH;
  u32[(at + HEADER.version.offset) / 4] = FORMAT_VERSION;
  u32[(at + HEADER.generation.offset) / 4] = header.generation;
  u32[(at + HEADER.epoch.offset) / 4] = header.epoch;
  u8.set(header.uuid, at + HEADER.uuid.offset);
  f64[(at + HEADER.sizeBytes.offset) / 8] = header.sizeBytes;
  f64[(at + HEADER.maxBytes.offset) / 8] = header.maxBytes;
  u32[(at + HEADER.logBytes.offset) / 4] = header.logBytes;
  u32[(at + HEADER.spanTableOffset.offset) / 4] = header.spanTableOffset;
  u32[(at + HEADER.heapOffset.offset) / 4] = header.heapOffset;
  u32[(at + HEADER.features.offset) / 4] = header.walId === 0n ? 0 : FEATURE.wal.value;
  u64[(at + HEADER.walId.offset) / 8] = header.walId;
  u32[(at + HEADER.checksum.offset) / 4] = crc32c(0, u8, at + HEADER_CHECKSUM_START, at + HEADER_BYTES);
  flushCopy(memory, at);
  memory.fence(STEP.headerFence);
}

function flushCopy(memory: Memory, at: number): void {
  memory.flush(at as Offset, HEADER_BYTES, STEP.headerFlush);
}

/** Notes the last record of a write-ahead log of which the file may hold something. Durable with the next sync. */
export function writeCheckpointMark(memory: Memory, views: Views, walId: bigint, seq: number): void {
  // In place of the older one: torn, it leaves the one before.
  const [first, second] = CHECKPOINT_MARK_OFFSETS.map((offset) => readMark(views, walId, offset));
  const at = REGION.headerA.offset + CHECKPOINT_MARK_OFFSETS[(first as number) <= (second as number) ? 0 : 1];
  views.u64[(at + CHECKPOINT_MARK.walId.offset) / 8] = walId;
  views.u64[(at + CHECKPOINT_MARK.seq.offset) / 8] = BigInt(seq);
  views.u32[(at + CHECKPOINT_MARK.checksum.offset) / 4] = markChecksum(views, at);
  memory.flush(at as Offset, CHECKPOINT_MARK_BYTES, STEP.pageWrite);
}

/** What was noted last for this log; 0 when nothing was. */
export function readCheckpointMark(views: Views, walId: bigint): number {
  return Math.max(...CHECKPOINT_MARK_OFFSETS.map((offset) => readMark(views, walId, offset)));
}

function readMark(views: Views, walId: bigint, offset: number): number {
  const { u32, u64 } = views;
  const at = REGION.headerA.offset + offset;
  const isWhole = u32[(at + CHECKPOINT_MARK.checksum.offset) / 4] === markChecksum(views, at);
  const isOurs = u64[(at + CHECKPOINT_MARK.walId.offset) / 8] === walId;
  return isWhole && isOurs ? Number(u64[(at + CHECKPOINT_MARK.seq.offset) / 8]) : 0;
}

function markChecksum({ u8 }: Pick<Views, 'u8'>, at: number): number {
  return crc32c(0, u8, at + CHECKPOINT_MARK.walId.offset, at + CHECKPOINT_MARK_BYTES);
}

/** The header that counts. @throws PoolOpenError NOT_A_POOL, TRUNCATED, VERSION; CorruptionError */
export function readHeader(memory: Memory, views: Views, path: string): Header {
  const { sizeBytes } = memory;
  const hasMagic = sizeBytes >= 8 && views.u32[0] === MAGIC_LOW && views.u32[1] === MAGIC_HIGH;
  if (sizeBytes < REGION.log.offset + MIN_LOG_BYTES) {
    if (!hasMagic)
      throw notAPool(path, sizeBytes === 0 ? 'the file is empty' : `it has only ${sizeBytes} bytes`);
    throw truncated(path, sizeBytes, REGION.log.offset + MIN_LOG_BYTES);
  }
  const copies = [readCopy(views, REGION.headerA.offset), readCopy(views, REGION.headerB.offset)];
  const whole = copies.filter((copy) => copy.state === 'valid') as { state: 'valid'; header: Header }[];
  if (whole.length === 0) {
    const newer = copies.find((copy) => copy.state === 'version');
    if (newer?.state === 'version') {
      throw new PoolOpenError(
        'VERSION',
        `${path} has format version ${newer.version}; this perdure reads version ${FORMAT_VERSION}: use a newer perdure`,
        { path, actual: newer.version, expected: FORMAT_VERSION },
      );
    }
    if (copies.every((copy) => copy.state === 'magic'))
      throw notAPool(path, 'it does not start with the magic number of one');
    throw new CorruptionError(
      `${path}: both copies of the pool header (offsets 0 and ${PAGE_BYTES}) have a bad checksum`,
      {
        path,
        offset: 0,
        expected: 'a valid checksum',
      },
    );
  }
  const header = whole.reduce((a, b) =>
    ((b.header.generation - a.header.generation) | 0) > 0 ? b : a,
  ).header;
  validate(header, memory, path);
  return header;
}

type Copy =
  | { readonly state: 'valid'; readonly header: Header }
  | { readonly state: 'version'; readonly version: string }
  | { readonly state: 'magic' }
  | { readonly state: 'checksum' };

function readCopy(views: Views, at: number): Copy {
  const { u8, u32, f64 } = views;
  const word = (field: { readonly offset: number }): number => u32[(at + field.offset) / 4] as number;
  if (word(HEADER.magic) !== MAGIC_LOW || u32[(at + HEADER.magic.offset) / 4 + 1] !== MAGIC_HIGH)
    return { state: 'magic' };
  if (crc32c(0, u8, at + HEADER_CHECKSUM_START, at + HEADER_BYTES) !== word(HEADER.checksum))
    return { state: 'checksum' };
  const version = word(HEADER.version);
  const unknown = word(HEADER.features) & ~FEATURE.wal.value;
  if (version !== FORMAT_VERSION || unknown !== 0) {
    const extra = unknown === 0 ? '' : ` with the additions 0x${(unknown >>> 0).toString(16)}`;
    return { state: 'version', version: `${version}${extra}` };
  }
  return {
    state: 'valid',
    header: {
      generation: word(HEADER.generation),
      epoch: word(HEADER.epoch),
      uuid: u8.slice(at + HEADER.uuid.offset, at + HEADER.uuid.offset + HEADER.uuid.bytes),
      sizeBytes: f64[(at + HEADER.sizeBytes.offset) / 8] as number,
      maxBytes: f64[(at + HEADER.maxBytes.offset) / 8] as number,
      logBytes: word(HEADER.logBytes),
      spanTableOffset: word(HEADER.spanTableOffset),
      heapOffset: word(HEADER.heapOffset),
      walId: views.u64[(at + HEADER.walId.offset) / 8] as bigint,
    },
  };
}

/** A header with a good checksum was written by perdure; still, only what is consistent is used. */
function validate(header: Header, memory: Memory, path: string): void {
  const { sizeBytes, maxBytes, logBytes, spanTableOffset, heapOffset } = header;
  const consistent =
    Number.isSafeInteger(sizeBytes) &&
    Number.isSafeInteger(maxBytes) &&
    maxBytes <= MAX_POOL_BYTES &&
    sizeBytes <= maxBytes &&
    logBytes >= MIN_LOG_BYTES &&
    logBytes % PAGE_BYTES === 0 &&
    spanTableOffset === REGION.log.offset + logBytes &&
    heapOffset === pageUp(spanTableOffset + Math.ceil(maxBytes / SPAN_BYTES) * SPAN_ENTRY_BYTES) &&
    sizeBytes >= heapOffset;
  if (!consistent) {
    throw new CorruptionError(`${path}: the pool header describes impossible regions`, {
      path,
      offset: 0,
      actual: header,
    });
  }
  if (memory.sizeBytes < sizeBytes) throw truncated(path, memory.sizeBytes, sizeBytes);
}

function notAPool(path: string, why: string): PoolOpenError {
  return new PoolOpenError('NOT_A_POOL', `${path} is not a perdure pool: ${why}. It was left as it is`, {
    path,
  });
}

/** The error of a file that is shorter than the pool. */
export function truncated(path: string, actual: number, expected: number): PoolOpenError {
  return new PoolOpenError(
    'TRUNCATED',
    `${path} has ${actual} bytes but needs at least ${expected}: it was truncated, restore it from a backup`,
    { path, actual, expected },
  );
}

function pageUp(bytes: number): number {
  return Math.ceil(bytes / PAGE_BYTES) * PAGE_BYTES;
}
