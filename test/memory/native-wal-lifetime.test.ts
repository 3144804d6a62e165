/** Native write-ahead logs that nobody closes: collected, in workers that are terminated, in processes that end. */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { Worker } from 'node:worker_threads';
import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import { type Memory, NativeBackend, STEP, type WriteAheadLog } from '../../src/memory/index.js';
import { addonPath } from '../../src/memory/native-addon.js';
import { countMappings, MIB, openOptions, Scratch } from './fixtures.js';

const scratch = new Scratch();
afterAll(() => scratch.removeAll());
let path: string;
beforeEach(() => {
  path = join(scratch.memory(), 'wal.pool');
});

function open(mode: 'open' | 'create'): { memory: Memory; wal: WriteAheadLog } {
  const memory = new NativeBackend().open(openOptions(path, { mode, emulate: null, domain: 'block' }));
  if (mode === 'create') memory.publish();
  const wal = memory.openWal({ create: true, access: 'store' }) as WriteAheadLog;
  wal.extend(65536);
  return { memory, wal };
}

function countThreads(): number {
  return readdirSync('/proc/self/task').filter((id) => {
    try {
      return readFileSync(`/proc/self/task/${id}/comm`, 'utf8').startsWith('perdure-');
    } catch {
      return false; // it has just ended
    }
  }).length;
}

function countDescriptors(): number {
  return readdirSync('/proc/self/fd').length;
}

describe('collected', () => {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const settle = async (): Promise<void> => {
    for (let i = 0; i < 5; i++) {
      collect();
      await nextTurn();
    }
  };

  it('ends its threads and unlocks the pool, whatever it was doing', async () => {
    const descriptors = countDescriptors();
    open('create').memory.close();
    for (const use of [
      () => undefined,
      (wal: WriteAheadLog) => wal.syncEvery(1000),
      (wal: WriteAheadLog) => wal.requestSync(),
      (wal: WriteAheadLog) => wal.startExtend(4 * MIB),
    ]) {
      (() => {
        const { wal } = open('open');
        wal.onProgress = () => wal.sizeBytes;
        use(wal);
      })();
      await settle();
      expect(countThreads()).toBe(0);
      expect(countMappings(path)).toBe(0);
    }
    expect(statSync(`${path}-wal`).size).toBe(4 * MIB);
    expect(countDescriptors()).toBe(descriptors);
  });

  it('never happens while it is kept alive', async () => {
    const told = (() => {
      const { memory, wal } = open('create');
      wal.keepAlive(true);
      return new Promise<void>((resolve) => {
        wal.onProgress = () => {
          wal.keepAlive(false);
          memory.close();
          resolve();
        };
        setTimeout(() => wal.requestSync(), 100);
      });
    })();
    await settle();
    await told;
    await settle();
    expect(countThreads()).toBe(0);
  });

  it('is no matter for functions that are kept', async () => {
    const writer = (() => open('create').wal.recordWriter)();
    await settle();
    expect(() => writer?.append()).not.toThrow(TypeError);
  });

  it('may be closed from the callback', async () => {
    const { memory, wal } = open('create');
    wal.keepAlive(true);
    await new Promise<void>((resolve) => {
      wal.onProgress = () => {
        memory.close();
        resolve();
      };
      wal.write(0, new Uint8Array(1), STEP.walAppend);
      wal.requestSync();
    });
    await settle();
    expect(countThreads()).toBe(0);
  });
});

describe('in a worker', () => {
  const script = `
    const { parentPort, workerData } = require('node:worker_threads');
    const { path, what } = workerData;
    const mapping = require(workerData.addon).map(path, ${16 * MIB}, 0);
    mapping.makePrivate();
    const wal = mapping.openWal(path + '-wal', 3);
    wal.extend(65536);
    wal.setRanges(Uint32Array.of(1, 4));
    wal.control.set([0, 128, 1024, 0, 0, 1]);
    wal.onProgress = () => globalThis.told = wal.state[1];
    const pages = Uint32Array.from({ length: 256 }, (_, i) => i);
    const work = () => {
      wal.append();
      wal.requestSync();
      if (wal.state[0] === 0) wal.startWrite(pages, 256);
    };
    wal.syncEvery(1);
    work();
    if (what === 'alive') wal.keepAlive(true);
    if (what === 'busy') { wal.finish(); wal.startExtend(${32 * MIB}); }
    parentPort.postMessage('open');
    if (what === 'spin') for (;;) work();
    if (what === 'turn') setInterval(work, 0);
    if (what === 'alive') globalThis.keep = wal;
    if (what === 'exit') process.exit(0);
    if (what === 'throw') setTimeout(() => { throw new Error('on purpose'); }, 5);`;

  const run = (what: string): Worker =>
    new Worker(script, { eval: true, workerData: { addon: addonPath(), path, what } });

  const end = async (worker: Worker, what: string): Promise<void> => {
    worker.on('error', (error) => expect(error.message).toBe('on purpose'));
    const ended = new Promise((resolve) => worker.once('exit', resolve));
    await new Promise((resolve) => worker.once('message', resolve));
    if (['spin', 'turn', 'alive', 'busy'].includes(what)) {
      await sleep(5);
      await worker.terminate();
    }
    await ended;
  };

  it.each(['return', 'exit', 'throw', 'spin', 'turn', 'alive', 'busy'])('that ends: %s', async (what) => {
    open('create').memory.close();
    for (let i = 0; i < 5; i++) {
      await end(run(what), what);
      expect(countThreads()).toBe(0);
      expect(countMappings(path)).toBe(0);
    }
    open('open').memory.close();
  });

  it('beside others, all of them terminated at once', async () => {
    const descriptors = countDescriptors();
    for (let round = 0; round < 5; round++) {
      const workers: Promise<void>[] = [];
      for (const what of ['spin', 'turn', 'busy', 'alive']) {
        path = join(scratch.memory(), 'wal.pool');
        open('create').memory.close();
        workers.push(end(run(what), what));
      }
      await Promise.all(workers);
    }
    expect(countThreads()).toBe(0);
    expect(countDescriptors()).toBe(descriptors);
  });
});
