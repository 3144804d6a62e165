/**
 * A lock for backends that have no flock: the file `<pool>.lock` holds the process id and start time of its
 * owner. It appears complete (linked from a temporary name), and counts only while that process lives, so a crash
 * leaves nothing that must be removed by hand. Processes must share one pid namespace.
 */
import { linkSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { locked, openFailure, realpathOf, systemFailure, temporaryName } from './files.js';

/** A lock that is held; `release` gives it up. */
export interface LockFile {
  release(): void;
}

/** Beside the file itself, however it is reached: through a relative name or a symbolic link. */
function lockPath(path: string): string {
  return `${realpathOf(path)}.lock`;
}

/**
 * Takes the lock of a pool. A lock whose owner is dead is taken over.
 * @throws PoolOpenError LOCKED naming the owner
 */
export function takeLockFile(path: string): LockFile {
  const lock = lockPath(path);
  const mine = temporaryName(lock);
  try {
    writeFileSync(mine, `${identity(process.pid)}\n`, { flag: 'wx' });
    for (let attempts = 0; attempts < 10; attempts++) {
      if (linkNew(mine, lock)) return { release: () => releaseLock(lock) };
      const found = readOwner(lock);
      if (found === null) continue; // released in between
      const holder = describeLiving(found);
      if (holder !== null) throw locked(path, holder);
      setAside(lock, found);
    }
    throw locked(path, 'several processes that fight over its stale lock');
  } catch (cause) {
    throw openFailure(path, cause);
  } finally {
    rmSync(mine, { force: true });
  }
}

/** Who holds the lock file of a pool, or null: there is none, or its owner is dead. */
export function lockFileHolder(path: string): string | null {
  const owner = readOwner(lockPath(path));
  return owner === null ? null : describeLiving(owner);
}

/**
 * Who holds a flock on a pool file, as /proc/locks tells; null where that cannot be seen. Keeps a process with
 * mmap-io away from a pool that another one has open through the native addon.
 */
export function flockHolder(path: string): string | null {
  const stat = statSync(path, { bigint: true });
  const hex = (value: bigint): string => value.toString(16).padStart(2, '0');
  const major = ((stat.dev >> 8n) & 0xfffn) | ((stat.dev >> 32n) & ~0xfffn);
  const minor = (stat.dev & 0xffn) | ((stat.dev >> 12n) & ~0xffn);
  const id = `${hex(major)}:${hex(minor)}:${stat.ino}`;
  const locks = readIfThere('/proc/locks') ?? '';
  for (const line of locks.split('\n')) {
    const words = line.trim().split(/\s+/);
    if (words[1] === 'FLOCK' && words[5] === id) return `process ${words[4]} (through the native addon)`;
  }
  return null;
}

function linkNew(from: string, to: string): boolean {
  try {
    linkSync(from, to);
    return true;
  } catch (error) {
    if (systemFailure(error)?.code === 'EEXIST') return false;
    throw error;
  }
}

/** Takes a stale lock out of the way; puts it back when somebody took it over meanwhile. */
function setAside(lock: string, stale: string): void {
  const aside = temporaryName(lock);
  try {
    renameSync(lock, aside);
  } catch (error) {
    if (systemFailure(error)?.code === 'ENOENT') return;
    throw error;
  }
  if (readOwner(aside) !== stale) linkNew(aside, lock);
  rmSync(aside, { force: true });
}

function releaseLock(lock: string): void {
  if (readOwner(lock) === identity(process.pid)) rmSync(lock, { force: true });
}

function readOwner(lock: string): string | null {
  return readIfThere(lock)?.trim() ?? null;
}

function readIfThere(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (systemFailure(error)?.code === 'ENOENT') return null;
    throw error;
  }
}

/** "<pid> <start time>": a process id alone may have been given to another process. */
function identity(pid: number): string {
  return `${pid} ${startTime(pid) ?? '?'}`;
}

/** Start time in clock ticks since boot, and whether it runs: null for a process that is gone or a zombie. */
function startTime(pid: number): string | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' '); // the name before may hold anything
    return fields[0] === 'Z' || fields[0] === 'X' ? null : (fields[19] ?? null);
  } catch (error) {
    const code = systemFailure(error)?.code;
    if (code === 'ENOENT' || code === 'ESRCH') return null;
    throw error;
  }
}

function describeLiving(owner: string): string | null {
  const pid = Number.parseInt(owner, 10);
  if (!Number.isSafeInteger(pid) || pid <= 0 || identity(pid) !== owner || startTime(pid) === null)
    return null;
  return pid === process.pid ? 'this process' : `process ${pid} (through mmap-io)`;
}
