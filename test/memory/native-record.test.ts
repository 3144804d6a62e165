/**
 * The native record writer against a straightforward one in TypeScript: the same bytes in the file, the same
 * chain, the same counts, in every flush mode.
 */
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { COMMIT_PAYLOAD, RECORD, RECORD_KIND, RECORD_KIND_SHIFT } from '../../src/format/index.js';
import { CONTROL } from '../../src/memory/index.js';
import { loadAddon, MAP_FLAG, type NativeAddon } from '../../src/memory/native-addon.js';
import { MIB, Scratch } from './fixtures.js';

const found = loadAddon();
if (found.addon === null) throw new Error(found.reason);
const addon: NativeAddon = found.addon;
const scratch = new Scratch();
afterAll(() => scratch.removeAll());

/** Bit by bit, from the definition. */
function crc32c(start: number, bytes: Uint8Array): number {
  let crc = ~start;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
  }
  return ~crc >>> 0;
}

/** A record as the format has it: header, payload, zeros to the end of the line. */
function record(
  facts: { chain: number; kind: number; subject: number; txn: number },
  payload: Uint8Array,
): Uint8Array {
  const bytes = new Uint8Array(Math.ceil((16 + payload.length) / 64) * 64);
  const view = new DataView(bytes.buffer);
  view.setUint32(RECORD.kind.offset, ((facts.kind << RECORD_KIND_SHIFT) | (payload.length / 16)) >>> 0, true);
  view.setUint32(RECORD.subject.offset, facts.subject, true);
  view.setUint32(RECORD.txn.offset, facts.txn, true);
  bytes.set(payload, 16);
  const checksum = crc32c(facts.chain, bytes.subarray(4, 16 + payload.length));
  view.setUint32(RECORD.checksum.offset, checksum, true);
  return bytes;
}

function random(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

const modes: [string, boolean][] = [['none', false]];
for (const name of addon.flushInstructions) modes.push([name, true], [name, false]);

describe.each(modes)('flush mode %s, streaming %s', (instruction, stream) => {
  const path = join(scratch.memory(), 'record.pool');
  const mapping = addon.map(path, MIB, MAP_FLAG.create);
  mapping.allocate(0, MIB);
  mapping.setFlush(instruction, stream, true, 0, 0);
  afterAll(() => mapping.unmap());
  const bytes = new Uint8Array(mapping.buffer);
  const { control, counters } = mapping;
  const HEAP = 32768; // granules: the upper half of the file

  it('writes snapshots byte for byte', () => {
    const seed = 20240 + modes.length;
    const next = random(seed);
    for (let i = 0; i < 300; i++) {
      for (let k = 0; k < 64; k++) bytes[HEAP * 16 + next(4096)] = next(256);
      const granules = i < 64 ? i : next(i % 10 === 0 ? 2000 : 40);
      const source = HEAP + next(2000);
      const at = next(1000) * 4;
      const facts = {
        chain: next(2 ** 32),
        kind: RECORD_KIND.snapshot.value,
        subject: source,
        txn: next(2 ** 32),
      };
      const wanted = record(facts, bytes.slice(source * 16, (source + granules) * 16));
      const end = at * 16 + wanted.length;
      bytes.fill(0xee, at * 16, end + 64);
      const before = [...counters];
      control.set([facts.chain, facts.txn, at, source, granules], 0);
      mapping.append();
      expect(Buffer.compare(bytes.subarray(at * 16, end), wanted), `seed ${seed}, case ${i}`).toBe(0);
      expect(bytes[end]).toBe(0xee);
      expect(control[CONTROL.chain]).toBe(new DataView(wanted.buffer).getUint32(0, true));
      expect([...counters]).toEqual([(before[0] ?? 0) + 1, (before[1] ?? 0) + wanted.length / 64, 0]);
      bytes.fill(0, at * 16, end + 64);
    }
  });

  it('writes commit records byte for byte, and counts the lines of the data', () => {
    const seed = 555;
    const next = random(seed);
    for (let i = 0; i < 200; i++) {
      const checked = i % 4 === 3 ? 0 : 1;
      const count = i < 70 ? i : next(70);
      const ranges = new Uint32Array(2 * count + next(3) + (i % 2));
      for (let k = 0; k < count; k++) ranges.set([HEAP + next(3000), next(12)], 2 * k);
      mapping.setRanges(ranges);
      const payload = new Uint8Array(16 + (checked ? Math.ceil(count / 2) * 16 : 0));
      const view = new DataView(payload.buffer);
      let lines = 0;
      let lastLine = -1;
      let after = 0;
      for (let k = 0; k < count; k++) {
        const from = (ranges[2 * k] as number) * 16;
        const length = (ranges[2 * k + 1] as number) * 16;
        after = crc32c(after, bytes.subarray(from, from + length));
        for (let line = Math.floor(from / 64); line < (from + length) / 64 && length > 0; line++) {
          if (line !== lastLine) lines++;
          lastLine = line;
        }
        if (!checked) continue;
        view.setUint32(COMMIT_PAYLOAD.ranges.offset - 16 + 8 * k, ranges[2 * k] as number, true);
        view.setUint32(COMMIT_PAYLOAD.ranges.offset - 12 + 8 * k, ranges[2 * k + 1] as number, true);
      }
      if (checked) view.setUint32(COMMIT_PAYLOAD.afterChecksum.offset - 16, after, true);
      const facts = {
        chain: next(2 ** 32),
        kind: RECORD_KIND.commit.value,
        subject: checked * count,
        txn: i,
      };
      const wanted = record(facts, payload);
      const at = next(1000) * 4;
      const end = at * 16 + wanted.length;
      bytes.fill(0xee, at * 16, end + 64);
      const before = [...counters];
      control.fill(0);
      control.set([facts.chain, facts.txn, at], 0);
      control[CONTROL.rangeCount] = count;
      control[CONTROL.checked] = checked;
      mapping.commit();
      expect(Buffer.compare(bytes.subarray(at * 16, end), wanted), `seed ${seed}, case ${i}`).toBe(0);
      expect(bytes[end]).toBe(0xee);
      expect(control[CONTROL.chain]).toBe(new DataView(wanted.buffer).getUint32(0, true));
      expect([...counters]).toEqual([(before[0] ?? 0) + 1, (before[1] ?? 0) + lines + wanted.length / 64, 0]);
    }
  });

  it('ends a record exactly at the end of the file', () => {
    const at = MIB / 16 - 8;
    control.fill(0);
    control.set([1, 2, at, HEAP, 7], 0);
    mapping.append();
    const wanted = record(
      { chain: 1, kind: RECORD_KIND.snapshot.value, subject: HEAP, txn: 2 },
      bytes.slice(HEAP * 16, (HEAP + 7) * 16),
    );
    expect(Buffer.compare(bytes.subarray(at * 16), wanted)).toBe(0);
  });
});
