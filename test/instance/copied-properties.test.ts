/** What copies properties from one handle to another must copy values, never where the bytes of the other are. */
import { expect, it } from 'vitest';
import {
  Field,
  type FixedArray,
  fixedArray,
  i32,
  list,
  map,
  Persistent,
  type PersistentList,
  type PersistentMap,
  type PersistentQueue,
  queue,
} from '../../src/index.js';
import { expectError, testPools } from '../pool/helpers.js';

@Persistent({ access: 'direct' })
class Direct {
  @Field(i32) declare n: number;
}

@Persistent()
class Root {
  @Field(i32) start = 3;
  @Field(() => Direct) declare a: Direct | null;
  @Field(() => Direct) declare b: Direct | null;
  @Field(list(i32)) declare list: PersistentList<number>;
  @Field(map('string', i32)) declare map: PersistentMap<string, number>;
  @Field(queue(i32)) declare queue: PersistentQueue<number>;
  @Field(fixedArray(i32, 2)) declare fixed: FixedArray<number>;
}

const pools = testPools();

function open(value: number) {
  const pool = pools.open({ root: Root }, `pool ${value}`);
  const root = pool.root(Root);
  pool.txn(() => {
    root.a = pool.create(Direct, { n: value });
    root.b = pool.create(Direct, { n: value + 1 });
    root.list.push(value);
    root.map.set('v', value);
    root.queue.enqueue(value);
    root.fixed[0] = value;
  });
  return { pool, root };
}

it('handles have no properties of their own', () => {
  const { root } = open(1);
  for (const handle of [root.a, root.list, root.map, root.queue, root.fixed] as object[]) {
    expect(Reflect.ownKeys(handle)).toEqual([]);
    expect({ ...handle }).toEqual({});
  }
});

it('Object.assign between handles leaves each where it is, also those of two pools', () => {
  const first = open(1);
  const second = open(10);
  const { a, b } = first.root as { a: Direct; b: Direct };
  Object.assign(a, b);
  Object.assign(a, second.root.a);
  Object.assign(first.root.list, second.root.list);
  Object.assign(first.root.map, second.root.map);
  Object.assign(first.root.queue, second.root.queue);
  Object.assign(first.root.fixed, second.root.fixed);
  first.pool.txn(() => {
    a.n = 5;
    first.root.list.push(5);
  });
  expect([a.n, b.n, second.root.a?.n]).toEqual([5, 2, 10]);
  expect([...first.root.list, ...second.root.list]).toEqual([1, 5, 10]);
  expect([first.root.map.get('v'), second.root.map.get('v')]).toEqual([1, 10]);
  expect([first.root.queue.peek(), second.root.queue.peek()]).toEqual([1, 10]);
  expect([first.root.fixed[0], second.root.fixed[0]]).toEqual([1, 10]);
  expect(first.pool.check().ok && second.pool.check().ok).toBe(true);
});

it('a property that a container does not have is refused, not lost', () => {
  const { pool, root } = open(1);
  for (const container of [root.list, root.map, root.queue, root.fixed] as unknown as Record<
    string,
    unknown
  >[]) {
    expectError('VALUE', () => {
      container.other = 1;
    });
  }
  expect(() => {
    (pool.named as unknown as Record<string, unknown>).other = root;
  }).toThrow(TypeError);
});

it('pool.create and a new root start from the initial values of the class', () => {
  const { pool, root } = open(1);
  expect([root.start, pool.create(Direct).n, pool.create(Direct, { n: 4 }).n]).toEqual([3, 0, 4]);
  expectError('VALUE', () => pool.create(Direct, null as never));
  expectError('VALUE', () => pool.txn(5 as never));
});
