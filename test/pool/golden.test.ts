/**
 * Golden pools: one for each format version, written when that version was current, opened by every later one.
 * `PERDURE_WRITE_GOLDEN=1 npx vitest run test/pool/golden.test.ts` writes the one of the current version, once, when the
 * version is new.
 */
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { FORMAT_VERSION } from '../../src/format/index.js';
import {
  date,
  embedded,
  enumOf,
  Field,
  type FixedArray,
  f64,
  fixedArray,
  i32,
  i64,
  list,
  map,
  nullable,
  Persistent,
  type PersistentList,
  type PersistentMap,
  type PersistentQueue,
  Pool,
  queue,
  toPlain,
} from '../../src/index.js';
import { testPools } from './helpers.js';

@Persistent()
class Point {
  @Field(f64) declare x: number;
  @Field(f64) declare y: number;
}

@Persistent()
class Thing {
  @Field(i32) declare id: number;
  @Field('string') declare name: string;
  @Field(nullable(i64)) declare big: bigint | null;
  @Field(() => Thing) declare next: Thing | null;
}

@Persistent()
class Special extends Thing {
  @Field(enumOf(['low', 'high'])) declare level: 'low' | 'high';
}

@Persistent()
class GoldenRoot {
  @Field(list(() => Thing)) declare things: PersistentList<Thing>;
  @Field(map('string', () => Thing)) declare byName: PersistentMap<string, Thing>;
  @Field(queue('string')) declare jobs: PersistentQueue<string>;
  @Field(list(list(i32))) declare nested: PersistentList<PersistentList<number>>;
  @Field(embedded(() => Point)) declare point: Point;
  @Field(fixedArray(i32, 3)) declare fixed: FixedArray<number>;
  @Field(date) declare at: Date;
  @Field('bytes') declare raw: Uint8Array;
}

const FOLDER = join(import.meta.dirname, 'golden');
const pools = testPools();

function fill(pool: Pool): void {
  const root = pool.root(GoldenRoot);
  for (let id = 0; id < 200; id += 1) {
    pool.txn(() => {
      const thing = id % 10 === 0 ? new Special() : new Thing();
      thing.id = id;
      thing.name = id % 7 === 0 ? `Ding \u{1f600} ${id}` : `thing ${id}`;
      if (thing instanceof Special) thing.level = 'high';
      if (id % 3 === 0) thing.big = BigInt(id) << 40n;
      thing.next = root.things.at(-1) ?? null;
      root.things.push(thing);
      root.byName.set(thing.name, thing);
      root.jobs.enqueue(`job ${id}`);
      if (id % 50 === 0) root.nested.push([id, id + 1]);
    });
  }
  pool.txn(() => {
    root.byName.delete('thing 5');
    root.jobs.dequeue();
    root.point = { x: 1.5, y: -2 } as Point;
    root.fixed[1] = 42;
    root.at = new Date(86_400_000);
    root.raw = new Uint8Array([1, 2, 3]);
    pool.named.set('tenth', root.things[10] as Thing);
  });
}

/** All that the pool holds, as text; bigints and dates spelled out. */
function contentOf(pool: Pool): string {
  const root = pool.root(GoldenRoot);
  const replacer = (_key: string, value: unknown): unknown => {
    if (typeof value === 'bigint') return `${value}n`;
    if (value instanceof Map) return [...value.keys()];
    if (value instanceof Uint8Array) return [...value];
    return value;
  };
  const things = [...root.things].map((thing) => ({
    ...thing,
    next: thing.next?.id,
    kind: thing.constructor.name,
  }));
  const { jobs, nested, point, fixed, at, raw, byName } = root;
  const rest = { jobs, nested, point, fixed, at, raw, names: [...byName.keys()] };
  return JSON.stringify({ things, rest: toPlain(rest), tenth: pool.named.get<Thing>('tenth')?.id }, replacer);
}

if (process.env.PERDURE_WRITE_GOLDEN === '1' && !existsSync(join(FOLDER, `v${FORMAT_VERSION}.pool.gz`))) {
  const path = pools.path('golden');
  const pool = Pool.create(path, { root: GoldenRoot, emulate: true, maxSize: 2 ** 21, logSize: 4096 });
  fill(pool);
  pool.close();
  writeFileSync(join(FOLDER, `v${FORMAT_VERSION}.pool.gz`), gzipSync(readFileSync(path)));
}

describe.each(readdirSync(FOLDER).filter((name) => name.endsWith('.pool.gz')))('%s', (name) => {
  it('opens, holds what was written, and can be written to', () => {
    const path = pools.path('opened');
    writeFileSync(path, gunzipSync(readFileSync(join(FOLDER, name))));
    const expected = pools.open({ root: GoldenRoot, maxSize: 2 ** 21, classes: [Special] }, 'expected');
    fill(expected);
    const pool = pools.open({ root: GoldenRoot, maxSize: 2 ** 21, classes: [Special] }, 'opened');
    expect(contentOf(pool)).toBe(contentOf(expected));
    expect(pool.check()).toMatchObject({ ok: true, leakedBlocks: 0 });
    pool.txn(() => pool.root(GoldenRoot).things.push(new Special()));
    expect(pool.root(GoldenRoot).things.length).toBe(201);
  });
});

it('there is a golden pool of the current format', () => {
  expect(readdirSync(FOLDER)).toContain(`v${FORMAT_VERSION}.pool.gz`);
});
