import { setImmediate as nextTurn } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { STEP, type Step } from '../../src/memory/index.js';
import { SimulatedMedium, type SimulatedMediumOptions } from '../../src/testing/index.js';
import { bytesOf, created, createdLog, LOG_PATH, open, PATH } from './helpers.js';

const PAGE = 4096;
const BLOCK = { domain: 'block' } as const;
const HEADER = Uint8Array.of(9, 9, 9, 9);

function start(options?: SimulatedMediumOptions) {
  const medium = new SimulatedMedium(options);
  const file = created(medium, { ...BLOCK, sizeBytes: 4 * PAGE });
  const log = createdLog(file, 2 * PAGE);
  const store = (...values: number[]) => {
    const bytes = new Uint8Array(file.memory.buffer);
    values.forEach((value, page) => {
      bytes[page * PAGE] = value;
    });
  };
  const append = (text: string, at: number) => log.write(at, bytesOf(text), STEP.walAppend);
  return { medium, file, log, store, append };
}

/** The first bytes of the pages. */
function pages(bytes: Uint8Array): string {
  return Array.from({ length: bytes.length / PAGE }, (_, page) => bytes[page * PAGE]).join('');
}

const stepName = (step: Step | null): string =>
  Object.entries(STEP).find(([, value]) => value === step)?.[0] ?? 'none';

/** All that happens from now on, by name. */
function listen(medium: SimulatedMedium): string[] {
  const events: string[] = [];
  medium.observe({
    onWrite: (path, step) => events.push(`write ${path === PATH ? 'pool' : 'log'} ${stepName(step)}`),
    onFence: (path, step) => events.push(`sync ${path === PATH ? 'pool' : 'log'} ${stepName(step)}`),
    onGrow: (_path, size) => events.push(`grow ${size}`),
    onTruncate: (_path, size) => events.push(`cut ${size}`),
    onPublish: (path) => events.push(`publish ${path}`),
    onRemove: (path) => events.push(`remove ${path}`),
  });
  return events;
}

describe('jobs', () => {
  it('run one step at each look, and whatever is left in finish', () => {
    const { medium, log, append } = start();
    append('a', 0);
    const events = listen(medium);
    log.startWrite(Uint32Array.of(0, 1, 3), 3);
    expect(events).toEqual([]);
    expect(log.busy).toBe(true);
    expect(events).toEqual(['sync log walSyncAhead']);
    expect(log.busy).toBe(true);
    append('b', 1);
    log.finish();
    expect(log.busy).toBe(false);
    log.startComplete(PAGE, HEADER);
    while (log.busy);
    log.finish();
    log.startExtend(3 * PAGE);
    expect(log.busy).toBe(false);
    expect(log.sizeBytes).toBe(3 * PAGE);
    expect(events).toEqual([
      'sync log walSyncAhead',
      'write pool pageWrite',
      'write log walAppend',
      'write pool pageWrite',
      'write pool pageWrite',
      'sync pool pageSync',
      'write log walTail',
      'sync log walTailSync',
      `grow ${3 * PAGE}`,
    ]);
  });

  it('write pages as they were at the call, each on its own', () => {
    const { medium, log, store, append } = start();
    append('a', 0);
    store(1, 1, 1);
    log.startWrite(Uint32Array.of(0, 2), 2);
    store(2, 2, 2);
    expect(log.busy && log.busy).toBe(true);
    expect(pages(medium.read(PATH))).toBe('1000');
    expect(pages(medium.readDurable(PATH))).toBe('0000');
    log.finish();
    expect(pages(medium.read(PATH))).toBe('1010');
    expect(medium.dirtyUnits().map(({ path, offset }) => [path, offset])).toEqual([
      [PATH, 0],
      [PATH, 2 * PAGE],
    ]);
    log.startComplete(0, HEADER);
    log.finish();
    expect(pages(medium.readDurable(PATH))).toBe('1010');
    expect(medium.readDurable(LOG_PATH)[0]).toBe(9);
  });

  it('one at a time', () => {
    const { log } = start();
    log.startWrite(Uint32Array.of(0), 1);
    expect(() => log.startExtend(3 * PAGE)).toThrow('finish');
    log.finish();
    log.startExtend(3 * PAGE);
    log.finish();
  });

  it('give pages back: the program sees the file again', () => {
    const { file, log, store } = start();
    store(1, 1);
    log.startWrite(Uint32Array.of(0), 1);
    log.finish();
    log.giveBack(Uint32Array.of(0, 1), 2);
    expect(pages(new Uint8Array(file.memory.buffer, 0, 4 * PAGE))).toBe('1000');
  });

  it('die with the process, and are brought to an end by close', () => {
    for (const end of ['killProcess', 'close'] as const) {
      const { medium, file, log, store } = start();
      store(1, 1);
      log.startWrite(Uint32Array.of(0, 1), 2);
      expect(log.busy && log.busy).toBe(true);
      if (end === 'close') file.memory.close();
      else medium.killProcess();
      expect(pages(medium.read(PATH))).toBe(end === 'close' ? '1100' : '1000');
    }
  });

  it('are not for a pool that is mapped shared', () => {
    const file = created(new SimulatedMedium());
    const log = createdLog(file, PAGE);
    expect(() => log.startWrite(Uint32Array.of(0), 1)).toThrow('shared');
  });
});

