/** The native backend: the contract, and what only it does: lifetimes, threads, processes, limits of the system. */
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate as nextTick } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { Worker } from 'node:worker_threads';
import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import { CONTROL, NATIVE_MAX_BYTES, NativeBackend, STEP } from '../../src/memory/index.js';
import { addonPath, loadAddon, MAP_FLAG, type NativeAddon } from '../../src/memory/native-addon.js';
import { memoryContract } from './contract.js';
import { canMount, caught, countMappings, MIB, openOptions, Scratch } from './fixtures.js';

const found = loadAddon();
if (found.addon === null) throw new Error(found.reason);
const addon: NativeAddon = found.addon;
const backend = new NativeBackend();
const addonJson = JSON.stringify(addonPath());

const best = addon.flushInstructions[0] ?? 'none';
const common = {
  backend: 'native',
  diskInstruction: 'fdatasync',
  memoryInstruction: best,
  limitBytes: NATIVE_MAX_BYTES,
};
memoryContract('native, undo log', () => new NativeBackend(), {
  ...common,
  medium: 'memory',
  options: {},
  domain: 'emulated',
  log: 'undo',
  flushInstruction: best,
});
memoryContract('native, redo log in memory', () => new NativeBackend(), {
  ...common,
  medium: 'memory',
  options: { log: 'redo' },
  domain: 'emulated',
  log: 'redo',
  flushInstruction: best,
});
memoryContract('native, redo log on disk', () => new NativeBackend(), {
  ...common,
  medium: 'disk',
  options: { emulate: null, domain: 'block' },
  domain: 'block',
  log: 'redo',
  flushInstruction: 'fdatasync',
});

const scratch = new Scratch();
let directory: string;
let path: string;
beforeEach(() => {
  directory = scratch.memory();
  path = join(directory, 'native.pool');
});
afterAll(() => scratch.removeAll());

function createFile(sizeBytes = MIB): void {
  const memory = backend.open(openOptions(path, { mode: 'create', sizeBytes }));
  memory.publish();
  memory.close();
}

describe('size', () => {
  it('maps as much as this Node can: 4 GiB, from Node 22 on 64 GiB', () => {
    const memory = backend.open(openOptions(path, { mode: 'create', maxBytes: NATIVE_MAX_BYTES }));
    expect(memory.buffer.byteLength).toBe(NATIVE_MAX_BYTES);
    memory.grow(2 * MIB);
    const words = new Int32Array(memory.buffer);
    words[2 ** 18 + 3] = 7;
    expect(words[2 ** 18 + 3]).toBe(7);
    memory.close();
    expect(words.length).toBe(0);
  });

  it('refuses what this Node cannot map without touching the disk', () => {
    const options = openOptions(path, { mode: 'create', maxBytes: NATIVE_MAX_BYTES + 4096 });
    expect(caught(() => backend.open(options))).toMatchObject({ code: 'OPTION' });
    if (NATIVE_MAX_BYTES < 2 ** 36) {
      expect(() => addon.map(path, NATIVE_MAX_BYTES + 4096, MAP_FLAG.create)).toThrow();
    }
    expect(readdirSync(directory)).toEqual([]);
  });

  it('makes a new size durable before it returns, on persistent memory', () => {
    const calls: string[] = [];
    const map: NativeAddon['map'] = (...given) => {
      const mapping = addon.map(...given);
      return {
        ...mapping,
        synchronous: true,
        allocate: (from, to) => {
          mapping.allocate(from, to);
          calls.push(`allocate to ${to}`);
        },
        syncFile: () => {
          mapping.syncFile();
          calls.push('sync');
        },
      };
    };
    createFile();
    const memory = new NativeBackend({ ...addon, map }).open(openOptions(path, { emulate: null }));
    expect(memory.info.domain).toBe('memory');
    calls.length = 0;
    memory.grow(2 * MIB);
    memory.grow(2 * MIB);
    expect(calls).toEqual([`allocate to ${2 * MIB}`, 'sync']);
    memory.close();
  });

  it('gives a sparse file its blocks when it is opened', () => {
    writeFileSync(path, '');
    truncateSync(path, 2 * MIB);
    expect(statSync(path).blocks).toBe(0);
    backend.open(openOptions(path)).close();
    expect(statSync(path).blocks * 512).toBe(2 * MIB);
  });

  it.skipIf(!canMount)(
    'refuses a sparse file on a full file system instead of failing later [needs mount]',
    () => {
      path = join(scratch.mount('size=1m') as string, 'native.pool');
      writeFileSync(path, '');
      truncateSync(path, 2 * MIB);
      expect(caught(() => backend.open(openOptions(path)))).toMatchObject({ code: 'POOL_FULL' });
      expect(countMappings(path)).toBe(0);
    },
  );

  it('reports a file size limit as a full pool, and the process lives', () => {
    const script = `
      const addon = require(${addonJson});
      const mapping = addon.map(${JSON.stringify(path)}, ${16 * MIB}, 1);
      mapping.allocate(0, 65536);
      try { mapping.allocate(65536, ${8 * MIB}); } catch (error) { console.log(error.code, error.syscall, mapping.size()); }
      mapping.unmap();`;
    const command = `ulimit -f 1024; exec "${process.execPath}" -e '${script.replaceAll("'", '"')}'`;
    const run = spawnSync('sh', ['-c', command], { encoding: 'utf8' });
    expect(run.stderr).toBe('');
    expect(run.stdout).toBe('EFBIG fallocate 65536\n');
    expect(run.status).toBe(0);
    expect(statSync(path).size).toBe(65536);
  });

  it('reports address space that cannot be had as an option to lower', () => {
    createFile();
    const map = (): never => {
      throw Object.assign(new Error('ENOMEM: mmap'), { code: 'ENOMEM', syscall: 'mmap', path });
    };
    const error = caught(() => new NativeBackend({ ...addon, map }).open(openOptions(path)));
    expect(error).toMatchObject({ code: 'OPTION', details: { errno: 'ENOMEM' } });
    expect(error.message).toContain('maxSize');
  });
});

