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
