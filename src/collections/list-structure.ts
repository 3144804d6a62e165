/**
 * The shape of a list: a counted B+-tree whose leaves hold the elements, and whose inner nodes know how many
 * elements lie below each child. It finds leaves, adds and drops children. list-repair.ts keeps the tree from degenerating.
 *
 * INV-LIST-1  The number of elements of the last child of a node is not stored: it is what the node's own number
 *             leaves over, and the number of the root is the length in the header. So an append changes a slot
 *             and the header only.
 * INV-LIST-2  No child is empty; only a leaf that is the root may be.
 * INV-LIST-4  Whatever existed before is snapshotted before it is stored to, slots that a removal vacates
 *             included: a slot beyond the count is dead in every state that a rollback could return to, or saved.
 *
 * It may not read or write elements as values, only move their bytes.
 */
import {
  GRANULE_SHIFT,
  LAYOUT_ID,
  LIST,
  LIST_LEAF,
  LIST_MAX_DEPTH,
  LIST_NODE,
  LIST_NODE_BYTES,
  LIST_NODE_CHILDREN,
  type Ref,
} from '../format/index.js';
import { type ContainerBinding, type Handle, REF, type Runtime } from '../instance/index.js';
import { corrupt } from './corrupt.js';
import { type LeafLog, snapshotBytes } from './list-log.js';
import type { ListCodecs } from './list-walk.js';

// Words within a header, a node and an entry.
export const LENGTH = LIST.length.offset / 4;
export const ROOT = LIST.root.offset / 4;
export const DEPTH = LIST.depth.offset / 4;
export const TAIL = LIST.tail.offset / 4;
export const TAIL_START = LIST.tailStart.offset / 4;
export const TAIL_CAPACITY = LIST.tailCapacity.offset / 4;
export const ENTRIES = LIST_NODE.entries.offset / 4;
export const SLOTS = LIST_LEAF.slots.offset;

/** Sizes of leaves, each a block size: a list starts with the first and doubles while it is a single leaf. */
const LEAF_BYTES = [48, 80, 144, 272, 544, 1040];

/** The way from the root to a leaf. */
export class ListPath {
  /** From the root (level 0) down: the node, the index of the child taken, and the node's number of elements. */
  readonly nodes: number[] = [];
  readonly children: number[] = [];
  readonly totals: number[] = [];
  leaf = 0;
  /** Index in the list of the first element of the leaf. */
  leafStart = 0;
  leafCount = 0;

  get depth(): number {
    return this.nodes.length;
  }
}

/** Children of a node with the number of elements of each, the last included: ref, count, ref, count ... */
export type Entries = number[];

export class ListStructure {
  /** Slots of a leaf of full size. */
  readonly fullCapacity: number;
  readonly runtime: Runtime;
  readonly owner: Handle;
  readonly where: string;
  readonly sizeBytes: number;
  /** What `find` found. */
  leaf = 0;
  leafStart = 0;
  leafCount = 0;

  constructor(binding: ContainerBinding<ListCodecs>, owner: Handle) {
    this.runtime = binding.runtime;
    this.owner = owner;
    this.where = binding.where;
    this.sizeBytes = binding.codecs.element.sizeBytes;
    this.fullCapacity = capacityOf(this.sizeBytes > 8 ? 1040 : 544, this.sizeBytes);
  }

  /** First word of the header. */
  header(): number {
    return this.owner[REF] * 4;
  }

  /** The way to the leaf that holds element `index`, which exists. */
  descend(index: number): ListPath {
    const path = new ListPath();
    this.find(index, path);
    path.leaf = this.leaf;
    path.leafStart = this.leafStart;
    path.leafCount = this.leafCount;
    return path;
  }

  /** Finds the leaf that holds element `index`, which exists, and sets `leaf`, `leafStart` and `leafCount`. */
  find(index: number, path: ListPath | null): void {
    const { u32 } = this.runtime.views;
    const header = this.header();
    let total = u32[header + LENGTH] as number;
    let ref = u32[header + ROOT] as number;
    let left = index;
    const depth = this.#depth(u32, header);
    for (let level = 0; level < depth; level++) {
      const last = this.#children(u32, ref) - 1;
      const entry = ref * 4 + ENTRIES;
      let rest = total;
      let child = 0;
      for (; child < last; child++) {
        const count = u32[entry + 2 * child + 1] as number;
        if (left < count) {
          rest = count;
          break;
        }
        left -= count;
        rest -= count;
      }
      if (path !== null) {
        path.nodes.push(ref);
        path.children.push(child);
        path.totals.push(total);
      }
      total = rest;
      ref = u32[entry + 2 * child] as number;
    }
    this.checkLeaf(u32, ref, total);
    this.leaf = ref;
    this.leafStart = index - left;
    this.leafCount = total;
  }

