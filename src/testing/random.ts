/**
 * The seeded random numbers of every fuzz, model and crash test: the same seed gives the same numbers on
 * every machine and every version of Node, so that a failure can be repeated from its seed alone.
 *
 * sfc32 (Chris Doty-Humphrey, PractRand): 128 bits of state. It may not be
 * used for anything that has to be secret.
 */

/** A seeded source of random numbers. */
export class Random {
  #a = 0;
  #b = 0;
  #c = 0;
  #counter = 1;

  /** @param seed any number; its low 53 bits count */
  constructor(seed: number) {
    const whole = Math.abs(Math.trunc(seed));
    this.#a = whole >>> 0;
    this.#b = Math.floor(whole / 2 ** 32) >>> 0;
    this.#c = seed < 0 ? 1 : 0;
    for (let round = 0; round < 15; round++) this.u32();
  }

  /** A whole number from 0 to 2^32 - 1. */
  u32(): number {
    const result = (this.#a + this.#b + this.#counter) | 0;
    this.#counter = (this.#counter + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = (((this.#c << 21) | (this.#c >>> 11)) + result) | 0;
    return result >>> 0;
  }

  /** A number in [0, 1). */
  float(): number {
    return this.u32() / 2 ** 32;
  }

  /**
   * A whole number from 0 to `bound` - 1.
   * @param bound 1 to 2^32
   */
  int(bound: number): number {
    return Math.floor(this.float() * bound);
  }

  /** A whole number from `low` to `high`, both included. */
  between(low: number, high: number): number {
    return low + this.int(high - low + 1);
  }

  /** True with the given probability. */
  chance(probability: number): boolean {
    return this.float() < probability;
  }

  /**
   * One of the items, each with the same probability.
   * @throws RangeError when there are none
   */
  pick<T>(items: readonly T[]): T {
    if (items.length === 0) throw new RangeError('Random.pick: there is nothing to pick from');
    return items[this.int(items.length)] as T;
  }

  /** Puts the items in a random order, in place (Fisher-Yates), and returns them. */
  shuffle<T>(items: T[]): T[] {
    for (let last = items.length - 1; last > 0; last--) {
      const other = this.int(last + 1);
      const item = items[last] as T;
      items[last] = items[other] as T;
      items[other] = item;
    }
    return items;
  }

  /** A generator of its own, which depends on this one's state; further calls of the two do not mix. */
  fork(): Random {
    return new Random(this.u32() * 2 ** 21 + (this.u32() >>> 11));
  }
}

/** Makes one seed of several numbers: a seed for part `parts` of a run, which can be repeated alone. */
export function mixSeeds(...parts: readonly number[]): number {
  let seed = 0;
  for (const part of parts) seed = new Random(seed ^ 0x9e3779b9).u32() ^ new Random(part).u32();
  return seed >>> 0;
}
