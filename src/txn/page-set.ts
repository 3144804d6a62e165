/** Sets of pages of the pool, as bits: which of them a transaction has changed, and which are private copies. */
import { GRANULE_BYTES, PAGE_BYTES } from '../format/index.js';

const GRANULES_SHIFT = Math.log2(PAGE_BYTES / GRANULE_BYTES);

export class PageSet {
  /** How many pages are in the set. */
  size = 0;
  #bits = new Int32Array(1024);
  /** `take` goes on here: no page of the set lies in a word before it. */
  #cursor = 0;

  /** Adds the pages of a range. */
  add(ref: number, granules: number): void {
    const last = (ref + granules - 1) >>> GRANULES_SHIFT;
    for (let page = ref >>> GRANULES_SHIFT; page <= last; page += 1) this.addPage(page);
  }

  addPage(page: number): void {
    const word = page >>> 5;
    if (word >= this.#bits.length) this.#grow(word + 1);
    const bits = this.#bits[word] as number;
    const bit = 1 << (page & 31);
    if ((bits & bit) !== 0) return;
    this.#bits[word] = bits | bit;
    this.size += 1;
    if (word < this.#cursor) this.#cursor = word;
  }

  has(page: number): boolean {
    const word = page >>> 5;
    return word < this.#bits.length && ((this.#bits[word] as number) & (1 << (page & 31))) !== 0;
  }

  /** Takes up to `target.length` pages out of the set, in ascending order, and returns how many. */
  take(target: Uint32Array): number {
    let count = 0;
    while (count < target.length && this.size > 0) {
      let bits = this.#bits[this.#cursor] as number;
      while (bits !== 0 && count < target.length) {
        const bit = 31 - Math.clz32(bits & -bits);
        target[count] = this.#cursor * 32 + bit;
        count += 1;
        bits &= bits - 1;
      }
      this.size -= popCount((this.#bits[this.#cursor] as number) ^ bits);
      this.#bits[this.#cursor] = bits;
      if (bits === 0) this.#cursor += 1;
    }
    if (this.size === 0) this.#cursor = 0;
    return count;
  }

  #grow(least: number): void {
    const larger = new Int32Array(Math.max(least, this.#bits.length * 2));
    larger.set(this.#bits);
    this.#bits = larger;
  }
}

function popCount(bits: number): number {
  let count = 0;
  for (let left = bits; left !== 0; left &= left - 1) count += 1;
  return count;
}
