/**
 * The on-media format: every constant that describes bytes in a pool file stands here and nowhere else. The file of the
 * write-ahead log has its own in wal-format.ts.
 * docs/format.md is generated from the tables below (`npm run docs:format`).
 *
 * All integers are little-endian. A `Ref` counts granules of 16 bytes from the start of the pool, so a
 * pool is position independent; ref 0 is null. Everything a transaction may log is a whole number of
 * granules at a granule boundary.
 */

declare const refBrand: unique symbol;
declare const offsetBrand: unique symbol;

/** A position in the pool, in granules of 16 bytes; 0 is null. */
export type Ref = number & { readonly [refBrand]: true };
/** A position in the pool, in bytes. */
export type Offset = number & { readonly [offsetBrand]: true };

export const FORMAT_VERSION = 1;
/** "PERDURE\0" as two little-endian words. */
export const MAGIC_LOW = 0x44524550;
export const MAGIC_HIGH = 0x00455255;

export const GRANULE_BYTES = 16;
export const GRANULE_SHIFT = 4;
export const LINE_BYTES = 64;
export const PAGE_BYTES = 4096;
export const SPAN_BYTES = 65536;
export const SPAN_GRANULES = SPAN_BYTES / GRANULE_BYTES;

/** A ref can name 2^32 granules: 64 GiB. */
export const MAX_POOL_BYTES = 2 ** 32 * GRANULE_BYTES;

export const NULL_REF = 0 as Ref;

/** Byte offset of a ref; exact up to 64 GiB. */
export function offsetOf(ref: Ref): Offset {
  return (ref * GRANULE_BYTES) as Offset;
}

/** One field of an on-media structure. */
export interface FormatField {
  readonly offset: number;
  readonly bytes: number;
  readonly what: string;
}

// ---------------------------------------------------------------------------------------------- file

/** Fixed regions at the start of the file; the others follow, their places stand in the header. */
export const REGION = {
  headerA: { offset: 0, bytes: PAGE_BYTES, what: 'pool header, copy A' },
  headerB: { offset: PAGE_BYTES, bytes: PAGE_BYTES, what: 'pool header, copy B' },
  anchors: {
    offset: 2 * PAGE_BYTES,
    bytes: PAGE_BYTES,
    what: 'anchors: refs from which everything is reached',
  },
  log: { offset: 3 * PAGE_BYTES, bytes: 0, what: 'first segment of the undo log (`logBytes` of the header)' },
} as const satisfies Record<string, FormatField>;

export const MIN_LOG_BYTES = PAGE_BYTES;
export const DEFAULT_LOG_BYTES = 256 * 1024;

/** The pool header. The valid copy with the higher generation counts. */
export const HEADER = {
  magic: { offset: 0, bytes: 8, what: '"PERDURE\\0"' },
  version: { offset: 8, bytes: 4, what: 'format version' },
  checksum: { offset: 12, bytes: 4, what: 'CRC-32C of bytes 16 to 128' },
  generation: {
    offset: 16,
    bytes: 4,
    what: 'incremented by each header write; the higher valid copy counts',
  },
  epoch: {
    offset: 20,
    bytes: 4,
    what: 'incremented by each open and clean close; seeds the log checksums, so older records are dead',
  },
  uuid: { offset: 24, bytes: 16, what: 'identity of the pool, drawn at creation' },
  sizeBytes: { offset: 40, bytes: 8, what: 'file size that the pool relies on (f64)' },
  maxBytes: { offset: 48, bytes: 8, what: 'largest size that the span table can describe (f64)' },
  logBytes: { offset: 56, bytes: 4, what: 'size of the first log segment' },
  spanTableOffset: { offset: 60, bytes: 4, what: 'where the span table starts' },
  heapOffset: { offset: 64, bytes: 4, what: 'where span 0 starts' },
  features: {
    offset: 68,
    bytes: 4,
    what: 'a bit for each addition to the format without which the pool cannot be read: `FEATURE`',
  },
  walId: {
    offset: 72,
    bytes: 8,
    what: 'identity of the write-ahead log without which the pool is incomplete, or 0',
  },
  reserved: { offset: 80, bytes: 48, what: 'zero' },
} as const satisfies Record<string, FormatField>;
export const HEADER_BYTES = 128;
/** Bits of `HEADER.features`. */
export const FEATURE = {
  wal: { value: 1, what: 'the pool is incomplete without the write-ahead log that `walId` names' },
} as const;
export const HEADER_CHECKSUM_START = 16;

