/**
 * Canaries: with any one step of the protocol left out, the exploration finds a violation. If one of these fails, either
 * the exploration has gone blind or the step is not needed.
 */
import { afterEach, describe, expect, it, vi } from 'vitest';
import { REGION } from '../../src/format/index.js';
import { STEP } from '../../src/memory/memory.js';
import { SimulatedMemory } from '../../src/testing/simulated-memory.js';
import { PortableRecordWriter } from '../../src/txn/index.js';
import { dying, opening } from './opening.js';
import { crash } from './scenario.js';
import { lists, many, nested } from './scenarios.js';

const DEEP = { every: 1, imagesPerInstant: 24 };

/** Which workload shows what a step is for. */
const SHOWN_BY: Record<keyof typeof STEP, () => { violations: readonly unknown[] }> = {
  headerFlush: () => crash(opening, { skip: [STEP.headerFlush] }),
  // Only growth relies on the header at once; opening has other fences before it stores anything.
  headerFence: () => crash(dying, { skip: [STEP.headerFence], imagesPerInstant: 64 }),
  recordFlush: () => crash(lists, { skip: [STEP.recordFlush] }),
  recordFence: () => crash(lists, { skip: [STEP.recordFence] }),
  dataFlush: () => crash(lists, { skip: [STEP.dataFlush] }),
  // Only transactions of more ranges than a commit record lists have this fence.
  dataFence: () => crash(many, { skip: [STEP.dataFence], imagesPerInstant: 160 }),
  commitFlush: () => crash(lists, { skip: [STEP.commitFlush] }),
  commitFence: () => crash(lists, { skip: [STEP.commitFence] }),
  rollbackFlush: () => crash(nested, { skip: [STEP.rollbackFlush] }),
  rollbackFence: () => crash(nested, { skip: [STEP.rollbackFence], imagesPerInstant: 200 }),
  // Seen by a second crash, when the header's epoch has moved on and the restored data has not arrived.
  recoveryFlush: () => crash(nested, { skip: [STEP.recoveryFlush], nested: DEEP }),
  recoveryFence: () => crash(nested, { skip: [STEP.recoveryFence], nested: DEEP }),
};

afterEach(() => {
  vi.restoreAllMocks();
});

describe('a violation is found', () => {
  it.each(Object.keys(STEP) as (keyof typeof STEP)[])('when %s is left out', (step) => {
    expect(SHOWN_BY[step]().violations.length).toBe(1);
  });

  for (const copy of ['headerA', 'headerB'] as const) {
    it(`when ${copy} is never flushed`, () => {
      const { flush } = SimulatedMemory.prototype;
      vi.spyOn(SimulatedMemory.prototype, 'flush').mockImplementation(function (
        this: SimulatedMemory,
        at,
        bytes,
        step,
      ) {
        if (step !== STEP.headerFlush || at !== REGION[copy].offset) flush.call(this, at, bytes, step);
      });
      expect(crash(opening).violations.length).toBe(1);
    });
  }

  it('when records are not chained to the one before', () => {
    const { append } = PortableRecordWriter.prototype;
    vi.spyOn(PortableRecordWriter.prototype, 'append').mockImplementation(function (
      this: PortableRecordWriter,
    ) {
      const seed = this.control[0] as number;
      append.call(this);
      this.control[0] = seed;
    });
    expect(crash(lists).violations.length).toBe(1);
  });
});
