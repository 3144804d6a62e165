/**
 * The alternative backend: pools mapped by the package mmap-io. For where perdure's own addon is not wanted: it
 * knows no cache line flush, so that every fence is an msync, no MAP_SYNC, no lock and no unmapping, it maps
 * less than 2 GiB, and it has no redo log, for which the system must be kept from writing the mapping back.
 *
 * What it lacks is made up for: a lock file instead of flock, blocks allocated by writing zeros instead of
 * fallocate, and a close that detaches the buffer, whereupon the collector unmaps it. What cannot be made up for:
 * a worker that is terminated with an open pool keeps its lock until the process ends, and a sparse copy of a
 * pool on a full disk is a bus error.
 */
import { closeSync, existsSync, fstatSync, fsyncSync, ftruncateSync, openSync, writeSync } from 'node:fs';
import { performance } from 'node:perf_hooks';
import { IoError, PoolClosedError, PoolOpenError } from '../errors/index.js';
import { GRANULE_BYTES, LINE_BYTES, type Offset, PAGE_BYTES } from '../format/index.js';
import { type MediumFacts, resolveDomain, resolveLog } from './domain.js';
import { fileSystemOf } from './file-system.js';
import * as files from './files.js';
import { flockHolder, type LockFile, takeLockFile } from './lock-file.js';
import type {
  Domain,
  EmulateOptions,
  Memory,
  MemoryBackend,
  MemoryInfo,
  MemoryOpenOptions,
  WalOpenOptions,
} from './memory.js';
import { detachBuffer, loadMmapIo, type MmapIoModule, mmapIoErrno } from './mmap-io-module.js';
import type { Step } from './step.js';

/** mmap-io takes sizes and offsets as 32-bit integers with a sign. */
export const MMAP_IO_MAX_BYTES = 2 ** 31 - 1;
const ZEROS_BYTES = 1 << 20;

/** Maps pools through the package mmap-io. */
export class MmapIoBackend implements MemoryBackend {
  readonly name = 'mmap-io';
  readonly maxBytes = MMAP_IO_MAX_BYTES;
  readonly #module: MmapIoModule;

  /** @throws PoolOpenError BACKEND when mmap-io cannot be loaded; the message says what to do */
  constructor(module?: MmapIoModule) {
    const found = module === undefined ? loadMmapIo() : { module };
    if (found.module === null) throw new PoolOpenError('BACKEND', found.reason, {}, found.cause);
    this.#module = found.module;
  }

  exists(path: string): boolean {
    return existsSync(path);
  }

  open(options: MemoryOpenOptions): Memory {
    const { path, mode } = options;
    files.checkOptions(options, {
      bytes: MMAP_IO_MAX_BYTES,
      why: 'mmap-io maps less (the native backend more)',
    });
    if (mode === 'open') files.checkExisting(path);
    else files.checkAbsent(path);
    const undo: (() => void)[] = [];
    try {
      return this.#openSteps(options, undo);
    } catch (error) {
      for (const step of undo.reverse()) step();
      throw files.openFailure(path, error);
    }
  }

  #openSteps(options: MemoryOpenOptions, undo: (() => void)[]): Memory {
    const { path, maxBytes } = options;
    const create = options.mode === 'create';
    const lock = takeLockFile(path);
    undo.push(() => lock.release());
    const actualPath = create ? files.temporaryName(path) : path;
    const fd = openSync(actualPath, create ? 'wx+' : 'r+');
    undo.push(() => closeSync(fd));
    if (create) undo.push(() => files.removeTemporary(actualPath));
    // After our lock was taken: the native backend does the same the other way round.
    const holder = create ? null : flockHolder(path);
    if (holder !== null) throw files.locked(path, holder);
    const fileBytes = fstatSync(fd).size;
    if (fileBytes > maxBytes) throw files.largerThanMax(path, fileBytes, maxBytes);
    const fileSystem = fileSystemOf(actualPath);
    const facts = { path, fileSystem, synchronous: false, cachesPersistent: false };
    const domain = resolveDomain(facts, options);
    refuseRedo(facts, domain, options);
    if (create) appendZeros(fd, path, { from: 0, to: options.sizeBytes });
    const buffer = this.#map(path, fd, maxBytes);
    const flushes = (options.emulate?.flush ?? true) && domain !== 'cpu-cache';
    const flushInstruction = flushes ? 'msync' : 'none';
    return new MmapIoMemory(this.#module, buffer, {
      path,
      maxBytes,
      fd,
      lock,
      temporary: create ? actualPath : null,
      sizeBytes: create ? options.sizeBytes : fileBytes,
      emulate: options.emulate ?? {},
      walPath: files.walPath(path),
      info: { backend: 'mmap-io', domain, log: 'undo', flushInstruction, fileSystem },
    });
  }

  #map(path: string, fd: number, maxBytes: number): Buffer {
    const { PROT_READ, PROT_WRITE, MAP_SHARED } = this.#module;
    try {
      return this.#module.map(maxBytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd);
    } catch (cause) {
      const errno = mmapIoErrno(cause);
      throw new IoError(
        `${path} cannot be mapped (${errno ?? String(cause)}); ENOMEM: lower maxSize`,
        { path, errno },
        cause,
      );
    }
  }
}

