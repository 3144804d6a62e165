/**
 * A backend that knows what is durable: a set of named files in RAM with the persistence semantics of
 * byte-addressable memory behind a volatile cache, to be asked at any instant what a crash could leave.
 *
 * INV-SIM-6  A file exists for other programs and after a crash only once it is published; publishing and
 *            growing are atomic and durable when they return (they are metadata of the file system).
 * INV-SIM-7  Without a crash all stores are seen, flushed or not, also by whoever opens the file after `close`:
 *            caches are coherent. Only `fork` loses anything.
 *
 * A fence concerns the file it is called on. The medium does not choose images (`crash-images.ts`) nor check
 * them (`crash-explorer.ts`). The idea is that of Yat (Lantz et al., USENIX ATC 2014).
 */
import { PoolFullError, PoolOpenError } from '../errors/index.js';
import type { Memory, MemoryBackend, MemoryOpenOptions, Step } from '../memory/index.js';
import { type CrashImage, type DirtyUnit, UNIT_BYTES } from './dirty-unit.js';
import { DurableImage, mix, pathSeed } from './durable-image.js';
import { type Fault, Faults, type InjectedFault } from './faults.js';
import type { Scratch } from './scratch.js';
import { SimulatedFile, wholePages } from './simulated-file.js';
import { type MediumControls, type MediumObserver, SimulatedMemory } from './simulated-memory.js';

/** How a simulated medium differs from a perfect one. */
export interface SimulatedMediumOptions {
  /** Steps of the protocol that are left out, to show that a test notices. */
  readonly skip?: Iterable<Step>;
  /** Bytes that all files may have together; more is a full file system. Default: no limit. */
  readonly capacityBytes?: number;
}

/** Files in RAM that can be crashed. Give it to a pool as its memory backend. */
export class SimulatedMedium implements MemoryBackend {
  readonly name = 'simulated';
  /** Enough for tests: a simulated file is copied often. */
  readonly maxBytes = 2 ** 30;
  readonly #files = new Map<string, SimulatedFile>();
  /** Created and not yet published. */
  readonly #hidden = new Set<SimulatedFile>();
  readonly #memories = new Map<SimulatedFile, Memory>();
  readonly #observers = new Set<MediumObserver>();
  readonly #faults = new Faults();
  readonly #skip: ReadonlySet<Step>;
  readonly #capacityBytes: number;
  readonly #controls: MediumControls;
  #scratch: Scratch | null = null;
  #released = false;

  constructor(options: SimulatedMediumOptions = {}) {
    this.#skip = new Set(options.skip);
    this.#capacityBytes = options.capacityBytes ?? Number.POSITIVE_INFINITY;
    this.#controls = {
      observers: this.#observers,
      skip: this.#skip,
      faults: this.#faults,
      capacityBytes: this.#capacityBytes,
      usedBytes: () => this.#usedBytes(),
      publish: (file) => this.#publish(file),
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
    if (this.#released)
      throw new PoolOpenError('BACKEND', `${path}: this simulated medium was released`, { path });
    if (domain !== null && domain !== 'memory') {
      throw new PoolOpenError('DOMAIN', `${path}: a simulated medium cannot be '${domain}', only 'memory'`, {
        path,
      });
    }
    const file = mode === 'create' ? this.#create(options) : this.#existing(path);
    const memory = new SimulatedMemory(file, wholePages(Math.max(maxBytes, file.sizeBytes)), this.#controls);
    this.#memories.set(file, memory);
    for (const observer of this.#observers) observer.onOpen?.(path);
    return memory;
  }

  /** Names of the published files. */
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
    const file = this.#existingFile(path);
    const bytes = new Uint8Array(wholePages(file.sizeBytes));
    file.durable.copyTo(bytes);
    return bytes.slice(0, file.sizeBytes);
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
    const copy = new SimulatedMedium({ skip: this.#skip, capacityBytes: this.#capacityBytes });
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
   * The process dies and the machine goes on: everything open is detached and unlocked, unpublished files vanish,
   * published ones keep all stores.
   */
  killProcess(): void {
    for (const memory of [...this.#memories.values()]) memory.close();
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
    let low = 0;
    let high = 0;
    for (const { path, sizeBytes, durable } of this.#files.values()) {
      const place = mix(pathSeed(path) ^ mix(sizeBytes));
      low ^= durable.hashLow ^ place;
      high ^= durable.hashHigh ^ mix(place + 1);
    }
    target[0] = low;
    target[1] = high;
  }

  #apply(image: CrashImage): void {
    const { units, choice } = image;
    let file: SimulatedFile | undefined;
    for (let index = 0; index < units.length; index++) {
      const chosen = choice[index] as number;
      if (chosen === 0) continue;
      const { path, offset, values } = units[index] as DirtyUnit;
      if (file?.path !== path) file = this.#existingFile(path);
      file.durable.write(offset / UNIT_BYTES, values[chosen] as bigint);
    }
  }

  #create(options: MemoryOpenOptions): SimulatedFile {
    const { path, sizeBytes, maxBytes } = options;
    if (this.#files.has(path))
      throw new PoolOpenError('EXISTS', `${path}: there is a file already`, { path });
    if (sizeBytes > maxBytes || this.#usedBytes() + sizeBytes > this.#capacityBytes) {
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
    return new SimulatedFile(path, { ...options, scratch: this.#scratch });
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
