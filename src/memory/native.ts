/**
 * The default backend: pools mapped by the native addon. Owns the order of the steps by which a file is opened,
 * created, grown and given up; the addon owns the system calls and the bounds of every access.
 */
import { constants } from 'node:buffer';
import { existsSync } from 'node:fs';
import { IoError, PoolClosedError, PoolOpenError } from '../errors/index.js';
import { MAX_POOL_BYTES, type Offset } from '../format/index.js';
import { resolveDomain, resolveLog } from './domain.js';
import { cachesArePersistent, fileSystemOf } from './file-system.js';
import * as files from './files.js';
import { lockFileHolder } from './lock-file.js';
import type {
  Domain,
  LogKind,
  Memory,
  MemoryBackend,
  MemoryInfo,
  MemoryOpenOptions,
  PersistCounters,
  RecordWriter,
  WalOpenOptions,
} from './memory.js';
import { loadAddon, MAP_FLAG, type NativeAddon, type NativeMapping } from './native-addon.js';
import { openNativeWal } from './native-wal.js';
import type { Step } from './step.js';
import type { WriteAheadLog } from './wal.js';

/** The longest ArrayBuffer of this Node (4 GiB on Node 20), and what a ref can name (64 GiB). */
export const NATIVE_MAX_BYTES = Math.min(constants.MAX_LENGTH, MAX_POOL_BYTES);

/** Maps pools through perdure's own addon. */
export class NativeBackend implements MemoryBackend {
  readonly name = 'native';
  readonly maxBytes = NATIVE_MAX_BYTES;
  readonly #addon: NativeAddon;

  /** @throws PoolOpenError BACKEND when the addon is missing; the message says what to do */
  constructor(addon?: NativeAddon) {
    const found = addon === undefined ? loadAddon() : { addon };
    if (found.addon === null) throw new PoolOpenError('BACKEND', found.reason, {}, found.cause);
    this.#addon = found.addon;
  }

  exists(path: string): boolean {
    return existsSync(path);
  }

  open(options: MemoryOpenOptions): Memory {
    const { path, maxBytes } = options;
    files.checkOptions(options, { bytes: NATIVE_MAX_BYTES, why: `this Node (${process.version}) maps less` });
    return options.mode === 'open'
      ? this.#openExisting(options, path, maxBytes)
      : this.#create(options, path, maxBytes);
  }

  #openExisting(options: MemoryOpenOptions, path: string, maxBytes: number): Memory {
    files.checkExisting(path);
    const mapping = this.#map(path, path, maxBytes, 0);
    try {
      // After our lock was taken: a process that uses mmap-io does the same the other way round.
      const holder = lockFileHolder(path);
      if (holder !== null) throw files.locked(path, holder);
      if (mapping.fileBytes > maxBytes) throw files.largerThanMax(path, mapping.fileBytes, maxBytes);
      const medium = configure(mapping, this.#addon, options, path);
      fillHoles(mapping, path);
      return new NativeMemory(mapping, { path, maxBytes, temporary: null, ...medium });
    } catch (error) {
      mapping.unmap();
      throw files.openFailure(path, error);
    }
  }

  #create(options: MemoryOpenOptions, path: string, maxBytes: number): Memory {
    files.checkAbsent(path);
    const temporary = files.temporaryName(path);
    const mapping = this.#map(path, temporary, maxBytes, MAP_FLAG.create);
    try {
      const medium = configure(mapping, this.#addon, options, temporary);
      allocate(mapping, path, { from: 0, to: options.sizeBytes });
      return new NativeMemory(mapping, { path, maxBytes, temporary, ...medium });
    } catch (error) {
      files.removeTemporary(temporary);
      mapping.unmap();
      throw files.openFailure(path, error);
    }
  }

  #map(path: string, actualPath: string, maxBytes: number, flags: number): NativeMapping {
    try {
      return this.#addon.map(actualPath, maxBytes, flags);
    } catch (cause) {
      throw files.openFailure(path, cause);
    }
  }
}

interface Medium {
  readonly domain: Domain;
  readonly log: LogKind;
  /** How stores become durable; with the redo log, those to the log. */
  readonly instruction: string;
  readonly fileSystem: string;
  /** Where the write-ahead log is, if there is one. */
  readonly walPath: string;
}

/** Decides domain and log, and tells the mapping what a flush is there. */
function configure(
  mapping: NativeMapping,
  addon: NativeAddon,
  options: MemoryOpenOptions,
  actualPath: string,
): Medium {
  const { path } = options;
  const fileSystem = fileSystemOf(actualPath);
  const { synchronous } = mapping;
  const facts = { path, fileSystem, synchronous, cachesPersistent: synchronous && cachesArePersistent() };
  const domain = resolveDomain(facts, options);
  const log = resolveLog(facts, domain, options.log);
  const instruction = flushInstruction(addon, domain, options);
  const { flushNs = 0, fenceNs = 0, flush = true } = options.emulate ?? {};
  // Measured: non-temporal stores beat ordinary ones with a flush for records of every size.
  mapping.setFlush(domain === 'block' ? 'none' : instruction, true, flush, flushNs, fenceNs);
  if (log === 'redo') mapping.makePrivate();
  return { domain, log, instruction, fileSystem, walPath: files.walPath(path) };
}

function flushInstruction(addon: NativeAddon, domain: Domain, { path, emulate }: MemoryOpenOptions): string {
  const flushes = (emulate?.flush ?? true) && domain !== 'cpu-cache';
  if (!flushes) return 'none';
  if (domain === 'block') return 'fdatasync';
  const instruction = addon.flushInstructions[0];
  if (instruction !== undefined) return instruction;
  if (domain !== 'memory') return 'none';
  throw new PoolOpenError(
    'DOMAIN',
    `${path}: perdure knows no instruction of this processor (${process.arch}) that writes a cache line back ` +
      'to persistent memory. emulate: true opens it, safe against crashes of the process but not against power loss',
    { path, domain },
  );
}

