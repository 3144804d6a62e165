/**
 * What keeps a write-ahead log in shape between transactions: when it is extended, when checkpoints run, who waits. All of
 * it goes on in steps, after a commit or from the event loop, most of which hand one job to the background.
 *
 * INV-WAL-5  The log is never larger than `walBytes`, but for a transaction that needs more alone, until the second
 *            checkpoint after it: when it is full, writers wait.
 */

import { PerdureError, PoisonedError, PoolClosedError, PoolFullError } from '../errors/index.js';
import { LINE_BYTES } from '../format/index.js';
import type { ActiveWal } from './active-wal.js';
import { Checkpoint, type Pages } from './checkpoint.js';
import { GroupCommit } from './group-commit.js';
import type { Health } from './health.js';

/** When the log is extended and checkpoints are made. */
export interface UpkeepOptions {
  /** What the log grows to. */
  readonly walBytes: number;
  /** Milliseconds after which a checkpoint is made in any case; 0: never. */
  readonly checkpointInterval: number;
  /** Bytes of private copies that a checkpoint leaves. */
  readonly memoryBudget: number;
}

/** What upkeep needs to know, and tells. */
export interface UpkeepHooks {
  /** Size of the pool now. */
  poolBytes(): number;
  /** Notes in the pool's file the last record of which it may hold something; durable with its next sync. */
  markCheckpoint(seq: number): void;
  /** Nothing is copied once it has failed; what fails here concerns it. */
  readonly health: Health;
}

/** For `pool.stats()`. */
export interface WalStats {
  /** Size of the log's file; 0 while nothing was written since the pool was opened. */
  readonly sizeBytes: number;
  /** Bytes of records that no checkpoint has made superfluous yet. */
  readonly usedBytes: number;
  readonly checkpoints: number;
  /** Pages that checkpoints have written. */
  readonly pagesWritten: number;
  /** Pages that the next checkpoints must write. */
  readonly dirtyPages: number;
  /** Pages of which the process has a copy of its own. */
  readonly residentPages: number;
  /** How often a transaction waited for room in the log, and how long in all. */
  readonly waits: number;
  readonly waitMs: number;
  /** Transactions whose promises wait to be durable. */
  readonly waiting: number;
}

/** The log grows by this at a time, 4 MiB, or by as much as it has. */
const EXTENSION_LINES = (4 * 1024 * 1024) / LINE_BYTES;

export class WalUpkeep {
  readonly #hooks: UpkeepHooks;
  readonly #wal: ActiveWal;
  readonly #pages: Pages;
  readonly #checkpoint: Checkpoint;
  readonly #group: GroupCommit;
  readonly #options: UpkeepOptions;
  readonly #maxLines: number;
  #extending = false;
  /** False after the file system had no room for the log, until the next checkpoint. */
  #mayExtend = true;
  #timer: NodeJS.Timeout | null = null;
  #immediate: NodeJS.Immediate | null = null;
  #waits = 0;
  #waitMs = 0;

  constructor(wal: ActiveWal, pages: Pages, options: UpkeepOptions, hooks: UpkeepHooks) {
    this.#wal = wal;
    this.#pages = pages;
    this.#options = options;
    this.#maxLines = Math.floor(options.walBytes / LINE_BYTES);
    this.#hooks = hooks;
    this.#checkpoint = new Checkpoint(wal, pages, options.memoryBudget, (seq) => hooks.markCheckpoint(seq));
    this.#group = new GroupCommit(wal, () => this.#isCrowded, hooks.health);
    wal.file.onProgress = () => this.#progress();
  }

  get stats(): WalStats {
    const { file, ring } = this.#wal;
    return {
      sizeBytes: file.sizeBytes,
      usedBytes: ring.used * LINE_BYTES,
      checkpoints: this.#checkpoint.completed,
      pagesWritten: this.#checkpoint.pagesWritten,
      dirtyPages: this.#checkpoint.pagesToWrite,
      residentPages: this.#pages.resident.size,
      waits: this.#waits,
      waitMs: this.#waitMs,
      waiting: this.#group.size,
    };
  }

