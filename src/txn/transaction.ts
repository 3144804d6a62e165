/**
 * Transactions of one pool: what a program sees of them (begin, nested savepoints, rollback by exception, hooks)
 * on top of a log that makes them durable.
 *
 * INV-TXN-1  Bytes that existed before the transaction are snapshotted before they are stored to.
 * INV-TXN-2  Bytes allocated in the transaction are not logged, only flushed by the commit.
 * INV-TXN-3  A stamp is used by one transaction or savepoint only; no handle carries the idle stamp.
 * INV-TXN-4  An operation that failed half way (no space) dooms the innermost transaction around it: even if
 *            the program swallows the error, it rolls back and the error is thrown again.
 *
 * It may not know what the bytes mean; heap and instances take part through `TxnParticipant`.
 */
import {
  AsyncTxnError,
  IoError,
  PoisonedError,
  PoolFullError,
  PoolOpenError,
  TxnRequiredError,
} from '../errors/index.js';
import type { TxnContext, TxnParticipant } from '../heap/index.js';
import type { Health } from './health.js';
import { type Hook, isThenable, refusePromise, runAfterRollback, runAll } from './hooks.js';
import type { LogMark, TxnLog } from './txn-log.js';

/** The stamp while no transaction runs. */
export const IDLE_STAMP = -1;
const SEEN_SLOTS = 256;
/** Made beforehand: where the stack has overflowed nothing can be called. */
const OVERFLOWED = new Error('the call stack overflowed in a transaction');

interface Savepoint {
  readonly log: LogMark;
  readonly stamp: number;
  readonly marks: readonly number[];
  readonly onCommit: number;
  readonly onRollback: number;
}

/** The transactions of one pool. `Owner` is whoever wants to be found from the running transaction. */
export class Transactions<Owner> implements TxnContext {
  /** See `TxnStamp` in instance/: compared by every setter. */
  stamp = IDLE_STAMP;
  rollbacks = 0;
  readonly owner: Owner;
  readonly #log: TxnLog;
  /** Who takes part in the running transaction: the first `#countParticipants`. The array is kept, not emptied. */
  readonly #participants: TxnParticipant[] = [];
  #countParticipants = 0;
  readonly #onCommit: Hook[] = [];
  readonly #onRollback: Hook[] = [];
  /** Ranges of one granule snapshotted lately, so that a bitmap word or a counter is logged once. */
  readonly #seenRef = new Uint32Array(SEEN_SLOTS);
  readonly #seenStamp = new Float64Array(SEEN_SLOTS);
  #depth = 0;
  /** Participants are being told how it ended: if that throws, what they hold no longer fits the memory. */
  #telling = false;
  #lastStamp: number;
  #doomed: unknown = null;
  readonly #health: Health;
  #countCommitted = 0;
  #countRolledBack = 0;

  /** @param lastStamp where the count of stamps starts */
  constructor(log: TxnLog, owner: Owner, lastStamp = 0) {
    this.#log = log;
    this.#health = log.health;
    this.#lastStamp = lastStamp;
    this.owner = owner;
  }

