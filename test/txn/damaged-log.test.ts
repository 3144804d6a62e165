/**
 * Recovery on logs that no run has written: every byte of the log and of the header flipped after a crash with an open
 * transaction, and records made by hand. A typed error or correct data, never a hang.
 */
import { describe, expect, it } from 'vitest';
import { crc32c, GRANULE_BYTES, RECORD_KIND, RECORD_KIND_SHIFT, REGION } from '../../src/format/index.js';
import { Field, i32, list, PerdureError, Persistent, type PersistentList, Pool } from '../../src/index.js';
import { createViews } from '../../src/memory/index.js';
import { Scratch, SimulatedMedium } from '../../src/testing/index.js';
import { readSegments, recover } from '../../src/txn/index.js';

const PATH = 'damaged.pool';

@Persistent()
class DamagedRoot {
  @Field(i32) declare count: number;
  @Field(list(i32)) declare numbers: PersistentList<number>;
}

const options = { root: DamagedRoot, maxSize: 1 << 20, logSize: 4096 };

function read(pool: Pool): string {
  const { count, numbers } = pool.root(DamagedRoot);
  return `${count}: ${[...numbers]}`;
}

/** A pool whose process died: in its last transaction, or after that had committed. */
function left(committed: boolean): SimulatedMedium {
  const medium = new SimulatedMedium();
  const pool = Pool.create(PATH, { ...options, backend: medium });
  const root = pool.root(DamagedRoot);
  for (let count = 1; count <= 3; count++) {
    pool.txn(() => {
      root.count = count;
      root.numbers.push(count, count * 10);
    });
  }
  if (!committed) {
    expect(() =>
      pool.txn(() => {
        root.count = -1;
        root.numbers.push(-1);
        root.numbers[0] = -1;
        medium.killProcess();
      }),
    ).toThrow();
  }
  medium.killProcess();
  return medium;
}

describe.each([
  ['an open transaction', false],
  ['a committed transaction', true],
])('after %s', (_name, committed) => {
  const medium = left(committed);
  const bytes = medium.read(PATH);
  const right = '3: 1,10,2,20,3,30';
  const scratch = new Scratch();

  /** What opening the damaged file gives: its content, or the code of the error. */
  function outcome(offset: number, mask: number): string {
    const damaged = medium.fork(undefined, scratch);
    const copy = bytes.slice();
    copy[offset] = (copy[offset] as number) ^ mask;
    damaged.install(PATH, copy);
    try {
      const pool = Pool.open(PATH, { ...options, backend: damaged });
      const found = read(pool);
      pool.close();
      return found;
    } catch (error) {
      if (!(error instanceof PerdureError)) throw error;
      return error.code;
    } finally {
      damaged.release();
    }
  }

  it('any flipped byte of the header is repaired from the other copy', () => {
    for (const { offset } of [REGION.headerA, REGION.headerB]) {
      for (let at = 0; at < 128; at++) expect(outcome(offset + at, 0xff), `byte ${offset + at}`).toBe(right);
    }
  });

  it('any flipped byte of the log gives an error or a state that the pool was in, and no hang', () => {
    const seen = new Map<string, number>();
    for (let at = REGION.log.offset; at < REGION.log.offset + 4096; at++) {
      const found = outcome(at, 1 << (at % 8));
      seen.set(found, (seen.get(found) ?? 0) + 1);
    }
    expect(seen.get(right)).toBeGreaterThan(2000);
    const errors = ['CORRUPT'];
    // The end of a log that is damaged cannot be told from one that was not written: what the last record or two
    // saved is lost. In the committed one that is the commit record.
    const shorter = committed ? ['2: 1,10,2,20'] : ['3: -1,10,2,20,3,30'];
    for (const found of seen.keys()) expect([right, ...errors, ...shorter]).toContain(found);
    expect([...seen.keys()]).toContain('CORRUPT');
  });
});

