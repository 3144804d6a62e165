/**
 * Fault loop: the n-th flush, fence or growth fails, for n = 1, 2, 3 ... until a run has none left to fail; once, and
 * from then on. After each: the pool says that it cannot be trusted or goes on, and what is found when it is
 * opened again is a prefix of the transactions, with every acknowledged one.
 */
import { expect, it } from 'vitest';
import {
  Field,
  i32,
  list,
  map,
  Persistent,
  type PersistentList,
  type PersistentMap,
  Pool,
  type PoolOptions,
} from '../../src/index.js';
import { type FaultyOperation, SimulatedMedium } from '../../src/testing/index.js';
import { MEDIA, type MediumName, PATH, poolOptions } from './scenario.js';

@Persistent()
class FaultRoot {
  @Field(i32) declare count: number;
  @Field(list('string')) declare texts: PersistentList<string>;
  @Field(map('string', i32)) declare map: PersistentMap<string, number>;
}

const TXNS = 14;

/** Transaction number `step`: some roll back a savepoint, some grow the file, some outgrow the log. */
function body(root: FaultRoot, pool: Pool, step: number): void {
  root.count = step;
  root.texts.push(`${step}`.repeat(step % 4 === 3 ? 30_000 : 3));
  root.map.set(`key ${step}`, step);
  if (step % 3 === 0) {
    swallow('savepoint', () =>
      pool.txn(() => {
        root.texts.length = 0;
        throw new Error('savepoint');
      }),
    );
  }
  if (step > 6) root.texts.shift();
  if (step % 5 === 4) for (let at = 0; at < 40; at++) root.map.set(`key ${step}.${at}`, at);
}

function model(steps: number): string {
  const texts: string[] = [];
  const entries = new Map<string, number>();
  for (let step = 1; step <= steps; step++) {
    texts.push(`${step}`.repeat(step % 4 === 3 ? 30_000 : 3));
    entries.set(`key ${step}`, step);
    if (step > 6) texts.shift();
    if (step % 5 === 4) for (let at = 0; at < 40; at++) entries.set(`key ${step}.${at}`, at);
  }
  return JSON.stringify({ count: steps, texts, entries: [...entries] });
}

function read(pool: Pool): string {
  const { count, texts, map: entries } = pool.root(FaultRoot);
  return JSON.stringify({ count, texts: [...texts], entries: [...entries] });
}

function swallow(message: string, run: () => void): void {
  try {
    run();
  } catch (error) {
    if (!(error instanceof Error) || error.message !== message) throw error;
  }
}

const MODELS = Array.from({ length: TXNS + 1 }, (_, steps) => model(steps));

