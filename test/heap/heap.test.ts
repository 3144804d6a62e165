/** The heap: size classes, reuse after commit only, rollback, runs, and a random run against a model. */
import { describe, expect, it } from 'vitest';
import { PoolFullError } from '../../src/errors/index.js';
import {
  blocksPerSpan,
  GRANULE_BYTES,
  MAX_SMALL_BYTES,
  type Ref,
  SIZE_CLASSES,
  SPAN_BYTES,
  SPAN_GRANULES,
  spanBitmapBytes,
} from '../../src/format/index.js';
import { Heap, type TxnParticipant } from '../../src/heap/index.js';
import { createViews } from '../../src/memory/index.js';
import { Random } from '../../src/testing/index.js';

const TABLE = 1 as Ref;
const HEAP_START = 4096;

/** A heap in plain memory, with transactions that copy everything. */
class TestHeap {
  readonly buffer: ArrayBuffer;
  readonly maxSpans: number;
  spans: number;
  heap: Heap;
  doomed: unknown = null;
  readonly #enlisted = new Set<TxnParticipant>();
  #before: Uint8Array | null = null;

  constructor(maxSpans: number, spans = 0) {
    this.maxSpans = maxSpans;
    this.spans = spans;
    this.buffer = new ArrayBuffer((HEAP_START + maxSpans * SPAN_GRANULES) * GRANULE_BYTES);
    this.heap = this.#open();
  }

  reopen(): void {
    this.heap = this.#open();
  }

