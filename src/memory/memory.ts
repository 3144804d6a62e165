/**
 * The seam between perdure and the medium: a mapped range of bytes, and the few primitives that make stores
 * durable. The native mapping, mmap-io and the simulated medium implement it; nothing above `memory/` knows
 * which one it runs on.
 *
 * INV-MEM-1  A store is durable once its line was flushed and a fence followed; before, it may or may not be.
 * INV-MEM-2  `buffer` keeps its identity and its views from open to close; growing never moves it.
 * INV-MEM-3  After `close` the buffer is detached: no view reaches the mapping any more.
 */
import type { Offset } from '../format/index.js';
import type { Step } from './step.js';
import type { WalAccess, WriteAheadLog } from './wal.js';

/** When a store is durable (see docs/guide/durability.md). */
export type Domain = 'cpu-cache' | 'memory' | 'emulated' | 'block';

/** Which log makes transactions durable. `undo`: the mapping is shared; `redo`: it is private to the process. */
export type LogKind = 'undo' | 'redo';

/** Counts since the mapping was opened. A flush of n lines counts n lines; `syncs` are those of the log, by any thread. */
export interface PersistCounters {
  fences: number;
  lines: number;
  syncs: number;
}

/** What a mapping is, for `pool.stats()`. */
export interface MemoryInfo {
  readonly backend: string;
  readonly domain: Domain;
  readonly log: LogKind;
  /** The flush instruction in use: `clwb`, `clflushopt`, `clflush`, `msync`, `fdatasync`, `none`, `simulated`. */
  readonly flushInstruction: string;
  readonly fileSystem: string;
}

/** Words of the control block that a `RecordWriter` shares with its caller. All positions are refs. */
export const CONTROL = {
  /** In: checksum of the record before, or the seed. Out: checksum of the record written. */
  chain: 0,
  txn: 1,
  /** Where the record goes; on a line boundary. */
  at: 2,
  /** `append`: the range to save. */
  source: 3,
  /** `append`: its length in granules. */
  granules: 4,
  /** `commit`: number of ranges in `ranges`. */
  rangeCount: 5,
  /** `commit`: 1 to list the ranges and check their contents, 0 when the data is durable already. */
  checked: 6,
  /** The epoch of the pool; its low bits go into every record. */
  epoch: 7,
} as const;
export const CONTROL_WORDS = 8;

/**
 * Writes the records of the undo log. The native addon does each of the two in one call; `PortableRecordWriter`
 * (txn/) does the same, byte for byte, on `flush` and `fence`.
 */
export interface RecordWriter {
  readonly control: Uint32Array;
  /** (ref, granules) pairs that `commit` flushes; replaced by `setRanges` when it must grow. */
  setRanges(ranges: Uint32Array): void;
  /** Writes a snapshot record and makes it durable: recordFlush, recordFence. */
  append(): void;
  /** Flushes all ranges and writes the commit record: dataFlush, commitFlush, commitFence. */
  commit(): void;
}

/**
 * An open mapping. With `info.log` = `redo` it is private: stores stay in this process, `flush` writes bytes to the
 * file, and `fence` makes them durable there.
 */
export interface Memory {
  readonly info: MemoryInfo;
  /** The whole reserved range, `maxBytes` long; bytes beyond `sizeBytes` must not be touched. */
  readonly buffer: ArrayBuffer;
  /** Size of the file behind the mapping. */
  readonly sizeBytes: number;
  readonly counters: PersistCounters;
  /** The native record writer, or null where there is none. */
  readonly recordWriter: RecordWriter | null;
  /**
   * Makes the file at least this large, with its blocks allocated, as durably as a fenced store; new bytes are zero.
   * @throws PoolFullError when `maxBytes` or the file system does not allow it; the size is as before
   */
  grow(sizeBytes: number): void;
  /** Starts writing back every line that [at, at + bytes) touches. */
  flush(at: Offset, bytes: number, step: Step): void;
  /** Flushes `count` (ref, granules) pairs. */
  flushRanges(ranges: Uint32Array, count: number, step: Step): void;
  /** Returns when everything flushed so far is durable. */
  fence(step: Step): void;
  /** Makes a newly created, formatted file visible under its name: atomically, once. */
  publish(): void;
  /** Makes all that the file holds survive power loss, whatever the domain. @throws IoError */
  syncFile(): void;
  /**
   * Opens the write-ahead log beside the pool, `<path>-wal`; the pool's lock protects it. Null when there is none and
   * `create` is false. A new file is empty.
   * @throws IoError; PoolOpenError READ_ONLY
   */
  openWal(options: WalOpenOptions): WriteAheadLog | null;
  /** Detaches the buffer, unmaps, releases the lock. Idempotent. */
  close(): void;
}

/** The PMEM emulator's settings. */
export interface EmulateOptions {
  /** Extra nanoseconds per flushed line. */
  readonly flushNs?: number;
  /** Extra nanoseconds per fence. */
  readonly fenceNs?: number;
  /** `false`: no flush instructions at all; a process crash is survived without them. Default `true`. */
  readonly flush?: boolean;
}

/** How a write-ahead log is opened. */
export interface WalOpenOptions {
  readonly create: boolean;
  /** How records are written where both ways are open; byte-addressable media always store. */
  readonly access: WalAccess;
}

/** What a backend is asked to map, and how. */
export interface MemoryOpenOptions {
  readonly path: string;
  /** `open` an existing file, or `create` one that must not exist. */
  readonly mode: 'open' | 'create';
  /** Bytes of address space to reserve. */
  readonly maxBytes: number;
  /** `create`: size to start with. */
  readonly sizeBytes: number;
  /** Emulate persistent memory where the file system offers none. */
  readonly emulate: EmulateOptions | null;
  /** Force a persistence domain instead of detecting it. */
  readonly domain: Domain | null;
  /** The log that is wanted, or null for that of the domain: `redo` for `block`, else `undo`. */
  readonly log: LogKind | null;
}

/** A way to map pools. */
export interface MemoryBackend {
  readonly name: string;
  /** The most that it can map. */
  readonly maxBytes: number;
  /** Whether there is a pool file of this name. */
  exists(path: string): boolean;
  /** @throws PoolOpenError with the reason: NOT_FOUND, EXISTS, LOCKED, READ_ONLY, DOMAIN, BACKEND */
  open(options: MemoryOpenOptions): Memory;
}
