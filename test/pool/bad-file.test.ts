/** Files that cannot be opened as a pool: each is refused with its reason, and left as it is. */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, mkdirSync, readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { crc32c, HEADER, HEADER_BYTES, HEADER_CHECKSUM_START, PAGE_BYTES } from '../../src/format/index.js';
import { Field, i32, Persistent, Pool } from '../../src/index.js';
import { Random } from '../../src/testing/index.js';
import { canMount, Scratch } from '../memory/fixtures.js';
import { expectError, testPools } from './helpers.js';

@Persistent()
class Note {
  @Field(i32) declare id: number;
  @Field('string') declare text: string;
}

const pools = testPools();
const emulate = { flush: false } as const;
const scratch = new Scratch();
afterAll(() => scratch.removeAll());

/** A closed pool whose root has id 7. */
function makePool(): string {
  const pool = pools.open({ root: Note });
  pool.txn(() => {
    const note = pool.root(Note);
    note.id = 7;
    note.text = 'x'.repeat(100_000);
  });
  pool.close();
  return pool.path;
}

function expectLeftAlone(path: string, content: Uint8Array, code: string, pattern: RegExp): void {
  writeFileSync(path, content);
  for (const options of [{ root: Note }, {}]) {
    expectError(code, () => Pool.open(path, { emulate, ...options }), pattern, path);
    expect(Buffer.compare(readFileSync(path), content)).toBe(0);
  }
}

describe('a file that is no pool', () => {
  const random = new Random(1);
  const contents: [string, Uint8Array, RegExp][] = [
    ['empty', new Uint8Array(0), /empty/],
    ['one byte', new Uint8Array(1), /only 1 bytes/],
    [
      'text',
      new TextEncoder().encode('hello world\n'.repeat(5)),
      /not a perdure pool.*left as it is|not a perdure pool/,
    ],
    ['long text', new TextEncoder().encode('hello world\n'.repeat(50_000)), /magic number/],
    ['zeros', new Uint8Array(300_000), /magic number/],
    ['few zeros', new Uint8Array(5000), /only 5000 bytes/],
    ['random bytes', Uint8Array.from({ length: 200_000 }, () => random.int(256)), /magic number/],
  ];
  it.each(contents)('%s', (_name, content, pattern) => {
    expectLeftAlone(pools.path(), content, 'NOT_A_POOL', pattern);
  });

  it('a directory', () => {
    const path = pools.path('directory');
    mkdirSync(path);
    expectError('NOT_A_POOL', () => Pool.open(path, { root: Note, emulate }), path, /directory/);
  });

  it('does not exist', () => {
    const path = pools.path('missing');
    expectError('NOT_FOUND', () => Pool.open(path, { emulate }), path);
    expectError('NOT_FOUND', () => Pool.open(path, { root: Note, create: false, emulate }), path);
    const inNowhere = join(pools.directory, 'nowhere', 'a.pool');
    expectError('NOT_FOUND', () => Pool.open(inNowhere, { root: Note, emulate }), inNowhere, /directory/);
  });

  it('exists already when it is to be created', () => {
    const path = makePool();
    const before = readFileSync(path);
    expectError('EXISTS', () => Pool.create(path, { root: Note, emulate }), path);
    expect(Buffer.compare(before, readFileSync(path))).toBe(0);
  });
});

describe('a damaged pool', () => {
  it('is refused when truncated, wherever it was cut', () => {
    const path = makePool();
    const { size } = statSync(path);
    const copy = pools.path('cut');
    for (const length of [
      8,
      100,
      4095,
      4096,
      8192,
      12288,
      16384,
      20000,
      200_000,
      262_144,
      500_000,
      size - 65536,
      size - 4096,
      size - 1,
    ]) {
      if (length >= size) continue;
      copyFileSync(path, copy);
      truncateSync(copy, length);
      expectError(
        'TRUNCATED',
        () => Pool.open(copy, { root: Note, emulate }),
        new RegExp(`has ${length} bytes`),
        /backup/,
      );
      expect(statSync(copy).size).toBe(length);
    }
  });

  it('opens when one copy of the header is damaged, and repairs it', () => {
    for (const copy of [0, PAGE_BYTES]) {
      for (const field of [
        HEADER.magic,
        HEADER.version,
        HEADER.checksum,
        HEADER.generation,
        HEADER.heapOffset,
      ]) {
        const path = makePool();
        const bytes = readFileSync(path);
        bytes[copy + field.offset] = (bytes[copy + field.offset] as number) ^ 0xff;
        writeFileSync(path, bytes);
        for (let time = 0; time < 2; time += 1) {
          const pool = Pool.open(path, { root: Note, emulate });
          expect(pool.root(Note).id).toBe(7);
          pool.close();
        }
      }
    }
  });

  it('is refused when both copies of the header are damaged', () => {
    const path = makePool();
    const bytes = readFileSync(path);
    for (const copy of [0, PAGE_BYTES]) bytes[copy + 50] = (bytes[copy + 50] as number) ^ 1;
    expectLeftAlone(path, bytes, 'CORRUPT', /both copies of the pool header.*checksum/);
  });

  it.each([
    ['version', 99, /format version 99.*newer perdure/],
    ['features', 4, /format version 1 with the additions 0x4.*newer perdure/],
  ] as const)('is refused when a newer perdure wrote it: %s', (field, value, message) => {
    const path = makePool();
    const bytes = readFileSync(path);
    for (const copy of [0, PAGE_BYTES]) {
      bytes.writeUInt32LE(value, copy + HEADER[field].offset);
      const sum = crc32c(0, bytes, copy + HEADER_CHECKSUM_START, copy + HEADER_BYTES);
      bytes.writeUInt32LE(sum >>> 0, copy + HEADER.checksum.offset);
    }
    expectLeftAlone(path, bytes, 'VERSION', message);
  });
});