describe('records made by hand', () => {
  const LOG = { ref: 0x300, granules: 256 };
  const SEED = 99;
  const SIZE = 0x2000;

  interface HandMade {
    readonly kind: number;
    readonly subject: number;
    readonly txn?: number;
    readonly payload: readonly number[];
  }

  function recovering(records: readonly HandMade[]) {
    const medium = new SimulatedMedium();
    const sizeBytes = SIZE * GRANULE_BYTES;
    const memory = medium.open({
      path: PATH,
      mode: 'create',
      maxBytes: sizeBytes,
      sizeBytes,
      emulate: null,
      domain: null,
      log: null,
    });
    const views = createViews(memory.buffer);
    let at = (LOG.ref + 4) * 4;
    let crc = SEED;
    for (const { kind, subject, txn = 1, payload } of records) {
      const granules = payload.length / 4;
      views.u32.set([0, ((kind << RECORD_KIND_SHIFT) | granules) >>> 0, subject, txn, ...payload], at);
      crc = crc32c(crc, views.u8, at * 4 + 4, at * 4 + 16 + granules * 16);
      views.u32[at] = crc;
      at += Math.ceil((1 + granules) / 4) * 16;
    }
    const input = {
      memory,
      views,
      firstSegment: LOG as never,
      epoch: { number: 0, seed: SEED },
      bounds: { start: 0x200, end: SIZE },
      heapStart: 0x1000,
    };
    return { views, run: () => recover(input), segments: () => readSegments(input) };
  }

  const { snapshot, commit, chain } = RECORD_KIND;
  const corrupt = expect.objectContaining({ code: 'CORRUPT' });

  it('are undone, newest first', () => {
    const { views, run } = recovering([
      { kind: snapshot.value, subject: 0x500, payload: [1, 1, 1, 1] },
      { kind: snapshot.value, subject: 0x500, payload: [2, 2, 2, 2] },
      { kind: snapshot.value, subject: 0x501, payload: [3, 3, 3, 3] },
    ]);
    expect(run()).toEqual({ outcome: 'rolled-back', records: 3 });
    expect([...views.u32.subarray(0x500 * 4, 0x502 * 4)]).toEqual([1, 1, 1, 1, 3, 3, 3, 3]);
  });

  it('of another transaction end the scan', () => {
    const { run } = recovering([
      { kind: snapshot.value, subject: 0x500, payload: [1, 1, 1, 1] },
      { kind: snapshot.value, subject: 0x501, txn: 2, payload: [2, 2, 2, 2] },
    ]);
    expect(run()).toEqual({ outcome: 'rolled-back', records: 1 });
  });

  it.each<[string, HandMade]>([
    ['of no known kind', { kind: 7, subject: 0x500, payload: [0, 0, 0, 0] }],
    ['with a target beyond the pool', { kind: snapshot.value, subject: SIZE, payload: [0, 0, 0, 0] }],
    ['with a target in the header', { kind: snapshot.value, subject: 0, payload: [0, 0, 0, 0] }],
    ['with a segment outside the heap', { kind: chain.value, subject: 0x500, payload: [0x1000, 0, 0, 0] }],
    ['with a segment beyond the pool', { kind: chain.value, subject: 0x1000, payload: [0x2000, 0, 0, 0] }],
    ['with an empty segment', { kind: chain.value, subject: 0x1000, payload: [0, 0, 0, 0] }],
    [
      'with more ranges than it lists',
      { kind: commit.value, subject: 3, payload: [0, 0, 0, 0, 0x500, 1, 0, 0] },
    ],
    [
      'with a range beyond the pool',
      { kind: commit.value, subject: 1, payload: [0, 0, 0, 0, SIZE, 1, 0, 0] },
    ],
  ])('%s are refused', (_name, record) => {
    expect(recovering([record]).run).toThrow(corrupt);
  });

  it('lead round in a circle: refused', () => {
    const { views, segments } = recovering([]);
    views.u32[LOG.ref * 4] = 0x1000;
    views.u32[0x1000 * 4] = 0x1000;
    views.u32[0x1000 * 4 + 1] = 1;
    expect(segments).toThrow(corrupt);
  });
});