describe('files and descriptors', () => {
  it('reports too many open files by name and leaves nothing open', () => {
    const script = `
      const addon = require(${addonJson});
      const opened = [];
      try {
        for (let i = 0; i < 100; i++) opened.push(addon.map(${JSON.stringify(directory)} + "/" + i, 4096, 1));
      } catch (error) { console.log(error.code, error.syscall, typeof error.path, opened.length > 5); }
      for (const mapping of opened) mapping.unmap();
      addon.map(${JSON.stringify(path)}, 4096, 1).unmap();
      console.log("again");`;
    const run = spawnSync('sh', ['-c', `ulimit -n 60; exec "${process.execPath}" -e '${script}'`], {
      encoding: 'utf8',
    });
    expect(run.stderr).toBe('');
    expect(run.stdout).toBe('EMFILE open string true\nagain\n');
  });

  it('keeps neither descriptors nor mappings of what was closed or failed', () => {
    createFile();
    const before = readdirSync('/proc/self/fd').length;
    for (let i = 0; i < 50; i++) {
      const memory = backend.open(openOptions(path));
      expect(caught(() => backend.open(openOptions(path)))).toMatchObject({ code: 'LOCKED' });
      memory.close();
      expect(caught(() => backend.open(openOptions(path, { maxBytes: 4096 })))).toMatchObject({
        code: 'OPTION',
      });
    }
    expect(readdirSync('/proc/self/fd').length).toBe(before);
    expect(countMappings(path)).toBe(0);
  });

  it('does not hang on a fifo', () => {
    execFileSync('mkfifo', [path]);
    expect(caught(() => backend.open(openOptions(path)))).toMatchObject({ code: 'NOT_A_POOL' });
    expect(caught(() => addon.map(path, 4096, 0))).toMatchObject({ code: 'NOT_REGULAR' });
  });
});

describe('record writer', () => {
  it('writes into the memory it belongs to, counts there, and is closed with it', () => {
    const memory = backend.open(openOptions(path, { mode: 'create' }));
    const writer = memory.recordWriter;
    if (writer === null) throw new Error('the native backend has a record writer');
    const words = new Uint32Array(memory.buffer);
    words.set([1, 2, 3, 4], 4000);
    writer.control[CONTROL.at] = 8;
    writer.control[CONTROL.source] = 1000;
    writer.control[CONTROL.granules] = 1;
    writer.append();
    expect([...words.subarray(36, 40)]).toEqual([1, 2, 3, 4]);
    expect(words[32]).toBe(writer.control[CONTROL.chain]);
    expect(memory.counters).toMatchObject({ fences: 1, lines: 1 });
    writer.setRanges(Uint32Array.of(1000, 1));
    writer.control[CONTROL.at] = 12;
    writer.control[CONTROL.rangeCount] = 1;
    writer.control[CONTROL.checked] = 1;
    writer.commit();
    expect(memory.counters).toMatchObject({ fences: 2, lines: 3 });
    memory.close();
    expect(caught(() => writer.append())).toMatchObject({ code: 'CLOSED' });
    expect(caught(() => writer.commit())).toMatchObject({ code: 'CLOSED' });
  });
});

describe('locks between processes', () => {
  it('is refused while a child has the pool open, and opens when the child is killed', async () => {
    createFile();
    const script = `
      const mapping = require(${addonJson}).map(${JSON.stringify(path)}, ${MIB}, 0);
      console.log("open"); setInterval(() => mapping, 1000);`;
    const child = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
    await once(child.stdout, 'data');
    expect(caught(() => backend.open(openOptions(path)))).toMatchObject({ code: 'LOCKED' });
    child.kill('SIGKILL');
    await once(child, 'exit');
    backend.open(openOptions(path)).close();
  });

  it('refuses a child while this process has the pool open', () => {
    createFile();
    const memory = backend.open(openOptions(path));
    const script = `
      try { require(${addonJson}).map(${JSON.stringify(path)}, ${MIB}, 0); }
      catch (error) { console.log(error.code, error.syscall, error.path); }`;
    const output = execFileSync(process.execPath, ['-e', script], { encoding: 'utf8' });
    expect(output).toBe(`EAGAIN flock ${path}\n`);
    memory.close();
  });
});

