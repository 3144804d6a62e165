/**
 * Keeps the tree of a list from degenerating when elements are removed.
 *
 * INV-LIST-3  A leaf below a quarter full, or a node below a quarter, is merged or evened out with a sibling when
 *             elements are removed from it other than at the end. The right edge of the tree is exempt.
 *
 * It may not change how many elements the list has, nor their order.
 */
import { LIST_MAX_DEPTH, LIST_NODE_CHILDREN, type Ref } from '../format/index.js';
import { REF } from '../instance/index.js';
import { corrupt } from './corrupt.js';
import { snapshotBytes } from './list-log.js';
import {
  DEPTH,
  ENTRIES,
  type Entries,
  LENGTH,
  type ListPath,
  type ListStructure,
  ROOT,
  SLOTS,
  sum,
} from './list-structure.js';

const MIN_CHILDREN = LIST_NODE_CHILDREN >> 2;
/** More repairs than this after one removal mean that the bytes make no sense. */
const MAX_REPAIRS = 8 * LIST_MAX_DEPTH;

/** Two neighbours in the entries of their parent. */
type Pair = [left: number, leftCount: number, right: number, rightCount: number];

/** Merges or evens out whatever is less than a quarter full on the way to element `index`. */
export function repair(structure: ListStructure, index: number): void {
  const { u32 } = structure.runtime.views;
  const header = structure.header();
  for (let repairs = 0; repairs < MAX_REPAIRS; repairs++) {
    const length = u32[header + LENGTH] as number;
    if (length === 0 || u32[header + DEPTH] === 0) return;
    if (!repairOnce(structure, structure.descend(Math.min(Math.max(index, 0), length - 1)))) return;
  }
  throw corrupt(structure.where, structure.owner[REF], 'a list that can be repaired');
}

function repairOnce(structure: ListStructure, path: ListPath): boolean {
  const { views, heap } = structure.runtime;
  const { u32 } = views;
  const header = structure.header();
  const root = path.nodes[0] as number;
  if (u32[root * 4 + 1] === 1) {
    u32[header + ROOT] = u32[root * 4 + ENTRIES] as number;
    u32[header + DEPTH] = (u32[header + DEPTH] as number) - 1;
    heap.free(root as Ref);
    return true;
  }
  for (let level = path.depth - 1; level >= 0; level--) {
    const parent = path.nodes[level] as number;
    const siblings = u32[parent * 4 + 1] as number;
    if (siblings === 1) continue;
    const taken = path.children[level] as number;
    const isLeaf = level === path.depth - 1;
    const fill = isLeaf ? path.leafCount : (u32[(path.nodes[level + 1] as number) * 4 + 1] as number);
    if (fill >= (isLeaf ? structure.fullCapacity >> 2 : MIN_CHILDREN)) continue;
    const leftIndex = taken > 0 ? taken - 1 : 0;
    const entries = structure.readChildren(parent, path.totals[level] as number);
    if (isLeaf) joinLeaves(structure, entries, leftIndex);
    else joinNodes(structure, entries, leftIndex);
    structure.writeChildren(parent, entries, leftIndex);
    return true;
  }
  return false;
}

/** Merges the leaves at `index` and `index + 1` of `entries`, or moves elements so that both have half. */
function joinLeaves(structure: ListStructure, entries: Entries, index: number): void {
  const { views, heap } = structure.runtime;
  const { u8, u32 } = views;
  const [left, leftCount, right, rightCount] = entries.slice(2 * index, 2 * index + 4) as Pair;
  const capacity = Math.min(
    structure.checkLeaf(u32, left, leftCount),
    structure.checkLeaf(u32, right, rightCount),
  );
  const total = leftCount + rightCount;
  const size = structure.sizeBytes;
  const leftAt = left * 16 + SLOTS;
  const rightAt = right * 16 + SLOTS;
  if (total <= (capacity * 3) >> 2) {
    snapshotBytes(structure.runtime, leftAt + leftCount * size, rightCount * size);
    u8.copyWithin(leftAt + leftCount * size, rightAt, rightAt + rightCount * size);
    heap.free(right as Ref);
    entries.splice(2 * index + 1, 3, total);
    return;
  }
  const half = total >> 1;
  const moved = Math.abs(half - leftCount);
  snapshotBytes(structure.runtime, leftAt + Math.min(half, leftCount) * size, moved * size);
  snapshotBytes(structure.runtime, rightAt, Math.max(rightCount, total - half) * size);
  if (half > leftCount) {
    u8.copyWithin(leftAt + leftCount * size, rightAt, rightAt + moved * size);
    u8.copyWithin(rightAt, rightAt + moved * size, rightAt + rightCount * size);
  } else {
    u8.copyWithin(rightAt + moved * size, rightAt, rightAt + rightCount * size);
    u8.copyWithin(rightAt, leftAt + half * size, leftAt + leftCount * size);
  }
  entries[2 * index + 1] = half;
  entries[2 * index + 3] = total - half;
}

/** The same for nodes. */
function joinNodes(structure: ListStructure, entries: Entries, index: number): void {
  const [left, leftCount, right, rightCount] = entries.slice(2 * index, 2 * index + 4) as Pair;
  const all: Entries = [
    ...structure.readChildren(left, leftCount),
    ...structure.readChildren(right, rightCount),
  ];
  if (all.length / 2 <= LIST_NODE_CHILDREN) {
    structure.writeChildren(left, all, 0);
    structure.runtime.heap.free(right as Ref);
    entries.splice(2 * index + 1, 3, leftCount + rightCount);
    return;
  }
  const half = (all.length >> 2) * 2;
  const first = all.slice(0, half);
  entries[2 * index + 1] = sum(first);
  entries[2 * index + 3] = leftCount + rightCount - sum(first);
  structure.writeChildren(left, first, 0);
  structure.writeChildren(right, all.slice(half), 0);
}
