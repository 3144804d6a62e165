/**
 * Chooses the crash images to check: all of them where they are few, otherwise a seeded sample that always has
 * the telling ones: nothing, everything, only what was flushed, only what was not, one file alone, one unit alone, all but
 * one, everything up to an address, whole lines or writes, everything up to a write, a write torn in the middle.
 *
 * INV-SIM-8  The images of a list of units depend on the list, the budget and the seed only, and none comes twice:
 *            the number of an image is enough to find it again.
 */
import { LINE_BYTES } from '../format/index.js';
import type { CrashImage, DirtyUnit } from './dirty-unit.js';
import { Random } from './random.js';
import { mix } from './unit-hash.js';

/** How many crash images, and which. */
export interface CrashImageOptions {
  /** The largest number of images. If there are no more than that, all are produced. Default 256. */
  readonly budget?: number;
  /** Seed of the sample. Default 1. */
  readonly seed?: number;
}

/** Random choices in a row that may turn out to be repeats before the sample is taken to be complete. */
const MAX_REPEATS = 64;
/** Shares of the budget; the rest is random. */
const SINGLES_SHARE = 0.3;
const PREFIXES_SHARE = 0.15;
const GROUPS_SHARE = 0.2;
const WRITES_SHARE = 0.1;
const TORN_SHARE = 0.1;
const DENSITIES = [0.5, 0.5, 0.1, 0.9, 0.25, 0.75, 0.02, 0.98] as const;

/**
 * Yields crash images. The object and its `choice` are the same every time: copy what you keep.
 */
export function* crashImages(
  units: readonly DirtyUnit[],
  options: CrashImageOptions = {},
): Generator<CrashImage> {
  const { budget = 256, seed = 1 } = options;
  if (budget <= 0) return;
  const image: CrashImage = { units, choice: new Uint8Array(units.length) };
  if (countImages(units) <= budget) yield* allImages(image);
  else yield* sampleImages(image, budget, new Random(seed));
}

/** How many images the units have; may be Infinity. */
export function countImages(units: readonly DirtyUnit[]): number {
  let count = 1;
  for (const unit of units) count *= unit.values.length;
  return count;
}

/** Counts through all choices, like an odometer. */
function* allImages(image: CrashImage): Generator<CrashImage> {
  const { units, choice } = image;
  for (;;) {
    yield image;
    let digit = 0;
    while (digit < units.length) {
      const next = (choice[digit] as number) + 1;
      if (next < (units[digit] as DirtyUnit).values.length) {
        choice[digit] = next;
        break;
      }
      choice[digit++] = 0;
    }
    if (digit === units.length) return;
  }
}

function* sampleImages(image: CrashImage, budget: number, random: Random): Generator<CrashImage> {
  const { units, choice } = image;
  const seen = new Set<number>();
  const isNew = (fill: Fill): boolean => {
    fill(choice);
    const before = seen.size;
    return seen.add(hashChoice(choice)).size > before;
  };
  for (const fill of telling(units, budget, random)) {
    if (!isNew(fill)) continue;
    yield image;
    if (seen.size === budget) return;
  }
  for (let repeats = 0; repeats <= MAX_REPEATS; ) {
    if (isNew(scattered(units, random))) {
      repeats = 0;
      yield image;
      if (seen.size === budget) return;
    } else {
      repeats++;
    }
  }
}

type Fill = (choice: Uint8Array) => void;

/** The telling ways to fill a choice. */
function* telling(units: readonly DirtyUnit[], budget: number, random: Random): Generator<Fill> {
  const present = units.map(({ values, current }) => (current === 0 ? values.length - 1 : current));
  const where = (takes: (index: number) => boolean): Fill => {
    return (choice) => {
      for (let index = 0; index < choice.length; index++) {
        choice[index] = takes(index) ? (present[index] as number) : 0;
      }
    };
  };
  yield where(() => false);
  yield where(() => true);
  yield (choice) => choice.set(units.map(({ current }) => current));
  yield where((index) => (units[index] as DirtyUnit).flushed);
  yield where((index) => !(units[index] as DirtyUnit).flushed);
  for (const one of someOf(units.length, (budget * SINGLES_SHARE) / 2, random)) {
    yield where((index) => index === one);
    yield where((index) => index !== one);
  }
  for (const end of someOf(units.length, (budget * PREFIXES_SHARE) / 2, random)) {
    yield where((index) => index < end);
    yield where((index) => index >= end);
  }
  yield* oneFile(units, where);
  yield* inOrder(units, budget, random);
  const { groups, groupCount } = numberGroups(units);
  for (const one of someOf(groupCount, (budget * GROUPS_SHARE) / 3, random)) {
    yield where((index) => groups[index] === one);
    yield where((index) => groups[index] !== one);
    const chosen = bits(groupCount, random.pick(DENSITIES), random);
    yield where((index) => chosen[groups[index] as number] === 1);
  }
}

