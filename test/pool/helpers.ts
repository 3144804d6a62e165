/** What the tests of pools share. */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, expect } from 'vitest';
import { type PerdureError, Pool, type PoolOptions } from '../../src/index.js';
import { Scratch } from '../memory/fixtures.js';

export interface TestPools {
  readonly directory: string;
  path(name?: string): string;
  /** Opens or creates a pool, which is checked and closed after the test. */
  open(options: PoolOptions, name?: string): Pool;
}

/** `PERDURE_TEST_LOG=redo` runs the same tests on the redo log, with checkpoints and pages given back all the time. */
const LOG: PoolOptions =
  process.env.PERDURE_TEST_LOG === 'redo' ? { log: 'redo', walSize: 16 * 1024, memoryBudget: 0 } : {};

/** Call at the top of a test file. */
export function testPools(): TestPools {
  const scratch = new Scratch();
  const directory = scratch.memory();
  const open: Pool[] = [];
  const used = new Set<string>();
  afterEach(() => {
    for (const pool of open.splice(0)) {
      if (pool.closed) continue;
      const { problems, leakedBlocks } = pool.check();
      pool.close();
      expect(problems).toEqual([]);
      expect(leakedBlocks).toBe(0);
    }
    for (const path of used) rmSync(path, { recursive: true, force: true });
    used.clear();
  });
  afterAll(() => scratch.removeAll());
  const path = (name = 'test'): string => {
    const result = join(directory, `${name}.pool`);
    used.add(result);
    return result;
  };
  return {
    directory,
    path,
    open: (options, name) => {
      const pool = Pool.open(path(name), {
        emulate: { flush: false },
        maxSize: 2 ** 26,
        ...LOG,
        ...options,
      });
      open.push(pool);
      return pool;
    },
  };
}

/** Expects a perdure error of this code whose message matches everything given. */
export function expectError(
  code: string,
  action: () => unknown,
  ...patterns: readonly (RegExp | string)[]
): PerdureError {
  let error: unknown;
  try {
    action();
  } catch (thrown) {
    error = thrown;
  }
  expect(error, 'nothing was thrown').toBeInstanceOf(Error);
  const { code: actual, message, stack } = error as PerdureError;
  expect(actual, `${message}\n${stack}`).toBe(code);
  for (const pattern of patterns) expect(message).toMatch(pattern);
  return error as PerdureError;
}
