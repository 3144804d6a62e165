/** Short names for the calls that every test of the simulated medium makes. */
import type { Offset } from '../../src/format/index.js';
import {
  type Memory,
  type MemoryBackend,
  type MemoryOpenOptions,
  STEP,
  type Step,
  type WalAccess,
  type WriteAheadLog,
} from '../../src/memory/index.js';

export const PATH = 'test.pool';

export const LOG_PATH = `${PATH}-wal`;

/** A way to open the test's pool. */
export type How = Partial<Pick<MemoryOpenOptions, 'mode' | 'maxBytes' | 'sizeBytes' | 'domain' | 'log'>>;

/** One open file, addressed in units of 8 bytes. */
export interface Opened {
  readonly memory: Memory;
  get(unit: number): number;
  set(unit: number, value: number): void;
  flush(unit: number, units?: number, step?: Step): void;
  fence(step?: Step): void;
}

export function open(backend: MemoryBackend, how: How = {}): Opened {
  const usual = { mode: 'open', emulate: null, domain: null, log: null, sizeBytes: 4096 } as const;
  const memory = backend.open({ path: PATH, maxBytes: 65536, ...usual, ...how });
  const units = new BigUint64Array(memory.buffer);
  return {
    memory,
    get: (unit) => Number(units[unit]),
    set: (unit, value) => {
      units[unit] = BigInt(value);
    },
    flush: (unit, count = 1, step = STEP.dataFlush) => memory.flush((unit * 8) as Offset, count * 8, step),
    fence: (step = STEP.dataFence) => memory.fence(step),
  };
}

/** A published file of zeros, open. */
export function created(backend: MemoryBackend, how: How = {}): Opened {
  const opened = open(backend, { ...how, mode: 'create' });
  opened.memory.publish();
  return opened;
}

/** A log for a pool that is open, of this size. */
export function createdLog(
  { memory }: Opened,
  sizeBytes: number,
  access: WalAccess = 'write',
): WriteAheadLog {
  const log = memory.openWal({ create: true, access }) as WriteAheadLog;
  log.extend(sizeBytes);
  return log;
}

/** The bytes of a log as far as they were written, as text. */
export function textOf(log: Pick<WriteAheadLog, 'read'>, at: number, length: number): string {
  const bytes = new Uint8Array(length);
  log.read(at, bytes);
  return Buffer.from(bytes).toString('latin1').replaceAll('\0', '.');
}

export function bytesOf(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text, 'latin1'));
}