describe('a pool that is not to be had', () => {
  it('is open in this process', () => {
    const pool = pools.open({ root: Note });
    expectError('LOCKED', () => Pool.open(pool.path, { root: Note, emulate }), pool.path);
    pool.txn(() => {
      pool.root(Note).id = 1;
    });
  });

  it('is open in another process', async () => {
    const path = makePool();
    const holder = spawn('flock', ['--exclusive', path, 'sh', '-c', 'echo held; read line'], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    await once(holder.stdout, 'data');
    expectError('LOCKED', () => Pool.open(path, { root: Note, emulate }), path, /process|open/);
    holder.stdin.end();
    await once(holder, 'exit');
    Pool.open(path, { root: Note, emulate }).close();
  });

  it.skipIf(!canMount)('is on a read-only file system', () => {
    const directory = scratch.mount('size=16m') as string;
    const path = join(directory, 'a.pool');
    Pool.create(path, { root: Note, emulate }).close();
    scratch.remount(directory, 'ro');
    expectError('READ_ONLY', () => Pool.open(path, { root: Note, emulate }), path);
    expectError(
      'READ_ONLY',
      () => Pool.create(join(directory, 'b.pool'), { root: Note, emulate }),
      /b\.pool/,
    );
  });

  it.skipIf(!canMount)('does not fit the file system', () => {
    const directory = scratch.mount('size=64k') as string;
    const path = join(directory, 'a.pool');
    expectError('POOL_FULL', () => Pool.create(path, { root: Note, emulate, maxSize: 2 ** 26 }), path);
    expect(execFileSync('ls', ['-A', directory], { encoding: 'utf8' })).toBe('');
  });
});

describe('options', () => {
  it.each([
    [{ roott: Note }, /roott/],
    [{ maxSize: -1 }, /maxSize/],
    [{ maxSize: Number.NaN }, /maxSize/],
    [{ maxSize: 1.5 }, /maxSize/],
    [{ maxSize: 2 ** 50 }, /maxSize/],
    [{ maxSize: '1 GB' }, /maxSize/],
    [{ maxSize: 4096 }, /maxSize.*too small/],
    [{ logSize: 1 }, /logSize/],
    [{ logSize: null }, /logSize/],
    [{ uuid: new Uint8Array(3) }, /uuid/],
    [{ root: 'Note' }, /root.*class/],
    [{ classes: Note }, /classes.*array/],
    [{ classes: ['Note'] }, /classes.*class/],
    [{ create: 'yes' }, /create/],
    [{ emulate: 'yes' }, /emulate/],
    [{ emulate: { flushs: 1 } }, /emulate/],
    [{ domain: 'tape' }, /domain/],
    [{ backend: 'tape' }, /backend/],
    [null, /options/],
  ] as [object | null, RegExp][])('%j is refused by name', (options, pattern) => {
    const path = pools.path('options');
    const all = options === null ? null : { root: Note, emulate, ...options };
    expectError('OPTION', () => Pool.open(path, all as never), pattern);
  });

  it('a path that is no string is refused', () => {
    for (const path of [undefined, null, 7, '', {}]) {
      expectError('OPTION', () => Pool.open(path as never, { root: Note, emulate }), /path/);
    }
  });

  it('creating without a root class is refused', () => {
    expectError('OPTION', () => Pool.create(pools.path('rootless'), { emulate }), /root/);
  });
});
