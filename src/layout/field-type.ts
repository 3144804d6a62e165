/**
 * Field types: what a `@Field` may hold, as plain immutable descriptions. Pure data; how a type is stored is
 * decided in layout.ts, how it is read and written in instance/.
 */

/** A class constructor; abstract ones included. */
// biome-ignore lint/suspicious/noExplicitAny: `any[]` is the only parameter list that every constructor fits
export type ClassOf<T = object> = abstract new (...args: any[]) => T;

/** Kinds with a fixed number of bytes and no references. */
export type ScalarKind =
  | 'i8'
  | 'u8'
  | 'i16'
  | 'u16'
  | 'i32'
  | 'u32'
  | 'f32'
  | 'f64'
  | 'i64'
  | 'u64'
  | 'bool'
  | 'date'
  | 'enum';

/** Element types of typed array fields. */
export type TypedArrayName =
  | 'Int8Array'
  | 'Uint8Array'
  | 'Uint8ClampedArray'
  | 'Int16Array'
  | 'Uint16Array'
  | 'Int32Array'
  | 'Uint32Array'
  | 'Float32Array'
  | 'Float64Array'
  | 'BigInt64Array'
  | 'BigUint64Array';

declare const valueBrand: unique symbol;

interface TypeBase<T> {
  /** Whether `null` may be stored. References are always nullable. */
  readonly nullable: boolean;
  /** The TypeScript type of the values; exists at compile time only. */
  readonly [valueBrand]?: T;
}

/** The type of a number, boolean, bigint or date field. */
export interface ScalarType<T = unknown> extends TypeBase<T> {
  readonly kind: Exclude<ScalarKind, 'enum'>;
}
/** The type that `enumOf(...)` makes: one of a fixed set of values. */
export interface EnumType<T = unknown> extends TypeBase<T> {
  readonly kind: 'enum';
  readonly values: readonly (string | number)[];
}
/** The type of a string field. */
export interface StringType<T = string> extends TypeBase<T> {
  readonly kind: 'string';
}
/** The type of a field of bytes. */
export interface BytesType<T = Uint8Array> extends TypeBase<T> {
  readonly kind: 'bytes';
}
/** The type that `typedArray(...)` makes. */
export interface TypedArrayType<T = unknown> extends TypeBase<T> {
  readonly kind: 'typedArray';
  readonly array: TypedArrayName;
}
/** The type of a reference to an object: `() => Class`, or `ref(...)`. */
export interface RefType<T = unknown> extends TypeBase<T> {
  readonly kind: 'ref';
  readonly target: () => ClassOf;
}
/** The type that `embedded(...)` makes: an object inside the owning one. */
export interface EmbeddedType<T = unknown> extends TypeBase<T> {
  readonly kind: 'embedded';
  readonly target: () => ClassOf;
}
/** The type that `fixedArray(...)` makes: a given number of elements inside the owning object. */
export interface FixedArrayType<T = unknown> extends TypeBase<T> {
  readonly kind: 'fixedArray';
  readonly element: FieldType;
  readonly length: number;
}
/** The type that `list(...)` makes. */
export interface ListType<T = unknown> extends TypeBase<T> {
  readonly kind: 'list';
  readonly element: FieldType;
}
/** The type that `queue(...)` makes. */
export interface QueueType<T = unknown> extends TypeBase<T> {
  readonly kind: 'queue';
  readonly element: FieldType;
}
/** The type that `map(...)` makes. */
export interface MapType<T = unknown> extends TypeBase<T> {
  readonly kind: 'map';
  readonly key: FieldType;
  readonly value: FieldType;
}

/** Any field type. */
export type FieldType =
  | ScalarType
  | EnumType
  | StringType
  | BytesType
  | TypedArrayType
  | RefType
  | EmbeddedType
  | FixedArrayType
  | ListType
  | QueueType
  | MapType;

/** Container types, whose header lies inside the object that owns them. */
export type ContainerType = ListType | QueueType | MapType;
export type ContainerKind = ContainerType['kind'];

export function isContainerType(type: FieldType): type is ContainerType {
  return type.kind === 'list' || type.kind === 'queue' || type.kind === 'map';
}
