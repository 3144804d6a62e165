/**
 * The field types that programs write: `@Field(i32)`, `@Field(nullable('string'))`, `@Field(list(() => City))`.
 */
import { DeclarationError } from '../errors/index.js';
import { metadataOf } from './class-metadata.js';
import type {
  BytesType,
  ClassOf,
  EmbeddedType,
  EnumType,
  FieldType,
  FixedArrayType,
  ListType,
  MapType,
  QueueType,
  RefType,
  ScalarType,
  StringType,
  TypedArrayName,
  TypedArrayType,
} from './field-type.js';

/** Whatever may stand for a field type. `() => Class` is a reference; the function allows forward references. */
export type TypeSpec =
  | FieldType
  | (() => ClassOf)
  | ClassOf
  | 'string'
  | 'number'
  | 'boolean'
  | 'bigint'
  | 'date'
  | 'bytes';

function scalar<T>(kind: ScalarType['kind']): ScalarType<T> {
  return Object.freeze({ kind, nullable: false });
}

/** Signed 8-bit integer, -128 to 127. */
export const i8: ScalarType<number> = scalar('i8');
/** Unsigned 8-bit integer, 0 to 255. */
export const u8: ScalarType<number> = scalar('u8');
/** Signed 16-bit integer, -32768 to 32767. */
export const i16: ScalarType<number> = scalar('i16');
/** Unsigned 16-bit integer, 0 to 65535. */
export const u16: ScalarType<number> = scalar('u16');
/** Signed 32-bit integer, -2^31 to 2^31 - 1. */
export const i32: ScalarType<number> = scalar('i32');
/** Unsigned 32-bit integer, 0 to 2^32 - 1. */
export const u32: ScalarType<number> = scalar('u32');
/** 32-bit float: a number is rounded to the nearest one. */
export const f32: ScalarType<number> = scalar('f32');
/** 64-bit float: any number, as JavaScript has it. `'number'` for short. */
export const f64: ScalarType<number> = scalar('f64');
/** Signed 64-bit integer as bigint, -2^63 to 2^63 - 1. `'bigint'` for short. */
export const i64: ScalarType<bigint> = scalar('i64');
/** Unsigned 64-bit integer as bigint, 0 to 2^64 - 1. */
export const u64: ScalarType<bigint> = scalar('u64');
/** `true` or `false`. `'boolean'` for short. */
export const bool: ScalarType<boolean> = scalar('bool');
/** A point in time with the precision of `Date` (1 ms); every read gives a new `Date`. `'date'` for short. */
export const date: ScalarType<Date> = scalar('date');
/** A string of any length and content; kept as Latin-1 where it fits, else as UTF-16. `'string'` for short. */
export const string: StringType = Object.freeze({ kind: 'string', nullable: false });
/** A `Uint8Array`, copied in and out. `'bytes'` for short. */
export const bytes: BytesType = Object.freeze({ kind: 'bytes', nullable: false });

/**
 * One of a fixed set of strings or numbers, stored in one byte (two beyond 256 values). New values may be added
 * at the end.
 * @throws DeclarationError when the set is empty, has duplicates or more than 65,536 values
 */
export function enumOf<const V extends string | number>(values: readonly V[]): EnumType<V> {
  if (values.length === 0 || values.length > 65_536 || new Set(values).size !== values.length) {
    throw new DeclarationError('enumOf() takes 1 to 65536 different values', { count: values.length });
  }
  return Object.freeze({ kind: 'enum', nullable: false, values: Object.freeze([...values]) });
}

/** A reference to an object of a class, or of a subclass, or null. */
export function ref<T extends object>(target: () => ClassOf<T>): RefType<T | null> {
  return Object.freeze({ kind: 'ref', nullable: true, target });
}

/** An object of a class inside the owning object: no allocation, no identity of its own, assigned by copy. */
export function embedded<T extends object>(target: () => ClassOf<T>): EmbeddedType<T> {
  return Object.freeze({ kind: 'embedded', nullable: false, target });
}

/** Exactly `length` elements inside the owning object; assigned by copy. */
export function fixedArray(element: TypeSpec, length: number): FixedArrayType {
  const type = toFieldType(element);
  if (!Number.isInteger(length) || length < 1 || length > 65_536) {
    throw new DeclarationError(`fixedArray(): length ${length} is not an integer from 1 to 65536`, {
      length,
    });
  }
  if (
    type.kind === 'embedded' ||
    type.kind === 'fixedArray' ||
    type.kind === 'list' ||
    type.kind === 'map' ||
    type.kind === 'queue'
  ) {
    throw new DeclarationError(`fixedArray(): ${type.kind} cannot be an element; use list(() => Class)`, {
      kind: type.kind,
    });
  }
  return Object.freeze({ kind: 'fixedArray', nullable: false, element: type, length });
}

