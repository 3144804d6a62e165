/** The log's first segment runs full at every possible record of a transaction. */
import { expect, it } from 'vitest';
import { assertCrashSafe } from '../../src/testing/index.js';
import { type LogEndVariant, logEnd } from './log-end.js';
import { crash } from './scenario.js';

for (const variant of ['plain', 'savepoint', 'frees'] as const satisfies LogEndVariant[]) {
  it(`survives a crash wherever the log has to grow: ${variant}`, () => {
    let images = 0;
    for (let snapshots = 40; snapshots <= 58; snapshots++) {
      const report = crash(logEnd(snapshots, variant), { imagesPerInstant: 6 });
      assertCrashSafe(report);
      images += report.images;
    }
    expect(images).toBeGreaterThan(500);
  });
}
