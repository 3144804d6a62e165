/**
 * The bytes of one file that a crash cannot take away: a flat image, and pages of 4 KiB of its own where it
 * differs from the flat image it shares with the image it was forked from.
 *
 * INV-SIM-1  A shared flat image is never written to; a write copies the page first.
 * INV-SIM-2  Two images of one file have the same hash if they have the same bytes, however they came about.
 *
 * It knows bytes, not what made them durable: that is `simulated-file.ts`.
 */
import { PAGE_BYTES } from '../format/index.js';
import { UNIT_BYTES } from './dirty-unit.js';

const UNITS_PER_PAGE = PAGE_BYTES / UNIT_BYTES;
const WORDS_PER_PAGE = PAGE_BYTES / 4;
/** Pages compared in one go; most of a pool does not change between two fences. */
const CHUNK_PAGES = 16;

interface Page {
  /** The same bytes as words and as units. */
  readonly words: Uint32Array;
  readonly units: BigUint64Array;
}

interface Origin {
  /** Whether the flat image belongs to this image alone. */
  readonly exclusive: boolean;
  readonly seed: number;
  readonly hashLow: number;
  readonly hashHigh: number;
}

/** The durable bytes of one file, padded with zeros to whole pages. */
export class DurableImage {
  #flat: Buffer;
  #exclusive: boolean;
  readonly #pages: Page[];
  readonly #own = new Set<number>();
  /** Tells this file's units from those of another one. */
  readonly #seed: number;
  /** Two words of a hash of the content; see `unitHash`. */
  hashLow: number;
  hashHigh: number;

  private constructor(flat: Buffer, pages: Page[], origin: Origin) {
    this.#flat = flat;
    this.#pages = pages;
    this.#exclusive = origin.exclusive;
    this.#seed = origin.seed;
    this.hashLow = origin.hashLow;
    this.hashHigh = origin.hashHigh;
  }

  /** An image with a copy of `bytes`, and zeros up to `sizeBytes`; `seed` is `pathSeed` of the file. */
  static from(bytes: Uint8Array, sizeBytes: number, seed: number): DurableImage {
    const flat = Buffer.from(new ArrayBuffer(pagesOf(sizeBytes) * PAGE_BYTES));
    flat.set(bytes);
    const image = new DurableImage(flat, viewPages(flat), { exclusive: true, seed, hashLow: 0, hashHigh: 0 });
    image.#hashAll();
    return image;
  }