describe('syncs in the background', () => {
  it('cover what was written before they began', () => {
    const { medium, log, append } = start();
    append('a', 0);
    const first = log.requestSync();
    append('b', 512);
    const second = log.requestSync();
    append('c', 1024);
    expect(log.completedSyncs).toBe(first);
    // The second could only begin when the first was over: after `c`.
    expect(medium.dirtyUnits().map(({ offset }) => offset)).toEqual([512, 1024]);
    append('d', 1536);
    expect(log.completedSyncs).toBe(second);
    expect(medium.dirtyUnits().map(({ offset }) => offset)).toEqual([1536]);
    log.sync(STEP.walSync);
    expect(medium.dirtyUnits()).toEqual([]);
  });

  it('are complete when the program syncs itself', () => {
    const { log, append } = start();
    append('a', 0);
    const tickets = [log.requestSync(), log.requestSync()];
    log.sync(STEP.walSync);
    expect(log.completedSyncs).toBe(tickets[1]);
  });

  it('take turns with a job', () => {
    const { medium, log, append } = start();
    append('a', 0);
    log.sync(STEP.walSync);
    append('b', 512);
    const events = listen(medium);
    log.startWrite(Uint32Array.of(0, 1), 2);
    append('c', 1024);
    const ticket = log.requestSync();
    while (log.busy);
    expect(log.completedSyncs).toBe(ticket);
    expect(events).toEqual([
      'write log walAppend',
      'sync log walSyncAhead',
      'sync log walSync',
      'write pool pageWrite',
      'write pool pageWrite',
    ]);
    expect(medium.dirtyUnits().filter(({ path }) => path === LOG_PATH)).toEqual([]);
  });

  it('come after a number of appends where they are periodic', () => {
    const { medium, log, append } = start({ appendsPerSync: 3 });
    log.syncEvery(100);
    const uncertain: number[] = [];
    for (let count = 0; count < 9; count++) {
      append('a', 512 * count);
      uncertain.push(medium.dirtyUnits().length);
    }
    // The sync that began with the third append ends with the fourth, and covers three.
    expect(uncertain).toEqual([1, 2, 3, 1, 2, 3, 1, 2, 3]);
    log.close();
    expect(medium.dirtyUnits()).toEqual([]);
  });

  it('go on when the event loop turns, and tell', async () => {
    const { medium, log, append } = start();
    let told = 0;
    log.onProgress = () => {
      told++;
    };
    log.keepAlive(true);
    append('a', 0);
    log.requestSync();
    await nextTurn();
    expect([told, medium.dirtyUnits().length]).toEqual([1, 0]);
    log.startWrite(Uint32Array.of(0, 1), 2);
    for (let turn = 0; turn < 5; turn++) await nextTurn();
    expect(told).toBe(2);
    log.finish();
    log.syncEvery(10);
    append('b', 0);
    for (let turn = 0; turn < 3; turn++) await nextTurn();
    expect([told, medium.dirtyUnits().length]).toEqual([3, 0]);
    append('c', 0);
    log.requestSync();
    medium.killProcess();
    for (let turn = 0; turn < 3; turn++) await nextTurn();
    expect([told, medium.dirtyUnits().length]).toEqual([3, 1]);
  });
});

describe('instants', () => {
  it('are told of logs too', () => {
    const { medium, file, log } = start();
    const events = listen(medium);
    file.flush(0);
    file.fence();
    log.truncate(PAGE);
    log.remove();
    log.close();
    file.memory.openWal({ create: true, access: 'store' });
    file.memory.syncFile();
    expect(events).toEqual([
      'write pool dataFlush',
      'sync pool dataFence',
      `cut ${PAGE}`,
      `remove ${LOG_PATH}`,
      `publish ${LOG_PATH}`,
    ]);
    file.flush(0);
    file.memory.syncFile();
    expect(events.slice(5)).toEqual(['write pool dataFlush', 'sync pool none']);
  });

  it('a step that is left out is none', () => {
    const skip = [STEP.walAppend, STEP.pageWrite, STEP.pageSync, STEP.walTailSync];
    const { medium, log, store, append } = start({ skip });
    const events = listen(medium);
    append('a', 0);
    store(1);
    log.startWrite(Uint32Array.of(0), 1);
    log.finish();
    log.startComplete(0, HEADER);
    log.finish();
    expect(events).toEqual(['sync log walSyncAhead', 'write log walTail']);
    expect(pages(medium.read(PATH))).toBe('0000');
    expect(medium.dirtyUnits().length).toBe(1);
  });
});

