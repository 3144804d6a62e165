/**
 * The process that runs into the faults: a workload, as a program would run it that handles errors, and that looks
 * after each whether the pool keeps its promises. Reports every step on standard output.
 */
import { writeSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { PerdureError, Pool } from '../../src/index.js';
import { describeError, History, type Report } from './history.js';
import { difference, FaultRoot, runStep, type Workload } from './workload.js';

const MAX_OPENINGS = 6;
const MAX_FAILED_OPENINGS = 2;

const path = process.argv[2] as string;
const workload = JSON.parse(process.argv[3] as string) as Workload;
const history = new History(workload.before);

function report(line: Report): void {
  history.add(line);
  writeSync(1, `${JSON.stringify(line)}\n`);
}

function wrong(what: string): void {
  report({ event: 'wrong', what });
}

/** The code of an error that may come of a failed system call; anything else is reported. */
function codeOf(error: unknown, ...expected: readonly string[]): string {
  const code = error instanceof PerdureError ? error.code : 'none';
  if (!expected.includes(code)) wrong(describeError(error));
  return code;
}

function expectPoisoned(what: string, action: () => unknown): void {
  try {
    action();
  } catch (error) {
    codeOf(error, 'POISONED');
    return;
  }
  wrong(`${what} after a failure was accepted`);
}

function compare(root: FaultRoot, when: string): void {
  try {
    const field = difference(root, history.steps);
    if (field !== null) wrong(`${when}, ${field} differs from transactions ${history.steps.join(' ')}`);
  } catch (error) {
    wrong(`${when}: ${describeError(error)}`);
  }
}

interface Result {
  readonly step: number;
  /** What was thrown; null: it returned. */
  readonly error: unknown;
}

/**
 * Reports what became of transactions. False when nothing can follow any more.
 * @param acknowledged those that returned are durable
 */
function settle(root: FaultRoot, results: readonly Result[], acknowledged: boolean): boolean {
  let healthy = true;
  let full = false;
  for (const { step, error } of results) {
    if (error === null) {
      report({ event: 'returned', step });
      if (acknowledged) report({ event: 'acknowledged', step });
      continue;
    }
    const code = codeOf(error, 'POOL_FULL', 'IO', 'POISONED');
    if (code === 'POOL_FULL') {
      report({ event: 'full', step });
      full = true;
    } else {
      report({ event: 'failed', step, code });
      healthy = false;
    }
  }
  if (healthy && full) compare(root, 'after a rollback for want of space');
  return healthy;
}

function runOne(pool: Pool, root: FaultRoot, step: number): boolean {
  let error: unknown = null;
  try {
    pool.txn(() => runStep(pool, root, step));
  } catch (thrown) {
    error = thrown;
  }
  return settle(root, [{ step, error }], !workload.relaxed);
}

/** Runs a group of transactions that share a sync. */
async function runGroup(pool: Pool, root: FaultRoot, steps: readonly number[]): Promise<boolean> {
  const settled = await Promise.allSettled(
    steps.map((step) => pool.txnAsync(() => runStep(pool, root, step))),
  );
  const results = settled.map((outcome, index) => ({
    step: steps[index] as number,
    error: outcome.status === 'rejected' ? outcome.reason : null,
  }));
  return settle(root, results, true);
}

function flush(pool: Pool): boolean {
  try {
    pool.flush();
  } catch (error) {
    report({ event: 'flushFailed', code: codeOf(error, 'IO', 'POISONED') });
    return false;
  }
  const step = history.steps.at(-1);
  if (step !== undefined) report({ event: 'acknowledged', step });
  return true;
}

/** Runs transactions from `step` to `last`; returns the number of the next one. */
async function runSteps(pool: Pool, step: number, last: number): Promise<number> {
  const root = pool.root(FaultRoot);
  let next = step;
  let healthy = true;
  while (healthy && next <= last) {
    if (workload.asynchronous && next % 9 === 1) {
      const group = [next, next + 1, next + 2];
      next += group.length;
      healthy = await runGroup(pool, root, group);
    } else {
      healthy = runOne(pool, root, next);
      next += 1;
    }
    if (healthy && workload.relaxed && next % 5 === 0) healthy = flush(pool);
    // Time for what goes on in the background.
    if (workload.asynchronous && next % 4 === 0) await sleep(2);
  }
  if (healthy) return next;
  for (let again = 0; again < 3; again++) {
    expectPoisoned('a transaction', () => pool.txn(() => runStep(pool, root, next)));
  }
  return next;
}

function open(): Pool | null {
  let pool: Pool;
  try {
    pool = Pool.open(path, { ...workload.options, root: FaultRoot });
  } catch (error) {
    report({ event: 'openFailed', code: codeOf(error, 'IO', 'POOL_FULL', 'OPTION') });
    return null;
  }
  const root = pool.root(FaultRoot);
  const count = history.countUpTo(root.step);
  if (count === null) wrong(`after transactions ${history.steps.join(' ')}, opening found ${root.step}`);
  report({ event: 'open', count: count ?? 0 });
  compare(root, 'after opening');
  return pool;
}

function close(pool: Pool): void {
  try {
    pool.close();
    report({ event: 'closed' });
  } catch (error) {
    report({ event: 'closeFailed', code: codeOf(error, 'IO', 'POOL_FULL', 'POISONED') });
  }
  if (!pool.closed) wrong('the pool is open after close()');
}

/** The death of the process, with a transaction half done. */
function die(pool: Pool, step: number): never {
  return pool.txn(() => {
    runStep(pool, pool.root(FaultRoot), step);
    process.kill(process.pid, 'SIGKILL');
    throw new Error('alive');
  });
}

let step = workload.before + 1;
let failedOpenings = 0;
for (let opening = 0; opening < MAX_OPENINGS && failedOpenings < MAX_FAILED_OPENINGS; opening++) {
  if (step > workload.transactions) break;
  const pool = open();
  if (pool === null) {
    failedOpenings += 1;
    continue;
  }
  const half = Math.floor((workload.before + workload.transactions) / 2);
  step = await runSteps(pool, step, step <= half ? half : workload.transactions);
  if (step > workload.transactions && workload.end === 'death') die(pool, step);
  close(pool);
}
report({ event: 'end' });
