/**
 * Runs named cases beside their plain-JavaScript baselines, in alternating rounds, so that the drift of a shared
 * machine hits both. Prints ns per operation (the best round of each, which is what noise can only add to) and their
 * ratio.
 */

/** One side of a case: does `n` operations and returns a number that depends on all of them. */
export type Work = (n: number) => number | Promise<number>;

/** The two sides of a case, and what is to be done afterwards. */
export interface Sides {
  readonly run: Work;
  readonly baseline: Work;
  /** The sides measure themselves, and return nanoseconds instead of a result. */
  readonly timed?: boolean;
  /** How often both run before they are measured. Default 3. */
  readonly warmUps?: number;
  close?(): void;
}

export interface BenchCase {
  /** `layer/operation/size`. */
  readonly name: string;
  /** Operations per round at full size. */
  readonly operations: number;
  /** Takes so long to prepare that a smoke test leaves it out. */
  readonly heavy?: boolean;
  /** The most rounds that are worth their time. */
  readonly maxRounds?: number;
  /** Made when the case's turn comes. */
  prepare(): Sides;
}

export interface BenchResult {
  readonly case: string;
  readonly ns: number;
  readonly baselineNs: number;
  readonly ratio: number;
  /** Of the results of both sides: nothing was optimised away. */
  readonly hash: number;
}

export interface BenchOptions {
  /** Alternating rounds per case. */
  readonly rounds: number;
  /** Fraction of the full number of operations. */
  readonly scale: number;
}

/** Keeps results alive. */
let sink = 0;

export async function runCase(benchCase: BenchCase, options: BenchOptions): Promise<BenchResult> {
  const operations = Math.max(1, Math.round(benchCase.operations * options.scale));
  const { run, baseline, timed = false, warmUps = 3, close } = benchCase.prepare();
  const measure = timed ? async (work: Work, n: number) => (await work(n)) / n : time;
  const times: number[] = [];
  const baselineTimes: number[] = [];
  try {
    // Warm up both, so that neither is measured while it is being optimised.
    for (let i = 0; i < warmUps; i += 1) {
      sink += await run(operations);
      sink += await baseline(operations);
    }
    const rounds = Math.min(options.rounds, benchCase.maxRounds ?? options.rounds);
    for (let round = 0; round < rounds; round += 1) {
      times.push(await measure(run, operations));
      baselineTimes.push(await measure(baseline, operations));
    }
  } finally {
    close?.();
  }
  const ns = Math.min(...times);
  const baselineNs = Math.min(...baselineTimes);
  return { case: benchCase.name, ns, baselineNs, ratio: ns / baselineNs, hash: sink };
}

async function time(work: Work, operations: number): Promise<number> {
  const start = process.hrtime.bigint();
  const result = work(operations);
  sink += typeof result === 'number' ? result : await result;
  return Number(process.hrtime.bigint() - start) / operations;
}
