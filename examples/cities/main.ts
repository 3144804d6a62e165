/**
 * The demo: `npm run demo`. Imports the places of GeoNames in transactions of 100, in a child process that is
 * killed again and again, and checks after each crash that the pool holds what was committed and nothing else.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { type Domain, Pool, type PoolStats } from 'perdure';
import { Random } from 'perdure/testing';
import { Importer } from './child.js';
import { readPlaces } from './input.js';
import { POOL_OPTIONS, World } from './model.js';
import { type DemoOptions, parseOptions, USAGE } from './options.js';
import { Progress } from './progress.js';
import { answerQueries } from './queries.js';
import { verifyInThread } from './verify-thread.js';

/** The pool is not what it must be. */
class WrongPoolError extends Error {}

/** What a committed transaction survives, by persistence domain. */
const SURVIVES: Record<Domain, string> = {
  block: 'power loss',
  memory: 'power loss',
  'cpu-cache': 'power loss',
  emulated: 'the death of the process',
};

/** Longest time between the report that a kill is bound to and the kill, in ms: some transactions long. */
const MAX_DELAY_MS = 6;

interface State {
  readonly path: string;
  readonly options: DemoOptions;
  /** Places to import. The input itself is not held: it would be part of what is measured when a pool is opened. */
  readonly total: number;
  readonly progress: Progress;
  readonly random: Random;
  /** Committed so far. */
  imported: number;
  kills: number;
  worstRecoveryMs: number;
}

let importer: Importer | null = null;
let folder: string | null = null;
/** Runs on every way out; the importer must not outlive the demo. */
process.on('exit', () => {
  importer?.kill();
  if (folder !== null) rmSync(folder, { recursive: true, force: true });
});
process.on('SIGINT', () => process.exit(130));
process.on('SIGTERM', () => process.exit(143));
process.on('SIGHUP', () => process.exit(129));

try {
  const options = parseOptions(process.argv.slice(2));
  if (options.help) console.log(USAGE);
  else await run(options);
} catch (error) {
  const usage = (error as { code?: string }).code?.startsWith('ERR_PARSE_ARGS') ? `\n${USAGE}` : '';
  if (error instanceof WrongPoolError) folder = null; // kept, to be looked at
  console.error(`demo failed: ${error instanceof Error ? error.message : String(error)}${usage}`);
  process.exitCode = 1;
}

async function run(options: DemoOptions): Promise<void> {
  const total = readPlaces(options.limit).length;
  const progress = new Progress(total);
  const target = mkdtempSync(join(tmpdir(), 'perdure-cities-'));
  if (!options.keep) folder = target;
  const state: State = {
    path: join(target, 'world.pool'),
    options,
    total,
    progress,
    random: new Random(options.seed),
    imported: 0,
    kills: 0,
    worstRecoveryMs: 0,
  };
  const { fileSystem, domain } = createPool(state.path);
  progress.line(`${format(total)} places of GeoNames into ${state.path}, seed ${options.seed}`);
  progress.line(
    `The pool is on ${fileSystem}: each transaction survives ${SURVIVES[domain]} when it returns.`,
  );

  const start = performance.now();
  while (state.kills < options.kills) await importAndKill(state);
  await importRest(state);
  progress.line(`import complete ${seconds(start)} after the start, crashes and checks included`);

  using pool = Pool.open(state.path, POOL_OPTIONS);
  for (const answer of answerQueries(pool.root(World))) progress.line(`  ${answer}`);
  const { sizeBytes } = pool.stats();
  progress.line(
    `pool size ${(sizeBytes / 2 ** 20).toFixed(0)} MiB${options.keep ? `, kept: ${state.path}` : ''}`,
  );
  progress.line(
    `imported ${format(state.imported)} cities, killed ${state.kills} times, ` +
      `worst recovery ${state.worstRecoveryMs.toFixed(1)} ms, check passed`,
  );
}

/** One life of the importer, which ends somewhere in the next slice of what is left. */
async function importAndKill(state: State): Promise<void> {
  const { options, total, random } = state;
  const slice = (total - state.imported) / (options.kills - state.kills + 1);
  const killAt = state.imported + slice * (0.1 + 0.8 * random.float());
  const delayMs = random.int(MAX_DELAY_MS + 1);
  let due = false;
  const { reported, killed } = await runImporter(state, state.imported + slice, (imported) => {
    if (due || imported < killAt) return;
    due = true;
    setTimeout(() => importer?.kill(), delayMs);
  });
  importer = null;
  if (!killed) throw new Error('the importer came to its end before it was killed');
  state.kills += 1;
  await reopen(state, Math.max(reported, state.imported), `kill ${state.kills}`);
}

async function importRest(state: State): Promise<void> {
  const { killed } = await runImporter(state, state.total, () => {});
  importer = null;
  if (killed) throw new Error('the importer was killed by someone else');
  await reopen(state, state.total, 'clean end');
}

function runImporter(state: State, pauseAt: number, onReport: (imported: number) => void) {
  const { path, options, total, progress } = state;
  importer = new Importer({
    path,
    limit: total,
    batch: options.batch,
    pauseAt,
    onReport: (imported) => {
      progress.update(imported);
      onReport(imported);
    },
  });
  return importer.ended;
}

/** Opens the pool, which recovers it, and has all of it checked. */
async function reopen(state: State, reported: number, what: string): Promise<void> {
  const { path, total, options, progress } = state;
  const { recoveryMs, outcome } = recover(path);
  state.worstRecoveryMs = Math.max(state.worstRecoveryMs, recoveryMs);
  const start = performance.now();
  const found = await verifyInThread(path, { total, batch: options.batch, reported });
  if (found.problems.length > 0) {
    throw new WrongPoolError(`after ${what}, pool ${path} is wrong:\n  ${found.problems.join('\n  ')}`);
  }
  state.imported = found.imported;
  progress.line(
    `${what}: ${format(found.imported)} cities in ${found.countries} countries; recovered in ` +
      `${recoveryMs.toFixed(1)} ms (${outcome}); checked in ${seconds(start)}`,
  );
}

function recover(path: string): { recoveryMs: number; outcome: string } {
  const start = performance.now();
  using pool = Pool.open(path, POOL_OPTIONS);
  const recoveryMs = performance.now() - start;
  const { outcome, records } = pool.stats().recovery;
  if (outcome === 'clean') return { recoveryMs, outcome: 'closed by the importer' };
  if (outcome === 'replayed') {
    return { recoveryMs, outcome: `${format(records)} transactions applied from the write-ahead log` };
  }
  if (outcome === 'committed') return { recoveryMs, outcome: 'the last transaction was complete' };
  return { recoveryMs, outcome: `an open transaction rolled back, ${format(records)} log records` };
}

function createPool(path: string): PoolStats {
  using pool = Pool.create(path, POOL_OPTIONS);
  return pool.stats();
}

function seconds(start: number): string {
  return `${((performance.now() - start) / 1000).toFixed(2)} s`;
}

function format(count: number): string {
  return count.toLocaleString('en-US');
}
