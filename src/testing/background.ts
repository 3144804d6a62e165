/**
 * What goes on in the background of an open log: a job of several steps, and syncs. Nothing here runs by itself while the
 * program does: one step runs at each look (`tick`), so that the program goes on between any two of them, and it is
 * determined which follows which (INV-SIM-9). When the program gives the event loop a turn, steps run there.
 *
 * A sync covers what was written before it began, however late it is completed. The first request begins one; requests
 * while it is under way begin the next. There is no clock: the interval of `syncEvery` is over after a number of appends.
 */
import type { WriteClock } from './written-content.js';

/** A step of a job. */
export type JobStep = () => void;

interface RunningSync {
  /** Number of the last write before it began. */
  readonly until: number;
  /** It completes the requests up to this. */
  readonly ticket: number;
}

interface BackgroundOptions {
  readonly clock: WriteClock;
  readonly appendsPerSync: number;
  /** Completes a sync that began after write number `until`. What it throws is kept by whoever made it. */
  readonly sync: (until: number) => void;
}

/** The work in the background of one log. */
export class Background {
  onProgress: (() => void) | null = null;
  /** The last request whose sync is complete. */
  completed = 0;
  readonly #options: BackgroundOptions;
  #job: JobStep[] = [];
  #jobFailure: { readonly error: unknown } | null = null;
  #sync: RunningSync | null = null;
  #requested = 0;
  #isPeriodic = false;
  #appends = 0;
  /** Whose turn it is when both a job and a sync are under way. */
  #jobsTurn = true;
  /** Something has ended that `onProgress` was not called for. */
  #progressed = false;
  #immediate: NodeJS.Immediate | null = null;
  #keepsAlive = false;

  constructor(options: BackgroundOptions) {
    this.#options = options;
  }

  get busy(): boolean {
    return this.#job.length > 0;
  }

  /** Starts a job. */
  start(steps: JobStep[]): void {
    if (this.busy) throw new Error('a job is running: call finish first');
    this.#job = steps;
    this.#jobFailure = null;
    this.#schedule();
  }

  /** Runs the job to its end. @throws what it threw, once */
  finish(): void {
    while (this.busy) this.#stepJob();
    const failure = this.#jobFailure;
    this.#jobFailure = null;
    if (failure !== null) throw failure.error;
  }

  /** Asks for a sync that begins from now on. */
  requestSync(): number {
    this.#requested++;
    if (this.#sync === null) this.#beginSync();
    this.#schedule();
    return this.#requested;
  }

  /** Something was made durable by the program itself: all syncs asked for are complete. */
  synced(): void {
    this.#appends = 0;
    if (this.#sync === null) return;
    this.#sync = null;
    this.completed = this.#requested;
    this.#progress();
  }

  syncEvery(ms: number): void {
    this.#isPeriodic = ms > 0;
  }

  /** Something was appended. Where syncs are periodic, one under way ends now, and one may begin. */
  appended(): void {
    if (!this.#isPeriodic) return;
    if (this.#sync !== null) this.#stepSync();
    if (++this.#appends >= this.#options.appendsPerSync && this.#sync === null) this.#beginSync();
    this.#schedule();
  }

  keepAlive(wanted: boolean): void {
    this.#keepsAlive = wanted;
    if (wanted) this.#immediate?.ref();
    else this.#immediate?.unref();
  }

  /** Runs one step. */
  tick(): void {
    const job = this.busy && (this.#jobsTurn || this.#sync === null);
    this.#jobsTurn = !job;
    if (job) this.#stepJob();
    else if (this.#sync !== null) this.#stepSync();
  }

  /** Runs all that is left, syncs that are owed included. What fails is not told. */
  drain(): void {
    while (this.busy) this.#stepJob();
    if (this.#appends > 0 && this.#sync === null) this.#beginSync();
    while (this.#sync !== null) this.#stepSync();
  }

  /** Drops all that is left. */
  stop(): void {
    this.#job = [];
    this.#sync = null;
    this.#isPeriodic = false;
    this.onProgress = null;
    if (this.#immediate !== null) clearImmediate(this.#immediate);
    this.#immediate = null;
  }

  #stepJob(): void {
    const step = this.#job.shift() as JobStep;
    try {
      step();
    } catch (error) {
      this.#job = [];
      this.#jobFailure = { error };
    }
    if (!this.busy) this.#progress();
  }

  #beginSync(): void {
    this.#appends = 0;
    this.#sync = { until: this.#options.clock.now, ticket: this.#requested };
  }

  #stepSync(): void {
    const { until, ticket } = this.#sync as RunningSync;
    this.#sync = null;
    this.#progress();
    try {
      this.#options.sync(until);
    } catch {
      // Its cause is the `failure` of the log; no request completes any more.
      this.#isPeriodic = false;
      this.#appends = 0;
      return;
    }
    this.completed = ticket;
    if (this.#requested > ticket) this.#beginSync();
  }

  #progress(): void {
    this.#progressed = true;
    this.#schedule();
  }

  #schedule(): void {
    this.#immediate ??= setImmediate(() => this.#turn());
    if (!this.#keepsAlive) this.#immediate.unref();
  }

  /** A turn of the event loop. */
  #turn(): void {
    this.#immediate = null;
    if (this.#appends > 0 && this.#sync === null) this.#beginSync();
    this.tick();
    const hasProgressed = this.#progressed;
    this.#progressed = false;
    if (this.busy || this.#sync !== null) this.#schedule();
    if (hasProgressed) this.onProgress?.();
  }
}
