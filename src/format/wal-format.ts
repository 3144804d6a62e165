/** The on-media format of the write-ahead log, the file beside a pool with a redo log: docs/format.md is generated from it. */
import { type FormatField, GRANULE_BYTES, PAGE_BYTES } from './format.js';

/** "PERDWAL\0" as two little-endian words. */
export const WAL_MAGIC_LOW = 0x44524550;
export const WAL_MAGIC_HIGH = 0x004c4157;
export const WAL_VERSION = 1;
export const SECTOR_BYTES = 512;

/** Header of the write-ahead log: two copies, written in turn. The valid one with the higher generation counts. */
export const WAL_HEADER = {
  magic: { offset: 0, bytes: 8, what: '"PERDWAL\\0"' },
  version: { offset: 8, bytes: 4, what: 'version of the log format' },
  checksum: { offset: 12, bytes: 4, what: 'CRC-32C of bytes 16 to 96' },
  generation: { offset: 16, bytes: 4, what: 'incremented by each header write' },
  epoch: { offset: 20, bytes: 4, what: 'epoch of the pool that the log belongs to' },
  uuid: { offset: 24, bytes: 16, what: 'identity of the pool' },
  walId: { offset: 40, bytes: 8, what: 'identity of the log; never 0' },
  tailSeq: { offset: 48, bytes: 8, what: 'sequence number of the first record that recovery needs (u64)' },
  tailLine: { offset: 56, bytes: 8, what: 'where it starts, in lines of 64 bytes (u64)' },
  sizeBytes: { offset: 64, bytes: 8, what: 'size of the pool at that point (f64)' },
  fileBytes: { offset: 72, bytes: 8, what: 'the file is not shorter than this (f64)' },
  markedSeq: { offset: 80, bytes: 8, what: 'the checkpoint mark of the pool is not older than this (u64)' },
  reserved: { offset: 88, bytes: 8, what: 'zero' },
} as const satisfies Record<string, FormatField>;
export const WAL_HEADER_BYTES = 96;
export const WAL_HEADER_CHECKSUM_START = 16;
/** Where the two copies lie, and the first record. */
export const WAL_REGION = {
  headerA: { offset: 0, bytes: PAGE_BYTES, what: 'header of the log, even generations' },
  headerB: { offset: PAGE_BYTES, bytes: PAGE_BYTES, what: 'header of the log, odd generations' },
  records: { offset: 2 * PAGE_BYTES, bytes: 0, what: 'the records, a ring' },
} as const satisfies Record<string, FormatField>;

/** A record of the write-ahead log: one transaction. On a line boundary, padded with zeros to the next. */
export const WAL_RECORD = {
  checksum: {
    offset: 0,
    bytes: 4,
    what: 'CRC-32C of bytes 4 to the end of the data, continued from the seed of the log',
  },
  granules: { offset: 4, bytes: 4, what: 'length in granules, without the padding' },
  seqLow: { offset: 8, bytes: 4, what: 'sequence number, low word' },
  seqHigh: {
    offset: 12,
    bytes: 4,
    what: 'low 16 bits: sequence number, high part; high 16 bits: how many records before this one were not known to be durable (at most 65535)',
  },
  count: {
    offset: 16,
    bytes: 4,
    what: 'number of ranges; `WAL_SKIP`: the next record is the first of the ring',
  },
  sizeGranules: { offset: 20, bytes: 4, what: 'size of the pool when the transaction committed' },
  ranges: {
    offset: 24,
    bytes: 8,
    what: 'ref and granules of each range, ascending and apart; padded to a granule; what they hold follows',
  },
} as const satisfies Record<string, FormatField>;
export const WAL_SKIP = 0xffffffff;
/** The largest distance to the last durable record that a record can state. */
export const WAL_MAX_DISTANCE = 0xffff;
/** Until a log needs more, and what it grows to unless the option `walSize` says otherwise. */
export const MIN_WAL_BYTES = 16 * 1024;
export const INITIAL_WAL_BYTES = 1024 * 1024;
export const DEFAULT_WAL_BYTES = 64 * 1024 * 1024;

/** Granules of a record with so many ranges that hold so many granules. */
export function walRecordGranules(ranges: number, dataGranules: number): number {
  return Math.ceil((WAL_RECORD.ranges.offset + 8 * ranges) / GRANULE_BYTES) + dataGranules;
}

/**
 * In the pool's file, in the page of header copy A: how far checkpoints of the write-ahead log have come. Two places, written
 * in turn; the whole one with the higher number counts.
 */
export const CHECKPOINT_MARK = {
  checksum: { offset: 0, bytes: 4, what: 'CRC-32C of bytes 8 to 24' },
  reserved: { offset: 4, bytes: 4, what: 'zero' },
  walId: { offset: 8, bytes: 8, what: 'identity of the log' },
  seq: {
    offset: 16,
    bytes: 8,
    what: 'sequence number of the last record of which the file may hold something (u64)',
  },
} as const satisfies Record<string, FormatField>;
export const CHECKPOINT_MARK_OFFSETS = [512, 1024] as const;
export const CHECKPOINT_MARK_BYTES = 24;
