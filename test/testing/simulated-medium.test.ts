import { describe, expect, it } from 'vitest';
import { STEP, type Step } from '../../src/memory/index.js';
import { crashImages, SimulatedMedium, type SimulatedMediumOptions } from '../../src/testing/index.js';
import { created, open, PATH } from './helpers.js';

/** What crashes can leave in the given units, as a sorted list. */
function outcomes(medium: SimulatedMedium, units: number[]): string[] {
  const found = new Set<string>();
  for (const image of crashImages(medium.dirtyUnits(), { budget: 1000 })) {
    const fork = medium.fork(image);
    const file = open(fork);
    found.add(units.map((unit) => file.get(unit)).join(' '));
  }
  return [...found].sort();
}

function start(options?: SimulatedMediumOptions) {
  const medium = new SimulatedMedium(options);
  return { medium, file: created(medium) };
}

describe('what a crash can leave', () => {
  it('a store that was not flushed may be lost or present', () => {
    const { medium, file } = start();
    file.set(3, 7);
    expect(outcomes(medium, [3])).toEqual(['0', '7']);
    file.fence();
    expect(outcomes(medium, [3])).toEqual(['0', '7']);
  });

  it('a store that was flushed and not fenced may be lost or present', () => {
    const { medium, file } = start();
    file.set(3, 7);
    file.flush(3);
    expect(outcomes(medium, [3])).toEqual(['0', '7']);
    const values = [new Uint8Array(8), Uint8Array.of(7, 0, 0, 0, 0, 0, 0, 0)];
    expect(medium.dirtyUnits()).toEqual([
      { path: PATH, offset: 24, values, current: 1, flushed: true, written: null },
    ]);
  });

  it('a store that was flushed and fenced is always present', () => {
    const { medium, file } = start();
    file.set(3, 7);
    file.flush(3);
    file.fence();
    expect(medium.dirtyUnits()).toEqual([]);
    expect(outcomes(medium, [3])).toEqual(['7']);
    expect(medium.readDurable(PATH)[24]).toBe(7);
  });

  it('a flush takes the whole line, and no other', () => {
    const { medium, file } = start();
    for (const unit of [7, 8, 15, 16]) file.set(unit, 1);
    file.flush(9);
    file.fence();
    expect(medium.dirtyUnits().map(({ offset }) => offset / 8)).toEqual([7, 16]);
  });

  it('a store between flush and fence stays uncertain, the flushed value is certain', () => {
    const { medium, file } = start();
    file.set(3, 1);
    file.flush(3);
    file.set(3, 2);
    expect(outcomes(medium, [3])).toEqual(['0', '1', '2']);
    file.fence();
    expect(outcomes(medium, [3])).toEqual(['1', '2']);
    file.fence();
    expect(outcomes(medium, [3])).toEqual(['1', '2']);
  });

  it('the last of two flushes counts', () => {
    const { medium, file } = start();
    file.set(3, 1);
    file.flush(3);
    file.set(3, 2);
    file.flush(3);
    expect(outcomes(medium, [3])).toEqual(['0', '1', '2']);
    file.fence();
    expect(outcomes(medium, [3])).toEqual(['2']);
  });

  it('a value that was set back may have reached the medium meanwhile', () => {
    const { medium, file } = start();
    file.set(3, 1);
    file.flush(3);
    file.set(3, 0);
    expect(outcomes(medium, [3])).toEqual(['0', '1']);
    file.fence();
    expect(outcomes(medium, [3])).toEqual(['0', '1']);
    file.flush(3);
    file.fence();
    expect(outcomes(medium, [3])).toEqual(['0']);
  });

  it('remembers values of unflushed units at the flushes of others while it is observed', () => {
    const { medium, file } = start();
    medium.observe({});
    file.set(3, 1);
    file.flush(100);
    file.set(3, 2);
    expect(outcomes(medium, [3])).toEqual(['0', '1', '2']);
  });

  it('units of one line are lost or present independently', () => {
    const { medium, file } = start();
    file.set(0, 1);
    file.set(1, 1);
    expect(outcomes(medium, [0, 1])).toEqual(['0 0', '0 1', '1 0', '1 1']);
  });

  it('a step that is skipped has no effect', () => {
    for (const skipped of [STEP.dataFlush, STEP.dataFence] satisfies Step[]) {
      const { medium, file } = start({ skip: [skipped] });
      file.set(3, 7);
      file.flush(3);
      file.fence();
      expect(outcomes(medium, [3])).toEqual(['0', '7']);
      file.flush(3, 1, STEP.commitFlush);
      file.fence(STEP.commitFence);
      expect(outcomes(medium, [3])).toEqual(['7']);
    }
  });

  it('flushRanges flushes granules; counters count lines and fences', () => {
    const { medium, file } = start();
    file.set(2, 1);
    file.set(40, 1);
    file.memory.flushRanges(Uint32Array.of(1, 1, 20, 5), 2, STEP.dataFlush);
    file.fence();
    expect(medium.dirtyUnits()).toEqual([]);
    expect(file.memory.counters).toEqual({ fences: 1, lines: 3, syncs: 0 });
  });
});

