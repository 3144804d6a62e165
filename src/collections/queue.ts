/**
 * PersistentQueue: first in, first out, in a chain of chunks.
 *
 * INV-QUEUE-1  A slot is stored to once in the life of its chunk: the end only moves on, and so does the front. So
 *              a slot that is not live yet was never live, and is reported with `writer.fresh`, not snapshotted.
 *              It may share a granule with live slots, whose bytes do not change.
 * INV-QUEUE-2  The header is snapshotted before anything else is stored to; a dequeue stores to nothing else.
 * INV-QUEUE-3  A chunk whose slots are all dequeued is freed at once, so an empty queue holds at most the chunk
 *              that it goes on with.
 */
import { type InspectOptions, inspect } from 'node:util';
import { ValueError } from '../errors/index.js';
import {
  CONTAINER_BYTES,
  LAYOUT_ID,
  LINE_BYTES,
  type Offset,
  QUEUE,
  QUEUE_CHUNK,
  type Ref,
} from '../format/index.js';
import {
  BOUND,
  Container,
  type ContainerBinding,
  type ContainerOps,
  detach,
  REF,
  type SlotCodec,
} from '../instance/index.js';
import type { ContainerType, QueueType } from '../layout/index.js';
import { contentsOf } from './contents.js';
import { corrupt } from './corrupt.js';
import { type QueueCodecs, releaseQueue, walkQueue } from './queue-chunks.js';
import { inspectElements } from './sequence.js';
import { settleElements, takeValues } from './slots.js';
import type { Storable } from './storable.js';

const LENGTH = QUEUE.length.offset / 4;
const HEAD = QUEUE.head.offset / 4;
const HEAD_INDEX = QUEUE.headIndex.offset / 4;
const TAIL = QUEUE.tail.offset / 4;
const TAIL_INDEX = QUEUE.tailIndex.offset / 4;
const TAIL_CAPACITY = QUEUE.tailCapacity.offset / 4;
const NEXT = QUEUE_CHUNK.next.offset / 4;
const SLOTS = QUEUE_CHUNK.slots.offset;

/** Sizes of chunks, each a block size: from the first on, every chunk is of the next size. */
const CHUNK_BYTES = [48, 80, 144, 272, 544, 1040];
const MAX_LENGTH = 2 ** 32 - 1;

/** A first-in, first-out queue in the pool: the type of a `queue(...)` field. Iterates from front to back. */
export class PersistentQueue<T = unknown> extends Container<QueueCodecs> implements Iterable<T> {
  /** Elements dequeued through this handle, and how often it was emptied otherwise: for iterators. */
  #dequeued = 0;
  #clears = 0;
  #changing = false;
  /** Bytes that were reported fresh, or allocated, under this stamp. */
  #freshFrom = 0;
  #freshTo = 0;
  #freshStamp = Number.NaN;

  /** Number of elements. */
  get length(): number {
    return this[BOUND].runtime.views.u32[this[REF] * 4 + LENGTH] as number;
  }

  /** Number of elements; the same as `length`. */
  get size(): number {
    return this.length;
  }

  /** Whether there is no element. */
  isEmpty(): boolean {
    return this.length === 0;
  }

  /** Adds elements at the back; returns the new length. @throws ValueError */
  enqueue(...stored: Storable<T>[]): number {
    const codec: SlotCodec = this[BOUND].codecs.element;
    this.#enqueueAll(takeValues(codec, stored) as readonly T[]);
    return this.length;
  }

  /** Removes and returns the element at the front; undefined when there is none. */
  dequeue(): T | undefined {
    const { runtime, codecs, where } = this[BOUND];
    const { u32 } = runtime.views;
    const header = this[REF] * 4;
    const length = u32[header + LENGTH] as number;
    if (length === 0) return undefined;
    this.#refuseReentry();
    this.touch();
    const chunk = u32[header + HEAD] as number;
    const slot = u32[header + HEAD_INDEX] as number;
    const capacity = u32[chunk * 4 + 1] as number;
    if (u32[chunk * 4] !== LAYOUT_ID.queueChunk || slot >= capacity) {
      throw corrupt(where, chunk, `a chunk of a queue with a slot ${slot}`);
    }
    const codec = codecs.element as SlotCodec<T>;
    const at = (chunk * 16 + SLOTS + slot * codec.sizeBytes) as Offset;
    const value = codec.owns ? (detach(codec.read(at)) as T) : codec.read(at);
    if (codec.owns) codec.release(at);
    this.#dequeued++;
    u32[header + LENGTH] = length - 1;
    if (slot + 1 < capacity) {
      u32[header + HEAD_INDEX] = slot + 1;
      return value;
    }
    const next = u32[chunk * 4 + NEXT] as number;
    u32[header + HEAD] = next;
    u32[header + HEAD_INDEX] = 0;
    if (next === 0) {
      u32[header + TAIL] = 0;
      u32[header + TAIL_INDEX] = 0;
    }
    runtime.heap.free(chunk as Ref);
    return value;
  }

