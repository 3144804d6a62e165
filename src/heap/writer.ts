/**
 * What the heap and everything above it needs from a transaction in order to change the pool. The
 * transaction layer supplies it.
 *
 * INV-TXN-1  Bytes that existed before the transaction are snapshotted before they are stored to.
 * INV-TXN-2  Bytes allocated in the transaction are not logged, only flushed by the commit.
 */
export interface Writer {
  /**
   * Call before storing to [ref, ref + granules): saves its content so that a rollback or a recovery can put
   * it back. Saving a range twice is correct, only slower.
   * @throws TxnRequiredError outside a transaction
   * @throws PoolFullError when the log cannot grow
   */
  snapshot(ref: number, granules: number): void;
  /** [ref, ref + granules) was allocated in this transaction: its content is flushed at commit and never logged. */
  fresh(ref: number, granules: number): void;
}

/** A layer with volatile state that must follow the fate of a transaction in which it took part. */
export interface TxnParticipant {
  /** The outermost transaction is about to commit; the participant may still write. May throw. */
  beforeCommit?(): void;
  /** The outermost transaction ended: committed, or rolled back. The participant is no longer enlisted. */
  ended(committed: boolean): void;
  /** A savepoint starts; what is returned comes back in `rolledBackTo`. */
  mark(): number;
  /** Everything since `mark` was undone; the outer transaction goes on. 0 when enlisted after the savepoint. */
  rolledBackTo(mark: number): void;
}

/** The running transaction, as the heap and other participants see it. */
export interface TxnContext extends Writer {
  /** The transaction, or the savepoint, must not commit: `error` left something half done. */
  doom(error: unknown): void;
  /** Makes the participant follow the running transaction; without effect when it does already. */
  enlist(participant: TxnParticipant): void;
}
