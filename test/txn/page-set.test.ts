import fc from 'fast-check';
import { expect, it } from 'vitest';
import { PageSet } from '../../src/txn/page-set.js';

it('holds what a Set of numbers would, and gives it out in ascending order', () => {
  const range = fc.record({
    ref: fc.integer({ min: 0, max: 2 ** 24 }),
    granules: fc.integer({ min: 1, max: 2000 }),
  });
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.array(range, { maxLength: 5 }), fc.nat(40)), { maxLength: 20 }),
      (rounds) => {
        const set = new PageSet();
        const model = new Set<number>();
        for (const [ranges, most] of rounds) {
          for (const { ref, granules } of ranges) {
            set.add(ref, granules);
            for (let page = ref >>> 8; page <= (ref + granules - 1) >>> 8; page += 1) model.add(page);
          }
          expect(set.size).toBe(model.size);
          const taken = new Uint32Array(most);
          const count = set.take(taken);
          const expected = [...model].sort((a, b) => a - b).slice(0, most);
          expect([...taken.subarray(0, count)]).toEqual(expected);
          for (const page of expected) {
            expect(set.has(page)).toBe(false);
            model.delete(page);
          }
          for (const page of model) expect(set.has(page)).toBe(true);
        }
      },
    ),
  );
});

it('reaches the last page of the largest pool', () => {
  const set = new PageSet();
  set.add(2 ** 32 - 1, 1);
  expect(set.has(2 ** 24 - 1)).toBe(true);
  const taken = new Uint32Array(2);
  expect(set.take(taken)).toBe(1);
  expect(taken[0]).toBe(2 ** 24 - 1);
});
