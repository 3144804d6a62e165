/**
 * Walks over the chunks of a queue, for tracing, releasing and clearing; validates them on the way. It may not
 * change anything itself.
 */
import {
  BLOCK,
  LAYOUT_ID,
  NULL_REF,
  type Offset,
  offsetOf,
  QUEUE,
  QUEUE_CHUNK,
  type Ref,
} from '../format/index.js';
import type { ContainerBinding, SlotCodec } from '../instance/index.js';
import { corrupt } from './corrupt.js';

/** The codecs of a queue. */
export interface QueueCodecs<T = unknown> {
  readonly element: SlotCodec<T>;
}

export interface QueueVisitor {
  /** A chunk; `first`: where the oldest of the `count` elements in it is. */
  chunk(ref: Ref, first: Offset, count: number): void;
}

/**
 * Tells the visitor of every chunk, from the oldest to the newest.
 * @throws CorruptionError
 */
export function walkQueue(binding: ContainerBinding<QueueCodecs>, header: Ref, visitor: QueueVisitor): void {
  const { runtime, where, codecs } = binding;
  const { u32 } = runtime.views;
  const { heap } = runtime;
  const { sizeBytes } = codecs.element;
  const word = (ref: number, field: { readonly offset: number }): number =>
    u32[ref * 4 + field.offset / 4] as number;
  const length = word(header, QUEUE.length);
  const tail = word(header, QUEUE.tail);
  let index = word(header, QUEUE.headIndex);
  let left = length;
  let bytesLeft = u32.byteLength;
  let ref = word(header, QUEUE.head) as Ref;
  if (ref === NULL_REF) {
    if (length !== 0 || tail !== 0 || index !== 0 || word(header, QUEUE.tailIndex) !== 0) {
      throw corrupt(where, header, 'the header of an empty queue');
    }
    return;
  }
  for (;;) {
    if (!heap.isBlock(ref) || word(ref, BLOCK.layout) !== LAYOUT_ID.queueChunk) {
      throw corrupt(where, ref, 'a chunk of a queue');
    }
    const bytes = heap.blockBytes(ref);
    bytesLeft -= bytes;
    if (bytesLeft < 0) throw corrupt(where, ref, 'each chunk of the queue once');
    const capacity = word(ref, BLOCK.info);
    if (QUEUE_CHUNK.slots.offset + capacity * sizeBytes > bytes) {
      throw corrupt(where, ref, `slots for ${bytes} bytes`);
    }
    const next = word(ref, QUEUE_CHUNK.next) as Ref;
    const isTail = ref === tail;
    const end = isTail ? word(header, QUEUE.tailIndex) : capacity;
    const isSound =
      index <= end &&
      end <= capacity &&
      end - index <= left &&
      (isTail ? next === NULL_REF : next !== NULL_REF);
    if (!isSound) throw corrupt(where, ref, `a chunk with up to ${left} elements`);
    if (isTail && (word(header, QUEUE.tailCapacity) !== capacity || end - index !== left)) {
      throw corrupt(where, header, `${length} elements, the last of them in the newest chunk`);
    }
    visitor.chunk(ref, (offsetOf(ref) + QUEUE_CHUNK.slots.offset + index * sizeBytes) as Offset, end - index);
    if (isTail) return;
    left -= end - index;
    index = 0;
    ref = next;
  }
}

/** Frees every chunk and what the elements own. The header is left as it is. */
export function releaseQueue(binding: ContainerBinding<QueueCodecs>, header: Ref): void {
  const { element } = binding.codecs;
  walkQueue(binding, header, {
    chunk: (ref, first, count) => {
      if (element.owns) {
        for (let i = 0; i < count; i++) element.release((first + i * element.sizeBytes) as Offset);
      }
      binding.runtime.heap.free(ref);
    },
  });
}