describe('files', () => {
  it('a file is there from publish on, for others and after a crash', () => {
    const medium = new SimulatedMedium();
    const file = open(medium, { mode: 'create' });
    file.set(0, 1);
    expect(medium.exists(PATH)).toBe(false);
    expect(medium.fork().exists(PATH)).toBe(false);
    file.memory.publish();
    expect(medium.exists(PATH)).toBe(true);
    expect(outcomes(medium, [0])).toEqual(['0', '1']);
    expect(() => open(medium, { mode: 'create' })).toThrow(expect.objectContaining({ code: 'EXISTS' }));
  });

  it('a file that was never published is gone after close', () => {
    const medium = new SimulatedMedium();
    open(medium, { mode: 'create' }).memory.close();
    expect(() => open(medium)).toThrow(expect.objectContaining({ code: 'NOT_FOUND' }));
  });

  it('is locked while open, not after close, a killed process, or in a fork', () => {
    const { medium, file } = start();
    expect(() => open(medium)).toThrow(expect.objectContaining({ code: 'LOCKED' }));
    open(medium.fork()).memory.close();
    file.memory.close();
    file.memory.close();
    open(medium);
    medium.killProcess();
    open(medium);
  });

  it('detaches the buffer on close and keeps all stores for the next one', () => {
    const { medium, file } = start();
    const bytes = new Uint8Array(file.memory.buffer);
    file.set(3, 7);
    file.memory.close();
    expect(bytes.length).toBe(0);
    expect(() => file.flush(0)).toThrow(expect.objectContaining({ code: 'CLOSED' }));
    expect(outcomes(medium, [3])).toEqual(['0', '7']);
    expect(open(medium).get(3)).toBe(7);
  });

  it('keeps what it holds when it is opened with another reservation', () => {
    const { medium, file } = start();
    file.set(3, 7);
    file.memory.close();
    const options = {
      path: PATH,
      mode: 'open',
      sizeBytes: 0,
      emulate: null,
      domain: null,
      log: null,
    } as const;
    const memory = medium.open({ ...options, maxBytes: 131072 });
    expect(memory.buffer.byteLength).toBe(131072);
    expect(new BigUint64Array(memory.buffer)[3]).toBe(7n);
    expect(outcomes(medium, [3])).toEqual(['0', '7']);
  });

  it('grows in place, at once and durably, with zeros', () => {
    const { medium, file } = start();
    file.set(3, 7);
    file.memory.grow(3 * 4096);
    expect(file.memory.sizeBytes).toBe(3 * 4096);
    file.set(1024, 5);
    expect(outcomes(medium, [3, 1024])).toEqual(['0 0', '0 5', '7 0', '7 5']);
    file.flush(1024);
    file.fence();
    expect(outcomes(medium, [3, 1024])).toEqual(['0 5', '7 5']);
    expect(medium.readDurable(PATH).length).toBe(3 * 4096);
  });

  it('refuses to grow beyond the reservation or the capacity, and goes on', () => {
    const { file } = start();
    expect(() => file.memory.grow(65536 + 1)).toThrow(expect.objectContaining({ code: 'POOL_FULL' }));
    const small = start({ capacityBytes: 8192 });
    small.file.memory.grow(8192);
    expect(() => small.file.memory.grow(8193)).toThrow(expect.objectContaining({ code: 'POOL_FULL' }));
    expect(small.file.memory.sizeBytes).toBe(8192);
  });

  it('takes a file from bytes of any length', () => {
    const medium = new SimulatedMedium();
    medium.install(
      PATH,
      Uint8Array.from({ length: 100 }, (_, index) => index),
    );
    const file = open(medium);
    expect(file.memory.sizeBytes).toBe(100);
    expect(new Uint8Array(file.memory.buffer)[99]).toBe(99);
    expect(medium.read(PATH).length).toBe(100);
  });

  it('a fork stands on its own', () => {
    const { medium, file } = start();
    file.set(3, 7);
    const fork = medium.fork({ units: medium.dirtyUnits(), choice: Uint8Array.of(1) });
    file.set(3, 8);
    file.flush(3);
    file.fence();
    const copy = open(fork);
    expect(copy.get(3)).toBe(7);
    copy.set(3, 9);
    copy.flush(3);
    copy.fence();
    expect(medium.readDurable(PATH)[24]).toBe(8);
    expect(fork.readDurable(PATH)[24]).toBe(9);
  });

  it('refuses flushes outside of the file and unknown domains', () => {
    const { medium, file } = start();
    expect(() => file.flush(512)).toThrow(RangeError);
    const options = { path: 'b', mode: 'create', maxBytes: 4096, sizeBytes: 4096, emulate: null } as const;
    for (const [domain, log] of [
      ['emulated', null],
      ['cpu-cache', null],
      ['block', 'undo'],
    ] as const) {
      expect(() => medium.open({ ...options, domain, log })).toThrow(
        expect.objectContaining({ code: 'DOMAIN' }),
      );
    }
  });
});

