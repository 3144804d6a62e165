/**
 * Flipped bits in everything that perdure itself wrote: opening, reading, checking and writing must answer with
 * a typed error or with correct data, never with another exception, a crash or a hang. Runs on real mappings, with
 * much reserved beyond the file; the file `<pool>.now` tells what was tried last.
 */
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { serialize } from 'node:v8';
import { afterAll, describe, expect, it } from 'vitest';
import {
  ANCHORS,
  blocksPerSpan,
  HEADER,
  HEADER_BYTES,
  LAYOUT_ID,
  LAYOUT_RECORD_BYTES,
  PAGE_BYTES,
  REGION,
  SIZE_CLASSES,
  SPAN_BYTES,
  SPAN_KIND,
  SPAN_KIND_MASK,
  spanBitmapBytes,
} from '../../src/format/index.js';
import {
  embedded,
  Field,
  type FixedArray,
  fixedArray,
  i32,
  list,
  map,
  nullable,
  PerdureError,
  Persistent,
  type PersistentList,
  type PersistentMap,
  type PersistentQueue,
  Pool,
  queue,
  toPlain,
} from '../../src/index.js';
import { Random } from '../../src/testing/index.js';
import { Scratch } from '../memory/fixtures.js';

const LONG = process.env.PERDURE_LONG === '1';
const SEED = Number(process.env.PERDURE_SEED ?? 1);
const SAMPLES = 60;
const SLOW_MS = 5000;

@Persistent()
class Part {
  @Field('string') declare text: string;
  @Field(i32) declare number: number;
}

@Persistent()
class Node {
  @Field(i32) declare id: number;
  @Field('string') declare name: string;
  @Field(() => Node) declare next: Node | null;
  @Field(list('string')) declare words: PersistentList<string>;
}

@Persistent()
class Tree {
  @Field(() => Node) declare head: Node | null;
  @Field(() => Tree) declare self: Tree | null;
  @Field('string') declare long: string;
  @Field('bytes') declare bytes: Uint8Array;
  @Field(embedded(() => Part)) declare part: Part;
  @Field(nullable(embedded(() => Part))) declare maybe: Part | null;
  @Field(fixedArray('string', 3)) declare fixed: FixedArray<string>;
  @Field(list(i32)) declare numbers: PersistentList<number>;
  @Field(list(() => Node)) declare nodes: PersistentList<Node>;
  @Field(queue('string')) declare jobs: PersistentQueue<string>;
  @Field(map('string', () => Node)) declare byName: PersistentMap<string, Node>;
  @Field(map(i32, list('string'))) declare lists: PersistentMap<number, string[]>;
}

const scratch = new Scratch();
afterAll(() => scratch.removeAll());
const directory = scratch.memory();
const options = { root: Tree, emulate: { flush: false }, maxSize: 3 * 2 ** 20, logSize: 4096 } as const;

/** What the pool holds, comparable. */
function contentOf(pool: Pool): Buffer {
  return serialize([toPlain(pool.root(Tree)), toPlain(pool.named.get('node'))]);
}

function build(path: string): void {
  const pool = Pool.create(path, options);
  const root = pool.root(Tree);
  for (let i = 0; i < 60; i += 1) {
    pool.txn(() => {
      const node = new Node();
      node.id = i;
      node.name = i % 3 === 0 ? `node ${i}`.repeat(20) : `node ${i} ж`;
      node.words.push('a', 'b'.repeat(i));
      node.next = root.head;
      root.head = node;
      root.nodes.push(node);
      root.byName.set(node.name, node);
      root.jobs.enqueue(`job ${i}`);
      root.numbers.push(i, i, i);
      root.lists.set(i, [`list ${i}`]);
    });
  }
  pool.txn(() => {
    root.self = root;
    root.long = 'long '.repeat(20_000);
    root.bytes = new Uint8Array(3000).fill(7);
    root.part = { text: 'part', number: 5 };
    root.maybe = { text: 'maybe', number: 6 };
    root.fixed[1] = 'fixed';
    pool.named.set('node', root.head as Node);
    for (let i = 0; i < 30; i += 1) root.jobs.dequeue();
  });
  pool.close();
}

