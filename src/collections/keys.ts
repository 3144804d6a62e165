/**
 * Keys of maps: which field types can be keys, how they are hashed, and how a key is compared with one in the
 * pool without decoding it.
 *
 * Equality is that of JavaScript's Map: NaN equals NaN, -0 equals 0 and is stored as 0; dates are equal when
 * their time values are, objects when they are the same.
 *
 * INV-MAP-1  The hash of a key depends on its value and the pool's seed alone, since it is stored: equal keys
 *            have equal hashes in every opening and whether they are stored as latin1 or utf16.
 */

import { CorruptionError, DeclarationError, ValueError } from '../errors/index.js';
import { BLOCK_HEADER_BYTES, LAYOUT_ID, type Offset, offsetOf, type Ref } from '../format/index.js';
import { BINDING, DIRECT, REF, type Runtime, type SlotCodec } from '../instance/index.js';
import { describeType, type FieldType } from '../layout/index.js';
import type { Views } from '../memory/index.js';

/** Spreads 32 bits over 32 bits: the finalizer of MurmurHash3 (Appleby, public domain). */
function mix(value: number): number {
  let h = value | 0;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return h ^ (h >>> 16);
}

/** A slot codec that can also look keys up. Hashes are signed 32-bit integers; `word` counts 32-bit words. */
export abstract class KeyCodec<K = unknown> {
  readonly slot: SlotCodec<K>;
  protected readonly seed: number;
  protected readonly where: string;

  constructor(runtime: Runtime, slot: SlotCodec, where: string) {
    this.slot = slot as SlotCodec<K>;
    this.seed = runtime.hashSeed | 0;
    this.where = where;
  }

  /**
   * Checks a key before anything is changed.
   * @returns the key as it is stored
   * @throws ValueError or ForeignObjectError naming the field
   */
  check(value: unknown): K {
    const slot: SlotCodec = this.slot;
    slot.check(value);
    const key = this.normalize(value);
    if (key === undefined) {
      throw new ValueError(`${this.where}: ${String(value)} cannot be a key`, { field: this.where });
    }
    return key;
  }

  /** The key as it would be stored, or undefined when no map of these keys can contain it. */
  abstract normalize(value: unknown): K | undefined;
  /** Hash of a normalized key. */
  abstract hash(key: K): number;
  /** Whether the slot at `word` holds the normalized key. */
  abstract equals(views: Views, word: number, key: K): boolean;
  /** Hash of the key in the slot at `word`; for checking. @throws CorruptionError */
  abstract hashAt(runtime: Runtime, word: number): number;
}

class Int32Keys extends KeyCodec<number> {
  normalize(value: unknown): number | undefined {
    return typeof value === 'number' && (value | 0) === value ? value | 0 : undefined;
  }
  hash(key: number): number {
    return mix(key ^ this.seed);
  }
  equals(views: Views, word: number, key: number): boolean {
    return views.i32[word] === key;
  }
  hashAt(runtime: Runtime, word: number): number {
    return this.hash(runtime.views.i32[word] as number);
  }
}

class Uint32Keys extends KeyCodec<number> {
  normalize(value: unknown): number | undefined {
    return typeof value === 'number' && value >>> 0 === value ? value >>> 0 : undefined;
  }
  hash(key: number): number {
    return mix(key ^ this.seed);
  }
  equals(views: Views, word: number, key: number): boolean {
    return views.u32[word] === key;
  }
  hashAt(runtime: Runtime, word: number): number {
    return this.hash(runtime.views.u32[word] as number);
  }
}

/** i8, u8, i16, u16. */
class SmallIntegerKeys extends KeyCodec<number> {
  normalize(value: unknown): number | undefined {
    return typeof value === 'number' && (value | 0) === value ? value | 0 : undefined;
  }
  hash(key: number): number {
    return mix(key ^ this.seed);
  }
  equals(_views: Views, word: number, key: number): boolean {
    return this.slot.read((word * 4) as Offset) === key;
  }
  hashAt(_runtime: Runtime, word: number): number {
    return this.hash(this.slot.read((word * 4) as Offset));
  }
}

const scratch = new Float64Array(1);
const scratchWords = new Int32Array(scratch.buffer);
const scratchBigInt = new BigInt64Array(scratch.buffer);
const NAN_BITS = 0x7ff80000;

function hashScratch(seed: number): number {
  return mix(mix((scratchWords[0] as number) ^ seed) ^ (scratchWords[1] as number));
}

function hashNumber(key: number, seed: number): number {
  const integer = key | 0;
  if (integer === key) return mix(integer ^ seed);
  // Whatever its bits are, NaN is one key.
  // biome-ignore lint/suspicious/noSelfCompare: faster than Number.isNaN in the hot path
  if (key !== key) return mix(NAN_BITS ^ seed);
  scratch[0] = key;
  return hashScratch(seed);
}