/** Makes a file longer with blocks behind every byte; as before when there is no room. */
function appendZeros(fd: number, path: string, { from, to }: { from: number; to: number }): void {
  const zeros = Buffer.alloc(Math.min(ZEROS_BYTES, to - from));
  try {
    for (let at = from; at < to; ) at += writeSync(fd, zeros, 0, Math.min(zeros.length, to - at), at);
  } catch (cause) {
    ftruncateSync(fd, from);
    if (files.isFull(cause)) throw files.fullFailure(path, { from, to }, cause);
    throw new IoError(`${path}: making it longer failed: ${String(cause)}`, { path, from, to }, cause);
  }
}

/** @throws PoolOpenError DOMAIN for an ordinary disk, BACKEND when the redo log was asked for elsewhere */
function refuseRedo(facts: MediumFacts, domain: Domain, wish: MemoryOpenOptions): void {
  if (resolveLog(facts, domain, domain === 'block' ? null : wish.log) === 'undo') return;
  const { path, fileSystem } = facts;
  const addon = "the redo log needs perdure's own addon, and mmap-io maps the pool";
  if (domain !== 'block') {
    throw new PoolOpenError('BACKEND', `${path}: ${addon}: use the native backend, or the undo log`, {
      path,
    });
  }
  throw new PoolOpenError(
    'DOMAIN',
    `${path}: the domain 'block' (${fileSystem}, an ordinary disk) needs the redo log; ${addon}. Use the native backend; ` +
      'emulate: true opens it here, safe against crashes of the process but not against power loss; so does a path on tmpfs ' +
      'such as /dev/shm',
    { path, fileSystem, domain },
  );
}

interface MmapIoState {
  readonly path: string;
  readonly maxBytes: number;
  readonly fd: number;
  readonly lock: LockFile;
  readonly temporary: string | null;
  readonly sizeBytes: number;
  readonly emulate: EmulateOptions;
  readonly walPath: string;
  readonly info: MemoryInfo;
}

class MmapIoMemory implements Memory {
  readonly info: MemoryInfo;
  readonly buffer: ArrayBuffer;
  readonly counters = { fences: 0, lines: 0, syncs: 0 };
  readonly recordWriter = null;
  readonly #module: MmapIoModule;
  readonly #bytes: Buffer;
  readonly #state: MmapIoState;
  /** Pages flushed since the last fence, as pairs: first, behind the last. */
  readonly #pending: [number, number][] = [];
  #temporary: string | null;
  #sizeBytes: number;
  #closed = false;

  constructor(module: MmapIoModule, bytes: Buffer, state: MmapIoState) {
    this.#module = module;
    this.#bytes = bytes;
    this.#state = state;
    this.#temporary = state.temporary;
    this.#sizeBytes = state.sizeBytes;
    this.buffer = bytes.buffer as ArrayBuffer;
    this.info = state.info;
  }

  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  grow(sizeBytes: number): void {
    this.#mustBeOpen('grow');
    const { path, maxBytes, fd } = this.#state;
    const from = this.#sizeBytes;
    if (sizeBytes <= from) return;
    if (sizeBytes > maxBytes) throw files.maxSizeReached(path, sizeBytes, maxBytes);
    appendZeros(fd, path, { from, to: sizeBytes });
    this.#sizeBytes = sizeBytes;
  }

  flush(at: Offset, bytes: number, _step: Step): void {
    this.#mustBeOpen('flush');
    this.#count(this.#flushLines(at, bytes, -1));
  }