/** Stores to everything there is. */
function write(pool: Pool): void {
  const root = pool.root(Tree);
  pool.txn(() => {
    const node = new Node();
    node.name = 'new'.repeat(30);
    root.head = node;
    root.long = 'short';
    root.numbers.push(1);
    root.numbers.splice(3, 2);
    root.nodes.push(node);
    root.jobs.enqueue('x');
    root.jobs.dequeue();
    root.byName.set('new', node);
    root.byName.delete('node 3'.repeat(20));
    root.lists.set(5, ['y']);
    root.maybe = null;
    root.part.text = 'z';
    root.fixed[1] = 'changed';
    pool.named.delete('node');
  });
}

interface Outcome {
  refused: number;
  correct: number;
  different: number;
}

/** One byte or word range of the file, with what may be expected of damage to it. */
interface Place {
  readonly offset: number;
  readonly bytes: number;
}

class Damage {
  readonly outcome: Outcome = { refused: 0, correct: 0, different: 0 };
  readonly failures: string[] = [];
  readonly #source: string;
  readonly #path: string;
  readonly #original: Buffer;
  readonly #expected: Buffer;

  constructor(name: string, source: string, expected: Buffer) {
    this.#source = source;
    this.#path = join(directory, `${name}.pool`);
    this.#original = readFileSync(source);
    this.#expected = expected;
  }

