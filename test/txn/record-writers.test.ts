/**
 * The portable record writer against the native one: the same sequences of records on two mappings leave the same
 * bytes, chains and counts, so that what the simulated medium proves of the one holds for the other.
 */
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { LINE_BYTES } from '../../src/format/index.js';
import { CONTROL, CONTROL_WORDS, createViews, type Memory, NativeBackend } from '../../src/memory/index.js';
import { Random } from '../../src/testing/index.js';
import { PortableRecordWriter } from '../../src/txn/index.js';
import { MIB, openOptions, Scratch } from '../memory/fixtures.js';

const scratch = new Scratch();
const memories: Memory[] = [];
afterAll(() => {
  for (const memory of memories) memory.close();
  scratch.removeAll();
});

const LOG_AT = 0x100;
const DATA = 0x8000;
const DATA_GRANULES = 0x4000;

function side(name: string) {
  const memory = new NativeBackend().open(
    openOptions(join(scratch.memory(), name), { mode: 'create', sizeBytes: MIB }),
  );
  memories.push(memory);
  const views = createViews(memory.buffer);
  return { memory, views };
}

describe.each([1, 2, 3])('seed %i', (seed) => {
  it('both write the same bytes, one record after the other', () => {
    const random = new Random(seed);
    const a = side('native.pool');
    const b = side('portable.pool');
    const native = a.memory.recordWriter;
    if (native === null) throw new Error('the native backend has no record writer');
    const writers = [
      { ...a, writer: native, chain: new PortableRecordWriter(a.memory, a.views, native.control) },
      (() => {
        const writer = new PortableRecordWriter(b.memory, b.views, new Uint32Array(CONTROL_WORDS));
        return { ...b, writer, chain: writer };
      })(),
    ];
    let at = LOG_AT;
    for (let record = 0; record < 400; record++) {
      const kind = random.int(10);
      const txn = random.int(1000);
      const source = DATA + random.int(DATA_GRANULES / 2);
      const granules = random.int(random.chance(0.05) ? 3000 : 20);
      const ranges = new Uint32Array(2 * random.int(61));
      for (let index = 0; index < ranges.length; index += 2) {
        ranges.set([DATA + random.int(DATA_GRANULES - 30), random.int(30)], index);
      }
      const checked = random.chance(0.7);
      const change = { at: DATA * 16 + random.int(DATA_GRANULES * 16), value: random.int(256) };
      const counters: number[][] = [];
      for (const { memory, views, writer, chain } of writers) {
        views.u8[change.at] = change.value;
        const before = { ...count(memory) };
        const { control } = writer;
        control[CONTROL.at] = at;
        control[CONTROL.txn] = txn;
        if (kind < 6) {
          control[CONTROL.source] = source;
          control[CONTROL.granules] = granules;
          writer.append();
        } else if (kind < 9) {
          writer.setRanges(ranges);
          control[CONTROL.rangeCount] = checked ? ranges.length / 2 : 0;
          control[CONTROL.checked] = checked ? 1 : 0;
          writer.commit();
        } else {
          chain.chain(source, granules);
        }
        const after = count(memory);
        counters.push([after.fences - before.fences, after.lines - before.lines]);
      }
      const [first, second] = writers as [(typeof writers)[0], (typeof writers)[0]];
      expect(first.writer.control[CONTROL.chain], `record ${record}`).toBe(
        second.writer.control[CONTROL.chain],
      );
      expect(counters[0], `record ${record}`).toEqual(counters[1]);
      const payload = kind < 6 ? granules : kind < 9 ? 1 + (checked ? Math.ceil(ranges.length / 4) : 0) : 1;
      at += Math.ceil((16 + payload * 16) / LINE_BYTES) * 4;
      if (at > DATA - 0x1000) at = LOG_AT;
    }
    expect(Buffer.compare(a.views.u8.subarray(0, MIB), b.views.u8.subarray(0, MIB))).toBe(0);
  });
});

function count({ counters }: Memory): { fences: number; lines: number } {
  return { fences: counters.fences, lines: counters.lines };
}