  /** The element at the front, which stays; undefined when there is none. */
  peek(): T | undefined {
    const { u32 } = this[BOUND].runtime.views;
    const header = this[REF] * 4;
    if (u32[header + LENGTH] === 0) return undefined;
    return this.#read(u32[header + HEAD] as number, u32[header + HEAD_INDEX] as number);
  }

  /** Removes all elements. */
  clear(): void {
    const { runtime } = this[BOUND];
    const header = this[REF] * 4;
    if (this.length === 0) return;
    this.#refuseReentry();
    this.touch();
    releaseQueue(this[BOUND], this[REF]);
    this.#clears++;
    runtime.views.u32.fill(0, header + LENGTH, header + TAIL_CAPACITY + 1);
  }

  /**
   * The elements from front to back. Elements enqueued meanwhile are visited; elements dequeued meanwhile that
   * were not reached yet are not.
   * @throws ValueError when the queue was cleared, or a transaction rolled back, during the iteration
   */
  *[Symbol.iterator](): IterableIterator<T> {
    const { runtime, where } = this[BOUND];
    const clears = this.#clears;
    const { rollbacks } = runtime.txn;
    /** Elements dequeued when the iteration is at its next element, were it to take all before it out. */
    let position = this.#dequeued;
    let chunk = 0;
    let slot = 0;
    for (;;) {
      if (clears !== this.#clears || rollbacks !== runtime.txn.rollbacks) {
        throw new ValueError(`${where}: the queue was cleared or rolled back during an iteration over it`, {
          field: where,
        });
      }
      const { u32 } = runtime.views;
      const header = this[REF] * 4;
      if (position <= this.#dequeued) {
        position = this.#dequeued;
        chunk = u32[header + HEAD] as number;
        slot = u32[header + HEAD_INDEX] as number;
      }
      if (position - this.#dequeued >= (u32[header + LENGTH] as number)) return;
      if (slot >= (u32[chunk * 4 + 1] as number)) {
        chunk = u32[chunk * 4 + NEXT] as number;
        slot = 0;
      }
      const value = this.#read(chunk, slot);
      slot++;
      position++;
      yield value;
    }
  }

  /** The elements from front to back; the same as iterating over the queue. */
  values(): IterableIterator<T> {
    return this[Symbol.iterator]();
  }

  /** The elements as a plain array, from front to back. */
  toArray(): T[] {
    return Array.from(this);
  }

  /** For JSON.stringify: the elements as a plain array. */
  toJSON(): T[] {
    return this.toArray();
  }

  get [Symbol.toStringTag](): string {
    return 'PersistentQueue';
  }

  [inspect.custom](depth: number, options: InspectOptions): string {
    return inspectElements({
      name: 'PersistentQueue',
      length: this.length,
      first: (count) => this.#first(count),
      depth,
      inspectOptions: options,
    });
  }

  /** For the library: replaces the contents with checked values. */
  static replace(queue: PersistentQueue, values: readonly unknown[]): void {
    queue.clear();
    queue.#enqueueAll(values);
  }

  #first(count: number): T[] {
    const result: T[] = [];
    if (count === 0) return result;
    for (const value of this) if (result.push(value) === count) break;
    return result;
  }