  flip(offset: number, mask: number): void {
    writeFileSync(`${this.#path}.now`, `${this.#source} offset ${offset} mask ${mask}`);
    copyFileSync(this.#source, this.#path);
    const bytes = Buffer.from(this.#original);
    bytes[offset] = (bytes[offset] as number) ^ mask;
    writeFileSync(this.#path, bytes);
    const begin = performance.now();
    const steps: string[] = [];
    let pool: Pool | null = null;
    const step = <T>(name: string, body: () => T): T | null => {
      try {
        return body();
      } catch (error) {
        steps.push(name);
        if (!(error instanceof PerdureError)) {
          this.failures.push(
            `offset ${offset} mask ${mask}, ${name}: ${(error as Error).stack?.split('\n').slice(0, 4).join(' | ')}`,
          );
        }
        return null;
      }
    };
    pool = step('open', () => Pool.open(this.#path, options));
    if (pool !== null) {
      const opened = pool;
      const content = step('read', () => contentOf(opened));
      step('check', () => opened.check());
      step('write', () => write(opened));
      step('check again', () => opened.check());
      step('close', () => opened.close());
      if (content === null) this.outcome.refused += 1;
      else if (content.equals(this.#expected)) this.outcome.correct += 1;
      else this.outcome.different += 1;
    } else {
      this.outcome.refused += 1;
    }
    const ms = performance.now() - begin;
    if (ms > SLOW_MS) this.failures.push(`offset ${offset} mask ${mask}: ${ms.toFixed(0)} ms`);
  }

  /** Every bit of the places in the long version, a sample in the short one. */
  run(places: readonly Place[], label: string): void {
    const random = new Random(SEED);
    const total = places.reduce((sum, place) => sum + place.bytes, 0);
    const flipAt = (position: number, mask: number): void => {
      let left = position;
      for (const { offset, bytes } of places) {
        if (left < bytes) {
          this.flip(offset + left, mask);
          return;
        }
        left -= bytes;
      }
    };
    const begin = performance.now();
    if (LONG) {
      for (let i = 0; i < total; i += 1) for (let bit = 0; bit < 8; bit += 1) flipAt(i, 1 << bit);
    } else {
      for (let i = 0; i < SAMPLES; i += 1) flipAt(random.int(total), 1 << random.int(8));
    }
    const seconds = (performance.now() - begin) / 1000;
    console.log(`${label}: ${total} bytes, ${JSON.stringify(this.outcome)}, ${seconds.toFixed(1)} s`);
    expect(this.failures.slice(0, 5), `seed ${SEED}, ${this.failures.length} failures`).toEqual([]);
  }
}

/** Where perdure's own structures lie in a pool file. */
function placesOf(file: Buffer): { table: Place[]; bitmaps: Place[]; blocks: Place[]; records: Place[] } {
  const table = file.readUInt32LE(HEADER.spanTableOffset.offset);
  const heap = file.readUInt32LE(HEADER.heapOffset.offset);
  const spans = Math.floor((file.readDoubleLE(HEADER.sizeBytes.offset) - heap) / SPAN_BYTES);
  const places = {
    table: [{ offset: table, bytes: spans * 4 }],
    bitmaps: [] as Place[],
    blocks: [] as Place[],
    records: [] as Place[],
  };
  for (let span = 0; span < spans; span += 1) {
    const kind = file.readUInt32LE(table + span * 4) & SPAN_KIND_MASK;
    const start = heap + span * SPAN_BYTES;
    if (kind === SPAN_KIND.large.value) places.blocks.push({ offset: start, bytes: 8 });
    if (kind < SPAN_KIND.small.value) continue;
    const size = SIZE_CLASSES[kind - SPAN_KIND.small.value] as number;
    const bitmap = spanBitmapBytes(size);
    // The start of a bitmap is where its bits are; the rest is all alike.
    places.bitmaps.push({ offset: start, bytes: Math.min(bitmap, 32) });
    for (let i = 0; i < blocksPerSpan(size); i += 1) {
      if (((file[start + (i >> 3)] as number) & (1 << (i & 7))) === 0) continue;
      const offset = start + bitmap + i * size;
      places.blocks.push({ offset, bytes: 8 });
      if (file.readUInt32LE(offset) === LAYOUT_ID.layoutRecord)
        places.records.push({ offset, bytes: LAYOUT_RECORD_BYTES });
    }
  }
  return places;
}

describe('flipped bits', { timeout: 3_600_000 }, () => {
  const source = join(directory, 'source.pool');
  build(source);
  const pool = Pool.open(source, options);
  const expected = contentOf(pool);
  // In the middle of a transaction that never ends: the log counts.
  const open = join(directory, 'open.pool');
  expect(() =>
    pool.txn(() => {
      write(pool);
      copyFileSync(source, open);
      throw new Error('rolled back');
    }),
  ).toThrow('rolled back');
  pool.close();
  const places = placesOf(readFileSync(source));

  it('in the header: never wrong data', () => {
    const damage = new Damage('header', source, expected);
    damage.run(
      [
        { offset: 0, bytes: HEADER_BYTES },
        { offset: PAGE_BYTES, bytes: HEADER_BYTES },
      ],
      'header',
    );
    expect(damage.outcome.refused + damage.outcome.different).toBe(0);
  });

  it('in the anchors', () => {
    const { namedRoots } = ANCHORS;
    const damage = new Damage('anchors', source, expected);
    damage.run([{ offset: REGION.anchors.offset, bytes: namedRoots.offset + namedRoots.bytes }], 'anchors');
  });

  it('in the log of a pool that was closed: no effect', () => {
    const damage = new Damage('log', source, expected);
    damage.run([{ offset: REGION.log.offset, bytes: 4096 }], 'dead log');
    expect(damage.outcome.different).toBe(0);
  });

  it('in the log of a pool whose process died', () => {
    const damage = new Damage('open', open, expected);
    damage.run([{ offset: REGION.log.offset, bytes: 4096 }], 'live log');
  });

  it('in the span table', () => {
    const damage = new Damage('table', source, expected);
    damage.run(places.table, 'span table');
    expect(damage.outcome.different).toBe(0);
  });

  it('in bitmaps', () => {
    const damage = new Damage('bitmaps', source, expected);
    damage.run(places.bitmaps, 'bitmaps');
    expect(damage.outcome.different).toBe(0);
  });

  it('in block headers', () => {
    const damage = new Damage('blocks', source, expected);
    damage.run(places.blocks, 'block headers');
  });

  it('in layout records', () => {
    const damage = new Damage('records', source, expected);
    damage.run(places.records, 'layout records');
  });

  it('anywhere in the blocks of the heap', () => {
    const damage = new Damage('heap', source, expected);
    const whole = places.blocks.map(({ offset }) => ({ offset, bytes: LONG ? 64 : 32 }));
    damage.run(whole, 'blocks');
  });
});
