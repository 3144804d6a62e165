import { describe, expect, it } from 'vitest';
import { countImages, crashImages, type DirtyUnit, Random } from '../../src/testing/index.js';

function dirty(count: number, values: readonly number[] = [0, 1]): DirtyUnit[] {
  return Array.from({ length: count }, (_, index) => ({
    path: 'a',
    offset: index * 24,
    values: values.map((value) => Uint8Array.of(value, 0, 0, 0, 0, 0, 0, 0)),
    current: values.length - 1,
    flushed: index % 2 === 0,
    written: null,
  }));
}

function choices(units: DirtyUnit[], options: { budget?: number; seed?: number }): string[] {
  return Array.from(crashImages(units, options), ({ choice }) => choice.join(''));
}

describe('crashImages', () => {
  it('yields the one image there is when nothing is dirty', () => {
    expect(Array.from(crashImages([]), ({ choice }) => choice.length)).toEqual([0]);
    expect(choices(dirty(3), { budget: 0 })).toEqual([]);
  });

  it('yields all subsets where they fit the budget', () => {
    for (const count of [1, 5, 10]) {
      const all = choices(dirty(count), { budget: 2 ** count });
      expect(all.length).toBe(2 ** count);
      expect(new Set(all).size).toBe(2 ** count);
    }
  });

  it('combines all values of units that have several', () => {
    const all = choices(dirty(4, [0, 1, 2]), { budget: 100 });
    expect(new Set(all).size).toBe(81);
    expect(countImages(dirty(4, [0, 1, 2]))).toBe(81);
  });

  it('samples distinct images, the same for the same seed', () => {
    const units = dirty(200);
    const sample = choices(units, { budget: 500, seed: 42 });
    expect(sample.length).toBe(500);
    expect(new Set(sample).size).toBe(500);
    expect(choices(units, { budget: 500, seed: 42 })).toEqual(sample);
    expect(choices(units, { budget: 500, seed: 43 })).not.toEqual(sample);
  });

  it('always samples nothing, all, the flushed ones, the others, and single units', () => {
    const sample = new Set(choices(dirty(20), { budget: 200 }));
    const flushed = '10'.repeat(10);
    expect(sample.has('0'.repeat(20))).toBe(true);
    expect(sample.has('1'.repeat(20))).toBe(true);
    expect(sample.has(flushed)).toBe(true);
    expect(sample.has('01'.repeat(10))).toBe(true);
    for (let one = 0; one < 20; one++) {
      const alone = `${'0'.repeat(one)}1${'0'.repeat(19 - one)}`;
      const missing = `${'1'.repeat(one)}0${'1'.repeat(19 - one)}`;
      expect(sample.has(alone), alone).toBe(true);
      expect(sample.has(missing), missing).toBe(true);
    }
  });

  it('samples what a disk leaves that keeps the order of writes, and writes torn in the middle', () => {
    // Three writes of six sectors each, one after the other, and a page of another file after the second.
    const sector = (path: string, index: number, written: number): DirtyUnit => ({
      path,
      offset: index * 512,
      values: [new Uint8Array(512), new Uint8Array(512).fill(written)],
      current: 1,
      flushed: true,
      written: [0, written],
    });
    const units = Array.from({ length: 18 }, (_, index) =>
      sector('log', index, index < 12 ? Math.floor(index / 6) + 1 : 4),
    );
    units.push(sector('pool', 0, 3));
    const sample = new Set(choices(units, { budget: 240 }));
    const image = (...present: number[]): string =>
      present.map((count, index) => '1'.repeat(count).padEnd([6, 6, 6, 1][index] as number, '0')).join('');
    for (const whole of [image(6, 0, 0, 0), image(6, 6, 0, 0), image(6, 6, 0, 1), image(6, 6, 6, 1)]) {
      expect(sample.has(whole), whole).toBe(true);
    }
    for (let sectors = 1; sectors < 6; sectors++) {
      expect(sample.has(image(6, 6, sectors, 1)), `${sectors} sectors`).toBe(true);
    }
    expect(sample.has(image(6, 6, 6, 0))).toBe(true);
    expect(sample.has(image(0, 0, 0, 1))).toBe(true);
    expect(sample.has(image(6, 0, 6, 1))).toBe(true);
  });

  it('knows each version of a unit as of its write', () => {
    const units = Array.from({ length: 9 }, (_, index): DirtyUnit => {
      const written = [0, index + 1, index + 10];
      return {
        path: 'log',
        offset: index * 512,
        values: written.map((value) => new Uint8Array(512).fill(value)),
        current: 2,
        flushed: true,
        written,
      };
    });
    const sample = new Set(choices(units, { budget: 200 }));
    for (let write = 1; write < 9; write++) {
      expect(sample.has('1'.repeat(write).padEnd(9, '0'))).toBe(true);
      expect(sample.has('2'.repeat(write).padEnd(9, '1'))).toBe(true);
    }
  });

  it('finds nearly all images when the budget is just too small for all', () => {
    expect(choices(dirty(8), { budget: 255 }).length).toBeGreaterThan(200);
  });
});

describe('Random', () => {
  it('gives the same numbers for the same seed, on every machine', () => {
    const random = new Random(1);
    const numbers = [random.u32(), random.u32(), random.u32()];
    const again = new Random(1);
    expect([again.u32(), again.u32(), again.u32()]).toEqual(numbers);
    expect(new Random(2).u32()).not.toBe(numbers[0]);
  });

  it('stays in its bounds and reaches them', () => {
    const random = new Random(7);
    const seen = new Set<number>();
    for (let count = 0; count < 1000; count++) seen.add(random.between(-2, 3));
    expect([...seen].sort((a, b) => a - b)).toEqual([-2, -1, 0, 1, 2, 3]);
  });

  it('shuffles without loss', () => {
    const items = Array.from({ length: 50 }, (_, index) => index);
    const shuffled = new Random(3).shuffle([...items]);
    expect(shuffled).not.toEqual(items);
    expect(shuffled.sort((a, b) => a - b)).toEqual(items);
  });

  it('picks every item, and refuses to pick from none', () => {
    const random = new Random(9);
    const picked = new Set(Array.from({ length: 100 }, () => random.pick(['a', 'b', 'c'])));
    expect(picked.size).toBe(3);
    expect(() => random.pick([])).toThrow(RangeError);
  });
});