/** A random way to fill a choice. */
function scattered(units: readonly DirtyUnit[], random: Random): Fill {
  const density = random.pick(DENSITIES);
  return (choice) => {
    for (let index = 0; index < choice.length; index++) {
      const alternatives = (units[index] as DirtyUnit).values.length - 1;
      choice[index] = random.chance(density) ? 1 + random.int(alternatives) : 0;
    }
  };
}

/** A log without its pool, a pool without its log. */
function* oneFile(
  units: readonly DirtyUnit[],
  where: (takes: (index: number) => boolean) => Fill,
): Generator<Fill> {
  const paths = new Set(units.map(({ path }) => path));
  if (paths.size === 1) return;
  for (const path of paths) {
    yield where((index) => units[index]?.path === path);
    yield where((index) => units[index]?.path !== path);
  }
}

/** What a disk leaves that writes in the order it was told to, and stops somewhere, perhaps in the middle of a write. */
function* inOrder(units: readonly DirtyUnit[], budget: number, random: Random): Generator<Fill> {
  const asOf = (write: number, index: number): number => {
    const { written } = units[index] as DirtyUnit;
    return written === null ? 0 : written.findLastIndex((number) => number <= write);
  };
  const writes = [...new Set(units.flatMap(({ written }) => written ?? []))].sort((a, b) => a - b);
  for (const number of someOf(writes.length, budget * WRITES_SHARE, random)) {
    const write = writes[number] as number;
    yield (choice) => choice.set(units.map((_, index) => asOf(write, index)));
  }
  // The last one at each of its units, then others somewhere.
  const most = Math.ceil((budget * TORN_SHARE) / 4);
  const others = random.shuffle(writes.slice(1, -1)).slice(0, most);
  for (const write of [...writes.slice(-1), ...others]) {
    const torn = units.flatMap(({ written }, index) => (written?.includes(write) ? [index] : []));
    const tears = others.includes(write) ? 1 : most;
    for (const tear of someOf(torn.length - 1, tears, random)) {
      const from = torn[tear] as number;
      yield (choice) => choice.set(units.map((_, index) => asOf(index <= from ? write : write - 1, index)));
      yield (choice) => choice.set(units.map((_, index) => asOf(index <= from ? write - 1 : write, index)));
    }
  }
}

/** All numbers below `count` in order, or a random selection of `most` of them. */
function someOf(count: number, most: number, random: Random): number[] {
  const all = Array.from({ length: count }, (_, index) => index);
  return count <= most ? all : random.shuffle(all).slice(0, Math.ceil(most));
}

function bits(count: number, density: number, random: Random): Uint8Array {
  return Uint8Array.from({ length: count }, () => (random.chance(density) ? 1 : 0));
}

/** For each unit the number of its group, counted from 0: those stored to in one line, or written last by the same write. */
function numberGroups(units: readonly DirtyUnit[]): { groups: number[]; groupCount: number } {
  const numbers = new Map<string, number>();
  const groups = units.map(({ path, offset, written }) => {
    const group =
      written === null ? `line ${Math.floor(offset / LINE_BYTES)}` : `write ${written[written.length - 1]}`;
    const key = `${path}\0${group}`;
    const number = numbers.get(key) ?? numbers.size;
    numbers.set(key, number);
    return number;
  });
  return { groups, groupCount: numbers.size };
}

/** 53 bits; a collision costs one image of a sample. */
function hashChoice(choice: Uint8Array): number {
  let low = 0x811c9dc5;
  let high = 0x9e3779b9;
  for (let index = 0; index < choice.length; index++) {
    low = Math.imul(low ^ (choice[index] as number), 0x01000193);
    high = Math.imul(high ^ (choice[index] as number), 0x5bd1e995) + low;
  }
  return (mix(high) & 0x1fffff) * 2 ** 32 + mix(low);
}
