/**
 * The mmap-io backend: the contract, and its limits. Runs where the package can be loaded; `node
 * scripts/test-mmap-io.mjs` compiles it into a temporary folder, names that in PERDURE_MMAP_IO and runs this file.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import type { Offset } from '../../src/format/index.js';
import { MMAP_IO_MAX_BYTES, MmapIoBackend, NativeBackend, STEP } from '../../src/memory/index.js';
import { detachBuffer, loadMmapIo, type MmapIoModule } from '../../src/memory/mmap-io-module.js';
import { memoryContract } from './contract.js';
import { caught, MIB, openOptions, Scratch } from './fixtures.js';

const given = process.env.PERDURE_MMAP_IO;
const found = loadMmapIo(given || 'mmap-io');
if (given && found.module === null) throw new Error(found.reason, { cause: found.cause });
const scratch = new Scratch();
afterAll(() => scratch.removeAll());
let directory: string;
let path: string;
beforeEach(() => {
  directory = scratch.memory();
  path = join(directory, 'io.pool');
});

if (found.module === null) {
  console.warn(
    `skipped: tests of the mmap-io backend: ${found.reason}; or run node scripts/test-mmap-io.mjs`,
  );
  describe.skip('mmap-io backend', () => {
    it('is not tested', () => undefined);
  });
} else {
  withMmapIo(found.module);
}

function withMmapIo(module: MmapIoModule): void {
  memoryContract('mmap-io', () => new MmapIoBackend(module), {
    backend: 'mmap-io',
    medium: 'memory',
    options: {},
    domain: 'emulated',
    log: 'undo',
    flushInstruction: 'msync',
    diskInstruction: null,
    memoryInstruction: 'msync',
    limitBytes: MMAP_IO_MAX_BYTES,
  });

  describe('mmap-io backend', () => {
    const backend = new MmapIoBackend(module);

    it('maps just less than 2 GiB and refuses more', () => {
      const most = 2 ** 31 - 4096;
      const memory = backend.open(openOptions(path, { mode: 'create', maxBytes: most }));
      expect(memory.buffer.byteLength).toBe(most);
      memory.close();
      for (const maxBytes of [2 ** 31, 2 ** 32, 2 ** 32 + 4096]) {
        const error = caught(() => backend.open(openOptions(path, { mode: 'create', maxBytes })));
        expect(error).toMatchObject({ code: 'OPTION' });
        expect(error.message).toContain('mmap-io');
      }
      expect(readdirSync(directory)).toEqual([]);
    });

    it('has no record writer, and syncs the pages flushed since the last fence, joined', () => {
      const synced: [number, number][] = [];
      const spy: MmapIoModule = {
        ...module,
        map: module.map,
        sync: (buffer, offset, length, blocking, invalidate) => {
          synced.push([offset, length]);
          module.sync(buffer, offset, length, blocking, invalidate);
        },
      };
      const memory = new MmapIoBackend(spy).open(openOptions(path, { mode: 'create' }));
      expect(memory.recordWriter).toBeNull();
      memory.flush(9000 as Offset, 10, STEP.dataFlush);
      memory.flush(100 as Offset, 10, STEP.dataFlush);
      memory.flush(4090 as Offset, 10, STEP.dataFlush);
      memory.flushRanges(Uint32Array.of(65535, 1), 1, STEP.dataFlush);
      memory.fence(STEP.dataFence);
      expect(synced).toEqual([
        [0, 12288],
        [MIB - 4096, 4096],
      ]);
      memory.fence(STEP.dataFence);
      expect(synced.length).toBe(2);
      memory.close();
    });

    it('names a failure of msync and of mmap', () => {
      const failing: MmapIoModule = {
        ...module,
        map: module.map,
        sync: () => {
          throw new Error('msync() failed, 5');
        },
      };
      const memory = new MmapIoBackend(failing).open(openOptions(path, { mode: 'create' }));
      memory.flush(0 as Offset, 1, STEP.dataFlush);
      const error = caught(() => memory.fence(STEP.dataFence));
      expect(error).toMatchObject({ code: 'IO', details: { errno: 'EIO' } });
      memory.close();
      const unmappable: MmapIoModule = {
        ...module,
        map: () => {
          throw new Error('mmap failed, 12');
        },
      };
      const options = openOptions(path, { mode: 'create' });
      expect(caught(() => new MmapIoBackend(unmappable).open(options)).message).toContain('ENOMEM');
      expect(readdirSync(directory)).toEqual([]);
    });

    it('keeps out of a pool that is open through the native backend, and the other way round', () => {
      const native = new NativeBackend();
      const memory = native.open(openOptions(path, { mode: 'create' }));
      memory.publish();
      expect(caught(() => backend.open(openOptions(path)))).toMatchObject({ code: 'LOCKED' });
      expect(readdirSync(directory)).toEqual(['io.pool']);
      new Uint8Array(memory.buffer)[9] = 9;
      memory.close();
      const other = backend.open(openOptions(path));
      expect(new Uint8Array(other.buffer)[9]).toBe(9);
      expect(caught(() => native.open(openOptions(path)))).toMatchObject({ code: 'LOCKED' });
      other.close();
      native.open(openOptions(path)).close();
    });

    it('refuses the redo log, and a pool that has a write-ahead log beside it', () => {
      const wanted = openOptions(path, { mode: 'create', log: 'redo' });
      expect(caught(() => backend.open(wanted))).toMatchObject({ name: 'PoolOpenError', code: 'BACKEND' });
      expect(readdirSync(directory)).toEqual([]);
      const memory = backend.open(openOptions(path, { mode: 'create' }));
      memory.publish();
      writeFileSync(`${path}-wal`, '');
      for (const create of [true, false]) {
        const error = caught(() => memory.openWal({ create, access: 'store' }));
        expect(error).toMatchObject({ name: 'PoolOpenError', code: 'BACKEND' });
        expect(error.message).toContain(`${path}-wal`);
        expect(error.message).toContain('native');
      }
      memory.close();
    });

    it('leaves no lock behind', () => {
      backend.open(openOptions(path, { mode: 'create' })).close();
      writeFileSync(path, new Uint8Array(65536));
      expect(caught(() => backend.open(openOptions(path, { maxBytes: 4096 })))).toMatchObject({
        code: 'OPTION',
      });
      backend.open(openOptions(path)).close();
      expect(readdirSync(directory)).toEqual(['io.pool']);
    });

    it('gives the memory back once the buffer is collected', async () => {
      const memory = backend.open(openOptions(path, { mode: 'create' }));
      expect(readFileSync('/proc/self/maps', 'utf8')).toContain(path);
      memory.close();
      for (let i = 0; i < 50 && readFileSync('/proc/self/maps', 'utf8').includes(path); i++) {
        for (let k = 0; k < 50; k++) new ArrayBuffer(1 << 24);
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
      expect(readFileSync('/proc/self/maps', 'utf8')).not.toContain(path);
    });
  });
}

describe('detaching', () => {
  it('empties a buffer and its views', () => {
    const buffer = new ArrayBuffer(4096);
    const words = new Uint32Array(buffer);
    detachBuffer(buffer);
    expect(buffer.byteLength).toBe(0);
    expect(words.length).toBe(0);
  });
});
