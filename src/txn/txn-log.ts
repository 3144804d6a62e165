/**
 * The seam between transactions and their log: what the undo log implements, and a redo log will. One log
 * serves one pool; at most one transaction is open at a time.
 */

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
  /** Whether the log has grown beyond what it keeps between transactions. */
  readonly oversized: boolean;
  /** Saves a range before it is stored to; when it returns, storing is allowed. @throws PoolFullError */
  snapshot(ref: number, granules: number): void;
  /** Notes a newly allocated range. When it returns, storing is allowed. */
  fresh(ref: number, granules: number): void;
  mark(): LogMark;
  /** Undoes everything since `mark`; the transaction goes on. */
  rollbackTo(mark: LogMark): void;
  /** Makes the transaction durable and ends it. @throws PoolFullError before anything is decided */
  commit(): void;
  /** Undoes and ends the transaction. */
  rollback(): void;
  /** Gives some of what is too much back; runs inside a transaction of its own. */
  releaseTail(): void;
}
