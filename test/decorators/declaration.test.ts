/** Declarations that cannot work are refused where they stand, with the fix in the message. */
import 'reflect-metadata';
import { describe, expect, it } from 'vitest';
import {
  embedded,
  enumOf,
  Field,
  fixedArray,
  i32,
  list,
  map,
  nullable,
  Persistent,
  type Pool,
  typedArray,
} from '../../src/index.js';
import { layoutOf } from '../../src/layout/index.js';
import { expectError, testPools } from '../pool/helpers.js';

const pools = testPools();

function expectRefused(declare: () => unknown, ...patterns: RegExp[]): void {
  expectError('DECLARATION', declare, ...patterns);
}

describe('@Field refuses', () => {
  it('types that the compiler does not tell', () => {
    expectRefused(
      () => {
        class Bad {
          @Field() declare list: number[];
        }
        return Bad;
      },
      /Bad\.list is of type Array/,
      /several things/,
      /@Field\(/,
    );
    expectRefused(() => {
      class Bad {
        @Field() declare union: string | number;
      }
      return Bad;
    }, /Bad\.union is of type Object/);
    expectRefused(() => {
      class Bad {
        @Field() declare any: unknown;
      }
      return Bad;
    }, /Bad\.any/);
    expectRefused(
      () => {
        class Bad {}
        Field()(Bad.prototype, 'plain');
      },
      /Bad\.plain has no type/,
      /reflect-metadata/,
      /emitDecoratorMetadata/,
    );
  });

  it('what is no type', () => {
    expectRefused(() => Field('int' as never)({}, 'a'), /Object\.a: int is not a field type/);
    expectRefused(() => Field(5 as never)({}, 'a'), /5 is not a field type/);
    expectRefused(() => Field(null as never)({}, 'a'), /null is not a field type/);
    expectRefused(() => Field({ kind: 'i33' } as never)({}, 'a'), /not a field type/);
    expectRefused(() => Field(undefined)(class Bad {}.prototype, 'a'), /Bad\.a.*undefined.*circular/);
    class Plain {}
    expectRefused(() => Field(Plain)({}, 'a'), /Plain is not a field type/, /\(\) => Plain/, /@Persistent/);
  });

  it('static, symbol, twice decorated and impossible names', () => {
    expectRefused(() => {
      class Bad {
        @Field(i32) static count: number;
        instance = 1;
      }
      return Bad;
    }, /Bad\.count is static/);
    expectRefused(() => Field(i32)(class Bad {}.prototype, Symbol('key')), /Symbol\(key\)/, /string name/);
    expectRefused(() => {
      class Bad {
        @Field(i32) @Field(i32) declare count: number;
      }
      return Bad;
    }, /Bad\.count is decorated twice/);
    expectRefused(
      () => Field(i32)(class Bad {}.prototype, 'constructor'),
      /constructor.*cannot have this name/,
    );
  });

  it('accessors and methods', () => {
    expectRefused(
      () => {
        class Bad {
          @Field(i32) get count() {
            return 1;
          }
        }
        return Bad;
      },
      /Bad\.count/,
      /getter|accessor/,
    );
    expectRefused(
      () => {
        class Bad {
          @Field(i32 as never) count() {
            return 1;
          }
        }
        return Bad;
      },
      /Bad\.count/,
      /method|accessor/,
    );
  });

  it('impossible element types and lengths', () => {
    expectRefused(() => fixedArray(i32, 0), /length 0/);
    expectRefused(() => fixedArray(i32, 1.5), /length 1.5/);
    expectRefused(() => fixedArray(list(i32), 2), /list cannot be an element/);
    expectRefused(() => enumOf([]), /1 to 65536/);
    expectRefused(() => enumOf(['a', 'a']), /different/);
    expectRefused(() => typedArray('Float16Array' as never), /Float16Array/, /Float64Array/);
    expectRefused(() => list(undefined as never), /undefined is not a field type/);
  });
});

describe('@Persistent refuses', () => {
  it('use without call, no class, no name, twice', () => {
    expectRefused(() => Persistent(class Bad {} as never), /write @Persistent\(\)/);
    expectRefused(() => Persistent()(5 as never), /decorates a class/);
    const standard = Persistent() as (target: unknown, context: unknown) => unknown;
    expectRefused(() => standard(class Bad {}, { kind: 'class' }), /TC39.*experimentalDecorators/);
    expectRefused(() => Persistent()(class {}), /no name/);
    class Twice {
      @Field(i32) declare a: number;
    }
    expectRefused(() => Persistent()(Persistent()(Twice)), /Twice.*twice/);
  });

  it('unknown options and wrong values', () => {
    class Bad {
      @Field(i32) declare a: number;
    }
    expectRefused(() => Persistent({ acess: 'direct' } as never)(Bad), /acess/);
    expectRefused(() => Persistent({ access: 'fast' } as never)(Bad), /access.*fast/);
    expectRefused(() => Persistent({ name: 5 } as never)(Bad), /name/);
    expectRefused(() => Persistent({ fields: { b: 'int' as never } })(Bad), /Bad\.b: int/);
  });

  it('a class without fields, when it is used', () => {
    const Empty = Persistent()(class Empty {});
    expectRefused(() => layoutOf(Empty), /Empty has no @Field/);
    expectRefused(() => pools.open({ root: Empty }), /Empty has no @Field/);
  });

  it('a reference to nothing, when it is used', () => {
    const nothing = () => undefined as never;
    const One = Persistent({ fields: { to: nothing } })(class One {});
    expectRefused(() => layoutOf(One), /One\.to: undefined stands where/, /imported/);
    const Many = Persistent({ fields: { to: list(nothing) } })(class Many {});
    expectRefused(() => layoutOf(Many), /Many\.to: undefined stands where/);
  });

  it('a class that embeds itself, and a field declared again by a subclass', () => {
    @Persistent()
    class Loop {
      @Field(embedded(() => Loop)) declare loop: unknown;
    }
    expectRefused(() => layoutOf(Loop), /Loop embeds itself/, /reference/);
    @Persistent()
    class Base {
      @Field(i32) declare a: number;
    }
    const Sub = Persistent({ fields: { a: i32 } })(class Sub extends Base {});
    expectRefused(() => layoutOf(Sub), /Sub\.a is declared by a base class/);
  });

  it('classes that are not decorated', () => {
    class Plain {
      a = 1;
    }
    expectRefused(() => pools.open({ root: Plain }), /Plain is not persistent/, /@Persistent\(\)/);
    @Persistent()
    class Holder {
      @Field(() => Plain) declare plain: Plain | null;
    }
    expectRefused(() => pools.open({ root: Holder }), /Plain is not persistent/);
    @Persistent()
    class Keys {
      @Field(map(() => Plain, i32)) declare plain: unknown;
    }
    expectRefused(() => pools.open({ root: Keys }), /Plain is not persistent/);
  });
});

describe('classes are used', () => {
  @Persistent()
  class Animal {
    @Field(i32) declare legs: number;
  }

  it('without new, or outside a transaction', () => {
    expect(() => (Animal as unknown as () => void)()).toThrow(/Animal cannot be called without new/);
    expectError('TXN_REQUIRED', () => new Animal(), /new Animal\(\)/, /pool\.txn/);
  });

  it('through a subclass that is not decorated', () => {
    class Dog extends Animal {}
    const pool = pools.open({ root: Animal });
    expectError('DECLARATION', () => pool.txn(() => new Dog()), /Dog extends Animal/, /decorate it/);
  });

  it('two of one name in one pool', () => {
    const make = () => {
      @Persistent({ name: 'Same' })
      class Same {
        @Field(i32) declare a: number;
      }
      return Same;
    };
    const [first, second] = [make(), make()];
    expectError(
      'SCHEMA',
      () => pools.open({ root: first, classes: [second] }),
      /two classes of the name Same/,
      /name:/,
    );
    const pool = pools.open({ root: first });
    pool.txn(() => {
      pool.root(first).a = 1;
    });
  });
});

describe('a pool of other classes', () => {
  function withClass(
    fields: Record<string, never>,
    name = 'Record',
  ): ReturnType<ReturnType<typeof Persistent>> {
    return Persistent({ name, fields })(class Record {});
  }
  let count = 0;
  function reopen(before: object, after: object, name = 'Record'): () => Pool {
    count += 1;
    const file = `record ${count}`;
    pools.open({ root: withClass(before as never) }, file).close();
    return () => pools.open({ root: withClass(after as never, name) }, file);
  }

  it('names class and field, and says what to do', () => {
    const advice = /class as it was|migrate/;
    expectError(
      'SCHEMA',
      reopen({ a: i32 }, { a: 'string' }),
      /class Record/,
      /field a was i32 and is now string/,
      advice,
    );
    expectError(
      'SCHEMA',
      reopen({ a: i32, b: i32 }, { a: i32 }),
      /class Record/,
      /field b \(i32\) is no longer declared/,
      advice,
    );
    expectError(
      'SCHEMA',
      reopen({ a: i32 }, { a: i32, b: nullable(i32) }),
      /class Record/,
      /field b \(i32\?\) is new/,
      advice,
    );
    expectError(
      'SCHEMA',
      reopen({ a: i32, b: i32 }, { b: i32, a: i32 }),
      /class Record/,
      /order of its fields/,
      advice,
    );
    expectError(
      'SCHEMA',
      reopen({ a: i32 }, { a: i32 }, 'Other'),
      /holds objects of class Record|root .* is a Record/,
      /Other|classes/,
    );
  });

  it('the same class defined again opens', () => {
    reopen({ a: i32, b: 'string' }, { a: i32, b: 'string' })();
  });
});
