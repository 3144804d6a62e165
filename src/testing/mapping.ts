/**
 * The two ways in which a pool's file is mapped, and what flush and fence are for each.
 *
 * Shared: stores reach the file line by line, sooner or later. Private: they stay in the process.
 *
 * INV-SIM-12  Stores to a private mapping reach the file by `flush` and `startWrite` only; the rest dies with the process.
 */
import { LINE_BYTES } from '../format/index.js';
import type { Step } from '../memory/index.js';
import type { MappedContent } from './mapped-content.js';
import type { MediumControls } from './medium-controls.js';
import { detach } from './scratch.js';
import { type SimulatedFile, wholePages } from './simulated-file.js';
import { type Health, WrittenFile } from './written-file.js';

/** Bytes of a pool. */
export interface Range {
  readonly at: number;
  readonly bytes: number;
}

/** How the buffer of a pool and its file belong together. */
export interface Mapping {
  readonly buffer: ArrayBuffer;
  /** Returns how many lines were flushed. */
  flush(ranges: readonly Range[], step: Step): number;
  /** Returns whether it was not left out. */
  fence(step: Step): boolean;
  /** Makes all durable that the file holds. */
  syncFile(): void;
  /** Keeps values that are about to be overwritten, if anybody could ask for them. */
  look(): void;
  grow(sizeBytes: number): void;
  detach(): void;
}

/** Order of a fence: skip, fault, look for stores, observers, and then it takes effect. */
export class SharedMapping implements Mapping {
  readonly buffer: ArrayBuffer;
  readonly #file: SimulatedFile;
  readonly #content: MappedContent;
  readonly #controls: MediumControls;

  constructor(file: SimulatedFile, reserveBytes: number, controls: MediumControls) {
    this.#file = file;
    this.#content = file.mapped();
    this.#controls = controls;
    this.buffer = this.#content.attach(reserveBytes, wholePages(file.sizeBytes));
  }

  flush(ranges: readonly Range[], step: Step): number {
    if (this.#controls.skip.has(step)) return 0;
    this.#controls.faults.check('flush', this.#file.path);
    this.look();
    let lines = 0;
    for (const { at, bytes } of ranges) lines += this.#content.flush(at, bytes);
    return lines;
  }

  fence(step: Step): boolean {
    if (this.#controls.skip.has(step)) return false;
    this.#mayFail();
    this.#settle(step);
    return true;
  }

  syncFile(): void {
    this.#mayFail();
    this.look();
    this.#content.flush(0, this.#file.sizeBytes);
    this.#settle(null);
  }

  look(): void {
    if (this.#controls.observers.size > 0) this.#content.capture();
  }

  grow(sizeBytes: number): void {
    this.#file.grow(sizeBytes);
  }

  detach(): void {
    this.look();
    this.#content.detach();
  }

  #mayFail(): void {
    try {
      this.#controls.faults.check('fence', this.#file.path);
    } catch (error) {
      this.#content.voidFlushes();
      throw error;
    }
  }

  #settle(step: Step | null): void {
    this.look();
    for (const observer of this.#controls.observers) observer.onFence?.(this.#file.path, step);
    this.#content.settle();
  }
}

/** A flush is a write, a fence is a sync. */
export class PrivateMapping implements Mapping {
  readonly buffer: ArrayBuffer;
  /** The file behind it. */
  readonly written: WrittenFile;
  readonly #bytes: Uint8Array;

  constructor(
    file: SimulatedFile,
    reserveBytes: number,
    { controls, health }: { controls: MediumControls; health: Health },
  ) {
    this.written = new WrittenFile(file, controls, {
      unitBytes: controls.pageUnitBytes,
      stores: false,
      health,
    });
    this.buffer = file.scratch?.take(reserveBytes) ?? new ArrayBuffer(reserveBytes);
    this.#bytes = new Uint8Array(this.buffer);
    this.written.read(0, this.#bytes.subarray(0, wholePages(file.sizeBytes)));
  }

  flush(ranges: readonly Range[], step: Step): number {
    let lines = 0;
    for (const { at, bytes } of ranges) {
      if (bytes === 0) continue;
      this.written.write(at, this.#bytes.subarray(at, at + bytes), { step, operation: 'flush' });
      lines += linesOf(at, bytes);
    }
    return lines;
  }

  fence(step: Step): boolean {
    return this.written.sync({ step, operation: 'fence' });
  }

  syncFile(): void {
    this.written.sync({ step: null, operation: 'fence' });
  }

  /** Every write is seen. */
  look(): void {}

  grow(sizeBytes: number): void {
    const { file } = this.written;
    this.#bytes.fill(0, wholePages(file.sizeBytes), wholePages(sizeBytes));
    file.grow(sizeBytes);
  }

  detach(): void {
    const { scratch } = this.written.file;
    const buffer = detach(this.buffer);
    scratch?.give(buffer);
  }

  /** A copy of the bytes of a range, as the program sees them. */
  copy(at: number, bytes: number): Uint8Array {
    return this.#bytes.slice(at, at + bytes);
  }

  /** What the program stored to a range is gone: it sees the file again. */
  giveBack(at: number, bytes: number): void {
    this.written.read(at, this.#bytes.subarray(at, at + bytes));
  }
}

/** How many lines [at, at + bytes) touches. */
export function linesOf(at: number, bytes: number): number {
  return Math.ceil((at + bytes) / LINE_BYTES) - Math.floor(at / LINE_BYTES);
}
