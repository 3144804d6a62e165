/**
 * Compiles the addon: `node native/build.mjs`. One call of the C compiler ($CC or cc) against the headers of
 * the npm package node-api-headers; the result, prebuilds/<platform>-<arch>/perdure.node, runs on every Node
 * from 20 on (Node-API 8) and on every processor of its architecture. No node-gyp, Python or make.
 *
 * Environment: CC, CFLAGS (added), PERDURE_ARCH (cross-compiling: the target's process.arch),
 * PERDURE_WERROR=1 or CI (warnings fail).
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
const root = dirname(here);
const arch = process.env.PERDURE_ARCH || process.arch;
const compiler = (process.env.CC || 'cc').split(' ').filter(Boolean);

function fail(message) {
  console.error(`perdure: cannot build the native addon: ${message}`);
  process.exit(1);
}

if (process.platform !== 'linux') {
  fail(`it uses Linux system calls, and this is ${process.platform}. Build it on Linux.`);
}

let includeDir;
try {
  includeDir = (await import('node-api-headers')).include_dir;
} catch (cause) {
  fail(`the package node-api-headers is missing (${cause.code}). Run "npm install" first.`);
}

const target = join(root, 'prebuilds', `linux-${arch}`, 'perdure.node');
const temporary = `${target}.${process.pid}`;
mkdirSync(dirname(target), { recursive: true });
const sources = readdirSync(here)
  .filter((name) => name.endsWith('.c'))
  .map((name) => join(here, name));
const strict = process.env.CI || process.env.PERDURE_WERROR ? ['-Werror'] : [];
const flags = [
  ...[
    '-std=gnu11',
    '-O2',
    '-fPIC',
    '-shared',
    '-fvisibility=hidden',
    '-pthread',
    '-Wall',
    '-Wextra',
    ...strict,
  ],
  ...(process.env.CFLAGS ?? '').split(' ').filter(Boolean),
];
const args = [...compiler.slice(1), ...flags, `-I${includeDir}`, '-o', temporary, ...sources];
const run = spawnSync(compiler[0], args, { stdio: 'inherit' });
if (run.error || run.status !== 0) rmSync(temporary, { force: true });
if (run.error?.code === 'ENOENT') {
  fail(
    `no C compiler "${compiler[0]}". Install one (Debian, Ubuntu: apt install gcc libc6-dev; Fedora: dnf install gcc; ` +
      'Alpine: apk add gcc musl-dev), or set CC to the one you have.',
  );
}
if (run.error) fail(`${compiler[0]} did not run: ${run.error.message}`);
if (run.status !== 0)
  fail(`${compiler[0]} failed (${run.signal ?? `exit code ${run.status}`}); its messages stand above.`);
renameSync(temporary, target); // a process that has the old file loaded keeps it
console.log(`built ${relative(process.cwd(), target)}`);