/** A sparse copy of a pool gets its blocks now: a full disk must be an error here, not a bus error later. */
function fillHoles(mapping: NativeMapping, path: string): void {
  if (mapping.allocatedBytes < mapping.fileBytes) allocate(mapping, path, { from: 0, to: mapping.fileBytes });
}

function allocate(mapping: NativeMapping, path: string, range: { from: number; to: number }): void {
  try {
    mapping.allocate(range.from, range.to);
  } catch (cause) {
    if (files.isFull(cause)) throw files.fullFailure(path, { from: mapping.size(), to: range.to }, cause);
    if (files.systemFailure(cause) === null) throw cause; // a wrong argument
    throw new IoError(`${path}: allocating its blocks failed: ${String(cause)}`, { path, ...range }, cause);
  }
}

interface NativeState extends Medium {
  readonly path: string;
  readonly maxBytes: number;
  /** The name of a file that is not published yet. */
  readonly temporary: string | null;
}

class NativeMemory implements Memory {
  readonly info: MemoryInfo;
  readonly buffer: ArrayBuffer;
  readonly counters: PersistCounters;
  readonly recordWriter: RecordWriter | null;
  readonly #mapping: NativeMapping;
  readonly #path: string;
  readonly #maxBytes: number;
  readonly #walPath: string;
  #temporary: string | null;
  #sizeBytes: number;
  #closed = false;

  constructor(mapping: NativeMapping, state: NativeState) {
    this.#mapping = mapping;
    this.#path = state.path;
    this.#maxBytes = state.maxBytes;
    this.#walPath = state.walPath;
    this.#temporary = state.temporary;
    this.#sizeBytes = mapping.size();
    this.buffer = mapping.buffer;
    this.info = {
      backend: 'native',
      domain: state.domain,
      log: state.log,
      flushInstruction: state.instruction,
      fileSystem: state.fileSystem,
    };
    this.counters = new NativeCounters(mapping.counters);
    const { control, setRanges, append, commit } = mapping;
    this.recordWriter = state.log === 'undo' ? { control, setRanges, append, commit } : null;
  }

  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  grow(sizeBytes: number): void {
    this.#mustBeOpen('grow');
    const from = this.#sizeBytes;
    if (sizeBytes <= from) return;
    if (sizeBytes > this.#maxBytes) throw files.maxSizeReached(this.#path, sizeBytes, this.#maxBytes);
    allocate(this.#mapping, this.#path, { from, to: sizeBytes });
    // MAP_SYNC covers the pages that are stored to, not the size: a header that names it must not be durable first.
    // With the redo log the fence that makes the header durable covers the size.
    if (this.#mapping.synchronous && this.info.log === 'undo') this.#syncFile({ from, to: sizeBytes });
    this.#sizeBytes = sizeBytes;
  }

  flush(at: Offset, bytes: number, _step: Step): void {
    this.#mustBeOpen('flush');
    this.#written(() => this.#mapping.flush(at, bytes));
  }

  flushRanges(ranges: Uint32Array, count: number, _step: Step): void {
    this.#mustBeOpen('flushRanges');
    this.#written(() => this.#mapping.flushRanges(ranges, count));
  }

  fence(_step: Step): void {
    this.#mustBeOpen('fence');
    this.#written(() => this.#mapping.fence());
  }

  publish(): void {
    this.#mustBeOpen('publish');
    const temporary = this.#temporary;
    if (temporary === null) throw new IoError(`${this.#path} is published already`, { path: this.#path });
    this.#syncFile({ from: 0, to: this.#sizeBytes });
    files.publishFile(temporary, this.#path);
    this.#temporary = null;
  }

  syncFile(): void {
    this.#mustBeOpen('syncFile');
    this.#written(() => this.#mapping.syncFile());
  }

  openWal(options: WalOpenOptions): WriteAheadLog | null {
    this.#mustBeOpen('openWal');
    const synchronous = this.info.domain !== 'block';
    return openNativeWal(this.#mapping, this.#walPath, synchronous, options);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    try {
      if (this.#temporary !== null) files.removeTemporary(this.#temporary);
    } finally {
      this.#mapping.unmap();
    }
  }

  /** Content, size and blocks of the file survive a power failure. */
  #syncFile(range: { from: number; to: number }): void {
    try {
      this.#mapping.syncFile();
    } catch (cause) {
      if (files.isFull(cause)) throw files.fullFailure(this.#path, range, cause);
      throw this.#ioError(cause);
    }
  }

  /** Runs what may write to the file. */
  #written(action: () => void): void {
    try {
      action();
    } catch (cause) {
      throw files.systemFailure(cause) === null ? cause : this.#ioError(cause);
    }
  }

  #ioError(cause: unknown): IoError {
    return new IoError(`${this.#path}: writing it out failed: ${String(cause)}`, { path: this.#path }, cause);
  }

  #mustBeOpen(what: string): void {
    if (this.#closed) throw new PoolClosedError(what);
  }
}

/** Reads the counters that the addon keeps. */
class NativeCounters implements PersistCounters {
  readonly #slots: Float64Array;
  constructor(slots: Float64Array) {
    this.#slots = slots;
  }
  get fences(): number {
    return this.#slots[0] as number;
  }
  get lines(): number {
    return this.#slots[1] as number;
  }
  get syncs(): number {
    return this.#slots[2] as number;
  }
}
