/** Every bench case runs, at a small size, so that none rots; its output has the promised shape. */
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';

const ROOT = join(import.meta.dirname, '..', '..');

it('prints one JSON object a line for each case', () => {
  if (!existsSync(join(ROOT, 'dist', 'index.js')))
    throw new Error('the benches run on the built package: npm run build');
  execFileSync('npm', ['run', '--silent', 'build:bench'], { cwd: ROOT });
  const output = execFileSync(process.execPath, ['build/bench/main.js', '--smoke', '--json'], {
    cwd: ROOT,
    encoding: 'utf8',
  });
  const results = output
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
  expect(results.length).toBeGreaterThan(40);
  for (const result of results) {
    expect(Object.keys(result)).toEqual(['case', 'ns', 'baselineNs', 'ratio']);
    expect(result.case).toMatch(/^[a-z]+\/[a-z0-9-]+\/[A-Za-z0-9-]+$/);
    expect(result.ns).toBeGreaterThan(0);
    expect(result.ratio).toBeCloseTo((result.ns as number) / (result.baselineNs as number), 6);
  }
});
