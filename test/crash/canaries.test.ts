/**
 * Canaries: with any one step of the protocol left out, the exploration finds a violation. If one of these fails, either
 * the exploration has gone blind or the step is not needed.
 */
import { afterEach, describe, expect, it, vi } from 'vitest';
import { REGION } from '../../src/format/index.js';
import { STEP } from '../../src/memory/step.js';
import { SimulatedMemory } from '../../src/testing/simulated-memory.js';
import { PortableRecordWriter } from '../../src/txn/index.js';
import { dying, opening } from './opening.js';
import { wrapping } from './redo-scenarios.js';
import { type CrashTest, crash, type MediumName, type Scenario } from './scenario.js';
import { lists, many, nested } from './scenarios.js';

const DEEP = { every: 1, imagesPerInstant: 24 };

type StepName = keyof typeof STEP;
// Each has types of its own.
// biome-ignore lint/suspicious/noExplicitAny: what a scenario is about, only the scenario knows
type Shown = readonly [Scenario<any, any>, CrashTest?];

/** Which workload shows what a step is for. A medium has the steps that are listed for it. */
const SHOWN_BY: Record<MediumName, Partial<Record<StepName, Shown>>> = {
  'undo log': {
    headerFlush: [opening],
    // Only growth relies on the header at once; opening has other fences before it stores anything.
    headerFence: [dying, { imagesPerInstant: 64 }],
    recordFlush: [lists],
    recordFence: [lists],
    dataFlush: [lists],
    // Only transactions of more ranges than a commit record lists have this fence.
    dataFence: [many, { imagesPerInstant: 160 }],
    commitFlush: [lists],
    commitFence: [lists],
    rollbackFlush: [nested],
    rollbackFence: [nested, { imagesPerInstant: 200 }],
    // Seen by a second crash, when the header's epoch has moved on and the restored data has not arrived.
    recoveryFlush: [nested, { nested: DEEP }],
    recoveryFence: [nested, { nested: DEEP }],
  },
  'redo log on a disk': {
    headerFence: [lists],
    recoveryFlush: [lists],
    walAppend: [lists],
    walSync: [lists],
    walCreate: [lists],
    walCreateSync: [lists],
    pageWrite: [lists],
    pageSync: [lists],
    walTail: [lists],
    // Seen where room in front of the new tail is used before the tail is durable.
    walTailSync: [many],
  },
  'redo log on a disk, relaxed': {
    headerFence: [lists],
    recoveryFlush: [lists],
    recoveryFence: [lists, { nested: DEEP }],
    walAppend: [lists],
    // Where each commit is durable, so is the log when its pages are written: this is for all others.
    walSyncAhead: [lists, { imagesPerInstant: 24 }],
  },
  'redo log in persistent memory': {
    headerFence: [lists],
    recoveryFlush: [lists],
    walAppend: [lists],
    walSync: [lists],
    walCreate: [lists],
    walCreateSync: [lists],
    pageWrite: [wrapping, { imagesPerInstant: 12 }],
    pageSync: [wrapping, { imagesPerInstant: 12 }],
    walTail: [wrapping, { imagesPerInstant: 12 }],
    walTailSync: [many, { imagesPerInstant: 48 }],
  },
};
const CANARIES = Object.entries(SHOWN_BY).flatMap(([medium, steps]) =>
  Object.entries(steps).map(
    ([step, [scenario, test]]) => [step as StepName, medium as MediumName, scenario, test] as const,
  ),
);

afterEach(() => {
  vi.restoreAllMocks();
});

describe('a violation is found', () => {
  it.each(CANARIES)('when %s is left out: %s', (step, medium, scenario, test) => {
    const report = crash(scenario, { imagesPerInstant: 64, ...test, medium, skip: [STEP[step]] });
    expect(report.violations.length).toBe(1);
  });

  it('for every step', () => {
    expect(new Set(CANARIES.map(([step]) => step))).toEqual(new Set(Object.keys(STEP)));
  });

  it('when the log of a process that died is not made durable before the pool takes anything from it', () => {
    const test = { medium: 'redo log on a disk, relaxed', skip: [STEP.walSyncAhead] } as const;
    expect(crash(opening, test).violations.length).toBe(1);
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