describe('faults', () => {
  const IO = expect.objectContaining({ code: 'IO' });

  it('of a sync last: nothing is written or synced after it', () => {
    const { medium, file, log, append } = start();
    append('a', 0);
    medium.inject({ operation: 'walSync', at: 1 });
    expect(() => log.sync(STEP.walSync)).toThrow(IO);
    expect(log.failure).toMatchObject({ code: 'IO' });
    for (const action of [
      () => log.sync(STEP.walSync),
      () => append('b', 0),
      () => log.extend(3 * PAGE),
      () => log.startWrite(Uint32Array.of(0), 1),
      () => log.startComplete(0, HEADER),
      () => file.flush(0),
      () => file.fence(),
      () => file.memory.syncFile(),
    ]) {
      expect(action).toThrow(IO);
    }
    expect(medium.dirtyUnits().length).toBe(1);
  });

  it('of a sync make nothing durable, neither then nor by a later sync of another process', () => {
    const { medium, log, append } = start();
    append('a', 0);
    append('b', 512);
    medium.inject({ operation: 'walSync', at: 1 });
    expect(() => log.sync(STEP.walSync)).toThrow(IO);
    medium.killProcess();
    const next = open(medium, BLOCK).memory.openWal({ create: false, access: 'write' });
    next?.write(1, bytesOf('c'), STEP.walAppend);
    next?.sync(STEP.walSync);
    expect(Buffer.from(medium.readDurable(LOG_PATH).subarray(0, 2)).toString()).toBe('ac');
    expect(medium.dirtyUnits().map(({ offset, flushed }) => [offset, flushed])).toEqual([[512, false]]);
  });

  it('of a write leave its first half', () => {
    const { medium, log, append } = start();
    medium.inject({ operation: 'walWrite', at: 1 });
    expect(() => append('abcd', 0)).toThrow(IO);
    expect(Buffer.from(medium.read(LOG_PATH).subarray(0, 4)).toString()).toBe('ab\0\0');
    expect(log.failure).not.toBe(null);
  });

  it('of a job are thrown by finish, once, and end it', () => {
    for (const operation of ['walSync', 'pageWrite', 'pageSync', 'walWrite'] as const) {
      const { medium, log, append } = start();
      append('a', 0);
      medium.inject({ operation, at: 1 });
      log.startWrite(Uint32Array.of(0, 1), 2);
      while (log.busy);
      if (log.failure === null) {
        log.finish();
        log.startComplete(0, HEADER);
      }
      expect(() => log.finish()).toThrow(IO);
      expect(log.failure).toMatchObject({ code: 'IO' });
      expect(log.busy).toBe(false);
      log.finish();
    }
  });

  it('of a sync in the background complete no ticket, and are told', async () => {
    const { medium, log, append } = start();
    append('a', 0);
    medium.inject({ operation: 'walSync', at: 1 });
    let told = 0;
    log.onProgress = () => {
      told++;
    };
    log.keepAlive(true);
    log.requestSync();
    for (let turn = 0; turn < 3; turn++) await nextTurn();
    expect(told).toBe(1);
    expect(log.completedSyncs).toBe(0);
    expect(log.failure).toMatchObject({ code: 'IO' });
    log.close();
  });

  it('of an extension are a full disk, and no reason to stop', () => {
    const { medium, log, append } = start();
    const FULL = expect.objectContaining({ code: 'POOL_FULL' });
    medium.inject({ operation: 'extend', at: 1 });
    expect(() => log.extend(3 * PAGE)).toThrow(FULL);
    medium.inject({ operation: 'extend', at: 1 });
    log.startExtend(3 * PAGE);
    while (log.busy);
    expect(() => log.finish()).toThrow(FULL);
    expect(log.failure).toBe(null);
    append('a', 0);
    log.startExtend(3 * PAGE);
    log.finish();
    expect(log.sizeBytes).toBe(3 * PAGE);
  });

  it('of a pool behind a private mapping last, too', () => {
    const { medium, file, log } = start();
    file.flush(0);
    medium.inject({ operation: 'fence', at: 1 });
    expect(() => file.fence()).toThrow(IO);
    expect(() => file.flush(0)).toThrow(IO);
    expect(() => log.sync(STEP.walSync)).toThrow(IO);
    expect(log.failure).not.toBe(null);
  });
});
