/** The chain of segments of an undo log: a first one of fixed place, and extensions, linked through their headers. */
import { CorruptionError } from '../errors/index.js';
import { GRANULE_BYTES, LOG_SEGMENT, type Ref } from '../format/index.js';
import type { LogSegment } from './log-records.js';

/** Room kept free in every segment for the records that add the next one: span table, link, chain. */
export const RESERVE_GRANULES = 32;

export class LogSegments {
  readonly #u32: Uint32Array;
  readonly #list: LogSegment[];

  /** @param list the chain found at opening, the first segment first */
  constructor(u32: Uint32Array, list: readonly LogSegment[]) {
    this.#u32 = u32;
    this.#list = [...list];
  }

  get count(): number {
    return this.#list.length;
  }

  at(index: number): LogSegment {
    return this.#list[index] as LogSegment;
  }

  /** Where records in a segment must end. */
  limit(index: number): number {
    const { ref, granules } = this.at(index);
    return ref + granules - RESERVE_GRANULES;
  }

  /** Granules of the extensions. */
  get extensionGranules(): number {
    let granules = 0;
    for (let i = 1; i < this.#list.length; i += 1) granules += this.at(i).granules;
    return granules;
  }

  get extensions(): readonly LogSegment[] {
    return this.#list.slice(1);
  }

  get sizeBytes(): number {
    return (this.at(0).granules + this.extensionGranules) * GRANULE_BYTES;
  }

  /** The first segment behind `index` that has so many granules, or `count`. */
  nextWith(index: number, granules: number): number {
    let next = index + 1;
    while (next < this.#list.length && this.at(next).granules < granules) next += 1;
    return next;
  }

  add(segment: LogSegment): void {
    this.#list.push(segment);
  }

  /** Forgets all from `index` on, and returns them. */
  cut(index: number): LogSegment[] {
    return this.#list.splice(index);
  }

  /** Changes the link of a segment; the caller has snapshotted it. */
  setLink(index: number, next: Ref): void {
    this.#u32[this.#linkWord(index)] = next;
  }

  /** Forgets the segments that a rollback has unlinked. @throws CorruptionError */
  forgetUnlinked(): void {
    for (let i = 0; i < this.#list.length; i += 1) {
      const next = this.#u32[this.#linkWord(i)];
      if (next === 0) {
        this.#list.length = i + 1;
      } else if (next !== this.#list[i + 1]?.ref) {
        const what = 'the chain of undo log segments changed under a transaction';
        throw new CorruptionError(what, { segment: i, next });
      }
    }
  }

  #linkWord(index: number): number {
    return this.at(index).ref * 4 + LOG_SEGMENT.next.offset / 4;
  }
}