  /** Makes the last leaf, which starts at element `start` and has `count`, what `find` found. */
  takeTail(start: number, count: number): void {
    const { u32 } = this.runtime.views;
    const leaf = u32[this.header() + TAIL] as number;
    this.checkLeaf(u32, leaf, count);
    this.leaf = leaf;
    this.leafStart = start;
    this.leafCount = count;
  }

  /** The smallest leaf for `count` elements, or a full one. */
  allocateLeaf(count: number): number {
    let bytes = LEAF_BYTES[0] as number;
    for (const size of LEAF_BYTES) {
      bytes = size;
      const capacity = capacityOf(size, this.sizeBytes);
      if (capacity >= 4 && (capacity >= count || capacity >= this.fullCapacity)) break;
    }
    return this.runtime.heap.allocate(bytes, LAYOUT_ID.listLeaf, capacityOf(bytes, this.sizeBytes));
  }

  /** Adds `delta` to the numbers of elements on the way, from `level` up to the root. */
  bump(path: ListPath, level: number, delta: number): void {
    const { u32 } = this.runtime.views;
    for (let i = level; i >= 0; i--) {
      const node = path.nodes[i] as number;
      const child = path.children[i] as number;
      path.totals[i] = (path.totals[i] as number) + delta;
      if (child === (u32[node * 4 + 1] as number) - 1) continue;
      const word = node * 4 + ENTRIES + 2 * child + 1;
      this.runtime.writer.snapshot((word >> 2) as Ref, 1);
      u32[word] = (u32[word] as number) + delta;
    }
  }

  /**
   * Puts `child` to the right of the child that the path takes at `level`, which has `leftCount` elements now.
   * `added`: by how much the list grows with it. The path is void afterwards.
   */
  insertChild(path: ListPath, child: number, leftCount: number, childCount: number, added: number): void {
    const { u32 } = this.runtime.views;
    let newRef = child;
    let left = leftCount;
    let right = childCount;
    for (let level = path.depth - 1; level >= 0; level--) {
      const node = path.nodes[level] as number;
      const taken = path.children[level] as number;
      const entries = this.readChildren(node, path.totals[level] as number);
      entries[2 * taken + 1] = left;
      entries.splice(2 * taken + 2, 0, newRef, right);
      const children = entries.length / 2;
      if (children <= LIST_NODE_CHILDREN) {
        this.writeChildren(node, entries, taken);
        this.bump(path, level - 1, added);
        return;
      }
      // An append leaves the full node full; otherwise both get half.
      const keep = taken === LIST_NODE_CHILDREN - 1 ? LIST_NODE_CHILDREN : children >> 1;
      newRef = this.runtime.heap.allocate(LIST_NODE_BYTES, LAYOUT_ID.listNode, 0);
      this.writeChildren(newRef, entries.slice(2 * keep), 0);
      entries.length = 2 * keep;
      this.writeChildren(node, entries, Math.min(taken, keep - 1));
      left = sum(entries);
      right = (path.totals[level] as number) + added - left;
    }
    const header = this.header();
    const root = this.runtime.heap.allocate(LIST_NODE_BYTES, LAYOUT_ID.listNode, 0);
    this.writeChildren(root, [u32[header + ROOT] as number, left, newRef, right], 0);
    u32[header + ROOT] = root;
    u32[header + DEPTH] = (u32[header + DEPTH] as number) + 1;
  }

  /** Takes the leaf of the path, with all its elements, out of the tree and frees it. */
  dropLeaf(path: ListPath): void {
    const { heap, views } = this.runtime;
    heap.free(path.leaf as Ref);
    for (let level = path.depth - 1; level >= 0; level--) {
      const node = path.nodes[level] as number;
      const taken = path.children[level] as number;
      const entries = this.readChildren(node, path.totals[level] as number);
      if (entries.length > 2) {
        entries.splice(2 * taken, 2);
        this.writeChildren(node, entries, taken);
        this.bump(path, level - 1, -path.leafCount);
        return;
      }
      heap.free(node as Ref);
    }
    views.u32.fill(0, this.header() + ROOT, this.header() + TAIL_CAPACITY + 1);
  }