class Float64Keys extends KeyCodec<number> {
  normalize(value: unknown): number | undefined {
    return typeof value === 'number' ? value + 0 : undefined;
  }
  hash(key: number): number {
    return hashNumber(key, this.seed);
  }
  equals(views: Views, word: number, key: number): boolean {
    const stored = views.f64[word / 2] as number;
    // biome-ignore lint/suspicious/noSelfCompare: NaN equals NaN
    return stored === key || (stored !== stored && key !== key);
  }
  hashAt(runtime: Runtime, word: number): number {
    return this.hash(runtime.views.f64[word / 2] as number);
  }
}

class Float32Keys extends KeyCodec<number> {
  normalize(value: unknown): number | undefined {
    return typeof value === 'number' ? Math.fround(value) + 0 : undefined;
  }
  hash(key: number): number {
    return hashNumber(key, this.seed);
  }
  equals(views: Views, word: number, key: number): boolean {
    const stored = views.f32[word] as number;
    // biome-ignore lint/suspicious/noSelfCompare: NaN equals NaN
    return stored === key || (stored !== stored && key !== key);
  }
  hashAt(runtime: Runtime, word: number): number {
    return this.hash(runtime.views.f32[word] as number);
  }
}

class BigIntKeys extends KeyCodec<bigint> {
  readonly #signed: boolean;

  constructor(runtime: Runtime, slot: SlotCodec, where: string, signed: boolean) {
    super(runtime, slot, where);
    this.#signed = signed;
  }
  normalize(value: unknown): bigint | undefined {
    if (typeof value !== 'bigint') return undefined;
    const wrapped = this.#signed ? BigInt.asIntN(64, value) : BigInt.asUintN(64, value);
    return wrapped === value ? value : undefined;
  }
  hash(key: bigint): number {
    scratchBigInt[0] = key;
    return hashScratch(this.seed);
  }
  equals(views: Views, word: number, key: bigint): boolean {
    return (this.#signed ? views.i64[word / 2] : views.u64[word / 2]) === key;
  }
  hashAt(runtime: Runtime, word: number): number {
    return this.hash(runtime.views.i64[word / 2] as bigint);
  }
}

const STRING_STEP = 0x01000193;

function hashString(key: string, seed: number): number {
  const { length } = key;
  let h = seed ^ length;
  for (let i = 0; i < length; i++) h = Math.imul(h ^ key.charCodeAt(i), STRING_STEP);
  return mix(h);
}

class StringKeys extends KeyCodec<string> {
  normalize(value: unknown): string | undefined {
    return typeof value === 'string' ? value : undefined;
  }
  hash(key: string): number {
    return hashString(key, this.seed);
  }
  equals(views: Views, word: number, key: string): boolean {
    const { u32 } = views;
    const { length } = key;
    const ref = u32[word] as number;
    if (ref === 0) return length === 0;
    const layout = u32[ref * 4];
    const bytes = u32[ref * 4 + 1] as number;
    if (layout === LAYOUT_ID.stringLatin1) {
      if (bytes !== length) return false;
      const { u8 } = views;
      const start = ref * 16 + BLOCK_HEADER_BYTES;
      for (let i = 0; i < length; i++) if (u8[start + i] !== key.charCodeAt(i)) return false;
      return true;
    }
    if (layout !== LAYOUT_ID.stringUtf16) {
      throw new CorruptionError(`${this.where}: a string was expected at offset ${ref * 16}`, {
        offset: ref * 16,
        expected: 'string',
        actual: layout,
      });
    }
    if (bytes !== length * 2) return false;
    const { u16 } = views;
    const start = ref * 8 + BLOCK_HEADER_BYTES / 2;
    for (let i = 0; i < length; i++) if (u16[start + i] !== key.charCodeAt(i)) return false;
    return true;
  }
  hashAt(runtime: Runtime, word: number): number {
    const { views, heap } = runtime;
    const ref = views.u32[word] as Ref;
    if (ref === 0) return hashString('', this.seed);
    const layout = views.u32[ref * 4];
    const bytes = views.u32[ref * 4 + 1] as number;
    const wide = layout === LAYOUT_ID.stringUtf16;
    if (
      !heap.isBlock(ref) ||
      !(wide || layout === LAYOUT_ID.stringLatin1) ||
      bytes > heap.blockBytes(ref) - BLOCK_HEADER_BYTES ||
      (wide && bytes % 2 !== 0)
    ) {
      throw new CorruptionError(`${this.where}: a string was expected at offset ${offsetOf(ref)}`, {
        offset: offsetOf(ref),
        expected: 'string',
        actual: layout,
      });
    }
    const length = wide ? bytes / 2 : bytes;
    const start = wide ? ref * 8 + BLOCK_HEADER_BYTES / 2 : ref * 16 + BLOCK_HEADER_BYTES;
    const units: Uint8Array | Uint16Array = wide ? views.u16 : views.u8;
    let h = this.seed ^ length;
    for (let i = 0; i < length; i++) h = Math.imul(h ^ (units[start + i] as number), STRING_STEP);
    return mix(h);
  }
}

/** What lookups read of an object: its direct view, its place and its pool. */
interface Placed {
  readonly [DIRECT]?: Placed;
  readonly [REF]?: Ref;
  readonly [BINDING]?: { readonly runtime: Runtime };
}

/** A normalized key is the direct view: looking it up passes the Proxy once. */
class RefKeys extends KeyCodec<Placed> {
  readonly #runtime: Runtime;

