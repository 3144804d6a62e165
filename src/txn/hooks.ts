/** Running what programs give to `onCommit`, `onRollback` and `txn`: none of it may break a transaction. */
import { AsyncTxnError } from '../errors/index.js';

/** A function given to `onCommit` or `onRollback`. */
export type Hook = () => void;

/** Runs all hooks, whatever one of them throws; then throws the first error. */
export function runAll(hooks: readonly Hook[]): void {
  let failed = false;
  let first: unknown;
  for (const hook of hooks) {
    try {
      hook();
    } catch (error) {
      if (!failed) first = error;
      failed = true;
    }
  }
  if (failed) throw first;
}

/** The caller gets the error that rolled the transaction back; what a hook throws besides becomes an uncaught error. */
export function runAfterRollback(hooks: readonly Hook[]): void {
  try {
    runAll(hooks);
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
  }
}

export function isThenable(value: unknown): value is PromiseLike<unknown> {
  return (
    typeof value === 'object' && value !== null && typeof (value as { then?: unknown }).then === 'function'
  );
}

export function refusePromise(promise: PromiseLike<unknown>): AsyncTxnError {
  // The function goes on after its first await and will fail at its next write; the caller has its error already.
  promise.then(undefined, () => undefined);
  return new AsyncTxnError(
    'the function given to pool.txn() returned a promise: a transaction is synchronous and was rolled back. ' +
      'Await what you need first, then call pool.txn() with a plain function',
  );
}
