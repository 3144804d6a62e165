import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createViews } from '../../src/memory/index.js';
import type { LogMark } from '../../src/txn/index.js';
import { WriteSet } from '../../src/txn/write-set.js';

const GRANULES = 64;

function setUp() {
  const views = createViews(new ArrayBuffer(GRANULES * 16));
  for (let i = 0; i < views.u32.length; i += 1) views.u32[i] = i;
  return { views, set: new WriteSet(views), content: () => views.u32.slice() };
}

const range = fc
  .tuple(fc.nat(GRANULES - 1), fc.integer({ min: 1, max: 24 }))
  .map(([ref, granules]) => ({ ref, granules: Math.min(granules, GRANULES - ref) }));

it('puts back what every mark found, whatever was saved twice and however ranges overlap', () => {
  const step = fc.oneof(
    { weight: 5, arbitrary: range },
    { weight: 1, arbitrary: fc.constant('mark' as const) },
    { weight: 1, arbitrary: fc.constant('back' as const) },
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const { views, set, content } = setUp();
      const before = content();
      const marks: { mark: LogMark; content: Uint32Array; ranges: Uint32Array; granules: number }[] = [];
      let value = 1000;
      for (const each of steps) {
        if (each === 'mark') {
          const ranges = set.ranges.words.slice(0, set.ranges.length);
          marks.push({ mark: set.mark(), content: content(), ranges, granules: set.granules });
        } else if (each === 'back') {
          const to = marks.pop();
          if (to === undefined) continue;
          set.restore(to.mark);
          expect(content()).toEqual(to.content);
          expect(set.ranges.words.slice(0, set.ranges.length)).toEqual(to.ranges);
          expect(set.granules).toBe(to.granules);
        } else {
          set.save(each.ref, each.granules);
          for (let i = 0; i < each.granules * 4; i += 1) views.u32[each.ref * 4 + i] = value++;
        }
      }
      const after = content();
      set.setAside(() => expect(content()).toEqual(before));
      expect(content()).toEqual(after);
      set.restoreAll();
      expect(content()).toEqual(before);
      set.clear();
      expect(set.isEmpty).toBe(true);
    }),
  );
});

describe('a transaction that is set aside', () => {
  it('comes back when the body throws', () => {
    const { views, set } = setUp();
    set.save(0, 1);
    views.u32[0] = 77;
    const failing = (): void => {
      expect(views.u32[0]).toBe(0);
      throw new Error('failing');
    };
    expect(() => set.setAside(failing)).toThrow('failing');
    expect(views.u32[0]).toBe(77);
  });
});

it('saves more than its memory holds at first, and ranges as long as a large block', () => {
  const views = createViews(new ArrayBuffer(4 << 20));
  const set = new WriteSet(views);
  views.u8.fill(1);
  set.save(0, (4 << 20) / 16);
  views.u8.fill(2);
  set.restoreAll();
  expect(views.u8.every((byte) => byte === 1)).toBe(true);
});
