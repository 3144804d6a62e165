/** The closing line of .ci/run. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';

const SCRIPT = join(
  dirname(dirname(dirname(fileURLToPath(import.meta.url)))),
  'scripts',
  'summarize-tests.mjs',
);
let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'perdure-summary-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

interface Counts {
  readonly passed: number;
  readonly failed?: number;
  readonly pending?: number;
  /** States of the tests of one failed file. */
  readonly failedFile?: readonly string[];
}

function summary({ passed, failed = 0, pending = 0, failedFile }: Counts, status: number): string[] {
  const file = join(folder, 'report.json');
  const assertionResults = failedFile?.map((state) => ({ status: state }));
  const testResults = [{ status: 'passed', assertionResults: [{ status: 'passed' }] }];
  if (assertionResults !== undefined) testResults.push({ status: 'failed', assertionResults });
  const report = {
    numPassedTests: passed,
    numFailedTests: failed,
    numPendingTests: pending,
    numTodoTests: 0,
    testResults,
  };
  writeFileSync(file, JSON.stringify(report));
  return lines(file, status);
}

function lines(file: string, status: number): string[] {
  const { stdout } = spawnSync(process.execPath, [SCRIPT, file, String(status)], { encoding: 'utf8' });
  return stdout.trimEnd().split('\n');
}

it('counts what passed and failed', () => {
  expect(summary({ passed: 7 }, 0)).toEqual(['7 passed, 0 failed']);
  expect(summary({ passed: 7, failed: 2, failedFile: ['failed', 'failed'] }, 1)).toEqual([
    '7 passed, 2 failed',
  ]);
});

it('names skipped tests where there are any', () => {
  expect(summary({ passed: 7, pending: 3 }, 0)).toEqual(['7 passed, 0 failed, 3 skipped']);
});

it('counts a file that cannot be loaded as one failure', () => {
  expect(summary({ passed: 7, failedFile: [] }, 1)).toEqual(['7 passed, 1 failed']);
});

it('never says that nothing failed when the command did', () => {
  expect(summary({ passed: 7 }, 2)).toEqual([
    'the command failed (exit status 2) without a failed test: counted as one failure',
    '7 passed, 1 failed',
  ]);
  const missing = lines(join(folder, 'missing.json'), 1);
  expect(missing[0]).toMatch(/^no results of the tests: ENOENT/);
  expect(missing.at(-1)).toBe('0 passed, 1 failed');
});
