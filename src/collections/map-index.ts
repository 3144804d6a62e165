/**
 * The hash index of a map: linear hashing over buckets of one cache line.
 *
 * A bucket holds up to eleven numbers of entries, each with ten bits of its hash beside it in the same granule,
 * so that a lookup reads one line and then, nearly always, the one entry it is after. Entries that find no place
 * hang from the bucket in a chain through their `next` fields.
 *
 * INV-MAP-4  With n buckets and 2^k <= n < 2^(k+1), an entry belongs to bucket (hash mod 2^(k+1)), or where there
 *            is none to (hash mod 2^k). Each live entry stands exactly once in its bucket or the chain of it.
 * INV-MAP-5  Growing and shrinking is one split or one merge per operation: no operation rehashes more than the
 *            entries of two buckets.
 *
 * Linear hashing: W. Litwin, VLDB 1980. What an operation logs: an insertion one granule; a split or merge one or
 * two lines; for entries in a chain one granule each. This file does not change the number of entries.
 */

import {
  GRANULE_BYTES,
  MAP,
  MAP_BUCKET,
  MAP_BUCKET_BYTES,
  MAP_DELETED,
  MAP_ENTRY,
  MAP_TAG_BITS,
  type Ref,
} from '../format/index.js';
import type { Runtime } from '../instance/index.js';
import type { Views } from '../memory/index.js';
import { corruptWord } from './corrupt.js';
import type { KeyCodec } from './keys.js';
import type { MapArray } from './map-array.js';

const USED = MAP.used.offset / 4;
const COUNT = MAP.count.offset / 4;
const BUCKETS = MAP.bucketCount.offset / 4;
const NEXT = MAP_ENTRY.next.offset / 4;
const KEY = MAP_ENTRY.key.offset / 4;
const OVERFLOW = MAP_BUCKET.overflow.offset / 4;
const BUCKET_WORDS = MAP_BUCKET_BYTES / 4;
const BUCKET_GRANULES = MAP_BUCKET_BYTES / GRANULE_BYTES;
const TAG_WORD = MAP_BUCKET.tags.offset / 4;
const TAG_BITS = MAP_TAG_BITS;
const TAG_MASK = (1 << TAG_BITS) - 1;
/** A tag in all three places, the lowest bit of each place, the highest bit of each place. */
const EACH_TAG = 0x00100401;
const TAG_TOPS = 0x20080200;

/** Entries per bucket above which one bucket is split, and below which two are merged. */
const MAX_LOAD = 6;
const MIN_LOAD = 2;

function tagOf(hash: number): number {
  return hash >>> (32 - TAG_BITS);
}

/** The bucket of a hash among `count` buckets (INV-MAP-4); without a branch, which would be a coin toss. */
export function bucketOf(hash: number, count: number): number {
  const power = 0x80000000 >>> Math.clz32(count);
  const bucket = hash & (power * 2 - 1);
  return bucket & ~(power & ((count - 1 - bucket) >> 31));
}

/** The highest bits of the fields that are zero, perhaps of others above ("Bit Twiddling Hacks", haszero). */
function zeroFields(tags: number): number {
  return (tags - EACH_TAG) & ~tags & TAG_TOPS;
}

/** The bucket that a new bucket `index` is split from. */
function originOf(index: number): number {
  return index === 0 ? 0 : index - (0x80000000 >>> Math.clz32(index));
}

/** `header` is the position of the map header in 32-bit words, a number of an entry its index + 1. */
export class MapIndex {
  /** Number of the entry that `find` found last. */
  found = 0;
  readonly #runtime: Runtime;
  readonly #where: string;
  readonly #entries: MapArray;
  readonly #buckets: MapArray;
  /** Numbers of the entries of the buckets that are being split or merged. */
  readonly #gathered: number[] = [];

  constructor(runtime: Runtime, where: string, entries: MapArray, buckets: MapArray) {
    this.#runtime = runtime;
    this.#where = where;
    this.#entries = entries;
    this.#buckets = buckets;
  }

