/**
 * A pool and the write-ahead log beside it, which belong together until the pool is closed: damaged, cut, exchanged, lost.
 * Opening gives a prefix of what was committed or says what is wrong, and leaves alone what it refuses.
 */
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import { WAL_HEADER, WAL_RECORD, WAL_REGION } from '../../src/format/index.js';
import {
  Field,
  i32,
  list,
  type PerdureError,
  Persistent,
  type PersistentList,
  Pool,
} from '../../src/index.js';
import { Random } from '../../src/testing/index.js';
import { Scratch } from '../memory/fixtures.js';
import { expectError } from './helpers.js';

@Persistent()
class Diary {
  @Field(i32) declare count: number;
  @Field(list('string')) declare days: PersistentList<string>;
}

const SEED = Number(process.env.PERDURE_SEED ?? 1);
const ROUNDS = process.env.PERDURE_LONG === '1' ? 4000 : 150;

const scratch = new Scratch();
afterAll(() => scratch.removeAll());
let directory: string;
let path: string;
beforeEach(() => {
  directory = scratch.memory();
  path = join(directory, 'diary.pool');
});

const options = {
  root: Diary,
  domain: 'block',
  maxSize: 2 ** 21,
  walSize: 64 * 1024,
  logSize: 4096,
} as const;

function open(at = path): Pool {
  return Pool.open(at, options);
}

/** Transactions up to number `last`; `days` follows from `count`. */
function write(pool: Pool, last: number): void {
  const root = pool.root(Diary);
  for (let count = root.count + 1; count <= last; count++) {
    pool.txn(() => {
      root.count = count;
      root.days.push(`day ${count} ${'.'.repeat((count * 37) % 150)}`);
    });
  }
}

/** What a pool must look like after so many transactions. */
function expectDays(pool: Pool, count: number): void {
  const root = pool.root(Diary);
  expect(root.count).toBe(count);
  const expected = Array.from(
    { length: count },
    (_, i) => `day ${i + 1} ${'.'.repeat(((i + 1) * 37) % 150)}`,
  );
  expect([...root.days]).toEqual(expected);
  expect(pool.check()).toMatchObject({ ok: true, leakedBlocks: 0, unreachableBlocks: 0 });
}

interface Pair {
  readonly pool: Uint8Array;
  readonly wal: Uint8Array;
}

/** What the two files hold while the pool is open: what the death of the process would leave. */
function pair(at = path): Pair {
  return { pool: readFileSync(at), wal: readFileSync(`${at}-wal`) };
}

function put({ pool, wal }: Partial<Pair>, at = path): void {
  for (const [name, bytes] of [
    [at, pool],
    [`${at}-wal`, wal],
  ] as const) {
    if (bytes === undefined) rmSync(name, { recursive: true, force: true });
    else writeFileSync(name, bytes);
  }
}

/** A pool after `count` transactions, as the death of its process leaves it; nothing is open. */
function left(count: number): Pair {
  const pool = open();
  write(pool, count);
  const files = pair();
  pool.close();
  return files;
}

/** The same for copies elsewhere, while the pool is open here. */
function expectRefusedCopy(files: Pair): void {
  const copy = `${path}.copy`;
  put(files, copy);
  expectError('LOG_MISMATCH', () => open(copy).close(), /older copy of the pool/);
  expect(Buffer.compare(readFileSync(`${copy}-wal`), files.wal)).toBe(0);
  put({}, copy);
}

/** Refused with this code, twice, and both files are as they were. */
function expectRefused(files: Partial<Pair>, code: string, ...patterns: RegExp[]): void {
  put(files);
  for (let again = 0; again < 2; again++) {
    expectError(code, () => open().close(), ...patterns);
    for (const [name, bytes] of [
      [path, files.pool],
      [`${path}-wal`, files.wal],
    ] as const) {
      expect(existsSync(name)).toBe(bytes !== undefined);
      if (bytes !== undefined) expect(Buffer.compare(readFileSync(name), bytes)).toBe(0);
    }
  }
}

describe('files that belong together', () => {
  it('are one pool, wherever they are moved to', () => {
    const files = left(20);
    const elsewhere = join(scratch.memory(), 'moved.pool');
    put(files, elsewhere);
    const pool = open(elsewhere);
    expect(pool.stats().recovery).toMatchObject({ outcome: 'replayed', records: 20 });
    expectDays(pool, 20);
    write(pool, 25);
    pool.close();
    expect(existsSync(`${elsewhere}-wal`)).toBe(false);
    const again = open(elsewhere);
    expectDays(again, 25);
    again.close();
  });

  it('are found by way of a symbolic link, the log beside the real file', () => {
    const real = join(directory, 'deep', 'real.pool');
    mkdirSync(join(directory, 'deep'));
    put(left(9), real);
    rmSync(path);
    symlinkSync(real, path);
    const pool = open();
    expectDays(pool, 9);
    write(pool, 12);
    expect([existsSync(`${path}-wal`), existsSync(`${real}-wal`)]).toEqual([false, true]);
    pool.close();
    const again = open();
    expectDays(again, 12);
    again.close();
  });

  it('are opened again and again', () => {
    put(left(5));
    for (let count = 6; count < 10; count++) {
      const pool = open();
      expectDays(pool, count - 1);
      write(pool, count);
      const files = pair();
      pool.close();
      put(files);
    }
  });
});

