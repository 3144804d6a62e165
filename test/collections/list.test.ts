import { inspect } from 'node:util';
import { describe, expect, it } from 'vitest';
import { listOps, type PersistentList } from '../../src/collections/index.js';
import { Container } from '../../src/instance/index.js';
import { f64, i32, listOf, range, ref, setup, text } from './list-setup.js';
import { placeOf, type TestObject } from './test-runtime.js';

describe('a list read like an array', () => {
  it('gives the elements by index, at, iteration and JSON', () => {
    const { list, txn } = setup<number>(i32);
    expect(list.length).toBe(0);
    expect(list[0]).toBeUndefined();
    expect(txn(() => list.push(1, 2, 3))).toBe(3);
    expect(list[0]).toBe(1);
    expect(list[2]).toBe(3);
    expect(list[3]).toBeUndefined();
    expect(list[-1]).toBeUndefined();
    expect((list as unknown as Record<string, unknown>)['01']).toBeUndefined();
    expect([list.at(-1), list.at(1.7), list.at(3), list.at(Number.NaN)]).toEqual([3, 2, undefined, 1]);
    expect([...list]).toEqual([1, 2, 3]);
    expect([...list.keys()]).toEqual([0, 1, 2]);
    expect([...list.entries()]).toEqual([
      [0, 1],
      [1, 2],
      [2, 3],
    ]);
    expect(JSON.stringify({ list })).toBe('{"list":[1,2,3]}');
    expect(`${list}`).toBe('1,2,3');
    expect(list.toLocaleString()).toBe('1,2,3');
    expect(Object.prototype.toString.call(list)).toBe('[object PersistentList]');
    expect(list instanceof Container).toBe(true);
    expect(Object.keys(list)).toEqual([]);
  });

  it('has the reading methods of an array', () => {
    const { list, txn } = setup<number>(f64);
    const array = [5, 3, Number.NaN, 8, 3, 1];
    txn(() => list.push(...array));
    const even = (value: number): boolean => value % 2 === 0;
    const same = (use: (it: number[]) => unknown): void =>
      expect(use(list as unknown as number[])).toEqual(use(array));
    same((it) => it.indexOf(3));
    same((it) => it.indexOf(3, -2));
    same((it) => it.indexOf(Number.NaN));
    same((it) => it.lastIndexOf(3));
    same((it) => it.lastIndexOf(3, 3));
    same((it) => it.lastIndexOf(3, -4));
    same((it) => it.includes(Number.NaN));
    same((it) => it.includes(9));
    same((it) => it.find(even));
    same((it) => it.findIndex(even));
    same((it) => it.findLast((value) => value > 2));
    same((it) => it.findLastIndex((value) => value > 100));
    same((it) => it.filter((_, index) => index % 2 === 1));
    same((it) => it.map((value, index) => value * index));
    same((it) => it.flatMap((value) => [value, [value]]));
    same((it) => it.reduce((sum, value) => sum + value));
    same((it) => it.reduceRight((text, value, index) => `${text}${index}:${value} `, ''));
    same((it) => it.some(even));
    same((it) => it.every(even));
    same((it) => it.join('-'));
    same((it) => it.slice(1, -1));
    same((it) => it.concat([1], 2, [[3]] as never));
    same((it) => [it.toReversed(), it.toSorted((a, b) => b - a), it.toSpliced(1, 2, 9), it.with(-1, 7)]);
    same((it) => it.toSpliced(-2));
    expect(list.concat(list)).toEqual(array.concat(array));
    expect(() => list.with(6, 1)).toThrow(RangeError);
    let seen = 0;
    list.forEach((value, index, owner) => {
      expect(owner).toBe(list);
      expect(value).toBe(array[index]);
      seen++;
    });
    expect(seen).toBe(6);
    txn(() => list.clear());
    expect(() => list.reduce((a) => a)).toThrow(TypeError);
    expect(list.reduce((a) => a, 4)).toBe(4);
  });

  it('prints its name, length and elements', () => {
    const { list, txn } = setup<number>(i32);
    txn(() => list.push(...range(200)));
    expect(inspect(list, { maxArrayLength: 3 })).toBe('PersistentList(200) [ 0, 1, 2, ... 197 more items ]');
    expect(inspect({ a: { b: { c: list } } })).toContain('[PersistentList]');
    txn(() => list.splice(2));
    expect(inspect(list)).toBe('PersistentList(2) [ 0, 1 ]');
  });

  it('compares objects by identity', () => {
    const { runtime, list, txn } = setup<TestObject | null>(ref);
    const [a, b] = [runtime.object('a'), runtime.object('b')];
    txn(() => list.push(a, null, b));
    expect(list[0]).toBe(a);
    expect(list.indexOf(b)).toBe(2);
    expect(list.includes(null)).toBe(true);
    expect(list.lastIndexOf(runtime.object('a'))).toBe(-1);
  });

  it('iterates as an array does while it changes', () => {
    const run = (
      list: { push(v: number): number; shift(): number | undefined } & Iterable<number>,
    ): number[] => {
      const seen: number[] = [];
      for (const value of list) {
        seen.push(value);
        if (value === 2) list.push(10);
        if (value === 3) list.shift();
      }
      return seen;
    };
    const { list, txn } = setup<number>(i32);
    txn(() => list.push(1, 2, 3, 4, 5));
    expect(txn(() => run(list))).toEqual(run([1, 2, 3, 4, 5]));
    expect(list.map((value) => value)).toEqual([2, 3, 4, 5, 10]);
    const visited: number[] = [];
    txn(() =>
      list.forEach((value) => {
        visited.push(value);
        list.pop();
      }),
    );
    expect(visited).toEqual([2, 3, 4]);
  });
});