/** Anchors: changed in transactions like any other memory. */
export const ANCHORS = {
  root: { offset: 0, bytes: 4, what: 'ref of the root object' },
  layouts: { offset: 4, bytes: 4, what: 'ref of the newest layout record' },
  layoutCount: { offset: 8, bytes: 4, what: 'number of layout records' },
  reserved: { offset: 12, bytes: 4, what: 'zero' },
  namedRoots: { offset: 16, bytes: 64, what: 'header of the map from name to object (named roots)' },
} as const satisfies Record<string, FormatField>;

// ---------------------------------------------------------------------------------------------- heap

/** Kinds of span, the low 8 bits of a span table entry; the high 24 bits are `SPAN_PARAM`. */
export const SPAN_KIND = {
  free: { value: 0, what: 'free' },
  large: { value: 1, what: 'first span of a run that holds one block; parameter: spans in the run' },
  tail: { value: 2, what: 'later span of a run' },
  log: { value: 3, what: 'first span of a run that extends the undo log; parameter: spans in the run' },
  small: {
    value: 16,
    what: '16 + size class: blocks of one size, with an allocation bitmap at the start of the span',
  },
} as const;
export const SPAN_KIND_MASK = 0xff;
export const SPAN_PARAM_SHIFT = 8;
export const SPAN_ENTRY_BYTES = 4;

/** Bytes of the bitmap at the start of a span that holds blocks of `blockBytes`: one bit a block, whole granules. */
export function spanBitmapBytes(blockBytes: number): number {
  return Math.ceil(Math.ceil(SPAN_BYTES / blockBytes) / 128) * GRANULE_BYTES;
}

/** Blocks of `blockBytes` that fit a span beside their bitmap. */
export function blocksPerSpan(blockBytes: number): number {
  return Math.floor((SPAN_BYTES - spanBitmapBytes(blockBytes)) / blockBytes);
}

/**
 * Block sizes: steps of 16 bytes up to 128, then of about 12%, each stretched to the largest size of which
 * as many fit a span. Larger blocks are runs of whole spans.
 */
export const SIZE_CLASSES: readonly number[] = buildSizeClasses();

function buildSizeClasses(): number[] {
  const sizes: number[] = [];
  for (let size = 16; size <= 128; size += 16) sizes.push(size);
  let size = 128;
  while (blocksPerSpan(size) > 2) {
    const wanted = Math.ceil((size * 1.125) / GRANULE_BYTES) * GRANULE_BYTES;
    const count = Math.max(2, blocksPerSpan(wanted));
    size = wanted;
    while (blocksPerSpan(size + GRANULE_BYTES) >= count) size += GRANULE_BYTES;
    sizes.push(size);
  }
  return sizes;
}

/** The largest block that shares a span with others. */
export const MAX_SMALL_BYTES = SIZE_CLASSES[SIZE_CLASSES.length - 1] as number;

/** Every block starts with this header. */
export const BLOCK = {
  layout: { offset: 0, bytes: 4, what: 'layout id: a `LAYOUT_ID`, or the number of a layout record' },
  info: {
    offset: 4,
    bytes: 4,
    what: 'strings and bytes: length in bytes; embedded structs and containers: granules back to the block that holds them; else see the structure',
  },
} as const satisfies Record<string, FormatField>;
export const BLOCK_HEADER_BYTES = 8;

/** Layout ids of perdure's own structures; classes of the program start at `FIRST_CLASS_LAYOUT`. */
export const LAYOUT_ID = {
  none: 0,
  stringLatin1: 1,
  stringUtf16: 2,
  bytes: 3,
  layoutRecord: 4,
  fixedArray: 5,
  list: 8,
  listLeaf: 9,
  listNode: 10,
  map: 16,
  mapTable: 17,
  mapChunk: 18,
  queue: 24,
  queueChunk: 25,
} as const;
export const FIRST_CLASS_LAYOUT = 64;

/** A layout record: the description of one class in the pool. Records form a chain from the newest to the oldest. */
export const LAYOUT_RECORD = {
  next: { offset: 8, bytes: 4, what: 'ref of the next older record' },
  layoutId: { offset: 12, bytes: 4, what: 'layout id of the class' },
  fingerprintLow: { offset: 16, bytes: 4, what: 'fingerprint of the descriptor, low word' },
  fingerprintHigh: { offset: 20, bytes: 4, what: 'fingerprint of the descriptor, high word' },
  descriptor: { offset: 24, bytes: 4, what: 'ref of a string: the descriptor as JSON' },
  name: { offset: 28, bytes: 4, what: 'ref of a string: the name of the class' },
} as const satisfies Record<string, FormatField>;
export const LAYOUT_RECORD_BYTES = 32;

/** Bytes of a container's header, block header included. All zero (but for the block header) is an empty container. */
export const CONTAINER_BYTES = { list: 32, queue: 32, map: 64 } as const;

// ---------------------------------------------------------------------------------------------- undo log

