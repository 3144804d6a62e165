/**
 * An in-memory runtime for testing containers without the real heap and transactions.
 *
 * It is strict where the real one is fast. At commit it compares the memory with what it was when the
 * transaction began and throws when a byte changed that was neither snapshotted nor reported fresh; a snapshot
 * taken after a store is found as well. Freed and rolled-back memory is overwritten. A rollback tears the dead
 * bytes: of a granule that was only reported fresh, any mix of old and new words may be left, as after a crash.
 */

import { PoolClosedError, PoolFullError, TxnRequiredError } from '../../src/errors/errors.js';
import type { Ref } from '../../src/format/format.js';
import { BLOCK_HEADER_BYTES, GRANULE_BYTES, SIZE_CLASSES } from '../../src/format/format.js';
import type { Heap, Writer } from '../../src/heap/index.js';
import type {
  Container,
  ContainerBinding,
  ContainerOps,
  Handle,
  Runtime,
  SlotCodec,
  Tracer,
} from '../../src/instance/index.js';
import { BOUND, REF } from '../../src/instance/index.js';
import type { ContainerType, FieldType } from '../../src/layout/index.js';
import { createViews, type Views } from '../../src/memory/views.js';
import { makeCodec, TestObject } from './test-codecs.js';

const POISON = 0xdb;
const OBJECT_LAYOUT = 64;

export { TestObject };

interface Undo {
  readonly undo: () => void;
}

export interface TestRuntimeOptions {
  /** Size of the memory; a multiple of 16. */
  readonly bytes?: number;
  /** Whether to check the discipline at commit (slow for large memories). */
  readonly verify?: boolean;
  /** Random numbers in [0, 1), for tearing. */
  readonly random?: () => number;
  /** The containers that may be elements of containers. */
  // biome-ignore lint/suspicious/noExplicitAny: ops of any codecs
  readonly ops?: Readonly<Record<string, ContainerOps<any>>>;
}

export class TestRuntime implements Runtime {
  readonly txn = { stamp: -1, rollbacks: 0 };
  readonly hashSeed = 0x9e3779b9;
  readonly heap: Heap;
  readonly writer: Writer;
  /** Counts of what the writer was told in this transaction. */
  readonly stats = { snapshots: 0, snapshotBytes: 0, fresh: 0, freshBytes: 0, allocations: 0, frees: 0 };
  /** Every live block and its size. */
  readonly blocks = new Map<number, number>();
  /** When 0, the next allocation throws PoolFullError; counts down. */
  allocationsLeft = Number.POSITIVE_INFINITY;

  readonly #options: Required<TestRuntimeOptions>;
  readonly #views: Views;
  readonly #freeBlocks = new Map<number, number[]>();
  readonly #before: Uint8Array;
  readonly #covered: Uint8Array;
  readonly #handles = new Map<number, Handle>();
  #top = 1;
  #closed = false;
  #depth = 0;
  #stamps = 0;
  #journal: Undo[] = [];
  #pendingFree: number[] = [];

  constructor(options: TestRuntimeOptions = {}) {
    this.#options = { bytes: 1 << 20, verify: true, random: () => 0.5, ops: {}, ...options };
    const { bytes, verify } = this.#options;
    this.#views = createViews(new ArrayBuffer(bytes));
    this.#before = new Uint8Array(verify ? bytes : 0);
    this.#covered = new Uint8Array(bytes / GRANULE_BYTES);
    this.heap = {
      allocate: (size, layoutId, info) => this.#allocate(size, layoutId, info, true),
      allocateRaw: (size, layoutId, info) => this.#allocate(size, layoutId, info, false),
      free: (ref) => this.#free(ref),
      blockBytes: (ref) => this.#blockBytes(ref),
      isBlock: (ref) => this.blocks.has(ref),
    } satisfies Pick<Heap, 'allocate' | 'allocateRaw' | 'free' | 'blockBytes' | 'isBlock'> as unknown as Heap;
    this.writer = {
      snapshot: (ref, granules) => this.#snapshot(ref, granules),
      fresh: (ref, granules) => this.#fresh(ref, granules),
    };
  }

