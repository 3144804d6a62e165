/**
 * Finds and loads the native addon, and gives its functions types. The addon checks its arguments itself: a
 * wrong one is a TypeError or RangeError, a failed system call a `SystemError`; nothing reads or writes outside
 * the file. What belongs to a mapping belongs to the thread that made it.
 */
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Flags of `NativeAddon.map`. */
export const MAP_FLAG = {
  /** Creates the file, which must not exist. */
  create: 1,
} as const;

/** Flags of `NativeMapping.openWal`. */
export const WAL_FLAG = {
  /** Creates the file if there is none. */
  create: 1,
  /** Records are stored through a mapping of the file, else written with pwrite. */
  store: 2,
  /** What is stored is durable with a fence: the file lies in byte-addressable memory. */
  synchronous: 4,
} as const;

/** Slots of `NativeWalFile.state`. */
export const WAL_STATE = {
  /** 1 while a job is running. */
  busy: 0,
  /** Tickets up to this are complete. */
  completed: 1,
  /** 1 once a write or sync of the log or of the pool's file has failed. */
  failed: 2,
  /** Bytes of the file. */
  size: 3,
} as const;

/** What the addon offers to every thread. */
export interface NativeAddon {
  /** Flush instructions of this processor, the best first; empty where a program may not use any. */
  readonly flushInstructions: readonly string[];
  /** Opens `path`, takes its lock and maps `maxBytes` (a multiple of 4096). */
  map(path: string, maxBytes: number, flags: number): NativeMapping;
}

/** One mapped file. Every function but `unmap` throws an error with code `CLOSED` after `unmap`. */
export interface NativeMapping {
  /** The whole mapping; detached by `unmap`. */
  readonly buffer: ArrayBuffer;
  /** Control block of `append` and `commit`, see CONTROL. Must not be transferred. */
  readonly control: Uint32Array;
  /**
   * Fences, lines: what the protocol asked for, whether or not the medium needs an instruction for it. Then syncs of the
   * write-ahead log, by any thread.
   */
  readonly counters: Float64Array;
  /** Size of the file when it was opened. */
  readonly fileBytes: number;
  /** Bytes of the file with blocks behind them when it was opened. */
  readonly allocatedBytes: number;
  /** MAP_SYNC was accepted: the mapping reaches persistent memory directly. */
  readonly synchronous: boolean;
  /** Size of the file now: the bound of every access. */
  size(): number;
  /**
   * How stores become durable. `instruction`: one of `flushInstructions`, or `none`. `stream`: records go around
   * the cache. `fences`: false makes a fence nothing but a count. The latencies are added per line and fence.
   */
  setFlush(instruction: string, stream: boolean, fences: boolean, lineNs: number, fenceNs: number): void;
  /** A private mapping: fdatasync. */
  fence(): void;
  /** A private mapping: pwrite. */
  flush(at: number, bytes: number): void;
  /** Flushes `count` (ref, granules) pairs. */
  flushRanges(ranges: Uint32Array, count: number): void;
  /** Registers the ranges of `commit`. The array must not be transferred or resized. */
  setRanges(ranges: Uint32Array): void;
  append(): void;
  commit(): void;
  /** Allocates the blocks of [from, to), and makes the file at least `to` long; new bytes are zero. */
  allocate(from: number, to: number): void;
  syncFile(): void;
  /** From now on stores stay in this process. */
  makePrivate(): void;
  /** Opens the log in a file of this name; null when there is none and `flags` do not say to create it. One at a time. */
  openWal(path: string, flags: number): NativeWalFile | null;
  /** Closes the log, detaches the buffer, unmaps, unlocks, closes. Idempotent. */
  unmap(): void;
}

/**
 * The open file of a write-ahead log, and its threads. See WriteAheadLog for what the functions do. All but `close` throw
 * an error with code `CLOSED` after `close`; those that change something throw the error of the first failed write or sync,
 * for ever; those that no job may run beside throw `BUSY`.
 */
export interface NativeWalFile {
  /** Whether this opening made the file. */
  readonly created: boolean;
  /** Control block of `append`, see WAL_CONTROL. Must not be transferred. */
  readonly control: Uint32Array;
  /** See WAL_STATE; written by other threads. */
  readonly state: Float64Array;
  /** Called from the event loop after something in the background has ended. */
  onProgress?: (() => void) | null;
  setRanges(ranges: Uint32Array): void;
  append(): void;
  read(at: number, target: Uint8Array): void;
  write(at: number, bytes: Uint8Array): void;
  extend(sizeBytes: number): void;
  truncate(sizeBytes: number): void;
  sync(): void;
  requestSync(): number;
  syncEvery(ms: number): void;
  startWrite(pages: Uint32Array, count: number): void;
  startComplete(at: number, header: Uint8Array): void;
  startExtend(sizeBytes: number): void;
  finish(): void;
  giveBack(pages: Uint32Array, count: number): void;
  keepAlive(wanted: boolean): void;
  /** The error that all calls throw from now on, or null. */
  failure(): Error | null;
  close(): void;
}

/** Why there is no addon; `message` says what to do. */
export interface AddonMissing {
  readonly addon: null;
  readonly reason: string;
  readonly cause: unknown;
}
export type AddonFound = { readonly addon: NativeAddon };

/** `prebuilds/<platform>-<arch>/perdure.node` at the root of the package; the same from src/ and from dist/. */
export function addonPath(): string {
  const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
  return join(root, 'prebuilds', `${process.platform}-${process.arch}`, 'perdure.node');
}

/** Loads the addon, or says why it cannot be loaded. */
export function loadAddon(path: string = addonPath()): AddonFound | AddonMissing {
  if (process.platform !== 'linux') {
    return missing(`perdure's native addon runs on Linux, and this is ${process.platform}`);
  }
  if (!existsSync(path)) {
    const build =
      'in a checkout, run "npm run build:native" (it needs a C compiler); in a bundle, leave perdure out of it (external)';
    return missing(`perdure's native addon is missing: there is no ${path}; ${build}`);
  }
  try {
    return { addon: createRequire(import.meta.url)(path) as NativeAddon };
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    return missing(
      `perdure's native addon ${path} cannot be loaded (${why}); rebuild it on this machine: npm run build:native`,
      cause,
    );
  }
}

function missing(reason: string, cause?: unknown): AddonMissing {
  return { addon: null, reason, cause };
}
