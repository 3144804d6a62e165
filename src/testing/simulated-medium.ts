/**
 * A backend that knows what is durable: a set of named files in RAM, on a disk behind a page cache or in byte-addressable
 * memory behind a volatile cache, to be asked at any instant what a crash could leave.
 *
 * INV-SIM-6  A file exists for other programs and after a crash only once it is published, a log from its creation to
 *            its removal; all of these, and changes of size, are atomic and durable when they return (they are
 *            metadata of the file system).
 * INV-SIM-7  Without a crash all writes and all stores to shared mappings are seen, flushed or not, also by whoever opens
 *            the file after `close`: caches are coherent. Only `fork` loses any of them.
 *
 * A fence or sync concerns the file it is called on. The medium does not choose images (`crash-images.ts`) nor check
 * them (`crash-explorer.ts`). The idea is that of Yat (Lantz et al., USENIX ATC 2014).
 */
import { PoolFullError, PoolOpenError } from '../errors/index.js';
import { PAGE_BYTES, SECTOR_BYTES } from '../format/index.js';
import type { Memory, MemoryBackend, MemoryOpenOptions, Step } from '../memory/index.js';
import { type CrashImage, type DirtyUnit, UNIT_BYTES } from './dirty-unit.js';
import { DurableImage } from './durable-image.js';
import { type Fault, Faults, type InjectedFault } from './faults.js';
import type { MediumControls, MediumObserver } from './medium-controls.js';
import type { Scratch } from './scratch.js';
import { SimulatedFile, wholePages } from './simulated-file.js';
import { SimulatedMemory } from './simulated-memory.js';
import { mix, pathSeed } from './unit-hash.js';
import type { WriteClock } from './written-content.js';

/** How a simulated medium differs from a perfect one. */
export interface SimulatedMediumOptions {
  /** Steps of the protocol that are left out, to show that a test notices. */
  readonly skip?: Iterable<Step>;
  /** Bytes that all files may have together; more is a full file system. Default: no limit. */
  readonly capacityBytes?: number;
  /** Bytes of a pool's file that a disk writes together or not at all: a power of two, 8 to 4096. Default 4096. */
  readonly pageUnitBytes?: number;
  /** The same of a log on a disk. Default 512. */
  readonly logUnitBytes?: number;
  /**
   * There is no clock: where commits are synced in the background after some time, that time is over after so many of
   * them, or when the event loop turns. Default 4.
   */
  readonly appendsPerSync?: number;
}

/** Files in RAM that can be crashed. Give it to a pool as its memory backend. */
export class SimulatedMedium implements MemoryBackend {
  readonly name = 'simulated';
  /** Enough for tests: a simulated file is copied often. */
  readonly maxBytes = 2 ** 30;
  readonly #files = new Map<string, SimulatedFile>();
  /** Created and not yet published. */
  readonly #hidden = new Set<SimulatedFile>();
  readonly #memories = new Map<SimulatedFile, SimulatedMemory>();
  readonly #observers = new Set<MediumObserver>();
  readonly #faults = new Faults();
  readonly #clock: WriteClock = { now: 0 };
  readonly #options: Required<SimulatedMediumOptions> & { readonly skip: ReadonlySet<Step> };
  readonly #controls: MediumControls;
  #scratch: Scratch | null = null;
  #released = false;

