/**
 * An open pool of the simulated medium. Stores go to `buffer` as on any other backend; what happens to them from there
 * is decided by how the file is mapped (`mapping.ts`).
 */
import { PoolClosedError, PoolFullError, PoolOpenError } from '../errors/index.js';
import { GRANULE_BYTES, LINE_BYTES, type Offset } from '../format/index.js';
import type {
  Domain,
  LogKind,
  Memory,
  MemoryInfo,
  PersistCounters,
  Step,
  WalOpenOptions,
  WriteAheadLog,
} from '../memory/index.js';
import { type Mapping, PrivateMapping, type Range, SharedMapping } from './mapping.js';
import type { MediumControls } from './medium-controls.js';
import type { SimulatedFile } from './simulated-file.js';
import { SimulatedWal } from './simulated-wal.js';
import type { Health } from './written-file.js';

interface MemoryOptions {
  readonly reserveBytes: number;
  readonly domain: Domain;
  readonly log: LogKind;
}

/** A mapping of one simulated file; made by `SimulatedMedium.open`. */
export class SimulatedMemory implements Memory {
  readonly info: MemoryInfo;
  readonly counters: PersistCounters = { fences: 0, lines: 0, syncs: 0 };
  /** None: the portable writer is used, so that each of its flushes and fences is seen. */
  readonly recordWriter = null;
  readonly #file: SimulatedFile;
  readonly #controls: MediumControls;
  readonly #health: Health = { failure: null };
  readonly #mapping: Mapping;
  #wal: SimulatedWal | null = null;
  #open = true;

  constructor(file: SimulatedFile, controls: MediumControls, { reserveBytes, domain, log }: MemoryOptions) {
    this.#file = file;
    this.#controls = controls;
    this.#mapping =
      log === 'redo'
        ? new PrivateMapping(file, reserveBytes, { controls, health: this.#health })
        : new SharedMapping(file, reserveBytes, controls);
    this.info = { backend: 'simulated', domain, log, flushInstruction: 'simulated', fileSystem: 'simulated' };
    file.locked = true;
  }

  get buffer(): ArrayBuffer {
    return this.#mapping.buffer;
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
    this.#mapping.look();
    for (const observer of this.#controls.observers) observer.onGrow?.(path, sizeBytes);
    this.#mapping.grow(sizeBytes);
  }

  flush(at: Offset, bytes: number, step: Step): void {
    this.#assertOpen('flush');
    this.#assertInside(at, bytes);
    this.counters.lines += this.#mapping.flush([{ at, bytes }], step);
  }

  flushRanges(ranges: Uint32Array, count: number, step: Step): void {
    this.#assertOpen('flush');
    const list: Range[] = [];
    for (let index = 0; index < count; index++) {
      const at = (ranges[2 * index] as number) * GRANULE_BYTES;
      const bytes = (ranges[2 * index + 1] as number) * GRANULE_BYTES;
      this.#assertInside(at, bytes);
      list.push({ at, bytes });
    }
    this.counters.lines += this.#mapping.flush(list, step);
  }

  fence(step: Step): void {
    this.#assertOpen('fence');
    if (this.#mapping.fence(step)) this.counters.fences++;
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

  syncFile(): void {
    this.#assertOpen('sync');
    this.#mapping.syncFile();
  }

  openWal({ create, access }: WalOpenOptions): WriteAheadLog | null {
    this.#assertOpen('open the log of');
    const file = this.#controls.openLog(`${this.#file.path}-wal`, create);
    if (file === null) return null;
    const mapping = this.#mapping;
    this.#wal = new SimulatedWal(file, this.#controls, {
      synchronous: this.info.domain !== 'block',
      access,
      health: this.#health,
      counters: this.counters,
      pool: mapping instanceof PrivateMapping ? mapping : null,
    });
    return this.#wal;
  }

  close(): void {
    this.#wal?.close();
    this.die();
  }

  /** The process has died; or, without anything in the background, the pool is closed. */
  die(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#wal?.die();
    this.#mapping.detach();
    this.#file.locked = false;
    this.#controls.closed(this.#file);
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