describe('faults', () => {
  it('fails the n-th flush once, or from then on', () => {
    const { medium, file } = start();
    const once = medium.inject({ operation: 'flush', at: 2 });
    file.flush(0);
    expect(() => file.flush(0)).toThrow(expect.objectContaining({ code: 'IO' }));
    file.flush(0);
    expect(once.fired).toBe(1);
    const always = medium.inject({ operation: 'flush', at: 1, keepFailing: true });
    expect(() => file.flush(0)).toThrow(expect.objectContaining({ code: 'IO' }));
    expect(() => file.flush(0)).toThrow(expect.objectContaining({ code: 'IO' }));
    always.remove();
    file.flush(0);
  });

  it('after a failed fence nothing flushed before is ever certain', () => {
    const { medium, file } = start();
    medium.inject({ operation: 'fence', at: 1 });
    file.set(3, 7);
    file.flush(3);
    expect(() => file.fence()).toThrow(expect.objectContaining({ code: 'IO' }));
    expect(outcomes(medium, [3])).toEqual(['0', '7']);
    file.fence();
    expect(outcomes(medium, [3])).toEqual(['0', '7']);
    file.flush(3);
    file.fence();
    expect(outcomes(medium, [3])).toEqual(['7']);
  });

  it('fails a growth with the file system full', () => {
    const { medium, file } = start();
    medium.inject({ operation: 'grow', at: 1 });
    expect(() => file.memory.grow(8192)).toThrow(expect.objectContaining({ code: 'POOL_FULL' }));
    expect(file.memory.sizeBytes).toBe(4096);
    file.memory.grow(8192);
  });

  it('counts all operations for `any`', () => {
    const { medium, file } = start();
    const fault = medium.inject({ operation: 'any', at: 3 });
    file.flush(0);
    file.fence();
    expect(() => file.memory.grow(8192)).toThrow(expect.objectContaining({ code: 'POOL_FULL' }));
    expect(fault.fired).toBe(1);
  });
});

describe('observers', () => {
  it('are told what happens, a fence before it takes effect', () => {
    const medium = new SimulatedMedium();
    const events: string[] = [];
    const stop = medium.observe({
      onOpen: (path) => events.push(`open ${path}`),
      onFence: (_path, step) => events.push(`fence ${step}, ${medium.dirtyUnits().length} dirty`),
      onGrow: (_path, size) => events.push(`grow ${size}`),
      onPublish: (path) => events.push(`publish ${path}`),
    });
    const file = created(medium);
    file.set(0, 1);
    file.flush(0);
    file.fence();
    file.memory.grow(8192);
    stop();
    file.fence();
    expect(events).toEqual([
      `open ${PATH}`,
      `publish ${PATH}`,
      `fence ${STEP.dataFence}, 1 dirty`,
      'grow 8192',
    ]);
  });
});