  constructor(options: SimulatedMediumOptions = {}) {
    this.#options = {
      skip: new Set(options.skip),
      capacityBytes: options.capacityBytes ?? Number.POSITIVE_INFINITY,
      pageUnitBytes: unitBytes('pageUnitBytes', options.pageUnitBytes ?? PAGE_BYTES),
      logUnitBytes: unitBytes('logUnitBytes', options.logUnitBytes ?? SECTOR_BYTES),
      appendsPerSync: options.appendsPerSync ?? 4,
    };
    this.#controls = {
      ...this.#options,
      observers: this.#observers,
      faults: this.#faults,
      clock: this.#clock,
      usedBytes: () => this.#usedBytes(),
      publish: (file) => this.#publish(file),
      openLog: (path, create) => this.#openLog(path, create),
      remove: (file) => {
        if (this.#files.get(file.path) === file) this.#files.delete(file.path);
      },
      closed: (file) => {
        this.#hidden.delete(file);
        this.#memories.delete(file);
      },
    };
  }

  exists(path: string): boolean {
    return this.#files.has(path);
  }

  open(options: MemoryOpenOptions): Memory {
    const { path, mode, maxBytes, domain } = options;
    const log = options.log ?? (domain === 'block' ? 'redo' : 'undo');
    if (this.#released)
      throw new PoolOpenError('BACKEND', `${path}: this simulated medium was released`, { path });
    if (
      (domain !== null && domain !== 'memory' && domain !== 'block') ||
      (domain === 'block' && log === 'undo')
    ) {
      const what = `${path}: a simulated medium cannot be '${domain}' with the ${log} log, only 'memory', or 'block' with redo`;
      throw new PoolOpenError('DOMAIN', what, { path, domain, log });
    }
    const file = mode === 'create' ? this.#create(options) : this.#existing(path);
    const memory = new SimulatedMemory(file, this.#controls, {
      reserveBytes: wholePages(Math.max(maxBytes, file.sizeBytes)),
      domain: domain ?? 'memory',
      log,
    });
    this.#memories.set(file, memory);
    for (const observer of this.#observers) observer.onOpen?.(path);
    return memory;
  }

  /** Names of the published files, logs included. */
  paths(): string[] {
    return [...this.#files.keys()];
  }

  /** Puts a published, durable file in place of any other: a golden file, a damaged one. It must not be open. */
  install(path: string, bytes: Uint8Array): void {
    if (this.#files.get(path)?.locked) throw lockedError(path);
    const durable = DurableImage.from(bytes, bytes.length, pathSeed(path));
    this.#files.set(path, this.#file(path, { published: true, sizeBytes: bytes.length, durable }));
  }

  /** A copy of a file as programs see it, flushed or not. */
  read(path: string): Uint8Array {
    return this.#existingFile(path).currentBytes();
  }

  /** A copy of what a crash cannot take away from a file. */
  readDurable(path: string): Uint8Array {
    return this.#existingFile(path).durableBytes();
  }

  /** Removes a file: a log, to see what is said about that. It must not be open. */
  remove(path: string): void {
    const file = this.#existing(path);
    file.release();
    this.#files.delete(path);
  }

  /** What is uncertain at this instant, in the published files, by file and address. */
  dirtyUnits(): DirtyUnit[] {
    const dirty: DirtyUnit[] = [];
    for (const file of this.#files.values()) for (const unit of file.dirtyUnits()) dirty.push(unit);
    return dirty;
  }

  /**
   * The medium after a crash at this instant: what is durable, and of the uncertain units what `image` chooses.
   * Nothing is open there, and nothing uncertain. Left-out steps stay left out; observers and faults are not
   * taken over.
   *
   * @param image default: nothing uncertain has reached the medium
   * @param scratch the copy borrows memory from here and from this medium, which must not be used before
   *   `release` is called on the copy. Default: the copy stands on its own
   */
  fork(image?: CrashImage, scratch?: Scratch): SimulatedMedium {
    const copy = new SimulatedMedium(this.#options);
    copy.#scratch = scratch ?? null;
    for (const file of this.#files.values()) {
      const durable = scratch === undefined ? file.durable.copy() : file.durable.share();
      copy.#files.set(
        file.path,
        copy.#file(file.path, { published: true, sizeBytes: file.sizeBytes, durable }),
      );
    }
    if (image !== undefined) copy.#apply(image);
    return copy;
  }

  /**
   * The process dies and the machine goes on: everything open is detached and unlocked, unpublished files vanish, and so
   * do stores to private mappings and what was to be done in the background; files keep all else.
   */
  killProcess(): void {
    for (const memory of [...this.#memories.values()]) memory.die();
  }

  /** Ends a medium and gives the memory of a fork back. */
  release(): void {
    this.killProcess();
    for (const file of this.#files.values()) file.release();
    this.#files.clear();
    this.#released = true;
  }

  /** Tells `observer` about all that happens from now on, until the function returned is called. */
  observe(observer: MediumObserver): () => void {
    this.#observers.add(observer);
    return () => {
      this.#observers.delete(observer);
    };
  }

  /** Makes an operation fail. */
  inject(fault: Fault): InjectedFault {
    return this.#faults.inject(fault);
  }

  /** A hash of all that is durable: two words into `target`. Equal for equal files. */
  fingerprint(target: Uint32Array): void {
    const content = new Uint32Array(2);
    target.fill(0);
    for (const { path, sizeBytes, durable } of this.#files.values()) {
      const place = mix(pathSeed(path) ^ mix(sizeBytes));
      durable.fingerprint(content);
      target[0] = (target[0] as number) ^ (content[0] as number) ^ place;
      target[1] = (target[1] as number) ^ (content[1] as number) ^ mix(place + 1);
    }
  }

  #apply(image: CrashImage): void {
    const { units, choice } = image;
    let file: SimulatedFile | undefined;
    for (let index = 0; index < units.length; index++) {
      const chosen = choice[index] as number;
      if (chosen === 0) continue;
      const { path, offset, values } = units[index] as DirtyUnit;
      if (file?.path !== path) file = this.#existingFile(path);
      file.durable.write(offset, values[chosen] as Uint8Array);
    }
  }

  #create(options: MemoryOpenOptions): SimulatedFile {
    const { path, sizeBytes, maxBytes } = options;
    if (this.#files.has(path))
      throw new PoolOpenError('EXISTS', `${path}: there is a file already`, { path });
    if (sizeBytes > maxBytes || this.#usedBytes() + sizeBytes > this.#options.capacityBytes) {
      throw new PoolFullError(`${path}: no room for ${sizeBytes} bytes`, { path, actual: sizeBytes });
    }
    const durable = DurableImage.from(new Uint8Array(0), sizeBytes, pathSeed(path));
    const file = this.#file(path, { published: false, sizeBytes, durable });
    this.#hidden.add(file);
    return file;
  }

  #existing(path: string): SimulatedFile {
    const file = this.#existingFile(path);
    if (file.locked) throw lockedError(path);
    return file;
  }

  #existingFile(path: string): SimulatedFile {
    const file = this.#files.get(path);
    if (file === undefined) throw new PoolOpenError('NOT_FOUND', `${path}: no such file`, { path });
    return file;
  }

  #file(
    path: string,
    options: { published: boolean; sizeBytes: number; durable: DurableImage },
  ): SimulatedFile {
    return new SimulatedFile(path, { ...options, scratch: this.#scratch, clock: this.#clock });
  }

  #openLog(path: string, create: boolean): SimulatedFile | null {
    if (this.#files.has(path)) return this.#existing(path);
    if (!create) return null;
    const durable = DurableImage.from(new Uint8Array(0), 0, pathSeed(path));
    const file = this.#file(path, { published: true, sizeBytes: 0, durable });
    this.#files.set(path, file);
    for (const observer of this.#observers) observer.onPublish?.(path);
    return file;
  }

  #publish(file: SimulatedFile): void {
    const { path } = file;
    if (this.#files.has(path))
      throw new PoolOpenError('EXISTS', `${path}: created by another process`, { path });
    file.published = true;
    this.#hidden.delete(file);
    this.#files.set(path, file);
  }

  #usedBytes(): number {
    let used = 0;
    for (const file of this.#files.values()) used += file.sizeBytes;
    for (const file of this.#hidden) used += file.sizeBytes;
    return used;
  }
}

function lockedError(path: string): PoolOpenError {
  return new PoolOpenError('LOCKED', `${path}: open already; close it first`, { path });
}

function unitBytes(option: string, bytes: number): number {
  if (bytes >= UNIT_BYTES && bytes <= PAGE_BYTES && Number.isInteger(Math.log2(bytes))) return bytes;
  throw new RangeError(`${option}: ${bytes} is not a power of two from ${UNIT_BYTES} to ${PAGE_BYTES}`);
}
