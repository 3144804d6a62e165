/** Short names for the calls that every test of the simulated medium makes. */
import type { Offset } from '../../src/format/index.js';
import { type Memory, type MemoryBackend, STEP, type Step } from '../../src/memory/memory.js';

export const PATH = 'test.pool';

/** One open file, addressed in units of 8 bytes. */
export interface Opened {
  readonly memory: Memory;
  get(unit: number): number;
  set(unit: number, value: number): void;
  flush(unit: number, units?: number, step?: Step): void;
  fence(step?: Step): void;
}

export function open(backend: MemoryBackend, mode: 'open' | 'create' = 'open', sizeBytes = 4096): Opened {
  const memory = backend.open({ path: PATH, mode, maxBytes: 65536, sizeBytes, emulate: null, domain: null });
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
export function created(backend: MemoryBackend, sizeBytes = 4096): Opened {
  const opened = open(backend, 'create', sizeBytes);
  opened.memory.publish();
  return opened;
}
