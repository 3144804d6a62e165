/** What a plain object would do, instances do: printing, keys, spread, JSON, equality, classes, identity. */
import 'reflect-metadata';
import { inspect } from 'node:util';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { instanceToPlain, plainToInstance } from 'class-transformer';
import { describe, expect, it } from 'vitest';
import {
  embedded,
  enumOf,
  Field,
  type FixedArray,
  fixedArray,
  i32,
  list,
  map,
  nullable,
  Persistent,
  type PersistentList,
  type PersistentMap,
  type PersistentQueue,
  queue,
  toPlain,
  typedArray,
} from '../../src/index.js';
import { expectError, testPools } from '../pool/helpers.js';

@Persistent()
class Point {
  @Field(i32) declare x: number;
  @Field(i32) declare y: number;

  get sum(): number {
    return this.x + this.y;
  }
  set both(value: number) {
    this.x = value;
    this.y = value;
  }
  moved(by: number): this {
    this.x += by;
    return this;
  }
}

@Persistent()
class Shape {
  @Field() declare name: string;
  @Field(() => Shape) declare next: Shape | null;
  area(): number {
    return 0;
  }
}

@Persistent()
class Circle extends Shape {
  @Field() declare radius: number;
  override area(): number {
    return this.radius * this.radius * 3;
  }
}

@Persistent()
class Counter {
  @Field(i32) count = 7;
  @Field('string') label = 'none';
  @Field(i32) bare!: number;
  constructor(label?: string) {
    if (label !== undefined) this.label = label;
  }
  static make(): Counter {
    return new Counter('made');
  }
}

@Persistent({ access: 'direct' })
class Fast {
  @Field(i32) declare id: number;
  @Field('string') declare name: string;
  @Field(() => Fast) declare next: Fast | null;
}

@Persistent()
class Main {
  @Field(i32) declare id: number;
  @Field('string') declare name: string;
  @Field(() => Point) declare point: Point | null;
  @Field(() => Shape) declare shape: Shape | null;
  @Field(() => Main) declare self: Main | null;
  @Field(() => Fast) declare fast: Fast | null;
  @Field(() => Counter) declare counter: Counter | null;
  @Field(embedded(() => Point)) declare part: Point;
  @Field(nullable(embedded(() => Point))) declare maybe: Point | null;
  @Field(fixedArray(i32, 3)) declare fixed: FixedArray<number>;
  @Field(list(() => Shape)) declare shapes: PersistentList<Shape>;
  @Field(list(list('string'))) declare nested: PersistentList<PersistentList<string>>;
  @Field(map('string', list(i32))) declare lists: PersistentMap<string, PersistentList<number>>;
  @Field(queue('string')) declare jobs: PersistentQueue<string>;
  @Field(enumOf(['on', 'off'])) declare state: 'on' | 'off';
  @Field('date') declare when: Date;
  @Field(typedArray('Float64Array')) declare floats: Float64Array;
}

const JsOnly = Persistent({ name: 'JsOnly', fields: { id: i32, next: () => JsOnly } })(
  class {},
) as new () => {
  id: number;
  next: object | null;
};

const pools = testPools();
const options = { root: Main, classes: [Circle, JsOnly] };

function open() {
  const pool = pools.open(options);
  return { pool, root: pool.root(Main) };
}

