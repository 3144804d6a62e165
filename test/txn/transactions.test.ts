/** What a program sees of transactions: stamps, hooks, dooming, promises, two pools at once, refusals. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { TxnParticipant } from '../../src/heap/index.js';
import { Field, i32, list, Persistent, type PersistentList, Pool } from '../../src/index.js';
import { SimulatedMedium } from '../../src/testing/index.js';
import { Health } from '../../src/txn/health.js';
import { runningTransaction, Transactions, type TxnLog } from '../../src/txn/index.js';

@Persistent()
class TxnRoot {
  @Field(i32) declare a: number;
  @Field(i32) declare b: number;
  @Field(list('string')) declare texts: PersistentList<string>;
}

const medium = new SimulatedMedium();
let pool: Pool;
let root: TxnRoot;

function create(path: string, maxSize = 1 << 20): Pool {
  return Pool.create(path, { root: TxnRoot, backend: medium, maxSize, logSize: 4096 });
}

let number = 0;
beforeEach(() => {
  pool = create(`txn-${number++}.pool`);
  root = pool.root(TxnRoot);
});
afterEach(() => {
  expect(pool.check()).toMatchObject({ ok: true, unreachableBlocks: 0 });
  pool.close();
});

const code = (expected: string) => expect.objectContaining({ code: expected });

function failing(body: () => void): () => void {
  return () => {
    body();
    throw new Error('failing');
  };
}

describe('hooks', () => {
  it('run after the end, in order, those of commit or those of rollback', () => {
    const heard: string[] = [];
    const listen = (name: string) => {
      pool.onCommit(() => heard.push(`committed ${name}, in a transaction: ${pool.inTxn}`));
      pool.onRollback(() => heard.push(`rolled back ${name}, in a transaction: ${pool.inTxn}`));
    };
    pool.txn(() => {
      listen('first');
      expect(() => pool.txn(failing(() => listen('savepoint')))).toThrow('failing');
      pool.txn(() => listen('kept'));
      listen('last');
    });
    expect(heard).toEqual([
      'rolled back savepoint, in a transaction: true',
      'committed first, in a transaction: false',
      'committed kept, in a transaction: false',
      'committed last, in a transaction: false',
    ]);
    heard.length = 0;
    expect(() => pool.txn(failing(() => listen('all')))).toThrow('failing');
    expect(heard).toEqual(['rolled back all, in a transaction: false']);
  });

  it('may start transactions, and see what was committed', () => {
    pool.txn(() => {
      root.a = 1;
      pool.onCommit(() => pool.txn(() => (root.b = root.a + 1)));
    });
    expect([root.a, root.b]).toEqual([1, 2]);
  });

  it('all run, whatever one of them throws; its error reaches the caller, and the changes stay', () => {
    let ran = 0;
    const run = () =>
      pool.txn(() => {
        root.a = 5;
        pool.onCommit(() => {
          throw new Error('hook');
        });
        pool.onCommit(() => ran++);
      });
    expect(run).toThrow('hook');
    expect([root.a, ran]).toEqual([5, 1]);
    pool.txn(() => (root.b = 1));
  });

  it('that throw after a rollback leave the error that caused it alone', async () => {
    const others = process.listeners('uncaughtException');
    process.removeAllListeners('uncaughtException');
    const uncaught = new Promise((resolve) => process.once('uncaughtException', resolve));
    try {
      const run = () =>
        pool.txn(() => {
          pool.onRollback(() => {
            throw new Error('hook');
          });
          throw new Error('cause');
        });
      expect(run).toThrow('cause');
      expect(await uncaught).toEqual(new Error('hook'));
    } finally {
      for (const listener of others) process.on('uncaughtException', listener);
    }
  });

  it('need a transaction', () => {
    expect(() => pool.onCommit(() => undefined)).toThrow(code('TXN_REQUIRED'));
    expect(() => pool.onRollback(() => undefined)).toThrow(code('TXN_REQUIRED'));
  });
});

describe('a function that returns a promise', () => {
  it('is refused and rolled back, and so is its write after an await', async () => {
    let late: unknown = null;
    const run = () =>
      pool.txn(async () => {
        root.a = 1;
        await null;
        try {
          root.a = 2;
        } catch (error) {
          late = error;
          throw error;
        }
      });
    expect(run).toThrow(code('TXN_ASYNC'));
    expect(root.a).toBe(0);
    await new Promise((resolve) => setTimeout(resolve, 1));
    expect(late).toEqual(code('TXN_REQUIRED'));
    expect(root.a).toBe(0);
  });

  it('is refused as a savepoint too, which alone is rolled back', () => {
    pool.txn(() => {
      root.a = 1;
      expect(() => pool.txn(async () => (root.b = 2))).toThrow(code('TXN_ASYNC'));
    });
    expect([root.a, root.b]).toEqual([1, 0]);
  });
});

describe('an operation that found no space', () => {
  const tooLong = 'x'.repeat(2 << 20);

  it('dooms the transaction, even if the program swallows the error', () => {
    const run = () =>
      pool.txn(() => {
        root.a = 1;
        expect(() => root.texts.push(tooLong)).toThrow(code('POOL_FULL'));
        root.b = 1;
        return 'done';
      });
    expect(run).toThrow(code('POOL_FULL'));
    expect([root.a, root.b, root.texts.length]).toEqual([0, 0, 0]);
  });

  it('dooms the innermost savepoint only', () => {
    pool.txn(() => {
      root.a = 1;
      const inner = () =>
        pool.txn(() => {
          root.a = 2;
          expect(() => root.texts.push(tooLong)).toThrow(code('POOL_FULL'));
          expect(() => pool.txn(() => undefined)).toThrow(code('POOL_FULL'));
        });
      expect(inner).toThrow(code('POOL_FULL'));
      root.b = root.a;
    });
    expect([root.a, root.b]).toEqual([1, 1]);
  });
});

describe('two pools', () => {
  it('have transactions of their own, nested in each other', () => {
    const other = create(`other-${number}.pool`);
    const otherRoot = other.root(TxnRoot);
    const run = () =>
      pool.txn(() => {
        root.a = 1;
        other.txn(() => {
          otherRoot.a = 2;
          expect(runningTransaction()?.active).toBe(true);
          pool.txn(() => (root.b = 3));
          expect(() => pool.txn(failing(() => (root.b = 4)))).toThrow('failing');
        });
        expect(root.b).toBe(3);
        expect(() => (otherRoot.a = 5)).toThrow(code('TXN_REQUIRED'));
        throw new Error('failing');
      });
    expect(run).toThrow('failing');
    expect(runningTransaction()).toBe(null);
    expect([root.a, root.b]).toEqual([0, 0]);
    expect(otherRoot.a).toBe(2);
    other.close();
  });
});

it('refuses to close within a transaction, and goes on', () => {
  pool.txn(() => {
    root.a = 1;
    expect(() => pool.close()).toThrow(code('OPTION'));
  });
  expect(root.a).toBe(1);
});

it('throws what the body throws, unchanged, be it no error at all', () => {
  let caught: unknown;
  try {
    pool.txn(() => {
      root.a = 1;
      throw undefined;
    });
  } catch (error) {
    caught = error ?? 'undefined';
  }
  expect(caught).toBe('undefined');
  expect(root.a).toBe(0);
});

/** A log that does nothing: what is tested with it is bookkeeping in memory. */
const noLog: TxnLog = {
  kind: 'undo',
  health: new Health(),
  isDue: false,
  snapshot: () => undefined,
  fresh: () => undefined,
  mark: () => ({ records: 0 }),
  rollbackTo: () => undefined,
  commit: () => undefined,
  rollback: () => undefined,
  prepare: () => undefined,
  maintain: () => undefined,
  durable: () => null,
  flush: () => undefined,
  end: () => undefined,
  close: () => undefined,
};

