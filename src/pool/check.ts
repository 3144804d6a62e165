/**
 * `pool.check()`: reads the whole pool the way the collector would, and compares what is reachable with what is
 * allocated. O(pool). Takes one bit a granule, and a stack of the objects that are reached but not read yet.
 */
import { CorruptionError, PerdureError } from '../errors/index.js';
import { ANCHORS, FIRST_CLASS_LAYOUT, GRANULE_BYTES, offsetOf, REGION, type Ref } from '../format/index.js';
import type { ContainerBinding, PoolRuntime, Tracer } from '../instance/index.js';
import type { LogSegment } from '../txn/index.js';
import type { LayoutRecords } from './layout-records.js';

/** What `pool.check()` found. */
export interface CheckReport {
  /** Whether every structure is sound: no dangling or doubly owned block, no bad header, no bad count. */
  readonly ok: boolean;
  /** What is wrong, in words with offsets; at most 100. */
  readonly problems: readonly string[];
  /** Reachable objects of persistent classes. */
  readonly objects: number;
  /** Allocated blocks of every kind. */
  readonly blocks: number;
  /** Allocated blocks that nothing refers to: dropped by the program and not collected yet. */
  readonly unreachableBlocks: number;
  readonly unreachableBytes: number;
  /** Those of them that belong to no dropped object either: only a defect of perdure leaves one. */
  readonly leakedBlocks: number;
}

export interface CheckInput {
  readonly runtime: PoolRuntime;
  readonly records: LayoutRecords;
  readonly namedRoots: ContainerBinding;
  readonly logExtensions: readonly LogSegment[];
  readonly sizeBytes: number;
}

const MAX_PROBLEMS = 100;

export function checkPool(input: CheckInput): CheckReport {
  const { runtime } = input;
  const { u32 } = runtime.views;
  const problems: string[] = [];
  const report = (problem: string): void => {
    if (problems.length < MAX_PROBLEMS) problems.push(problem);
  };
  const reached = new GranuleSet(input.sizeBytes);
  const pending: Ref[] = [];
  let objects = 0;
  const tracer: Tracer = {
    owned(ref) {
      if (!runtime.heap.isBlock(ref)) report(`offset ${offsetOf(ref)} is owned but no block`);
      else if (!reached.add(ref)) report(`block at offset ${offsetOf(ref)} is owned twice`);
    },
    reference(ref) {
      if (!runtime.heap.isBlock(ref))
        report(`a reference points to offset ${offsetOf(ref)}, where no block is`);
      else if ((u32[ref * 4] as number) < FIRST_CLASS_LAYOUT)
        report(`a reference points to offset ${offsetOf(ref)}, no object`);
      else if (reached.add(ref)) pending.push(ref);
    },
  };
  const guard = (what: string, step: () => void): void => {
    try {
      step();
    } catch (error) {
      if (!(error instanceof PerdureError)) throw error;
      report(`${what}: ${error.message}`);
    }
  };
  const root = u32[(REGION.anchors.offset + ANCHORS.root.offset) / 4] as Ref;
  if (root !== 0) tracer.reference(root);
  guard('layout records', () => input.records.trace((ref) => tracer.owned(ref)));
  guard('named roots', () => input.namedRoots.ops.trace(input.namedRoots, namedRootsRef(), tracer));
  for (let ref = pending.pop(); ref !== undefined; ref = pending.pop()) {
    const at = ref;
    objects += 1;
    guard(`object at offset ${offsetOf(at)}`, () => checkObject(runtime, at, tracer));
  }
  const totals = { blocks: 0, unreachableBlocks: 0, unreachableBytes: 0, leakedBlocks: 0 };
  const dropped: Ref[] = [];
  guard('span table', () => {
    runtime.heap.walk.forEachBlock((ref, bytes) => {
      totals.blocks += 1;
      if (reached.has(ref)) return;
      totals.unreachableBlocks += 1;
      totals.unreachableBytes += bytes;
      if ((u32[ref * 4] as number) >= FIRST_CLASS_LAYOUT) dropped.push(ref);
    });
    runtime.heap.walk.checkLogRuns(input.logExtensions);
  });
  // What dropped objects own goes with them; what they refer to may be gone already.
  const owner: Tracer = { owned: tracer.owned, reference: () => undefined };
  for (const ref of dropped) {
    reached.add(ref);
    guard(`dropped object at offset ${offsetOf(ref)}`, () => checkObject(runtime, ref, owner));
  }
  guard('span table', () => {
    runtime.heap.walk.forEachBlock((ref) => {
      if (!reached.has(ref)) totals.leakedBlocks += 1;
    });
  });
  return { ok: problems.length === 0, problems, objects, ...totals };
}

function checkObject(runtime: PoolRuntime, ref: Ref, tracer: Tracer): void {
  const binding = runtime.bindingForId(runtime.views.u32[ref * 4] as number);
  const { sizeBytes, name } = binding.layout;
  if (runtime.heap.blockBytes(ref) < sizeBytes) {
    throw new CorruptionError(
      `a ${name} of ${sizeBytes} bytes in a block of ${runtime.heap.blockBytes(ref)}`,
    );
  }
  binding.trace(ref, tracer);
}

/** Ref of the header of the map of named roots, inside the anchors. */
export function namedRootsRef(): Ref {
  return ((REGION.anchors.offset + ANCHORS.namedRoots.offset) / GRANULE_BYTES) as Ref;
}

/** A set of refs: one bit a granule. */
class GranuleSet {
  readonly #bits: Uint8Array;

  constructor(sizeBytes: number) {
    this.#bits = new Uint8Array(Math.ceil(sizeBytes / GRANULE_BYTES / 8));
  }

  has(ref: Ref): boolean {
    return ((this.#bits[Math.floor(ref / 8)] as number) & (1 << (ref & 7))) !== 0;
  }

  /** Adds; false if it was there already. */
  add(ref: Ref): boolean {
    if (this.has(ref)) return false;
    this.#bits[Math.floor(ref / 8)] = (this.#bits[Math.floor(ref / 8)] as number) | (1 << (ref & 7));
    return true;
  }
}