/**
 * A log record starts on a cache line and is padded with zeros to the next one. Its checksum starts from the
 * checksum of the record before it (the first record of a transaction: from the seed), so that records left
 * over from other transactions or rolled-back savepoints cannot be mistaken for a continuation.
 */
export const RECORD = {
  checksum: {
    offset: 0,
    bytes: 4,
    what: 'CRC-32C of bytes 4 to the end of the payload, continued from the record before',
  },
  kind: {
    offset: 4,
    bytes: 4,
    what: 'high 4 bits: `RECORD_KIND`; 13 bits: the low bits of the epoch; low 15 bits: payload in granules',
  },
  subject: {
    offset: 8,
    bytes: 4,
    what: 'snapshot: ref of the range; commit: number of ranges; chain: ref of the next segment',
  },
  txn: {
    offset: 12,
    bytes: 4,
    what: 'number of the transaction',
  },
} as const satisfies Record<string, FormatField>;
export const RECORD_HEADER_BYTES = 16;

export const RECORD_KIND = {
  snapshot: { value: 1, what: 'payload: the bytes of the range before the transaction changed it' },
  commit: { value: 2, what: 'the transaction is complete, if the after-image checksum in the payload holds' },
  chain: { value: 3, what: 'the log goes on in another segment; payload: its size in granules' },
} as const;
export const RECORD_KIND_SHIFT = 28;
export const RECORD_EPOCH_SHIFT = 15;
export const RECORD_EPOCH_MASK = 0x1fff;
export const RECORD_PAYLOAD_MASK = 0x7fff;

/**
 * Payload of a commit record: one granule with the CRC-32C of the after-images, then a pair of words (ref,
 * granules) for each range, in the order of the checksum. No ranges: the data was durable before the record.
 */
export const COMMIT_PAYLOAD = {
  afterChecksum: { offset: 16, bytes: 4, what: 'CRC-32C of the contents of all ranges' },
  ranges: { offset: 32, bytes: 8, what: 'ref and granules of each range' },
} as const satisfies Record<string, FormatField>;
/** Above this many ranges a commit makes the data durable with a fence of its own instead of listing them. */
export const MAX_COMMIT_RANGES = 60;

/** An extension of the log: a run of spans, chained from the segment before it. */
export const LOG_SEGMENT = {
  next: { offset: 0, bytes: 4, what: 'ref of the next segment, or 0' },
  spans: { offset: 4, bytes: 4, what: 'spans in this segment' },
} as const satisfies Record<string, FormatField>;
/** Records start one line into a segment. The first segment in the file has the same head. */
export const LOG_SEGMENT_HEADER_BYTES = LINE_BYTES;

/**
 * Where in the first segment a transaction may have its first record, in bytes from the start of the segment: at
 * its head, or in its middle. The valid one with the higher transaction number is that of the last transaction.
 */
export function logStarts(logBytes: number): readonly [number, number] {
  const lines = Math.floor((logBytes - LOG_SEGMENT_HEADER_BYTES) / LINE_BYTES / 2);
  return [LOG_SEGMENT_HEADER_BYTES, LOG_SEGMENT_HEADER_BYTES + lines * LINE_BYTES];
}

// ---------------------------------------------------------------------------------------------- list and queue

/** Header of a list: a counted B+-tree. All zero is an empty list. */
export const LIST = {
  length: { offset: 8, bytes: 4, what: 'number of elements' },
  root: { offset: 12, bytes: 4, what: 'ref of the root: a leaf when the depth is 0; 0: no memory yet' },
  depth: { offset: 16, bytes: 4, what: 'levels of nodes above the leaves' },
  tail: { offset: 20, bytes: 4, what: 'ref of the last leaf' },
  tailStart: { offset: 24, bytes: 4, what: 'index of the first element of the last leaf' },
  tailCapacity: { offset: 28, bytes: 4, what: 'slots of the last leaf' },
} as const satisfies Record<string, FormatField>;
/** No list is deeper. */
export const LIST_MAX_DEPTH = 32;

/** A leaf of a list; the `info` of its block header is the number of its slots. How many are in use, its parent knows. */
export const LIST_LEAF = {
  slots: { offset: 8, bytes: 0, what: 'the elements, each in a slot of its type' },
} as const satisfies Record<string, FormatField>;

/** An inner node of a list; the `info` of its block header is the number of its children. */
export const LIST_NODE = {
  entries: {
    offset: 8,
    bytes: 8,
    what: 'for each child: its ref, then its number of elements; that of the last child is not valid (it is what remains of the number of this node)',
  },
} as const satisfies Record<string, FormatField>;
export const LIST_NODE_BYTES = 272;
export const LIST_NODE_CHILDREN = 33;

