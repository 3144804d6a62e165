/**
 * An open write-ahead log of the simulated medium, and the work in the background of its pool. Owns what the steps of each
 * job are; when they run is decided by `background.ts`.
 *
 * On a disk the file is written to in sectors, or by stores to a mapping in lines, since the system may write a page back
 * between any two of them. In persistent memory it is written to in units of 8 bytes; there a write is a store and a flush,
 * and a sync is a fence.
 *
 * The file's size changes at once and durably, and so does its name.
 */
import { PoolClosedError, PoolFullError } from '../errors/index.js';
import { LINE_BYTES, PAGE_BYTES } from '../format/index.js';
import {
  type PersistCounters,
  STEP,
  type Step,
  type WalAccess,
  type WriteAheadLog,
} from '../memory/index.js';
import { Background } from './background.js';
import { UNIT_BYTES } from './dirty-unit.js';
import { linesOf, type PrivateMapping, type Range } from './mapping.js';
import type { MediumControls } from './medium-controls.js';
import type { SimulatedFile } from './simulated-file.js';
import { type Health, WrittenFile } from './written-file.js';

interface WalOptions {
  readonly synchronous: boolean;
  readonly access: WalAccess;
  readonly health: Health;
  readonly counters: PersistCounters;
  /** The pool that checkpoints write; null where it is mapped shared and needs none. */
  readonly pool: PrivateMapping | null;
}

/** The log of one simulated pool; made by `SimulatedMemory.openWal`. */
export class SimulatedWal implements WriteAheadLog {
  /** None: the portable writer is used, so that each of its writes is seen. */
  readonly recordWriter = null;
  readonly synchronous: boolean;
  readonly #file: SimulatedFile;
  readonly #log: WrittenFile;
  readonly #pool: PrivateMapping | null;
  readonly #controls: MediumControls;
  readonly #health: Health;
  readonly #counters: PersistCounters;
  readonly #background: Background;
  #open = true;

