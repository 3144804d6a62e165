/** Crashes while a pool is created, opened and closed, and during the recovery from such crashes. */
import { expect, it } from 'vitest';
import { assertCrashSafe } from '../../src/testing/index.js';
import { dying, opening } from './opening.js';
import { crash, MEDIA, type MediumName } from './scenario.js';

const NAMES = Object.keys(MEDIA) as MediumName[];

it.each(NAMES)(
  'survives crashes while it is created, opened and closed, and during the recovery: %s',
  (medium) => {
    const nested = { every: 1, imagesPerInstant: medium === 'undo log' ? 24 : 8 };
    const report = crash(opening, { medium, imagesPerInstant: 48, nested });
    assertCrashSafe(report);
    console.log(medium, report.images, report.nestedImages);
    expect(report.nestedImages).toBeGreaterThan(medium === 'undo log' ? 1000 : 50);
  },
);

it.each(NAMES)('survives power loss after the death of the process at any fence: %s', (medium) => {
  const imagesPerInstant = medium === 'redo log in persistent memory' ? 16 : 64;
  const report = crash(dying, { medium, imagesPerInstant });
  assertCrashSafe(report);
  console.log(medium, report.images, report.instants);
  expect(report.images).toBeGreaterThan(medium === 'undo log' ? 500 : 100);
});
