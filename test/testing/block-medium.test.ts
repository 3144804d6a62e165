import { describe, expect, it } from 'vitest';
import { STEP } from '../../src/memory/index.js';
import { crashImages, SimulatedMedium, type SimulatedMediumOptions } from '../../src/testing/index.js';
import { bytesOf, created, createdLog, LOG_PATH, open, PATH, textOf } from './helpers.js';

const BLOCK = { domain: 'block' } as const;
const PAGE = 4096;
/** The first unit of a page. */
const unitOf = (page: number) => (page * PAGE) / 8;

function start(options?: SimulatedMediumOptions, how: { domain?: 'memory' | 'block' } = BLOCK) {
  const medium = new SimulatedMedium(options);
  const file = created(medium, { log: 'redo', sizeBytes: 4 * PAGE, ...how });
  return { medium, file, log: createdLog(file, PAGE) };
}

/** What crashes can leave, as a sorted list of what `look` says. */
function outcomes(medium: SimulatedMedium, look: (fork: SimulatedMedium) => string): string[] {
  const found = new Set<string>();
  for (const image of crashImages(medium.dirtyUnits(), { budget: 5000 })) found.add(look(medium.fork(image)));
  return [...found].sort();
}

/** The first units of the pages of the pool. */
const pagesIn = (fork: SimulatedMedium) => {
  const bytes = fork.read(PATH);
  return [0, 1, 2, 3].map((page) => bytes[page * PAGE]).join('');
};
const logIn = (at: number, length: number) => (fork: SimulatedMedium) => {
  const bytes = fork.read(LOG_PATH).subarray(at, at + length);
  return Buffer.from(bytes).toString('latin1').replaceAll('\0', '.');
};

describe("a pool's file on a disk", () => {
  it('gets no store to the mapping, neither by a crash nor without one', () => {
    const { medium, file } = start();
    file.set(0, 7);
    expect(medium.dirtyUnits()).toEqual([]);
    expect(pagesIn(medium)).toBe('0000');
    file.memory.close();
    expect(open(medium, BLOCK).get(0)).toBe(0);
    medium.killProcess();
    expect(open(medium, BLOCK).get(0)).toBe(0);
  });

  it('gets exactly the bytes that are flushed', () => {
    const { medium, file } = start();
    for (const unit of [0, 1, 2, 3]) file.set(unit, 7);
    file.flush(1, 2);
    expect([0, 8, 16, 24].map((at) => medium.read(PATH)[at])).toEqual([0, 7, 7, 0]);
    expect(file.memory.counters).toEqual({ fences: 0, lines: 1, syncs: 0 });
    medium.killProcess();
    expect([0, 1, 2, 3].map((unit) => open(medium.fork(), BLOCK).get(unit))).toEqual([0, 0, 0, 0]);
    const next = open(medium, BLOCK);
    expect([0, 1, 2, 3].map((unit) => next.get(unit))).toEqual([0, 7, 7, 0]);
  });

  it('holds each page whole or not at all until it is synced', () => {
    const { medium, file } = start();
    file.set(unitOf(1), 1);
    file.set(unitOf(1) + 500, 1);
    file.set(unitOf(2), 2);
    file.flush(unitOf(1), 512);
    file.flush(unitOf(2));
    expect(outcomes(medium, pagesIn)).toEqual(['0000', '0020', '0100', '0120']);
    for (const image of crashImages(medium.dirtyUnits())) {
      const bytes = medium.fork(image).read(PATH);
      expect(bytes[PAGE]).toBe(bytes[PAGE + 4000]);
    }
    file.fence();
    expect(medium.dirtyUnits()).toEqual([]);
    expect(outcomes(medium, pagesIn)).toEqual(['0120']);
    expect(medium.readDurable(PATH)).toEqual(medium.read(PATH));
  });

  it('may hold any version of a page that was written', () => {
    const { medium, file } = start();
    for (const value of [1, 2, 3]) {
      file.set(0, value);
      file.flush(0);
    }
    expect(outcomes(medium, pagesIn)).toEqual(['0000', '1000', '2000', '3000']);
    expect(medium.dirtyUnits()[0]?.written).toEqual([0, 1, 2, 3]);
  });

  it('tears pages where the disk writes less at a time', () => {
    const { medium, file } = start({ pageUnitBytes: 512 });
    file.set(0, 1);
    file.set(64, 1);
    file.flush(0, 65);
    const units = (fork: SimulatedMedium) => `${fork.read(PATH)[0]}${fork.read(PATH)[512]}`;
    expect(outcomes(medium, units)).toEqual(['00', '01', '10', '11']);
    expect(() => new SimulatedMedium({ pageUnitBytes: 1000 })).toThrow(RangeError);
  });

  it('grows and is published at once; syncFile needs no step', () => {
    const medium = new SimulatedMedium();
    const file = open(medium, { ...BLOCK, mode: 'create' });
    file.set(0, 1);
    file.flush(0);
    file.memory.publish();
    file.memory.grow(2 * PAGE);
    file.set(unitOf(1), 5);
    file.memory.grow(3 * PAGE);
    expect(file.get(unitOf(1))).toBe(5);
    expect(medium.readDurable(PATH).length).toBe(3 * PAGE);
    expect(outcomes(medium, pagesIn)).toEqual(['000', '100']);
    file.memory.syncFile();
    expect(outcomes(medium, pagesIn)).toEqual(['100']);
    expect(file.memory.info).toMatchObject({ domain: 'block', log: 'redo' });
  });

  it('keeps what is seen when it is opened in another domain', () => {
    const { medium, file } = start();
    file.set(0, 1);
    file.flush(0);
    file.memory.close();
    const shared = open(medium);
    expect(shared.get(0)).toBe(1);
    expect(outcomes(medium, pagesIn)).toEqual(['0000', '1000']);
    shared.set(0, 2);
    shared.memory.close();
    const again = open(medium, BLOCK);
    expect(again.get(0)).toBe(2);
    expect(outcomes(medium, pagesIn)).toEqual(['0000', '2000']);
    again.fence();
    expect(outcomes(medium, pagesIn)).toEqual(['2000']);
  });
});