  flushRanges(ranges: Uint32Array, count: number, _step: Step): void {
    this.#mustBeOpen('flushRanges');
    if (!(Number.isInteger(count) && count >= 0 && count * 2 <= ranges.length)) {
      throw new RangeError(`there are no ${count} ranges`);
    }
    let lines = 0;
    let lastLine = -1;
    for (let i = 0; i < count; i++) {
      const at = (ranges[2 * i] as number) * GRANULE_BYTES;
      const bytes = (ranges[2 * i + 1] as number) * GRANULE_BYTES;
      lines += this.#flushLines(at, bytes, lastLine);
      if (bytes > 0) lastLine = lineOf(at + bytes - 1);
    }
    this.#count(lines);
  }

  fence(_step: Step): void {
    this.#mustBeOpen('fence');
    this.counters.fences++;
    for (const [first, end] of mergeRuns(this.#pending)) this.#sync(first * PAGE_BYTES, end * PAGE_BYTES);
    this.#pending.length = 0;
    if (this.info.flushInstruction !== 'none') busyWait(this.#state.emulate.fenceNs ?? 0);
  }

  publish(): void {
    this.#mustBeOpen('publish');
    const { path } = this.#state;
    const temporary = this.#temporary;
    if (temporary === null) throw new IoError(`${path} is published already`, { path });
    this.#syncFile();
    files.publishFile(temporary, path);
    this.#temporary = null;
  }

  syncFile(): void {
    this.#mustBeOpen('syncFile');
    this.#syncFile();
  }

  openWal(_options: WalOpenOptions): null {
    this.#mustBeOpen('openWal');
    const { path, walPath } = this.#state;
    if (!existsSync(walPath)) return null;
    throw new PoolOpenError(
      'BACKEND',
      `${path}: there is a write-ahead log, ${walPath}, so the pool may be incomplete without it, and mmap-io cannot read it: ` +
        'open the pool once with the native backend and close it',
      { path, walPath },
    );
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    try {
      detachBuffer(this.buffer);
      if (this.#temporary !== null) files.removeTemporary(this.#temporary);
    } finally {
      closeSync(this.#state.fd);
      this.#state.lock.release();
    }
  }

  #syncFile(): void {
    const { path, fd } = this.#state;
    try {
      fsyncSync(fd);
    } catch (cause) {
      if (files.isFull(cause)) throw files.fullFailure(path, { from: 0, to: this.#sizeBytes }, cause);
      throw new IoError(`${path}: writing it out failed: ${String(cause)}`, { path }, cause);
    }
  }

  /** Notes the pages of a range; returns the number of its lines, without `lastLine`. */
  #flushLines(at: number, bytes: number, lastLine: number): number {
    if (!(Number.isInteger(at) && Number.isInteger(bytes) && at >= 0 && bytes >= 0)) {
      throw new RangeError(`flush: ${at}, ${bytes} is no range`);
    }
    if (at + bytes > this.#sizeBytes)
      throw new RangeError(`flush: ${at}, ${bytes} does not lie within the file`);
    if (bytes === 0) return 0;
    const first = lineOf(at);
    if (this.info.flushInstruction !== 'none') {
      this.#pending.push([Math.floor(at / PAGE_BYTES), Math.ceil((at + bytes) / PAGE_BYTES)]);
    }
    return lineOf(at + bytes - 1) - first + (first === lastLine ? 0 : 1);
  }

  #count(lines: number): void {
    this.counters.lines += lines;
    if (this.info.flushInstruction !== 'none') busyWait((this.#state.emulate.flushNs ?? 0) * lines);
  }

  #sync(from: number, to: number): void {
    try {
      this.#module.sync(this.#bytes, from, to - from, true, false);
    } catch (cause) {
      const { path } = this.#state;
      const errno = mmapIoErrno(cause);
      throw new IoError(
        `${path}: msync of ${from} to ${to} failed (${errno ?? String(cause)})`,
        { path, errno },
        cause,
      );
    }
  }

  #mustBeOpen(what: string): void {
    if (this.#closed) throw new PoolClosedError(what);
  }
}

function lineOf(offset: number): number {
  return Math.floor(offset / LINE_BYTES);
}

/** Sorts runs of pages and joins those that touch. */
function mergeRuns(runs: readonly (readonly [number, number])[]): [number, number][] {
  const merged: [number, number][] = [];
  for (const [first, end] of runs.toSorted((a, b) => a[0] - b[0])) {
    const last = merged.at(-1);
    if (last !== undefined && first <= last[1]) last[1] = Math.max(last[1], end);
    else merged.push([first, end]);
  }
  return merged;
}

function busyWait(ns: number): void {
  if (ns === 0) return;
  const end = performance.now() + ns / 1e6;
  while (performance.now() < end);
}
