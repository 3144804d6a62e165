/**
 * Runs `verify` in a thread of its own. Opening a pool makes V8 collect the garbage of the thread that opens it; the
 * thread of the demo stays as empty as that of a program that has just been started again.
 */
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { Pool } from 'perdure';
import { POOL_OPTIONS, World } from './model.js';
import { type Expectation, verify } from './verify.js';

/** What the thread found. */
export interface Verdict {
  readonly problems: readonly string[];
  readonly imported: number;
  readonly countries: number;
}

interface Request {
  readonly path: string;
  readonly expected: Expectation;
}

/** Opens the pool at `path`, which nobody has open, and checks all of it. */
export function verifyInThread(path: string, expected: Expectation): Promise<Verdict> {
  return new Promise((resolve, reject) => {
    const workerData: Request = { path, expected };
    const worker = new Worker(new URL(import.meta.url), { workerData });
    worker.once('error', reject);
    let verdict: Verdict | null = null;
    worker.once('message', (message: Verdict) => {
      verdict = message;
    });
    // Not before its end: then its pool is closed.
    worker.once('exit', (code) => {
      if (verdict === null) reject(new Error(`the thread that verifies ended with code ${code}`));
      else resolve(verdict);
    });
  });
}

function answer({ path, expected }: Request): Verdict {
  using pool = Pool.open(path, POOL_OPTIONS);
  const { imported, countries } = pool.root(World);
  return { problems: verify(pool, expected), imported, countries: countries.size };
}

if (!isMainThread) parentPort?.postMessage(answer(workerData as Request));