  get views(): Views {
    if (this.#closed) throw new PoolClosedError('reading the pool');
    return this.#views;
  }

  /** The memory even when closed, for corrupting it. */
  get memory(): Views {
    return this.#views;
  }

  close(): void {
    this.#closed = true;
  }

  /** Runs `fn` as a transaction, or as a savepoint inside one; rolls back when it throws. */
  transact<T>(fn: () => T): T {
    const outer = this.txn.stamp;
    const mark = this.#journal.length;
    const frees = this.#pendingFree.length;
    if (this.#depth === 0) this.#begin();
    this.#depth++;
    this.txn.stamp = ++this.#stamps;
    try {
      const result = fn();
      if (this.#depth === 1) this.#commit();
      return result;
    } catch (error) {
      this.#rollback(mark, frees);
      throw error;
    } finally {
      this.#depth--;
      this.txn.stamp = this.#depth === 0 ? -1 : outer;
    }
  }

  /** Runs `fn` and rolls back what it did. */
  attempt(fn: () => void): void {
    const abort = new Error('abort');
    try {
      this.transact(() => {
        fn();
        throw abort;
      });
    } catch (error) {
      if (error !== abort) throw error;
    }
  }

  codec(type: FieldType, where: string): SlotCodec {
    const codec = makeCodec(this, type, where, this.#options.ops);
    if (codec === undefined) throw new Error(`no test codec for ${type.kind}`);
    return codec;
  }

  findHandle(ref: Ref): Handle | null {
    return this.#handles.get(ref) ?? null;
  }

  /** A new object that a ref slot may refer to; it stays for good. */
  object(name: string): TestObject {
    const ref = this.transact(() => this.heap.allocate(BLOCK_HEADER_BYTES, OBJECT_LAYOUT, 0));
    const object = new TestObject(ref, name);
    this.#handles.set(ref, object);
    return object;
  }

  /** A container of its own, in a block that holds nothing else. */
  container<C, H extends Container<C>>(ops: ContainerOps<C>, type: ContainerType, where = 'Root.field'): H {
    const ref = this.transact(() => this.heap.allocate(ops.headerBytes, ops.layoutId, 0));
    const binding: ContainerBinding<C> = {
      runtime: this,
      type,
      ops,
      where,
      codecs: ops.codecs(this, type, where),
    };
    return ops.open(binding, ref) as H;
  }

  /**
   * Traces the containers and checks that every block (but for test objects) is reached exactly once.
   * @throws Error naming the block that leaked or is reached twice
   */
  checkReachable(containers: readonly { binding: ContainerBinding; ref: Ref }[]): void {
    const reached = new Set<number>();
    const own = (ref: Ref): void => {
      if (reached.has(ref)) throw new Error(`block ${ref} is reached twice`);
      if (!this.blocks.has(ref)) throw new Error(`${ref} is reached and is no block`);
      reached.add(ref);
    };
    const tracer: Tracer = {
      owned: own,
      reference: (ref) => {
        if (!this.#handles.has(ref)) throw new Error(`${ref} is referred to and is no object`);
      },
    };
    for (const { binding, ref } of containers) {
      own(ref);
      binding.ops.trace(binding, ref, tracer);
    }
    for (const ref of this.blocks.keys()) {
      if (!reached.has(ref) && !this.#handles.has(ref)) throw new Error(`block ${ref} leaked`);
    }
  }

  #begin(): void {
    this.#journal = [];
    this.#pendingFree = [];
    const { stats } = this;
    stats.snapshots =
      stats.snapshotBytes =
      stats.fresh =
      stats.freshBytes =
      stats.allocations =
      stats.frees =
        0;
    if (this.#options.verify) this.#covered.fill(0, 0, this.#top);
    if (this.#options.verify) this.#before.set(this.#views.u8.subarray(0, this.#top * GRANULE_BYTES));
  }

  #commit(): void {
    if (this.#options.verify) {
      const { u8 } = this.#views;
      const end = this.#top * GRANULE_BYTES;
      for (let at = 0; at < end; at++) {
        if (u8[at] !== this.#before[at] && this.#covered[at >> 4] === 0) {
          throw new Error(
            `discipline: byte ${at & 15} of granule ${at >> 4} changed, neither snapshotted nor fresh`,
          );
        }
      }
    }
    for (const ref of this.#pendingFree) {
      const bytes = this.blocks.get(ref) as number;
      this.blocks.delete(ref);
      this.#recycle(ref, bytes);
    }
    this.#journal = [];
    this.#pendingFree = [];
  }

  #rollback(mark: number, frees: number): void {
    if (this.#options.verify) this.#tear();
    while (this.#journal.length > mark) (this.#journal.pop() as Undo).undo();
    this.#pendingFree.length = frees;
    this.txn.rollbacks++;
  }

  /** Puts back words of granules that no snapshot covers, at random. */
  #tear(): void {
    if (this.#depth !== 1) return;
    const { u32 } = this.#views;
    const before = new Uint32Array(this.#before.buffer);
    for (let granule = 0; granule < this.#top; granule++) {
      if (this.#covered[granule] !== 2) continue;
      for (let word = granule * 4; word < granule * 4 + 4; word++) {
        if (this.#options.random() < 0.5) u32[word] = before[word] as number;
      }
    }
  }

  #snapshot(ref: number, granules: number): void {
    this.#require();
    if (!Number.isInteger(ref) || ref < 1 || granules < 1 || ref + granules > this.#top) {
      throw new Error(`discipline: snapshot of ${granules} granules at ${ref}`);
    }
    const at = ref * GRANULE_BYTES;
    const end = at + granules * GRANULE_BYTES;
    const { u8 } = this.#views;
    if (this.#options.verify) {
      for (let i = at; i < end; i++) {
        if (u8[i] !== this.#before[i] && this.#covered[i >> 4] === 0) {
          throw new Error(`discipline: granule ${i >> 4} was stored to before its snapshot`);
        }
      }
      this.#covered.fill(1, ref, ref + granules);
    }
    this.stats.snapshots++;
    this.stats.snapshotBytes += end - at;
    const copy = u8.slice(at, end);
    this.#journal.push({ undo: () => u8.set(copy, at) });
  }

  #fresh(ref: number, granules: number): void {
    this.#require();
    if (!Number.isInteger(ref) || ref < 1 || granules < 1 || ref + granules > this.#top) {
      throw new Error(`discipline: fresh of ${granules} granules at ${ref}`);
    }
    this.stats.fresh++;
    this.stats.freshBytes += granules * GRANULE_BYTES;
    if (!this.#options.verify) return;
    for (let granule = ref; granule < ref + granules; granule++) {
      if (this.#covered[granule] === 0) this.#covered[granule] = 2;
    }
  }

  #require(): void {
    if (this.#depth === 0) throw new TxnRequiredError('a write');
  }

  #allocate(size: number, layoutId: number, info: number, zero: boolean): Ref {
    this.#require();
    if (this.allocationsLeft-- <= 0) throw new PoolFullError('the pool is full (by the test)');
    const bytes = SIZE_CLASSES.find((c) => c >= size) ?? Math.ceil(size / GRANULE_BYTES) * GRANULE_BYTES;
    let ref = this.#freeBlocks.get(bytes)?.pop();
    const granules = bytes / GRANULE_BYTES;
    const { u8, u32 } = this.#views;
    if (ref === undefined) {
      ref = this.#top;
      if ((ref + granules) * GRANULE_BYTES > u8.length) throw new PoolFullError('the test memory is full');
      this.#top += granules;
      if (this.#options.verify) this.#covered.fill(0, ref, this.#top);
      u8.fill(POISON, ref * GRANULE_BYTES, this.#top * GRANULE_BYTES);
    }
    const at = ref * GRANULE_BYTES;
    const block = ref;
    this.blocks.set(block, bytes);
    this.#journal.push({
      undo: () => {
        this.blocks.delete(block);
        this.#recycle(block, bytes);
      },
    });
    this.stats.allocations++;
    this.#fresh(ref, granules);
    if (zero) u8.fill(0, at, at + bytes);
    u32[at >> 2] = layoutId;
    u32[(at >> 2) + 1] = info;
    return ref as Ref;
  }

  #recycle(ref: number, bytes: number): void {
    if (this.#options.verify) this.#views.u8.fill(POISON, ref * GRANULE_BYTES, ref * GRANULE_BYTES + bytes);
    const list = this.#freeBlocks.get(bytes);
    if (list === undefined) this.#freeBlocks.set(bytes, [ref]);
    else list.push(ref);
  }

  #free(ref: Ref): void {
    this.#require();
    if (!this.blocks.has(ref)) throw new Error(`free of ${ref}, which is no block`);
    if (this.#options.verify && this.#pendingFree.includes(ref))
      throw new Error(`block ${ref} is freed twice`);
    this.stats.frees++;
    this.#pendingFree.push(ref);
  }

  #blockBytes(ref: Ref): number {
    const bytes = this.blocks.get(ref);
    if (bytes === undefined) throw new Error(`blockBytes of ${ref}, which is no block`);
    return bytes;
  }
}

/** The binding and place of a container, for `checkReachable`. */
export function placeOf(container: Container): { binding: ContainerBinding; ref: Ref } {
  return { binding: container[BOUND], ref: container[REF] };
}
