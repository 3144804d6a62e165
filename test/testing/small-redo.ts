/**
 * The smallest redo log that needs every step: two numbers, X and Y, in different pages of a pool, always equal after a
 * commit. Pool: page 0 names the log (a word), X in page 1, Y in page 2. Log: two headers, then a ring of records; record
 * and header end in a sum. Recovery takes the newer header and replays from its tail.
 */
import {
  type Memory,
  type MemoryBackend,
  STEP,
  type Step,
  type WriteAheadLog,
} from '../../src/memory/index.js';
import type { CrashContext, SimulatedMedium, WorkloadLog } from '../../src/testing/index.js';
import { created, type How, open } from './helpers.js';

const PAGE = 4096;
export const POOL_BYTES = 3 * PAGE;
const [LOG_NAME, X, Y] = [0, PAGE / 8, (2 * PAGE) / 8];
const LOG_ID = 77;
const RECORDS = 1024;
const RECORD_BYTES = 1024;
const SLOTS = 3;

export interface SmallRedoOptions {
  readonly how: How;
  /** Commits are made durable by checkpoints only. */
  readonly relaxed: boolean;
}

/** 8-byte words, the last one the sum of the others; spread over `bytes`. */
function sealed(words: readonly number[], bytes: number): Uint8Array {
  const target = new BigUint64Array(bytes / 8);
  words.forEach((word, index) => {
    target[index] = BigInt(word);
  });
  // At the other end, so that a record lies in two sectors.
  target[target.length - 1] = BigInt(words.reduce((sum, word) => sum + word, 1));
  return new Uint8Array(target.buffer);
}

function unsealed(log: WriteAheadLog, at: number, bytes: number): number[] | null {
  const target = new BigUint64Array(bytes / 8);
  log.read(at, new Uint8Array(target.buffer));
  const words = [...target].map(Number);
  const sum = words.pop() as number;
  return words.reduce((total, word) => total + word, 1) === sum ? words : null;
}

const slotOf = (seq: number): number => RECORDS + (seq % SLOTS) * RECORD_BYTES;
const headerAt = (generation: number): number => (generation % 2) * 512;

/** The program: commits, and a checkpoint behind every third one. */
class SmallRedo {
  readonly #memory: Memory;
  readonly #units: BigUint64Array;
  readonly #log: WriteAheadLog;
  #seq = 0;
  #generation = 0;

  constructor(memory: Memory) {
    this.#memory = memory;
    this.#units = new BigUint64Array(memory.buffer);
    const log = memory.openWal({ create: true, access: 'write' }) as WriteAheadLog;
    this.#log = log;
    log.extend(RECORDS + SLOTS * RECORD_BYTES);
    log.write(headerAt(0), sealed([LOG_ID, 0, 1], 512), STEP.walCreate);
    log.sync(STEP.walCreateSync);
    this.#units[LOG_NAME] = BigInt(LOG_ID);
    memory.flush(0 as never, 8, STEP.headerFlush);
    memory.fence(STEP.headerFence);
  }

  /** X = Y = value: in memory, and in the log. */
  append(value: number): void {
    this.#units[X] = BigInt(value);
    this.#units[Y] = BigInt(value);
    this.#seq++;
    this.#log.write(slotOf(this.#seq), sealed([this.#seq, value], RECORD_BYTES), STEP.walAppend);
  }

  sync(): void {
    this.#log.sync(STEP.walSync);
  }

  /** `between` runs before each look at the background. */
  checkpoint(between: () => void): void {
    const log = this.#log;
    const tail = this.#seq + 1;
    log.startWrite(Uint32Array.of(1, 2), 2);
    this.#whileBusy(between);
    this.#generation++;
    log.startComplete(headerAt(this.#generation), sealed([LOG_ID, this.#generation, tail], 512));
    this.#whileBusy(() => {});
  }

  close(): void {
    this.#log.close();
    this.#memory.close();
  }

  #whileBusy(between: () => void): void {
    do between();
    while (this.#log.busy);
    this.#log.finish();
  }
}

/** Values 1 to 10; the model is the last one. */
export function workload(
  backend: MemoryBackend,
  promises: WorkloadLog<number>,
  { how, relaxed }: SmallRedoOptions,
): void {
  const redo = new SmallRedo(open(backend, how).memory);
  let value = 0;
  const commit = (sync: boolean): void => {
    value++;
    promises.pending(value);
    redo.append(value);
    if (!sync) return;
    redo.sync();
    promises.acknowledge(value);
  };
  for (let round = 0; round < 4; round++) {
    for (let count = 0; count < 2; count++) commit(!relaxed);
    const written = value;
    let between = 0;
    redo.checkpoint(() => {
      // Not in every round: a later record would hide that a page is missing.
      if (++between === 3 && round % 2 === 0) commit(!relaxed);
    });
    if (!relaxed) continue;
    promises.acknowledge(written);
    if (value > written) promises.pending(value);
  }
  redo.sync();
  promises.acknowledge(value);
  redo.close();
}

export const prepare =
  ({ how }: SmallRedoOptions) =>
  (backend: MemoryBackend): void =>
    created(backend, { ...how, sizeBytes: POOL_BYTES }).memory.close();

/** Recovers, and throws unless all that was acknowledged is there, and nothing that was never promised. */
export function verify(medium: SimulatedMedium, context: CrashContext<number>, how: How): void {
  const { memory } = open(medium, how);
  const units = new BigUint64Array(memory.buffer);
  if (units[LOG_NAME] !== 0n) replay(memory, units);
  const found = Number(units[X]);
  if (found !== Number(units[Y])) throw new Error(`half a transaction: ${found}, ${units[Y]}`);
  const { model = 0, pending = model } = context;
  if (found < model || found > pending) throw new Error(`${found} found, not ${model} to ${pending}`);
}

function replay(memory: Memory, units: BigUint64Array): void {
  const log = memory.openWal({ create: false, access: 'write' });
  if (log === null) throw new Error('the log is missing');
  const headers = [0, 1].map((generation) => unsealed(log, headerAt(generation), 512));
  const [a, b] = headers.map((header) => (header?.[0] === LOG_ID ? header : null));
  const header = a && b ? ((a[1] as number) > (b[1] as number) ? a : b) : (a ?? b);
  if (!header) throw new Error('the log has no header');
  for (let seq = header[2] as number; ; seq++) {
    const record = unsealed(log, slotOf(seq), RECORD_BYTES);
    if (record?.[0] !== seq) return;
    units[X] = units[Y] = BigInt(record[1] as number);
  }
}

/** The steps that `workload` needs, and the commits that show it. */
export const NEEDED: readonly (readonly [keyof typeof STEP & string, 'strict' | 'relaxed'])[] = [
  ['walCreate', 'strict'],
  ['walCreateSync', 'strict'],
  ['walAppend', 'strict'],
  ['walSync', 'strict'],
  ['walSyncAhead', 'relaxed'],
  ['pageWrite', 'strict'],
  ['pageSync', 'strict'],
  ['walTail', 'strict'],
  ['walTailSync', 'relaxed'],
];

export const stepOf = (name: keyof typeof STEP): Step => STEP[name];
