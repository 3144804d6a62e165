/**
 * The portable writer of the redo log's records against the native one: the same transactions on two pools leave the same
 * logs, ranges and counts, so that what the simulated medium proves of the one holds for the other.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { LINE_BYTES, walRecordGranules } from '../../src/format/index.js';
import {
  createViews,
  type Memory,
  NativeBackend,
  WAL_CONTROL,
  WAL_CONTROL_WORDS,
  type WalAccess,
  type WalRecordWriter,
  type WriteAheadLog,
} from '../../src/memory/index.js';
import { Random } from '../../src/testing/index.js';
import { PortableWalRecordWriter } from '../../src/txn/index.js';
import { MIB, openOptions, Scratch } from '../memory/fixtures.js';

const scratch = new Scratch();
const memories: Memory[] = [];
afterEach(() => {
  for (const memory of memories.splice(0)) memory.close();
});
afterAll(() => scratch.removeAll());

const POOL_GRANULES = MIB / 16;
const LOG_BYTES = 4 * MIB;
const LOG_LINES = LOG_BYTES / LINE_BYTES;

interface Side {
  readonly memory: Memory;
  readonly wal: WriteAheadLog;
  readonly u8: Uint8Array;
  readonly writer: WalRecordWriter;
}

function side(portable: boolean, domain: 'block' | null, access: WalAccess): Side {
  const path = join(scratch.memory(), 'writers.pool');
  const options = openOptions(path, { mode: 'create', emulate: null, domain, log: 'redo' });
  const memory = new NativeBackend().open(options);
  memories.push(memory);
  memory.publish();
  const wal = memory.openWal({ create: true, access });
  if (wal === null || wal.recordWriter === null) throw new Error('the native log has a record writer');
  wal.extend(LOG_BYTES);
  const views = createViews(memory.buffer);
  const writer = portable
    ? new PortableWalRecordWriter(wal, views, new Uint32Array(WAL_CONTROL_WORDS))
    : wal.recordWriter;
  return { memory, wal, u8: views.u8, writer };
}

/** (ref, granules) pairs as a transaction may announce them, and worse. */
function randomRanges(random: Random): number[] {
  const count = random.int(random.chance(0.05) ? 700 : 12);
  const near = random.int(POOL_GRANULES - 4000);
  const pairs: number[] = [];
  for (let index = 0; index < count; index++) {
    const kind = random.int(6);
    const [ref = near, granules = 1] = pairs.slice(-2);
    if (kind === 0)
      pairs.push(ref, granules); // the same again
    else if (kind === 1 && ref + granules < POOL_GRANULES - 40) pairs.push(ref + granules, random.int(5));
    else if (kind === 2)
      pairs.push(ref, random.int(granules + 1)); // inside
    else if (kind === 3) pairs.push(random.int(POOL_GRANULES - 40), random.int(40));
    else pairs.push(near + random.int(3000), random.int(random.chance(0.05) ? 900 : 9));
  }
  return pairs;
}

const variants: [string, 'block' | null, WalAccess][] = [
  ['written', 'block', 'write'],
  ['stored', 'block', 'store'],
  ['stored and flushed', null, 'store'],
];
describe.each(variants)('records that are %s', (_name, domain, access) => {
  it.each([1, 2, 3])('are the same from both writers, seed %i', (seed) => {
    const random = new Random(seed);
    const sides = [side(false, domain, access), side(true, domain, access)] as const;
    const logSeed = random.int(2 ** 32);
    let at = 128;
    for (let record = 0; record < 500; record++) {
      const pairs = randomRanges(random);
      const change = { at: random.int(MIB - 64), value: random.int(256) };
      const words = {
        seqLow: random.int(2 ** 32),
        seqHigh: random.int(2 ** 32),
        sizeGranules: random.int(2 ** 32),
      };
      const room = random.chance(0.1) ? random.int(40) : LOG_LINES - at;
      const [native, portable] = sides.map(({ u8, memory, writer }) => {
        const { control } = writer;
        u8.fill(change.value, change.at, change.at + 64);
        const ranges = Uint32Array.from(pairs);
        const before = { ...memory.counters };
        writer.setRanges(ranges);
        control.fill(0);
        control[WAL_CONTROL.seed] = logSeed;
        control[WAL_CONTROL.at] = at;
        control[WAL_CONTROL.end] = Math.min(at + room, LOG_LINES);
        control[WAL_CONTROL.count] = pairs.length / 2;
        for (const [name, value] of Object.entries(words))
          control[WAL_CONTROL[name as keyof typeof words]] = value;
        let refused = false;
        try {
          writer.append();
        } catch (error) {
          if (!(error instanceof RangeError)) throw error;
          refused = true;
        }
        const { lines, fences, syncs } = memory.counters;
        return {
          refused,
          control: refused ? null : Array.from(control),
          ranges: refused ? null : Array.from(ranges.subarray(0, 2 * (control[WAL_CONTROL.count] as number))),
          counts: [lines - before.lines, fences - before.fences, syncs - before.syncs],
        };
      });
      expect(native, `record ${record}`).toEqual(portable);
      const lines = native?.control?.[WAL_CONTROL.lines] ?? 0;
      at += lines;
      if (at > LOG_LINES - 8000) at = 128;
    }
    const [a, b] = sides.map(({ wal }) => readFileSync(wal.path)) as [Buffer, Buffer];
    expect(a.length).toBe(LOG_BYTES);
    expect(a.subarray(128 * LINE_BYTES, 200 * LINE_BYTES).some((byte) => byte !== 0)).toBe(true);
    expect(Buffer.compare(a, b)).toBe(0);
  });

  it('need exactly the room that they take', () => {
    for (const { writer } of [side(false, domain, access), side(true, domain, access)]) {
      const { control } = writer;
      const granules = walRecordGranules(2, 5 + 7);
      const lines = Math.ceil((granules * 16) / LINE_BYTES);
      for (const room of [lines - 1, lines]) {
        writer.setRanges(Uint32Array.of(9000, 7, 40, 5));
        control[WAL_CONTROL.at] = LOG_LINES - room;
        control[WAL_CONTROL.end] = LOG_LINES;
        control[WAL_CONTROL.count] = 2;
        if (room < lines) expect(() => writer.append()).toThrow(RangeError);
        else writer.append();
      }
      expect(control[WAL_CONTROL.lines]).toBe(lines);
    }
  });
});