  #open(): Heap {
    const place = {
      tableStart: TABLE,
      heapStart: HEAP_START as Ref,
      spanCount: () => this.spans,
      growTo: (count: number) => {
        if (count > this.maxSpans) throw new PoolFullError('the test heap is full');
        this.spans = count;
      },
    };
    const txn = {
      snapshot: () => this.#require(),
      fresh: () => this.#require(),
      doom: (error: unknown) => {
        this.doomed ??= error;
      },
      enlist: (participant: TxnParticipant) => {
        this.#enlisted.add(participant);
      },
    };
    return new Heap(createViews(this.buffer), place, txn as never);
  }

  #require(): void {
    if (this.#before === null) throw new Error('a write outside a transaction');
  }

  txn<T>(body: () => T, commit = true): T {
    this.#before = new Uint8Array(this.buffer.slice(0));
    const result = body();
    if (commit) for (const participant of this.#enlisted) participant.beforeCommit?.();
    else new Uint8Array(this.buffer).set(this.#before);
    for (const participant of this.#enlisted) participant.ended(commit);
    this.#enlisted.clear();
    this.#before = null;
    this.doomed = null;
    return result;
  }

  blocks(): Map<number, number> {
    const found = new Map<number, number>();
    this.heap.walk.forEachBlock((ref, bytes) => found.set(ref, bytes));
    return found;
  }
}

describe('size classes', () => {
  it('rise by 12% at most beyond 128 bytes, and fit their spans', () => {
    let before = 0;
    for (const bytes of SIZE_CLASSES) {
      expect(bytes % GRANULE_BYTES).toBe(0);
      expect(bytes).toBeGreaterThan(before);
      expect(spanBitmapBytes(bytes) + blocksPerSpan(bytes) * bytes).toBeLessThanOrEqual(SPAN_BYTES);
      expect(blocksPerSpan(bytes)).toBeGreaterThanOrEqual(2);
      before = bytes;
    }
  });

  it('every size gets a block that holds it and wastes little', () => {
    const test = new TestHeap(80);
    let worst = 0;
    test.txn(() => {
      for (let bytes = 9; bytes <= MAX_SMALL_BYTES + 100; bytes += bytes < 2000 ? 1 : 997) {
        const ref = test.heap.allocateRaw(bytes, 64, 5);
        const size = test.heap.blockBytes(ref);
        expect(size).toBeGreaterThanOrEqual(bytes);
        if (bytes > 128 && bytes <= MAX_SMALL_BYTES / 3) worst = Math.max(worst, size / bytes);
        test.heap.free(ref);
      }
    });
    expect(worst).toBeLessThan(1.3);
  });
});

describe('allocation', () => {
  it('zeroes and heads a block', () => {
    const test = new TestHeap(4);
    const u32 = new Uint32Array(test.buffer);
    u32.fill(0xffffffff, HEAP_START * 4 + 200);
    const ref = test.txn(() => test.heap.allocate(100, 77, 5));
    expect([...u32.subarray(ref * 4, ref * 4 + 25)]).toEqual([77, 5, ...new Array(23).fill(0)]);
  });

  it('reuses freed blocks after the commit, not before', () => {
    const test = new TestHeap(4);
    const refs = test.txn(() => Array.from({ length: 50 }, () => test.heap.allocate(48, 64, 0)));
    test.txn(() => {
      for (const ref of refs) test.heap.free(ref);
      for (const ref of refs) expect(test.heap.isBlock(ref)).toBe(true);
      for (let i = 0; i < 50; i += 1) expect(refs).not.toContain(test.heap.allocate(48, 64, 0));
    });
    for (const ref of refs) expect(test.heap.isBlock(ref)).toBe(false);
    const again = test.txn(() => Array.from({ length: 2000 }, () => test.heap.allocate(48, 64, 0)));
    expect(refs.filter((ref) => again.includes(ref)).length).toBeGreaterThan(0);
  });

  it('takes everything back in a rollback', () => {
    const test = new TestHeap(8);
    const kept = test.txn(() => test.heap.allocate(32, 64, 0));
    const before = test.blocks();
    const lost = test.txn(() => {
      test.heap.free(kept);
      return [
        test.heap.allocate(32, 64, 0),
        test.heap.allocate(5000, 64, 0),
        test.heap.allocate(100_000, 64, 0),
      ];
    }, false);
    expect(test.blocks()).toEqual(before);
    expect(lost.map((ref) => test.heap.isBlock(ref))).toEqual([false, false, false]);
    const again = test.txn(() => [
      test.heap.allocate(32, 64, 0),
      test.heap.allocate(5000, 64, 0),
      test.heap.allocate(100_000, 64, 0),
    ]);
    expect(new Set([...again, kept]).size).toBe(4);
  });

  it('gives empty spans to other sizes', () => {
    const test = new TestHeap(10);
    for (let round = 0; round < 5; round += 1) {
      for (const bytes of [32, 1000, 8000, 100_000]) {
        const count = bytes > SPAN_BYTES ? 2 : Math.floor((4 * SPAN_BYTES) / (bytes * 1.3));
        const refs = test.txn(() => Array.from({ length: count }, () => test.heap.allocate(bytes, 64, 0)));
        test.txn(() => {
          for (const ref of refs) test.heap.free(ref);
        });
      }
    }
    expect(test.blocks().size).toBe(0);
  });

  it('a full heap says so, dooms the transaction, and goes on after it', () => {
    const test = new TestHeap(3);
    expect(() =>
      test.txn(() => {
        for (;;) test.heap.allocate(3000, 64, 0);
      }),
    ).toThrow(PoolFullError);
    expect(test.doomed).toBeInstanceOf(PoolFullError);
    test.txn(() => undefined, false);
  });
});

describe('isBlock', () => {
  it('knows exactly the starts of allocated blocks', () => {
    const test = new TestHeap(20);
    const refs = new Set<number>(
      test.txn(() =>
        [16, 48, 100, 700, 3000, 20_000, 70_000, 200_000].flatMap((bytes) => [
          test.heap.allocate(bytes, 64, 0),
          test.heap.allocate(bytes, 64, 0),
        ]),
      ),
    );
    for (let ref = HEAP_START - 10; ref < HEAP_START + 22 * SPAN_GRANULES; ref += 1) {
      if (test.heap.isBlock(ref as Ref) !== refs.has(ref))
        expect.fail(`ref ${ref}: ${test.heap.isBlock(ref as Ref)}`);
    }
    for (const wrong of [0, -1, 0.5, Number.NaN, 2 ** 32 - 1, 2 ** 40])
      expect(test.heap.isBlock(wrong as Ref)).toBe(false);
  });

  it('refuses to free what is no block', () => {
    const test = new TestHeap(4);
    const ref = test.txn(() => test.heap.allocate(48, 64, 0));
    expect(() => test.txn(() => test.heap.free((ref + 1) as Ref))).toThrow(/freed but not allocated/);
    test.txn(() => undefined, false);
  });
});

describe('at random', () => {
  it.each([1, 2, 3, 4, 5, 6])('agrees with a model over reopenings and rollbacks, seed %i', (seed) => {
    const random = new Random(seed);
    const test = new TestHeap(100);
    const u32 = new Uint32Array(test.buffer);
    let live = new Map<number, { bytes: number; mark: number }>();
    let mark = 0;
    const randomSize = (): number => {
      const kind = random.int(20);
      if (kind === 0) return random.between(MAX_SMALL_BYTES + 1, 3 * SPAN_BYTES);
      return kind < 3 ? random.pick([1000, 5000, 9000, MAX_SMALL_BYTES]) : random.between(9, 130);
    };
    for (let round = 0; round < 400; round += 1) {
      const next = new Map(live);
      const freed = new Set<number>();
      let commit = random.chance(0.8);
      try {
        test.txn(() => {
          for (let i = random.int(30); i > 0; i -= 1) {
            if (next.size > 0 && random.chance(next.size > 600 ? 0.8 : 0.45)) {
              const ref = random.pick([...next.keys()]);
              test.heap.free(ref as Ref);
              next.delete(ref);
              freed.add(ref);
            } else {
              const bytes = randomSize();
              const ref = test.heap.allocate(bytes, 64, 0);
              if (next.has(ref) || (freed.has(ref) && live.has(ref)))
                expect.fail(`ref ${ref} was given out twice`);
              const words = ref * 4 + Math.ceil(bytes / 4) - 1;
              mark += 1;
              u32[ref * 4 + 1] = mark;
              if (bytes > 12) u32[words] = mark;
              next.set(ref, { bytes, mark });
            }
          }
        }, commit);
      } catch (error) {
        if (!(error instanceof PoolFullError)) throw error;
        commit = false;
        expect.fail('the heap is larger than what is live');
      }
      if (commit) live = next;
      if (random.chance(0.1)) test.reopen();
      if (round % 10 === 9) {
        const blocks = test.blocks();
        expect([...blocks.keys()].sort((a, b) => a - b)).toEqual([...live.keys()].sort((a, b) => a - b));
        let end = 0;
        for (const [ref, bytes] of blocks) {
          expect(ref).toBeGreaterThanOrEqual(end);
          end = ref + bytes / GRANULE_BYTES;
        }
        for (const [ref, block] of live) {
          expect(u32[ref * 4 + 1]).toBe(block.mark);
          if (block.bytes > 12) expect(u32[ref * 4 + Math.ceil(block.bytes / 4) - 1]).toBe(block.mark);
        }
      }
    }
  });
});
