/** The space of a pool: its file's size as the header has it, growth, and the epoch of its log. */
import { PoolFullError } from '../errors/index.js';
import { SPAN_BYTES } from '../format/index.js';
import type { Memory, Views } from '../memory/index.js';
import type { WalIdentity } from '../txn/index.js';
import { type Header, settleHeader, writeCheckpointMark, writeHeader } from './header.js';

const MIB = 1024 * 1024;

export class PoolSpace {
  readonly #path: string;
  readonly #memory: Memory;
  readonly #views: Views;
  readonly #maxBytes: number;
  #header: Header;
  #spanCount: number;
  /** Whether both copies of the header are durable and the same: INV-HDR-1. */
  #settled: boolean;

  /** @param settled false when the header is that of a file that another process left */
  constructor(path: string, memory: Memory, views: Views, header: Header, settled: boolean) {
    this.#path = path;
    this.#memory = memory;
    this.#views = views;
    this.#maxBytes = Math.min(header.maxBytes, memory.buffer.byteLength);
    this.#header = header;
    this.#spanCount = spansOf(header);
    this.#settled = settled;
  }

  get header(): Header {
    return this.#header;
  }

  get sizeBytes(): number {
    return this.#header.sizeBytes;
  }

  /** What the pool may grow to in this process. */
  get maxBytes(): number {
    return this.#maxBytes;
  }

  get spanCount(): number {
    return this.#spanCount;
  }

  /**
   * Makes room for `count` spans: a little more than asked for, where there is room, so that growth is rare.
   * @throws PoolFullError; the pool is as before
   */
  growTo(count: number): void {
    const least = this.#header.heapOffset + count * SPAN_BYTES;
    if (least > this.#maxBytes) {
      const advice =
        this.#header.maxBytes <= this.#maxBytes
          ? 'copy what it holds into a larger pool: it was created with this maxSize and cannot grow beyond'
          : 'open it with a larger maxSize';
      throw new PoolFullError(
        `pool ${this.#path} is full: it needs ${least} bytes and its maxSize is ${this.#maxBytes}; free something, or ${advice}`,
        { path: this.#path, needed: least, maxSize: this.#maxBytes },
      );
    }
    const step = Math.max(MIB, Math.min(this.#header.sizeBytes / 8, 8 * MIB));
    const generous = Math.min(
      Math.ceil((this.#header.sizeBytes + step) / SPAN_BYTES) * SPAN_BYTES,
      this.#maxBytes,
    );
    // A pool that may not become large grows by what is needed.
    this.#resize(this.#maxBytes >= 64 * MIB ? Math.max(least, generous) : least, least);
  }

  /** [HEADER 0] Makes INV-HDR-1 hold; done at the latest before the first header write. */
  settle(): void {
    if (!this.#settled) settleHeader(this.#memory, this.#views, this.#header);
    this.#settled = true;
  }

  /** Starts a new epoch: whatever the undo log holds is dead. */
  retireLog(): void {
    this.#writeHeader({ epoch: this.#nextEpoch });
  }

  /** Which pool and epoch a new write-ahead log would belong to. */
  get walPlace(): Omit<WalIdentity, 'walId'> {
    return { uuid: this.#header.uuid, epoch: this.#nextEpoch };
  }

  /** From here on the pool is incomplete without the write-ahead log. Starts a new epoch. */
  attachWal({ epoch, walId }: WalIdentity): void {
    this.#writeHeader({ epoch, walId });
  }

  /** Notes the last record of the log of which the file may hold something. */
  markCheckpoint(walId: bigint, seq: number): void {
    writeCheckpointMark(this.#memory, this.#views, walId, seq);
  }

  /** The file is complete, and `sizeBytes` long: no write-ahead log is needed. Starts a new epoch. */
  detachWal(sizeBytes: number): void {
    this.#writeHeader({ epoch: this.#nextEpoch, walId: 0n, sizeBytes });
    this.#spanCount = spansOf(this.#header);
  }

  /** Makes the size durable, of a pool whose growth is not recorded by a log. */
  recordSize(): void {
    this.#writeHeader({});
  }

  get #nextEpoch(): number {
    return (this.#header.epoch + 1) >>> 0;
  }

  #writeHeader(changes: Partial<Header>): void {
    this.settle();
    this.#header = writeHeader(this.#memory, this.#views, { ...this.#header, ...changes });
  }

  #resize(wanted: number, least: number): void {
    let size = wanted;
    if (size > this.#memory.sizeBytes) {
      try {
        this.#memory.grow(size);
      } catch (error) {
        if (!(error instanceof PoolFullError) || least === wanted) throw error;
        size = least;
        this.#memory.grow(size);
      }
    }
    // [GROW] The file is larger before anything relies on it: the header, or the records of a redo log, which name the size.
    if (this.#memory.info.log === 'undo') this.#writeHeader({ sizeBytes: size });
    else this.#header = { ...this.#header, sizeBytes: size };
    this.#spanCount = spansOf(this.#header);
  }
}

function spansOf(header: Header): number {
  return Math.floor((header.sizeBytes - header.heapOffset) / SPAN_BYTES);
}