  /** An image with the same content that shares its memory: this one must not change while the other is in use. */
  share(): DurableImage {
    this.#flatten();
    return new DurableImage(this.#flat, this.#pages.slice(), this.#origin(false));
  }

  /** An image with the same content and memory of its own. */
  copy(): DurableImage {
    this.#flatten();
    const flat = Buffer.from(new Uint8Array(this.#flat).buffer);
    return new DurableImage(flat, viewPages(flat), this.#origin(true));
  }

  grow(sizeBytes: number): void {
    const pages = pagesOf(sizeBytes);
    while (this.#pages.length < pages) {
      this.#own.add(this.#pages.length);
      this.#pages.push(newPage());
    }
  }

  /** The page's bytes as words; read only. */
  wordsOf(page: number): Uint32Array {
    return (this.#pages[page] as Page).words;
  }

  read(unit: number): bigint {
    return (this.#pages[Math.floor(unit / UNITS_PER_PAGE)] as Page).units[unit % UNITS_PER_PAGE] as bigint;
  }

  write(unit: number, value: bigint): void {
    const at = Math.floor(unit / UNITS_PER_PAGE);
    let page = this.#pages[at] as Page;
    if (!this.#exclusive && !this.#own.has(at)) {
      const copy = newPage();
      copy.words.set(page.words);
      this.#pages[at] = copy;
      this.#own.add(at);
      page = copy;
    }
    const slot = unit % UNITS_PER_PAGE;
    this.#hash(unit, page.units[slot] as bigint);
    page.units[slot] = value;
    this.#hash(unit, value);
  }

  /** Copies the whole content. */
  copyTo(target: Uint8Array): void {
    target.set(target.length < this.#flat.length ? this.#flat.subarray(0, target.length) : this.#flat);
    for (const page of this.#own) {
      const { words } = this.#pages[page] as Page;
      const at = page * PAGE_BYTES;
      if (at >= target.length) continue;
      target.set(
        new Uint8Array(words.buffer, words.byteOffset, Math.min(PAGE_BYTES, target.length - at)),
        at,
      );
    }
  }

  /** Calls `visit` with each unit that differs; `current` covers whole pages, `words` are the same bytes. */
  diff(current: Buffer, words: Uint32Array, visit: (unit: number) => void): void {
    const flat = this.#flat;
    const count = this.#pages.length;
    for (let first = 0; first < count; first += CHUNK_PAGES) {
      const end = Math.min(first + CHUNK_PAGES, count);
      if (this.#isFlat(first, end) && sameBytes(flat, current, first, end)) continue;
      for (let page = first; page < end; page++) {
        if (this.#isFlat(page, page + 1) && sameBytes(flat, current, page, page + 1)) continue;
        diffPage(this.wordsOf(page), words, page, visit);
      }
    }
  }

  #isFlat(first: number, end: number): boolean {
    if (this.#own.size === 0) return true;
    for (let page = first; page < end; page++) if (this.#own.has(page)) return false;
    return true;
  }

  /** Brings all pages into one flat image that is not shared with an older one. */
  #flatten(): void {
    if (this.#own.size === 0) return;
    const flat = Buffer.from(new ArrayBuffer(this.#pages.length * PAGE_BYTES));
    this.copyTo(flat);
    this.#flat = flat;
    this.#own.clear();
    this.#exclusive = true;
    const pages = viewPages(flat);
    for (let page = 0; page < pages.length; page++) this.#pages[page] = pages[page] as Page;
  }

  #origin(exclusive: boolean): Origin {
    return { exclusive, seed: this.#seed, hashLow: this.hashLow, hashHigh: this.hashHigh };
  }

  #hashAll(): void {
    for (let page = 0; page < this.#pages.length; page++) {
      const { units } = this.#pages[page] as Page;
      for (let slot = 0; slot < UNITS_PER_PAGE; slot++) {
        const value = units[slot] as bigint;
        if (value === 0n) continue;
        this.#hash(page * UNITS_PER_PAGE + slot, 0n);
        this.#hash(page * UNITS_PER_PAGE + slot, value);
      }
    }
  }

  #hash(unit: number, value: bigint): void {
    unitHash(this.#seed, unit, value);
    this.hashLow ^= hashed[0] as number;
    this.hashHigh ^= hashed[1] as number;
  }
}

const valueBits = new BigUint64Array(1);
const valueWords = new Uint32Array(valueBits.buffer);
/** The result of the last `unitHash`: two words. */
export const hashed = new Uint32Array(2);

/**
 * Hashes "this unit of the file has this value" to two words, in `hashed`. The hash of an image is the exclusive or of its
 * units (Zobrist), so that changing a unit changes the hash at the price of that unit.
 */
export function unitHash(seed: number, unit: number, value: bigint): void {
  valueBits[0] = value;
  const low = valueWords[0] as number;
  const high = valueWords[1] as number;
  const place = (unit ^ seed) >>> 0;
  const a = mix(low ^ mix(place + 0x9e3779b9));
  const b = mix(high ^ mix(a + place));
  hashed[0] = b;
  hashed[1] = mix(b ^ mix(low + 0x85ebca6b) ^ a);
}

/** A number for a file's name. */
export function pathSeed(path: string): number {
  let hash = 0;
  for (let index = 0; index < path.length; index++) hash = mix(hash ^ path.charCodeAt(index)) + index;
  return hash >>> 0;
}

/** The finaliser of MurmurHash3. */
export function mix(value: number): number {
  let hash = value | 0;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

function pagesOf(bytes: number): number {
  return Math.ceil(bytes / PAGE_BYTES);
}

function newPage(): Page {
  return pageOn(new ArrayBuffer(PAGE_BYTES), 0);
}

function pageOn(buffer: ArrayBufferLike, offset: number): Page {
  return {
    words: new Uint32Array(buffer, offset, WORDS_PER_PAGE),
    units: new BigUint64Array(buffer, offset, UNITS_PER_PAGE),
  };
}

function viewPages(flat: Buffer): Page[] {
  const pages: Page[] = [];
  for (let at = 0; at < flat.length; at += PAGE_BYTES) pages.push(pageOn(flat.buffer, flat.byteOffset + at));
  return pages;
}

function sameBytes(a: Buffer, b: Buffer, firstPage: number, endPage: number): boolean {
  const from = firstPage * PAGE_BYTES;
  const to = endPage * PAGE_BYTES;
  return a.compare(b, from, to, from, to) === 0;
}

function diffPage(
  durable: Uint32Array,
  current: Uint32Array,
  page: number,
  visit: (unit: number) => void,
): void {
  const base = page * WORDS_PER_PAGE;
  for (let word = 0; word < WORDS_PER_PAGE; word += 2) {
    if (durable[word] !== current[base + word] || durable[word + 1] !== current[base + word + 1]) {
      visit(page * UNITS_PER_PAGE + word / 2);
    }
  }
}
