/**
 * Every workload, crashed at every fence, growth, publish and at its end: what is found is what was promised.
 * `PERDURE_LONG=1` runs more seeds and more images; `PERDURE_SEED` starts elsewhere.
 */
import { afterAll, describe, expect, it } from 'vitest';
import { assertCrashSafe } from '../../src/testing/index.js';
import { crash } from './scenario.js';
import { SCENARIOS } from './scenarios.js';

const LONG = process.env.PERDURE_LONG === '1';
const FIRST_SEED = Number(process.env.PERDURE_SEED ?? 1);
const SEEDS = Array.from({ length: LONG ? 4 : 1 }, (_, index) => FIRST_SEED + index);
const IMAGES_PER_INSTANT = LONG ? 160 : 56;
const LEAST_IMAGES = LONG ? 1_000_000 : 100_000;
const MINUTES = 60_000;

let total = 0;
let nestedTotal = 0;

describe.each(SEEDS)('seed %i', (seed) => {
  for (const scenario of SCENARIOS) {
    it(
      `survives crashes: ${scenario.name}`,
      () => {
        const started = performance.now();
        const report = crash(scenario, {
          seed,
          imagesPerInstant: IMAGES_PER_INSTANT,
          nested: { every: 16, imagesPerInstant: 16 },
        });
        assertCrashSafe(report);
        total += report.images;
        nestedTotal += report.nestedImages;
        const ms = Math.round(performance.now() - started);
        console.log(`${scenario.name}: ${report.images} images in ${ms} ms, ${report.instants} instants`);
      },
      LONG ? 20 * MINUTES : 2 * MINUTES,
    );
  }
});

it(`checks at least ${LEAST_IMAGES} distinct crash images`, () => {
  expect(total).toBeGreaterThanOrEqual(LEAST_IMAGES);
});

afterAll(() => {
  console.log(`${total} crash images checked, ${nestedTotal} of them during a recovery; seeds ${SEEDS}`);
});
