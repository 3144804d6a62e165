/** What the crash tests of the media share: budgets, seeds, and the count of what was tried. */
import { afterAll, describe, expect, it } from 'vitest';
import { assertCrashSafe } from '../../src/testing/index.js';
import { REDO_SCENARIOS } from './redo-scenarios.js';
import { crash, type MediumName, type Scenario } from './scenario.js';
import { SCENARIOS } from './scenarios.js';

const LONG = process.env.PERDURE_LONG === '1';
const FIRST_SEED = Number(process.env.PERDURE_SEED ?? 1);
const MINUTES = 60_000;

/** How much is tried on one medium. */
export interface Budget {
  readonly imagesPerInstant: number;
  /** Of how many images one has its recovery crashed, and into how many images at each instant. */
  readonly nested: { readonly every: number; readonly imagesPerInstant: number };
  readonly seeds: number;
  /** Distinct images that must have been checked. */
  readonly least: number;
}

/** Crashes all scenarios on a medium. `PERDURE_LONG=1` takes the second budget; `PERDURE_SEED` starts elsewhere. */
export function exploreMedium(medium: MediumName, budgets: { short: Budget; long: Budget }): void {
  const { imagesPerInstant, nested, seeds, least } = LONG ? budgets.long : budgets.short;
  // Each has types of its own; a list of them needs none.
  // biome-ignore lint/suspicious/noExplicitAny: what a scenario is about, only the scenario knows
  const all: readonly Scenario<any, any>[] = [...SCENARIOS, ...REDO_SCENARIOS];
  const scenarios = all.filter(({ media }) => media?.includes(medium) ?? true);
  describe(medium, () => {
    let total = 0;
    let nestedTotal = 0;
    for (let seed = FIRST_SEED; seed < FIRST_SEED + seeds; seed++) {
      for (const scenario of scenarios) {
        it(
          `survives crashes, seed ${seed}: ${scenario.name}`,
          () => {
            const report = crash(scenario, { medium, seed, imagesPerInstant, nested });
            assertCrashSafe(report);
            total += report.images;
            nestedTotal += report.nestedImages;
          },
          LONG ? 20 * MINUTES : 2 * MINUTES,
        );
      }
    }

    it(`has checked at least ${least} distinct crash images`, () => {
      expect(total).toBeGreaterThanOrEqual(least);
    });

    afterAll(() => {
      const { user, system } = process.cpuUsage();
      const seconds = Math.round((user + system) / 1e6);
      console.log(`${medium}: ${total} crash images, ${nestedTotal} of them during a recovery; ${seconds} s`);
    });
  });
}
