/**
 * The contract of WriteAheadLog, the same for every medium: the addon's files with either access, and the simulated
 * medium. Each case starts from a new pool of 1 MiB without a log.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { crc32c, GRANULE_BYTES, LINE_BYTES, PAGE_BYTES, WAL_RECORD } from '../../src/format/index.js';
import {
  createViews,
  type Memory,
  STEP,
  WAL_CONTROL,
  type WalAccess,
  type WalRecordWriter,
  type WriteAheadLog,
} from '../../src/memory/index.js';
import { Random } from '../../src/testing/index.js';
import { PortableWalRecordWriter } from '../../src/txn/index.js';
import { caught, MIB } from './fixtures.js';

/** A pool that was published, with the redo log. */
export interface WalPool {
  readonly memory: Memory;
  /** Closes the pool and opens it again. */
  reopen(): Memory;
  /** What the pool's file holds, durable or not. */
  poolFile(): Uint8Array;
}

export interface WalContract {
  readonly access: WalAccess;
  /** Whether the log lies in byte-addressable memory. */
  readonly synchronous: boolean;
  makePool(): WalPool;
}

const SEED = 0x1234567;
const FIRST_LINE = 128;
const LOG_BYTES = MIB;

/** Where and how `append` is to write. */
interface Place {
  readonly at: number;
  readonly end?: number;
  readonly seqLow?: number;
  readonly seqHigh?: number;
}

