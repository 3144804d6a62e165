/**
 * Fault test: the 1st, 2nd, 3rd ... system call of a process on the files of its pool fails, once or from then on.
 * The process must tell, go on or refuse to, and end by itself; what it leaves is a prefix of its transactions with all
 * that were acknowledged. `PERDURE_LONG=1`: every call, else a sample; `PERDURE_SEED` repeats one.
 */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { Random } from '../../src/testing/index.js';
import { Scratch } from '../memory/fixtures.js';
import { allCases, type FaultCase, sampleCases } from './plan.js';
import { buildPrograms, type Outcome, type Programs, runCase } from './run.js';
import type { Workload } from './workload.js';

const LONG = process.env.PERDURE_LONG === '1';
const SEED = Number(process.env.PERDURE_SEED ?? Date.now() % 2 ** 32);
const SAMPLE = 60;
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
  readonly workload: Workload;
  /** Calls that the workload must have made: the test is worth nothing when they pass it by. */
  readonly calls: readonly string[];
}

const CREATION = ['open pool', 'mmap pool', 'fallocate pool', 'fsync folder', 'link pool', 'unlink pool'];
const REDO = ['pwrite wal', 'fdatasync wal', 'pwrite pool', 'fdatasync pool', 'unlink wal'];
const UPKEEP = ['fallocate wal', 'madvise pool'];
const MAX_SIZE = 64 << 20;

const ROWS: readonly Row[] = [
  {
    pool: 'undo log, emulated persistent memory on disk',
    place: 'disk',
    workload: {
      options: { emulate: true, logSize: 4096, maxSize: MAX_SIZE },
      transactions: 40,
      relaxed: false,
      asynchronous: false,
    },
    calls: CREATION,
  },
  {
    pool: 'redo log on disk, strict',
    place: 'disk',
    workload: {
      options: {
        domain: 'block',
        walSize: 2 << 20,
        checkpointInterval: 10,
        memoryBudget: 256 << 10,
        maxSize: MAX_SIZE,
      },
      transactions: 40,
      relaxed: false,
      asynchronous: true,
    },
    calls: [...CREATION, ...REDO, ...UPKEEP],
  },
  {
    // Its large transactions need more than the log may have.
    pool: 'redo log on disk, relaxed',
    place: 'disk',
    workload: {
      options: {
        domain: 'block',
        durability: 'relaxed',
        flushInterval: 5,
        walSize: 128 << 10,
        checkpointInterval: 20,
        memoryBudget: 256 << 10,
        maxSize: MAX_SIZE,
      },
      transactions: 40,
      relaxed: true,
      asynchronous: true,
    },
    calls: [...CREATION, ...REDO, ...UPKEEP, 'mmap wal', 'ftruncate wal'],
  },
  {
    pool: 'redo log on tmpfs',
    place: 'memory',
    workload: {
      options: { log: 'redo', walSize: 512 << 10, checkpointInterval: 10, maxSize: MAX_SIZE },
      transactions: 40,
      relaxed: false,
      asynchronous: true,
    },
    calls: [...CREATION, 'mmap wal', 'pwrite pool', 'unlink wal'],
  },
];

it.each(ROWS)('any system call may fail: $pool', { timeout: LONG ? 3_600_000 : 240_000 }, async (row) => {
  const parent = scratch[row.place]();
  const { calls, violation } = await runCase(programs, row.workload, parent, null);
  expect(violation).toBe(null);
  const made = new Set(calls.map(({ name, file }) => `${name} ${file}`));
  expect(row.calls.filter((call) => !made.has(call))).toEqual([]);
  const all = allCases(calls);
  const cases = LONG ? all : sampleCases(all, SAMPLE, new Random(SEED));
  const outcomes = await runAll(cases, (fault) => runCase(programs, row.workload, parent, fault));
  console.log(`${row.pool}: ${calls.length} calls, ${cases.length} of ${all.length} faults, seed ${SEED}`);
  expect(outcomes.map((outcome) => outcome.violation).filter((what) => what !== null)).toEqual([]);
});

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
