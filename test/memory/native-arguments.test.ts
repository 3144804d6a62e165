/** Every function of the addon refuses wrong arguments, and never reads or writes outside the file. */
import { join } from 'node:path';
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest';
import { CONTROL } from '../../src/memory/index.js';
import { loadAddon, MAP_FLAG, type NativeAddon, type NativeMapping } from '../../src/memory/native-addon.js';
import { caught, countMappings, MIB, Scratch } from './fixtures.js';
import { badNumbers, type Loose, notArrays, notNumbers } from './wrong-arguments.js';

const found = loadAddon();
if (found.addon === null) throw new Error(found.reason);
const addon: NativeAddon = found.addon;

const FILE_BYTES = 65536;
const beyond = [FILE_BYTES + 1, FILE_BYTES + 64, MIB, 2 ** 31, 2 ** 32, 2 ** 32 + 64, 2 ** 48];

const scratch = new Scratch();
let path: string;
let mapping: NativeMapping;
let loose: Loose;
beforeEach(() => {
  path = join(scratch.memory(), 'arguments.pool');
  mapping = addon.map(path, MIB, MAP_FLAG.create);
  mapping.allocate(0, FILE_BYTES);
  loose = mapping as unknown as Loose;
});
afterEach(() => mapping.unmap());
afterAll(() => scratch.removeAll());

const call = (name: string, ...values: unknown[]): unknown => loose[name]?.(...values);

describe('map', () => {
  const map = (...values: unknown[]): unknown => (addon as unknown as Loose).map?.(...values);

  it('refuses paths, lengths and flags that are none', () => {
    const other = `${path}.other`;
    expect(() => map()).toThrow(TypeError);
    expect(() => map(other, 4096)).toThrow(TypeError);
    for (const value of [...notNumbers.filter((v) => typeof v !== 'string'), 5, '', 'a\0b']) {
      expect(() => map(value, 4096, 1)).toThrow(TypeError);
    }
    for (const value of notNumbers) {
      expect(() => map(other, value, 1)).toThrow(TypeError);
      expect(() => map(other, 4096, value)).toThrow(TypeError);
    }
    for (const value of [...badNumbers, 0, 1, 4095, 4097, 2 ** 36 + 4096]) {
      expect(() => map(other, value, 1), String(value)).toThrow(RangeError);
    }
    for (const value of [...badNumbers, 2, 255]) expect(() => map(other, 4096, value)).toThrow(RangeError);
    expect(countMappings(other)).toBe(0);
  });

  it('names code, system call and path of a failure', () => {
    expect(caught(() => addon.map('/nonexistent/x', 4096, 0))).toMatchObject({
      code: 'ENOENT',
      syscall: 'open',
      path: '/nonexistent/x',
    });
    expect(caught(() => addon.map('x'.repeat(5000), 4096, 0))).toMatchObject({ code: 'ENAMETOOLONG' });
    expect(caught(() => addon.map('/', 4096, 0))).toMatchObject({ code: 'NOT_REGULAR' });
    expect(caught(() => addon.map(path, 4096, MAP_FLAG.create))).toMatchObject({ code: 'EEXIST' });
    expect(caught(() => addon.map(path, 4096, 0))).toMatchObject({ code: 'EAGAIN', syscall: 'flock' });
  });
});

describe('ranges of bytes', () => {
  it('flush refuses what lies outside the file, in a private mapping too', () => {
    for (const _ of ['shared', 'private']) {
      expect(() => call('flush')).toThrow(TypeError);
      expect(() => call('flush', 0)).toThrow(TypeError);
      for (const value of notNumbers) {
        expect(() => call('flush', value, 0)).toThrow(TypeError);
        expect(() => call('flush', 0, value)).toThrow(TypeError);
      }
      for (const value of [...badNumbers, ...beyond]) {
        expect(() => call('flush', value, 0), String(value)).toThrow(RangeError);
        expect(() => call('flush', 0, value), String(value)).toThrow(RangeError);
      }
      expect(() => call('flush', FILE_BYTES, 1)).toThrow(RangeError);
      expect(() => call('flush', FILE_BYTES - 64, 65)).toThrow(RangeError);
      call('flush', 0, FILE_BYTES);
      call('flush', FILE_BYTES, 0);
      mapping.makePrivate();
    }
  });
});

describe('sizes', () => {
  it('allocate refuses what the mapping cannot hold', () => {
    for (const value of notNumbers) {
      expect(() => call('allocate', value, 4096)).toThrow(TypeError);
      expect(() => call('allocate', 0, value)).toThrow(TypeError);
    }
    for (const value of [...badNumbers, MIB + 1, 2 ** 32, 2 ** 48]) {
      expect(() => call('allocate', 0, value), String(value)).toThrow(RangeError);
      expect(() => call('allocate', value, MIB), String(value)).toThrow(RangeError);
    }
    expect(() => call('allocate', FILE_BYTES + 1, MIB)).toThrow(RangeError);
    expect(mapping.size()).toBe(FILE_BYTES);
    mapping.allocate(FILE_BYTES, MIB);
    expect(mapping.size()).toBe(MIB);
  });
});

