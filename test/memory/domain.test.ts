/** Which persistence domain a medium gets, and which backend a program. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { cachesArePersistent, fileSystemOf } from '../../src/memory/file-system.js';
import { chooseBackend, detectDomain, resolveDomain, resolveLog } from '../../src/memory/index.js';
import { loadMmapIo } from '../../src/memory/mmap-io-module.js';
import { loadAddon } from '../../src/memory/native-addon.js';
import { caught, Scratch } from './fixtures.js';

const scratch = new Scratch();
afterAll(() => scratch.removeAll());

const disk = { path: '/x/y.pool', fileSystem: 'ext4', synchronous: false, cachesPersistent: false };
const pmem = { ...disk, synchronous: true };
const eadr = { ...pmem, cachesPersistent: true };
const tmpfs = { ...disk, fileSystem: 'tmpfs' };
const nothing = { emulate: null, domain: null };

describe('domain', () => {
  it('is detected from the medium', () => {
    expect(detectDomain(disk)).toBe('block');
    expect(detectDomain(pmem)).toBe('memory');
    expect(detectDomain(eadr)).toBe('cpu-cache');
    expect(detectDomain(tmpfs)).toBe('emulated');
    expect(detectDomain({ ...disk, cachesPersistent: true })).toBe('block');
  });

  it('is what was detected, or emulated, or forced', () => {
    expect(resolveDomain(pmem, nothing)).toBe('memory');
    expect(resolveDomain(eadr, nothing)).toBe('cpu-cache');
    expect(resolveDomain(tmpfs, nothing)).toBe('emulated');
    expect(resolveDomain(disk, { emulate: {}, domain: null })).toBe('emulated');
    expect(resolveDomain(pmem, { emulate: {}, domain: null })).toBe('emulated');
    expect(resolveDomain(eadr, { emulate: null, domain: 'memory' })).toBe('memory');
    expect(resolveDomain(disk, { emulate: {}, domain: 'memory' })).toBe('memory');
    expect(resolveDomain(disk, { emulate: null, domain: 'emulated' })).toBe('emulated');
  });

  it('is refused where the medium cannot keep it', () => {
    for (const facts of [disk, tmpfs]) {
      for (const domain of ['memory', 'cpu-cache'] as const) {
        const error = caught(() => resolveDomain(facts, { emulate: null, domain }));
        expect(error).toMatchObject({
          code: 'DOMAIN',
          details: { fileSystem: facts.fileSystem, wanted: domain },
        });
      }
    }
    const unflushed = caught(() => resolveDomain(pmem, { emulate: null, domain: 'cpu-cache' }));
    expect(unflushed).toMatchObject({ code: 'DOMAIN', details: { wanted: 'cpu-cache', detected: 'memory' } });
    expect(resolveDomain(pmem, { emulate: {}, domain: 'cpu-cache' })).toBe('cpu-cache');
  });

  it('may be that of ordinary disks on every medium', () => {
    expect(resolveDomain(disk, nothing)).toBe('block');
    for (const facts of [disk, pmem, eadr, tmpfs]) {
      for (const emulate of [null, {}])
        expect(resolveDomain(facts, { emulate, domain: 'block' })).toBe('block');
    }
  });

  it('chooses the log, unless one is asked for', () => {
    for (const domain of ['cpu-cache', 'memory', 'emulated'] as const) {
      expect(resolveLog(pmem, domain, null)).toBe('undo');
      expect(resolveLog(pmem, domain, 'undo')).toBe('undo');
      expect(resolveLog(pmem, domain, 'redo')).toBe('redo');
    }
    expect(resolveLog(disk, 'block', null)).toBe('redo');
    expect(resolveLog(disk, 'block', 'redo')).toBe('redo');
    const error = caught(() => resolveLog(disk, 'block', 'undo'));
    expect(error).toMatchObject({ name: 'PoolOpenError', code: 'DOMAIN' });
    for (const part of ['/x/y.pool', 'ext4', 'redo log', 'emulate: true', 'power loss']) {
      expect(error.message).toContain(part);
    }
  });

  it('trusts the caches only when every region of persistent memory says so', () => {
    const devices = scratch.disk();
    const region = (name: string, domain: string | null): void => {
      mkdirSync(join(devices, name), { recursive: true });
      if (domain !== null) writeFileSync(join(devices, name, 'persistence_domain'), `${domain}\n`);
    };
    expect(cachesArePersistent(join(devices, 'none'))).toBe(false);
    expect(cachesArePersistent(devices)).toBe(false);
    region('namespace0.0', 'memory_controller');
    region('region0', 'cpu_cache');
    expect(cachesArePersistent(devices)).toBe(true);
    region('region1', 'memory_controller');
    expect(cachesArePersistent(devices)).toBe(false);
    region('region1', 'cpu_cache');
    expect(cachesArePersistent(devices)).toBe(true);
    region('region2', null);
    expect(cachesArePersistent(devices)).toBe(false);
  });

  it('names file systems', () => {
    expect(fileSystemOf('/proc')).toBe('0x9fa0');
    expect(fileSystemOf(scratch.memory())).toMatch(/^\w+$/);
  });
});

describe('choosing a backend', () => {
  const missing = {
    addon: null,
    reason: 'no addon here: run npm run build:native',
    cause: undefined,
  } as const;
  const noMmapIo = { module: null, reason: 'install mmap-io', cause: new Error('why') } as const;

  it('prefers the addon', () => {
    expect(chooseBackend().name).toBe('native');
    expect(chooseBackend('native').name).toBe('native');
  });

  it('falls back to mmap-io', () => {
    const module = {
      PROT_READ: 1,
      PROT_WRITE: 2,
      MAP_SHARED: 1,
      map: () => Buffer.alloc(1),
      sync: () => undefined,
    };
    expect(chooseBackend(null, { native: () => missing, mmapIo: () => ({ module }) }).name).toBe('mmap-io');
    expect(chooseBackend('mmap-io', { native: loadAddon, mmapIo: () => ({ module }) }).name).toBe('mmap-io');
  });

  it('says what to install when there is neither, or the one asked for is missing', () => {
    const load = { native: () => missing, mmapIo: () => noMmapIo };
    const error = caught(() => chooseBackend(null, load));
    expect(error).toMatchObject({ name: 'PoolOpenError', code: 'BACKEND' });
    expect(error.message).toContain(missing.reason);
    expect(error.message).toContain(noMmapIo.reason);
    expect(caught(() => chooseBackend('native', load)).message).not.toContain('mmap-io');
    expect(caught(() => chooseBackend('mmap-io', load))).toMatchObject({ cause: noMmapIo.cause });
  });

  it('says why an addon or a package does not load', () => {
    expect(loadAddon('/nonexistent/perdure.node')).toMatchObject({
      addon: null,
      reason: expect.stringContaining('npm run build:native'),
    });
    const broken = join(scratch.disk(), 'perdure.node');
    writeFileSync(broken, 'not an addon');
    expect(loadAddon(broken)).toMatchObject({ addon: null, reason: expect.stringContaining('rebuild') });
    expect(loadMmapIo('/nonexistent/mmap-io')).toMatchObject({
      module: null,
      reason: expect.stringContaining('CXXFLAGS=-std=gnu++20'),
    });
  });
});
