/** The log's first segment runs full, or past its middle, at every possible record of a transaction. */
import { expect, it } from 'vitest';
import { assertCrashSafe } from '../../src/testing/index.js';
import { type LogEndVariant, logEnd, overrun } from './log-end.js';
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

it('survives a crash in the commit after a savepoint that ran over the transaction before', () => {
  for (const snapshots of [29, 34]) assertCrashSafe(crash(overrun(snapshots), { imagesPerInstant: 16 }));
});