/** A typed array of any length, copied in and out: `typedArray('Float64Array')`. */
export function typedArray(array: TypedArrayName): TypedArrayType {
  if (!TYPED_ARRAYS.includes(array)) {
    throw new DeclarationError(`typedArray(): ${String(array)} is none of ${TYPED_ARRAYS.join(', ')}`, {
      actual: array,
    });
  }
  return Object.freeze({ kind: 'typedArray', nullable: false, array });
}

/** A `PersistentList` of elements. */
export function list(element: TypeSpec): ListType {
  return Object.freeze({ kind: 'list', nullable: false, element: toFieldType(element) });
}

/** A `PersistentQueue` of elements. */
export function queue(element: TypeSpec): QueueType {
  return Object.freeze({ kind: 'queue', nullable: false, element: toFieldType(element) });
}

/** A `PersistentMap`; keys are strings, numbers, bigints, booleans, dates, enums or references. */
export function map(key: TypeSpec, value: TypeSpec): MapType {
  return Object.freeze({ kind: 'map', nullable: false, key: toFieldType(key), value: toFieldType(value) });
}

/** The same type with `null` allowed, and as its initial value. */
export function nullable(spec: TypeSpec): FieldType {
  return Object.freeze({ ...toFieldType(spec), nullable: true });
}

const BY_NAME: Readonly<Record<string, FieldType>> = {
  string,
  number: f64,
  boolean: bool,
  bigint: i64,
  date,
  bytes,
};

const KINDS: ReadonlySet<string> = new Set<FieldType['kind']>([
  ...(['i8', 'u8', 'i16', 'u16', 'i32', 'u32', 'f32', 'f64', 'i64', 'u64', 'bool', 'date', 'enum'] as const),
  ...(['string', 'bytes', 'typedArray', 'ref', 'embedded', 'fixedArray', 'list', 'queue', 'map'] as const),
]);

const TYPED_ARRAYS: readonly TypedArrayName[] = [
  'Int8Array',
  'Uint8Array',
  'Uint8ClampedArray',
  'Int16Array',
  'Uint16Array',
  'Int32Array',
  'Uint32Array',
  'Float32Array',
  'Float64Array',
  'BigInt64Array',
  'BigUint64Array',
];

/**
 * @param where the field, for the message
 * @throws DeclarationError when `spec` stands for no field type; the message says what to write
 */
export function toFieldType(spec: TypeSpec, where?: string): FieldType {
  const prefix = where === undefined ? '' : `${where}: `;
  if (typeof spec === 'string') {
    const named = BY_NAME[spec];
    if (named !== undefined) return named;
  } else if (typeof spec === 'object' && spec !== null && 'kind' in spec) {
    if (KINDS.has(spec.kind)) return spec;
  } else if (typeof spec === 'function') {
    const builtIn = fromConstructor(spec as ClassOf);
    if (builtIn !== undefined) return builtIn;
    if (!('prototype' in spec)) return ref(spec as () => ClassOf);
    throw new DeclarationError(
      `${prefix}class ${spec.name} is not a field type: write () => ${spec.name}, and decorate it with @Persistent()`,
      { className: spec.name },
    );
  }
  throw new DeclarationError(
    `${prefix}${typeof spec === 'object' ? JSON.stringify(spec) : String(spec)} is not a field type: use i32, f64, 'string', nullable(...), list(...), map(...), () => Class and the like`,
  );
}

/** The type that a constructor stands for: as written, or as emitted by the compiler for `design:type`. */
export function fromConstructor(builtIn: unknown): FieldType | undefined {
  if (builtIn === String) return string;
  if (builtIn === Number) return f64;
  if (builtIn === Boolean) return bool;
  if (builtIn === Date) return date;
  if (builtIn === BigInt) return i64;
  if (builtIn === Uint8Array) return bytes;
  if (typeof builtIn === 'function' && 'prototype' in builtIn) {
    const target = builtIn as ClassOf;
    if (metadataOf(target) !== undefined) return ref(() => target);
  }
  return undefined;
}
