/**
 * Checks the package as users get it: `node scripts/check-package.mjs [--quick] [--all-nodes]`, after a build.
 *
 *   1. npm pack; the tarball holds what it must and nothing else; publint and attw find no fault.
 *   2. Unless `--quick`: installs the tarball in an empty folder, without reflect-metadata, and runs there the examples of
 *      README.md in JavaScript and TypeScript (compiled with the settings of the README), and imports perdure/testing.
 *   3. With `--all-nodes`: runs them on each of NODES too, which npx fetches.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const NODES = ['20', '22', '24', '26'];
const root = dirname(dirname(fileURLToPath(import.meta.url)));
const { values: options } = parseArgs({
  options: { quick: { type: 'boolean' }, 'all-nodes': { type: 'boolean' } },
});
const folder = mkdtempSync(join(tmpdir(), 'perdure-package-'));

try {
  const tarball = pack();
  run('publint', tool('publint'), ['run', tarball, '--strict'], root);
  run('attw', tool('attw'), [tarball, '--profile', 'esm-only'], root);
  console.log('publint and attw: passed');
  if (!options.quick) {
    install(tarball);
    checkPrograms([process.execPath]);
    if (options['all-nodes'])
      for (const version of NODES) checkPrograms(['npx', '-y', '-p', `node@${version}`, 'node']);
  }
} catch (error) {
  console.error(`check-package: ${error.message}`);
  process.exitCode = 1;
} finally {
  rmSync(folder, { recursive: true, force: true });
}

/** Makes the tarball from what is built; returns its path. */
function pack() {
  const output = run(
    'npm pack',
    'npm',
    ['pack', '--json', '--ignore-scripts', '--pack-destination', folder],
    root,
  );
  // An array, or from npm 12 on an object with one member for each package.
  const [{ filename, files, size }] = Object.values(JSON.parse(output));
  const paths = files.map((file) => file.path);
  const allowed =
    /^(dist\/.*\.(js|js\.map|d\.ts)|prebuilds\/linux-\w+\/perdure\.node|docs\/[\w/-]+\.md|native\/[\w-]+\.[ch]|package\.json|README\.md|CHANGELOG\.md|LICENSE)$/;
  const required = [
    'dist/index.js',
    'dist/index.d.ts',
    'dist/testing/index.js',
    'dist/testing/index.d.ts',
    'prebuilds/linux-x64/perdure.node',
    'package.json',
    'README.md',
    'CHANGELOG.md',
    'LICENSE',
  ];
  const strange = paths.filter((path) => !allowed.test(path) || path.includes('.test.'));
  const missing = required.filter((path) => !paths.includes(path));
  if (strange.length > 0) throw new Error(`the tarball holds ${strange.join(', ')}`);
  if (missing.length > 0) throw new Error(`the tarball lacks ${missing.join(', ')}`);
  const scripts = Object.keys(JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).scripts);
  const atInstall = scripts.filter((name) => ['preinstall', 'install', 'postinstall'].includes(name));
  if (atInstall.length > 0) throw new Error(`users would have to run a script: ${atInstall.join(', ')}`);
  console.log(`${filename}: ${paths.length} files, ${Math.round(size / 1024)} KiB`);
  return join(folder, filename);
}

/** Writes a user's project into the folder, with the programs of the README. */
function install(tarball) {
  const { devDependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  const manifest = {
    private: true,
    type: 'module',
    dependencies: { perdure: `file:${tarball}` },
    devDependencies: {
      '@types/node': devDependencies['@types/node'],
      typescript: devDependencies.typescript,
    },
  };
  writeFileSync(join(folder, 'package.json'), JSON.stringify(manifest, null, 2));
  run('npm install', 'npm', ['install', '--no-audit', '--no-fund'], folder);
  const readme = readFileSync(join(root, 'README.md'), 'utf8');
  writeFileSync(join(folder, 'tsconfig.json'), block(readme, 'json', '"compilerOptions"'));
  writeFileSync(join(folder, 'list.ts'), block(readme, 'ts', 'Pool.open'));
  writeFileSync(join(folder, 'plain.mjs'), block(readme, 'js', 'Pool.open'));
  run('tsc', join(folder, 'node_modules', '.bin', 'tsc'), [], folder);
}

/** Runs the programs on one Node. */
function checkPrograms([command, ...first]) {
  const node = (...args) => run(`node ${args.join(' ')}`, command, [...first, ...args], folder);
  const version = node('--version').trim();
  for (const program of ['list.js', 'plain.mjs']) {
    for (const pool of ['app.pool', 'plain.pool']) rmSync(join(folder, pool), { force: true });
    expect(program, node(program), '0: entry 0\n');
    expect(`${program}, run again`, node(program), '0: entry 0\n1: entry 1\n');
  }
  const testing = "import('perdure/testing').then((m) => console.log(typeof m.exploreCrashes))";
  expect('perdure/testing', node('-e', testing), 'function\n');
  console.log(`Node ${version}: the programs of the README print what they should, perdure/testing imports`);
}

function block(readme, language, wanted) {
  const blocks = readme.matchAll(new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\`$`, 'gms'));
  for (const [, text] of blocks) if (text.includes(wanted)) return text;
  throw new Error(`README.md has no ${language} block with ${wanted}`);
}

function expect(what, actual, expected) {
  if (actual !== expected)
    throw new Error(`${what} printed ${JSON.stringify(actual)}, expected ${JSON.stringify(expected)}`);
}

function tool(name) {
  return join(root, 'node_modules', '.bin', name);
}

/** Runs a step and returns what it prints; what it says is shown only when it fails. */
function run(what, command, args, cwd) {
  const result = spawnSync(command, args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
  if (result.status === 0) return result.stdout;
  console.error(`${result.stdout ?? ''}${result.stderr ?? ''}`);
  throw new Error(
    `${what} failed: ${result.error?.message ?? `exit status ${result.status ?? result.signal}`}`,
  );
}
