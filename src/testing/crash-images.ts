/**
 * Chooses the crash images to check: all of them where they are few, otherwise a seeded sample that always has
 * the telling ones (nothing, everything, only what was flushed, only what was not, one unit alone, all but one,
 * everything up to an address, whole lines).
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
const LINES_SHARE = 0.2;
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
  const { choice } = image;
  const seen = new Set<number>();
  let left = budget;
  let repeats = 0;
  for (const fill of strategies(image.units, budget, random)) {
    fill(choice);
    const before = seen.size;
    seen.add(hashChoice(choice));
    if (seen.size === before) {
      if (++repeats > MAX_REPEATS) return;
      continue;
    }
    repeats = 0;
    yield image;
    if (--left === 0) return;
  }
}

type Fill = (choice: Uint8Array) => void;

/** Ways to fill a choice, the telling ones first, then random ones without end. */
function* strategies(units: readonly DirtyUnit[], budget: number, random: Random): Generator<Fill> {
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
  const lines = numberLines(units);
  const lineCount = (lines[lines.length - 1] as number) + 1;
  for (const one of someOf(lineCount, (budget * LINES_SHARE) / 3, random)) {
    yield where((index) => lines[index] === one);
    yield where((index) => lines[index] !== one);
    const chosen = bits(lineCount, random.pick(DENSITIES), random);
    yield where((index) => chosen[lines[index] as number] === 1);
  }
  for (;;) {
    const density = random.pick(DENSITIES);
    yield (choice) => {
      for (let index = 0; index < choice.length; index++) {
        const alternatives = (units[index] as DirtyUnit).values.length - 1;
        choice[index] = random.chance(density) ? 1 + random.int(alternatives) : 0;
      }
    };
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

/** For each unit the number of its line, counted from 0. */
function numberLines(units: readonly DirtyUnit[]): Uint32Array {
  const numbers = new Uint32Array(units.length);
  let number = 0;
  for (let index = 1; index < units.length; index++) {
    const before = units[index - 1] as DirtyUnit;
    const unit = units[index] as DirtyUnit;
    const together =
      before.path === unit.path &&
      Math.floor(before.offset / LINE_BYTES) === Math.floor(unit.offset / LINE_BYTES);
    if (!together) number++;
    numbers[index] = number;
  }
  return numbers;
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