describe('a pool that needs its log', () => {
  it('is refused without it', () => {
    expectRefused({ pool: left(5).pool }, 'LOG_MISSING', /needs|missing/, /Nothing was changed/);
  });

  it('is refused with an empty one, with zeros, with a file that is something else', () => {
    const { pool } = left(5);
    expectRefused({ pool, wal: new Uint8Array(0) }, 'CORRUPT');
    expectRefused({ pool, wal: new Uint8Array(65536) }, 'CORRUPT');
    expectRefused({ pool, wal: Buffer.from('hello world\n'.repeat(2000)) }, 'LOG_MISMATCH', /is none/);
  });

  it('is refused with a directory in its place', () => {
    put({ pool: left(5).pool });
    mkdirSync(`${path}-wal`);
    expectError('IO', () => open(), /diary\.pool-wal/);
  });

  it('is refused with the log of another pool', () => {
    const other = left(7);
    put({});
    const { pool } = left(5);
    expectRefused({ pool, wal: other.wal }, 'LOG_MISMATCH', /another pool/);
  });

  it('is refused with the log of a copy that went another way', () => {
    const first = left(5);
    const branch = (count: number): Pair => {
      put(first);
      const pool = open();
      write(pool, count);
      const files = pair();
      pool.close();
      return files;
    };
    const [one, other] = [branch(8), branch(9)];
    expectRefused({ pool: one.pool, wal: other.wal }, 'LOG_MISMATCH', /another copy/);
    expectRefused({ pool: other.pool, wal: one.wal }, 'LOG_MISMATCH', /another copy/);
    put(one);
    const pool = open();
    expectDays(pool, 8);
    pool.close();
  });

  it('is refused with an older log, and an older pool with a newer log', () => {
    const older = left(5);
    put(older);
    const newer = left(9);
    expectRefused({ pool: newer.pool, wal: older.wal }, 'LOG_MISMATCH', /older log/);
    expectRefused({ pool: older.pool, wal: newer.wal }, 'LOG_MISMATCH', /newer/);
  });

  it('is refused with a log of a later version', () => {
    const { pool, wal } = left(3);
    const view = new DataView(wal.buffer, wal.byteOffset);
    view.setUint32(WAL_HEADER.version.offset, 99, true);
    // The checksum does not cover the version.
    expectRefused({ pool, wal }, 'VERSION', /99/);
  });

  it('holds what an earlier state of the same log holds', () => {
    const pool = open();
    write(pool, 6);
    const earlier = pair();
    write(pool, 9);
    const { pool: later } = pair();
    pool.close();
    // No checkpoint was made in between: the file is the same.
    put({ pool: later, wal: earlier.wal });
    const again = open();
    expectDays(again, 6);
    again.close();
  });
});

it('is refused with a copy of its log from before a checkpoint', () => {
  const pool = open();
  write(pool, 6);
  const { wal } = pair();
  let last = 6;
  while ((pool.stats().wal?.checkpoints ?? 0) === 0) write(pool, ++last);
  const later = pair();
  pool.close();
  expectRefused({ pool: later.pool, wal }, 'LOG_MISMATCH', /older copy of the log/);
  put(later);
  const again = open();
  expectDays(again, last);
  again.close();
});

it('is refused as an older copy beside a log that has seen a checkpoint since', () => {
  const pool = open();
  write(pool, 6);
  const earlier = pair();
  let last = 6;
  const copies = [earlier.pool];
  for (let checkpoints = 1; checkpoints < 4; checkpoints++) {
    while ((pool.stats().wal?.checkpoints ?? 0) < checkpoints) write(pool, ++last);
    const { wal, pool: now } = pair();
    for (const copy of copies) expectRefusedCopy({ pool: copy, wal });
    copies.push(now);
  }
  pool.close();
});

describe('a pool that was closed', () => {
  it('removes a log that it is done with, and is refused beside one that is newer', () => {
    const older = left(5);
    const closed = readFileSync(path);
    put({ pool: closed, wal: older.wal });
    const pool = open();
    expect(existsSync(`${path}-wal`)).toBe(false);
    expectDays(pool, 5);
    pool.close();
    const newer = left(9);
    expectRefused({ pool: closed, wal: newer.wal }, 'LOG_MISMATCH', /newer/, /Nothing was changed/);
  });

  it('is refused beside the log of another pool, or what is no log', () => {
    const other = left(4);
    put({});
    left(5);
    const pool = readFileSync(path);
    expectRefused({ pool, wal: other.wal }, 'LOG_MISMATCH', /another pool/);
    expectRefused({ pool, wal: Buffer.from('not a log'.repeat(1000)) }, 'LOG_MISMATCH', /is none/);
  });

  it('removes a log that was never finished being made', () => {
    left(5);
    const pool = readFileSync(path);
    for (const wal of [new Uint8Array(0), new Uint8Array(16384)]) {
      put({ pool, wal });
      const again = open();
      expectDays(again, 5);
      again.close();
      expect(existsSync(`${path}-wal`)).toBe(false);
    }
  });

  it('is not made anew beside a log that is left of another', () => {
    const { wal } = left(4);
    expectRefused({ wal }, 'LOG_MISMATCH');
  });
});

