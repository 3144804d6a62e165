/** The model fuzz test: 400,000 operations over both logs in the short version, millions of each with PERDURE_LONG=1. */
import { copyFileSync, existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import type { PoolOptions } from '../../src/index.js';
import { SimulatedMedium } from '../../src/testing/index.js';
import { Scratch } from '../memory/fixtures.js';
import { type FuzzOptions, type FuzzResult, runFuzz } from './driver.js';
import { FuzzDirect, FuzzLeaf, FuzzWorld } from './schema.js';

const LONG = process.env.PERDURE_LONG === '1';
const OPS = Number(process.env.PERDURE_FUZZ_OPS ?? 1_000_000);
const FIRST_SEED = Number(process.env.PERDURE_SEED ?? 1);
const ROUNDS = LONG ? 5 : 1;
const SEEDS = 20;
const KIB = 1024;
const MIB = 2 ** 20;

const scratch = new Scratch();
afterAll(() => scratch.removeAll());
const directory = scratch.memory();
const classes = [FuzzLeaf, FuzzDirect];

interface Variant {
  /** Share of the operations in the short version. */
  readonly share: number;
  /** Options of most pools, and of small ones. */
  readonly pool: PoolOptions;
  readonly small: PoolOptions;
  readonly simulated: boolean;
}

const SMALL = { maxSize: 48 * MIB, logSize: 4 * KIB };
const VARIANTS: Record<string, Variant> = {
  'undo log': {
    share: 0.2,
    pool: { emulate: { flush: false }, maxSize: 256 * MIB },
    small: { emulate: { flush: false }, ...SMALL },
    simulated: false,
  },
  // On tmpfs, where fdatasync is fast.
  'redo log': {
    share: 0.15,
    pool: { domain: 'block', maxSize: 256 * MIB, walSize: MIB },
    small: { domain: 'block', durability: 'relaxed', ...SMALL, walSize: 16 * KIB, memoryBudget: 0 },
    simulated: false,
  },
  'redo log, simulated disk': {
    share: 0.05,
    pool: { domain: 'block', maxSize: 16 * MIB, walSize: 64 * KIB },
    small: { domain: 'block', durability: 'relaxed', maxSize: 8 * MIB, walSize: 16 * KIB, memoryBudget: 0 },
    simulated: true,
  },
};

/** How pools on the file system, or on a simulated medium, are copied and killed. */
function files(medium: SimulatedMedium | null): Pick<FuzzOptions, 'copy' | 'die'> {
  if (medium === null) {
    return {
      die: null,
      copy: (from, to) => {
        remove(to);
        copyFileSync(from, to);
        if (existsSync(`${from}-wal`)) copyFileSync(`${from}-wal`, `${to}-wal`);
      },
    };
  }
  return {
    die: () => medium.killProcess(),
    copy: (from, to) => {
      for (const suffix of ['', '-wal']) {
        if (medium.exists(to + suffix)) medium.remove(to + suffix);
        if (medium.exists(from + suffix)) medium.install(to + suffix, medium.read(from + suffix));
      }
    },
  };
}

function remove(path: string): void {
  for (const suffix of ['', '-wal']) rmSync(path + suffix, { force: true });
}

interface Run {
  readonly seed: number;
  readonly ops: number;
  readonly pool: PoolOptions;
  readonly simulated: boolean;
  readonly tooLarge?: number;
}

function fuzz({ seed, ops, pool, simulated, tooLarge = 0 }: Run): FuzzResult {
  const path = join(directory, `fuzz-${seed}.pool`);
  const medium = simulated ? new SimulatedMedium() : null;
  const backend = medium === null ? {} : { backend: medium };
  try {
    return runFuzz({
      seed,
      ops,
      path,
      pool: { root: FuzzWorld, classes, ...backend, ...pool },
      ...files(medium),
      tooLarge,
      compareEvery: 150,
      checkEvery: Number(process.env.PERDURE_CHECK_EVERY ?? 600),
    });
  } finally {
    remove(path);
    remove(`${path}.copy`);
  }
}

describe.each(Object.entries(VARIANTS))('model fuzz, %s', (_name, { share, pool, small, simulated }) => {
  const total = Math.ceil(LONG ? OPS : OPS * share);
  for (let round = 0; round < ROUNDS; round += 1) {
    it(`agrees with plain objects over ${total} operations, round ${round}`, { timeout: 1_200_000 }, () => {
      const begin = performance.now();
      const totals: Record<string, number> = {};
      for (let i = 0; i < SEEDS; i += 1) {
        const seed = FIRST_SEED + round * 1000 + i;
        const isSmall = i % 4 === 3;
        const options = isSmall ? small : pool;
        const tooLarge = isSmall ? 64 * MIB : 0;
        const result = fuzz({ seed, ops: total / SEEDS, pool: options, simulated, tooLarge });
        for (const [name, count] of Object.entries(result)) totals[name] = (totals[name] ?? 0) + count;
      }
      console.log(`${((performance.now() - begin) / 1000).toFixed(1)} s, ${JSON.stringify(totals)}`);
      expect(totals.ops).toBeGreaterThanOrEqual(total);
    });
  }

  it.each([900, 901, 902, 1003, 1100, 1300])(
    'goes on when the pool is filled for good, seed %i',
    { timeout: 300_000 },
    (offset) => {
      const tiny = { ...small, maxSize: 1.25 * MIB };
      const ops = Math.min(LONG ? 20_000 : 20_000 * share * 2, OPS);
      const result = fuzz({ seed: FIRST_SEED + offset, ops, pool: tiny, simulated });
      expect(result.full).toBeGreaterThan(0);
      expect(result.txns).toBeGreaterThan(result.rollbacks);
    },
  );
});
