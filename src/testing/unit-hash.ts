/**
 * Hashes of what files hold, by which equal crash images are recognised: the hash of a file is the exclusive or of the
 * hashes of its 8-byte units (Zobrist), so that a change costs what it changes and no more. Two words each.
 */

/** The result of the last `changeHash`: two words. */
export const hashed = new Uint32Array(2);

/**
 * By what the hash of a file changes when its words from unit `first` on change from `before` to
 * `after`, in `hashed`. `seed` is `pathSeed` of the file.
 */
export function changeHash(seed: number, first: number, before: Uint32Array, after: Uint32Array): void {
  let low = 0;
  let high = 0;
  for (let word = 0; word < after.length; word += 2) {
    const a = before[word] as number;
    const b = before[word + 1] as number;
    const c = after[word] as number;
    const d = after[word + 1] as number;
    if (a === c && b === d) continue;
    const unit = first + word / 2;
    unitHash(seed, unit, a, b);
    low ^= hashed[0] as number;
    high ^= hashed[1] as number;
    unitHash(seed, unit, c, d);
    low ^= hashed[0] as number;
    high ^= hashed[1] as number;
  }
  hashed[0] = low;
  hashed[1] = high;
}

/** Hashes "this unit of the file has this value" to two words, in `hashed`. */
function unitHash(seed: number, unit: number, low: number, high: number): void {
  const place = (unit ^ seed) >>> 0;
  const a = mix(low ^ mix(place + 0x9e3779b9));
  const b = mix(high ^ mix(a + place));
  hashed[0] = b;
  hashed[1] = mix(b ^ mix(low + 0x85ebca6b) ^ a);
}

/** The same bytes as words. Their number must be a multiple of 4; they are copied if they do not start on a word. */
export function wordsOf(bytes: Uint8Array): Uint32Array {
  const aligned = bytes.byteOffset % 4 === 0 ? bytes : new Uint8Array(bytes);
  return new Uint32Array(aligned.buffer, aligned.byteOffset, aligned.length / 4);
}

/** A number for a file's name. */
export function pathSeed(path: string): number {
  let hash = 0;
  for (let index = 0; index < path.length; index++) hash = mix(hash ^ path.charCodeAt(index)) + index;
  return hash >>> 0;
}

/** The finaliser of MurmurHash3. */
export function mix(value: number): number {
  let hash = value | 0;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