  constructor(file: SimulatedFile, controls: MediumControls, options: WalOptions) {
    const { synchronous, access, health } = options;
    this.synchronous = synchronous;
    this.#file = file;
    this.#pool = options.pool;
    this.#controls = controls;
    this.#health = health;
    this.#counters = options.counters;
    const sector = controls.logUnitBytes;
    const unitBytes = synchronous ? UNIT_BYTES : access === 'store' ? Math.min(LINE_BYTES, sector) : sector;
    this.#log = new WrittenFile(file, controls, { unitBytes, stores: synchronous, health });
    this.#background = new Background({
      clock: controls.clock,
      appendsPerSync: controls.appendsPerSync,
      sync: (until) => this.#sync(STEP.walSync, until),
    });
    file.locked = true;
  }

  get path(): string {
    return this.#file.path;
  }

  get sizeBytes(): number {
    return this.#file.sizeBytes;
  }

  get failure(): Error | null {
    return this.#health.failure;
  }

  // ------------------------------------------------------------------------------------ the file

  read(at: number, target: Uint8Array): void {
    this.#assertOpen('read');
    this.#log.read(at, target);
  }

  write(at: number, bytes: Uint8Array, step: Step): void {
    this.#assertOpen('write to');
    if (at < 0 || at + bytes.length > this.sizeBytes)
      throw new RangeError(
        `[${at}, ${at + bytes.length}) is outside of ${this.path} (${this.sizeBytes} bytes)`,
      );
    this.#log.write(at, bytes, { step, operation: 'walWrite' });
    if (step !== STEP.walAppend) return;
    this.#counters.lines += linesOf(at, bytes.length);
    if (!this.synchronous) this.#background.appended();
  }

  sync(step: Step): void {
    this.#assertOpen('sync');
    this.#sync(step);
    this.#background.synced();
  }

  extend(sizeBytes: number): void {
    this.#assertOpen('extend');
    this.#log.mustBeHealthy();
    const { path, sizeBytes: before } = this.#file;
    if (sizeBytes <= before) return;
    this.#controls.faults.check('extend', path);
    const limit = before + this.#controls.capacityBytes - this.#controls.usedBytes();
    if (sizeBytes > limit) {
      throw new PoolFullError(`${path}: no room for ${sizeBytes} bytes, only for ${limit}`, { path });
    }
    for (const observer of this.#controls.observers) observer.onGrow?.(path, sizeBytes);
    this.#file.grow(sizeBytes);
  }

  truncate(sizeBytes: number): void {
    this.#assertOpen('truncate');
    if (sizeBytes >= this.sizeBytes) return;
    for (const observer of this.#controls.observers) observer.onTruncate?.(this.path, sizeBytes);
    this.#file.truncate(sizeBytes);
  }

  remove(): void {
    this.#assertOpen('remove');
    for (const observer of this.#controls.observers) observer.onRemove?.(this.path);
    this.#controls.remove(this.#file);
  }

  close(): void {
    if (!this.#open) return;
    this.#background.drain();
    this.die();
  }

  /** The process has died: what was to be done in the background is not done any more. */
  die(): void {
    this.#open = false;
    this.#background.stop();
    this.#file.locked = false;
  }

  // ------------------------------------------------------------------------------------ syncs in the background

  requestSync(): number {
    this.#assertOpen('sync');
    return this.#background.requestSync();
  }

  get completedSyncs(): number {
    this.#background.tick();
    return this.#background.completed;
  }

  syncEvery(ms: number): void {
    this.#background.syncEvery(ms);
  }

  get onProgress(): (() => void) | null {
    return this.#background.onProgress;
  }

  set onProgress(callback: (() => void) | null) {
    this.#background.onProgress = callback;
  }

  keepAlive(wanted: boolean): void {
    this.#background.keepAlive(wanted);
  }

  // ------------------------------------------------------------------------------------ jobs

  get busy(): boolean {
    this.#background.tick();
    return this.#background.busy;
  }

  startWrite(pages: Uint32Array, count: number): void {
    this.#assertOpen('write pages of');
    this.#log.mustBeHealthy();
    const mapping = this.#mapping();
    const { written } = mapping;
    const copies = this.#ranges(pages, count).map(({ at, bytes }) => ({
      at,
      bytes: mapping.copy(at, bytes),
    }));
    const until = this.#controls.clock.now;
    this.#background.start([
      () => this.#sync(STEP.walSyncAhead, until),
      ...copies.map(({ at, bytes }) => () => {
        written.write(at, bytes, { step: STEP.pageWrite, operation: 'pageWrite' });
      }),
    ]);
  }

  startComplete(at: number, header: Uint8Array): void {
    this.#assertOpen('complete a checkpoint of');
    this.#log.mustBeHealthy();
    const { written } = this.#mapping();
    const bytes = header.slice();
    const until = this.#controls.clock.now;
    this.#background.start([
      () => written.sync({ step: STEP.pageSync, operation: 'pageSync' }, until),
      () => this.#log.write(at, bytes, { step: STEP.walTail, operation: 'walWrite' }),
      () => this.#sync(STEP.walTailSync),
    ]);
  }

  startExtend(sizeBytes: number): void {
    this.#assertOpen('extend');
    this.#background.start([() => this.extend(sizeBytes)]);
  }

  finish(): void {
    this.#background.finish();
  }

  giveBack(pages: Uint32Array, count: number): void {
    this.#assertOpen('give back pages of');
    const mapping = this.#mapping();
    for (const { at, bytes } of this.#ranges(pages, count)) mapping.giveBack(at, bytes);
  }

  #ranges(pages: Uint32Array, count: number): Range[] {
    const { path, sizeBytes } = this.#mapping().written.file;
    return Array.from(pages.subarray(0, count), (page) => {
      const at = page * PAGE_BYTES;
      if (at >= sizeBytes) throw new RangeError(`page ${page} is outside of ${path} (${sizeBytes} bytes)`);
      return { at, bytes: Math.min(PAGE_BYTES, sizeBytes - at) };
    });
  }

  #sync(step: Step, until?: number): void {
    if (!this.#log.sync({ step, operation: 'walSync' }, until)) return;
    if (this.synchronous) this.#counters.fences++;
    else this.#counters.syncs++;
  }

  #mapping(): PrivateMapping {
    if (this.#pool === null)
      throw new Error(`${this.path}: its pool is mapped shared, stores reach it anyway`);
    return this.#pool;
  }

  #assertOpen(what: string): void {
    if (!this.#open) throw new PoolClosedError(`${what} ${this.path}`, { path: this.path });
  }
}
