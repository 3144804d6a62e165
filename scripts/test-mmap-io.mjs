/**
 * Runs the tests of the mmap-io backend against a real mmap-io: `node scripts/test-mmap-io.mjs`. Installs the
 * package into a temporary folder, compiles its addon there (mmap-io 1.1.7 needs C++20 on Node 20 and later) and
 * removes the folder again. Needs a C++ compiler, Python and make, and the headers of this Node (node-gyp
 * downloads them unless npm's `nodedir` is set).
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const VERSION = '1.1.7';
const root = dirname(dirname(fileURLToPath(import.meta.url)));
const folder = mkdtempSync(join(tmpdir(), 'perdure-mmap-io-'));

/** Runs a step; its output is shown only when it fails, unless `show`. */
function run(what, command, args, { cwd, env = {}, show = false }) {
  const result = spawnSync(command, args, {
    cwd,
    env: { ...process.env, ...env },
    stdio: show ? 'inherit' : 'pipe',
    encoding: 'utf8',
  });
  if (result.status === 0) return;
  if (!show) console.error(`${result.stdout ?? ''}${result.stderr ?? ''}`);
  throw new Error(
    `${what} failed: ${result.error?.message ?? `exit code ${result.status ?? result.signal}`}`,
  );
}

try {
  writeFileSync(join(folder, 'package.json'), '{ "private": true }\n');
  const install = ['install', `mmap-io@${VERSION}`, '--ignore-scripts', '--no-audit', '--no-fund'];
  run(`installing mmap-io ${VERSION}`, 'npm', install, { cwd: folder });
  // Run by hand: npm 11 and later do not run the install scripts of dependencies unless each is allowed.
  const packageFolder = join(folder, 'node_modules', 'mmap-io');
  const env = { CXXFLAGS: `${process.env.CXXFLAGS ?? ''} -std=gnu++20`.trim() };
  run('compiling mmap-io', 'npm', ['run', 'build-addon'], { cwd: packageFolder, env });
  const vitest = join(root, 'node_modules', 'vitest', 'vitest.mjs');
  run(
    'the test',
    process.execPath,
    [
      vitest,
      'run',
      'test/memory/mmap-io.test.ts',
      'test/pool/mmap-io-pool.test.ts',
      ...process.argv.slice(2),
    ],
    {
      cwd: root,
      env: { PERDURE_MMAP_IO: packageFolder },
      show: true,
    },
  );
} catch (error) {
  console.error(`test-mmap-io: ${error.message}`);
  process.exitCode = 1;
} finally {
  rmSync(folder, { recursive: true, force: true });
}
