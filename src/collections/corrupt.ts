/** The errors for bytes of containers that are not what perdure wrote. */
import { CorruptionError } from '../errors/index.js';
import { GRANULE_BYTES } from '../format/index.js';

/** The error for a wrong block at `ref`. */
export function corrupt(where: string, ref: number, expected: string): CorruptionError {
  const offset = ref * GRANULE_BYTES;
  return new CorruptionError(`${where}: expected ${expected} at offset ${offset} of the pool`, {
    field: where,
    offset,
    expected,
  });
}

/** The error for wrong contents at a position counted in 32-bit words. */
export function corruptWord(where: string, word: number, expected: string): CorruptionError {
  const offset = word * 4;
  return new CorruptionError(`${where}: at offset ${offset} ${expected} was expected`, {
    field: where,
    offset,
    expected,
  });
}
