/**
 * What to do with a write-ahead log that stands beside a pool when it is opened: the pool may need it, may be done with
 * it, or it may be somebody else's. Nothing is lost silently: a log that holds transactions is applied, or refused.
 */
import { CorruptionError, PoolOpenError } from '../errors/index.js';
import { GRANULE_BYTES, REGION } from '../format/index.js';
import type { Memory, Views, WriteAheadLog } from '../memory/index.js';
import { holdsRecords, type RecoveryResult, readWalState, replay, type WalHeader } from '../txn/index.js';
import { type Header, readCheckpointMark, truncated } from './header.js';
import type { PoolSpace } from './space.js';

export interface WalInput {
  readonly path: string;
  readonly memory: Memory;
  readonly views: Views;
  readonly space: PoolSpace;
}

/**
 * Brings a pool that needs its write-ahead log up to date, and removes a log that nobody needs.
 * @returns what was found; null when the pool needed no log
 * @throws PoolOpenError LOG_MISSING, LOG_MISMATCH, VERSION; CorruptionError, PoolFullError, IoError
 */
export function recoverFromWal(input: WalInput): RecoveryResult | null {
  const { memory, space, path } = input;
  const wal = memory.openWal({ create: false, access: 'write' });
  const needed = space.header.walId !== 0n;
  if (wal === null) {
    if (needed) throw missing(path);
    return null;
  }
  try {
    if (!needed) {
      refuseUnlessOver(wal, space.header, path);
      // The header that names no log may have been written by a process that died before it was durable.
      space.settle();
      wal.remove();
      return null;
    }
    const header = neededHeader(wal, space.header, path);
    const markedSeq = readCheckpointMark(input.views, header.walId);
    if (markedSeq < header.markedSeq) throw outdated('older-pool', wal.path, path);
    // What the log's header names was durable when that was written.
    if (memory.sizeBytes < header.sizeBytes) throw truncated(path, memory.sizeBytes, header.sizeBytes);
    const start = REGION.anchors.offset / GRANULE_BYTES;
    const applied = replay({ ...input, wal, header, start, markedSeq });
    if (applied === null) throw outdated('older-log', wal.path, path);
    const { records, sizeBytes } = applied;
    // A shared mapping was flushed as its domain needs it; the log was promised to survive power loss.
    if (memory.info.log === 'undo') memory.syncFile();
    // [REPLAY 4]
    space.detachWal(Math.max(sizeBytes, space.header.sizeBytes));
    wal.remove();
    return { outcome: records === 0 ? 'clean' : 'replayed', records };
  } finally {
    wal.close();
  }
}

/** The header of the log that the pool names. */
function neededHeader(wal: WriteAheadLog, pool: Header, path: string): WalHeader {
  const state = readWalState(wal);
  switch (state.kind) {
    case 'valid':
      if (state.header.walId === pool.walId && sameUuid(state.header.uuid, pool.uuid))
        return uncut(state.header, wal);
      throw mismatch(
        wal.path,
        `${path} was not closed and needs its write-ahead log, but ${wal.path} ${whose(state.header, pool)}`,
      );
    case 'version':
      throw newer(wal.path, state.version);
    case 'foreign':
      throw mismatch(
        wal.path,
        `${path} was not closed and needs its write-ahead log, but ${wal.path} is none`,
      );
    default:
      throw new CorruptionError(`${wal.path}: both copies of the header of the write-ahead log are damaged`, {
        path: wal.path,
        offset: 0,
        expected: 'a valid checksum',
      });
  }
}

function uncut(header: WalHeader, wal: WriteAheadLog): WalHeader {
  if (wal.sizeBytes >= header.fileBytes) return header;
  throw new CorruptionError(
    `${wal.path} has ${wal.sizeBytes} bytes and had at least ${header.fileBytes}: the write-ahead log was cut`,
    { path: wal.path, actual: wal.sizeBytes, expected: header.fileBytes },
  );
}

/** The pool is complete without a log: refuses one that may hold what is nowhere else. */
function refuseUnlessOver(wal: WriteAheadLog, pool: Header, path: string): void {
  const state = readWalState(wal);
  switch (state.kind) {
    case 'valid': {
      const { header } = state;
      // Its pool may still name it, even if it is empty.
      const isOurs = sameUuid(header.uuid, pool.uuid);
      const isOver = isOurs && ((pool.epoch - header.epoch) | 0) > 0;
      if (isOver || (isOurs && !holdsRecords(wal, header))) return;
      throw mismatch(wal.path, `${path} was closed and needs no log, but ${wal.path} ${whose(header, pool)}`);
    }
    case 'version':
      throw newer(wal.path, state.version);
    case 'foreign':
      throw mismatch(wal.path, `${wal.path} stands where the write-ahead log of ${path} goes, and is none`);
    default: // never finished being made, so never used
  }
}

function whose(header: WalHeader, pool: Header): string {
  if (!sameUuid(header.uuid, pool.uuid)) return 'belongs to another pool';
  const age = (header.epoch - pool.epoch) | 0;
  if (age > 0) return 'is newer than this copy of the pool, and holds transactions that it lacks';
  return age < 0 ? 'is an older log of this pool' : 'belongs to another copy of this pool';
}

/** Where the write-ahead log of a pool lies, unless `path` is a symbolic link. */
export function walPath(path: string): string {
  return `${path}-wal`;
}

/** The error of a creation beside a log that is left of some other pool. */
export function orphanedLog(path: string): PoolOpenError {
  return mismatch(
    walPath(path),
    `${path} is not there, but ${walPath(path)} is: the write-ahead log of a pool that stood here, and perhaps the only ` +
      'place where its last transactions are',
  );
}

function missing(path: string): PoolOpenError {
  return new PoolOpenError(
    'LOG_MISSING',
    `${path} was not closed, and its write-ahead log ${walPath(path)} is missing: part of its data is only there. Put the ` +
      'log back beside it (the two are one pool until it is closed), or restore both from a backup. Nothing was changed',
    { path, log: walPath(path) },
  );
}

function mismatch(log: string, what: string): PoolOpenError {
  return new PoolOpenError(
    'LOG_MISMATCH',
    `${what}. Put the two files that belong together beside each other; move the log away only if you know that nobody ` +
      'needs it. Nothing was changed',
    { log },
  );
}

function outdated(which: 'older-log' | 'older-pool', log: string, path: string): PoolOpenError {
  return mismatch(
    log,
    which === 'older-log'
      ? `${path} holds transactions that its write-ahead log ${log} lacks: this is an older copy of the log, or a part of it`
      : `${log} goes on from a checkpoint that ${path} lacks: this is an older copy of the pool`,
  );
}

function newer(log: string, version: number): PoolOpenError {
  return new PoolOpenError(
    'VERSION',
    `${log} has version ${version} of the log format: use a newer perdure`,
    {
      path: log,
      actual: version,
    },
  );
}

function sameUuid(a: Uint8Array, b: Uint8Array): boolean {
  return a.every((byte, index) => byte === b[index]);
}