describe('worker threads', () => {
  const workerScript = `
    const { parentPort, workerData } = require('node:worker_threads');
    const mapping = require(workerData.addon).map(workerData.path, ${MIB}, 0);
    const words = new Uint32Array(mapping.buffer);
    words[0]++;
    mapping.flush(0, 4);
    mapping.fence();
    if (workerData.close) mapping.unmap();
    if (workerData.spin) { parentPort.postMessage('open'); for (;;) { words[1]++; mapping.fence(); } }
    if (workerData.wait) { globalThis.keep = mapping; setInterval(() => keep, 1000); }
    parentPort.postMessage('open');`;

  const startWorker = async (flags: object): Promise<{ worker: Worker; exited: Promise<unknown> }> => {
    const worker = new Worker(workerScript, {
      eval: true,
      workerData: { addon: addonPath(), path, ...flags },
    });
    // Listened for from the start: the last message and the exit may come in one go.
    const exited = once(worker, 'exit');
    await once(worker, 'message');
    return { worker, exited };
  };

  it('opens and closes in a worker', async () => {
    createFile();
    for (let i = 1; i <= 3; i++) {
      const { exited } = await startWorker({ close: true });
      await exited;
      const memory = backend.open(openOptions(path));
      expect(new Uint32Array(memory.buffer)[0]).toBe(i);
      memory.close();
    }
  });

  it('is locked against other threads, and free when a worker ends without closing', async () => {
    createFile();
    for (const how of ['exit', 'terminate', 'spin'] as const) {
      const { worker, exited } = await startWorker(
        how === 'spin' ? { spin: true } : { wait: how === 'terminate' },
      );
      if (how === 'exit') await exited;
      else {
        expect(caught(() => backend.open(openOptions(path)))).toMatchObject({ code: 'LOCKED' });
        await worker.terminate();
      }
      expect(countMappings(path), how).toBe(0);
      backend.open(openOptions(path)).close();
    }
  });

  it('survives many workers at once that are terminated with open pools', async () => {
    for (let round = 0; round < 5; round++) {
      const workers: Worker[] = [];
      for (let i = 0; i < 4; i++) {
        path = join(directory, `${round}-${i}.pool`);
        createFile();
        workers.push((await startWorker({ spin: i % 2 === 0, wait: true })).worker);
      }
      await Promise.all(workers.map((worker) => worker.terminate()));
    }
    expect(countMappings(directory)).toBe(0);
  });
});

describe('lifetime', () => {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const settle = async (): Promise<void> => {
    for (let i = 0; i < 5; i++) {
      collect();
      await nextTick();
    }
  };

  it('unmaps and unlocks a pool that was dropped without closing', async () => {
    createFile();
    (() => new Uint32Array(backend.open(openOptions(path)).buffer)[0])();
    await settle();
    expect(countMappings(path)).toBe(0);
    backend.open(openOptions(path)).close();
  });

  it('keeps the memory while only a view is held', async () => {
    createFile();
    const words = (() => new Uint32Array(backend.open(openOptions(path)).buffer))();
    await settle();
    words[0] = 5;
    expect(words[0]).toBe(5);
    expect(countMappings(path)).toBe(1);
  });

  it('does not unmap twice: the next mapping at the same address stays', async () => {
    createFile();
    for (let i = 0; i < 20; i++) {
      const memory = backend.open(openOptions(path));
      memory.close();
      const next = backend.open(openOptions(path));
      await settle();
      expect(new Uint32Array(next.buffer)[0]).toBe(0);
      next.close();
    }
  });

  it('leaves memory mapped that was transferred away from it, until that is collected', async () => {
    createFile();
    const mapping = addon.map(path, MIB, 0);
    const { transfer } = mapping.buffer as { transfer?: () => ArrayBuffer };
    if (transfer === undefined) return; // Node 20
    const words = new Uint32Array(transfer.call(mapping.buffer));
    mapping.unmap();
    words[0] = 1;
    expect(words[0]).toBe(1);
    addon.map(path, MIB, 0).unmap();
  });

  it('exits cleanly with pools open', () => {
    const script = `
      const mapping = require(${addonJson}).map(${JSON.stringify(path)}, ${MIB}, 1);
      mapping.allocate(0, 4096);
      const bytes = new Uint8Array(mapping.buffer);
      process.on("exit", () => { bytes[5] = 5; mapping.fence(); });`;
    const run = spawnSync(process.execPath, ['-e', script], { encoding: 'utf8' });
    expect(run).toMatchObject({ status: 0, stderr: '' });
    expect(readFileSync(path)[5]).toBe(5);
  });

  it('loses a file that is removed while it is open without harm', () => {
    createFile();
    const memory = backend.open(openOptions(path));
    rmSync(path);
    memory.grow(2 * MIB);
    memory.fence(STEP.dataFence);
    memory.close();
    expect(backend.exists(path)).toBe(false);
  });
});