export function walContract(name: string, { access, synchronous, makePool }: WalContract): void {
  describe(`${name}: contract of a write-ahead log`, () => {
    let pool: WalPool;
    let memory: Memory;
    let bytes: Uint8Array;
    let wal: WriteAheadLog;

    const open = (of: Memory, create: boolean): WriteAheadLog | null => of.openWal({ create, access });
    const writerOf = (log: WriteAheadLog): WalRecordWriter =>
      log.recordWriter ?? new PortableWalRecordWriter(log, createViews(memory.buffer));

    beforeEach(() => {
      pool = makePool();
      memory = pool.memory;
      bytes = new Uint8Array(memory.buffer, 0, MIB);
      wal = open(memory, true) as WriteAheadLog;
    });
    afterEach(() => {
      wal.close();
      memory.close();
    });

    const readLog = (at: number, length: number): Uint8Array => {
      const target = new Uint8Array(length).fill(0xee);
      wal.read(at, target);
      return target;
    };

    const append = (writer: WalRecordWriter, pairs: readonly number[], place: Place): void => {
      const { control } = writer;
      const ranges = Uint32Array.from(pairs);
      writer.setRanges(ranges);
      control[WAL_CONTROL.seed] = SEED;
      control[WAL_CONTROL.at] = place.at;
      control[WAL_CONTROL.end] = place.end ?? LOG_BYTES / LINE_BYTES;
      control[WAL_CONTROL.seqLow] = place.seqLow ?? 1;
      control[WAL_CONTROL.seqHigh] = place.seqHigh ?? 0;
      control[WAL_CONTROL.count] = pairs.length / 2;
      control[WAL_CONTROL.sizeGranules] = MIB / GRANULE_BYTES;
      writer.append();
    };

    /** From the format, granule by granule. */
    const expectedRecord = (pairs: readonly number[], place: Place): Uint8Array => {
      const touched = new Set<number>();
      for (let i = 0; i < pairs.length; i += 2) {
        for (let k = 0; k < (pairs[i + 1] as number); k++) touched.add((pairs[i] as number) + k);
      }
      const refs = [...touched].sort((a, b) => a - b);
      const starts = refs.filter((ref) => !touched.has(ref - 1));
      const ends = refs.filter((ref) => !touched.has(ref + 1));
      const head = Math.ceil((WAL_RECORD.ranges.offset + 8 * starts.length) / GRANULE_BYTES);
      const granules = head + refs.length;
      const record = new Uint8Array(Math.ceil((granules * GRANULE_BYTES) / LINE_BYTES) * LINE_BYTES);
      const view = new DataView(record.buffer);
      const set = (offset: number, value: number): void => view.setUint32(offset, value, true);
      set(WAL_RECORD.granules.offset, granules);
      set(WAL_RECORD.seqLow.offset, place.seqLow ?? 1);
      set(WAL_RECORD.seqHigh.offset, place.seqHigh ?? 0);
      set(WAL_RECORD.count.offset, starts.length);
      set(WAL_RECORD.sizeGranules.offset, MIB / GRANULE_BYTES);
      for (const [i, start] of starts.entries()) {
        set(WAL_RECORD.ranges.offset + 8 * i, start);
        set(WAL_RECORD.ranges.offset + 8 * i + 4, (ends[i] as number) - start + 1);
      }
      for (const [i, ref] of refs.entries()) {
        record.set(
          bytes.subarray(ref * GRANULE_BYTES, (ref + 1) * GRANULE_BYTES),
          (head + i) * GRANULE_BYTES,
        );
      }
      set(WAL_RECORD.checksum.offset, crc32c(SEED, record, 4, granules * GRANULE_BYTES));
      return record;
    };

    const fill = (random: Random): void => {
      for (let i = 0; i < MIB; i += 4) new DataView(bytes.buffer).setUint32(i, random.int(2 ** 32), true);
    };

    const completed = async (ticket: number): Promise<void> => {
      wal.keepAlive(true);
      while (wal.completedSyncs < ticket) await nextTurn();
      wal.keepAlive(false);
    };

    // ---------------------------------------------------------------------------------- file

    it('is made empty beside the pool, and is there from then on', () => {
      expect(wal.path.endsWith('-wal')).toBe(true);
      expect(wal).toMatchObject({ sizeBytes: 0, synchronous, busy: false, failure: null, completedSyncs: 0 });
      wal.extend(LOG_BYTES);
      wal.write(5000, Uint8Array.of(1, 2, 3), STEP.walAppend);
      wal.sync(STEP.walSync);
      wal.close();
      memory = pool.reopen();
      wal = open(memory, false) as WriteAheadLog;
      expect(wal.sizeBytes).toBe(LOG_BYTES);
      expect([...readLog(4999, 5)]).toEqual([0, 1, 2, 3, 0]);
    });

    it('is gone once it was removed', () => {
      wal.remove();
      wal.close();
      expect(open(memory, false)).toBeNull();
      wal = open(memory, true) as WriteAheadLog;
      expect(wal.sizeBytes).toBe(0);
    });

    it('reads what was written, and zeros behind the end', () => {
      wal.extend(8192);
      const written = Uint8Array.from({ length: 300 }, (_, i) => i);
      for (const at of [0, 1, 63, 4096 - 150, 8192 - 300]) {
        wal.write(at, written, STEP.walAppend);
        expect(Buffer.compare(readLog(at, 300), written)).toBe(0);
      }
      expect(
        readLog(8190, 100)
          .subarray(2)
          .every((byte) => byte === 0),
      ).toBe(true);
      expect(readLog(100_000, 10).every((byte) => byte === 0)).toBe(true);
    });

    it('refuses to write outside of the file', () => {
      wal.extend(8192);
      for (const at of [8191, 8192, 2 ** 40, -1]) {
        expect(() => wal.write(at, new Uint8Array(2), STEP.walAppend), String(at)).toThrow(RangeError);
      }
    });

    it('is extended with zeros and cut, and keeps what lies before', () => {
      wal.extend(8192);
      wal.write(0, new Uint8Array(8192).fill(7), STEP.walAppend);
      wal.extend(4096);
      expect(wal.sizeBytes).toBe(8192);
      wal.truncate(4096);
      expect(wal.sizeBytes).toBe(4096);
      wal.truncate(65536);
      expect(wal.sizeBytes).toBe(4096);
      wal.extend(LOG_BYTES);
      expect(wal.sizeBytes).toBe(LOG_BYTES);
      expect(readLog(0, 4096).every((byte) => byte === 7)).toBe(true);
      expect(readLog(4096, LOG_BYTES - 4096).every((byte) => byte === 0)).toBe(true);
      wal.truncate(0);
      expect(wal.sizeBytes).toBe(0);
      wal.extend(LOG_BYTES);
      expect(readLog(0, LOG_BYTES).every((byte) => byte === 0)).toBe(true);
    });

    it('is closed for every later call, and closing again does nothing', () => {
      wal.extend(8192);
      wal.close();
      wal.close();
      for (const call of [
        () => wal.read(0, new Uint8Array(1)),
        () => wal.write(0, new Uint8Array(1), STEP.walAppend),
        () => wal.sync(STEP.walSync),
        () => wal.extend(65536),
        () => wal.requestSync(),
        () => wal.startWrite(new Uint32Array(1), 1),
      ]) {
        expect(caught(call)).toMatchObject({ name: 'PoolClosedError', code: 'CLOSED' });
      }
    });

    // ---------------------------------------------------------------------------------- records

    it('appends records with their ranges sorted, merged, and none empty', () => {
      wal.extend(LOG_BYTES);
      const writer = writerOf(wal);
      const random = new Random(11);
      fill(random);
      const granules = MIB / GRANULE_BYTES;
      let at = FIRST_LINE;
      for (let record = 0; record < 300; record++) {
        const count = random.int(random.chance(0.1) ? 90 : 9);
        const near = random.int(granules - 300);
        const pairs: number[] = [];
        for (let i = 0; i < count; i++) {
          const ref = random.chance(0.7) ? near + random.int(40) : random.int(granules - 16);
          pairs.push(ref, random.int(16));
        }
        const place = { at, seqLow: random.int(2 ** 32), seqHigh: random.int(2 ** 32) };
        const expected = expectedRecord(pairs, place);
        if (at * LINE_BYTES + expected.length > LOG_BYTES - LINE_BYTES) break;
        append(writer, pairs, place);
        const lines = expected.length / LINE_BYTES;
        expect(writer.control[WAL_CONTROL.lines]).toBe(lines);
        const written = readLog(at * LINE_BYTES, expected.length + LINE_BYTES);
        expect(Buffer.compare(written.subarray(0, expected.length), expected), `record ${record}`).toBe(0);
        expect(written.subarray(expected.length).every((byte) => byte === 0)).toBe(true);
        expect(writer.control[WAL_CONTROL.count]).toBe(
          new DataView(expected.buffer).getUint32(WAL_RECORD.count.offset, true),
        );
        at += lines;
      }
      expect(at).toBeGreaterThan(1000);
    });

    it('appends a record of thousands of ranges in any order, and one of half a megabyte', () => {
      wal.extend(2 * LOG_BYTES);
      const writer = writerOf(wal);
      const random = new Random(12);
      fill(random);
      const shuffled = Array.from({ length: 5000 }, (_, i) => 3 * i);
      for (let i = shuffled.length - 1; i > 0; i--) {
        const k = random.int(i + 1);
        [shuffled[i], shuffled[k]] = [shuffled[k] as number, shuffled[i] as number];
      }
      const descending = Array.from({ length: 5000 }, (_, i) => 3 * (5000 - i));
      for (const refs of [shuffled, descending]) {
        const pairs = refs.flatMap((ref) => [ref, 2]);
        append(writer, pairs, { at: FIRST_LINE });
        const expected = expectedRecord(pairs, { at: FIRST_LINE });
        expect(Buffer.compare(readLog(FIRST_LINE * LINE_BYTES, expected.length), expected)).toBe(0);
      }
      const large = [100, 8192, 20_000, 20_000, 4096, 1];
      append(writer, large, { at: FIRST_LINE });
      const expected = expectedRecord(large, { at: FIRST_LINE });
      expect(Buffer.compare(readLog(FIRST_LINE * LINE_BYTES, expected.length), expected)).toBe(0);
    });

    it('ends a record exactly at its end, refuses one that does not fit, and takes it elsewhere', () => {
      wal.extend(LOG_BYTES);
      const writer = writerOf(wal);
      fill(new Random(13));
      const pairs = [50, 3, 40, 3]; // 9 granules
      append(writer, pairs, { at: FIRST_LINE, end: FIRST_LINE + 3 });
      expect(writer.control[WAL_CONTROL.lines]).toBe(3);
      expect(() => append(writer, pairs, { at: FIRST_LINE + 10, end: FIRST_LINE + 12 })).toThrow(RangeError);
      expect(readLog((FIRST_LINE + 10) * LINE_BYTES, 256).every((byte) => byte === 0)).toBe(true);
      // Sorted by now, perhaps; the same ranges all the same.
      writer.control[WAL_CONTROL.at] = FIRST_LINE + 20;
      writer.control[WAL_CONTROL.end] = FIRST_LINE + 23;
      writer.append();
      const expected = expectedRecord(pairs, { at: 0 });
      expect(Buffer.compare(readLog((FIRST_LINE + 20) * LINE_BYTES, expected.length), expected)).toBe(0);
    });

    // ---------------------------------------------------------------------------------- syncs

    it('completes tickets in order, each after it was asked for, and tells', async () => {
      wal.extend(LOG_BYTES);
      let calls = 0;
      wal.onProgress = () => {
        calls++;
      };
      const tickets: number[] = [];
      for (let round = 0; round < 20; round++) {
        wal.write(8192 + round, Uint8Array.of(round), STEP.walAppend);
        tickets.push(wal.requestSync());
        if (round % 3 === 0) await completed(tickets.at(-1) as number);
      }
      await completed(tickets.at(-1) as number);
      expect(tickets).toEqual(tickets.toSorted((a, b) => a - b));
      if (!synchronous) {
        for (let i = 0; i < 100 && calls === 0; i++) await nextTurn();
        expect(calls).toBeGreaterThan(0);
        expect(wal.completedSyncs).toBe(20);
      }
    });

    it('completes with a sync of its own what was asked for before', () => {
      wal.extend(LOG_BYTES);
      wal.write(8192, Uint8Array.of(1), STEP.walAppend);
      const ticket = wal.requestSync();
      wal.sync(STEP.walSync);
      expect(wal.completedSyncs).toBeGreaterThanOrEqual(ticket);
    });

    // ---------------------------------------------------------------------------------- jobs

    it('writes pages as they were when it was asked to, and no others', () => {
      wal.extend(LOG_BYTES);
      const random = new Random(14);
      fill(random);
      const pages = [0, 1, 2, 7, 9, 10, 200, MIB / PAGE_BYTES - 1];
      const before = bytes.slice();
      const unwritten = pool.poolFile().slice();
      wal.startWrite(Uint32Array.from([...pages, 3, 3]), pages.length);
      fill(random);
      wal.finish();
      expect(wal.busy).toBe(false);
      const file = pool.poolFile();
      for (let page = 0; page < MIB / PAGE_BYTES; page++) {
        const at = page * PAGE_BYTES;
        const expected = (pages.includes(page) ? before : unwritten).subarray(at, at + PAGE_BYTES);
        expect(Buffer.compare(file.subarray(at, at + PAGE_BYTES), expected), `page ${page}`).toBe(0);
      }
    });

    it('gives pages back that the file holds, and the memory stays as it is', () => {
      wal.extend(LOG_BYTES);
      fill(new Random(15));
      const pages = Uint32Array.of(3, 4, 5, 100);
      const before = bytes.slice();
      wal.startWrite(pages, 4);
      wal.finish();
      wal.giveBack(pages, 4);
      expect(Buffer.compare(bytes, before)).toBe(0);
      bytes[3 * PAGE_BYTES] = 99;
      expect(bytes[3 * PAGE_BYTES]).toBe(99);
      expect(pool.poolFile()[3 * PAGE_BYTES]).toBe(before[3 * PAGE_BYTES]);
    });

    it('completes a checkpoint with a header as it was when it was asked to', () => {
      wal.extend(LOG_BYTES);
      const header = new Uint8Array(96).fill(4);
      wal.startComplete(4096, header);
      header.fill(5);
      wal.finish();
      expect(readLog(4096, 97).every((byte, i) => byte === (i < 96 ? 4 : 0))).toBe(true);
    });

    it('is extended in the background while records are appended', () => {
      wal.extend(65536);
      const writer = writerOf(wal);
      wal.startExtend(LOG_BYTES);
      append(writer, [1, 4], { at: FIRST_LINE, end: 65536 / LINE_BYTES });
      wal.finish();
      expect(wal.sizeBytes).toBe(LOG_BYTES);
      append(writer, [1, 4], { at: LOG_BYTES / LINE_BYTES - 2 });
      const expected = expectedRecord([1, 4], { at: 0 });
      expect(expected.length).toBe(2 * LINE_BYTES);
      expect(Buffer.compare(readLog(LOG_BYTES - expected.length, expected.length), expected)).toBe(0);
      wal.startExtend(65536);
      wal.finish();
      expect(wal.sizeBytes).toBe(LOG_BYTES);
    });

    it('refuses pages outside of the pool', () => {
      wal.extend(LOG_BYTES);
      expect(() => wal.startWrite(Uint32Array.of(0, MIB / PAGE_BYTES), 2)).toThrow(RangeError);
      expect(() => wal.giveBack(Uint32Array.of(MIB / PAGE_BYTES), 1)).toThrow(RangeError);
      expect(wal.busy).toBe(false);
    });
  });
}
