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
  /** Stores stay private to this mapping and never reach the file. */
  copyOnWrite: 2,
} as const;

/** What the addon offers to every thread. */
export interface NativeAddon {
  /** Flush instructions of this processor, the best first; empty where a program may not use any. */
  readonly flushInstructions: readonly string[];
  readonly hardwareCrc32c: boolean;
  /** Opens `path`, takes its lock and maps `maxBytes` (a multiple of 4096). */
  map(path: string, maxBytes: number, flags: number): NativeMapping;
  /** Continues a CRC-32C: `crc32c(crc32c(0, a), b) === crc32c(0, ab)`. */
  crc32c(crc: number, bytes: Uint8Array): number;
}

/** One mapped file. Every function but `unmap` throws an error with code `CLOSED` after `unmap`. */
export interface NativeMapping {
  /** The whole mapping; detached by `unmap`. */
  readonly buffer: ArrayBuffer;
  /** Control block of `append` and `commit`, see CONTROL. Must not be transferred. */
  readonly control: Uint32Array;
  /** Fences, then lines: what the protocol asked for, whether or not the medium needs an instruction for it. */
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
  fence(): void;
  flush(at: number, bytes: number): void;
  /** Flushes `count` (ref, granules) pairs. */
  flushRanges(ranges: Uint32Array, count: number): void;
  /** Registers the ranges of `commit` and `persist`. The array must not be transferred or resized. */
  setRanges(ranges: Uint32Array): void;
  /** Flushes the first `count` registered ranges and fences. */
  persist(count: number): void;
  /** Copies bytes to `at` and makes them durable. */
  copy(at: number, source: Uint8Array): void;
  append(): void;
  commit(): void;
  /** Allocates the blocks of [from, to), and makes the file at least `to` long; new bytes are zero. */
  allocate(from: number, to: number): void;
  truncate(sizeBytes: number): void;
  msync(at: number, bytes: number): void;
  syncFile(dataOnly: boolean): void;
  /** `advice`: normal, random, sequential, willneed, dontneed, hugepage. */
  advise(at: number, bytes: number, advice: string): void;
  /** Detaches the buffer, unmaps, unlocks, closes. Idempotent. */
  unmap(): void;
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