  #read(chunk: number, slot: number): T {
    const { runtime, codecs, where } = this[BOUND];
    const { u32 } = runtime.views;
    if (u32[chunk * 4] !== LAYOUT_ID.queueChunk || slot >= (u32[chunk * 4 + 1] as number)) {
      throw corrupt(where, chunk, `a chunk of a queue with a slot ${slot}`);
    }
    const codec = codecs.element as SlotCodec<T>;
    return codec.read((chunk * 16 + SLOTS + slot * codec.sizeBytes) as Offset);
  }

  #enqueueAll(values: readonly T[]): void {
    if (values.length === 0) return;
    const { where } = this[BOUND];
    if (this.length + values.length > MAX_LENGTH) {
      throw new ValueError(`${where}: a queue has at most ${MAX_LENGTH} elements`, { field: where });
    }
    this.#refuseReentry();
    this.#changing = true;
    try {
      this.touch();
      for (let i = 0; i < values.length; i++) this.#enqueue(values[i] as T, values.length - i);
    } finally {
      this.#changing = false;
    }
  }

  #enqueue(value: T, expected: number): void {
    const { runtime, codecs, where } = this[BOUND];
    const codec = codecs.element as SlotCodec<T>;
    const { sizeBytes } = codec;
    const { u32 } = runtime.views;
    const header = this[REF] * 4;
    if (
      u32[header + TAIL] === 0 ||
      (u32[header + TAIL_INDEX] as number) >= (u32[header + TAIL_CAPACITY] as number)
    ) {
      this.#addChunk(u32, header, expected, sizeBytes);
    }
    const chunk = u32[header + TAIL] as number;
    const slot = u32[header + TAIL_INDEX] as number;
    const capacity = u32[chunk * 4 + 1] as number;
    if (u32[chunk * 4] !== LAYOUT_ID.queueChunk || slot >= capacity) {
      throw corrupt(where, chunk, `a chunk of a queue with a slot ${slot}`);
    }
    const at = chunk * 16 + SLOTS + slot * sizeBytes;
    const end = at + sizeBytes;
    if (at < this.#freshFrom || end > this.#freshTo || this.#freshStamp !== runtime.txn.stamp) {
      // To the end of the cache line: it is flushed as a whole anyway, and the next ones need not be reported.
      const chunkEnd = chunk * 16 + Math.ceil((SLOTS + capacity * sizeBytes) / 16) * 16;
      const first = Math.floor(at / 16);
      this.#noteFresh(at, Math.min(Math.ceil(end / LINE_BYTES) * LINE_BYTES, chunkEnd));
      runtime.writer.fresh(first as Ref, this.#freshTo / 16 - first);
    }
    codec.write(at as Offset, value);
    u32[header + TAIL_INDEX] = slot + 1;
    u32[header + LENGTH] = (u32[header + LENGTH] as number) + 1;
  }

  /** Adds a chunk at the back: of the size after that of the last one, or larger for many elements. */
  #addChunk(u32: Uint32Array, header: number, expected: number, sizeBytes: number): void {
    const { runtime } = this[BOUND];
    const last = u32[header + TAIL_CAPACITY] as number;
    const largest = sizeBytes > 8 ? 1040 : 544;
    let bytes = 0;
    let capacity = 0;
    for (const size of CHUNK_BYTES) {
      bytes = size;
      capacity = Math.floor((size - SLOTS) / sizeBytes);
      if (size >= largest || (capacity >= 4 && capacity > last && capacity >= expected)) break;
    }
    const chunk = runtime.heap.allocate(bytes, LAYOUT_ID.queueChunk, capacity);
    const tail = u32[header + TAIL] as number;
    if (tail === 0) {
      u32[header + HEAD] = chunk;
      u32[header + HEAD_INDEX] = 0;
    } else {
      // The link shares its granule with the chunk's header, not with slots.
      runtime.writer.snapshot(tail as Ref, 1);
      u32[tail * 4 + NEXT] = chunk;
    }
    u32[header + TAIL] = chunk;
    u32[header + TAIL_INDEX] = 0;
    u32[header + TAIL_CAPACITY] = capacity;
    this.#noteFresh(chunk * 16, chunk * 16 + bytes);
  }

  #noteFresh(from: number, to: number): void {
    this.#freshFrom = from;
    this.#freshTo = to;
    this.#freshStamp = this[BOUND].runtime.txn.stamp;
  }

  #refuseReentry(): void {
    if (!this.#changing) return;
    const { where } = this[BOUND];
    throw new ValueError(`${where}: the queue was changed by a value being stored in it`, { field: where });
  }
}

/** Queues, as fields and codecs see them. */
export const queueOps: ContainerOps<QueueCodecs> = {
  kind: 'queue',
  headerBytes: CONTAINER_BYTES.queue,
  layoutId: LAYOUT_ID.queue,
  codecs: (runtime, type: ContainerType, where) => ({
    element: runtime.codec((type as QueueType).element, `${where} element`),
  }),
  open: (binding: ContainerBinding<QueueCodecs>, ref) => new PersistentQueue(binding, ref),
  checkContents: (binding, value) => {
    const codec: SlotCodec = binding.codecs.element;
    for (const element of contentsOf(value, binding.where)) codec.check(element);
  },
  settle: (binding, value) => settleElements(binding.codecs.element, contentsOf(value, binding.where)),
  assign: (container, value) => {
    if (value === container) return;
    const { codecs, where } = container[BOUND];
    const codec: SlotCodec = codecs.element;
    // Checked before, but a program's array may give other values each time it is read.
    const values = takeValues(codec, contentsOf(value, where));
    PersistentQueue.replace(container as PersistentQueue, values);
  },
  release: releaseQueue,
  trace: (binding, ref, tracer) => {
    const { element } = binding.codecs;
    walkQueue(binding, ref, {
      chunk: (chunk, first, count) => {
        tracer.owned(chunk);
        if (!element.traced) return;
        for (let i = 0; i < count; i++) element.trace((first + i * element.sizeBytes) as Offset, tracer);
      },
    });
  },
};
