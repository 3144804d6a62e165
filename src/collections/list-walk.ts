/**
 * Walks over every block of a list, for tracing, releasing and clearing. This is where the bytes of a list are
 * validated: a block is told to the visitor only after its ref, kind, size and count have been checked, and more
 * bytes than the pool has are never visited, so that a walk over corrupted bytes ends.
 *
 * It may not change anything itself.
 */
import {
  BLOCK,
  LAYOUT_ID,
  LIST,
  LIST_LEAF,
  LIST_MAX_DEPTH,
  LIST_NODE,
  LIST_NODE_BYTES,
  LIST_NODE_CHILDREN,
  NULL_REF,
  type Offset,
  offsetOf,
  type Ref,
} from '../format/index.js';
import type { ContainerBinding, SlotCodec } from '../instance/index.js';
import { corrupt } from './corrupt.js';

/** The codecs of a list. */
export interface ListCodecs<T = unknown> {
  readonly element: SlotCodec<T>;
}

export interface ListVisitor {
  node(ref: Ref): void;
  /** `slots`: where the first of its `count` elements is. */
  leaf(ref: Ref, slots: Offset, count: number): void;
}

/**
 * Tells the visitor of every block of the list whose header is at `header`, each node before what is below it,
 * leaves in order.
 * @throws CorruptionError
 */
export function walkList(binding: ContainerBinding<ListCodecs>, header: Ref, visitor: ListVisitor): void {
  const { runtime, where, codecs } = binding;
  const { u32 } = runtime.views;
  const { heap } = runtime;
  const { sizeBytes } = codecs.element;
  const word = (ref: number, field: { readonly offset: number }): number =>
    u32[ref * 4 + field.offset / 4] as number;
  const length = word(header, LIST.length);
  const root = word(header, LIST.root) as Ref;
  const depth = word(header, LIST.depth);
  if (root === NULL_REF) {
    const rest =
      depth + word(header, LIST.tail) + word(header, LIST.tailStart) + word(header, LIST.tailCapacity);
    if (length !== 0 || rest !== 0) throw corrupt(where, header, 'the header of an empty list');
    return;
  }
  if (depth > LIST_MAX_DEPTH) throw corrupt(where, header, `a depth of at most ${LIST_MAX_DEPTH}`);
  if (length === 0 && depth > 0) throw corrupt(where, header, 'no nodes above an empty leaf');
  let bytesLeft = u32.byteLength;
  let last = NULL_REF;
  let lastCount = 0;
  const block = (ref: Ref, layoutId: number, what: string): number => {
    if (ref === NULL_REF || !heap.isBlock(ref) || word(ref, BLOCK.layout) !== layoutId)
      throw corrupt(where, ref, what);
    const bytes = heap.blockBytes(ref);
    bytesLeft -= bytes;
    if (bytesLeft < 0) throw corrupt(where, ref, 'each block of the list once');
    return bytes;
  };
  const refs: Ref[] = [root];
  const counts = [length];
  const levels = [depth];
  while (refs.length > 0) {
    const ref = refs.pop() as Ref;
    const count = counts.pop() as number;
    const level = levels.pop() as number;
    if (level === 0) {
      const bytes = block(ref, LAYOUT_ID.listLeaf, 'a leaf of a list');
      const capacity = word(ref, BLOCK.info);
      if (LIST_LEAF.slots.offset + capacity * sizeBytes > bytes)
        throw corrupt(where, ref, `slots for ${bytes} bytes`);
      if (count > capacity) throw corrupt(where, ref, `a leaf of at least ${count} slots`);
      last = ref;
      lastCount = count;
      visitor.leaf(ref, (offsetOf(ref) + LIST_LEAF.slots.offset) as Offset, count);
      continue;
    }
    if (block(ref, LAYOUT_ID.listNode, 'a node of a list') < LIST_NODE_BYTES)
      throw corrupt(where, ref, 'a whole node');
    const children = word(ref, BLOCK.info);
    if (children < 1 || children > LIST_NODE_CHILDREN) {
      throw corrupt(where, ref, `1 to ${LIST_NODE_CHILDREN} children`);
    }
    const entry = ref * 4 + LIST_NODE.entries.offset / 4;
    let rest = count;
    for (let i = 0; i < children - 1; i++) {
      const part = u32[entry + 2 * i + 1] as number;
      if (part === 0) throw corrupt(where, ref, 'no empty child');
      rest -= part;
    }
    if (rest < 1) throw corrupt(where, ref, `children with ${count} elements together`);
    for (let i = children - 1; i >= 0; i--) {
      refs.push(u32[entry + 2 * i] as Ref);
      counts.push(i === children - 1 ? rest : (u32[entry + 2 * i + 1] as number));
      levels.push(level - 1);
    }
    visitor.node(ref);
  }
  if (
    word(header, LIST.tail) !== last ||
    word(header, LIST.tailStart) !== length - lastCount ||
    word(header, LIST.tailCapacity) !== word(last, BLOCK.info)
  ) {
    throw corrupt(where, header, `the last leaf at ref ${last}`);
  }
}

/** Frees every block of the list and what its elements own. The header is left as it is. */
export function releaseList(binding: ContainerBinding<ListCodecs>, header: Ref): void {
  const { heap } = binding.runtime;
  const { element } = binding.codecs;
  walkList(binding, header, {
    node: (ref) => heap.free(ref),
    leaf: (ref, slots, count) => {
      if (element.owns) {
        for (let i = 0; i < count; i++) element.release((slots + i * element.sizeBytes) as Offset);
      }
      heap.free(ref);
    },
  });
}
