/**
 * One file of the simulated medium: its name, its size, the bytes that a crash cannot take away, and in front of them what
 * programs see: the content of a mapping that they store to (`mapped-content.ts`), or of what they wrote with system
 * calls (`written-content.ts`), whichever they used last.
 *
 * A file that is used in another way than before keeps what programs see; what was uncertain about it is then either
 * durable content or what they see.
 */
import { PAGE_BYTES } from '../format/index.js';
import type { DirtyUnit } from './dirty-unit.js';
import type { DurableImage } from './durable-image.js';
import { MappedContent } from './mapped-content.js';
import type { Scratch } from './scratch.js';
import { type WriteClock, WrittenContent } from './written-content.js';

interface FileOptions {
  readonly published: boolean;
  readonly sizeBytes: number;
  readonly durable: DurableImage;
  readonly scratch: Scratch | null;
  readonly clock: WriteClock;
}

/** One file: its content as programs see it, and what is known to be durable. */
export class SimulatedFile {
  readonly path: string;
  published: boolean;
  /** Whether somebody has it open: the lock. */
  locked = false;
  readonly durable: DurableImage;
  readonly scratch: Scratch | null;
  readonly #clock: WriteClock;
  #sizeBytes: number;
  #content: MappedContent | WrittenContent | null = null;

  constructor(path: string, options: FileOptions) {
    this.path = path;
    this.published = options.published;
    this.durable = options.durable;
    this.scratch = options.scratch;
    this.#clock = options.clock;
    this.#sizeBytes = options.sizeBytes;
  }

  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  /** The content, to be stored to through a mapping. */
  mapped(): MappedContent {
    if (this.#content instanceof MappedContent) return this.#content;
    const content = new MappedContent(this.path, this.durable, this.scratch);
    if (this.#content !== null) {
      const pageBytes = wholePages(this.#sizeBytes);
      this.#content.read(0, new Uint8Array(content.attach(pageBytes, pageBytes)));
    }
    this.#content = content;
    return content;
  }

  /** The content, to be written in units of this size, or of a smaller one that it was written in before. */
  written(unitBytes: number): WrittenContent {
    if (this.#content instanceof WrittenContent && this.#content.unitBytes <= unitBytes) return this.#content;
    const content = new WrittenContent(this.path, this.durable, { unitBytes, clock: this.#clock });
    if (this.#content !== null) content.write(0, this.currentBytes());
    this.release();
    this.#content = content;
    return content;
  }

  /** New bytes are zero, for programs and on the medium. */
  grow(sizeBytes: number): void {
    const from = wholePages(this.#sizeBytes);
    this.durable.grow(sizeBytes);
    if (this.#content instanceof MappedContent) this.#content.grow(from, wholePages(sizeBytes));
    this.#sizeBytes = sizeBytes;
  }

  /** Cuts a file that is written to. */
  truncate(sizeBytes: number): void {
    this.durable.truncate(sizeBytes);
    if (this.#content instanceof WrittenContent) this.#content.truncate(sizeBytes);
    this.#sizeBytes = sizeBytes;
  }

  /** A copy of the content as programs see it. */
  currentBytes(): Uint8Array {
    const bytes = new Uint8Array(this.#sizeBytes);
    (this.#content ?? this.durable).read(0, bytes);
    return bytes;
  }

  /** A copy of what a crash cannot take away. */
  durableBytes(): Uint8Array {
    const bytes = new Uint8Array(this.#sizeBytes);
    this.durable.read(0, bytes);
    return bytes;
  }

  /** All uncertain units by address. */
  dirtyUnits(): DirtyUnit[] {
    return this.#content?.dirtyUnits() ?? [];
  }

  /** Gives the memory back. What programs see is gone. */
  release(): void {
    if (this.#content instanceof MappedContent) this.#content.release();
    this.#content = null;
  }
}

/** The size in bytes of the pages that hold this many bytes. */
export function wholePages(bytes: number): number {
  return Math.ceil(bytes / PAGE_BYTES) * PAGE_BYTES;
}
