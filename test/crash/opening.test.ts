/** Crashes while a pool is created, opened and closed, and during the recovery from such crashes. */
import { expect, it } from 'vitest';
import { assertCrashSafe } from '../../src/testing/index.js';
import { dying, opening } from './opening.js';
import { crash } from './scenario.js';

it('survives crashes while it is created, opened and closed, and during the recovery from them', () => {
  const report = crash(opening, { imagesPerInstant: 48, nested: { every: 1, imagesPerInstant: 24 } });
  assertCrashSafe(report);
  console.log(report.images, report.nestedImages);
  expect(report.nestedImages).toBeGreaterThan(1000);
});

it('survives power loss after the death of the process at any fence', () => {
  const report = crash(dying, { imagesPerInstant: 64 });
  assertCrashSafe(report);
  console.log(report.images, report.instants);
  expect(report.images).toBeGreaterThan(500);
});
