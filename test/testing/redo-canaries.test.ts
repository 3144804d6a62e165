/**
 * A small redo log on the media that it is for: nothing is found as it is, and with any one step left out something is.
 */
import { describe, expect, it } from 'vitest';
import {
  assertCrashSafe,
  type CrashReport,
  exploreCrashes,
  SimulatedMedium,
} from '../../src/testing/index.js';
import { NEEDED, prepare, type SmallRedoOptions, stepOf, verify, workload } from './small-redo.js';

const MEDIA = {
  'a disk': { domain: 'block' },
  'persistent memory': { domain: 'memory', log: 'redo' },
} as const;

function explore(options: SmallRedoOptions, medium: SimulatedMedium): CrashReport {
  return exploreCrashes<number>({
    medium,
    prepare: prepare(options),
    workload: (backend, log) => workload(backend, log, options),
    verify: (image, context) => verify(image, context, options.how),
    imagesPerInstant: 64,
  });
}

for (const [name, how] of Object.entries(MEDIA)) {
  describe(`a redo log on ${name}`, () => {
    for (const relaxed of [false, true]) {
      it(`survives every crash${relaxed ? ' with the last commits lost' : ''}`, () => {
        const report = explore({ how, relaxed }, new SimulatedMedium());
        assertCrashSafe(report);
        expect(report.images).toBeGreaterThan(50);
      });
    }

    it('survives every crash of a disk that writes less at a time', () => {
      const medium = new SimulatedMedium({ pageUnitBytes: 512, logUnitBytes: 64 });
      assertCrashSafe(explore({ how, relaxed: true }, medium));
    });

    for (const [step, commits] of NEEDED) {
      it(`canary: notices that ${step} is left out`, () => {
        const medium = new SimulatedMedium({ skip: [stepOf(step)] });
        const report = explore({ how, relaxed: commits === 'relaxed' }, medium);
        expect(report.violations.length).toBe(1);
      });
    }
  });
}
