/**
 * The redo log: the open transaction lives in the private mapping and in the process's memory alone; a commit writes what
 * it changed to the write-ahead log as one record, and checkpoints bring the pool's file up to date behind it.
 *
 *   [REDO 1] the record: sequence number, ranges, after-images, checksum. It survives the death of the process
 *   [REDO 2] the log is synced: ATOMIC against power loss. `strict`: before `txn` returns; `relaxed`: in the background
 *
 * INV-RLOG-3  The pool's file changes by checkpoints only, which write committed pages whose records are durable.
 * INV-RLOG-4  A failed write or sync is never tried again: nothing commits afterwards.
 *
 * It may not decide what is logged (transaction.ts), nor read a log it did not write (replay.ts).
 */
import { GRANULE_BYTES } from '../format/index.js';
import { type Memory, STEP, type Views } from '../memory/index.js';
import { ActiveWal } from './active-wal.js';
import { Pages } from './checkpoint.js';
import { Health } from './health.js';
import type { LogMark, TxnLog } from './txn-log.js';
import type { WalIdentity } from './wal-header.js';
import { mergedLines, recordLines } from './wal-record-writer.js';
import { type UpkeepOptions, type WalStats, WalUpkeep } from './wal-upkeep.js';
import { WriteSet } from './write-set.js';

/** What the log needs of the pool, and does to its header. */
export interface RedoHost {
  /** Size of the pool now, in bytes. */
  sizeBytes(): number;
  /** Identity for a new log. */
  newWal(): WalIdentity;
  /** [WAL 2] ATOMIC: from here on the pool is incomplete without the log. */
  attachWal(identity: WalIdentity): void;
  /** Notes in the pool's file, for its next sync, the last record of this log of which it may hold something. */
  markCheckpoint(walId: bigint, seq: number): void;
  /** [END 2] ATOMIC: the pool's file is complete. */
  detachWal(): void;
}

export interface RedoOptions extends UpkeepOptions {
  /** Whether a commit that waits returns when it survives power loss; else when it survives the process. */
  readonly strict: boolean;
  /** Milliseconds after which commits are synced in the background; 0: only on request. */
  readonly flushInterval: number;
}

const NO_WAL: WalStats = {
  sizeBytes: 0,
  usedBytes: 0,
  checkpoints: 0,
  pagesWritten: 0,
  dirtyPages: 0,
  residentPages: 0,
  waits: 0,
  waitMs: 0,
  waiting: 0,
};

/** What exists once something was written. */
interface Active {
  readonly wal: ActiveWal;
  readonly upkeep: WalUpkeep;
}

export class RedoLog implements TxnLog {
  readonly kind = 'redo';
  readonly health = new Health();
  readonly #memory: Memory;
  readonly #views: Views;
  readonly #host: RedoHost;
  readonly #options: RedoOptions;
  readonly #set: WriteSet;
  readonly #pages = new Pages();
  #active: Active | null = null;
  /** The pool is being created: nobody sees its file yet, so it is written directly. */
  #direct = false;
  /** Lines of the log that `prepare` found room for. */
  #lines = 0;

  constructor(memory: Memory, views: Views, host: RedoHost, options: RedoOptions) {
    this.#memory = memory;
    this.#views = views;
    this.#host = host;
    this.#options = options;
    this.#set = new WriteSet(views);
  }

  /** Runs `body`, whose transactions are written to the pool's file without a log: while the pool is being created. */
  directly(body: () => void): void {
    this.#direct = true;
    try {
      body();
    } finally {
      this.#direct = false;
    }
  }

  get stats(): WalStats {
    return this.#active?.upkeep.stats ?? NO_WAL;
  }

  // ------------------------------------------------------------------------------------ the transaction

