/**
 * Group commit: promises of transactions that wait to be durable share a sync. All that committed in one turn of the event
 * loop, or while a sync was under way, are covered by the next one.
 */
import type { ActiveWal } from './active-wal.js';
import type { Health } from './health.js';

interface Waiter {
  /** The last record that must be durable. */
  readonly seq: number;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

export class GroupCommit {
  readonly #wal: ActiveWal;
  /** While true, promises are held back although they could resolve: their programs shall write more slowly. */
  readonly #isCrowded: () => boolean;
  /** In order of their records. */
  readonly #waiting: Waiter[] = [];
  /** Syncs under way, and the last record that each covers. */
  readonly #requests: { readonly ticket: number; readonly seq: number }[] = [];
  readonly #health: Health;
  #scheduled: NodeJS.Immediate | null = null;

  constructor(wal: ActiveWal, isCrowded: () => boolean, health: Health) {
    this.#wal = wal;
    this.#health = health;
    this.#isCrowded = isCrowded;
  }

  /** How many wait. */
  get size(): number {
    return this.#waiting.length;
  }

  /** Resolves when all records so far are durable. */
  wait(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ seq: this.#wal.ring.seq - 1, resolve, reject });
      if (this.#waiting.length === 1) this.#wal.file.keepAlive(true);
      this.#scheduled ??= setImmediate(() => this.#request());
    });
  }

  /** Some sync or checkpoint may have ended: resolves whom that concerns. */
  progress(): void {
    const { file } = this.#wal;
    const completed = file.completedSyncs;
    while (this.#requests.length > 0 && (this.#requests[0] as { ticket: number }).ticket <= completed) {
      const { seq } = this.#requests.shift() as { seq: number };
      this.#wal.durableSeq = Math.max(this.#wal.durableSeq, seq);
    }
    if (this.#waiting.length === 0 || this.#isCrowded()) return;
    const { durableSeq } = this.#wal;
    let count = 0;
    while (count < this.#waiting.length && (this.#waiting[count] as Waiter).seq <= durableSeq) count += 1;
    for (const { resolve } of this.#take(count)) resolve();
  }

  /** All records are durable, and nothing more will be written. */
  resolveAll(): void {
    for (const { resolve } of this.#take(this.#waiting.length)) resolve();
  }

  /** Nothing more will become durable. */
  fail(error: unknown): void {
    for (const { reject } of this.#take(this.#waiting.length)) reject(error);
  }

  #request(): void {
    this.#scheduled = null;
    if (this.#waiting.length === 0) return;
    const seq = this.#wal.ring.seq - 1;
    try {
      this.#requests.push({ ticket: this.#wal.file.requestSync(), seq });
    } catch (error) {
      // Here nobody else would catch it.
      this.#health.fail(error);
    }
  }

  #take(count: number): Waiter[] {
    if (count === 0) return [];
    const taken = this.#waiting.splice(0, count);
    if (this.#waiting.length === 0) {
      this.#wal.file.keepAlive(false);
      if (this.#scheduled !== null) clearImmediate(this.#scheduled);
      this.#scheduled = null;
    }
    return taken;
  }
}
