/** An environment without code generation: the basic suite passes there, run against the compiled library. */
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { expect, it } from 'vitest';
import { testPools } from '../pool/helpers.js';

const pools = testPools();
const root = fileURLToPath(new URL('../..', import.meta.url));

it('works where code must not be compiled from strings', () => {
  execFileSync('npm', ['run', '--silent', 'build:ts'], { cwd: root, stdio: 'pipe' });
  const script = join(root, 'test/instance/no-codegen.mjs');
  const library = pathToFileURL(join(root, 'dist/index.js')).href;
  for (const flags of [[], ['--disallow-code-generation-from-strings']]) {
    const run = (): string =>
      execFileSync(process.execPath, [...flags, script, library, pools.path(`codegen ${flags.length}`)], {
        encoding: 'utf8',
        stdio: 'pipe',
      });
    if (flags.length > 0) expect(run()).toContain('the basic suite passed');
    else expect(run).toThrow(/EvalError|Missing expected exception/);
  }
});
