import { describe, expect, it } from 'vitest';
import { type KeyCodec, keyCodec } from '../../src/collections/keys.js';
import { CorruptionError, DeclarationError } from '../../src/errors/errors.js';
import { LAYOUT_ID, type Offset, type Ref } from '../../src/format/format.js';
import { REF, type Runtime, type SlotCodec } from '../../src/instance/index.js';
import { enumCodec, scalarCodec } from '../../src/instance/scalar-codecs.js';
import type { FieldType } from '../../src/layout/index.js';
import { createViews } from '../../src/memory/views.js';

/** A runtime with nothing but memory and, for scalars, the codecs of the library. */
function runtimeOf(hashSeed = 1): Runtime {
  const views = createViews(new ArrayBuffer(4096));
  const codec = (type: FieldType, where: string): SlotCodec => {
    const plain = { type, sizeBytes: 8, owns: false, traced: false, release: () => {}, trace: () => {} };
    if (type.kind === 'enum') return { ...plain, ...enumCodec(type, views, where) };
    const referring = ['string', 'ref'].includes(type.kind);
    const kind = referring ? 'u32' : (type.kind as 'i32');
    return { ...plain, ...scalarCodec(kind, views, where), ...(referring ? { check: () => {} } : {}) };
  };
  const heap = { isBlock: (ref: Ref) => ref >= 16 && ref < 250, blockBytes: () => 64 };
  return { views, hashSeed, heap, codec } as unknown as Runtime;
}

const WORD = 32;
const AT = (WORD * 4) as Offset;
const typeOf = (kind: string, more: object = {}): FieldType =>
  ({ kind, nullable: false, ...more }) as FieldType;
const keysOf = (kind: string, runtime = runtimeOf(), more: object = {}): KeyCodec =>
  keyCodec(runtime, typeOf(kind, more), 'Root.map key');

/** Stores a key and asks for each of the candidates whether it is found. */
function found(kind: string, key: unknown, candidates: readonly unknown[], more: object = {}): boolean[] {
  const runtime = runtimeOf();
  const keys = keysOf(kind, runtime, more);
  const stored = keys.check(key);
  keys.slot.write(AT, stored);
  expect(keys.hashAt(runtime, WORD)).toBe(keys.hash(stored));
  return candidates.map((candidate) => {
    const normal = keys.normalize(candidate);
    if (normal === undefined) return false;
    const equal = keys.equals(runtime.views, WORD, normal);
    if (equal) expect(keys.hash(normal)).toBe(keys.hash(stored));
    return equal;
  });
}