  /** Finds the last leaf anew after a change of shape. The header is snapshotted. */
  refreshTail(): void {
    const { u32 } = this.runtime.views;
    const header = this.header();
    if (u32[header + ROOT] === 0) return;
    const path = this.descend((u32[header + LENGTH] as number) - 1);
    u32[header + TAIL] = path.leaf;
    u32[header + TAIL_START] = path.leafStart;
    u32[header + TAIL_CAPACITY] = u32[path.leaf * 4 + 1] as number;
  }

  /** Reorders the elements by moving their bytes: element i becomes what element `order[i]` was. */
  permute(order: ArrayLike<number>, log: LeafLog): void {
    const { u8, u32 } = this.runtime.views;
    const length = u32[this.header() + LENGTH] as number;
    const size = this.sizeBytes;
    const old = new Uint8Array(length * size);
    for (let index = 0; index < length; ) {
      const { leaf, leafCount } = this.descend(index);
      const at = leaf * 16 + SLOTS;
      old.set(u8.subarray(at, at + leafCount * size), index * size);
      index += Math.max(leafCount, 1);
    }
    for (let index = 0; index < length; ) {
      const { leaf, leafCount } = this.descend(index);
      const at = leaf * 16 + SLOTS;
      log.slots(leaf, at, leafCount * size);
      for (let i = 0; i < leafCount; i++) {
        const from = (order[index + i] as number) * size;
        for (let byte = 0; byte < size; byte++) u8[at + i * size + byte] = old[from + byte] as number;
      }
      index += Math.max(leafCount, 1);
    }
  }

  #depth(u32: Uint32Array, header: number): number {
    const depth = u32[header + DEPTH] as number;
    if (depth > LIST_MAX_DEPTH) {
      throw corrupt(this.where, this.owner[REF], `a depth of at most ${LIST_MAX_DEPTH}`);
    }
    return depth;
  }

  /** Checks that a leaf can hold `count` elements; returns how many it can hold. */
  checkLeaf(u32: Uint32Array, leaf: number, count: number): number {
    const capacity = u32[leaf * 4 + 1] as number;
    if (u32[leaf * 4] !== LAYOUT_ID.listLeaf || !(count >= 0 && count <= capacity)) {
      throw corrupt(this.where, leaf, `a leaf of at least ${count} slots`);
    }
    return capacity;
  }

  #children(u32: Uint32Array, node: number): number {
    const children = u32[node * 4 + 1] as number;
    if (u32[node * 4] !== LAYOUT_ID.listNode || children < 1 || children > LIST_NODE_CHILDREN) {
      throw corrupt(this.where, node, 'a node of a list');
    }
    return children;
  }

  /** The children of a node that has `total` elements. */
  readChildren(node: number, total: number): Entries {
    const { u32 } = this.runtime.views;
    const children = this.#children(u32, node);
    const first = node * 4 + ENTRIES;
    const entries: Entries = [];
    for (let i = 0; i < 2 * children; i++) entries.push(u32[first + i] as number);
    entries[entries.length - 1] = total - (sum(entries) - (entries[entries.length - 1] as number));
    return entries;
  }

  /** Stores the children of a node, those from `from` on; the number of children with them. */
  writeChildren(node: number, entries: Entries, from: number): void {
    const { views, writer } = this.runtime;
    const { u32 } = views;
    const old = u32[node * 4 + 1] as number;
    const to = Math.max(old, entries.length / 2);
    const firstGranule = (LIST_NODE.entries.offset + 8 * from) >> GRANULE_SHIFT;
    if (firstGranule > 0) writer.snapshot(node as Ref, 1);
    snapshotBytes(
      this.runtime,
      (node + firstGranule) * 16,
      LIST_NODE.entries.offset + 8 * to - firstGranule * 16,
    );
    u32[node * 4 + 1] = entries.length / 2;
    const first = node * 4 + ENTRIES;
    for (let i = 2 * from; i < entries.length; i++) u32[first + i] = entries[i] as number;
  }
}

function capacityOf(leafBytes: number, sizeBytes: number): number {
  return Math.floor((leafBytes - SLOTS) / sizeBytes);
}

/** Elements below all children together. */
export function sum(entries: Entries): number {
  let total = 0;
  for (let i = 1; i < entries.length; i += 2) total += entries[i] as number;
  return total;
}
