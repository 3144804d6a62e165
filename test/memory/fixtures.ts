/**
 * What the tests of the backends share: scratch directories, small full file systems, and what the kernel says
 * about mappings of this process.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statfsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { MemoryOpenOptions } from '../../src/memory/index.js';

export const MIB = 1 << 20;
const TMPFS_MAGIC = 0x01021994n;

/** Directories of one test file; `removeAll` in afterAll. */
export class Scratch {
  readonly #made: string[] = [];
  readonly #mounted: string[] = [];

  /** On tmpfs, where the domain is `emulated`. */
  memory(): string {
    return this.#make(existsSync('/dev/shm') ? '/dev/shm' : tmpdir());
  }

  /** Where temporary files are; usually a disk. */
  disk(): string {
    return this.#make(tmpdir());
  }

  /** A tmpfs of its own, or null when mounting is not permitted. */
  mount(options: string): string | null {
    const directory = join(this.disk(), 'mnt');
    mkdirSync(directory);
    try {
      execFileSync('mount', ['-t', 'tmpfs', '-o', options, 'none', directory], { stdio: 'pipe' });
    } catch (error) {
      if (error instanceof Error) return null;
      throw error;
    }
    this.#mounted.push(directory);
    return directory;
  }

  remount(directory: string, options: string): void {
    execFileSync('mount', ['-o', `remount,${options}`, directory], { stdio: 'pipe' });
  }

  removeAll(): void {
    for (const directory of this.#mounted) execFileSync('umount', ['-l', directory]);
    for (const directory of this.#made) rmSync(directory, { recursive: true, force: true });
  }

  #make(parent: string): string {
    const directory = mkdtempSync(join(parent, 'perdure-test-'));
    this.#made.push(directory);
    return directory;
  }
}

/** Whether a tmpfs can be mounted here (root in most containers). */
export const canMount = ((): boolean => {
  const scratch = new Scratch();
  try {
    return scratch.mount('size=64k') !== null;
  } finally {
    scratch.removeAll();
  }
})();

export function isTmpfs(directory: string): boolean {
  return statfsSync(directory, { bigint: true }).type === TMPFS_MAGIC;
}

export function openOptions(path: string, more: Partial<MemoryOpenOptions> = {}): MemoryOpenOptions {
  return {
    path,
    mode: 'open',
    maxBytes: 16 * MIB,
    sizeBytes: MIB,
    emulate: {},
    domain: null,
    log: null,
    ...more,
  };
}

/** Mappings of files whose path holds `name`, in this process. */
export function countMappings(name: string): number {
  return readFileSync('/proc/self/maps', 'utf8')
    .split('\n')
    .filter((line) => line.includes(name)).length;
}

/** The error that `action` throws. */
export function caught(action: () => unknown): Error & { code?: string; details?: Record<string, unknown> } {
  try {
    action();
  } catch (error) {
    if (error instanceof Error) return error;
    throw error;
  }
  throw new Error('nothing was thrown');
}