  snapshot(ref: number, granules: number): void {
    if (this.#set.save(ref, granules)) this.#rangesReplaced();
  }

  fresh(ref: number, granules: number): void {
    if (this.#set.touch(ref, granules)) this.#rangesReplaced();
  }

  mark(): LogMark {
    return this.#set.mark();
  }

  rollbackTo(mark: LogMark): void {
    this.#noteResident();
    this.#set.restore(mark);
  }

  rollback(): void {
    this.#noteResident();
    this.#set.restoreAll();
    this.#set.clear();
  }

  prepare(): void {
    if (this.#set.isEmpty || this.#direct) return;
    this.#active ??= this.#open();
    const { wal, upkeep } = this.#active;
    if (wal.file.failure !== null) throw wal.file.failure;
    const { ranges, granules } = this.#set;
    this.#lines = recordLines(ranges.length / 2, granules);
    if (wal.ring.roomFor(this.#lines) !== 'none') return;
    // Exactly: what several savepoints have touched was counted several times.
    this.#lines = mergedLines(ranges);
    if (wal.ring.roomFor(this.#lines) === 'none') this.#set.setAside(() => upkeep.waitForRoom(this.#lines));
  }

  commit(wait: boolean): void {
    if (this.#set.isEmpty) return;
    try {
      if (this.#direct) this.#writeDirectly();
      else this.#append(this.#active as Active, wait); // `prepare` made it
    } finally {
      this.#set.clear();
    }
  }

  // ------------------------------------------------------------------------------------ between transactions

  get isDue(): boolean {
    return this.#active?.upkeep.isDue === true;
  }

  maintain(): void {
    this.#active?.upkeep.step();
  }

  durable(): Promise<void> | null {
    return this.#active?.upkeep.durable() ?? null;
  }

  flush(): void {
    this.#active?.wal.sync();
  }

  /**
   * [END 1] a last checkpoint
   * [END 2] the header names no log any more: ATOMIC
   * [END 3] the log's file is removed
   */
  end(): void {
    if (this.#active === null) return;
    const { wal, upkeep } = this.#active;
    upkeep.finish();
    this.#host.detachWal();
    wal.file.remove();
  }

  close(): void {
    this.#active?.upkeep.close();
    this.#active = null;
  }

  // ------------------------------------------------------------------------------------ parts

  /** [WAL 1] [WAL 2] The first commit makes the log. */
  #open(): Active {
    const { strict, walBytes, flushInterval } = this.#options;
    const identity = this.#host.newWal();
    const wal = ActiveWal.create(this.#memory, this.#views, {
      identity,
      access: strict ? 'write' : 'store',
      maxBytes: walBytes,
      poolBytes: this.#host.sizeBytes(),
    });
    try {
      this.#host.attachWal(identity);
    } catch (error) {
      wal.file.close();
      throw error;
    }
    wal.setRanges(this.#set.ranges.words);
    if (!strict) wal.file.syncEvery(flushInterval);
    const hooks = {
      poolBytes: () => this.#host.sizeBytes(),
      markCheckpoint: (seq: number) => this.#host.markCheckpoint(identity.walId, seq),
      health: this.health,
    };
    const upkeep = new WalUpkeep(wal, this.#pages, this.#options, hooks);
    this.health.onFailure = (error) => upkeep.stop(error);
    return { wal, upkeep };
  }

  #append({ wal, upkeep }: Active, wait: boolean): void {
    const { ranges } = this.#set;
    // [REDO 1]
    const count = wal.append(ranges, this.#lines, this.#host.sizeBytes() / GRANULE_BYTES);
    const { words } = ranges;
    for (let i = 0; i < 2 * count; i += 2) this.#pages.committed(words[i] as number, words[i + 1] as number);
    upkeep.committed();
    // [REDO 2]
    if (wait && this.#options.strict) wal.sync();
  }

  #writeDirectly(): void {
    const { words, length } = this.#set.ranges;
    this.#memory.flushRanges(words, length / 2, STEP.dataFlush);
    this.#memory.fence(STEP.dataFence);
  }

  /** What is rolled back was stored to all the same. */
  #noteResident(): void {
    const { words, length } = this.#set.ranges;
    for (let i = 0; i < length; i += 2) this.#pages.resident.add(words[i] as number, words[i + 1] as number);
  }

  #rangesReplaced(): void {
    this.#active?.wal.setRanges(this.#set.ranges.words);
  }
}