  enlist(participant: TxnParticipant): void {
    // Few take part: a look at each is cheap.
    for (let i = 0; i < this.#countParticipants; i += 1) if (this.#participants[i] === participant) return;
    this.#participants[this.#countParticipants] = participant;
    this.#countParticipants += 1;
  }

  get active(): boolean {
    return this.#depth > 0;
  }

  get counts(): { readonly committed: number; readonly rolledBack: number } {
    return { committed: this.#countCommitted, rolledBack: this.#countRolledBack };
  }

  /** False after a failure that left the memory in doubt. */
  get healthy(): boolean {
    return this.#health.failure === null;
  }

  /** Runs `body` as a transaction, or as a savepoint of the one that runs. */
  run<T>(body: () => T): T {
    return this.#run(body, true);
  }

  /**
   * Runs `body` as a transaction without waiting for the medium; resolves with its value when that is durable, after
   * the hooks of `onCommit`.
   */
  async runAsync<T>(body: () => T): Promise<T> {
    if (this.#depth > 0) {
      throw new AsyncTxnError(
        'pool.txnAsync() was called inside a transaction, which may still roll back: call it outside, or pool.txn() here',
      );
    }
    const result = this.#run(body, false);
    const hooks = this.#takeHooks();
    const durable = this.#log.durable();
    if (durable !== null) await durable;
    runAll(hooks);
    return result;
  }

  #run<T>(body: () => T, wait: boolean): T {
    const depth = this.#depth;
    const outer = running;
    try {
      return depth === 0 ? this.#runOutermost(body, wait) : this.#runSavepoint(body);
    } finally {
      // The stack overflowed between two steps of begin, commit or rollback. No call here: it could overflow as well.
      if (this.#depth !== depth || this.#telling) {
        this.#health.failure ??= OVERFLOWED;
        this.#health.told = true;
        this.#telling = false;
        this.#depth = depth;
        if (depth === 0) this.stamp = IDLE_STAMP;
        running = outer;
      }
    }
  }

  snapshot(ref: number, granules: number): void {
    if (this.#depth === 0) throw new TxnRequiredError('a write to the pool');
    if (granules === 1) {
      const slot = ref & (SEEN_SLOTS - 1);
      if (this.#seenRef[slot] === ref && this.#seenStamp[slot] === this.stamp) return;
      this.#seenRef[slot] = ref;
      this.#seenStamp[slot] = 0;
      this.#snapshotOrDoom(ref, granules);
      this.#seenStamp[slot] = this.stamp;
    } else {
      this.#snapshotOrDoom(ref, granules);
    }
  }

  fresh(ref: number, granules: number): void {
    if (this.#depth === 0) throw new TxnRequiredError('an allocation');
    try {
      this.#log.fresh(ref, granules);
    } catch (error) {
      this.doom(error);
      throw error;
    }
  }

  /** The running transaction, or the savepoint, must not commit: `error` left something half done. */
  doom(error: unknown): void {
    this.#doomed ??= error;
    if (error instanceof IoError) this.fail(error);
  }

  /** Something failed outside of any transaction after which nothing may commit. */
  fail(error: unknown): void {
    this.#health.told = true; // by the caller, who throws it
    this.#health.fail(error);
  }

  /** The cause why nothing may commit any more is thrown; without effect while all is well. @throws PoisonedError */
  mustBeHealthy(): void {
    const { failure } = this.#health;
    if (failure === null) return;
    this.#health.told = true;
    throw new PoisonedError(failure);
  }

  /** Runs `hook` once the outermost transaction is durable; dropped if it, or the savepoint around it, rolls back. */
  onCommit(hook: Hook): void {
    if (this.#depth === 0) throw new TxnRequiredError('onCommit()');
    this.#onCommit.push(hook);
  }

  /** Runs `hook` once the transaction, or the savepoint around it, was rolled back. */
  onRollback(hook: Hook): void {
    if (this.#depth === 0) throw new TxnRequiredError('onRollback()');
    this.#onRollback.push(hook);
  }

  #runOutermost<T>(body: () => T, wait: boolean): T {
    this.mustBeHealthy();
    const outer = running;
    this.#begin();
    let result: T;
    try {
      running = this;
      result = body();
      if (isThenable(result)) throw refusePromise(result);
      if (this.#doomed !== null) throw this.#doomed;
      this.#prepareCommit();
      if (this.#doomed !== null) throw this.#doomed;
      this.mustBeHealthy();
    } catch (error) {
      running = outer;
      this.#rollBack(error);
      throw error;
    }
    running = outer;
    this.#commit(wait);
    return result;
  }

  #begin(): void {
    this.#depth = 1;
    this.stamp = this.#nextStamp();
  }

  /** What may still fail without harm: participants' last writes, and room in the log. */
  #prepareCommit(): void {
    // By index: a participant's last writes may enlist another.
    for (let i = 0; i < this.#countParticipants; i += 1) this.#participants[i]?.beforeCommit?.();
    if (this.#doomed !== null) throw this.#doomed;
    try {
      this.#log.prepare();
    } catch (error) {
      if (!(error instanceof PoolFullError || error instanceof PoolOpenError)) this.fail(error);
      throw error;
    }
  }

  #commit(wait: boolean): void {
    try {
      this.#log.commit(wait);
    } catch (error) {
      // Whether the commit record reached the medium is unknown: nothing may be built on either answer.
      this.#abandon(error);
      throw error;
    }
    this.#countCommitted += 1;
    this.#end(true);
    if (this.#log.isDue) this.#maintain();
    if (wait && this.#onCommit.length + this.#onRollback.length > 0) runAll(this.#takeHooks());
  }

  #rollBack(cause: unknown): void {
    try {
      this.#log.rollback();
    } catch (error) {
      this.#abandon(error);
      throw new PoisonedError(new AggregateError([error, cause], 'rollback failed'));
    }
    this.#countRolledBack += 1;
    this.#end(false);
    if (this.#onCommit.length + this.#onRollback.length > 0) {
      const due = this.#onRollback.slice();
      this.#takeHooks();
      runAfterRollback(due);
    }
  }

  /** Ends the transaction with its outcome unknown until the pool is opened again. */
  #abandon(error: unknown): void {
    this.fail(error);
    this.#onCommit.length = 0;
    this.#onRollback.length = 0;
    this.#end(false);
  }

  #end(committed: boolean): void {
    this.#depth = 0;
    this.stamp = IDLE_STAMP;
    this.#doomed = null;
    if (!committed) this.rollbacks += 1;
    const count = this.#countParticipants;
    this.#countParticipants = 0;
    this.#telling = true;
    for (let i = 0; i < count; i += 1) this.#participants[i]?.ended(committed);
    this.#telling = false;
  }

  #runSavepoint<T>(body: () => T): T {
    const savepoint = this.#enterSavepoint();
    const outer = running;
    let result: T;
    try {
      running = this;
      result = body();
      if (isThenable(result)) throw refusePromise(result);
      if (this.#doomed !== null) throw this.#doomed;
    } catch (error) {
      running = outer;
      this.#rollBackTo(savepoint, error);
      throw error;
    }
    running = outer;
    this.#depth -= 1;
    // What the savepoint snapshotted is logged for the outer transaction too; logging it again is harmless.
    this.stamp = savepoint.stamp;
    return result;
  }

  #enterSavepoint(): Savepoint {
    if (this.#doomed !== null) throw this.#doomed;
    this.mustBeHealthy();
    const savepoint: Savepoint = {
      log: this.#log.mark(),
      stamp: this.stamp,
      marks: this.#participants.slice(0, this.#countParticipants).map((participant) => participant.mark()),
      onCommit: this.#onCommit.length,
      onRollback: this.#onRollback.length,
    };
    this.#depth += 1;
    this.stamp = this.#nextStamp();
    return savepoint;
  }

  #rollBackTo(savepoint: Savepoint, cause: unknown): void {
    try {
      this.#log.rollbackTo(savepoint.log);
    } catch (error) {
      this.fail(error);
      this.#doomed = new PoisonedError(new AggregateError([error, cause], 'rollback failed'));
      throw this.#doomed;
    } finally {
      this.#depth -= 1;
      this.stamp = savepoint.stamp;
      this.rollbacks += 1;
    }
    this.#doomed = null;
    this.#telling = true;
    for (let i = 0; i < this.#countParticipants; i += 1) {
      this.#participants[i]?.rolledBackTo(savepoint.marks[i] ?? 0);
    }
    this.#telling = false;
    this.#onCommit.length = savepoint.onCommit;
    runAfterRollback(this.#onRollback.splice(savepoint.onRollback));
  }

  #snapshotOrDoom(ref: number, granules: number): void {
    this.mustBeHealthy();
    try {
      this.#log.snapshot(ref, granules);
    } catch (error) {
      this.doom(error);
      throw error;
    }
  }

  /** The transaction before is committed: if this fails, it is not its caller who must know, but the next one. */
  #maintain(): void {
    try {
      this.#log.maintain(this.#inTxn);
    } catch (error) {
      this.#health.fail(error);
    }
  }

  /** Runs `body`, which is the log's own, in a transaction without participants' last writes and hooks. */
  readonly #inTxn = (body: () => void): void => {
    let committed = false;
    this.#begin();
    try {
      body();
      this.#log.prepare();
      this.#log.commit(true);
      committed = true;
    } finally {
      this.#end(committed);
    }
  };

  /** The hooks to run after a commit; none is left. */
  #takeHooks(): readonly Hook[] {
    const due = this.#onCommit.slice();
    this.#onCommit.length = 0;
    this.#onRollback.length = 0;
    return due;
  }

  #nextStamp(): number {
    // INV-TXN-3: exact up to 2^53, which no process reaches; beyond 2^31 they are no small integers, and a bit slower.
    this.#lastStamp += 1;
    return this.#lastStamp;
  }
}

let running: Transactions<unknown> | null = null;

/** The innermost transaction that runs now, of whatever pool. */
export function runningTransaction(): Transactions<unknown> | null {
  return running;
}
