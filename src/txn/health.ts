/**
 * Whether a pool may still be written to: one state for its transactions, its log, and all that goes on between them.
 *
 * INV-TXN-5  After a flush, write or sync failed, or memory was left in doubt, nothing commits any more and no checkpoint
 *            copies anything: what is durable is only known to recovery.
 */
export class Health {
  /** The first failure; null while all is well. Set directly only where no call may be made. */
  failure: unknown = null;
  /** Whether an error has told the program of it: what happens in the background must not end with a close that looks clean. */
  told = false;
  /** Told of the first failure, so that nobody goes on waiting. */
  onFailure: ((error: unknown) => void) | null = null;

  fail(error: unknown): void {
    if (this.failure !== null) return;
    this.failure = error;
    this.onFailure?.(error);
  }
}
