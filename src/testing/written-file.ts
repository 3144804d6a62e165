/**
 * An open file that is written to with system calls: where the medium may leave a write or a sync out, make it fail,
 * or let an observer look at what a crash at this instant could leave.
 *
 * Order of a write: skip, fault, it takes effect, observers. Order of a sync: skip, fault, observers, it takes effect.
 * A write that fails leaves its first half. A failure is remembered: nothing is written or synced after it.
 */
import { IoError } from '../errors/index.js';
import type { Step } from '../memory/index.js';
import type { FaultyOperation } from './faults.js';
import type { MediumControls } from './medium-controls.js';
import type { SimulatedFile } from './simulated-file.js';
import type { WrittenContent } from './written-content.js';

/** The first failed write or sync of a pool or its log. */
export interface Health {
  failure: Error | null;
}

/** One write or sync: its step (null: of none), and what it counts as when faults are injected. */
export interface Operation {
  readonly step: Step | null;
  readonly operation: FaultyOperation;
}

interface WrittenFileOptions {
  readonly unitBytes: number;
  /** Writes are stores and a flush: what a left-out step leaves out is the flush. */
  readonly stores: boolean;
  readonly health: Health;
}

/** One open file; a pool behind a private mapping, or a log. */
export class WrittenFile {
  readonly file: SimulatedFile;
  readonly #content: WrittenContent;
  readonly #controls: MediumControls;
  readonly #stores: boolean;
  readonly #health: Health;
  /** Number of the last write; what was written before the file was opened may not be durable. */
  #written: number;
  /** What was written up to here is durable. */
  #synced = -1;

  constructor(file: SimulatedFile, controls: MediumControls, options: WrittenFileOptions) {
    this.file = file;
    this.#content = file.written(options.unitBytes);
    this.#controls = controls;
    this.#stores = options.stores;
    this.#health = options.health;
    this.#written = controls.clock.now;
  }

  /** Copies what programs see; zeros behind the end. */
  read(at: number, target: Uint8Array): void {
    this.#content.read(at, target);
  }

  /** @throws IoError, now and for ever after a failure */
  write(at: number, bytes: Uint8Array, { step, operation }: Operation & { readonly step: Step }): void {
    const { skip, faults, observers } = this.#controls;
    const { path } = this.file;
    this.mustBeHealthy();
    const flushed = !skip.has(step);
    if (!flushed && !this.#stores) return;
    try {
      if (flushed) faults.check(operation, path);
    } catch (error) {
      this.#content.write(at, bytes.subarray(0, bytes.length >>> 1));
      throw this.#failed(error);
    }
    this.#content.write(at, bytes, flushed);
    this.#written = this.#controls.clock.now;
    for (const observer of observers) observer.onWrite?.(path, step);
  }

  /**
   * @param until number of the last write before the sync began; default: all
   * @returns false when it was left out, or there was nothing to make durable
   * @throws IoError, now and for ever after a failure
   */
  sync({ step, operation }: Operation, until = this.#controls.clock.now): boolean {
    const { skip, faults, observers } = this.#controls;
    const { path } = this.file;
    this.mustBeHealthy();
    if (this.#written <= this.#synced || (step !== null && skip.has(step))) return false;
    try {
      faults.check(operation, path);
    } catch (error) {
      this.#content.voidWrites();
      throw this.#failed(error);
    }
    for (const observer of observers) observer.onFence?.(path, step);
    this.#content.settle(until);
    this.#synced = until;
    return true;
  }

  /** @throws IoError after a failure */
  mustBeHealthy(): void {
    const { failure } = this.#health;
    if (failure === null) return;
    const { path } = this.file;
    throw new IoError(`${path}: nothing is written after a failure (${failure.message})`, { path }, failure);
  }

  #failed(error: unknown): unknown {
    if (error instanceof Error) this.#health.failure = error;
    return error;
  }
}