/** Opens what was damaged: returns how much of it is there, or the code of the refusal. */
function outcome(written: number): number | string {
  let pool: Pool;
  const before = existsSync(`${path}-wal`) ? pair() : null;
  try {
    pool = open();
  } catch (error) {
    const { code } = error as PerdureError;
    expect(['CORRUPT', 'LOG_MISMATCH', 'VERSION', 'TRUNCATED', 'NOT_A_POOL'], String(error)).toContain(code);
    if (before !== null) {
      expect(Buffer.compare(readFileSync(`${path}-wal`), before.wal)).toBe(0);
      expect(Buffer.compare(readFileSync(path), before.pool)).toBe(0);
    }
    return code;
  }
  try {
    const { count } = pool.root(Diary);
    expect(count).toBeLessThanOrEqual(written);
    expectDays(pool, count);
    return count;
  } finally {
    pool.close();
  }
}

describe('a damaged log', () => {
  const COUNT = 40;
  let files: Pair;
  let used: number;
  beforeEach(() => {
    files = left(COUNT);
    used = files.wal.findLastIndex((byte) => byte !== 0) + 1;
  });
  const damaged = (damage: (wal: Uint8Array) => void): number | string => {
    const wal = files.wal.slice();
    damage(wal);
    put({ pool: files.pool, wal });
    return outcome(COUNT);
  };

  it('is found damaged where a bit was flipped, except in the last record', () => {
    const random = new Random(SEED);
    const found = new Map<number | string, number>();
    for (let round = 0; round < ROUNDS; round++) {
      const at = random.int(used);
      const result = damaged((wal) => {
        wal[at] = (wal[at] as number) ^ (1 << random.int(8));
      });
      found.set(result, (found.get(result) ?? 0) + 1);
      // Of a transaction that was durable, none that follows is kept without it, and none is lost silently but the last.
      if (typeof result === 'number') expect(result, `byte ${at}`).toBeGreaterThanOrEqual(COUNT - 1);
    }
    expect(found.get('CORRUPT')).toBeGreaterThan(ROUNDS / 4);
  });

  it('is found damaged where parts are zeros, or shifted', () => {
    const random = new Random(SEED + 1);
    for (let round = 0; round < ROUNDS / 3; round++) {
      const at = random.int(used);
      const length = 1 + random.int(random.pick([8, 512, 4096]));
      damaged((wal) => {
        if (round % 2 === 0) wal.fill(0, at, at + length);
        else wal.copyWithin(at, at + length, at + 2 * length);
      });
    }
  });

  it('is refused when it was cut', () => {
    for (let round = 0; round < ROUNDS / 3; round++) {
      const length = Math.round((files.wal.length * round) / (ROUNDS / 3));
      put(files);
      truncateSync(`${path}-wal`, length);
      expect(outcome(COUNT), `${length} bytes`).toBe('CORRUPT');
    }
  });

  it('needs one of its two headers', () => {
    const { headerA, headerB, records } = WAL_REGION;
    expect(damaged((wal) => wal.fill(7, headerB.offset, records.offset))).toBe(COUNT);
    expect(damaged((wal) => wal.fill(1, headerA.offset + 12, records.offset))).toBe('CORRUPT');
  });

  it('does not lead out of the pool', () => {
    const at = WAL_REGION.records.offset + WAL_RECORD.ranges.offset;
    const result = damaged((wal) => new DataView(wal.buffer, wal.byteOffset).setUint32(at, 0xfffffff0, true));
    expect(result).toBe('CORRUPT');
  });

  it('is taken together with a damaged pool: no crash, no hang', () => {
    const random = new Random(SEED + 2);
    for (let round = 0; round < ROUNDS / 3; round++) {
      const pool = files.pool.slice();
      const at = random.int(random.chance(0.5) ? 12_288 : pool.length);
      pool[at] = (pool[at] as number) ^ (1 << random.int(8));
      put({ pool, wal: files.wal });
      try {
        const opened = open();
        const { ok } = opened.check();
        if (ok) expect(opened.root(Diary).count).toBeTypeOf('number');
        opened.close();
      } catch (error) {
        expect((error as PerdureError).code, String(error)).toBeTypeOf('string');
      }
    }
  });
});

it('copies of a pool with its log, taken together at the same time, are pools of their own', () => {
  const pool = open();
  write(pool, 10);
  const copy = join(directory, 'copy.pool');
  copyFileSync(path, copy);
  copyFileSync(`${path}-wal`, `${copy}-wal`);
  const other = open(copy);
  expectDays(other, 10);
  write(other, 14);
  write(pool, 12);
  other.close();
  pool.close();
  for (const [at, count] of [
    [path, 12],
    [copy, 14],
  ] as const) {
    const again = open(at);
    expectDays(again, count);
    again.close();
  }
});