describe('a list refuses', () => {
  it('values of the wrong type, before anything changes', () => {
    const { list, txn } = setup<number>(i32);
    txn(() => list.push(1, 2, 3));
    const bad = 'x' as unknown as number;
    for (const use of [
      () => list.push(4, bad),
      () => list.unshift(4, bad),
      () => list.insert(1, 4, bad),
      () => list.splice(0, 2, 4, bad),
      () => list.fill(bad),
      () => {
        list[1] = bad;
      },
      () => listOps.assign(list, [1, bad]),
      () => listOps.checkContents(placeOf(list).binding as never, [1, bad]),
    ]) {
      txn(() => expect(use).toThrow(/Root.items element/));
      expect(list.toArray()).toEqual([1, 2, 3]);
    }
  });

  it('holes, growth by length, unknown properties and `in`', () => {
    const { list, txn } = setup<number>(i32);
    const loose = list as unknown as Record<string, unknown>;
    txn(() => {
      list.push(1, 2);
      list[2] = 3;
      expect(() => {
        list[4] = 5;
      }).toThrow(/beyond the end/);
      expect(() => {
        list.length = 4;
      }).toThrow(/shorter/);
      expect(() => {
        list.length = -1;
      }).toThrow(/shorter/);
      expect(() => list.insert(4, 1)).toThrow(/insert at 4/);
      expect(() => list.insert(0.5, 1)).toThrow(/insert at 0.5/);
      for (const key of ['name', '-1', '1.5', '01', '4294967295']) {
        expect(() => {
          loose[key] = 1;
        }).toThrow(/cannot be set/);
      }
    });
    expect(() => 1 in list).toThrow(/compare the index with its length/);
    expect('push' in list).toBe(true);
    expect('nothing' in list).toBe(false);
    expect(loose.nothing).toBeUndefined();
    expect(list.toArray()).toEqual([1, 2, 3]);
  });

  it('writes outside a transaction', () => {
    const { runtime, list } = setup<number>(i32);
    for (const use of [() => list.push(1), () => list.insert(0, 1), () => list.push(1, 2)])
      expect(use).toThrow(/outside/);
    runtime.transact(() => list.push(1, 2));
    for (const use of [
      () => list.pop(),
      () => list.shift(),
      () => list.clear(),
      () => list.reverse(),
      () => list.fill(3),
      () => {
        list[0] = 4;
      },
    ]) {
      expect(use).toThrow(/outside/);
    }
    expect(list.toArray()).toEqual([1, 2]);
  });

  it('iterables that can be read only once', () => {
    const { list, txn } = setup<number>(i32);
    txn(() => listOps.assign(list, new Set([1, 2])));
    expect(list.toArray()).toEqual([1, 2]);
    txn(() => listOps.assign(list, list));
    txn(() => listOps.assign(list, new Int16Array([3, 4])));
    expect(list.toArray()).toEqual([3, 4]);
    for (const value of [[1].values(), 5, null, { length: 0 }]) {
      expect(() => listOps.checkContents(placeOf(list).binding as never, value)).toThrow(/array/);
    }
  });

  it('use after the pool was closed', () => {
    const { runtime, list, txn } = setup<number>(i32);
    txn(() => list.push(1));
    expect(list.at(0)).toBe(1);
    runtime.close();
    expect(() => list.at(0)).toThrow(/closed/);
    expect(() => list.length).toThrow(/closed/);
    expect(() => list[0]).toThrow(/closed/);
  });
});

describe('sorting a list', () => {
  it('is stable and moves owned values without copying them', () => {
    const { runtime, list, txn } = setup<string>(text);
    const words = range(300).map((i) => `${(i * 7919) % 20}-${i}`);
    txn(() => list.push(...words));
    const byHead = (a: string, b: string): number => Number.parseInt(a, 10) - Number.parseInt(b, 10);
    txn(() => list.sort(byHead));
    expect(runtime.stats.allocations + runtime.stats.frees).toBe(0);
    expect(list.toArray()).toEqual(words.toSorted(byHead));
    txn(() => list.sort());
    expect(list.toArray()).toEqual(words.toSorted());
    txn(() => list.reverse());
    expect(list.toArray()).toEqual(words.toSorted().reverse());
  });

  it('leaves the list unchanged when the comparator throws or changes it', () => {
    const { list, txn } = setup<string>(text);
    txn(() => list.push('c', 'a', 'b'));
    txn(() => {
      expect(() =>
        list.sort(() => {
          throw new Error('no order');
        }),
      ).toThrow('no order');
      expect(() => list.sort((a, b) => (list.pop() === a ? -1 : a < b ? 0 : 1))).toThrow(
        /while it was being sorted/,
      );
      expect(() => list.sort(5 as never)).toThrow(TypeError);
    });
    expect(list.toArray().includes('c')).toBe(true);
  });
});