describe('a log on a disk', () => {
  it('is torn and reordered by sectors of 512 bytes until it is synced', () => {
    const { medium, log } = start();
    log.write(510, bytesOf('abcd'), STEP.walAppend);
    log.write(1024, bytesOf('e'), STEP.walAppend);
    const look = (fork: SimulatedMedium) => logIn(510, 4)(fork) + logIn(1024, 1)(fork);
    expect(outcomes(medium, look)).toEqual(
      ['.....', '..cd.', 'ab...', 'abcd.', '....e', '..cde', 'ab..e', 'abcde'].sort(),
    );
    expect(textOf(log, 508, 7)).toBe('..abcd.');
    log.sync(STEP.walSync);
    expect(outcomes(medium, look)).toEqual(['abcde']);
  });

  it('is torn by lines where it is stored to', () => {
    const medium = new SimulatedMedium();
    const log = createdLog(created(medium, BLOCK), PAGE, 'store');
    log.write(62, bytesOf('abcd'), STEP.walAppend);
    expect(outcomes(medium, logIn(62, 4))).toEqual(['....', '..cd', 'ab..', 'abcd']);
    // Also when the next process reads it in another way.
    medium.killProcess();
    open(medium, BLOCK).memory.openWal({ create: false, access: 'write' });
    expect(outcomes(medium, logIn(62, 4))).toEqual(['....', '..cd', 'ab..', 'abcd']);
  });

  it('may hold any version of a sector', () => {
    const { medium, log } = start();
    log.write(0, bytesOf('a'), STEP.walAppend);
    log.write(1, bytesOf('b'), STEP.walAppend);
    expect(outcomes(medium, logIn(0, 2))).toEqual(['..', 'a.', 'ab']);
    log.sync(STEP.walSync);
    log.write(1, bytesOf('c'), STEP.walAppend);
    expect(outcomes(medium, logIn(0, 2))).toEqual(['ab', 'ac']);
  });

  it('is synced on its own', () => {
    const { medium, file, log } = start();
    file.set(0, 1);
    file.flush(0);
    log.write(0, bytesOf('a'), STEP.walAppend);
    const look = (fork: SimulatedMedium) => pagesIn(fork) + logIn(0, 1)(fork);
    file.fence();
    expect(outcomes(medium, look)).toEqual(['1000.', '1000a']);
    file.set(0, 2);
    file.flush(0);
    log.sync(STEP.walSync);
    expect(outcomes(medium, look)).toEqual(['1000a', '2000a']);
  });

  it('is there from its creation to its removal, at once and durably', () => {
    const medium = new SimulatedMedium();
    const file = created(medium, BLOCK);
    expect(file.memory.openWal({ create: false, access: 'write' })).toBe(null);
    const log = createdLog(file, 2 * PAGE);
    expect(log.path).toBe(LOG_PATH);
    expect(medium.paths()).toEqual([PATH, LOG_PATH]);
    expect(medium.fork().read(LOG_PATH)).toEqual(new Uint8Array(2 * PAGE));
    expect(() => medium.remove(LOG_PATH)).toThrow(expect.objectContaining({ code: 'LOCKED' }));
    log.remove();
    log.close();
    expect(medium.paths()).toEqual([PATH]);
    expect(medium.fork().paths()).toEqual([PATH]);
  });

  it('survives the death of the process with all that was written', () => {
    const { medium, log } = start();
    log.write(0, bytesOf('a'), STEP.walAppend);
    log.sync(STEP.walSync);
    log.write(1, bytesOf('b'), STEP.walAppend);
    medium.killProcess();
    expect(() => log.write(2, bytesOf('c'), STEP.walAppend)).toThrow(
      expect.objectContaining({ code: 'CLOSED' }),
    );
    const again = open(medium, BLOCK).memory.openWal({ create: false, access: 'store' });
    expect(again && textOf(again, 0, 3)).toBe('ab.');
    expect(outcomes(medium, logIn(0, 2))).toEqual(['a.', 'ab']);
  });

  it('is cut and extended at once and durably; new bytes are zero', () => {
    const { medium, log } = start();
    log.write(0, bytesOf('a'.repeat(1500)), STEP.walAppend);
    log.sync(STEP.walSync);
    log.write(700, bytesOf('b'), STEP.walAppend);
    log.write(1400, bytesOf('b'), STEP.walAppend);
    log.truncate(701);
    expect(medium.readDurable(LOG_PATH)).toEqual(bytesOf('a'.repeat(701)));
    log.extend(3 * PAGE);
    expect(log.sizeBytes).toBe(3 * PAGE);
    expect(outcomes(medium, logIn(698, 5))).toEqual(['aaa..', 'aab..']);
    expect(outcomes(medium, logIn(1398, 4))).toEqual(['....']);
    log.truncate(0);
    log.extend(PAGE);
    expect(medium.readDurable(LOG_PATH)).toEqual(new Uint8Array(PAGE));
    expect(() => log.write(PAGE - 1, bytesOf('ab'), STEP.walAppend)).toThrow(RangeError);
  });

  it('shares the capacity with the pool', () => {
    const { file, log } = start({ capacityBytes: 6 * PAGE });
    expect(() => log.extend(2 * PAGE + 1)).toThrow(expect.objectContaining({ code: 'POOL_FULL' }));
    log.extend(2 * PAGE);
    expect(() => file.memory.grow(5 * PAGE)).toThrow(expect.objectContaining({ code: 'POOL_FULL' }));
    log.truncate(PAGE);
    file.memory.grow(5 * PAGE);
  });

  it('can be installed, copied, damaged and removed', () => {
    const { medium, log } = start();
    log.write(0, bytesOf('abc'), STEP.walAppend);
    medium.killProcess();
    const bytes = medium.read(LOG_PATH);
    bytes[1] = 0;
    medium.install(LOG_PATH, bytes);
    const damaged = open(medium, BLOCK).memory.openWal({ create: false, access: 'write' });
    expect(damaged && textOf(damaged, 0, 3)).toBe('a.c');
    medium.killProcess();
    medium.remove(LOG_PATH);
    expect(open(medium, BLOCK).memory.openWal({ create: false, access: 'write' })).toBe(null);
  });

  it('hashes equal content alike, however it came about', () => {
    const hash = (medium: SimulatedMedium): string => {
      const words = new Uint32Array(2);
      medium.fingerprint(words);
      return words.join();
    };
    const { medium, log } = start();
    const empty = hash(medium);
    log.write(0, bytesOf('abc'), STEP.walAppend);
    const fork = medium.fork({ units: medium.dirtyUnits(), choice: Uint8Array.of(1) });
    expect(hash(medium)).toBe(empty);
    log.sync(STEP.walSync);
    expect(hash(medium)).not.toBe(empty);
    expect(hash(fork)).toBe(hash(medium));
    log.extend(2 * PAGE);
    log.truncate(PAGE);
    expect(hash(fork)).toBe(hash(medium));
    log.truncate(0);
    log.extend(PAGE);
    expect(hash(medium)).toBe(empty);
  });
});