describe('stamps', () => {
  it('never come again, in billions of transactions', () => {
    const first = 2 ** 31 - 2;
    let logged = 0;
    const txn = new Transactions({ ...noLog, snapshot: () => (logged += 1) }, null, first);
    const stamps: number[] = [];
    for (let count = 0; count < 4; count++) {
      txn.run(() => {
        txn.snapshot(1, 1);
        txn.snapshot(1, 1);
        stamps.push(txn.stamp);
      });
    }
    expect(stamps).toEqual([first + 1, first + 2, first + 3, first + 4]);
    expect(logged).toBe(4);
    expect(txn.stamp).toBe(-1);
  });

  it('of savepoints are their own', () => {
    const txn = new Transactions(noLog, null, 2 ** 30 - 1);
    const stamps: number[] = [];
    txn.run(() => {
      stamps.push(txn.stamp);
      txn.run(() => stamps.push(txn.stamp));
      stamps.push(txn.stamp);
      expect(() => txn.run(failing(() => stamps.push(txn.stamp)))).toThrow('failing');
      stamps.push(txn.stamp);
    });
    expect(stamps).toEqual([2 ** 30, 2 ** 30 + 1, 2 ** 30, 2 ** 30 + 2, 2 ** 30]);
  });
});

it.each(['ended', 'rolledBackTo'] as const)('ends the pool when a participant fails in %s', (method) => {
  const participant: Required<Pick<TxnParticipant, 'mark' | 'rolledBackTo' | 'ended'>> = {
    mark: () => 0,
    rolledBackTo: () => undefined,
    ended: () => undefined,
  };
  const txn = new Transactions({ ...noLog, health: new Health() }, null);
  const fails = (): void =>
    txn.run(() => {
      txn.enlist(participant);
      participant[method] = failing(() => undefined);
      try {
        txn.run(failing(() => undefined));
      } catch {
        // swallowed by the program
      }
      participant.rolledBackTo = () => undefined;
    });
  expect(fails).toThrow();
  participant.ended = () => undefined;
  expect(txn.healthy).toBe(false);
  expect(() => txn.run(() => undefined)).toThrow(/earlier/);
});

it('tells whoever takes part of the end once, however often it has enlisted', () => {
  const heard: string[] = [];
  const participant = {
    mark: () => 7,
    rolledBackTo: (mark: number) => heard.push(`rolled back to ${mark}`),
    ended: (committed: boolean) => heard.push(`committed: ${committed}`),
  };
  const txn = new Transactions(noLog, null);
  txn.run(() => {
    txn.enlist(participant);
    expect(() => txn.run(failing(() => txn.enlist(participant)))).toThrow('failing');
  });
  expect(heard).toEqual(['rolled back to 7', 'committed: true']);
});

describe('counts', () => {
  it('are those of outermost transactions', () => {
    const before = pool.stats().txns;
    pool.txn(() => pool.txn(() => (root.a = 1)));
    expect(() => pool.txn(failing(() => (root.a = 2)))).toThrow('failing');
    const after = pool.stats().txns;
    expect(after.committed - before.committed).toBe(1);
    expect(after.rolledBack - before.rolledBack).toBe(1);
  });
});
