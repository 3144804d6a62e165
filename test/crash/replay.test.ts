/**
 * Power failure while a pool is recovered whose log was not durable, though it could be read: after a sync that failed
 * the kernel takes what it could not write for written, and after the death of a process nobody has synced.
 */
import { describe, expect, it } from 'vitest';
import {
  Field,
  i32,
  list,
  Persistent,
  type PersistentList,
  Pool,
  type PoolOptions,
} from '../../src/index.js';
import type { MemoryBackend } from '../../src/memory/index.js';
import { exploreCrashes, type FaultyOperation, SimulatedMedium } from '../../src/testing/index.js';

const PATH = 'replay.pool';
const COUNT = 20_000;
const APART = 10_000;

@Persistent()
class Numbers {
  @Field(list(i32)) declare items: PersistentList<number>;
}

const OPTIONS: PoolOptions = {
  root: Numbers,
  domain: 'block',
  maxSize: 1 << 22,
  uuid: new Uint8Array(16).fill(7),
};

function open(backend: MemoryBackend, durability: 'strict' | 'relaxed'): Pool {
  return Pool.open(PATH, { ...OPTIONS, backend, durability, flushInterval: 0 });
}

/** Transactions that change two pages each, the last of which may fail; then the process dies. */
function die(medium: SimulatedMedium, durability: 'strict' | 'relaxed', fails: FaultyOperation | null): void {
  // In a log of its own, whose records do not put back what later ones lose.
  using empty = open(medium, durability);
  empty.txn(() => empty.root(Numbers).items.push(...new Array<number>(COUNT).fill(0)));
  empty.close();
  const pool = open(medium, durability);
  const { items } = pool.root(Numbers);
  for (let i = 1; i <= 4; i += 1) {
    const fault = i === 4 && fails !== null ? medium.inject({ operation: fails, at: 1 }) : null;
    const write = (): void =>
      pool.txn(() => {
        items[100 * i] = i;
        items[APART + 100 * i] = i;
      });
    if (fault === null) write();
    else expect(write).toThrow(/nothing is written any more|fault|fail/i);
    fault?.remove();
  }
  medium.killProcess();
}

describe.each([
  ['strict', 'walSync'],
  ['strict', null],
  ['relaxed', null],
] as const)('%s, failing: %s', (durability, fails) => {
  it('leaves whole transactions', () => {
    const medium = new SimulatedMedium();
    die(medium, durability, fails);
    const report = exploreCrashes<number>({
      medium,
      imagesPerInstant: 64,
      workload: (backend) => open(backend, durability),
      verify: (image) => {
        const { items } = open(image, durability).root(Numbers);
        const found = [1, 2, 3, 4].map((i) => `${items[100 * i]}${items[APART + 100 * i]}`);
        const count = found.filter((pair) => pair !== '00').length;
        const expected = [1, 2, 3, 4].map((i) => (i <= count ? `${i}${i}` : '00'));
        expect(found).toEqual(expected);
        if (durability === 'strict') expect(count).toBeGreaterThanOrEqual(3);
      },
    });
    expect(report.violations).toEqual([]);
    expect(report.images).toBeGreaterThan(4);
  });
});
