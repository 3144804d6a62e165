/**
 * What the backends that map real files have in common: checking options, naming errors, and the steps by which
 * a new pool file appears under its name.
 *
 * INV-MEM-4  A pool file appears under its name complete, or not at all: it is built under a temporary name in
 *            the same directory and linked to its own. An existing file is never replaced.
 */
import { randomBytes } from 'node:crypto';
import {
  closeSync,
  fsyncSync,
  linkSync,
  openSync,
  realpathSync,
  rmSync,
  statSync,
  unlinkSync,
} from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { IoError, PerdureError, PoolFullError, PoolOpenError } from '../errors/index.js';
import { PAGE_BYTES } from '../format/index.js';
import type { EmulateOptions, MemoryOpenOptions } from './memory.js';

/** The fields of an error of a failed system call, as Node and the addon throw them. */
export interface SystemFailure {
  readonly code: string;
  readonly syscall: string;
  readonly message: string;
}

/** Reads an error as a failed system call; null when it is something else. */
export function systemFailure(error: unknown): SystemFailure | null {
  if (!(error instanceof Error)) return null;
  const { code, syscall } = error as NodeJS.ErrnoException;
  return typeof code === 'string' && typeof syscall === 'string'
    ? { code, syscall, message: error.message }
    : null;
}

/** No room: the file system, a quota or a file size limit. */
export function isFull(error: unknown): boolean {
  const code = systemFailure(error)?.code;
  return code === 'ENOSPC' || code === 'EDQUOT' || code === 'EFBIG';
}

/**
 * Checks the options that do not depend on the file.
 * @throws PoolOpenError OPTION
 */
export function checkOptions(options: MemoryOpenOptions, limit: { bytes: number; why: string }): void {
  const { path, maxBytes, sizeBytes, mode } = options;
  const refuse = (message: string): never => {
    throw new PoolOpenError('OPTION', `${path}: ${message}`, { path, maxBytes, sizeBytes });
  };
  if (path === '' || path.includes('\0')) refuse('the path is empty or holds a NUL character');
  if (!Number.isSafeInteger(maxBytes) || maxBytes <= 0 || maxBytes % PAGE_BYTES !== 0) {
    refuse(`maxSize must be a positive multiple of ${PAGE_BYTES} bytes, not ${maxBytes}`);
  }
  if (maxBytes > limit.bytes)
    refuse(`maxSize is ${maxBytes} bytes, and ${limit.why}: ${limit.bytes} bytes at most`);
  if (mode === 'create') {
    if (!Number.isSafeInteger(sizeBytes) || sizeBytes <= 0) {
      refuse(`the initial size must be a positive number of bytes, not ${sizeBytes}`);
    }
    if (sizeBytes > maxBytes) refuse(`the initial size (${sizeBytes}) is larger than maxSize (${maxBytes})`);
  }
  if (options.emulate !== null) checkEmulation(options.emulate, refuse);
}

function checkEmulation(emulate: EmulateOptions, refuse: (message: string) => never): void {
  const { flushNs = 0, fenceNs = 0, flush = true } = emulate;
  for (const [name, ns] of Object.entries({ flushNs, fenceNs })) {
    if (!Number.isInteger(ns) || ns < 0 || ns > 1e9) {
      refuse(`emulate.${name} must be whole nanoseconds from 0 to 1e9, not ${ns}`);
    }
  }
  if (!flush && flushNs + fenceNs > 0) {
    refuse('emulate.flush: false leaves nothing to delay; drop flushNs and fenceNs, or flush');
  }
}

/**
 * Refuses what an opening must not touch: no file, no directory, a directory, a device.
 * @throws PoolOpenError NOT_FOUND, NOT_A_POOL; whatever `openFailure` makes of other errors
 */
export function checkExisting(path: string): void {
  const stat = attempt(path, () => statSync(path, { throwIfNoEntry: false }));
  if (stat === undefined) throw notFound(path);
  if (!stat.isFile()) throw notRegular(path);
}

/** Refuses to create where something stands already, or where there is no directory. */
export function checkAbsent(path: string): void {
  const directory = dirname(resolve(path));
  if (!attempt(path, () => statSync(directory, { throwIfNoEntry: false }))?.isDirectory())
    throw notFound(path);
  if (attempt(path, () => statSync(path, { throwIfNoEntry: false })) !== undefined) throw alreadyExists(path);
}

function attempt<T>(path: string, action: () => T): T {
  try {
    return action();
  } catch (cause) {
    throw openFailure(path, cause);
  }
}

/** Makes the error of a failed opening or creation out of what a system call threw. */
export function openFailure(path: string, cause: unknown): unknown {
  const failure = systemFailure(cause);
  if (failure === null || cause instanceof PerdureError) return cause;
  const details = { path, errno: failure.code, syscall: failure.syscall };
  switch (failure.code) {
    case 'ENOENT':
    case 'ENOTDIR':
      return notFound(path, cause);
    case 'EISDIR':
    case 'NOT_REGULAR':
      return notRegular(path, cause);
    case 'EEXIST':
      return alreadyExists(path, cause);
    case 'EACCES':
    case 'EPERM':
    case 'EROFS':
      return new PoolOpenError(
        'READ_ONLY',
        `${path} cannot be opened for reading and writing (${failure.code}): a pool needs both, and its directory ` +
          'must be writable to create one. Change the permissions or the mount, or use a copy',
        details,
        cause,
      );
    case 'EAGAIN':
      if (failure.syscall === 'flock') return locked(path, 'another process, worker or pool object', cause);
      break;
    case 'ENOMEM':
      if (failure.syscall === 'mmap') {
        return new PoolOpenError(
          'OPTION',
          `${path}: the address space for maxSize cannot be reserved (a limit such as ulimit -v?): lower maxSize`,
          details,
          cause,
        );
      }
      break;
  }
  return new IoError(`${path} cannot be opened: ${failure.message}`, details, cause);
}