describe('range lists', () => {
  it('flushRanges and setRanges refuse what is no list or does not fit, in a private mapping too', () => {
    for (const value of notArrays) {
      expect(() => call('flushRanges', value, 1)).toThrow(TypeError);
      expect(() => call('setRanges', value)).toThrow(TypeError);
    }
    const ranges = Uint32Array.of(0, 1, FILE_BYTES / 16, 1);
    for (const _ of ['shared', 'private']) {
      for (const value of notNumbers) expect(() => call('flushRanges', ranges, value)).toThrow(TypeError);
      for (const value of [...badNumbers, 2, 3, 2 ** 31, 2 ** 32]) {
        expect(() => call('flushRanges', ranges, value), String(value)).toThrow(RangeError);
      }
      mapping.flushRanges(ranges, 1);
      expect(() => mapping.flushRanges(Uint32Array.of(0xffffffff, 0xffffffff), 1)).toThrow(RangeError);
      expect(() => mapping.flushRanges(Uint32Array.of(0, 0xffffffff), 1)).toThrow(RangeError);
      mapping.makePrivate();
    }
  });

  it('keeps the registered list alive and lets it be replaced', () => {
    for (let i = 0; i < 200; i++) mapping.setRanges(new Uint32Array(1000 + i));
    mapping.control.fill(0);
    mapping.control[CONTROL.at] = 1024;
    mapping.control[CONTROL.rangeCount] = 500;
    mapping.commit();
  });
});

describe('setFlush', () => {
  it('refuses unknown instructions, types and latencies', () => {
    for (const name of ['sfence', '', 'clwbclwbclwbclwb']) {
      expect(() => call('setFlush', name, true, true, 0, 0)).toThrow(RangeError);
    }
    expect(() => call('setFlush', 5, true, true, 0, 0)).toThrow(TypeError);
    expect(() => call('setFlush', 'none', 1, true, 0, 0)).toThrow(TypeError);
    expect(() => call('setFlush', 'none', true, 1, 0, 0)).toThrow(TypeError);
    for (const value of [...badNumbers, 1e10]) {
      expect(() => call('setFlush', 'none', true, true, value, 0)).toThrow(RangeError);
      expect(() => call('setFlush', 'none', true, true, 0, value)).toThrow(RangeError);
    }
  });
});

describe('the record writer', () => {
  const set = (values: Partial<Record<keyof typeof CONTROL, number>>): void => {
    mapping.control.fill(0);
    for (const [name, value] of Object.entries(values))
      mapping.control[CONTROL[name as keyof typeof CONTROL]] = value;
  };
  const granules = FILE_BYTES / 16;

  it('append refuses a control block that points outside, and writes nothing', () => {
    const bytes = new Uint8Array(mapping.buffer, 0, FILE_BYTES).fill(0x55);
    for (const values of [
      { at: 1, source: 0, granules: 1 },
      { at: 2, source: 0, granules: 1 },
      { at: granules, source: 0, granules: 1 },
      { at: granules - 4, source: 0, granules: 4 },
      { at: 0xfffffffc, source: 0, granules: 1 },
      { at: 0, source: granules, granules: 1 },
      { at: 0, source: 0xffffffff, granules: 1 },
      { at: 0, source: 0xffffffff, granules: 0xffffffff },
      { at: 0, source: 0, granules: granules + 1 },
      { at: 0, source: 0, granules: granules },
      { at: 0, source: 0, granules: 0xffffffff },
      { at: 0, source: 1, granules: 0xffffffff },
    ]) {
      set(values);
      expect(() => mapping.append(), JSON.stringify(values)).toThrow(RangeError);
    }
    expect(bytes.every((byte) => byte === 0x55)).toBe(true);
    expect([...mapping.counters]).toEqual([0, 0, 0]);
  });

  it('commit refuses ranges and places outside, and writes nothing', () => {
    const bytes = new Uint8Array(mapping.buffer, 0, FILE_BYTES).fill(0x55);
    set({ at: 0, rangeCount: 1, checked: 1 });
    expect(() => mapping.commit()).toThrow(RangeError);
    const ranges = Uint32Array.of(granules, 1, 0, granules + 1, 0xffffffff, 0xffffffff, 0, 1);
    for (let i = 0; i < 3; i++) {
      mapping.setRanges(ranges.subarray(2 * i, 2 * i + 2));
      for (const checked of [0, 1]) {
        set({ at: 0, rangeCount: 1, checked });
        expect(() => mapping.commit()).toThrow(RangeError);
      }
    }
    mapping.setRanges(ranges.subarray(6));
    for (const rangeCount of [2, 0x80000000, 0xffffffff]) {
      set({ at: 0, rangeCount, checked: 1 });
      expect(() => mapping.commit()).toThrow(RangeError);
    }
    for (const at of [1, 3, granules, 0xfffffffc]) {
      set({ at, rangeCount: 1, checked: 1 });
      expect(() => mapping.commit()).toThrow(RangeError);
    }
    expect(bytes.every((byte) => byte === 0x55)).toBe(true);
    expect([...mapping.counters]).toEqual([0, 0, 0]);
  });
});

describe('after unmap', () => {
  it('every function throws CLOSED, whatever its arguments; unmap does nothing', () => {
    const names = Object.keys(mapping).filter(
      (name) => typeof loose[name] === 'function' && name !== 'unmap',
    );
    expect(names.length).toBe(12);
    mapping.unmap();
    for (const name of names) {
      for (const values of [[], [0, 0, 0, 0, 0], [new Uint32Array(2), 1], ['none', true, true, 0, 0]]) {
        const error = caught(() => call(name, ...values));
        if (error instanceof TypeError) expect(values.length).toBeLessThan(5);
        else expect(error, name).toMatchObject({ code: 'CLOSED' });
      }
    }
    mapping.unmap();
    expect(mapping.buffer.byteLength).toBe(0);
    expect(mapping.control.length).toBe(8);
  });
});