  /**
   * Position of the entry with this key in 32-bit words, or 0. Its number is in `found`.
   * An entry that is found is proved by its hash and key, so only a failure looks at the headers on the way.
   * @throws CorruptionError
   */
  find<K>(views: Views, header: number, keys: KeyCodec<K>, hash: number, key: K): number {
    const { u32 } = views;
    const count = u32[header + BUCKETS] as number;
    if (count === 0) return 0;
    const used = u32[header + USED] as number;
    const bucket = bucketOf(hash, count);
    const line = this.#buckets.seek(u32, header, bucket) * 4;
    const tags = Math.imul(tagOf(hash), EACH_TAG);
    // No branch depends on where in the bucket the entry stands: a mispredicted one would wait for the cache miss
    // of this lookup before the next can start (measured: more than twice the time in large maps).
    let candidates =
      (zeroFields((u32[line + TAG_WORD] as number) ^ tags) >>> 9) |
      (zeroFields((u32[line + TAG_WORD + 4] as number) ^ tags) >>> 8) |
      (zeroFields((u32[line + TAG_WORD + 8] as number) ^ tags) >>> 7) |
      (zeroFields((u32[line + TAG_WORD + 12] as number) ^ tags) >>> 6);
    while (candidates !== 0) {
      // Bit 10 * place + granule. An entry found through the overflow head is as good as any.
      const bit = 31 - Math.clz32(candidates & -candidates);
      const place = (bit * 13) >> 7;
      const number = u32[line + (bit - place * 10) * 4 + place] as number;
      if (number !== 0) {
        if (number > used) throw corruptWord(this.#where, line, 'numbers of entries');
        const entry = this.#entries.seek(u32, header, number - 1) * 4;
        if (views.i32[entry] === hash && keys.equals(views, entry + KEY, key)) {
          this.found = number;
          return entry;
        }
        this.#entries.locate(u32, header, number - 1);
      }
      candidates &= candidates - 1;
    }
    this.#buckets.locate(u32, header, bucket);
    const first = u32[line + OVERFLOW] as number;
    return first === 0 ? 0 : this.#findInChain(views, header, keys, hash, key, first);
  }

  /** Enters the entry at `entry`, which is new or was snapshotted, into the bucket of its hash. */
  insert(u32: Uint32Array, header: number, hash: number, number: number, entry: number): void {
    const count = u32[header + BUCKETS] as number;
    if (count === 0) {
      const line = this.#buckets.append(u32, header, 0) * 4;
      u32.fill(0, line, line + BUCKET_WORDS);
      u32[header + BUCKETS] = 1;
    }
    const bucket = bucketOf(hash, count === 0 ? 1 : count);
    const line = this.#buckets.locate(u32, header, bucket) * 4;
    const { writer } = this.#runtime;
    const word = this.#freePlace(u32, line);
    writer.snapshot(granuleOf(word), 1);
    if (word === line + OVERFLOW) {
      u32[entry + NEXT] = u32[word] as number;
      u32[word] = number;
    } else this.#fill(u32, word, number, hash);
  }

  /** Takes the entry out of the bucket of its hash. */
  remove(u32: Uint32Array, header: number, hash: number, number: number): void {
    const { writer } = this.#runtime;
    const line = this.#lineOf(u32, header, hash);
    const link = this.#linkTo(u32, header, line, number);
    writer.snapshot(granuleOf(link), 1);
    if (link === line + OVERFLOW || link < line || link >= line + BUCKET_WORDS) {
      u32[link] = u32[this.#entries.locate(u32, header, number - 1) * 4 + NEXT] as number;
      return;
    }
    const first = u32[line + OVERFLOW] as number;
    if (first === 0) {
      this.#fill(u32, link, 0, 0);
      return;
    }
    const entry = this.#locate(u32, header, line, first);
    this.#fill(u32, link, first, u32[entry] as number);
    writer.snapshot(granuleOf(line + OVERFLOW), 1);
    u32[line + OVERFLOW] = u32[entry + NEXT] as number;
  }

  /** The entry with number `from` has become number `to`. */
  renumber(u32: Uint32Array, header: number, hash: number, from: number, to: number): void {
    const link = this.#linkTo(u32, header, this.#lineOf(u32, header, hash), from);
    this.#runtime.writer.snapshot(granuleOf(link), 1);
    u32[link] = to;
  }

  /** After an insertion: splits one bucket when there are too few. */
  grow(u32: Uint32Array, header: number): void {
    const count = u32[header + BUCKETS] as number;
    if ((u32[header + COUNT] as number) <= count * MAX_LOAD) return;
    const line = this.#buckets.locate(u32, header, originOf(count)) * 4;
    this.#gathered.length = 0;
    this.#gather(u32, header, line);
    this.#runtime.writer.snapshot(granuleOf(line), BUCKET_GRANULES);
    u32.fill(0, line, line + BUCKET_WORDS);
    const added = this.#buckets.append(u32, header, count) * 4;
    // The only chunk may have been replaced by a larger one.
    const origin = this.#buckets.locate(u32, header, originOf(count)) * 4;
    u32.fill(0, added, added + BUCKET_WORDS);
    u32[header + BUCKETS] = count + 1;
    this.#scatter(u32, header, count + 1, origin, count, added);
  }

  /** After a deletion: merges two buckets when there are too many, and gives memory back. */
  shrink(u32: Uint32Array, header: number): void {
    const count = u32[header + BUCKETS] as number;
    if (count > 1 && (u32[header + COUNT] as number) < count * MIN_LOAD) {
      const last = this.#buckets.locate(u32, header, count - 1) * 4;
      const origin = this.#buckets.locate(u32, header, originOf(count - 1)) * 4;
      this.#gathered.length = 0;
      this.#gather(u32, header, origin);
      this.#gather(u32, header, last);
      this.#runtime.writer.snapshot(granuleOf(origin), BUCKET_GRANULES);
      u32.fill(0, origin, origin + BUCKET_WORDS);
      u32[header + BUCKETS] = count - 1;
      this.#scatter(u32, header, count - 1, origin, -1, 0);
    }
    this.#buckets.trim(u32, header, u32[header + BUCKETS] as number);
  }

  /**
   * Validates the index against the entries, each of which is in `live` (one bit an entry). The bits are cleared.
   * @throws CorruptionError
   */
  trace(u32: Uint32Array, header: number, live: Uint32Array): void {
    const count = u32[header + BUCKETS] as number;
    for (let bucket = 0; bucket < count; bucket++) {
      const line = this.#buckets.locate(u32, header, bucket) * 4;
      for (let place = 0; place < OVERFLOW; place++) {
        if (place % 4 === TAG_WORD) continue;
        const number = u32[line + place] as number;
        if (number === 0) continue;
        const entry = this.#claim(u32, header, line + place, number, live, bucket);
        const tag = (u32[line + place - (place % 4) + TAG_WORD] as number) >>> ((place % 4) * TAG_BITS);
        if ((tag & TAG_MASK) !== tagOf(u32[entry] as number))
          throw corruptWord(this.#where, line + place, 'tag of the entry');
      }
      let word = line + OVERFLOW;
      for (let number = u32[word] as number; number !== 0; number = u32[word] as number) {
        // A claimed entry cannot be claimed again, so a cycle ends here.
        word = this.#claim(u32, header, word, number, live, bucket) + NEXT;
      }
    }
  }

  #claim(
    u32: Uint32Array,
    header: number,
    word: number,
    number: number,
    live: Uint32Array,
    bucket: number,
  ): number {
    const index = number - 1;
    const bits = live[index >>> 5] ?? 0;
    if (number > (u32[header + USED] as number) || (bits & (1 << (index & 31))) === 0) {
      throw corruptWord(this.#where, word, 'number of a live entry that stands nowhere else');
    }
    live[index >>> 5] = bits & ~(1 << (index & 31));
    const entry = this.#entries.locate(u32, header, index) * 4;
    if (bucketOf(u32[entry] as number, u32[header + BUCKETS] as number) !== bucket) {
      throw corruptWord(this.#where, word, `an entry of bucket ${bucket}`);
    }
    return entry;
  }

  #findInChain<K>(
    views: Views,
    header: number,
    keys: KeyCodec<K>,
    hash: number,
    key: K,
    first: number,
  ): number {
    const { u32 } = views;
    const used = u32[header + USED] as number;
    let number = first;
    for (let steps = 0; number !== 0; steps++) {
      if (number > used || steps > used) throw corruptWord(this.#where, header, 'chains that end');
      const entry = this.#entries.locate(u32, header, number - 1) * 4;
      if (views.i32[entry] === hash && keys.equals(views, entry + KEY, key)) {
        this.found = number;
        return entry;
      }
      number = u32[entry + NEXT] as number;
    }
    return 0;
  }

  #lineOf(u32: Uint32Array, header: number, hash: number): number {
    const bucket = bucketOf(hash, u32[header + BUCKETS] as number);
    return this.#buckets.locate(u32, header, bucket) * 4;
  }

  #locate(u32: Uint32Array, header: number, word: number, number: number): number {
    if (number > (u32[header + USED] as number)) throw corruptWord(this.#where, word, 'number of an entry');
    return this.#entries.locate(u32, header, number - 1) * 4;
  }

  /** The word that holds the number of the entry: in the bucket, or `next` of another entry. */
  #linkTo(u32: Uint32Array, header: number, line: number, number: number): number {
    for (let word = line; word < line + BUCKET_WORDS; word++) {
      if (u32[word] === number && (word - line) % 4 !== TAG_WORD) return word;
    }
    let word = line + OVERFLOW;
    const used = u32[header + USED] as number;
    for (let steps = 0; steps <= used; steps++) {
      const next = u32[word] as number;
      if (next === number) return word;
      if (next === 0) break;
      word = this.#locate(u32, header, word, next) + NEXT;
    }
    throw corruptWord(this.#where, line, `number ${number} in its bucket`);
  }

  /** The first free place of a bucket; the head of the overflow chain when all are taken. */
  #freePlace(u32: Uint32Array, line: number): number {
    for (let granule = line; granule < line + BUCKET_WORDS; granule += 4) {
      if (u32[granule] === 0) return granule;
      if (u32[granule + 1] === 0) return granule + 1;
      if (u32[granule + 2] === 0) return granule + 2;
    }
    return line + OVERFLOW;
  }

  /** Stores number and tag in a place of a bucket whose granule was snapshotted. */
  #fill(u32: Uint32Array, word: number, number: number, hash: number): void {
    const place = word & 3;
    const tags = word - place + TAG_WORD;
    u32[word] = number;
    u32[tags] =
      ((u32[tags] as number) & ~(TAG_MASK << (place * TAG_BITS))) | (tagOf(hash) << (place * TAG_BITS));
  }

  #gather(u32: Uint32Array, header: number, line: number): void {
    const gathered = this.#gathered;
    for (let place = 0; place < OVERFLOW; place++) {
      const number = u32[line + place] as number;
      if (number !== 0 && place % 4 !== TAG_WORD) gathered.push(number);
    }
    const used = u32[header + USED] as number;
    let word = line + OVERFLOW;
    for (let steps = 0; u32[word] !== 0; steps++) {
      if (steps > used) throw corruptWord(this.#where, word, 'chains that end');
      const number = u32[word] as number;
      gathered.push(number);
      word = this.#locate(u32, header, word, number) + NEXT;
    }
  }

  /** Enters the gathered entries into the bucket at `origin` or, if that is theirs, bucket `other` at `added`. */
  #scatter(
    u32: Uint32Array,
    header: number,
    count: number,
    origin: number,
    other: number,
    added: number,
  ): void {
    for (const number of this.#gathered) {
      const entry = this.#locate(u32, header, origin, number);
      const hash = u32[entry] as number;
      const line = other >= 0 && bucketOf(hash, count) === other ? added : origin;
      const word = this.#freePlace(u32, line);
      if (word === line + OVERFLOW) {
        if (u32[entry + NEXT] === MAP_DELETED) throw corruptWord(this.#where, entry, 'a live entry');
        if (u32[entry + NEXT] !== u32[word]) {
          this.#runtime.writer.snapshot(granuleOf(entry), 1);
          u32[entry + NEXT] = u32[word] as number;
        }
        u32[word] = number;
      } else this.#fill(u32, word, number, hash);
    }
  }
}

/** The granule of a position in 32-bit words. */
export function granuleOf(word: number): Ref {
  return ((word - (word & 3)) / 4) as Ref;
}
