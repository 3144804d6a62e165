/**
 * Operations of the simulated medium that fail on purpose: the n-th of a kind, once or from then on. Counting starts when
 * the fault is injected. What a failed operation leaves behind is decided where it happens (`simulated-memory.ts`,
 * `written-file.ts`).
 */
import { IoError, PoolFullError } from '../errors/index.js';

/**
 * Operations that can be made to fail: those of a pool (`flush`, `fence`, `grow`), of its write-ahead log (`walWrite`,
 * `walSync`, `extend`), and of the checkpoints in the background (`pageWrite`, `pageSync`).
 */
export type FaultyOperation =
  | 'flush'
  | 'fence'
  | 'grow'
  | 'walWrite'
  | 'walSync'
  | 'extend'
  | 'pageWrite'
  | 'pageSync';

/** A failure to come. */
export interface Fault {
  /** What fails, or `any` of them. */
  readonly operation: FaultyOperation | 'any';
  /** Which one fails, counted from 1 since the injection. */
  readonly at: number;
  /** Whether all later ones fail too. Default: just this one. */
  readonly keepFailing?: boolean;
}

/** A fault in place. A fault loop ends when a run is over and `fired` is still 0. */
export interface InjectedFault {
  /** How often it has made an operation fail. */
  readonly fired: number;
  /** Ends it. */
  remove(): void;
}

interface ActiveFault extends InjectedFault {
  fired: number;
  readonly fault: Fault;
  seen: number;
}

/** The faults in place on one medium. */
export class Faults {
  readonly #active = new Set<ActiveFault>();

  inject(fault: Fault): InjectedFault {
    const active: ActiveFault = { fault, seen: 0, fired: 0, remove: () => this.#active.delete(active) };
    this.#active.add(active);
    return active;
  }

  /**
   * Counts an operation.
   * @throws PoolFullError (grow, extend) or IoError when it is one that fails
   */
  check(operation: FaultyOperation, path: string): void {
    let failing: ActiveFault | null = null;
    for (const active of this.#active) {
      const { fault } = active;
      if (fault.operation !== operation && fault.operation !== 'any') continue;
      active.seen++;
      const due = fault.keepFailing ? active.seen >= fault.at : active.seen === fault.at;
      if (!due) continue;
      active.fired++;
      failing = active;
    }
    if (failing !== null) throw failure(operation, path, failing);
  }
}

function failure(operation: FaultyOperation, path: string, active: ActiveFault): Error {
  const details = { path, operation, count: active.seen };
  if (operation === 'grow' || operation === 'extend') {
    return new PoolFullError(`${path}: no space left (injected at growth ${active.seen})`, details);
  }
  return new IoError(`${path}: ${operation} failed (injected at number ${active.seen})`, details);
}
