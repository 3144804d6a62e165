/**
 * The contract of MemoryBackend, the same for every backend that maps files, with either log. Each case starts from an
 * empty directory and closes what it opened.
 */
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Offset } from '../../src/format/index.js';
import {
  type Domain,
  type LogKind,
  type Memory,
  type MemoryBackend,
  type MemoryOpenOptions,
  STEP,
} from '../../src/memory/index.js';
import { canMount, caught, isTmpfs, MIB, openOptions, Scratch } from './fixtures.js';

export interface Contract {
  readonly backend: string;
  /** Where the pools lie, and what they are opened with. */
  readonly medium: 'memory' | 'disk';
  readonly options: Partial<MemoryOpenOptions>;
  /** What the backend is expected to report then. */
  readonly domain: Domain;
  readonly log: LogKind;
  readonly flushInstruction: string;
  /** The flush instruction where none is emulated on an ordinary disk; null: it is refused. */
  readonly diskInstruction: string | null;
  /** That of byte-addressable memory. */
  readonly memoryInstruction: string;
  /** The largest `maxBytes`. */
  readonly limitBytes: number;
}

if (!canMount)
  console.warn('skipped: tests of full and read-only file systems: mounting a tmpfs is not permitted');

export function memoryContract(name: string, makeBackend: () => MemoryBackend, contract: Contract): void {
  describe(`${name}: contract of a memory backend`, () => {
    const scratch = new Scratch();
    const opened: Memory[] = [];
    let backend: MemoryBackend;
    let directory: string;
    let path: string;

    const open = (more: Partial<MemoryOpenOptions> = {}): Memory => {
      const memory = backend.open(openOptions(path, { ...contract.options, ...more }));
      opened.push(memory);
      return memory;
    };
    const create = (more: Partial<MemoryOpenOptions> = {}): Memory => open({ mode: 'create', ...more });
    const createPublished = (more: Partial<MemoryOpenOptions> = {}): Memory => {
      const memory = create(more);
      memory.publish();
      return memory;
    };

    beforeEach(() => {
      backend = makeBackend();
      directory = contract.medium === 'memory' ? scratch.memory() : scratch.disk();
      path = join(directory, 'test.pool');
    });
    afterEach(() => {
      for (const memory of opened.splice(0)) memory.close();
    });
    afterAll(() => scratch.removeAll());

    it('keeps what was stored, from a closed pool to the next opening', () => {
      const memory = createPublished();
      new Uint32Array(memory.buffer)[1000] = 0xfeedbeef;
      memory.flush(4000 as Offset, 4, STEP.dataFlush);
      memory.fence(STEP.dataFence);
      memory.close();
      const again = open();
      expect(again.sizeBytes).toBe(MIB);
      expect(new Uint32Array(again.buffer)[1000]).toBe(0xfeedbeef);
    });

    it('shows a store in the file at once with the undo log, when it is flushed with the redo log', () => {
      const memory = createPublished();
      const bytes = new Uint8Array(memory.buffer);
      const inFile = (): number[] => [...readFileSync(path).subarray(76, 79)];
      bytes.set([41, 42, 43], 76);
      expect(inFile()).toEqual(contract.log === 'undo' ? [41, 42, 43] : [0, 0, 0]);
      memory.flush(77 as Offset, 1, STEP.dataFlush);
      expect(inFile()).toEqual(contract.log === 'undo' ? [41, 42, 43] : [0, 42, 0]);
    });

    it('flushes ranges, neighbouring ones and empty ones among them', () => {
      const memory = createPublished();
      const bytes = new Uint8Array(memory.buffer);
      bytes.fill(7, 0, 4096);
      const pairs = [16, 1, 17, 2, 30, 0, 19, 1, 40, 1, 8, 1, 9, 1, 0, 0];
      memory.flushRanges(Uint32Array.from(pairs), pairs.length / 2, STEP.dataFlush);
      memory.fence(STEP.dataFence);
      memory.flushRanges(new Uint32Array(2), 0, STEP.dataFlush);
      const file = readFileSync(path);
      for (let granule = 0; granule < 64; granule++) {
        const flushed = contract.log === 'undo' || [8, 9, 16, 17, 18, 19, 40].includes(granule);
        expect([...file.subarray(granule * 16, granule * 16 + 16)], String(granule)).toEqual(
          Array.from({ length: 16 }, () => (flushed ? 7 : 0)),
        );
      }
    });

    it('keeps stores to private copies when the pool grows', () => {
      const memory = createPublished();
      const bytes = new Uint8Array(memory.buffer);
      bytes[MIB - 1] = 5;
      memory.grow(2 * MIB);
      bytes[MIB] = 6;
      expect([bytes[MIB - 1], bytes[MIB]]).toEqual([5, 6]);
      expect(readFileSync(path)[MIB]).toBe(contract.log === 'undo' ? 6 : 0);
    });

    it('reports what it is', () => {
      const { info } = createPublished();
      const { domain, log, flushInstruction } = contract;
      expect(info).toMatchObject({ backend: contract.backend, domain, log, flushInstruction });
      if (isTmpfs(directory)) expect(info.fileSystem).toBe('tmpfs');
    });

    it('writes all of the file out', () => {
      const memory = createPublished();
      memory.syncFile();
      memory.grow(2 * MIB);
      memory.syncFile();
      expect(statSync(path).size).toBe(2 * MIB);
    });

    it('has no write-ahead log unless one is made', () => {
      const memory = createPublished();
      expect(memory.openWal({ create: false, access: 'store' })).toBeNull();
      expect(existsSync(`${path}-wal`)).toBe(false);
    });

    it('maps all of maxBytes, and new bytes are zero with blocks behind them', () => {
      const memory = create({ sizeBytes: 3 * MIB });
      expect(memory.buffer.byteLength).toBe(16 * MIB);
      expect(memory.sizeBytes).toBe(3 * MIB);
      expect(new Uint8Array(memory.buffer, 0, 3 * MIB).every((byte) => byte === 0)).toBe(true);
      memory.publish();
      expect(statSync(path).blocks * 512).toBeGreaterThanOrEqual(3 * MIB);
    });

    it('grows in place: buffer and views stay, new bytes are zero and allocated', () => {
      const memory = createPublished();
      const { buffer } = memory;
      const words = new Uint32Array(buffer);
      words[5] = 5;
      memory.grow(5 * MIB + 4096);
      expect(memory.sizeBytes).toBe(5 * MIB + 4096);
      expect(memory.buffer).toBe(buffer);
      expect(words[5]).toBe(5);
      const last = (5 * MIB + 4096) / 4 - 1;
      expect(words[last]).toBe(0);
      words[last] = 9;
      expect(statSync(path)).toMatchObject({ size: 5 * MIB + 4096 });
      expect(statSync(path).blocks * 512).toBeGreaterThanOrEqual(5 * MIB + 4096);
      memory.grow(MIB);
      expect(memory.sizeBytes).toBe(5 * MIB + 4096);
    });

    it('refuses to grow beyond maxBytes and stays as it is', () => {
      const memory = createPublished();
      const error = caught(() => memory.grow(16 * MIB + 4096));
      expect(error).toMatchObject({ name: 'PoolFullError', code: 'POOL_FULL' });
      expect(error.message).toMatch(/maxSize/);
      expect(memory.sizeBytes).toBe(MIB);
      memory.grow(16 * MIB);
      expect(memory.sizeBytes).toBe(16 * MIB);
    });

    it.skipIf(!canMount)('reports a file system that is full, at its old size [needs mount]', () => {
      const full = scratch.mount('size=2m') as string;
      path = join(full, 'test.pool');
      const memory = createPublished();
      new Uint8Array(memory.buffer)[MIB - 1] = 7;
      const error = caught(() => memory.grow(4 * MIB));
      expect(error).toMatchObject({ name: 'PoolFullError', code: 'POOL_FULL' });
      expect(error.message).toContain(path);
      expect(error.message).toContain('ENOSPC');
      expect(error.message).toContain(String(4 * MIB));
      expect(statSync(path).size).toBe(MIB);
      expect(memory.sizeBytes).toBe(MIB);
      expect(new Uint8Array(memory.buffer)[MIB - 1]).toBe(7);
      memory.grow(MIB + 65536);
      expect(memory.sizeBytes).toBe(MIB + 65536);
    });

    it.skipIf(!canMount)('leaves no file when there is no room to create one [needs mount]', () => {
      const full = scratch.mount('size=512k') as string;
      path = join(full, 'test.pool');
      expect(caught(() => create())).toMatchObject({ name: 'PoolFullError', code: 'POOL_FULL' });
      expect(readdirSync(full)).toEqual([]);
    });

    it.skipIf(!canMount)('reports a file system that is read-only [needs mount]', () => {
      const frozen = scratch.mount('size=4m') as string;
      path = join(frozen, 'test.pool');
      writeFileSync(path, new Uint8Array(65536));
      scratch.remount(frozen, 'ro');
      expect(caught(() => open())).toMatchObject({ code: 'READ_ONLY' });
      path = join(frozen, 'other.pool');
      expect(caught(() => create())).toMatchObject({ code: 'READ_ONLY' });
    });

    it('shows a new file under its name only when it is published', () => {
      const memory = create();
      new Uint8Array(memory.buffer)[0] = 1;
      expect(backend.exists(path)).toBe(false);
      memory.publish();
      expect(backend.exists(path)).toBe(true);
      expect(readdirSync(directory).filter((file) => file.endsWith('.new'))).toEqual([]);
      expect(caught(() => memory.publish())).toMatchObject({ code: 'IO' });
    });

    it('removes a new file that was closed before it was published', () => {
      create().close();
      expect(readdirSync(directory)).toEqual([]);
    });

    it('never replaces a file that is there, or appears while one is made', () => {
      writeFileSync(path, 'precious');
      expect(caught(() => create())).toMatchObject({ code: 'EXISTS' });
      expect(readFileSync(path, 'utf8')).toBe('precious');
      path = join(directory, 'late.pool');
      const memory = create();
      writeFileSync(path, 'precious');
      expect(caught(() => memory.publish())).toMatchObject({ code: 'EXISTS' });
      memory.close();
      expect(readFileSync(path, 'utf8')).toBe('precious');
      expect(readdirSync(directory).sort()).toEqual(['late.pool', 'test.pool']);
    });

    it('refuses a second opening in the same process, and frees the lock on close', () => {
      const memory = createPublished();
      const error = caught(() => open());
      expect(error).toMatchObject({ name: 'PoolOpenError', code: 'LOCKED' });
      expect(error.message).toContain(path);
      memory.close();
      open().close();
      open().close();
    });

    it('refuses a second opening by another name of the same file', () => {
      const memory = createPublished();
      const target = path;
      path = join(directory, 'alias.pool');
      symlinkSync(target, path);
      expect(caught(() => open())).toMatchObject({ code: 'LOCKED' });
      memory.close();
      expect(open().sizeBytes).toBe(MIB);
    });

    it('detaches the buffer on close, and is closed for every later call', () => {
      const memory = createPublished();
      const { buffer } = memory;
      const words = new Uint32Array(buffer);
      const view = new DataView(buffer);
      memory.close();
      expect(buffer.byteLength).toBe(0);
      expect(words.length).toBe(0);
      expect(words[0]).toBeUndefined();
      expect(() => view.getUint8(0)).toThrow(TypeError);
      for (const call of [
        () => memory.flush(0 as Offset, 1, STEP.dataFlush),
        () => memory.flushRanges(new Uint32Array(2), 1, STEP.dataFlush),
        () => memory.fence(STEP.dataFence),
        () => memory.grow(2 * MIB),
        () => memory.publish(),
        () => memory.syncFile(),
        () => memory.openWal({ create: false, access: 'write' }),
      ]) {
        expect(caught(call)).toMatchObject({ name: 'PoolClosedError', code: 'CLOSED' });
      }
      memory.close();
    });

    it('says what is wrong with a path that is no pool', () => {
      expect(caught(() => open())).toMatchObject({ code: 'NOT_FOUND' });
      path = join(directory, 'no', 'such', 'directory.pool');
      for (const error of [caught(() => open()), caught(() => create())]) {
        expect(error).toMatchObject({ code: 'NOT_FOUND' });
        expect(error.message).toContain(join(directory, 'no', 'such'));
      }
      path = join(directory, 'directory.pool');
      mkdirSync(path);
      expect(caught(() => open())).toMatchObject({ code: 'NOT_A_POOL' });
      expect(caught(() => create())).toMatchObject({ code: 'EXISTS' });
      path = '/dev/null';
      expect(caught(() => open())).toMatchObject({ code: 'NOT_A_POOL' });
      path = join('/dev/null', 'test.pool');
      expect(caught(() => open())).toMatchObject({ code: 'NOT_FOUND' });
      path = join(directory, 'x'.repeat(300));
      expect(caught(() => open())).toMatchObject({ code: 'IO' });
      expect(caught(() => create())).toMatchObject({ code: 'IO' });
    });

    it('refuses options that cannot work', () => {
      const wrong: Partial<MemoryOpenOptions>[] = [
        { maxBytes: 0 },
        { maxBytes: -4096 },
        { maxBytes: 4097 },
        { maxBytes: Number.NaN },
        { maxBytes: 4096.5 },
        { maxBytes: contract.limitBytes + 4096 - (contract.limitBytes % 4096) },
        { maxBytes: 2 ** 53 },
        { sizeBytes: 0 },
        { sizeBytes: 17 * MIB },
        { sizeBytes: Number.NaN },
        { path: '' },
        { path: 'a\0b' },
        { emulate: { flushNs: -1 } },
        { emulate: { fenceNs: Number.NaN } },
        { emulate: { flush: false, fenceNs: 5 } },
      ];
      for (const options of wrong) {
        expect(
          caught(() => create(options)),
          JSON.stringify(options),
        ).toMatchObject({ code: 'OPTION' });
      }
      expect(readdirSync(directory)).toEqual([]);
    });

    it('refuses a file larger than maxBytes and says how large it must be', () => {
      createPublished({ sizeBytes: 8 * MIB }).close();
      const error = caught(() => open({ maxBytes: 4 * MIB }));
      expect(error).toMatchObject({ code: 'OPTION' });
      expect(error.message).toContain(String(8 * MIB));
      expect(open({ maxBytes: 8 * MIB }).sizeBytes).toBe(8 * MIB);
    });

    it('opens a file of any content and size, and leaves judging it to the pool', () => {
      writeFileSync(path, '');
      const memory = open();
      expect(memory.sizeBytes).toBe(0);
      memory.grow(4096);
      memory.close();
      truncateSync(path, 5000);
      expect(open().sizeBytes).toBe(5000);
    });

    it('counts fences and lines, and a line that two ranges share once', () => {
      const memory = createPublished();
      const { fences, lines } = memory.counters;
      memory.flush(0 as Offset, 1, STEP.dataFlush);
      memory.flush(60 as Offset, 8, STEP.dataFlush);
      memory.flush(64 as Offset, 0, STEP.dataFlush);
      memory.flushRanges(Uint32Array.of(4, 1, 5, 1, 7, 2, 8, 4, 100, 0), 5, STEP.dataFlush);
      memory.fence(STEP.dataFence);
      expect(memory.counters.fences - fences).toBe(1);
      expect(memory.counters.lines - lines).toBe(1 + 2 + 0 + 2);
    });

    it('refuses to flush outside the file', () => {
      const memory = createPublished();
      const bad = [-1, -64, 0.5, Number.NaN, Number.POSITIVE_INFINITY, MIB + 1, 2 ** 32, 2 ** 52, 2 ** 63];
      for (const value of bad) {
        expect(() => memory.flush(value as Offset, 1, STEP.dataFlush), String(value)).toThrow(RangeError);
        expect(() => memory.flush(0 as Offset, value, STEP.dataFlush), String(value)).toThrow(RangeError);
        expect(() => memory.flushRanges(new Uint32Array(4), value, STEP.dataFlush)).toThrow(RangeError);
      }
      expect(() => memory.flush(MIB as Offset, 1, STEP.dataFlush)).toThrow(RangeError);
      for (const pair of [
        [MIB / 16, 1],
        [0, MIB / 16 + 1],
        [0xffffffff, 0xffffffff],
      ]) {
        expect(() => memory.flushRanges(Uint32Array.from(pair), 1, STEP.dataFlush)).toThrow(RangeError);
      }
      memory.flush(0 as Offset, MIB, STEP.dataFlush);
      memory.fence(STEP.dataFence);
    });

    it('adds the latency of the emulator', () => {
      const slow = createPublished({ emulate: { flushNs: 20_000, fenceNs: 2_000_000 } });
      const start = process.hrtime.bigint();
      slow.flush(0 as Offset, 64 * 100, STEP.dataFlush);
      slow.fence(STEP.dataFence);
      expect(Number(process.hrtime.bigint() - start)).toBeGreaterThanOrEqual(3_900_000);
    });

    it('flushes nothing when the emulator is told so, and counts all the same', () => {
      const memory = createPublished({ emulate: { flush: false } });
      expect(memory.info.flushInstruction).toBe('none');
      memory.flush(0 as Offset, 64, STEP.dataFlush);
      memory.fence(STEP.dataFence);
      expect(memory.counters).toMatchObject({ fences: 1, lines: 1 });
    });

    it('says what it makes of an ordinary disk', (context) => {
      const disk = scratch.disk();
      if (isTmpfs(disk)) return context.skip('the temporary directory is a tmpfs here');
      path = join(disk, 'test.pool');
      const { diskInstruction } = contract;
      for (const domain of ['memory', 'cpu-cache'] as const) {
        expect(caught(() => create({ emulate: null, domain }))).toMatchObject({ code: 'DOMAIN' });
      }
      for (const domain of [null, 'block'] as const) {
        if (diskInstruction === null) {
          const error = caught(() => create({ emulate: null, domain }));
          expect(error).toMatchObject({ code: 'DOMAIN' });
          expect(error.message).toContain('emulate: true');
          expect(error.message).toContain(path);
        } else {
          const { info } = create({ emulate: null, domain, log: null });
          expect(info).toMatchObject({ domain: 'block', log: 'redo', flushInstruction: diskInstruction });
          opened.pop()?.close();
        }
      }
      expect(readdirSync(disk)).toEqual([]);
      expect(createPublished({ emulate: {}, domain: null }).info.domain).toBe('emulated');
      return undefined;
    });

    it('takes a domain that is forced', () => {
      expect(create({ emulate: {}, domain: 'memory' }).info).toMatchObject({
        domain: 'memory',
        flushInstruction: contract.memoryInstruction,
      });
      path = join(directory, 'other.pool');
      expect(create({ emulate: {}, domain: 'cpu-cache' }).info).toMatchObject({
        domain: 'cpu-cache',
        flushInstruction: 'none',
      });
    });

    it('refuses the undo log on an ordinary disk', () => {
      const error = caught(() => create({ emulate: null, domain: 'block', log: 'undo' }));
      expect(error).toMatchObject({ name: 'PoolOpenError', code: 'DOMAIN' });
      expect(error.message).toContain('emulate: true');
      expect(existsSync(path)).toBe(false);
    });
  });
}
