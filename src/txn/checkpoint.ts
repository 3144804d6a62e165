/**
 * Checkpoints: bring the pool's file up to date in small steps between transactions, so that the log behind it can be used
 * again. A step copies some pages and hands them to the background; the next one is due when they are written.
 *
 *   [CHECKPOINT 1] the log's head is the new tail to be; pages changed from here on belong to the next checkpoint
 *   [CHECKPOINT 2] the log is made durable, then the copies are written (INV-MEM-6)
 *   [CHECKPOINT 3] the pool's file is synced
 *   [CHECKPOINT 4] the log's header gets the new tail
 *   [CHECKPOINT 5] the log is synced: ATOMIC, and only then the room in front of the tail is used again
 *
 * INV-CKPT-1  Pages are copied between transactions only, or while the open one is set aside: they hold committed data.
 * INV-CKPT-2  Whatever a record before the new tail changed is durable in the pool's file before that tail is.
 * INV-CKPT-3  A private copy is given back only when the file holds the same: no committed change of the page is unwritten.
 */
import type { ActiveWal } from './active-wal.js';
import { PageSet } from './page-set.js';
import type { WalPosition } from './wal-ring.js';

/** Pages copied in one step: 1 MiB. */
const PAGES_AT_ONCE = 256;
const PAGE_KIB = 4;

/** The pages of the pool that the log is concerned with. */
export class Pages {
  /** Changed by transactions that have committed since the last checkpoint began. */
  dirty = new PageSet();
  /** To be written by the checkpoint that is running. */
  writing = new PageSet();
  /** Private copies: everything stored to since it was last given back. */
  readonly resident = new PageSet();

  /** A committed transaction changed this range. */
  committed(ref: number, granules: number): void {
    this.dirty.add(ref, granules);
    this.resident.add(ref, granules);
  }
}

type Phase = 'idle' | 'pages' | 'completing' | 'giving-back';

export class Checkpoint {
  /** Completed since the pool was opened. */
  completed = 0;
  pagesWritten = 0;
  readonly #wal: ActiveWal;
  readonly #pages: Pages;
  readonly #budgetPages: number;
  readonly #mark: (seq: number) => void;
  readonly #batch = new Uint32Array(PAGES_AT_ONCE);
  readonly #clean = new Uint32Array(PAGES_AT_ONCE);
  /** Resident pages that were looked at and cannot be given back. */
  #kept: number[] = [];
  #phase: Phase = 'idle';
  #end: WalPosition = { line: 0, seq: 0 };
  #poolBytes = 0;
  /** The last record when the pages that are being written were copied. */
  #syncedSeq = 0;

  /**
   * @param memoryBudget bytes of private copies that may stay
   * @param mark notes in the pool's file the last record of which it may hold something
   */
  constructor(wal: ActiveWal, pages: Pages, memoryBudget: number, mark: (seq: number) => void) {
    this.#wal = wal;
    this.#pages = pages;
    this.#mark = mark;
    this.#budgetPages = Math.floor(memoryBudget / (PAGE_KIB * 1024));
  }

  /** Size of the pool when the checkpoint began: durable, and recorded, once it is complete. */
  get poolBytes(): number {
    return this.#poolBytes;
  }

  get active(): boolean {
    return this.#phase !== 'idle';
  }

  /** Pages that are not in the pool's file yet. */
  get pagesToWrite(): number {
    return this.#pages.dirty.size + this.#pages.writing.size;
  }

  /** [CHECKPOINT 1] */
  start(poolBytes: number): void {
    const { dirty, writing } = this.#pages;
    this.#pages.dirty = writing;
    this.#pages.writing = dirty;
    this.#end = this.#wal.position;
    this.#poolBytes = poolBytes;
    this.#syncedSeq = 0;
    this.#phase = 'pages';
  }

  /** Goes on; to be called when no job is running, and no transaction. @throws IoError */
  step(): void {
    const { file, ring } = this.#wal;
    file.finish();
    this.#wal.durableSeq = Math.max(this.#wal.durableSeq, this.#syncedSeq);
    if (this.#phase === 'pages') {
      this.#writePages();
    } else if (this.#phase === 'completing') {
      ring.release(this.#end);
      this.completed += 1;
      this.#phase = this.#pages.resident.size > this.#budgetPages ? 'giving-back' : 'idle';
    } else if (this.#phase === 'giving-back') {
      this.#giveBack();
    }
  }

  #writePages(): void {
    const { file, ring } = this.#wal;
    const count = this.#pages.writing.take(this.#batch);
    if (count > 0) {
      // [CHECKPOINT 2]
      this.#syncedSeq = ring.seq - 1;
      this.pagesWritten += count;
      file.startWrite(this.#batch, count);
      return;
    }
    // That record is durable: a log without it is none of this pool as it is now.
    if (this.#syncedSeq > this.#wal.markedSeq) {
      this.#mark(this.#syncedSeq);
      this.#wal.markedSeq = this.#syncedSeq;
    }
    // [CHECKPOINT 3] [CHECKPOINT 4] [CHECKPOINT 5]
    const { at, bytes } = this.#wal.nextHeader(this.#end, this.#poolBytes);
    file.startComplete(at, bytes);
    this.#phase = 'completing';
  }

  #giveBack(): void {
    const { resident, dirty } = this.#pages;
    const looked = resident.take(this.#batch);
    let count = 0;
    for (let i = 0; i < looked; i += 1) {
      const page = this.#batch[i] as number;
      if (dirty.has(page)) {
        this.#kept.push(page);
      } else {
        this.#clean[count] = page;
        count += 1;
      }
    }
    // INV-CKPT-3
    this.#wal.file.giveBack(this.#clean, count);
    if (resident.size > 0 && resident.size + this.#kept.length > this.#budgetPages) return;
    for (const page of this.#kept) resident.addPage(page);
    this.#kept = [];
    this.#phase = 'idle';
  }
}