  constructor(runtime: Runtime, slot: SlotCodec, where: string) {
    super(runtime, slot, where);
    this.#runtime = runtime;
  }
  normalize(value: unknown): Placed | undefined {
    if (typeof value !== 'object' || value === null) return undefined;
    const placed = (value as Placed)[DIRECT] ?? (value as Placed);
    if (!placed[REF]) return undefined;
    const binding = placed[BINDING];
    return binding === undefined || binding.runtime === this.#runtime ? placed : undefined;
  }
  hash(key: Placed): number {
    return mix((key[REF] as number) ^ this.seed);
  }
  equals(views: Views, word: number, key: Placed): boolean {
    return views.u32[word] === key[REF];
  }
  hashAt(runtime: Runtime, word: number): number {
    return mix((runtime.views.u32[word] as number) ^ this.seed);
  }
}

/** bool and enum: few values, compared as the slot codec decodes them. */
class PrimitiveKeys extends KeyCodec<string | number | boolean> {
  normalize(value: unknown): string | number | boolean | undefined {
    const kind = typeof value;
    return kind === 'string' || kind === 'number' || kind === 'boolean'
      ? (value as string | number | boolean)
      : undefined;
  }
  hash(key: string | number | boolean): number {
    return typeof key === 'string' ? hashString(key, this.seed) : hashNumber(Number(key), this.seed);
  }
  equals(_views: Views, word: number, key: string | number | boolean): boolean {
    return this.slot.read((word * 4) as Offset) === key;
  }
  hashAt(_runtime: Runtime, word: number): number {
    return this.hash(this.slot.read((word * 4) as Offset));
  }
}

class DateKeys extends KeyCodec<Date> {
  normalize(value: unknown): Date | undefined {
    return value instanceof Date ? value : undefined;
  }
  hash(key: Date): number {
    return hashNumber(key.getTime(), this.seed);
  }
  equals(_views: Views, word: number, key: Date): boolean {
    return Object.is(this.slot.read((word * 4) as Offset).getTime() + 0, key.getTime() + 0);
  }
  hashAt(_runtime: Runtime, word: number): number {
    return this.hash(this.slot.read((word * 4) as Offset));
  }
}

/**
 * The key codec of a field type.
 * @throws DeclarationError when values of the type cannot be keys
 */
export function keyCodec(runtime: Runtime, type: FieldType, where: string): KeyCodec {
  const refuse = (why: string): never => {
    throw new DeclarationError(
      `${where}: ${describeType(type)} cannot be the key of a map: ${why}. Use a string, a number, a bigint or ` +
        'a persistent class as key',
      { field: where, type: describeType(type) },
    );
  };
  if (type.nullable && type.kind !== 'ref') return refuse('keys are never null');
  const slot = (): SlotCodec => runtime.codec(type, where);
  switch (type.kind) {
    case 'i32':
      return new Int32Keys(runtime, slot(), where);
    case 'u32':
      return new Uint32Keys(runtime, slot(), where);
    case 'i8':
    case 'u8':
    case 'i16':
    case 'u16':
      return new SmallIntegerKeys(runtime, slot(), where);
    case 'f32':
      return new Float32Keys(runtime, slot(), where);
    case 'f64':
      return new Float64Keys(runtime, slot(), where);
    case 'i64':
    case 'u64':
      return new BigIntKeys(runtime, slot(), where, type.kind === 'i64');
    case 'string':
      return new StringKeys(runtime, slot(), where);
    case 'ref':
      return new RefKeys(runtime, slot(), where);
    case 'bool':
    case 'enum':
      return new PrimitiveKeys(runtime, slot(), where);
    case 'date':
      return new DateKeys(runtime, slot(), where);
    case 'list':
    case 'queue':
    case 'map':
      return refuse('a container has no fixed value');
    case 'embedded':
      return refuse('an embedded object has no identity; a reference to the class has');
    default:
      return refuse('it is compared neither by value nor by identity');
  }
}
