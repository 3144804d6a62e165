/**
 * Prints "N passed, N failed" (", N skipped") from the JSON report of vitest and the exit status of the command that
 * ran it: `node scripts/summarize-tests.mjs <report> <status>`. A command that failed without a failed test counts as
 * one failure, and the line before says so.
 */
import { readFileSync } from 'node:fs';

const [file, status] = process.argv.slice(2);
let passed = 0;
let failed = 0;
let skipped = 0;
try {
  const report = JSON.parse(readFileSync(file, 'utf8'));
  passed = report.numPassedTests;
  skipped = report.numPendingTests + report.numTodoTests;
  // A file that fails outside its tests (an import, a hook) counts as one failure.
  const broken = report.testResults.filter(
    (result) =>
      result.status === 'failed' && !result.assertionResults.some((test) => test.status === 'failed'),
  );
  failed = report.numFailedTests + broken.length;
} catch (error) {
  console.log(`no results of the tests: ${error.message}`);
}
if (status !== '0' && failed === 0) {
  console.log(`the command failed (exit status ${status}) without a failed test: counted as one failure`);
  failed = 1;
}
console.log(`${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`);
