/**
 * Failing system calls on the files of a pool with a redo log, and the order of the calls. A child runs with the
 * library of test/faults between it and the system, which writes a trace and lets a chosen call fail, once: what follows
 * must fail by itself.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, realpathSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { addonPath } from '../../src/memory/native-addon.js';
import { MIB, Scratch } from './fixtures.js';

const EIO = 5;
const ENOSPC = 28;
const scratch = new Scratch();
let shim: string;
beforeAll(() => {
  shim = join(scratch.disk(), 'shim.so');
  const [compiler = 'cc', ...flags] = (process.env.CC ?? 'cc').split(' ').filter(Boolean);
  const source = fileURLToPath(new URL('../faults/shim.c', import.meta.url));
  execFileSync(compiler, [...flags, '-std=gnu11', '-O1', '-fPIC', '-shared', '-o', shim, source]);
});
afterAll(() => scratch.removeAll());

interface Outcome {
  /** What `note` was given. */
  readonly notes: readonly unknown[];
  /** "call file", with " failed" behind the one that did. */
  readonly trace: readonly string[];
}

/** Runs `body` with an open log; number `at` of the trace, which is such a call, fails. */
function run(body: string, { at = 0, call = '', errno = EIO } = {}): Outcome {
  const base = realpathSync(scratch.memory());
  const folder = join(base, 'pool');
  mkdirSync(folder);
  const path = join(folder, 'x.pool');
  const script = `
    const notes = [];
    const note = (value) => notes.push(value);
    const attempt = (action) => {
      try { action(); note('ok'); } catch (error) { note(error.code + ' ' + error.syscall + ' ' + error.path?.slice(${folder.length + 1})); }
    };
    const mapping = require(${JSON.stringify(addonPath())}).map(${JSON.stringify(path)}, ${MIB}, 1);
    mapping.allocate(0, 65536);
    mapping.makePrivate();
    const wal = mapping.openWal(${JSON.stringify(`${path}-wal`)}, 1);
    wal.extend(65536);
    wal.setRanges(Uint32Array.of(1, 4));
    wal.control.set([0, 128, 1024, 0, 0, 1]);
    const failure = () => note(wal.failure()?.code + ' ' + wal.state[2]);
    (async () => { ${body} })().then(() => console.log(JSON.stringify(notes)));`;
  const trace = join(base, 'trace');
  const child = spawnSync(process.execPath, ['-e', script], {
    encoding: 'utf8',
    timeout: 20_000,
    env: {
      ...process.env,
      LD_PRELOAD: shim,
      PERDURE_FAULT_FOLDER: folder,
      PERDURE_FAULT_TRACE: trace,
      PERDURE_FAULT_AT: String(at),
      PERDURE_FAULT_CALLS: ` ${call} `,
      PERDURE_FAULT_ERRNO: String(errno),
    },
  });
  expect(child).toMatchObject({ status: 0, stderr: '' });
  const lines = readFileSync(trace, 'utf8').trim().split('\n');
  return {
    notes: JSON.parse(child.stdout) as unknown[],
    trace: lines.map((line) => line.slice(line.indexOf(' ') + 1)),
  };
}

/** Runs `body` twice: the second time the first call of this kind after the opening fails. */
function runFailing(body: string, call: string, errno = EIO): Outcome {
  const opening = run('').trace.length;
  const at = run(body).trace.findIndex((line, i) => i >= opening && line === call);
  expect(at, call).toBeGreaterThan(0);
  const outcome = run(body, { at: at + 1, call: call.split(' ')[0] as string, errno });
  expect(outcome.trace[at]).toBe(`${call} failed`);
  return outcome;
}

/** All that writes, after a failure of `syscall` on `file`. */
const EVERYTHING = `
  attempt(() => wal.append());
  attempt(() => wal.write(0, new Uint8Array(1)));
  attempt(() => wal.sync());
  attempt(() => wal.requestSync());
  attempt(() => wal.extend(131072));
  attempt(() => { wal.startWrite(Uint32Array.of(1), 1); wal.finish(); });
  attempt(() => { wal.startComplete(0, new Uint8Array(1)); wal.finish(); });
  attempt(() => { wal.startExtend(131072); wal.finish(); });
  failure();
  attempt(() => wal.read(0, new Uint8Array(8)));
  attempt(() => wal.close());`;
const allFail = (what: string): string[] => [
  ...Array<string>(8).fill(what),
  `${what.split(' ')[0]} 1`,
  'ok',
  'ok',
];