describe('an instance looks like a plain object', () => {
  it('to keys, entries, spread, in, hasOwn, for-in', () => {
    const { pool } = open();
    const point = pool.create(Point, { x: 1, y: 2 });
    expect(Object.keys(point)).toEqual(['x', 'y']);
    expect(Object.entries(point)).toEqual([
      ['x', 1],
      ['y', 2],
    ]);
    expect({ ...point }).toEqual({ x: 1, y: 2 });
    expect(Object.assign({}, point)).toEqual({ x: 1, y: 2 });
    expect(['x' in point, 'sum' in point, 'z' in point, 'toString' in point]).toEqual([
      true,
      true,
      false,
      true,
    ]);
    expect(Object.hasOwn(point, 'x')).toBe(true);
    const seen: string[] = [];
    for (const key in point) seen.push(key);
    expect(seen.slice(0, 2)).toEqual(['x', 'y']);
    const { x, ...rest } = point;
    expect([x, rest]).toEqual([1, { y: 2 }]);
    expect(Object.getOwnPropertySymbols(point)).toEqual([]);
  });

  it('to JSON, toPlain, structuredClone and equality', () => {
    const { pool, root } = open();
    const point = pool.create(Point, { x: 1, y: 2 });
    pool.txn(() => {
      root.point = point;
      root.lists.set('a', [1, 2] as never);
      root.jobs.enqueue('j');
      root.when = new Date(5);
    });
    expect(JSON.parse(JSON.stringify(root))).toMatchObject({
      point: { x: 1, y: 2 },
      lists: { a: [1, 2] },
      jobs: ['j'],
      fixed: [0, 0, 0],
      part: { x: 0, y: 0 },
      maybe: null,
      state: 'on',
    });
    expect(point).toEqual({ x: 1, y: 2 });
    expect(point).not.toEqual({ x: 1, y: 3 });
    expect(structuredClone(toPlain(root))).toMatchObject({
      lists: new Map([['a', [1, 2]]]),
      when: new Date(5),
    });
    pool.txn(() => {
      root.self = root;
    });
    const plain = structuredClone(toPlain(root)) as { self: unknown };
    expect(plain.self).toBe(plain);
    expect(() => JSON.stringify(root)).toThrow(/circular/i);
  });

  it('to class-transformer', () => {
    const { pool } = open();
    const point = pool.create(Point, { x: 1, y: 2 });
    expect(instanceToPlain(point)).toEqual({ x: 1, y: 2 });
    pool.txn(() => {
      const made = plainToInstance(Point, { x: 5, y: 6 });
      expect(made).toBeInstanceOf(Point);
      expect(made.sum).toBe(11);
    });
  });

  it('when it is printed: cycles, depth, nesting', () => {
    const { pool, root } = open();
    pool.txn(() => {
      root.self = root;
      root.point = pool.create(Point, { x: 1, y: 2 });
      root.shape = pool.create(Circle, { name: 'c', radius: 2, next: { name: 'n', next: { name: 'm' } } });
      root.lists.set('a', [1] as never);
    });
    expect(inspect(root.point)).toBe('Point { x: 1, y: 2 }');
    expect(inspect(root)).toMatch(/self: \[Circular Main\]/);
    expect(inspect(root)).toMatch(/lists: PersistentMap\(1\) \{ 'a' => (PersistentList\(1\) )?\[/);
    expect(inspect(root, { depth: 0 })).toMatch(/point: \[Point\]/);
    expect(inspect(root.shape, { depth: null })).toMatch(/Circle \{[\s\S]*next: Shape \{[\s\S]*next: Shape/);
    expect(inspect(pool.create(Fast, { id: 3 }))).toMatch(/^Fast \{ id: 3/);
  });

  it('refuses what a persistent object cannot have', () => {
    const { pool, root } = open();
    pool.txn(() => {
      const any = root as unknown as Record<string, unknown>;
      expectError(
        'VALUE',
        () => {
          any.typo = 1;
        },
        /Main\.typo/,
        /no such @Field/,
      );
      expectError(
        'VALUE',
        () => {
          delete any.name;
        },
        /Main\.name/,
      );
      expectError('VALUE', () => Object.defineProperty(root, 'typo', { value: 1 }), /Main\.typo/);
      expectError('VALUE', () => Object.freeze(root), /freeze/);
      expectError('VALUE', () => Object.seal(root), /seal/);
      expectError('VALUE', () => Object.setPrototypeOf(root, null), /prototype/);
      expect(delete any.typo).toBe(true);
      Object.defineProperty(root, 'id', { value: 5, writable: true, enumerable: true, configurable: true });
      expect(root.id).toBe(5);
      expectError(
        'VALUE',
        () => {
          const fast: object = new Fast();
          (fast as { typo: number }).typo = 1;
        },
        /Fast\.typo/,
      );
    });
  });
});

describe('classes', () => {
  it('methods, getters and setters work, also setters that write', () => {
    const { pool } = open();
    pool.txn(() => {
      const point = new Point();
      point.both = 4;
      expect(point.sum).toBe(8);
      expect(point.moved(3)).toBe(point);
      expect(point.x).toBe(7);
    });
  });

  it('constructors take arguments, initialisers are defaults, undeclared fields stay fields', () => {
    const { pool, root } = open();
    const { plain, named, made } = pool.txn(() => ({
      plain: new Counter(),
      named: new Counter('n'),
      made: Counter.make(),
    }));
    expect({ ...plain }).toEqual({ count: 7, label: 'none', bare: 0 });
    expect([named.label, made.label]).toEqual(['n', 'made']);
    pool.txn(() => {
      root.counter = named;
      named.bare = 3;
      named.count += 1;
    });
    pool.close();
    const again = open();
    expect({ ...again.root.counter }).toEqual({ count: 8, label: 'n', bare: 3 });
    expect(again.root.counter).toBeInstanceOf(Counter);
  });

  it('static members are shared by the class and what the decorator returns', () => {
    @Persistent()
    class Registry {
      static total = 1;
      static count(): number {
        Registry.total += 1;
        return Registry.total;
      }
      @Field(i32) declare id: number;
    }
    expect([Registry.count(), Registry.total]).toEqual([2, 2]);
    Registry.total = 10;
    expect(Registry.count()).toBe(11);
    @Persistent()
    class SubRegistry extends Registry {
      @Field(i32) declare more: number;
    }
    expect([SubRegistry.count(), SubRegistry.name, Object.getPrototypeOf(SubRegistry)]).toEqual([
      12,
      'SubRegistry',
      Registry,
    ]);
  });

  it('inheritance and polymorphic references', () => {
    const { pool, root } = open();
    pool.txn(() => {
      const circle = new Circle();
      circle.name = 'c';
      circle.radius = 2;
      circle.next = new Shape();
      root.shape = circle;
      root.shapes.push(circle, circle.next);
    });
    pool.close();
    const { root: reopened } = open();
    const circle = reopened.shape as Circle;
    expect(circle).toBeInstanceOf(Circle);
    expect(circle).toBeInstanceOf(Shape);
    expect([circle.area(), circle.radius, circle.next?.area()]).toEqual([12, 2, 0]);
    expect(reopened.shapes.at(0)).toBe(circle);
    expect(reopened.shapes.at(1)).not.toBeInstanceOf(Circle);
    expect(circle.constructor).toBe(Circle);
  });

  it('declared without decorators', () => {
    const { pool } = open();
    pool.txn(() => {
      const a = new JsOnly();
      a.id = 5;
      a.next = a;
      expect({ ...a }).toEqual({ id: 5, next: a });
      pool.named.set('js', a);
    });
    expect(pool.named.get('js', JsOnly)?.id).toBe(5);
    expectError('SCHEMA', () => pool.named.get('js', Point), /JsOnly, not a Point/);
  });

  it('direct access has the same fields, without the Proxy', () => {
    const { pool, root } = open();
    pool.txn(() => {
      const fast = new Fast();
      fast.id = 1;
      fast.name = 'x';
      fast.next = fast;
      root.fast = fast;
    });
    expect([root.fast?.id, root.fast?.name, root.fast?.next]).toEqual([1, 'x', root.fast]);
    expect(Object.keys(toPlain(root.fast) as object)).toEqual(['id', 'name', 'next']);
  });
});

describe('structure', () => {
  it('embedded structs are assigned by copy and replaced as a whole', () => {
    const { pool, root } = open();
    const { part } = root;
    const point = pool.create(Point, { x: 1, y: 2 });
    pool.txn(() => {
      root.part = point;
      point.x = 9;
    });
    expect({ ...root.part }).toEqual({ x: 1, y: 2 });
    expect(root.part).toBe(part);
    pool.txn(() => {
      root.part = { x: 5 } as Point;
    });
    expect({ ...part }).toEqual({ x: 5, y: 0 });
    expect(part.sum).toBe(5);
  });

  it('a struct that gives way to null is stale, and lives again after a rollback', () => {
    const { pool, root } = open();
    pool.txn(() => {
      root.maybe = { x: 1, y: 2 } as Point;
    });
    const maybe = root.maybe as Point;
    expect(() =>
      pool.txn(() => {
        root.maybe = null;
        expectError('STALE_OBJECT', () => maybe.x, /removed or replaced/);
        throw new Error('no');
      }),
    ).toThrow('no');
    expect(maybe.x).toBe(1);
    expect(root.maybe).toBe(maybe);
    pool.txn(() => {
      root.maybe = null;
    });
    expectError('STALE_OBJECT', () => maybe.x);
    expectError('STALE_OBJECT', () =>
      pool.txn(() => {
        maybe.x = 1;
      }),
    );
    pool.txn(() => {
      root.maybe = { x: 3 } as Point;
    });
    expect({ ...root.maybe }).toEqual({ x: 3, y: 0 });
  });

  it('containers in containers are handles of their own', () => {
    const { pool, root } = open();
    pool.txn(() => {
      root.nested.push(['a'] as never, [] as never);
      root.nested.at(1)?.push('b', 'c');
      root.lists.set('n', [] as never);
      root.lists.get('n')?.push(1, 2);
    });
    expect(toPlain(root.nested)).toEqual([['a'], ['b', 'c']]);
    expect([...(root.lists.get('n') ?? [])]).toEqual([1, 2]);
    const inner = root.nested.at(0) as PersistentList<string>;
    pool.txn(() => root.nested.splice(0, 1));
    expectError('STALE_OBJECT', () => inner.length, /removed or replaced/);
    expectError('STALE_OBJECT', () => inner.at(0));
    expect(inspect(inner)).toMatch(/PersistentList.*no longer exists/);
  });

  it('pool.create takes nested plain data, sharing and cycles', () => {
    const { pool } = open();
    const shared = { name: 'shared' };
    const plain: Record<string, unknown> = {
      id: 1,
      shape: shared,
      shapes: [shared, { name: 'b' }],
      lists: { a: [1] },
      nested: [['x']],
      part: { x: 1 },
      fixed: [1, 2, 3],
      jobs: ['j'],
    };
    plain.self = plain;
    const made = pool.create(Main, plain);
    expect(made.self).toBe(made);
    expect(made.shapes.at(0)).toBe(made.shape);
    expect(toPlain(made)).toMatchObject({
      nested: [['x']],
      lists: new Map([['a', [1]]]),
      part: { x: 1, y: 0 },
      fixed: [1, 2, 3],
      jobs: ['j'],
    });
    expectError('VALUE', () => pool.create(Main, { shape: [] } as never), /Shape/);
    expectError('VALUE', () => pool.create(Main, { id: 'x' } as never), /Main\.id/);
  });
});

describe('identity', () => {
  it('holds while the program holds the object, across garbage collections', async () => {
    setFlagsFromString('--expose-gc');
    const gc = runInNewContext('gc') as () => void;
    const { pool, root } = open();
    pool.txn(() => {
      for (let i = 0; i < 500; i += 1) root.shapes.push(pool.create(Shape, { name: `s${i}` }));
    });
    const held = root.shapes.at(123);
    const { lists } = root;
    for (let i = 0; i < 5; i += 1) {
      await new Promise((resolve) => setTimeout(resolve, 1));
      gc();
    }
    expect(root.shapes.at(123)).toBe(held);
    expect(root.lists).toBe(lists);
    expect(pool.root(Main)).toBe(root);
  });

  it('ends with a rollback: what it created is stale', () => {
    const { pool, root } = open();
    let lost: Shape | null = null;
    let inner: Shape | null = null;
    expect(() =>
      pool.txn(() => {
        lost = pool.create(Shape, { name: 'x' });
        throw new Error('no');
      }),
    ).toThrow('no');
    pool.txn(() => {
      expect(() =>
        pool.txn(() => {
          inner = new Shape();
          root.shape = inner;
          throw new Error('inner');
        }),
      ).toThrow('inner');
      expect(root.shape).toBe(null);
      expectError(
        'STALE_OBJECT',
        () => {
          root.shape = inner;
        },
        /rolled back/,
      );
    });
    for (const object of [lost, inner] as unknown as Shape[]) {
      expectError('STALE_OBJECT', () => object.name, /rolled back/, /root/);
      expectError('STALE_OBJECT', () =>
        pool.txn(() => {
          object.name = 'y';
        }),
      );
      expect(inspect(object)).toMatch(/Shape.*no longer exists/);
    }
  });
});

describe('transactions', () => {
  it('hooks run once, on the side that happened', () => {
    const { pool, root } = open();
    const calls: string[] = [];
    pool.txn(() => {
      pool.onCommit(() => calls.push('commit'));
      pool.onRollback(() => calls.push('never'));
      expect(() =>
        pool.txn(() => {
          pool.onCommit(() => calls.push('never'));
          pool.onRollback(() => calls.push('inner rollback'));
          throw new Error('inner');
        }),
      ).toThrow('inner');
      root.id = 1;
    });
    expect(calls).toEqual(['inner rollback', 'commit']);
    expect(root.id).toBe(1);
  });

  it('an async function is refused and rolled back', async () => {
    const { pool, root } = open();
    expectError(
      'TXN_ASYNC',
      () =>
        pool.txn(async () => {
          root.id = 3;
          await null;
          root.id = 4;
        }),
      /synchronous/,
      /Await/,
    );
    await new Promise((resolve) => setTimeout(resolve, 1));
    expect(root.id).toBe(0);
  });

  it("of two pools nest without getting in each other's way", () => {
    const { pool, root } = open();
    const other = pools.open(options, 'other');
    const otherRoot = other.root(Main);
    pool.txn(() => {
      root.point = new Point();
      expect(() =>
        other.txn(() => {
          otherRoot.point = new Point();
          otherRoot.point.x = 1;
          expectError('FOREIGN_OBJECT', () => {
            root.point = otherRoot.point;
          });
          throw new Error('other');
        }),
      ).toThrow('other');
      other.txn(() => {
        otherRoot.id = 2;
      });
      root.point.x = 3;
      expect(new Point()).toBeInstanceOf(Point);
    });
    expect([root.point?.x, otherRoot.id, otherRoot.point]).toEqual([3, 2, null]);
  });
});
