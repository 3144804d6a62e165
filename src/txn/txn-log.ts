/**
 * The seam between transactions and their log: what the undo log and the redo log implement. One log serves one pool;
 * at most one transaction is open at a time.
 */
import type { LogKind } from '../memory/index.js';
import type { Health } from './health.js';

/** The epoch of a pool: from one opening to the next (docs/format.md). Records of other epochs are dead. */
export interface LogEpoch {
  readonly number: number;
  /** From which the checksums of its records are continued. */
  readonly seed: number;
}

/** A point in the open transaction to which it can be rolled back; opaque to everyone but the log. */
export interface LogMark {
  readonly records: number;
}

export interface TxnLog {
  readonly kind: LogKind;
  /** Shared with the transactions: what either of them meets concerns both. */
  readonly health: Health;
  /** Saves a range before it is stored to; when it returns, storing is allowed. @throws PoolFullError */
  snapshot(ref: number, granules: number): void;
  /** Notes a newly allocated range. When it returns, storing is allowed. */
  fresh(ref: number, granules: number): void;
  mark(): LogMark;
  /** Undoes everything since `mark`; the transaction goes on. */
  rollbackTo(mark: LogMark): void;
  /**
   * Makes room for what `commit` writes. The transaction can still be rolled back, whatever this throws.
   * @throws PoolFullError, PoolOpenError: the pool goes on; anything else leaves the log in doubt
   */
  prepare(): void;
  /**
   * Ends the transaction as committed.
   * @param wait whether it must be as durable as the pool's durability level says when this returns
   * @throws IoError: whether it committed is only known to recovery
   */
  commit(wait: boolean): void;
  /** Undoes and ends the transaction. */
  rollback(): void;
  /** Whether `maintain` has something to do; asked after every transaction. */
  readonly isDue: boolean;
  /** Housekeeping between transactions. `inTxn` runs a body in a transaction of its own. */
  maintain(inTxn: (body: () => void) => void): void;
  /** Resolves when all that has committed is durable; null when it is. Rejects with IoError. */
  durable(): Promise<void> | null;
  /** Returns when all that has committed is durable. @throws IoError */
  flush(): void;
  /** A clean end: the pool's file alone is complete when this returns. @throws IoError */
  end(): void;
  /** Gives up what the log has open; after `end`, or without it when the pool is in doubt. Idempotent. */
  close(): void;
}
