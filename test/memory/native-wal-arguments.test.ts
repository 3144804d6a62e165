/** Every function of a native log refuses wrong arguments, and never reads or writes outside of pool and log. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest';
import { WAL_CONTROL } from '../../src/memory/index.js';
import {
  loadAddon,
  MAP_FLAG,
  type NativeAddon,
  type NativeMapping,
  type NativeWalFile,
  WAL_FLAG,
} from '../../src/memory/native-addon.js';
import { caught, MIB, Scratch } from './fixtures.js';
import { badNumbers, type Loose, notArrays, notNumbers } from './wrong-arguments.js';

const found = loadAddon();
if (found.addon === null) throw new Error(found.reason);
const addon: NativeAddon = found.addon;

const POOL_BYTES = 65536;
const LOG_BYTES = 32768;
const scratch = new Scratch();
let path: string;
let mapping: NativeMapping;
let wal: NativeWalFile;
let loose: Loose;
beforeEach(() => {
  path = join(scratch.memory(), 'arguments.pool');
  mapping = addon.map(path, MIB, MAP_FLAG.create);
  mapping.allocate(0, POOL_BYTES);
  mapping.makePrivate();
  openLog(WAL_FLAG.create);
});
afterEach(() => mapping.unmap());
afterAll(() => scratch.removeAll());

function openLog(flags: number): void {
  const opened = mapping.openWal(`${path}-wal`, flags);
  if (opened === null) throw new Error('there is no log');
  wal = opened;
  wal.extend(LOG_BYTES);
  loose = wal as unknown as Loose;
}

const call = (name: string, ...values: unknown[]): unknown => loose[name]?.(...values);
const detached = (): Uint8Array => {
  const bytes = new Uint8Array(8);
  structuredClone(bytes.buffer, { transfer: [bytes.buffer] });
  return bytes;
};

describe('openWal', () => {
  it('refuses paths and flags that are none', () => {
    const open = (...values: unknown[]): unknown => (mapping as unknown as Loose).openWal?.(...values);
    wal.close();
    expect(() => open('x')).toThrow(TypeError);
    for (const value of notNumbers) expect(() => open(path, value)).toThrow(TypeError);
    for (const value of [...badNumbers, 8]) expect(() => open(path, value)).toThrow(RangeError);
    for (const value of [5, null, '', 'a\0b']) expect(() => open(value, 1)).toThrow(TypeError);
    expect(open('/nonexistent/x-wal', 0)).toBeNull();
    expect(caught(() => open('/nonexistent/x-wal', 1))).toMatchObject({ code: 'ENOENT', syscall: 'open' });
    expect(caught(() => open('/', 0))).toMatchObject({ code: 'NOT_REGULAR' });
  });
});

describe('the file', () => {
  it('read, write and startComplete refuse what is no place or no Uint8Array', () => {
    for (const name of ['read', 'write', 'startComplete']) {
      expect(() => call(name, 0)).toThrow(TypeError);
      for (const value of notNumbers) expect(() => call(name, value, new Uint8Array(1))).toThrow(TypeError);
      for (const value of badNumbers) expect(() => call(name, value, new Uint8Array(1))).toThrow(RangeError);
      for (const value of [...notArrays, detached()]) expect(() => call(name, 0, value)).toThrow(TypeError);
      call(name, LOG_BYTES, new Uint8Array(0));
      call('finish');
      if (name === 'read') continue;
      for (const at of [LOG_BYTES, LOG_BYTES - 9, 2 ** 32, 2 ** 48]) {
        expect(() => call(name, at, new Uint8Array(10)), String(at)).toThrow(RangeError);
      }
    }
  });

  it('extend, startExtend and truncate refuse sizes that are none', () => {
    for (const name of ['extend', 'startExtend', 'truncate']) {
      for (const value of notNumbers) expect(() => call(name, value)).toThrow(TypeError);
      for (const value of [...badNumbers, 2 ** 38 + 1]) expect(() => call(name, value)).toThrow(RangeError);
    }
    expect(wal.state[3]).toBe(LOG_BYTES);
  });

  it('syncEvery and keepAlive refuse other values', () => {
    for (const value of notNumbers) expect(() => call('syncEvery', value)).toThrow(TypeError);
    for (const value of [...badNumbers, 2 ** 31]) expect(() => call('syncEvery', value)).toThrow(RangeError);
    for (const value of [undefined, null, 1, 'true'])
      expect(() => call('keepAlive', value)).toThrow(TypeError);
  });
});

describe('pages', () => {
  it('startWrite and giveBack refuse lists that are none, and pages outside of the pool', () => {
    for (const name of ['startWrite', 'giveBack']) {
      for (const value of notArrays) expect(() => call(name, value, 1)).toThrow(TypeError);
      const pages = Uint32Array.of(0, 1);
      for (const value of notNumbers) expect(() => call(name, pages, value)).toThrow(TypeError);
      for (const value of [...badNumbers, 3, 2 ** 32]) {
        expect(() => call(name, pages, value), String(value)).toThrow(RangeError);
      }
      for (const page of [POOL_BYTES / 4096, MIB / 4096, 0x100000, 0x7fffffff, 0xffffffff]) {
        expect(() => call(name, Uint32Array.of(0, page), 2), String(page)).toThrow(RangeError);
      }
      call(name, pages, 0);
      call('finish');
    }
  });
});

describe('append', () => {
  const granules = POOL_BYTES / 16;
  const lines = LOG_BYTES / 64;
  const set = (
    ranges: readonly number[],
    values: Partial<Record<keyof typeof WAL_CONTROL, number>>,
  ): void => {
    wal.setRanges(Uint32Array.from(ranges));
    wal.control.fill(0);
    wal.control[WAL_CONTROL.end] = lines;
    wal.control[WAL_CONTROL.count] = ranges.length / 2;
    for (const [name, value] of Object.entries(values)) {
      wal.control[WAL_CONTROL[name as keyof typeof WAL_CONTROL]] = value;
    }
  };

  it.each([
    ['written', WAL_FLAG.create],
    ['stored', WAL_FLAG.create | WAL_FLAG.store],
    ['stored in byte-addressable memory', WAL_FLAG.store | WAL_FLAG.synchronous],
  ])('refuses what points outside of pool or log, and writes nothing: %s', (_, flags) => {
    wal.close();
    openLog(flags);
    const before = [...mapping.counters];
    for (const ranges of [
      [granules, 1],
      [0, granules + 1],
      [0xffffffff, 1],
      [0xffffffff, 0xffffffff],
      [1, 0xffffffff],
      [0, 1, 5, 1, granules, 1],
    ]) {
      set(ranges, {});
      expect(() => wal.append(), ranges.join()).toThrow(RangeError);
    }
    for (const values of [
      { count: 2 },
      { count: 0x80000000 },
      { count: 0xffffffff },
      { at: lines },
      { at: lines, end: 0xffffffff },
      { at: lines - 1, end: 0xffffffff },
      { at: 0xffffffff, end: 0xffffffff },
      { at: 5, end: 5 },
      { at: 5, end: 6 },
      { at: 6, end: 5 },
      { at: 0, end: 0 },
    ]) {
      set([0, 4], values);
      expect(() => wal.append(), JSON.stringify(values)).toThrow(RangeError);
    }
    set([0, granules], { end: 0xffffffff });
    expect(() => wal.append()).toThrow(RangeError);
    expect(readFileSync(`${path}-wal`).every((byte) => byte === 0)).toBe(true);
    expect([...mapping.counters]).toEqual(before);
    set([0, 4], { at: lines - 2 });
    wal.append();
    expect(readFileSync(`${path}-wal`)[LOG_BYTES - 60 - 64]).toBe(6);
  });

  it('setRanges refuses what is no Uint32Array, and keeps what it was given alive', () => {
    for (const value of [...notArrays, new Uint8Array(8)]) {
      expect(() => call('setRanges', value)).toThrow(TypeError);
    }
    for (let i = 0; i < 200; i++) wal.setRanges(new Uint32Array(1000 + i));
    wal.control[WAL_CONTROL.end] = lines;
    wal.control[WAL_CONTROL.count] = 500;
    wal.append();
    expect(wal.control[WAL_CONTROL.count]).toBe(0);
  });
});

describe('after close', () => {
  it('every function throws CLOSED, whatever its arguments; close does nothing', () => {
    const names = Object.keys(wal).filter((name) => typeof loose[name] === 'function' && name !== 'close');
    expect(names.length).toBe(16);
    for (const close of [() => wal.close(), () => mapping.unmap()]) {
      close();
      for (const name of names) {
        for (const values of [[], [0, new Uint8Array(1)], [new Uint32Array(2), 1], [true]]) {
          const error = caught(() => call(name, ...values));
          if (error instanceof TypeError) expect(values.length).toBeLessThan(2);
          else expect(error, name).toMatchObject({ code: 'CLOSED' });
        }
      }
    }
    wal.close();
    expect(wal.control.length).toBe(8);
  });
});
