/**
 * The header of a write-ahead log: whose it is, and where recovery starts to read. Two copies in pages of their own,
 * written in turn.
 *
 * INV-WAL-1  One valid copy of the header is durable at any time, and the records from its tail on are whole: a new copy is
 *            written in place of the older one, and nothing before the new tail is overwritten before it is durable.
 */
import {
  crc32c,
  LINE_BYTES,
  WAL_HEADER,
  WAL_HEADER_BYTES,
  WAL_HEADER_CHECKSUM_START,
  WAL_MAGIC_HIGH,
  WAL_MAGIC_LOW,
  WAL_REGION,
  WAL_VERSION,
} from '../format/index.js';
import type { WalFile } from '../memory/index.js';

/** Which pool a log belongs to, and which of its logs it is. */
export interface WalIdentity {
  readonly uuid: Uint8Array;
  readonly epoch: number;
  readonly walId: bigint;
}

export interface WalHeader extends WalIdentity {
  readonly generation: number;
  /** Sequence number and line of the first record that recovery needs. */
  readonly tailSeq: number;
  readonly tailLine: number;
  /** Size of the pool there. */
  readonly sizeBytes: number;
  /** The log's file is not shorter than this. */
  readonly fileBytes: number;
  /** The checkpoint mark that the pool has at least. */
  readonly markedSeq: number;
}

/** What the file holds where the headers should be. */
export type WalState =
  | { readonly kind: 'valid'; readonly header: WalHeader }
  /** Nothing yet: a log that was never finished being made. */
  | { readonly kind: 'empty' }
  | { readonly kind: 'version'; readonly version: number }
  | { readonly kind: 'damaged' }
  /** Not a log of perdure. */
  | { readonly kind: 'foreign' };

/** The line of the first record in the ring. */
export const FIRST_LINE = WAL_REGION.records.offset / LINE_BYTES;

/** Where the copy of a generation lies. */
export function walHeaderOffset(generation: number): number {
  return generation % 2 === 0 ? WAL_REGION.headerA.offset : WAL_REGION.headerB.offset;
}

export function encodeWalHeader(header: WalHeader): Uint8Array {
  const bytes = new Uint8Array(WAL_HEADER_BYTES);
  const view = new DataView(bytes.buffer);
  view.setUint32(WAL_HEADER.magic.offset, WAL_MAGIC_LOW, true);
  view.setUint32(WAL_HEADER.magic.offset + 4, WAL_MAGIC_HIGH, true);
  view.setUint32(WAL_HEADER.version.offset, WAL_VERSION, true);
  view.setUint32(WAL_HEADER.generation.offset, header.generation, true);
  view.setUint32(WAL_HEADER.epoch.offset, header.epoch, true);
  bytes.set(header.uuid, WAL_HEADER.uuid.offset);
  view.setBigUint64(WAL_HEADER.walId.offset, header.walId, true);
  view.setBigUint64(WAL_HEADER.tailSeq.offset, BigInt(header.tailSeq), true);
  view.setBigUint64(WAL_HEADER.tailLine.offset, BigInt(header.tailLine), true);
  view.setFloat64(WAL_HEADER.sizeBytes.offset, header.sizeBytes, true);
  view.setFloat64(WAL_HEADER.fileBytes.offset, header.fileBytes, true);
  view.setBigUint64(WAL_HEADER.markedSeq.offset, BigInt(header.markedSeq), true);
  const checksum = crc32c(0, bytes, WAL_HEADER_CHECKSUM_START, WAL_HEADER_BYTES);
  view.setUint32(WAL_HEADER.checksum.offset, checksum, true);
  return bytes;
}

/** Reads both copies; the valid one of the higher generation counts. */
export function readWalState(wal: WalFile): WalState {
  const copies = [readCopy(wal, WAL_REGION.headerA.offset), readCopy(wal, WAL_REGION.headerB.offset)];
  let best: WalHeader | null = null;
  for (const copy of copies) {
    if (copy.kind !== 'valid') continue;
    if (best === null || ((copy.header.generation - best.generation) | 0) > 0) best = copy.header;
  }
  if (best !== null) return { kind: 'valid', header: best };
  for (const kind of ['version', 'damaged', 'foreign'] as const) {
    const found = copies.find((copy) => copy.kind === kind);
    if (found !== undefined) return found;
  }
  return { kind: 'empty' };
}

function readCopy(wal: WalFile, at: number): WalState {
  const bytes = new Uint8Array(WAL_HEADER_BYTES);
  wal.read(at, bytes);
  const view = new DataView(bytes.buffer);
  const magic = [view.getUint32(0, true), view.getUint32(4, true)];
  if (magic[0] === 0 && magic[1] === 0) return { kind: 'empty' };
  if (magic[0] !== WAL_MAGIC_LOW || magic[1] !== WAL_MAGIC_HIGH) return { kind: 'foreign' };
  const checksum = crc32c(0, bytes, WAL_HEADER_CHECKSUM_START, WAL_HEADER_BYTES);
  if (checksum !== view.getUint32(WAL_HEADER.checksum.offset, true)) return { kind: 'damaged' };
  const version = view.getUint32(WAL_HEADER.version.offset, true);
  if (version !== WAL_VERSION) return { kind: 'version', version };
  return {
    kind: 'valid',
    header: {
      generation: view.getUint32(WAL_HEADER.generation.offset, true),
      epoch: view.getUint32(WAL_HEADER.epoch.offset, true),
      uuid: bytes.slice(WAL_HEADER.uuid.offset, WAL_HEADER.uuid.offset + WAL_HEADER.uuid.bytes),
      walId: view.getBigUint64(WAL_HEADER.walId.offset, true),
      tailSeq: Number(view.getBigUint64(WAL_HEADER.tailSeq.offset, true)),
      tailLine: Number(view.getBigUint64(WAL_HEADER.tailLine.offset, true)),
      sizeBytes: view.getFloat64(WAL_HEADER.sizeBytes.offset, true),
      fileBytes: view.getFloat64(WAL_HEADER.fileBytes.offset, true),
      markedSeq: Number(view.getBigUint64(WAL_HEADER.markedSeq.offset, true)),
    },
  };
}

/** From which the checksums of a log's records are continued. */
export function walSeed({ uuid, walId }: WalIdentity): number {
  const bytes = new Uint8Array(24);
  bytes.set(uuid);
  new DataView(bytes.buffer).setBigUint64(16, walId, true);
  return crc32c(0, bytes, 0, bytes.length);
}
