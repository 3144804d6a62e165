/** Reading and writing fields of 1,024 hot objects, against the same on plain objects of the same shape. */
import {
  bool,
  date,
  enumOf,
  Field,
  f32,
  f64,
  i8,
  i16,
  i32,
  i64,
  list,
  Persistent,
  type PersistentList,
  u8,
  u16,
  u32,
  u64,
} from 'perdure';
import type { BenchCase, Work } from '../harness.js';
import { openBenchPool } from '../pools.js';

const COUNT = 1024;
const OPERATIONS = 2_000_000;

/** One of each kind of fixed size. */
const SAMPLES: Readonly<Record<string, readonly unknown[]>> = {
  i8: [1, -2],
  u8: [1, 200],
  i16: [1, -300],
  u16: [1, 60_000],
  i32: [1, -70_000],
  u32: [1, 3_000_000_000],
  f32: [0.5, 1.25],
  f64: [0.1, 1e300],
  bool: [true, false],
  enum: ['red', 'green'],
  i64: [1n, -5n],
  u64: [1n, 5n],
  date: [new Date(1), new Date(2)],
};
const KINDS = Object.keys(SAMPLES);

@Persistent({ access: 'direct' })
class DirectFields {
  @Field(i8) declare i8: number;
  @Field(u8) declare u8: number;
  @Field(i16) declare i16: number;
  @Field(u16) declare u16: number;
  @Field(i32) declare i32: number;
  @Field(u32) declare u32: number;
  @Field(f32) declare f32: number;
  @Field(f64) declare f64: number;
  @Field(bool) declare bool: boolean;
  @Field(enumOf(['red', 'green', 'blue'])) declare enum: string;
  @Field(i64) declare i64: bigint;
  @Field(u64) declare u64: bigint;
  @Field(date) declare date: Date;
}

@Persistent()
class ProxyFields {
  @Field(i32) declare i32: number;
  @Field(f64) declare f64: number;
  @Field(i32) declare other: number;
}

class PlainFields {
  i8 = 0;
  u8 = 0;
  i16 = 0;
  u16 = 0;
  i32 = 0;
  u32 = 0;
  f32 = 0.5;
  f64 = 0.5;
  bool = false;
  enum = 'red';
  i64 = 0n;
  u64 = 0n;
  date = new Date(0);
}

@Persistent()
class Root {
  @Field(list(() => DirectFields)) declare direct: PersistentList<DirectFields>;
  @Field(list(() => ProxyFields)) declare proxied: PersistentList<ProxyFields>;
}

type Objects = readonly object[];

/** A reader of its own source text, so that no two cases share inline caches. */
function reader(objects: Objects, field: string): Work {
  const use =
    field === 'date'
      ? `o.${field}.getTime()`
      : field.endsWith('64') && field !== 'f64'
        ? `(o.${field} === 1n ? 1 : 0)`
        : `(o.${field} === last ? 1 : 0)`;
  const last =
    field === 'f64' || field === 'f32'
      ? '0.25'
      : field === 'bool'
        ? 'true'
        : field === 'enum'
          ? '"red"'
          : '7';
  return new Function(
    'objects',
    `return (n) => { let sum = 0; const last = ${last};
    for (let i = 0; i < n; i += 1) { const o = objects[i & ${COUNT - 1}]; sum += ${use}; } return sum; }`,
  )(objects) as Work;
}

function writer(objects: Objects, field: string): Work {
  return new Function(
    'objects',
    'a',
    'b',
    `return (n) => {
    for (let i = 0; i < n; i += 1) objects[i & ${COUNT - 1}].${field} = (i & 1) === 0 ? a : b; return n; }`,
  )(objects, SAMPLES[field]?.[0], SAMPLES[field]?.[1]) as Work;
}

function make<T extends object>(count: number, create: () => T): T[] {
  return Array.from({ length: count }, create);
}

function fieldCase(options: {
  view: 'direct' | 'proxy';
  operation: 'read' | 'write';
  field: string;
}): BenchCase {
  const { view, operation, field } = options;
  return {
    name: `field/${operation}-${view}/${field}`,
    operations: OPERATIONS,
    prepare() {
      const bench = openBenchPool(Root, { flush: false });
      const { pool } = bench;
      const root = pool.root(Root);
      const objects = pool.txn((): Objects => {
        const made =
          view === 'direct' ? make(COUNT, () => new DirectFields()) : make(COUNT, () => new ProxyFields());
        if (view === 'direct') root.direct.push(...(made as DirectFields[]));
        else root.proxied.push(...(made as ProxyFields[]));
        return made;
      });
      const plain = make(COUNT, () => new PlainFields());
      const access = operation === 'read' ? reader : writer;
      const run = access(objects, field);
      // Writes need a transaction: one for all of them, so that its cost does not show.
      return {
        run: operation === 'read' ? run : (n) => pool.txn(() => run(n)),
        baseline: access(plain, field),
        close: () => bench.close(),
      };
    },
  };
}

export const fieldCases: readonly BenchCase[] = [
  ...KINDS.map((field) => fieldCase({ view: 'direct', operation: 'read', field })),
  ...KINDS.map((field) => fieldCase({ view: 'direct', operation: 'write', field })),
  ...['i32', 'f64'].map((field) => fieldCase({ view: 'proxy', operation: 'read', field })),
  ...['i32', 'f64'].map((field) => fieldCase({ view: 'proxy', operation: 'write', field })),
];
