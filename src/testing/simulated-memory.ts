/**
 * An open mapping of a file of the simulated medium. Stores go to `buffer` as on any other backend; `flush`, `fence`,
 * `grow` and `publish` are where the medium may leave a step out, make it fail, or let an observer look at what
 * a crash at this instant could leave.
 *
 * Order of a fence: skip, fault, look for stores, observers, and then it takes effect.
 */
import { PoolClosedError, PoolFullError, PoolOpenError } from '../errors/index.js';
import { GRANULE_BYTES, LINE_BYTES, type Offset } from '../format/index.js';
import type { Memory, MemoryInfo, PersistCounters, Step } from '../memory/index.js';
import type { Faults } from './faults.js';
import type { SimulatedFile } from './simulated-file.js';

/** Is told at the instants that matter for a crash. Whatever it throws reaches the program under test. */
export interface MediumObserver {
  /** A file was opened or created. */
  onOpen?(path: string): void;
  /** A fence is about to take effect: the largest uncertainty until then. */
  onFence?(path: string, step: Step): void;
  /** A file is about to grow. */
  onGrow?(path: string, sizeBytes: number): void;
  /** A new file has just become visible under its name. */
  onPublish?(path: string): void;
}

/** What a mapping takes from its medium. */
export interface MediumControls {
  readonly observers: ReadonlySet<MediumObserver>;
  readonly skip: ReadonlySet<Step>;
  readonly faults: Faults;
  /** Bytes that all files may have together. */
  readonly capacityBytes: number;
  usedBytes(): number;
  /** @throws PoolOpenError when another file of this name was published meanwhile */
  publish(file: SimulatedFile): void;
  closed(file: SimulatedFile): void;
}

const INFO: MemoryInfo = {
  backend: 'simulated',
  domain: 'memory',
  flushInstruction: 'simulated',
  fileSystem: 'simulated',
};

/** A mapping of one simulated file; made by `SimulatedMedium.open`. */
export class SimulatedMemory implements Memory {
  readonly info = INFO;
  readonly buffer: ArrayBuffer;
  readonly counters: PersistCounters = { fences: 0, lines: 0 };
  /** None: the portable writer is used, so that each of its flushes and fences is seen. */
  readonly recordWriter = null;
  readonly #file: SimulatedFile;
  readonly #controls: MediumControls;
  #open = true;

  constructor(file: SimulatedFile, reserveBytes: number, controls: MediumControls) {
    this.#file = file;
    this.#controls = controls;
    this.buffer = file.attach(reserveBytes);
    file.locked = true;
  }

  get sizeBytes(): number {
    return this.#file.sizeBytes;
  }

  grow(sizeBytes: number): void {
    this.#assertOpen('grow');
    const { path, sizeBytes: before } = this.#file;
    if (sizeBytes <= before) return;
    this.#controls.faults.check('grow', path);
    const limit = Math.min(
      this.buffer.byteLength,
      before + this.#controls.capacityBytes - this.#controls.usedBytes(),
    );
    if (sizeBytes > limit) {
      const details = { path, expected: limit, actual: sizeBytes };
      throw new PoolFullError(
        `${path}: cannot grow to ${sizeBytes} bytes, there is room for ${limit}`,
        details,
      );
    }
    this.#look();
    for (const observer of this.#controls.observers) observer.onGrow?.(path, sizeBytes);
    this.#file.grow(sizeBytes);
  }

  flush(at: Offset, bytes: number, step: Step): void {
    this.#assertOpen('flush');
    this.#assertInside(at, bytes);
    if (this.#controls.skip.has(step)) return;
    this.#controls.faults.check('flush', this.#file.path);
    this.#look();
    this.counters.lines += this.#file.flush(at, bytes);
  }

  flushRanges(ranges: Uint32Array, count: number, step: Step): void {
    this.#assertOpen('flush');
    if (this.#controls.skip.has(step)) return;
    this.#controls.faults.check('flush', this.#file.path);
    this.#look();
    for (let index = 0; index < count; index++) {
      const at = (ranges[2 * index] as number) * GRANULE_BYTES;
      const bytes = (ranges[2 * index + 1] as number) * GRANULE_BYTES;
      this.#assertInside(at, bytes);
      this.counters.lines += this.#file.flush(at, bytes);
    }
  }

  fence(step: Step): void {
    this.#assertOpen('fence');
    const { observers, skip, faults } = this.#controls;
    if (skip.has(step)) return;
    try {
      faults.check('fence', this.#file.path);
    } catch (error) {
      this.#file.voidFlushes();
      throw error;
    }
    this.#look();
    for (const observer of observers) observer.onFence?.(this.#file.path, step);
    this.#file.settle();
    this.counters.fences++;
  }

  publish(): void {
    this.#assertOpen('publish');
    const file = this.#file;
    if (file.published) {
      throw new PoolOpenError('EXISTS', `${file.path}: published already`, { path: file.path });
    }
    this.#controls.publish(file);
    for (const observer of this.#controls.observers) observer.onPublish?.(file.path);
  }

  close(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#look();
    this.#file.detach();
    this.#file.locked = false;
    this.#controls.closed(this.#file);
  }

  /** Keeps values that are about to be overwritten, if anybody could ask for them. */
  #look(): void {
    if (this.#controls.observers.size > 0) this.#file.capture();
  }

  #assertOpen(what: string): void {
    if (!this.#open) throw new PoolClosedError(`${what} ${this.#file.path}`, { path: this.#file.path });
  }

  #assertInside(at: number, bytes: number): void {
    const end = Math.ceil((at + bytes) / LINE_BYTES) * LINE_BYTES;
    const size = Math.ceil(this.sizeBytes / LINE_BYTES) * LINE_BYTES;
    if (at >= 0 && bytes >= 0 && end <= size) return;
    throw new RangeError(
      `flush of [${at}, ${at + bytes}) is outside of ${this.#file.path} (${this.sizeBytes} bytes): a fault on a real mapping`,
    );
  }
}