/** The error of a creation or growth that found no room. */
export function fullFailure(
  path: string,
  facts: { from: number; to: number },
  cause: unknown,
): PoolFullError {
  const failure = systemFailure(cause);
  return new PoolFullError(
    `${path} cannot be made ${facts.to} bytes long; it has ${facts.from} (${failure?.code ?? 'unknown error'}): the ` +
      'file system is full, or a quota or file size limit is reached. Free space there; nothing was lost',
    { path, sizeBytes: facts.from, wantedBytes: facts.to, errno: failure?.code },
    cause,
  );
}

/** The error of growth beyond `maxBytes`. */
export function maxSizeReached(path: string, sizeBytes: number, maxBytes: number): PoolFullError {
  return new PoolFullError(
    `${path} would need ${sizeBytes} bytes, and maxSize is ${maxBytes}: open it with a larger maxSize`,
    { path, wantedBytes: sizeBytes, maxBytes },
  );
}

/** The error of a file that is larger than the mapping. */
export function largerThanMax(path: string, fileBytes: number, maxBytes: number): PoolOpenError {
  return new PoolOpenError(
    'OPTION',
    `${path} is ${fileBytes} bytes long, and maxSize is ${maxBytes}: open it with a maxSize of at least ${fileBytes}`,
    { path, fileBytes, maxBytes },
  );
}

/** The error of a pool that somebody else has open. */
export function locked(path: string, holder: string, cause?: unknown): PoolOpenError {
  return new PoolOpenError(
    'LOCKED',
    `${path} is open in ${holder}, and only one may have it open: close it there first`,
    { path, holder },
    cause,
  );
}

function notFound(path: string, cause?: unknown): PoolOpenError {
  const directory = dirname(resolve(path));
  return isNoDirectory(directory)
    ? new PoolOpenError(
        'NOT_FOUND',
        `${path}: there is no directory ${directory}`,
        { path, directory },
        cause,
      )
    : new PoolOpenError(
        'NOT_FOUND',
        `there is no pool file ${path}: Pool.open makes one when it is given a root class, and not create: false`,
        { path },
        cause,
      );
}

function isNoDirectory(path: string): boolean {
  try {
    return !statSync(path, { throwIfNoEntry: false })?.isDirectory();
  } catch (error) {
    if (systemFailure(error) === null) throw error;
    return false; // there, but not for us to see
  }
}

function notRegular(path: string, cause?: unknown): PoolOpenError {
  return new PoolOpenError('NOT_A_POOL', `${path} is not a regular file, so it is no pool`, { path }, cause);
}

function alreadyExists(path: string, cause?: unknown): PoolOpenError {
  return new PoolOpenError(
    'EXISTS',
    `${path} exists already: open it, or create the pool elsewhere`,
    { path },
    cause,
  );
}

/** The name of a file without symbolic links, whether it is there or about to be created. */
export function realpathOf(path: string): string {
  try {
    return realpathSync(path);
  } catch (error) {
    if (systemFailure(error)?.code !== 'ENOENT') throw error;
    return join(realpathSync(dirname(path)), basename(path));
  }
}

/** Where the write-ahead log of a pool is: beside the file itself, however it is reached. */
export function walPath(path: string): string {
  return `${realpathOf(path)}-wal`;
}

/** A name for a file in the making, in the directory of `path`. */
export function temporaryName(path: string): string {
  return join(dirname(path), `${basename(path)}.${process.pid}.${randomBytes(6).toString('hex')}.new`);
}

/** Removes a file in the making; it is nobody's if it cannot be removed, and its name says so. */
export function removeTemporary(path: string): void {
  try {
    rmSync(path, { force: true });
  } catch (error) {
    if (systemFailure(error) === null) throw error;
  }
}

/**
 * Gives a finished, synced file its name.
 * @throws PoolOpenError EXISTS when the name is taken by now; IoError
 */
export function publishFile(temporary: string, path: string): void {
  try {
    // 1. ATOMIC: the pool exists under its name. Unlike rename, link never replaces a file.
    linkSync(temporary, path);
    // 2. Its temporary name goes.
    unlinkSync(temporary);
    // 3. Both survive a power failure.
    syncDirectory(dirname(resolve(path)));
  } catch (cause) {
    if (systemFailure(cause)?.code === 'EEXIST') throw alreadyExists(path, cause);
    throw new IoError(
      `${path} cannot be put in place of ${temporary}: ${String(cause)}`,
      { path, temporary },
      cause,
    );
  }
}

/** Makes the names in a directory survive a power failure. */
export function syncDirectory(path: string): void {
  const fd = openSync(path, 'r');
  try {
    fsyncSync(fd);
  } catch (error) {
    // Some network file systems have no such thing for directories; their servers do it themselves.
    if (systemFailure(error)?.code !== 'EINVAL') throw error;
  } finally {
    closeSync(fd);
  }
}
