/** The lock file that stands in for flock: one owner, and none that outlives its process. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import { NativeBackend } from '../../src/memory/index.js';
import { flockHolder, lockFileHolder, takeLockFile } from '../../src/memory/lock-file.js';
import { loadAddon, MAP_FLAG } from '../../src/memory/native-addon.js';
import { caught, openOptions, Scratch } from './fixtures.js';

const scratch = new Scratch();
let directory: string;
let path: string;
let lock: string;
beforeEach(() => {
  directory = scratch.disk();
  path = join(directory, 'x.pool');
  lock = `${path}.lock`;
});
afterAll(() => scratch.removeAll());

describe('lock file', () => {
  it('is taken once and given up', () => {
    const held = takeLockFile(path);
    const error = caught(() => takeLockFile(path));
    expect(error).toMatchObject({ code: 'LOCKED', details: { holder: 'this process' } });
    expect(error.message).toContain(path);
    expect(readdirSync(directory)).toEqual(['x.pool.lock']);
    held.release();
    expect(readdirSync(directory)).toEqual([]);
    takeLockFile(path).release();
  });

  it('is one for all names of a file', () => {
    writeFileSync(path, '');
    symlinkSync(path, join(directory, 'alias.pool'));
    const held = takeLockFile(path);
    expect(caught(() => takeLockFile(join(directory, 'alias.pool')))).toMatchObject({ code: 'LOCKED' });
    held.release();
  });

  it('is refused while its owner lives, and taken over when it is dead', async () => {
    const child = spawn('sleep', ['60']);
    const stat = readFileSync(`/proc/${child.pid}/stat`, 'utf8');
    const started = stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
    writeFileSync(lock, `${child.pid} ${started}\n`);
    expect(lockFileHolder(path)).toContain(String(child.pid));
    expect(caught(() => takeLockFile(path)).message).toContain(`process ${child.pid}`);
    child.kill('SIGKILL');
    await once(child, 'exit');
    expect(lockFileHolder(path)).toBeNull();
    takeLockFile(path).release();
    expect(readdirSync(directory)).toEqual([]);
  });

  it('is stale when its process id was given to another process, or it makes no sense', () => {
    for (const content of [`${process.pid} 1`, '', 'x', '0 ?', '-1 ?', '99999999 ?', `${2 ** 40} 5`]) {
      writeFileSync(lock, content);
      expect(lockFileHolder(path), content).toBeNull();
      takeLockFile(path).release();
      expect(existsSync(lock)).toBe(false);
    }
  });

  it('is not released by one who lost it', () => {
    const held = takeLockFile(path);
    writeFileSync(lock, '1 1');
    held.release();
    expect(existsSync(lock)).toBe(true);
  });
});

describe('beside the native backend', () => {
  it('keeps the native backend out while it is held', () => {
    const backend = new NativeBackend();
    const memory = backend.open(openOptions(path, { mode: 'create' }));
    memory.publish();
    memory.close();
    const held = takeLockFile(path);
    expect(caught(() => backend.open(openOptions(path)))).toMatchObject({ code: 'LOCKED' });
    held.release();
    backend.open(openOptions(path)).close();
  });

  it('sees the flock of the native backend', () => {
    const found = loadAddon();
    if (found.addon === null) throw new Error(found.reason);
    const mapping = found.addon.map(path, 4096, MAP_FLAG.create);
    expect(flockHolder(path)).toContain(String(process.pid));
    mapping.unmap();
    expect(flockHolder(path)).toBeNull();
  });
});
