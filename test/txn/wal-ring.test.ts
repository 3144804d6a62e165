import fc from 'fast-check';
import { expect, it } from 'vitest';
import { FIRST_LINE } from '../../src/txn/wal-header.js';
import { type WalPosition, WalRing } from '../../src/txn/wal-ring.js';

it('gives out no line between tail and head, and finds every record again', () => {
  const step = fc.oneof(
    { weight: 4, arbitrary: fc.record({ write: fc.integer({ min: 1, max: 30 }) }) },
    { weight: 1, arbitrary: fc.record({ release: fc.integer({ min: 0, max: 8 }) }) },
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const ring = new WalRing((FIRST_LINE + 64) * 64);
      const live: (WalPosition & { lines: number })[] = [];
      for (const each of steps) {
        if ('release' in each) {
          live.splice(0, each.release);
          ring.release(live[0] ?? { line: ring.head, seq: ring.seq });
        } else if (ring.roomFor(each.write) !== 'none') {
          if (ring.roomFor(each.write) === 'at-start') {
            expect(ring.head).toBeLessThan(ring.capacity);
            live.push({ line: ring.head, seq: ring.seq, lines: 1 });
            ring.wrap();
          }
          const record = { line: ring.head, seq: ring.seq, lines: each.write };
          expect(record.line + record.lines).toBeLessThan(ring.capacity);
          for (const other of live) {
            const apart = other.line + other.lines <= record.line || record.line + record.lines <= other.line;
            expect(apart).toBe(true);
          }
          live.push(record);
          ring.advance(each.write);
        }
        expect(ring.used === 0).toBe(live.length === 0);
        expect(ring.head === ring.tail).toBe(live.length === 0);
        expect(live.map(({ seq }) => seq)).toEqual(live.map((_, index) => ring.tailSeq + index));
      }
    }),
  );
});

it('has no room for a record that would reach the tail, nor where no line is left for a skip record', () => {
  const ring = new WalRing((FIRST_LINE + 10) * 64);
  expect(ring.roomFor(9)).toBe('here');
  expect(ring.roomFor(10)).toBe('none');
  ring.advance(6);
  ring.release({ line: FIRST_LINE + 6, seq: 2 });
  expect(ring.roomFor(4)).toBe('at-start');
  expect(ring.roomFor(6)).toBe('none');
  ring.wrap();
  ring.advance(4);
  expect(ring.roomFor(1)).toBe('here');
  expect(ring.roomFor(2)).toBe('none');
});
