/** The model fuzz test: a million operations in the short version, more seeds with PERDURE_LONG=1. */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import type { PoolOptions } from '../../src/index.js';
import { Scratch } from '../memory/fixtures.js';
import { type FuzzResult, runFuzz } from './driver.js';
import { FuzzDirect, FuzzLeaf, FuzzWorld } from './schema.js';

const LONG = process.env.PERDURE_LONG === '1';
const OPS = Number(process.env.PERDURE_FUZZ_OPS ?? 1_000_000);
const FIRST_SEED = Number(process.env.PERDURE_SEED ?? 1);
const ROUNDS = LONG ? 10 : 1;
const SEEDS = 20;
const MIB = 2 ** 20;

const scratch = new Scratch();
afterAll(() => scratch.removeAll());
const directory = scratch.memory();
const classes = [FuzzLeaf, FuzzDirect];

function fuzz(seed: number, ops: number, pool: PoolOptions, tooLarge = 0): FuzzResult {
  const path = join(directory, `fuzz-${seed}.pool`);
  try {
    return runFuzz({
      seed,
      ops,
      path,
      pool: { root: FuzzWorld, classes, emulate: { flush: false }, ...pool },
      tooLarge,
      compareEvery: 150,
      checkEvery: Number(process.env.PERDURE_CHECK_EVERY ?? 600),
    });
  } finally {
    rmSync(path, { force: true });
    rmSync(`${path}.copy`, { force: true });
  }
}

describe('model fuzz', () => {
  for (let round = 0; round < ROUNDS; round += 1) {
    it(`agrees with plain objects over ${OPS} operations, round ${round}`, { timeout: 1_200_000 }, () => {
      const begin = performance.now();
      const totals: Record<string, number> = {};
      for (let i = 0; i < SEEDS; i += 1) {
        const seed = FIRST_SEED + round * 1000 + i;
        const small = i % 4 === 3;
        const pool = small ? { maxSize: 48 * MIB, logSize: 4096 } : { maxSize: 256 * MIB };
        const result = fuzz(seed, OPS / SEEDS, pool, small ? 64 * MIB : 0);
        for (const [name, count] of Object.entries(result)) totals[name] = (totals[name] ?? 0) + count;
      }
      console.log(`${((performance.now() - begin) / 1000).toFixed(1)} s, ${JSON.stringify(totals)}`);
      expect(totals.ops).toBeGreaterThanOrEqual(OPS);
    });
  }

  it.each([900, 901, 902, 1003, 1100, 1300])(
    'goes on when the pool is filled for good, seed %i',
    { timeout: 300_000 },
    (offset) => {
      const result = fuzz(FIRST_SEED + offset, Math.min(20_000, OPS), { maxSize: 1.25 * MIB, logSize: 4096 });
      expect(result.full).toBeGreaterThan(0);
      expect(result.txns).toBeGreaterThan(result.rollbacks);
    },
  );
});
