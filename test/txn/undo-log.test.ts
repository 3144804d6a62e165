/**
 * The undo log on its own: granules of a simulated medium are written at random under snapshots and savepoints and
 * compared with a naive model; extension, release, and a full pool while the log is extended.
 */
import { describe, expect, it } from 'vitest';
import { PoolFullError } from '../../src/errors/index.js';
import { GRANULE_BYTES, type Ref, SPAN_BYTES } from '../../src/format/index.js';
import { createViews } from '../../src/memory/index.js';
import { Random, SimulatedMedium } from '../../src/testing/index.js';
import { type LogMark, type LogSegment, readSegments, recover, UndoLog } from '../../src/txn/index.js';

const PATH = 'log.pool';
const LOG: LogSegment = { ref: 0x300 as Ref, granules: 256 };
const DATA = 0x400;
const DATA_GRANULES = 0xc00;
const HEAP = 0x1000;
const SEED = 0x1234;
const SPAN_GRANULES = SPAN_BYTES / GRANULE_BYTES;

/** A medium with a log, data granules, and spans that the log may have: `used` of them, up to `most`. */
function setUp(most: number) {
  const medium = new SimulatedMedium();
  const sizeBytes = (HEAP + most * SPAN_GRANULES) * GRANULE_BYTES;
  const memory = medium.open({
    path: PATH,
    mode: 'create',
    maxBytes: sizeBytes,
    sizeBytes,
    emulate: null,
    domain: null,
    log: null,
  });
  memory.publish();
  const views = createViews(memory.buffer);
  const freed: LogSegment[] = [];
  const state = { used: 0, log: null as UndoLog | null };
  const source = {
    allocateLogRun(bytes: number): LogSegment {
      const spans = Math.ceil(bytes / SPAN_BYTES);
      if (state.used + spans > most) throw new PoolFullError('no spans left');
      // As the heap does: the table entry is snapshotted.
      log.snapshot(DATA + DATA_GRANULES - 1, 1);
      const segment = { ref: (HEAP + state.used * SPAN_GRANULES) as Ref, granules: spans * SPAN_GRANULES };
      state.used += spans;
      return segment;
    },
    freeLogRun: (segment: LogSegment) => freed.push(segment),
    retireLog: () => undefined,
  };
  const log = new UndoLog(memory, views, [LOG], { number: 0, seed: SEED }, source);
  const input = (image: SimulatedMedium) => {
    const opened = image.open({
      path: PATH,
      mode: 'open',
      maxBytes: sizeBytes,
      sizeBytes: 0,
      emulate: null,
      domain: null,
      log: null,
    });
    return {
      memory: opened,
      views: createViews(opened.buffer),
      firstSegment: LOG,
      epoch: { number: 0, seed: SEED },
      bounds: { start: LOG.ref as number, end: sizeBytes / GRANULE_BYTES },
      heapStart: HEAP,
    };
  };
  const data = () => views.u32.slice(DATA * 4, (DATA + DATA_GRANULES - 1) * 4);
  const write = (granule: number, granules: number, value: number) => {
    log.snapshot(DATA + granule, granules);
    views.u32.fill(value, (DATA + granule) * 4, (DATA + granule + granules) * 4);
  };
  return { medium, memory, views, log, freed, state, input, data, write };
}

describe.each([1, 2, 3, 4])('seed %i', (seed) => {
  it('puts back what a rollback to any mark, or a crash, takes away', () => {
    const { medium, log, data, write, input, views } = setUp(64);
    const random = new Random(seed);
    for (let txn = 0; txn < 60; txn++) {
      const before = data();
      const marks: { mark: LogMark; content: Uint32Array }[] = [];
      for (let step = random.int(40); step > 0; step--) {
        const kind = random.int(10);
        if (kind < 7) {
          const granules = 1 + random.int(random.chance(0.1) ? 1000 : 12);
          write(random.int(DATA_GRANULES - 1 - granules), granules, random.u32());
        } else if (kind === 7) {
          marks.push({ mark: log.mark(), content: data() });
        } else if (marks.length > 0 && kind === 8) {
          const { mark, content } = marks.splice(random.int(marks.length))[0] as (typeof marks)[0];
          log.rollbackTo(mark);
          expect(data()).toEqual(content);
        } else {
          log.fresh(DATA + random.int(100), 1);
        }
      }
      const dirty = log.mark().records > 0;
      const after = data();
      // The machine goes down: nothing that was not fenced arrives.
      const crashed = medium.fork();
      const found = input(crashed);
      const { outcome } = recover(found);
      expect(found.views.u32.slice(DATA * 4, (DATA + DATA_GRANULES - 1) * 4)).toEqual(before);
      if (dirty) expect(outcome).toBe('rolled-back');
      crashed.release();
      if (random.chance(0.3)) {
        log.rollback();
        expect(data()).toEqual(before);
      } else {
        commit(log);
        expect(data()).toEqual(after);
        const later = medium.fork();
        const kept = input(later);
        if (dirty) expect(recover(kept).outcome).toBe('committed');
        expect(kept.views.u32.slice(DATA * 4, (DATA + DATA_GRANULES - 1) * 4)).toEqual(after);
        expect(readSegments(kept).slice(1)).toEqual(log.extensions);
        later.release();
      }
      expect(views.u32[0]).toBe(0);
    }
    expect(log.extensions.length).toBeGreaterThan(0);
  });
});