/** Header of a queue: a chain of chunks from the oldest to the newest element. All zero is an empty queue. */
export const QUEUE = {
  length: { offset: 8, bytes: 4, what: 'number of elements' },
  head: { offset: 12, bytes: 4, what: 'ref of the oldest chunk, or 0' },
  headIndex: { offset: 16, bytes: 4, what: 'slot of the oldest element in the oldest chunk' },
  tail: { offset: 20, bytes: 4, what: 'ref of the newest chunk, or 0' },
  tailIndex: { offset: 24, bytes: 4, what: 'slot of the newest chunk that is filled next' },
  tailCapacity: {
    offset: 28,
    bytes: 4,
    what: 'slots of the newest chunk; kept when the last chunk is freed',
  },
} as const satisfies Record<string, FormatField>;

/** A chunk of a queue; the `info` of its block header is the number of its slots. */
export const QUEUE_CHUNK = {
  next: { offset: 8, bytes: 4, what: 'ref of the next newer chunk, or 0' },
  reserved: { offset: 12, bytes: 4, what: 'zero' },
  slots: { offset: 16, bytes: 0, what: 'the elements, each in a slot of its type' },
} as const satisfies Record<string, FormatField>;

// ---------------------------------------------------------------------------------------------- map

/** Header of a map. All zero but for the block header is an empty map. */
export const MAP = {
  count: { offset: 8, bytes: 4, what: 'entries in the map' },
  used: { offset: 12, bytes: 4, what: 'entry slots in use, deleted ones included' },
  entries: { offset: 16, bytes: 16, what: 'entry slots: a `MAP_ARRAY`' },
  buckets: { offset: 32, bytes: 16, what: 'buckets of the hash index: a `MAP_ARRAY`' },
  bucketCount: { offset: 48, bytes: 4, what: 'buckets in use (linear hashing)' },
  read: { offset: 52, bytes: 4, what: 'compaction: slots below were looked at; 0: none is under way' },
  write: {
    offset: 56,
    bytes: 4,
    what: 'compaction: where the next entry slides to; slots from here to `read` are dead',
  },
  reserved: { offset: 60, bytes: 4, what: 'zero' },
} as const satisfies Record<string, FormatField>;

/** A growing array of slots in chunks, reached through a radix tree of tables; offsets within the map header's field. */
export const MAP_ARRAY = {
  root: { offset: 0, bytes: 4, what: 'ref of the only chunk (level 0) or of the topmost table' },
  capacity: { offset: 4, bytes: 4, what: 'slots for which there is memory' },
  shape: {
    offset: 8,
    bytes: 4,
    what: 'low byte: levels of tables; next byte: log2 of the refs in the topmost one',
  },
  peak: {
    offset: 12,
    bytes: 4,
    what: 'slots from here on were never in use since their memory was allocated',
  },
} as const satisfies Record<string, FormatField>;

/** A table of a `MAP_ARRAY`. Its `info`, like that of a chunk, is its place: (number within level * 4 + level) * 2 + (1 for buckets). */
export const MAP_TABLE = {
  refs: {
    offset: 8,
    bytes: 4,
    what: 'refs of tables of the level below, or of chunks; up to `MAP_TABLE_SHIFT`',
  },
} as const satisfies Record<string, FormatField>;
export const MAP_TABLE_SHIFT = 12;
/** The topmost table starts with room for 2^3 refs and doubles. */
export const MAP_TABLE_MIN_SHIFT = 3;
export const MAP_MAX_LEVEL = 2;

/** A chunk: block header, then slots from the next cache line on. A chunk that is not the only one has this many bytes of slots, or less to make their number a power of two. */
export const MAP_CHUNK_BYTES = 4096;
export const MAP_CHUNK_HEADER_BYTES = LINE_BYTES;

/** A slot for an entry: a whole number of granules. */
export const MAP_ENTRY = {
  hash: { offset: 0, bytes: 4, what: 'hash of the key' },
  next: {
    offset: 4,
    bytes: 4,
    what: 'number (index + 1) of the next entry in the overflow chain; `MAP_DELETED` marks a deleted one',
  },
  key: { offset: 8, bytes: 0, what: 'slot of the key, then that of the value' },
} as const satisfies Record<string, FormatField>;
export const MAP_DELETED = 0xffffffff;

/** A bucket: four granules of three entry numbers (index + 1, or 0) and their tags; one of the twelve heads the overflow chain. */
export const MAP_BUCKET = {
  numbers: { offset: 0, bytes: 12, what: 'in each granule: three entry numbers; 0: none' },
  tags: { offset: 12, bytes: 4, what: 'in each granule: the upper 10 bits of the three hashes' },
  overflow: { offset: 56, bytes: 4, what: 'number of the first entry that found no place in the bucket' },
} as const satisfies Record<string, FormatField>;
export const MAP_BUCKET_BYTES = 64;
export const MAP_TAG_BITS = 10;