describe('keys', () => {
  it.each([
    ['i8', -5, [-5, 251, '-5', -5.5, null]],
    ['u8', 200, [200, -56, 200n, undefined]],
    ['i16', -300, [-300, 65236]],
    ['u16', 65000, [65000, -536]],
    ['i32', -1, [-1, 4294967295, -1.5, Number.NaN]],
    ['u32', 4294967295, [4294967295, -1, Number.POSITIVE_INFINITY]],
    ['i32', 0, [0, null, false, '']],
    ['f64', 0.1, [0.1, 0.2, '0.1']],
    ['f64', Number.NaN, [Number.NaN, 0]],
    ['f64', 2 ** 40, [2 ** 40, 2 ** 40 + 1]],
    ['f64', Number.NEGATIVE_INFINITY, [Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY]],
    ['f32', 0.5, [0.5, 0.25]],
    ['i64', -(2n ** 63n), [-(2n ** 63n), 2n ** 63n, 0n]],
    ['u64', 2n ** 64n - 1n, [2n ** 64n - 1n, -1n]],
    ['i64', 5n, [5n, 5, 5n + 2n ** 64n]],
    ['bool', true, [true, false, 1]],
    ['date', new Date(5), [new Date(5), new Date(6), 5]],
  ])('of type %s: %s is found by what is equal and by nothing else', (kind, key, candidates) => {
    expect(found(kind, key, candidates)).toEqual(candidates.map((_, i) => i === 0));
  });

  it('of an enum are found by value', () => {
    expect(found('enum', 'b', ['b', 'a', 'c', 1], { values: ['a', 'b', 1] })).toEqual([
      true,
      false,
      false,
      false,
    ]);
    expect(found('enum', 1, [1, '1', 'a'], { values: ['a', 'b', 1] })).toEqual([true, false, false]);
  });

  it('treat -0 and 0 as one, stored as 0, and every NaN as one', () => {
    for (const kind of ['f32', 'f64', 'i32', 'u8']) {
      expect(found(kind, -0, [0, -0])).toEqual([true, true]);
      expect(Object.is(keysOf(kind).normalize(-0), 0)).toBe(true);
    }
    const runtime = runtimeOf();
    const keys = keysOf('f64', runtime);
    runtime.views.u32.set([0x12345678, 0x7ff87654], WORD);
    expect(keys.equals(runtime.views, WORD, Number.NaN)).toBe(true);
    expect(keys.hashAt(runtime, WORD)).toBe(keys.hash(Number.NaN));
  });

  it('of type f32 are found by the number that was stored and by the one it was rounded to', () => {
    expect(found('f32', 0.1, [0.1, Math.fround(0.1), 0.2])).toEqual([true, true, false]);
  });

  it('that are strings compare with latin1 and utf16 blocks alike', () => {
    const runtime = runtimeOf();
    const keys = keysOf('string', runtime);
    const { u32, u8, u16 } = runtime.views;
    const latin1 = 20;
    const utf16 = 40;
    for (const text of ['', 'a', 'caf\u00e9', 'ab\0', '\u00ff\u00fe']) {
      u32.set([LAYOUT_ID.stringLatin1, text.length], latin1 * 4);
      u32.set([LAYOUT_ID.stringUtf16, text.length * 2], utf16 * 4);
      for (let i = 0; i < text.length; i++) {
        u8[latin1 * 16 + 8 + i] = text.charCodeAt(i);
        u16[utf16 * 8 + 4 + i] = text.charCodeAt(i);
      }
      for (const ref of [latin1, utf16]) {
        u32[WORD] = ref;
        expect(keys.equals(runtime.views, WORD, text)).toBe(true);
        expect(keys.hashAt(runtime, WORD)).toBe(keys.hash(text));
        for (const other of [
          `${text}x`,
          `${text}\0`,
          text === '' ? 'y' : text.slice(1),
          `\ud800${text.slice(1)}`,
        ]) {
          expect(keys.equals(runtime.views, WORD, other)).toBe(false);
        }
      }
    }
    u32.set([LAYOUT_ID.stringUtf16, 4], utf16 * 4);
    u16.set([0xd83d, 0xde00], utf16 * 8 + 4);
    expect(keys.equals(runtime.views, WORD, '\u{1f600}')).toBe(true);
    expect(keys.equals(runtime.views, WORD, '\ude00\ud83d')).toBe(false);
    u32[WORD] = 0;
    expect(keys.equals(runtime.views, WORD, '')).toBe(true);
    expect(keys.equals(runtime.views, WORD, 'a')).toBe(false);
    expect(keys.hashAt(runtime, WORD)).toBe(keys.hash(''));
  });

  it('that are strings report a block that is no string, or too long, or no block', () => {
    const runtime = runtimeOf();
    const keys = keysOf('string', runtime);
    const { u32 } = runtime.views;
    u32[WORD] = 20;
    u32.set([99, 1], 80);
    expect(() => keys.equals(runtime.views, WORD, 'a')).toThrow(CorruptionError);
    expect(() => keys.hashAt(runtime, WORD)).toThrow(CorruptionError);
    u32.set([LAYOUT_ID.stringLatin1, 57], 80);
    expect(() => keys.hashAt(runtime, WORD)).toThrow(CorruptionError);
    u32.set([LAYOUT_ID.stringUtf16, 3], 80);
    expect(() => keys.hashAt(runtime, WORD)).toThrow(CorruptionError);
    u32[WORD] = 4000;
    expect(() => keys.hashAt(runtime, WORD)).toThrow(CorruptionError);
  });

  it('that are objects are found by identity', () => {
    const keys = keysOf('ref', undefined, { target: () => Object });
    const runtime = runtimeOf();
    const object = { [REF]: 77 as Ref };
    runtime.views.u32[WORD] = 77;
    expect(keys.normalize({})).toBeUndefined();
    expect(keys.normalize(null)).toBeUndefined();
    expect(keys.equals(runtime.views, WORD, keys.normalize(object))).toBe(true);
    expect(keys.hashAt(runtime, WORD)).toBe(keys.hash(object));
  });

  it('hash differently with another seed, and spread sequences over low and high bits', () => {
    const one = keysOf('i32', runtimeOf(1));
    const two = keysOf('i32', runtimeOf(2));
    expect(one.hash(1234)).not.toBe(two.hash(1234));
    const strings = keysOf('string', runtimeOf(3));
    for (const hash of [
      (i: number) => one.hash(i),
      (i: number) => one.hash(i << 16),
      (i: number) => strings.hash(`k${i}`),
    ]) {
      const low = new Uint32Array(256);
      const high = new Uint32Array(256);
      for (let i = 0; i < 25_600; i++) {
        const h = hash(i);
        low[h & 255] = (low[h & 255] as number) + 1;
        high[h >>> 24] = (high[h >>> 24] as number) + 1;
      }
      for (const counts of [low, high]) {
        expect(Math.max(...counts)).toBeLessThan(160);
        expect(Math.min(...counts)).toBeGreaterThan(50);
      }
    }
  });

  it.each(['bytes', 'typedArray', 'embedded', 'fixedArray', 'list', 'queue', 'map'])(
    'cannot be %s, and the message says what to use',
    (kind) => {
      const more = {
        array: 'Uint8Array',
        target: () => Object,
        element: typeOf('i32'),
        length: 2,
        key: typeOf('i32'),
        value: typeOf('i32'),
      };
      expect(() => keysOf(kind, undefined, more)).toThrow(DeclarationError);
      expect(() => keysOf(kind, undefined, more)).toThrow(/Root\.map key.*Use a string, a number/);
    },
  );

  it('cannot be nullable', () => {
    expect(() => keysOf('i32', undefined, { nullable: true })).toThrow(DeclarationError);
  });
});
