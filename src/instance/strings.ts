/**
 * Strings and bytes in the pool: immutable blocks of their own, Latin-1 (one byte a character) where the string
 * allows it, else UTF-16, which keeps every JavaScript string exactly, lone surrogates included.
 */
import { CorruptionError, ValueError } from '../errors/index.js';
import { BLOCK_HEADER_BYTES, LAYOUT_ID, offsetOf, type Ref } from '../format/index.js';
import type { Heap } from '../heap/index.js';
import type { Views } from '../memory/index.js';

/** Up to this many characters, a loop beats the native conversions. */
const SHORT = 24;
/** The block header counts bytes in 32 bits. */
const MAX_BYTES = 2 ** 32 - 1 - BLOCK_HEADER_BYTES;
const NOT_LATIN1 = /[^\0-\xff]/;

/** A property of typed arrays itself: a program's subclass may have another of its name, which is code of the program. */
function typedArrayGetter<T>(name: 'buffer' | 'byteLength' | 'byteOffset'): (view: ArrayBufferView) => T {
  const prototype: object = Object.getPrototypeOf(Uint8Array.prototype);
  const { get } = Object.getOwnPropertyDescriptor(prototype, name) as { get: () => T };
  return (view) => Reflect.apply(get, view, []);
}
const bufferOf = typedArrayGetter<ArrayBufferLike>('buffer');
const byteOffsetOf = typedArrayGetter<number>('byteOffset');
/** The bytes in a typed array. */
export const byteLengthOf: (view: ArrayBufferView) => number = typedArrayGetter<number>('byteLength');

/** Reads and writes the string and bytes blocks of one pool. */
export class StringStore {
  readonly #views: Views;
  readonly #heap: Heap;

  constructor(views: Views, heap: Heap) {
    this.#views = views;
    this.#heap = heap;
  }

  /** The string in the block at `ref`. @throws CorruptionError */
  read(ref: Ref): string {
    const { u32, u8, bytes } = this.#views;
    const heap = this.#heap;
    if (ref >= heap.endRef && heap.isBeyondEnd(ref)) this.#validate(ref, 0);
    const length = u32[ref * 4 + 1] as number;
    const start = ref * 16 + BLOCK_HEADER_BYTES;
    const layoutId = u32[ref * 4];
    if (layoutId === LAYOUT_ID.stringLatin1) {
      if (length <= SHORT && start + length <= heap.endRef * 16) return shortLatin1(u8, start, length);
      this.#validate(ref, length);
      return bytes.latin1Slice(start, start + length);
    }
    if (layoutId === LAYOUT_ID.stringUtf16) {
      this.#validate(ref, length);
      return bytes.ucs2Slice(start, start + length);
    }
    throw new CorruptionError(`block at offset ${offsetOf(ref)} has layout ${layoutId}: expected a string`, {
      offset: offsetOf(ref),
      expected: 'a string',
      actual: layoutId,
    });
  }

  /** Allocates a block for `value`. @throws PoolFullError */
  create(value: string): Ref {
    const { u8, u16, bytes } = this.#views;
    const length = value.length;
    if (!isLatin1(value)) {
      const ref = this.#allocate(length * 2, LAYOUT_ID.stringUtf16);
      const start = ref * 16 + BLOCK_HEADER_BYTES;
      if (length <= SHORT) for (let i = 0; i < length; i += 1) u16[start / 2 + i] = value.charCodeAt(i);
      else bytes.ucs2Write(value, start, length * 2);
      return ref;
    }
    const ref = this.#allocate(length, LAYOUT_ID.stringLatin1);
    const start = ref * 16 + BLOCK_HEADER_BYTES;
    if (length <= SHORT) for (let i = 0; i < length; i += 1) u8[start + i] = value.charCodeAt(i);
    else bytes.latin1Write(value, start, length);
    return ref;
  }

  /** A copy of the bytes in the block at `ref`. @throws CorruptionError */
  readBytes(ref: Ref): Uint8Array<ArrayBuffer> {
    const { u32, u8 } = this.#views;
    this.#validate(ref, 0);
    const length = u32[ref * 4 + 1] as number;
    if (u32[ref * 4] !== LAYOUT_ID.bytes) {
      throw new CorruptionError(
        `block at offset ${offsetOf(ref)} has layout ${u32[ref * 4]}: expected bytes`,
        {
          offset: offsetOf(ref),
          expected: 'bytes',
        },
      );
    }
    this.#validate(ref, length);
    const start = ref * 16 + BLOCK_HEADER_BYTES;
    return new Uint8Array(u8.subarray(start, start + length));
  }

  createBytes(value: ArrayBufferView): Ref {
    const length = byteLengthOf(value);
    const source = new Uint8Array(bufferOf(value), byteOffsetOf(value), length);
    const ref = this.#allocate(length, LAYOUT_ID.bytes);
    this.#views.u8.set(source, ref * 16 + BLOCK_HEADER_BYTES);
    return ref;
  }

  #allocate(length: number, layoutId: number): Ref {
    if (length > MAX_BYTES) {
      throw new ValueError(
        `a value of ${length} bytes is too long: strings and bytes hold at most ${MAX_BYTES}`,
        { length },
      );
    }
    return this.#heap.allocateRaw(BLOCK_HEADER_BYTES + length, layoutId, length);
  }

  #validate(ref: Ref, length: number): void {
    if (!this.#heap.isBlock(ref) || BLOCK_HEADER_BYTES + length > this.#heap.blockBytes(ref)) {
      throw new CorruptionError(
        `string or bytes at offset ${offsetOf(ref)}: ${length} bytes do not fit its block`,
        {
          offset: offsetOf(ref),
          length,
        },
      );
    }
  }
}

function shortLatin1(u8: Uint8Array, start: number, length: number): string {
  let text = '';
  let at = start;
  const end = start + length;
  for (; at + 4 <= end; at += 4) {
    text += String.fromCharCode(
      u8[at] as number,
      u8[at + 1] as number,
      u8[at + 2] as number,
      u8[at + 3] as number,
    );
  }
  for (; at < end; at += 1) text += String.fromCharCode(u8[at] as number);
  return text;
}

function isLatin1(value: string): boolean {
  if (value.length > SHORT) return !NOT_LATIN1.test(value);
  for (let i = 0; i < value.length; i += 1) if (value.charCodeAt(i) > 0xff) return false;
  return true;
}
