/**
 * Fault test: the 1st, 2nd, 3rd ... system call of a process on the files of its pool fails, once or from then on.
 * The process must tell, go on or refuse to, and end by itself; what it leaves is a prefix of its transactions with all
 * that were acknowledged. `PERDURE_LONG=1`: every call, else a sample; `PERDURE_SEED` repeats one.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { PoolOptions } from '../../src/index.js';
import { Random } from '../../src/testing/index.js';
import { Scratch } from '../memory/fixtures.js';
import { allCases, type FaultCase, sampleCases } from './plan.js';
import { buildPrograms, makeDead, type Outcome, type Programs, runCase, type Setting } from './run.js';
import type { Workload } from './workload.js';

const LONG = process.env.PERDURE_LONG === '1';
const SEED = Number(process.env.PERDURE_SEED ?? Date.now() % 2 ** 32);
const PARALLEL = 2;

const scratch = new Scratch();
let programs: Programs;

beforeAll(async () => {
  programs = await buildPrograms();
});
afterAll(() => {
  programs?.remove();
  scratch.removeAll();
});

interface Row {
  readonly pool: string;
  readonly place: 'disk' | 'memory';
  readonly options: PoolOptions;
  readonly relaxed: boolean;
  readonly asynchronous: boolean;
  /** Calls that the workload must have made: the test is worth nothing when they pass it by. */
  readonly calls: readonly string[];
  /** The same for the recovery. */
  readonly recoveryCalls: readonly string[];
}

const CREATION = ['open pool', 'mmap pool', 'fallocate pool', 'fsync folder', 'link pool', 'unlink pool'];
const REDO = ['pwrite wal', 'fdatasync wal', 'pwrite pool', 'fdatasync pool', 'unlink wal'];
const REPLAY = ['open wal', 'pread wal', 'pwrite pool', 'fdatasync pool', 'unlink wal'];
const MAX_SIZE = 64 << 20;

const ROWS: readonly Row[] = [
  {
    pool: 'undo log, emulated persistent memory on disk',
    place: 'disk',
    options: { emulate: true, logSize: 4096, maxSize: MAX_SIZE },
    relaxed: false,
    asynchronous: false,
    calls: CREATION,
    recoveryCalls: ['open pool', 'mmap pool'],
  },
  {
    pool: 'redo log on disk, strict',
    place: 'disk',
    options: {
      domain: 'block',
      walSize: 2 << 20,
      checkpointInterval: 10,
      memoryBudget: 256 << 10,
      maxSize: MAX_SIZE,
    },
    relaxed: false,
    asynchronous: true,
    calls: [...CREATION, ...REDO, 'fallocate wal', 'madvise pool'],
    recoveryCalls: REPLAY,
  },
  {
    // Its large transactions need more than the log may have.
    pool: 'redo log on disk, relaxed',
    place: 'disk',
    options: {
      domain: 'block',
      durability: 'relaxed',
      flushInterval: 5,
      walSize: 128 << 10,
      checkpointInterval: 20,
      memoryBudget: 256 << 10,
      maxSize: MAX_SIZE,
    },
    relaxed: true,
    asynchronous: true,
    calls: [...CREATION, ...REDO, 'fallocate wal', 'madvise pool', 'mmap wal'],
    recoveryCalls: [...REPLAY, 'mmap wal'],
  },
  {
    pool: 'redo log on tmpfs',
    place: 'memory',
    options: { log: 'redo', walSize: 512 << 10, checkpointInterval: 10, maxSize: MAX_SIZE },
    relaxed: false,
    asynchronous: true,
    calls: [...CREATION, 'mmap wal', 'pwrite pool', 'unlink wal'],
    recoveryCalls: ['open wal', 'pread wal', 'pwrite pool', 'unlink wal'],
  },
];

describe.each(ROWS)('$pool', ({ pool, place, options, relaxed, asynchronous, ...row }) => {
  const common = { options, relaxed, asynchronous };
  const timeout = LONG ? 7_200_000 : 240_000;

  it('survives the failure of any system call', { timeout }, async () => {
    const workload: Workload = { ...common, before: 0, transactions: 30, end: 'close' };
    const parent = scratch[place]();
    await tryFaults(pool, { programs, workload, parent, template: null }, row.calls, 40);
  });

  it('survives the failure of any system call in the recovery from a crash', { timeout }, async () => {
    const before = 14;
    const parent = scratch[place]();
    // No checkpoint after the last transactions: they are in the log.
    const crash = { ...options, checkpointInterval: 0 };
    const dying: Workload = { ...common, options: crash, before: 0, transactions: before, end: 'death' };
    const template = await makeDead(programs, dying, parent);
    const workload: Workload = { ...common, before, transactions: before + 1, end: 'close' };
    await tryFaults(pool, { programs, workload, parent, template }, row.recoveryCalls, 20);
  });
});

/** Runs a setting without faults, and then into all of them or a sample. */
async function tryFaults(
  what: string,
  setting: Setting,
  expected: readonly string[],
  sample: number,
): Promise<void> {
  const { calls, violation } = await runCase(setting, null);
  expect(violation).toBe(null);
  const made = new Set(calls.map(({ name, file }) => `${name} ${file}`));
  expect(expected.filter((call) => !made.has(call))).toEqual([]);
  const all = allCases(calls);
  const cases = LONG ? all : sampleCases(all, sample, new Random(SEED));
  const outcomes = await runAll(cases, (fault) => runCase(setting, fault));
  console.log(`${what}: ${calls.length} calls, ${cases.length} of ${all.length} faults, seed ${SEED}`);
  expect(outcomes.map((outcome) => outcome.violation).filter((found) => found !== null)).toEqual([]);
}

/** A few at a time. */
async function runAll(
  cases: readonly FaultCase[],
  run: (fault: FaultCase) => Promise<Outcome>,
): Promise<Outcome[]> {
  const outcomes: Outcome[] = [];
  const waiting = [...cases];
  const work = async (): Promise<void> => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift())
      outcomes.push(await run(next));
  };
  await Promise.all(Array.from({ length: PARALLEL }, work));
  return outcomes;
}