/** As `Transactions` does it. */
function commit(log: UndoLog): void {
  log.prepare();
  log.commit();
}

it('takes a commit without its data for none, where a chain record lies over the transaction before', () => {
  const { log, write, data, medium, input } = setUp(16);
  for (let granule = 0; granule < 300; granule += 2) write(granule, 2, 1);
  commit(log);
  expect(log.extensions.length).toBe(1);
  for (const value of [2, 3]) {
    write(0, 1, value);
    commit(log);
  }
  const before = data();
  // A line each from the head to the middle, then a record for which the first segment has no room.
  for (let line = 0; line < 31; line++) write(line * 2, 1, 4);
  write(400, 200, 4);
  commit(log);
  const found = input(medium.fork());
  found.views.u32[DATA * 4] = 3;
  expect(recover(found).outcome).toBe('rolled-back');
  expect(found.views.u32.slice(DATA * 4, (DATA + DATA_GRANULES - 1) * 4)).toEqual(before);
});

describe('extensions', () => {
  it('are linked in the transaction: a rollback takes them away, a commit keeps them', () => {
    const { log, write, data } = setUp(16);
    const before = data();
    for (let granule = 0; granule < 300; granule += 2) write(granule, 2, granule);
    expect(log.extensions.length).toBe(1);
    log.rollback();
    expect(log.extensions).toEqual([]);
    expect(data()).toEqual(before);
    for (let granule = 0; granule < 300; granule += 2) write(granule, 2, granule);
    commit(log);
    expect(log.extensions.length).toBe(1);
  });

  it('of a savepoint go with it, and the transaction goes on in the first segment', () => {
    const { log, write, data } = setUp(16);
    write(0, 2, 77);
    const mark = log.mark();
    const content = data();
    for (let granule = 0; granule < 300; granule += 2) write(granule, 2, granule);
    expect(log.extensions.length).toBe(1);
    log.rollbackTo(mark);
    expect(log.extensions).toEqual([]);
    expect(data()).toEqual(content);
    write(4, 1, 5);
    commit(log);
  });

  it('that are too small for a record are passed over, and are still there after a rollback', () => {
    const { log, write, data, medium, input } = setUp(32);
    for (let granule = 0; granule < 300; granule += 2) write(granule, 2, granule);
    commit(log);
    const small = log.extensions.slice();
    expect(small.map(({ granules }) => granules)).toEqual([SPAN_GRANULES]);
    const before = data();
    // Most of a log that is one span long, and then a record that does not fit what is left of any segment.
    for (let time = 0; time < 2; time++) write(0, DATA_GRANULES - 1, 3);
    expect(log.extensions.length).toBeGreaterThan(1);
    expect(log.extensions[0]).toEqual(small[0]);
    log.rollback();
    expect(data()).toEqual(before);
    expect(log.extensions).toEqual(small);
    expect(readSegments(input(medium.fork())).slice(1)).toEqual(small);
  });

  it('beyond 4 MiB are given back, the last ones first', () => {
    const { log, write, freed, medium, input } = setUp(160);
    for (let time = 0; time < 140; time++) write(0, 2900, time);
    expect(log.isDue).toBe(true);
    const before = log.extensions.slice();
    commit(log);
    let rounds = 0;
    log.maintain((body) => {
      body();
      commit(log);
      rounds++;
    });
    expect(log.isDue).toBe(false);
    expect(rounds).toBeGreaterThan(0);
    expect([...log.extensions, ...freed.toSorted((a, b) => a.ref - b.ref)]).toEqual(before);
    const found = input(medium.fork());
    recover(found);
    expect(readSegments(found).slice(1)).toEqual(log.extensions);
  });

  it('that cannot be had: nothing is changed, and the transaction can be rolled back', () => {
    const { log, write, data } = setUp(1);
    const before = data();
    const fill = () => {
      for (let time = 0; time < 100; time++) write(0, 100, time);
    };
    expect(fill).toThrow(PoolFullError);
    log.rollback();
    expect(data()).toEqual(before);
    write(0, 1, 9);
    commit(log);
    expect(data()[0]).toBe(9);
  });

  it('of the least size are taken when there are no larger ones', () => {
    const { log, write } = setUp(2);
    for (let time = 0; time < 3; time++) write(0, 1000, time);
    expect(log.extensions.length).toBe(1);
    for (let time = 0; time < 2; time++) write(0, 1000, time);
    commit(log);
    expect(log.extensions.length).toBe(2);
  });
});