describe('a failure of the log is final', () => {
  it('when a record cannot be written', () => {
    const { notes } = runFailing(`attempt(() => wal.append());${EVERYTHING}`, 'pwrite wal');
    expect(notes).toEqual(['EIO pwrite x.pool-wal', ...allFail('EIO pwrite x.pool-wal')]);
  });

  it('when it cannot be synced, and the sync is not tried again', () => {
    const body = `wal.append(); attempt(() => wal.sync());`;
    const { notes, trace } = runFailing(`${body}${EVERYTHING}`, 'fdatasync wal');
    expect(notes).toEqual(['EIO fdatasync x.pool-wal', ...allFail('EIO fdatasync x.pool-wal')]);
    expect(trace.filter((line) => line.startsWith('fdatasync')).length).toBe(2);
    const wait = `wal.append(); await new Promise((done) => { wal.onProgress = done; wal.keepAlive(true); wal.requestSync(); });
      wal.keepAlive(false); note(wal.state[1]);`;
    expect(runFailing(`${wait}${EVERYTHING}`, 'fdatasync wal').notes).toEqual([
      0,
      ...allFail('EIO fdatasync x.pool-wal'),
    ]);
  });

  it('when another thread meets it: every so often, or ahead of pages', () => {
    const periodic = `wal.syncEvery(1); wal.append();
      for (let i = 0; i < 500 && wal.state[2] === 0; i++) await new Promise((done) => setTimeout(done, 1));`;
    const { notes } = runFailing(`${periodic}${EVERYTHING}`, 'fdatasync wal');
    expect(notes).toEqual(allFail('EIO fdatasync x.pool-wal'));
    const ahead = `wal.append(); wal.startWrite(Uint32Array.of(1), 1);
      attempt(() => wal.finish()); attempt(() => wal.finish());`;
    const outcome = runFailing(`${ahead}${EVERYTHING}`, 'fdatasync wal');
    expect(outcome.notes).toEqual(['EIO fdatasync x.pool-wal', 'ok', ...allFail('EIO fdatasync x.pool-wal')]);
    expect(outcome.trace.slice(-3)).not.toContain('pwrite pool');
  });

  it('when pages or the pool behind them cannot be written', () => {
    for (const [start, call, error] of [
      ['wal.startWrite(Uint32Array.of(1), 1)', 'pwrite pool', 'EIO pwrite x.pool'],
      ['wal.startComplete(0, new Uint8Array(1))', 'fdatasync pool', 'EIO fdatasync x.pool'],
    ] as const) {
      const body = `${start}; attempt(() => wal.finish()); attempt(() => mapping.flush(0, 1)); attempt(() => mapping.fence());
        attempt(() => mapping.syncFile());`;
      expect(runFailing(`${body}${EVERYTHING}`, call).notes).toEqual([
        ...Array<string>(4).fill(error),
        ...allFail(error),
      ]);
    }
    const full = runFailing(
      'wal.startWrite(Uint32Array.of(1), 1); attempt(() => wal.finish()); failure()',
      'pwrite pool',
      ENOSPC,
    );
    expect(full.notes).toEqual(['ENOSPC pwrite x.pool', 'ENOSPC 1']);
  });

  it('when the pool was written directly before', () => {
    const { notes } = runFailing(`attempt(() => mapping.flush(0, 100));${EVERYTHING}`, 'pwrite pool');
    expect(notes).toEqual(['EIO pwrite x.pool', ...allFail('EIO pwrite x.pool')]);
  });

  it('when a checkpoint is completed: its header, or the sync behind it', () => {
    const body = 'wal.startComplete(0, new Uint8Array(1)); attempt(() => wal.finish()); failure();';
    expect(runFailing(body, 'pwrite wal').notes).toEqual(['EIO pwrite x.pool-wal', 'EIO 1']);
    expect(runFailing(body, 'fdatasync wal').notes).toEqual(['EIO fdatasync x.pool-wal', 'EIO 1']);
  });
});

describe('an extension that fails', () => {
  const extensions = ['wal.extend(262144)', 'wal.startExtend(262144); wal.finish()'];

  it('for want of room leaves the log as it was, and may be tried again', () => {
    for (const extend of extensions) {
      const body = `attempt(() => { ${extend} }); note(wal.state[3]); failure(); attempt(() => { ${extend} }); note(wal.state[3]);`;
      for (const call of ['fallocate', 'pwrite']) {
        const { notes, trace } = runFailing(body, `${call} wal`, ENOSPC);
        expect(notes).toEqual([`ENOSPC ${call} x.pool-wal`, 65536, 'undefined 0', 'ok', 262144]);
        expect(trace).toContain('ftruncate wal');
      }
    }
  });

  it('for other reasons is final', () => {
    for (const extend of extensions) {
      for (const call of ['fallocate', 'pwrite', 'fdatasync']) {
        const { notes } = runFailing(`attempt(() => { ${extend} }); failure();`, `${call} wal`);
        expect(notes).toEqual([`EIO ${call} x.pool-wal`, 'EIO 1']);
      }
    }
  });
});

describe('the order of calls', () => {
  const callsOf = (body: string): readonly string[] => {
    const opening = run('').trace;
    const { trace } = run(body);
    expect(trace.slice(0, opening.length)).toEqual(opening);
    return trace.slice(opening.length);
  };

  it('is log before pages (INV-MEM-6), one write for neighbouring pages', () => {
    expect(callsOf('wal.append(); wal.startWrite(Uint32Array.of(1, 2, 3, 7), 4); wal.finish();')).toEqual([
      'pwrite wal',
      'fdatasync wal',
      'pwrite pool',
      'pwrite pool',
    ]);
    expect(callsOf('wal.append(); wal.sync(); wal.startWrite(Uint32Array.of(1), 1); wal.finish();')).toEqual([
      'pwrite wal',
      'fdatasync wal',
      'pwrite pool',
    ]);
  });

  it('is pages before the new tail, and that before its sync', () => {
    expect(callsOf('wal.append(); wal.startComplete(0, new Uint8Array(1)); wal.finish();')).toEqual([
      'pwrite wal',
      'fdatasync pool',
      'pwrite wal',
      'fdatasync wal',
    ]);
  });

  it('is blocks and zeros before the sync of an extension', () => {
    expect(callsOf('wal.extend(131072);')).toEqual(['fallocate wal', 'pwrite wal', 'fdatasync wal']);
  });
});
