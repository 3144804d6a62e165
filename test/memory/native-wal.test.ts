/** The native write-ahead log: the contract, and what only it does: threads, lifetimes, the kernel's view of it. */
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
} from 'node:fs';
import { join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest';
import { PAGE_BYTES } from '../../src/format/index.js';
import {
  type Domain,
  type Memory,
  NativeBackend,
  STEP,
  WAL_CONTROL,
  type WalAccess,
  type WriteAheadLog,
} from '../../src/memory/index.js';
import { addonPath } from '../../src/memory/native-addon.js';
import { canMount, caught, countMappings, MIB, openOptions, Scratch } from './fixtures.js';
import { type WalPool, walContract } from './wal-contract.js';

const scratch = new Scratch();
afterAll(() => scratch.removeAll());

function makePool(directory: string, domain: Domain | null): WalPool {
  const path = join(directory, 'wal.pool');
  const options = { emulate: null, domain, log: 'redo' } as const;
  const backend = new NativeBackend();
  const memory = backend.open(openOptions(path, { mode: 'create', ...options }));
  memory.publish();
  return {
    memory,
    reopen: () => {
      memory.close();
      return backend.open(openOptions(path, options));
    },
    poolFile: () => readFileSync(path),
  };
}

const variants: [string, 'memory' | 'disk', Domain | null, WalAccess][] = [
  ['stored in memory', 'memory', null, 'write'],
  ['written on disk', 'disk', 'block', 'write'],
  ['stored on disk', 'disk', 'block', 'store'],
];
for (const [name, medium, domain, access] of variants) {
  walContract(name, {
    access,
    synchronous: domain === null,
    makePool: () => makePool(medium === 'memory' ? scratch.memory() : scratch.disk(), domain),
  });
}

let directory: string;
let path: string;
const opened: Memory[] = [];
beforeEach(() => {
  directory = scratch.memory();
  path = join(directory, 'wal.pool');
});
afterEach(() => {
  for (const memory of opened.splice(0)) memory.close();
});

/** A pool with a log of 64 KiB; on tmpfs for speed, treated as a disk. */
function open(access: WalAccess = 'write'): { memory: Memory; wal: WriteAheadLog } {
  const options = openOptions(path, { mode: 'create', emulate: null, domain: 'block' });
  const memory = new NativeBackend().open(options);
  opened.push(memory);
  memory.publish();
  const wal = memory.openWal({ create: true, access }) as WriteAheadLog;
  wal.extend(65536);
  return { memory, wal };
}

function append({ recordWriter }: WriteAheadLog): void {
  if (recordWriter === null) throw new Error('the native log has a record writer');
  recordWriter.setRanges(Uint32Array.of(10, 4));
  recordWriter.control.fill(0);
  recordWriter.control[WAL_CONTROL.at] = 128;
  recordWriter.control[WAL_CONTROL.end] = 1024;
  recordWriter.control[WAL_CONTROL.count] = 1;
  recordWriter.append();
}

/** Blocks the thread: the event loop does not turn. */
function block(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

/** The threads that perdure has in this process. */
function threads(): string[] {
  return readdirSync('/proc/self/task').filter((id) => {
    try {
      return readFileSync(`/proc/self/task/${id}/comm`, 'utf8').startsWith('perdure-');
    } catch {
      return false; // it has just ended
    }
  });
}

describe('the file', () => {
  it('is refused a second time while it is open, and opened again when it was closed', () => {
    const { memory, wal } = open();
    const error = caught(() => memory.openWal({ create: true, access: 'write' }));
    expect(error).toMatchObject({ name: 'IoError', code: 'IO' });
    expect(error.message).toContain('open already');
    for (let i = 0; i < 20; i++) {
      (i === 0 ? wal : (memory.openWal({ create: false, access: 'store' }) as WriteAheadLog)).close();
    }
    expect(countMappings(path)).toBe(1);
  });

  it('lies beside the file that a symbolic link leads to, and stays there when the link goes', () => {
    const link = join(directory, 'link.pool');
    mkdirSync(join(directory, 'deep'));
    path = join(directory, 'deep', 'real.pool');
    open().memory.close();
    symlinkSync(path, link);
    const memory = new NativeBackend().open(openOptions(link, { emulate: null, domain: 'block' }));
    rmSync(link);
    const wal = memory.openWal({ create: false, access: 'write' });
    expect(wal?.path).toBe(`${path}-wal`);
    memory.close();
  });

  it('is read by a pool that has the undo log now', () => {
    const { memory, wal } = open();
    wal.write(10, Uint8Array.of(1, 2), STEP.walAppend);
    memory.close();
    const undo = new NativeBackend().open(openOptions(path));
    opened.push(undo);
    expect(undo.info.log).toBe('undo');
    const found = undo.openWal({ create: false, access: 'write' }) as WriteAheadLog;
    const bytes = new Uint8Array(4);
    found.read(9, bytes);
    expect([...bytes]).toEqual([0, 1, 2, 0]);
    found.remove();
    found.close();
  });

  it('may be read and written by whoever may do so with the pool', () => {
    const { memory, wal } = open();
    for (const mode of [0o600, 0o664]) {
      chmodSync(path, mode);
      rmSync(`${path}-wal`);
      wal.close();
      memory.openWal({ create: true, access: 'write' })?.close();
      expect(statSync(`${path}-wal`).mode & 0o777).toBe(mode);
    }
  });

  it('cannot be a directory or a file without permission', () => {
    const { memory, wal } = open();
    wal.remove();
    wal.close();
    mkdirSync(`${path}-wal`);
    const error = caught(() => memory.openWal({ create: true, access: 'write' }));
    expect(error).toMatchObject({ name: 'IoError', code: 'IO' });
    expect(error.message).toContain(`${path}-wal`);
  });

  it('has blocks behind every byte', () => {
    const { wal } = open();
    wal.extend(3 * MIB);
    expect(statSync(wal.path).blocks * 512).toBeGreaterThanOrEqual(3 * MIB);
  });

  it('is closed with its pool', () => {
    const { memory, wal } = open();
    wal.syncEvery(1000);
    wal.startExtend(MIB);
    memory.close();
    expect(statSync(wal.path).size).toBe(MIB);
    expect(caught(() => wal.sync(STEP.walSync))).toMatchObject({ name: 'PoolClosedError' });
    expect(threads()).toEqual([]);
    expect(countMappings(path)).toBe(0);
  });

  it.skipIf(!canMount)('is as before when there is no room to extend it, and goes on [needs mount]', () => {
    path = join(scratch.mount('size=3m') as string, 'wal.pool');
    const { wal } = open('store');
    for (const extend of [() => wal.extend(4 * MIB), () => background(wal, 4 * MIB)]) {
      const error = caught(extend);
      expect(error).toMatchObject({ name: 'PoolFullError', code: 'POOL_FULL' });
      expect(error.message).toContain(`${path}-wal`);
      expect(error.message).toContain(String(4 * MIB));
      expect(wal).toMatchObject({ sizeBytes: 65536, failure: null, busy: false });
      expect(statSync(wal.path).size).toBe(65536);
      wal.finish();
      append(wal);
    }
    background(wal, MIB);
    expect(wal.sizeBytes).toBe(MIB);
  });

  function background(wal: WriteAheadLog, sizeBytes: number): void {
    wal.startExtend(sizeBytes);
    wal.finish();
  }
});

describe('syncs', () => {
  it('are not made again when nothing was written since', () => {
    const { memory, wal } = open();
    append(wal);
    const before = memory.counters.syncs;
    for (let i = 0; i < 3; i++) wal.sync(STEP.walSync);
    expect(memory.counters.syncs - before).toBe(1);
    expect(memory.counters.fences).toBe(3);
    wal.write(0, new Uint8Array(1), STEP.walTail);
    wal.sync(STEP.walSync);
    expect(memory.counters.syncs - before).toBe(2);
  });

  it('take along what the process before wrote, which may have died before it was durable', () => {
    const { memory, wal } = open();
    wal.close();
    const again = memory.openWal({ create: false, access: 'write' }) as WriteAheadLog;
    const before = memory.counters.syncs;
    for (let i = 0; i < 2; i++) again.sync(STEP.walSyncAhead);
    expect(memory.counters.syncs - before).toBe(1);
  });

  it.each(['write', 'store'] as const)(
    'happen at their time without the event loop, and only when there was an append: %s',
    (access) => {
      const { memory, wal } = open(access);
      wal.sync(STEP.walSync);
      wal.syncEvery(20);
      const before = memory.counters.syncs;
      block(60);
      expect(memory.counters.syncs - before).toBe(0);
      append(wal);
      block(200);
      expect(memory.counters.syncs - before).toBe(1);
      for (let i = 0; i < 10; i++) {
        append(wal);
        block(10);
      }
      block(200);
      expect(memory.counters.syncs - before).toBeGreaterThanOrEqual(2);
      wal.syncEvery(0);
      const stopped = memory.counters.syncs;
      append(wal);
      block(60);
      expect(memory.counters.syncs).toBe(stopped);
    },
  );

  it('are shared by all that wait', async () => {
    const { memory, wal } = open();
    const before = memory.counters.syncs;
    wal.keepAlive(true);
    let ticket = 0;
    for (let i = 0; i < 100; i++) {
      append(wal);
      ticket = wal.requestSync();
    }
    while (wal.completedSyncs < ticket) await nextTurn();
    wal.keepAlive(false);
    expect(ticket).toBe(100);
    expect(memory.counters.syncs - before).toBeLessThan(100);
  });
});

describe('jobs', () => {
  it('come one at a time', () => {
    const { wal } = open();
    wal.startExtend(256 * MIB);
    for (const call of [
      () => wal.startExtend(MIB),
      () => wal.startWrite(new Uint32Array(1), 1),
      () => wal.startComplete(0, new Uint8Array(1)),
      () => wal.extend(MIB),
      () => wal.truncate(0),
    ]) {
      expect(wal.busy).toBe(true);
      expect(caught(call)).toMatchObject({ code: 'BUSY' });
    }
    append(wal);
    wal.sync(STEP.walSync);
    wal.finish();
    expect(wal).toMatchObject({ busy: false, sizeBytes: 256 * MIB });
  });

  it('are finished by close', () => {
    const { memory, wal } = open();
    const bytes = new Uint8Array(memory.buffer, 0, MIB).fill(9);
    const pages = Uint32Array.from({ length: 256 }, (_, i) => i);
    wal.startWrite(pages, 256);
    wal.close();
    expect(Buffer.compare(readFileSync(path), bytes)).toBe(0);
    expect(threads()).toEqual([]);
  });

  it('give memory back to the system', () => {
    const { memory, wal } = open();
    const bytes = new Uint8Array(memory.buffer, 0, MIB).fill(9);
    expect(privateKib()).toBeGreaterThanOrEqual(1024);
    const pages = Uint32Array.from({ length: 255 }, (_, i) => i + 1);
    wal.startWrite(pages, 255);
    wal.finish();
    wal.giveBack(pages, 255);
    expect(privateKib()).toBe(4);
    expect(bytes.every((byte) => byte === 9)).toBe(true);
  });

  function privateKib(): number {
    const maps = readFileSync('/proc/self/smaps', 'utf8').split(/^(?=[0-9a-f]+-[0-9a-f]+ )/m);
    const mine = maps.filter((map) => map.split('\n')[0]?.includes(path));
    return mine.reduce((sum, map) => sum + Number(/^Anonymous:\s+(\d+)/m.exec(map)?.[1]), 0);
  }

  it('refuse pages that are not ascending', () => {
    const { wal } = open();
    for (const pages of [
      [1, 1],
      [2, 1],
    ]) {
      expect(() => wal.startWrite(Uint32Array.from(pages), 2)).toThrow(RangeError);
      expect(() => wal.giveBack(Uint32Array.from(pages), 2)).toThrow(RangeError);
    }
  });

  it('write the last page of a pool that ends within it', () => {
    const { memory, wal } = open();
    memory.grow(MIB + 100);
    new Uint8Array(memory.buffer)[MIB + 99] = 3;
    wal.startWrite(Uint32Array.of(MIB / PAGE_BYTES), 1);
    wal.finish();
    expect(statSync(path).size).toBe(MIB + 100);
    expect(readFileSync(path)[MIB + 99]).toBe(3);
  });
});

describe('threads', () => {
  it('start when they are needed, let signals pass by, and end with the log', () => {
    const { wal } = open();
    append(wal);
    wal.sync(STEP.walSync);
    expect(threads()).toEqual([]);
    wal.requestSync();
    wal.startExtend(MIB);
    wal.syncEvery(5);
    expect(threads().length).toBe(2);
    for (const id of threads()) {
      const blocked = /^SigBlk:\s+(\w+)/m.exec(readFileSync(`/proc/self/task/${id}/status`, 'utf8'))?.[1];
      expect(BigInt(`0x${blocked}`) & 0xffffn).toBe(0xffffn & ~(1n << 8n)); // all but SIGKILL
    }
    wal.close();
    expect(threads()).toEqual([]);
  });

  it('are not needed for a log in byte-addressable memory', () => {
    const memory = new NativeBackend().open(openOptions(path, { mode: 'create', log: 'redo' }));
    opened.push(memory);
    memory.publish();
    const wal = memory.openWal({ create: true, access: 'write' }) as WriteAheadLog;
    wal.extend(65536);
    wal.syncEvery(1);
    const before = { ...memory.counters, fences: memory.counters.fences, lines: memory.counters.lines };
    append(wal);
    expect(memory.counters.fences - before.fences).toBe(1);
    expect(memory.counters.lines - before.lines).toBe(2);
    expect(wal.completedSyncs).toBeGreaterThanOrEqual(wal.requestSync());
    expect(threads()).toEqual([]);
  });

  it('neither keep a process alive nor hold up its end, unless it is wanted', () => {
    const script = (keep: boolean): string => `
      const mapping = require(${JSON.stringify(addonPath())}).map(${JSON.stringify(path)} + process.pid, ${MIB}, 1);
      mapping.allocate(0, 65536);
      mapping.makePrivate();
      const wal = mapping.openWal(${JSON.stringify(path)} + process.pid + '-wal', 1);
      wal.extend(65536);
      wal.syncEvery(10000);
      wal.write(0, new Uint8Array(9));
      wal.onProgress = () => { console.log('progress', wal.state[1]); wal.keepAlive(false); };
      wal.keepAlive(${keep});
      wal.requestSync();
      process.on('exit', () => wal.startExtend(65536 * 64));`;
    const run = (keep: boolean) =>
      spawnSync(process.execPath, ['-e', script(keep)], { encoding: 'utf8', timeout: 20_000 });
    expect(run(true)).toMatchObject({ status: 0, stderr: '', stdout: 'progress 1\n' });
    expect(run(false)).toMatchObject({ status: 0, stderr: '' });
  });

  it('survive that the file is renamed or removed under them', () => {
    const { wal } = open('store');
    append(wal);
    renameSync(wal.path, `${wal.path}.aside`);
    append(wal);
    wal.sync(STEP.walSync);
    wal.remove();
    expect(existsSync(`${wal.path}.aside`)).toBe(true);
  });
});
