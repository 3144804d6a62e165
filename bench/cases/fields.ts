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
  Persistent,
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
  @Field(() => DirectFields) declare direct: DirectFields | null;
  @Field(() => ProxyFields) declare proxied: ProxyFields | null;
}

type Objects = readonly object[];

let compiled = 0;

/**
 * Compiles a loop from source text that is unlike any other: functions of equal text share their inline caches,
 * and then neither side of a case would be measured alone.
 */
function compileLoop(
  objects: Objects,
  fields: readonly string[],
  statement: (field: string) => string,
): Work {
  compiled += 1;
  const source = `// ${compiled}
    ${fields.map((field) => `const [${field}0, ${field}1] = samples.${field};`).join('\n')}
    return (n) => { let sum = 0;
      for (let i = 0; i < n; i += 1) { const o = objects[i & ${COUNT - 1}]; ${fields.map(statement).join(' ')} }
      return sum; };`;
  return new Function('objects', 'samples', source)(objects, SAMPLES) as Work;
}

function reader(objects: Objects, fields: readonly string[]): Work {
  return compileLoop(objects, fields, (field) => {
    const value = field === 'date' ? `o.${field}.getTime()` : `o.${field}`;
    return `if (${value} === ${field}1) sum += 1;`;
  });
}

function writer(objects: Objects, fields: readonly string[]): Work {
  return compileLoop(objects, fields, (field) => `o.${field} = (i & 1) === 0 ? ${field}0 : ${field}1;`);
}

function make<T extends object>(count: number, create: () => T): T[] {
  return Array.from({ length: count }, create);
}

function fieldCase(options: {
  view: 'direct' | 'proxy';
  operation: 'read' | 'write';
  /** Accessed one after the other, in each operation. */
  fields: readonly string[];
  name?: string;
}): BenchCase {
  const { view, operation, fields, name = fields[0] } = options;
  return {
    name: `field/${operation}-${view}/${name}`,
    operations: OPERATIONS,
    prepare() {
      const bench = openBenchPool(Root, { flush: false });
      const { pool } = bench;
      const objects = pool.txn((): Objects => {
        if (view === 'direct') return make(COUNT, () => new DirectFields());
        return make(COUNT, () => new ProxyFields());
      });
      const plain = make(COUNT, () => new PlainFields());
      const access = operation === 'read' ? reader : writer;
      const run = access(objects, fields);
      // Writes need a transaction: one for all of them, so that its cost does not show.
      return {
        run: operation === 'read' ? run : (n) => pool.txn(() => run(n)),
        baseline: access(plain, fields),
        close: () => bench.close(),
      };
    },
  };
}

/** Without dates: each read of one makes a new `Date`, whatever holds it. */
const ALL_KINDS = KINDS.filter((kind) => kind !== 'date');

export const fieldCases: readonly BenchCase[] = (['read', 'write'] as const).flatMap((operation) => [
  ...KINDS.map((field) => fieldCase({ view: 'direct', operation, fields: [field] })),
  fieldCase({ view: 'direct', operation, fields: ALL_KINDS, name: 'all-kinds' }),
  ...['i32', 'f64'].map((field) => fieldCase({ view: 'proxy', operation, fields: [field] })),
]);