  /** A transaction has committed: from now on there is something to checkpoint. */
  committed(): void {
    const { checkpointInterval } = this.#options;
    if (this.#timer !== null || checkpointInterval === 0) return;
    this.#timer = setTimeout(() => {
      this.#timer = null;
      this.#guarded(() => {
        if (this.#extending) this.committed();
        else if (!this.#checkpoint.active) this.#startCheckpoint();
      });
    }, checkpointInterval);
    this.#timer.unref();
  }

  /** Nothing more is done: the pool has failed. */
  stop(error: unknown): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    if (this.#immediate !== null) clearImmediate(this.#immediate);
    if (this.#group.size > 0) this.#hooks.health.told = true;
    this.#group.fail(error instanceof PerdureError ? error : new PoisonedError(error));
  }

  get isDue(): boolean {
    if (this.#hooks.health.failure !== null) return false;
    if (this.#extending || this.#checkpoint.active) return !this.#wal.file.busy;
    return this.#isExtensionDue || this.#isCheckpointDue;
  }

  /** One step of what is under way, or the first of what is due. @throws IoError */
  step(): void {
    if (this.#extending) this.#finishExtension();
    else if (this.#checkpoint.active) this.#stepCheckpoint();
    else if (this.#isExtensionDue) this.#startExtension();
    else this.#startCheckpoint();
  }

  /**
   * Waits until there is room for a record of so many lines. The open transaction must be set aside: pages are copied.
   * @throws PoolFullError when the log would have to grow and cannot; IoError
   */
  waitForRoom(lines: number): void {
    const started = performance.now();
    const { ring } = this.#wal;
    this.#waits += 1;
    const isFull = (): boolean => ring.roomFor(lines) === 'none';
    if (this.#extending) this.#finishExtension();
    while (isFull() && this.#checkpoint.active) this.#checkpoint.step();
    if (isFull()) this.#checkpoint.start(this.#hooks.poolBytes());
    while (isFull() && this.#checkpoint.active) this.#checkpoint.step();
    if (isFull()) this.#wal.restart(lines, this.#hooks.poolBytes());
    this.#waitMs += performance.now() - started;
  }

  /** Waits for what is under way. @throws IoError */
  settle(): void {
    if (this.#extending) this.#finishExtension();
    while (this.#checkpoint.active) this.#checkpoint.step();
    this.#wal.file.finish();
  }

  /** A last checkpoint: the pool's file holds everything, durably. @throws IoError */
  finish(): void {
    this.settle();
    this.#checkpoint.start(this.#hooks.poolBytes());
    this.settle();
    this.#group.resolveAll();
  }

  /** Resolves when all records so far are durable; null when they are and nobody need wait. */
  durable(): Promise<void> | null {
    const { file, ring, durableSeq } = this.#wal;
    const { failure } = this.#hooks.health;
    if (failure !== null) return Promise.reject(new PoisonedError(failure));
    const isDurable = file.synchronous || durableSeq === ring.seq - 1;
    return isDurable && !this.#isCrowded ? null : this.#group.wait();
  }

  close(): void {
    const { file } = this.#wal;
    file.onProgress = null;
    this.stop(file.failure ?? new PoolClosedError('waiting for a transaction to be durable'));
    file.close();
  }

  // ------------------------------------------------------------------------------------ steps

  /** Three quarters of the log are in use and a checkpoint is on its way: promises are held back. */
  get #isCrowded(): boolean {
    const { ring } = this.#wal;
    return this.#checkpoint.active && ring.used > ring.total * 0.75;
  }

  get #canExtend(): boolean {
    const { ring } = this.#wal;
    return ring.capacity < this.#maxLines && this.#mayExtend && !ring.isWrapped;
  }

  /** The end of the file is near, and it may become longer: early enough that nobody waits for it. */
  get #isExtensionDue(): boolean {
    const { ring } = this.#wal;
    return ring.head > ring.capacity - Math.min(EXTENSION_LINES, ring.total >>> 1) && this.#canExtend;
  }

  /** Half of what the log may grow to is in use. */
  get #isCheckpointDue(): boolean {
    const { ring } = this.#wal;
    return ring.used > (this.#canExtend ? this.#maxLines : ring.total) >>> 1;
  }

  #startExtension(): void {
    const { file } = this.#wal;
    const step = Math.min(file.sizeBytes, EXTENSION_LINES * LINE_BYTES);
    this.#extending = true;
    file.startExtend(Math.min(file.sizeBytes + step, this.#options.walBytes));
  }

  #finishExtension(): void {
    const { file, ring } = this.#wal;
    this.#extending = false;
    try {
      file.finish();
    } catch (error) {
      if (!(error instanceof PoolFullError)) throw error;
      // A smaller log does as well: checkpoints are more frequent.
      this.#mayExtend = false;
    }
    ring.capacity = Math.min(Math.floor(file.sizeBytes / LINE_BYTES), this.#maxLines);
  }

  #startCheckpoint(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    this.#mayExtend = true;
    // Behind a transaction that needed more, records go to the start again: INV-WAL-5.
    this.#wal.ring.capacity = Math.min(this.#wal.ring.capacity, this.#maxLines);
    this.#checkpoint.start(this.#hooks.poolBytes());
    this.#stepCheckpoint();
  }

  #stepCheckpoint(): void {
    this.#checkpoint.step();
    this.#group.progress();
    if (this.#checkpoint.active) this.#later();
    else this.#shrink();
  }

  /** A transaction that needed more than `walBytes` is no longer in the log: what is too much is given back. */
  #shrink(): void {
    const { file, ring } = this.#wal;
    const { walBytes } = this.#options;
    if (file.sizeBytes <= walBytes || ring.isWrapped) return;
    const { poolBytes } = this.#checkpoint;
    if (ring.used === 0) this.#wal.restart(0, poolBytes);
    if (ring.head < this.#maxLines) this.#wal.cut(walBytes, poolBytes);
  }

  /** A step that started no job would wait for the next commit. */
  #later(): void {
    if (this.#wal.file.busy || this.#immediate !== null) return;
    this.#immediate = setImmediate(() => {
      this.#immediate = null;
      this.#progress();
    });
  }

  /** From the event loop, so between transactions: a sync or a job has ended, or failed. */
  #progress(): void {
    this.#guarded(() => {
      const { failure } = this.#wal.file;
      if (failure !== null) throw failure;
      this.#group.progress();
      if (this.isDue) this.step();
    });
  }

  /** Runs something from the event loop. */
  #guarded(body: () => void): void {
    const { health } = this.#hooks;
    if (health.failure !== null) {
      this.stop(health.failure); // it may have failed where nobody could be told
      return;
    }
    try {
      body();
    } catch (error) {
      health.fail(error);
    }
  }
}
