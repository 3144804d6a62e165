/**
 * The bytes of one file that a crash cannot take away: a flat image, and pages of 4 KiB of its own where it
 * differs from the flat image it shares with the image it was forked from.
 *
 * INV-SIM-1  A shared flat image is never written to; a write copies the page first.
 * INV-SIM-2  Two images of one file have the same hash if they have the same bytes, however they came about.
 *
 * It knows bytes, not what made them durable: that is `mapped-content.ts` and `written-content.ts`.
 */
import { PAGE_BYTES } from '../format/index.js';
import { UNIT_BYTES } from './dirty-unit.js';
import { changeHash, hashed, wordsOf } from './unit-hash.js';

const UNITS_PER_PAGE = PAGE_BYTES / UNIT_BYTES;
const WORDS_PER_PAGE = PAGE_BYTES / 4;
/** Pages compared in one go; most of a pool does not change between two fences. */
const CHUNK_PAGES = 16;

/** The bytes of a page as words. */
type Page = Uint32Array;

/** What a file grows by; never written to. */
const ZERO_PAGE: Page = new Uint32Array(WORDS_PER_PAGE);

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
  /**
   * Pages with memory of their own, and what they replace. The others lie in the flat image or, behind its end, are zero.
   */
  readonly #own = new Map<number, Page>();
  /** Tells this file's units from those of another one. */
  readonly #seed: number;
  /** Hash of the content without the changes in own pages, which few images are asked for. */
  #hashLow: number;
  #hashHigh: number;

  private constructor(flat: Buffer, pages: Page[], origin: Origin) {
    this.#flat = flat;
    this.#pages = pages;
    this.#exclusive = origin.exclusive;
    this.#seed = origin.seed;
    this.#hashLow = origin.hashLow;
    this.#hashHigh = origin.hashHigh;
  }

  /** An image with a copy of `bytes`, and zeros up to `sizeBytes`; `seed` is `pathSeed` of the file. */
  static from(bytes: Uint8Array, sizeBytes: number, seed: number): DurableImage {
    const flat = Buffer.from(new ArrayBuffer(pagesOf(bytes.length) * PAGE_BYTES));
    flat.set(bytes);
    const pages = viewPages(flat);
    const image = new DurableImage(flat, pages, { exclusive: true, seed, hashLow: 0, hashHigh: 0 });
    pages.forEach((page, number) => {
      image.#hashChange(number, 0, ZERO_PAGE, page);
    });
    image.grow(sizeBytes);
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
    const copy = new DurableImage(flat, viewPages(flat), this.#origin(true));
    copy.grow(this.#pages.length * PAGE_BYTES);
    return copy;
  }

  /** New bytes are zero. */
  grow(sizeBytes: number): void {
    const pages = pagesOf(sizeBytes);
    while (this.#pages.length < pages) this.#pages.push(ZERO_PAGE);
  }

  /** Bytes beyond `sizeBytes` are gone, or zero in what remains of their page. */
  truncate(sizeBytes: number): void {
    const pages = pagesOf(sizeBytes);
    const rest = sizeBytes % PAGE_BYTES;
    if (rest > 0) {
      const last = new Uint8Array(PAGE_BYTES);
      this.read(sizeBytes - rest, last.subarray(0, rest));
      this.write(sizeBytes - rest, last);
    }
    for (let page = pages; page < this.#pages.length; page++) {
      this.#hashChange(page, 0, this.#own.get(page) ?? (this.#pages[page] as Page), ZERO_PAGE);
      this.#own.delete(page);
    }
    this.#pages.length = Math.min(pages, this.#pages.length);
    this.#flat = this.#flat.subarray(0, pages * PAGE_BYTES);
  }

  /** Two words of a hash of the content, into `target`; see `changeHash`. */
  fingerprint(target: Uint32Array): void {
    target[0] = this.#hashLow;
    target[1] = this.#hashHigh;
    for (const [page, before] of this.#own) {
      changeHash(this.#seed, page * UNITS_PER_PAGE, before, this.#pages[page] as Page);
      target[0] = (target[0] as number) ^ (hashed[0] as number);
      target[1] = (target[1] as number) ^ (hashed[1] as number);
    }
  }

  /** The page's bytes as words; read only. */
  pageWords(page: number): Uint32Array {
    return this.#pages[page] as Page;
  }

  /** Copies [at, at + target.length); what lies behind the end is zero. */
  read(at: number, target: Uint8Array): void {
    const end = at + target.length;
    const flatEnd = Math.max(at, Math.min(end, this.#flat.length));
    if (flatEnd > at) target.set(this.#flat.subarray(at, flatEnd));
    target.fill(0, flatEnd - at);
    if (this.#own.size === 0) return;
    for (let page = Math.floor(at / PAGE_BYTES); page * PAGE_BYTES < end; page++) {
      if (!this.#own.has(page)) continue;
      const start = page * PAGE_BYTES;
      const from = Math.max(at, start);
      const bytes = bytesOf(this.#pages[page] as Page).subarray(from - start, end - start);
      target.set(bytes, from - at);
    }
  }

  /** Overwrites whole units of 8 bytes. */
  write(at: number, bytes: Uint8Array): void {
    const end = at + bytes.length;
    for (let from = at; from < end; ) {
      const number = Math.floor(from / PAGE_BYTES);
      const start = number * PAGE_BYTES;
      const to = Math.min(end, start + PAGE_BYTES);
      this.#writePage(number, from - start, wordsOf(bytes.subarray(from - at, to - at)));
      from = to;
    }
  }

  /** The value of a unit of 8 bytes. */
  readUnit(unit: number): bigint {
    const page = this.#pages[Math.floor(unit / UNITS_PER_PAGE)] as Page;
    const word = (unit % UNITS_PER_PAGE) * 2;
    valueWords[0] = page[word] as number;
    valueWords[1] = page[word + 1] as number;
    return valueBits[0] as bigint;
  }

  writeUnit(unit: number, value: bigint): void {
    valueBits[0] = value;
    this.#writePage(Math.floor(unit / UNITS_PER_PAGE), (unit % UNITS_PER_PAGE) * UNIT_BYTES, valueWords);
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
        diffPage(this.pageWords(page), words, page, visit);
      }
    }
  }

  #writePage(number: number, at: number, words: Uint32Array): void {
    const page = this.#pages[number] as Page;
    const first = at / 4;
    if (this.#own.has(number)) {
      page.set(words, first);
    } else if (this.#exclusive && (number + 1) * PAGE_BYTES <= this.#flat.length) {
      this.#hashChange(number, first, page.subarray(first, first + words.length), words);
      page.set(words, first);
    } else {
      const copy = page.slice();
      copy.set(words, first);
      this.#pages[number] = copy;
      this.#own.set(number, page);
    }
  }

  #isFlat(first: number, end: number): boolean {
    if (end * PAGE_BYTES > this.#flat.length) return false;
    if (this.#own.size === 0) return true;
    for (let page = first; page < end; page++) if (this.#own.has(page)) return false;
    return true;
  }

  /** Brings all pages into one flat image that is not shared with an older one. */
  #flatten(): void {
    if (this.#own.size === 0) return;
    let bytes = this.#flat.length;
    for (const [page, before] of this.#own) {
      this.#hashChange(page, 0, before, this.#pages[page] as Page);
      bytes = Math.max(bytes, (page + 1) * PAGE_BYTES);
    }
    const flat = Buffer.from(new ArrayBuffer(bytes));
    this.read(0, flat);
    this.#flat = flat;
    this.#own.clear();
    this.#exclusive = true;
    viewPages(flat).forEach((page, number) => {
      this.#pages[number] = page;
    });
  }

  #origin(exclusive: boolean): Origin {
    return { exclusive, seed: this.#seed, hashLow: this.#hashLow, hashHigh: this.#hashHigh };
  }

  #hashChange(page: number, firstWord: number, before: Uint32Array, after: Uint32Array): void {
    if (before === after) return;
    changeHash(this.#seed, page * UNITS_PER_PAGE + firstWord / 2, before, after);
    this.#hashLow ^= hashed[0] as number;
    this.#hashHigh ^= hashed[1] as number;
  }
}

const valueBits = new BigUint64Array(1);
const valueWords = new Uint32Array(valueBits.buffer);

function pagesOf(bytes: number): number {
  return Math.ceil(bytes / PAGE_BYTES);
}

function bytesOf(page: Page): Uint8Array {
  return new Uint8Array(page.buffer, page.byteOffset, PAGE_BYTES);
}

function viewPages(flat: Buffer): Page[] {
  const pages: Page[] = [];
  for (let at = 0; at < flat.length; at += PAGE_BYTES)
    pages.push(new Uint32Array(flat.buffer, flat.byteOffset + at, WORDS_PER_PAGE));
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
