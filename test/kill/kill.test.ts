/**
 * Kill test: a child writes transactions to a pool and is killed with SIGKILL at a random moment; the pool is
 * opened again, checked, and compared with the model. No acknowledged transaction is lost, none is seen by half.
 * `PERDURE_LONG=1`: 200 kills of each variant; `PERDURE_SEED` repeats a run as far as time can be repeated.
 */
import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'vite';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { Pool } from '../../src/index.js';
import { Random } from '../../src/testing/index.js';
import { Scratch } from '../memory/fixtures.js';
import { emptyModel, KillRoot, readModel, runModelStep, VARIANTS, type VariantName } from './steps.js';

const LONG = process.env.PERDURE_LONG === '1';
const KILLS = LONG ? 200 : 8;
const SEED = Number(process.env.PERDURE_SEED ?? Date.now() % 2 ** 32);
const ROOT = fileURLToPath(new URL('../..', import.meta.url));

const scratch = new Scratch();
let built = '';

/** The child as plain JavaScript, two folders below the root of the package: there it finds the addon. */
beforeAll(async () => {
  mkdirSync(join(ROOT, 'node_modules'), { recursive: true });
  built = mkdtempSync(join(ROOT, 'node_modules', '.kill-test-'));
  await build({
    configFile: false,
    logLevel: 'error',
    root: ROOT,
    build: { ssr: join(ROOT, 'test/kill/child.ts'), outDir: built, emptyOutDir: false, target: 'node20' },
    ssr: { noExternal: true },
  });
});
afterAll(() => {
  scratch.removeAll();
  if (built !== '') rmSync(built, { recursive: true, force: true });
});

interface Killed {
  /** The last transaction that the child reported; null when it had not even opened the pool. */
  readonly acknowledged: number | null;
  readonly errors: string;
  /** Whether it was over before it was killed. */
  readonly finished: boolean;
}

/** Starts a child and kills it, `ms` after its start or after its first report. */
function killOne(
  path: string,
  variant: VariantName,
  when: { readonly ms: number; readonly afterReport: boolean },
): Promise<Killed> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [join(built, 'child.js'), path, variant], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let output = '';
    let errors = '';
    let timer: NodeJS.Timeout | null = null;
    const arm = (): void => {
      timer ??= setTimeout(() => child.kill('SIGKILL'), when.ms);
    };
    if (!when.afterReport) arm();
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
      output += chunk;
      arm();
    });
    child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
      errors += chunk;
    });
    child.on('error', reject);
    child.on('close', (code) => {
      if (timer !== null) clearTimeout(timer);
      const reports = output.split('\n').slice(0, -1);
      const last = reports[reports.length - 1]?.replace('open ', '');
      resolve({ acknowledged: last === undefined ? null : Number(last), errors, finished: code === 0 });
    });
  });
}

it.each(Object.keys(VARIANTS) as VariantName[])(
  'a pool survives the death of its process at any moment: %s',
  async (variant) => {
    const { place, options } = VARIANTS[variant];
    const path = join(scratch[place](), 'kill.pool');
    const random = new Random(SEED);
    const model = emptyModel();
    let killed = 0;
    let transactions = 0;
    let replays = 0;
    for (let run = 0; killed < KILLS; run++) {
      const when = { ms: random.int(random.chance(0.5) ? 15 : 250), afterReport: random.chance(0.8) };
      const { acknowledged, errors, finished } = await killOne(path, variant, when);
      const what = `seed ${SEED}, run ${run}`;
      expect(errors, what).toBe('');
      if (!finished) killed += 1;
      const pool = Pool.open(path, options);
      if (pool.stats().recovery.outcome === 'replayed') replays += 1;
      const root = pool.root(KillRoot);
      const { steps } = root;
      const least = acknowledged ?? model.steps;
      expect(steps, what).toBeGreaterThanOrEqual(least);
      if (acknowledged !== null) expect(steps, what).toBeLessThanOrEqual(least + 1);
      transactions += steps - model.steps;
      while (model.steps < steps) runModelStep(model, model.steps + 1);
      expect(readModel(root), what).toEqual(model);
      expect(pool.check(), what).toMatchObject({ ok: true, leakedBlocks: 0, unreachableBlocks: 0 });
      pool.close();
    }
    console.log(`${killed} kills, ${variant}, ${transactions} transactions, seed ${SEED}`);
    expect(transactions).toBeGreaterThan(KILLS);
    expect(replays > 0).toBe(variant.startsWith('redo'));
  },
  LONG ? 600_000 : 120_000,
);
