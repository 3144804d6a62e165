/**
 * The seam between the redo log and its media: the file of the write-ahead log beside the pool, and the writing to
 * the pool's file that goes on behind the program's back. The native addon and the simulated medium implement it.
 *
 * INV-MEM-5  What `append` and `write` wrote survives the death of the process when they return, and power loss once a
 *            sync that began afterwards is complete. Before, any of its sectors of 512 bytes may be missing.
 * INV-MEM-6  A page is copied when `startWrite` is called, and written only when all that the log held then is
 *            durable: no page of the pool's file is ahead of the durable log (write-ahead rule).
 */
import type { Step } from './step.js';

/** Words of the control block that a `WalRecordWriter` shares with its caller. */
export const WAL_CONTROL = {
  /** From which checksums are continued: differs from log to log. */
  seed: 0,
  /** Where the record goes, in lines of 64 bytes from the start of the log. */
  at: 1,
  /** The line before which it must end. */
  end: 2,
  /** Sequence number: low word, and high word as `WAL_RECORD.seqHigh` has it. */
  seqLow: 3,
  seqHigh: 4,
  /** In: number of pairs in `ranges`. Out: how many are left after sorting and merging. */
  count: 5,
  /** Size of the pool in granules. */
  sizeGranules: 6,
  /** Out: length of the record in lines. */
  lines: 7,
} as const;
export const WAL_CONTROL_WORDS = 8;

/**
 * Writes the records of the redo log. The native addon does it in one call; `PortableWalRecordWriter` (txn/) does the
 * same, byte for byte, on `WriteAheadLog.write`.
 */
export interface WalRecordWriter {
  readonly control: Uint32Array;
  /** (ref, granules) pairs that `append` works on; replaced by `setRanges` when it must grow. */
  setRanges(ranges: Uint32Array): void;
  /**
   * Sorts and merges the ranges, in place, and writes a record with what the pool's memory holds there.
   * @throws RangeError when it does not fit before `end`: nothing was written; IoError when the write failed
   */
  append(): void;
}

/** How the records of a log are written: through a mapping (no system call), or with pwrite (cheaper to sync). */
export type WalAccess = 'store' | 'write';

/** The file of the log, and the syncs that make it durable. */
export interface WalFile {
  readonly path: string;
  /** Size of the file; all of it was written to, so that appending allocates nothing. */
  readonly sizeBytes: number;
  /** What is appended is durable when `append` returns: the log lies in byte-addressable memory. */
  readonly synchronous: boolean;
  /** The native record writer, or null where there is none. */
  readonly recordWriter: WalRecordWriter | null;
  /** Copies [at, at + target.length) of the file into `target`; what lies behind its end reads as zeros. */
  read(at: number, target: Uint8Array): void;
  /** Writes to the file; durable after a sync. @throws IoError */
  write(at: number, bytes: Uint8Array, step: Step): void;
  /** Returns when all that was written is durable. @throws IoError, now and for ever after a failure */
  sync(step: Step): void;
  /** Asks for a sync that begins after this call, in the background. Returns its ticket. */
  requestSync(): number;
  /** All syncs with tickets up to this are complete. */
  readonly completedSyncs: number;
  /** What is appended from now on is synced in the background after so many milliseconds at most; 0: only on request. */
  syncEvery(ms: number): void;
  /** The error that made a sync or a job fail, after which nothing more is promised; null while all is well. */
  readonly failure: Error | null;
  /** Makes the file at least so long, with written zeros; durable with the next sync. @throws PoolFullError, IoError */
  extend(sizeBytes: number): void;
  /** Cuts the file. */
  truncate(sizeBytes: number): void;
  /** Removes the file's name. Call `close` afterwards all the same. */
  remove(): void;
  /** Ends what goes on in the background, and closes. Idempotent. */
  close(): void;
}

/** One job at a time, in the background; the caller waits with `finish` or looks at `busy`. */
export interface BackgroundWriter {
  /** Whether a job is running. */
  readonly busy: boolean;
  /**
   * Copies `count` pages of the pool (numbers of pages of 4 KiB, ascending) out of memory, and in the background syncs
   * the log and writes the copies to the pool's file: walSyncAhead, pageWrite.
   */
  startWrite(pages: Uint32Array, count: number): void;
  /**
   * In the background: syncs the pool's file, then writes `header` to the log at `at`, then syncs the log: pageSync,
   * walTail, walTailSync.
   */
  startComplete(at: number, header: Uint8Array): void;
  /** In the background: as `extend`. */
  startExtend(sizeBytes: number): void;
  /** Waits until no job is running. @throws what made the last one fail, once: IoError, PoolFullError for an extension */
  finish(): void;
  /** Drops the private copies of pages that the file holds as they are. */
  giveBack(pages: Uint32Array, count: number): void;
}

/** An open write-ahead log of one pool. */
export interface WriteAheadLog extends WalFile, BackgroundWriter {
  /** Called from the event loop after a sync was completed, a job has ended, or one of them failed. */
  onProgress: (() => void) | null;
  /** Whether what goes on in the background keeps the process from exiting. */
  keepAlive(wanted: boolean): void;
}
