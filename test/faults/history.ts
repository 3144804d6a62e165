/**
 * What a child has told of its transactions: which may be in the pool, and which must be. The child keeps one to
 * check itself, and the parent another from the child's reports.
 */

/** A line that a child reports. */
export type Report =
  /** The pool was opened; it holds the first `count` transactions of the history. */
  | { readonly event: 'open'; readonly count: number }
  | { readonly event: 'openFailed'; readonly code: string }
  /** Transaction `step` returned; it is lost in no death of the process, but may be in a power failure. */
  | { readonly event: 'returned'; readonly step: number }
  /** Transaction `step`, and so all before it, is durable. */
  | { readonly event: 'acknowledged'; readonly step: number }
  /** Transaction `step` found no space and was rolled back. */
  | { readonly event: 'full'; readonly step: number }
  /** Transaction `step` failed; whether it is in the pool is not known. */
  | { readonly event: 'failed'; readonly step: number; readonly code: string }
  | { readonly event: 'flushFailed'; readonly code: string }
  | { readonly event: 'closed' }
  | { readonly event: 'closeFailed'; readonly code: string }
  /** Something that must not be. */
  | { readonly event: 'wrong'; readonly what: string }
  /** The workload is over. */
  | { readonly event: 'end' };

export class History {
  /** Transactions that may be in the pool, in order: a prefix of them is. */
  readonly steps: number[] = [];
  /** How many of them must be there. */
  acknowledged = 0;
  /** Since the last opening something failed: closing makes nothing sure any more. */
  #inDoubt = false;

  /** @param before so many transactions are in the pool already */
  constructor(before: number) {
    for (let step = 1; step <= before; step++) this.steps.push(step);
    this.acknowledged = before;
  }

  add(report: Report): void {
    switch (report.event) {
      case 'open':
        // What opening found counts from now on.
        this.steps.length = report.count;
        this.acknowledged = report.count;
        this.#inDoubt = false;
        break;
      case 'returned':
        this.steps.push(report.step);
        break;
      case 'failed':
        this.steps.push(report.step);
        this.#inDoubt = true;
        break;
      case 'flushFailed':
        this.#inDoubt = true;
        break;
      case 'acknowledged':
        this.acknowledged = this.steps.indexOf(report.step) + 1;
        break;
      case 'closed':
        if (!this.#inDoubt) this.acknowledged = this.steps.length;
        break;
    }
  }

  /** How many transactions a pool holds whose last one is `step`; null when it cannot be. */
  countUpTo(step: number): number | null {
    const count = this.steps.indexOf(step) + 1;
    return (count === 0 && step !== 0) || count < this.acknowledged ? null : count;
  }
}

/** An error with the first lines of its stack, and those of its causes. */
export function describeError(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const [message = '', ...stack] = (error.stack ?? error.message).split('\n');
  const places = stack.slice(0, 6).map((line) => line.trim().replace(/^at (\S+) .*[/(](.*?)\)?$/, '$1 $2'));
  const cause = error.cause === undefined ? '' : `; caused by ${describeError(error.cause)}`;
  return `${message} (${places.join(' < ')})${cause}`;
}