describe('a log in persistent memory', () => {
  it('is written in units of 8 bytes; a sync is a fence', () => {
    const { medium, log } = start({}, { domain: 'memory' });
    expect(log.synchronous).toBe(true);
    log.write(4, bytesOf('abcdefgh'), STEP.walAppend);
    const look = logIn(4, 8);
    expect(outcomes(medium, look)).toEqual(['........', '....efgh', 'abcd....', 'abcdefgh']);
    log.sync(STEP.walSync);
    expect(outcomes(medium, look)).toEqual(['abcdefgh']);
  });

  it('a write whose flush is left out is seen, but not made durable by a fence', () => {
    const { medium, log } = start({ skip: [STEP.walAppend] }, { domain: 'memory' });
    log.write(0, bytesOf('a'), STEP.walAppend);
    log.sync(STEP.walSync);
    expect(textOf(log, 0, 1)).toBe('a');
    expect(outcomes(medium, logIn(0, 1))).toEqual(['.', 'a']);
    log.write(0, bytesOf('b'), STEP.walCreate);
    log.sync(STEP.walSync);
    expect(outcomes(medium, logIn(0, 1))).toEqual(['b']);
  });

  it('lies beside a pool that is written by pages', () => {
    const { medium, file } = start({}, { domain: 'memory' });
    file.set(0, 1);
    file.set(unitOf(1), 1);
    file.flush(0, 2);
    expect(outcomes(medium, pagesIn)).toEqual(['0000', '1000']);
    expect(file.memory.info).toMatchObject({ domain: 'memory', log: 'redo' });
  });
});
