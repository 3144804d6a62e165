/**
 * What the virtual machine boots: Debian's kernel package, unpacked below build/ (nothing is installed), and an
 * initramfs with busybox, this Node with its libraries, the built package and the workload.
 */
import { spawnSync } from 'node:child_process';
import {
  accessSync,
  chmodSync,
  constants,
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { basename, delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const HERE = dirname(fileURLToPath(import.meta.url));
const ROOT = join(HERE, '..', '..');
const CACHE = join(ROOT, 'build', 'power');
/** The kernel for virtual machines: a third of the size of the other, and quicker to boot. */
const KERNEL_PACKAGE = 'linux-image-cloud-amd64';
const MODULES = ['virtio_pci', 'virtio_blk', 'nd_pmem', 'nd_e820'];
const PROGRAMS = {
  'qemu-system-x86_64': 'qemu-system-x86',
  busybox: 'busybox-static',
  cpio: 'cpio',
  'mkfs.ext4': 'e2fsprogs',
  'dpkg-deb': 'dpkg',
  ldd: 'libc-bin',
};

/** Makes kernel and initramfs; the latter in `folder`. @throws Error that says what is missing and how to get it */
export function makeImage(folder) {
  if (process.platform !== 'linux' || process.arch !== 'x64')
    throw new Error('this test needs Linux on x86-64');
  checkPrograms();
  for (const built of ['dist/index.js', 'prebuilds/linux-x64/perdure.node'])
    if (!existsSync(join(ROOT, built))) throw new Error(`${built} is missing: run npm run build first`);
  const kernelFolder = unpackKernel();
  const kernel = filesBelow(kernelFolder).find((path) => basename(path).startsWith('vmlinuz-'));
  if (kernel === undefined)
    throw new Error(`${kernelFolder} holds no vmlinuz: remove the folder to unpack it anew`);
  return { kernel, initramfs: makeInitramfs(folder, kernelFolder) };
}

/** Makes an ext4 file system in a new file. */
export function makeFileSystem(path, sizeBytes) {
  rmSync(path, { force: true });
  run(programPath('mkfs.ext4'), ['-q', '-F', '-b', '4096', path, `${sizeBytes / 1024}k`]);
}

function checkPrograms() {
  const missing = Object.keys(PROGRAMS).filter((program) => programPath(program) === null);
  if (missing.length === 0) return;
  const packages = missing.map((program) => PROGRAMS[program]).join(' ');
  throw new Error(
    `${missing.join(', ')}: not found. On Debian: apt-get install -y --no-install-recommends ${packages}`,
  );
}

/** Programs of the administrator count too: mkfs needs no privileges for a file. */
function programPath(program) {
  const folders = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/sbin'];
  const paths = folders.map((folder) => join(folder, program));
  return paths.find(isExecutable) ?? null;
}

function isExecutable(path) {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** The folder with the unpacked kernel package, which is downloaded unless there is one. */
function unpackKernel() {
  const unpacked = join(CACHE, 'kernel');
  if (existsSync(unpacked)) return unpacked;
  mkdirSync(CACHE, { recursive: true });
  const findPackage = () => readdirSync(CACHE).find((name) => /^linux-image-.*\.deb$/.test(name));
  if (findPackage() === undefined) downloadKernel();
  const partial = mkdtempSync(join(CACHE, 'unpack-'));
  run('dpkg-deb', ['-x', join(CACHE, findPackage()), partial]);
  renameSync(partial, unpacked);
  return unpacked;
}

function downloadKernel() {
  console.log(`downloading Debian's kernel to ${CACHE}`);
  try {
    // The package of this name is empty and depends on that of the present version.
    const [, name] = /Depends: (linux-image-\S+)/.exec(run('apt-cache', ['depends', KERNEL_PACKAGE])) ?? [];
    if (name === undefined) throw new Error(`apt-cache knows no ${KERNEL_PACKAGE}`);
    run('apt-get', ['download', name], CACHE);
  } catch (error) {
    throw new Error(
      `No kernel for the virtual machine: ${error.message}. Run apt-get update on Debian 12, or put the .deb that ` +
        `https://packages.debian.org/bookworm/${KERNEL_PACKAGE} depends on into ${CACHE}`,
      { cause: error },
    );
  }
}

function makeInitramfs(folder, kernelFolder) {
  const tree = join(folder, 'initramfs');
  for (const name of ['bin', 'dev', 'proc', 'sys', 'disk', 'modules', 'app/node_modules/perdure'])
    mkdirSync(join(tree, name), { recursive: true });
  copyFileSync(join(HERE, 'init.sh'), join(tree, 'init'));
  chmodSync(join(tree, 'init'), 0o755);
  copyFileSync(programPath('busybox'), join(tree, 'bin', 'busybox'));
  copyFileSync(process.execPath, join(tree, 'bin', 'node'));
  for (const [library] of run('ldd', [process.execPath]).matchAll(/(?<=\s)\/\S+/g)) {
    mkdirSync(join(tree, dirname(library)), { recursive: true });
    copyFileSync(library, join(tree, library));
  }
  writeFileSync(join(tree, 'modules', 'order'), copyModules(kernelFolder, join(tree, 'modules')).join('\n'));
  for (const name of ['dist', 'prebuilds', 'package.json'])
    cpSync(join(ROOT, name), join(tree, 'app/node_modules/perdure', name), { recursive: true });
  for (const name of ['guest.mjs', 'workload.mjs']) copyFileSync(join(HERE, name), join(tree, 'app', name));
  const initramfs = join(folder, 'initramfs.cpio');
  const archive = `cd "$1" && find . | cpio --quiet -o -H newc > "$2"`;
  run('sh', ['-c', archive, 'sh', tree, initramfs]);
  rmSync(tree, { recursive: true });
  return initramfs;
}

/** Copies the modules with those that they depend on. Returns their files in the order of loading. */
function copyModules(kernelFolder, target) {
  const paths = new Map(filesBelow(kernelFolder).map((path) => [basename(path), path]));
  const order = [];
  const load = (module) => {
    const file = `${module}.ko`;
    if (order.includes(file)) return;
    const path = paths.get(file);
    if (path === undefined)
      throw new Error(`${kernelFolder} has no ${file}: this test was made for Debian 12`);
    for (const needed of dependencies(path)) load(needed);
    copyFileSync(path, join(target, file));
    order.push(file);
  };
  for (const module of MODULES) load(module);
  return order;
}

/** Names of modules, from the module's own list. */
function dependencies(path) {
  const [, names = ''] = /\0depends=([^\0]*)\0/.exec(readFileSync(path, 'latin1')) ?? [];
  return names.split(',').filter((name) => name !== '');
}

function filesBelow(folder) {
  return readdirSync(folder, { recursive: true }).map((path) => join(folder, path));
}

function run(command, args, cwd) {
  const { status, stdout, stderr, error } = spawnSync(command, args, { cwd, encoding: 'utf8' });
  if (status !== 0) throw new Error(`${command} ${args.join(' ')}: ${error?.message ?? stderr.trim()}`);
  return stdout;
}