describe('the memory of a list', () => {
  it('is small for a small list and grows', () => {
    const { runtime, list, txn } = setup<number>(f64);
    txn(() => list.push(1));
    expect([...runtime.blocks.values()]).toEqual([32, 48]);
    txn(() => list.push(...range(60)));
    expect([...runtime.blocks.values()]).toEqual([32, 544]);
    txn(() => list.clear());
    expect([...runtime.blocks.values()]).toEqual([32]);
  });

  it('logs little: appends, stores and pops touch a slot and the header', () => {
    const { runtime, list, txn } = setup<number>(f64);
    txn(() => list.push(...range(10_000)));
    txn(() => list.push(1));
    expect(runtime.stats).toMatchObject({ snapshotBytes: 32, snapshots: 1, fresh: 1 });
    txn(() => {
      list[5000] = 1;
    });
    expect(runtime.stats).toMatchObject({ snapshotBytes: 16, snapshots: 1, fresh: 0 });
    txn(() => list.pop());
    expect(runtime.stats).toMatchObject({ snapshots: 2, fresh: 0 });
    txn(() => list.splice(5000, 1));
    expect(runtime.stats.snapshotBytes).toBeLessThan(700);
  });

  it('puts back slots that were vacated by a split or a removal and stored to again', () => {
    const { runtime, list, txn } = setup<number>(f64);
    txn(() => list.push(...range(67)));
    runtime.attempt(() => {
      list.insert(30, -1);
      list.length = 32;
      list.push(...range(30, 1000));
    });
    expect(list.toArray()).toEqual(range(67));
    runtime.attempt(() => {
      runtime.transact(() => list.pop());
      runtime.transact(() => list.push(5));
      runtime.attempt(() => list.splice(60));
      list.splice(10, 50);
      list.push(...range(30, 1000));
    });
    expect(list.toArray()).toEqual(range(67));
    txn(() => list.push(67));
  });

  it('stays dense when elements are removed from it', () => {
    const { runtime, list, txn } = setup<number>(i32, { bytes: 1 << 22 });
    txn(() => list.push(...range(20_000)));
    const model = range(20_000);
    let seed = 7;
    while (model.length > 500) {
      txn(() => {
        for (let i = 0; i < 100; i++) {
          seed = (seed * 1103515245 + 12345) % 2 ** 31;
          model.splice(seed % model.length, 3);
          list.splice(seed % list.length, 3);
        }
      });
    }
    expect(list.toArray()).toEqual(model);
    const bytes = [...runtime.blocks.values()].reduce((sum, size) => sum + size);
    expect(bytes).toBeLessThan(model.length * 4 * 5);
  });

  it('fails cleanly at any allocation when the pool is full', () => {
    for (let failAt = 0; failAt < 40; failAt++) {
      const { runtime, list, txn } = setup<string>(text);
      const before = range(200).map(String);
      txn(() => list.push(...before));
      runtime.allocationsLeft = failAt;
      let failed = false;
      try {
        txn(() => {
          list.splice(50, 10, ...range(30, 1000).map(String));
          list.unshift('x');
          list[3] = 'y';
        });
      } catch (error) {
        expect((error as { code: string }).code).toBe('POOL_FULL');
        failed = true;
      }
      runtime.allocationsLeft = Number.POSITIVE_INFINITY;
      if (failed) expect(list.toArray()).toEqual(before);
      txn(() => list.push('more'));
      expect(list.at(-1)).toBe('more');
    }
  });
});

describe('lists of lists', () => {
  it('own their elements', () => {
    const { list, txn } = setup<PersistentList<string>>(listOf(text));
    const loose = list as unknown as { push(...v: unknown[]): number; [index: number]: unknown };
    txn(() => loose.push(['a', 'b'], [], ['c']));
    expect(JSON.stringify(list)).toBe('[["a","b"],[],["c"]]');
    txn(() => list[1]?.push('d'));
    txn(() => {
      loose[0] = list[2];
      list.splice(2, 1);
    });
    expect(JSON.stringify(list)).toBe('[["c"],["d"]]');
    txn(() => list.clear());
  });

  it('are closed to changes while an element is being stored', () => {
    const { list, txn } = setup<PersistentList<string>>(listOf(text));
    const sly: string[] = ['a'];
    Object.defineProperty(sly, '0', { get: () => `${list.pop()}` });
    txn(() => (list as unknown as { push(v: unknown): void }).push(['x']));
    let pops = 0;
    Object.defineProperty(sly, '0', {
      configurable: true,
      get: () => {
        pops++;
        if (pops === 2) list.pop();
        return 'a';
      },
    });
    expect(() => txn(() => (list as unknown as { push(v: unknown): void }).push(sly))).toThrow();
    expect(JSON.stringify(list)).toBe('[["x"]]');
  });
});