/** One run; returns whether the fault fired. */
function runWithFault(on: MediumName, operation: FaultyOperation, at: number, keepFailing: boolean): boolean {
  const what = `${on}: ${operation} ${at}${keepFailing ? ' and all later ones' : ''}`;
  const medium = new SimulatedMedium();
  const scenario = { root: FaultRoot, options: { maxSize: 2 << 20 } };
  const options: PoolOptions = { ...MEDIA[on], ...poolOptions(scenario, medium) };
  Pool.create(PATH, options).close();
  const pool = Pool.open(PATH, options);
  const root = pool.root(FaultRoot);
  const fault = medium.inject({ operation, at, keepFailing });
  let acknowledged = 0;
  let failure: unknown = null;
  for (let step = 1; step <= TXNS && failure === null; step++) {
    try {
      pool.txn(() => body(root, pool, step));
      acknowledged = step;
    } catch (error) {
      failure = error;
    }
  }
  const code = (failure as { code?: string } | null)?.code;
  if ((operation === 'grow' || operation === 'extend') && failure !== null) {
    // Nothing is lost: the transaction was rolled back, and the pool goes on.
    expect(code, what).toBe('POOL_FULL');
    expect(read(pool), what).toBe(MODELS[acknowledged]);
    expect(pool.check().ok).toBe(true);
    fault.remove();
    for (let step = acknowledged + 1; step <= TXNS; step++) pool.txn(() => body(root, pool, step));
    acknowledged = TXNS;
  } else if (failure !== null) {
    expect(['IO', 'POISONED'], what).toContain(code);
    for (let again = 0; again < 2; again++) {
      expect(() => pool.txn(() => undefined), what).toThrow(expect.objectContaining({ code: 'POISONED' }));
    }
    fault.remove();
    expect(() => pool.txn(() => undefined), what).toThrow(expect.objectContaining({ code: 'POISONED' }));
  }
  const fired = fault.fired > 0;
  fault.remove();
  try {
    pool.close();
  } catch (error) {
    // The last checkpoint came upon it; the log has everything.
    expect(error, what).toMatchObject({ code: 'IO' });
  }
  // The process ended; once the machine goes on, once it goes down too.
  for (const left of [medium, medium.fork()]) {
    const again = Pool.open(PATH, { ...options, backend: left });
    const found = MODELS.indexOf(read(again));
    const least = left !== medium && options.durability === 'relaxed' ? 0 : acknowledged;
    expect(found, what).toBeGreaterThanOrEqual(least);
    expect(found, what).toBeLessThanOrEqual(acknowledged + 1);
    expect(again.check(), what).toMatchObject({ ok: true, unreachableBlocks: 0, leakedBlocks: 0 });
    again.txn(() => body(again.root(FaultRoot), again, found + 1));
    again.close();
  }
  return fired;
}

/** Operations that a run on a medium has, and how many at least. */
const OPERATIONS: Record<MediumName, Partial<Record<FaultyOperation, number>>> = {
  'undo log': { flush: 50, fence: 50, grow: 2 },
  'redo log on a disk': { walWrite: 14, walSync: 14, pageWrite: 2, pageSync: 2, extend: 2, grow: 2 },
  'redo log on a disk, relaxed': { walWrite: 14, walSync: 3, pageWrite: 2, pageSync: 2, extend: 2, grow: 2 },
  'redo log in persistent memory': {
    walWrite: 14,
    walSync: 14,
    pageWrite: 2,
    pageSync: 2,
    extend: 2,
    grow: 2,
  },
};

for (const [medium, operations] of Object.entries(OPERATIONS)) {
  for (const [operation, least] of Object.entries(operations)) {
    it.each([false, true])(`${medium}: ${operation} number n fails, later ones too: %s`, (keepFailing) => {
      let at = 1;
      while (runWithFault(medium as MediumName, operation as FaultyOperation, at, keepFailing)) at += 1;
      expect(at).toBeGreaterThan(least);
    });
  }
}

const RECOVERY = ['flush', 'fence', 'walSync', 'walWrite'] as const;

it.each(Object.keys(MEDIA) as MediumName[])('%s: fails opening, not the pool, when recovery fails', (on) => {
  for (const operation of RECOVERY) {
    for (let at = 1, fired = true; fired; at++) {
      const medium = new SimulatedMedium();
      const options: PoolOptions = { ...MEDIA[on], ...poolOptions({ root: FaultRoot }, medium) };
      const pool = Pool.open(PATH, options);
      pool.txn(() => body(pool.root(FaultRoot), pool, 1));
      const death = () =>
        pool.txn(() => {
          body(pool.root(FaultRoot), pool, 2);
          medium.killProcess();
        });
      expect(death).toThrow(/closed|flush|detached/);
      const fault = medium.inject({ operation, at });
      let opened: Pool | null = null;
      try {
        opened = Pool.open(PATH, options);
      } catch (error) {
        expect(error).toMatchObject({ code: 'IO' });
      }
      fired = fault.fired > 0;
      fault.remove();
      opened?.close();
      const again = Pool.open(PATH, options);
      expect(MODELS.indexOf(read(again)), `${operation} ${at}`).toBe(1);
      again.close();
    }
  }
});
