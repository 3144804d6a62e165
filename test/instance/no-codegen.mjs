/**
 * The basic suite, for a process that may not compile source text; started by no-codegen.test.ts with the
 * built library as argument.
 */
import assert from 'node:assert/strict';
import { inspect } from 'node:util';

const [library, path] = process.argv.slice(2);
const perdure = await import(library);
const { bool, bytes, date, embedded, enumOf, f32, f64, fixedArray, i8, i16, i32, i64, list, map } = perdure;
const { nullable, Persistent, Pool, queue, toPlain, u8, u16, u32, u64 } = perdure;

assert.throws(() => new Function('return 1'), EvalError);

const Point = Persistent({ fields: { x: i32, y: nullable(f64) } })(class Point {});
const Direct = Persistent({ access: 'direct', fields: { id: i32, name: 'string' } })(class Direct {});
const scalars = { i8, u8, i16, u16, i32, u32, f32, f64, i64, u64, bool, date };
const optional = Object.fromEntries(
  Object.entries(scalars).map(([name, type]) => [`${name}Null`, nullable(type)]),
);
const All = Persistent({
  fields: {
    ...scalars,
    ...optional,
    text: 'string',
    textNull: nullable('string'),
    data: bytes,
    colour: enumOf(['red', 'green']),
    colourNull: nullable(enumOf(['red', 'green'])),
    self: () => All,
    direct: () => Direct,
    part: embedded(() => Point),
    fixed: fixedArray(u8, 3),
    list: list(() => All),
    map: map('string', i32),
    queue: queue('string'),
  },
})(
  class All {
    get twice() {
      return this.i32 * 2;
    }
  },
);

const options = { root: All, emulate: { flush: false }, maxSize: 2 ** 24 };
const values = {
  i8: -8,
  u8: 8,
  i16: -16,
  u16: 16,
  i32: -32,
  u32: 32,
  f32: 0.5,
  f64: 0.1,
  i64: -64n,
  u64: 64n,
};
Object.assign(values, {
  bool: true,
  date: new Date(5),
  text: 'жa',
  data: Uint8Array.of(1, 2),
  colour: 'green',
});
const pool = Pool.create(path, options);
const root = pool.root(All);
pool.txn(() => {
  for (const [name, value] of Object.entries(values)) {
    root[name] = value;
    if (`${name}Null` in root) root[`${name}Null`] = value;
  }
  root.self = root;
  root.direct = new Direct();
  root.direct.id = 9;
  root.direct.name = 'direct';
  root.part = { x: 1, y: 2 };
  root.fixed[1] = 5;
  root.list.push(root);
  root.map.set('a', 1);
  root.queue.enqueue('q');
});
assert.throws(
  () =>
    pool.txn(() => {
      root.i32 = 1;
      throw new Error('no');
    }),
  /no/,
);
assert.throws(
  () =>
    pool.txn(() => {
      root.i8 = 200;
    }),
  { code: 'VALUE', message: /All\.i8.*-128 to 127/ },
);
assert.throws(
  () =>
    pool.txn(() => {
      root.text = null;
    }),
  { code: 'VALUE' },
);
assert.throws(
  () =>
    pool.txn(() => {
      root.typo = 1;
    }),
  { code: 'VALUE', message: /All\.typo/ },
);
assert.throws(
  () => {
    root.i8 = 1;
  },
  { code: 'TXN_REQUIRED', message: /All\.i8/ },
);
assert.throws(
  () => {
    root.direct.id = 1;
  },
  { code: 'TXN_REQUIRED', message: /Direct\.id/ },
);

function check(all) {
  for (const [name, value] of Object.entries(values)) {
    assert.deepEqual(all[name], value, name);
    if (`${name}Null` in all) assert.deepEqual(all[`${name}Null`], value, `${name}Null`);
  }
  assert.equal(all.self, all);
  assert.equal(all.list.at(0), all);
  assert.deepEqual([all.direct.id, all.direct.name], [9, 'direct']);
  assert.deepEqual(toPlain(all.part), { x: 1, y: 2 });
  assert.deepEqual([...all.fixed], [0, 5, 0]);
  assert.deepEqual([[...all.map], [...all.queue]], [[['a', 1]], ['q']]);
  assert.equal(all.twice, -64);
  assert.deepEqual(Object.keys({ ...all }), Object.keys(all));
  assert.match(inspect(all), /^All \{/);
}

check(root);
assert.deepEqual(pool.check().problems, []);
pool.close();
assert.throws(() => root.i32, { code: 'CLOSED' });
const again = Pool.open(path, options);
check(again.root(All));
again.txn(() => {
  for (const name of Object.keys(optional)) again.root(All)[name] = null;
});
for (const name of Object.keys(optional)) assert.equal(again.root(All)[name], null);
again.close();
console.log('the basic suite passed');
