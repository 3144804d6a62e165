/**
 * The write-ahead log of the native backend: names its errors, and turns the addon's functions into a `WriteAheadLog`.
 * The addon owns the file, the threads and the bounds of every access.
 *
 * INV-MEM-5 and INV-MEM-6 are kept in native/wal-threads.c.
 */
import { rmSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { IoError, PoolClosedError } from '../errors/index.js';
import * as files from './files.js';
import type { WalOpenOptions } from './memory.js';
import { type NativeMapping, type NativeWalFile, WAL_FLAG, WAL_STATE } from './native-addon.js';
import type { Step } from './step.js';
import type { WalRecordWriter, WriteAheadLog } from './wal.js';

/**
 * Opens the log of a pool; null when there is none and it is not to be created.
 * @param synchronous its file lies in byte-addressable memory
 */
export function openNativeWal(
  mapping: NativeMapping,
  path: string,
  synchronous: boolean,
  { create, access }: WalOpenOptions,
): WriteAheadLog | null {
  const store = synchronous || access === 'store';
  const flags =
    (create ? WAL_FLAG.create : 0) | (store ? WAL_FLAG.store : 0) | (synchronous ? WAL_FLAG.synchronous : 0);
  let file: NativeWalFile | null;
  try {
    file = mapping.openWal(path, flags);
  } catch (cause) {
    throw openFailure(path, cause);
  }
  if (file === null) return null;
  try {
    if (file.created) files.syncDirectory(dirname(path));
    return new NativeWal(file, path, synchronous);
  } catch (cause) {
    file.close();
    throw new IoError(`${path}: its directory cannot be written out: ${String(cause)}`, { path }, cause);
  }
}

function openFailure(path: string, cause: unknown): unknown {
  if (files.isFull(cause)) return files.fullFailure(path, { from: 0, to: 0 }, cause);
  const code = files.systemFailure(cause)?.code;
  if (code === 'EACCES' || code === 'EPERM' || code === 'EROFS') return files.openFailure(path, cause);
  return new IoError(
    `the write-ahead log ${path} cannot be opened: ${String(cause)}`,
    { path, errno: code },
    cause,
  );
}

/** Which file a path leads to; null when there is none. */
function identityOf(path: string): string | null {
  const stat = statSync(path, { bigint: true, throwIfNoEntry: false });
  return stat === undefined ? null : `${stat.dev}:${stat.ino}`;
}

class NativeWal implements WriteAheadLog {
  readonly path: string;
  readonly synchronous: boolean;
  readonly recordWriter: WalRecordWriter;
  onProgress: (() => void) | null = null;
  readonly #file: NativeWalFile;
  readonly #state: Float64Array;
  readonly #identity: string | null;
  /** Size that the last extension was to reach. */
  #wantedBytes = 0;
  #failure: Error | null = null;
  #closed = false;

  constructor(file: NativeWalFile, path: string, synchronous: boolean) {
    this.path = path;
    this.#identity = identityOf(path);
    this.synchronous = synchronous;
    this.#file = file;
    this.#state = file.state;
    file.onProgress = () => this.onProgress?.();
    const append = (): void => {
      try {
        file.append();
      } catch (cause) {
        throw this.#named('append', cause);
      }
    };
    this.recordWriter = { control: file.control, setRanges: file.setRanges, append };
  }

  get sizeBytes(): number {
    return this.#state[WAL_STATE.size] as number;
  }

  get completedSyncs(): number {
    return this.#state[WAL_STATE.completed] as number;
  }

  get busy(): boolean {
    return this.#state[WAL_STATE.busy] !== 0;
  }

  get failure(): Error | null {
    if (!this.#closed && this.#state[WAL_STATE.failed] !== 0)
      this.#failure ??= this.#ioError(this.#file.failure());
    return this.#failure;
  }

  read(at: number, target: Uint8Array): void {
    this.#call('read', () => this.#file.read(at, target));
  }

  write(at: number, bytes: Uint8Array, _step: Step): void {
    this.#call('write', () => this.#file.write(at, bytes));
  }

  sync(_step: Step): void {
    this.#call('sync', () => this.#file.sync());
  }

  requestSync(): number {
    return this.#call('requestSync', () => this.#file.requestSync());
  }

  syncEvery(ms: number): void {
    this.#call('syncEvery', () => this.#file.syncEvery(ms));
  }

  extend(sizeBytes: number): void {
    this.#wantedBytes = sizeBytes;
    this.#call('extend', () => this.#file.extend(sizeBytes));
  }

  truncate(sizeBytes: number): void {
    this.#call('truncate', () => this.#file.truncate(sizeBytes));
  }

  remove(): void {
    // Files may have been moved while they were open: what lies there now is perhaps another pool's log.
    if (identityOf(this.path) === this.#identity)
      this.#call('remove', () => rmSync(this.path, { force: true }));
  }

  startWrite(pages: Uint32Array, count: number): void {
    this.#call('startWrite', () => this.#file.startWrite(pages, count));
  }

  startComplete(at: number, header: Uint8Array): void {
    this.#call('startComplete', () => this.#file.startComplete(at, header));
  }

  startExtend(sizeBytes: number): void {
    this.#wantedBytes = sizeBytes;
    this.#call('startExtend', () => this.#file.startExtend(sizeBytes));
  }

  finish(): void {
    this.#call('finish', () => this.#file.finish());
  }

  giveBack(pages: Uint32Array, count: number): void {
    this.#call('giveBack', () => this.#file.giveBack(pages, count));
  }

  keepAlive(wanted: boolean): void {
    this.#call('keepAlive', () => this.#file.keepAlive(wanted));
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#failure = this.failure;
    this.#file.close();
  }

  #call<T>(what: string, action: () => T): T {
    try {
      return action();
    } catch (cause) {
      throw this.#named(what, cause);
    }
  }

  #named(what: string, cause: unknown): unknown {
    if ((cause as { code?: unknown }).code === 'CLOSED')
      return new PoolClosedError(what, { path: this.path });
    if (files.systemFailure(cause) === null) return cause; // a wrong argument
    // Where there was no room, only an extension has another try.
    if (!files.isFull(cause) || this.#state[WAL_STATE.failed] !== 0) return this.#ioError(cause);
    return files.fullFailure(this.path, { from: this.sizeBytes, to: this.#wantedBytes }, cause);
  }

  #ioError(cause: unknown): IoError {
    const failure = files.systemFailure(cause);
    const final = this.#state[WAL_STATE.failed] !== 0;
    return new IoError(
      `the write-ahead log ${this.path}: ${failure?.message ?? String(cause)}${final ? '; nothing is written any more' : ''}`,
      { path: this.path, errno: failure?.code, syscall: failure?.syscall },
      cause,
    );
  }
}
