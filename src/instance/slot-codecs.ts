/**
 * The codecs of slots: elements of containers and fixed arrays, and fields with a value of fixed size or a ref.
 * Null: references, strings and bytes say it with a ref of 0; other nullable slots have a presence byte behind
 * the value.
 */
import { DeclarationError } from '../errors/index.js';
import type { Ref } from '../format/index.js';
import { type FieldType, isContainerType, slotBytes, type TypedArrayName } from '../layout/index.js';
import type { SlotCodec } from './codec.js';
import type { Container } from './container.js';
import type { BoundClass, InstanceRuntime } from './instance-runtime.js';
import { enumCodec, refuseValue, scalarCodec, type ValueCodec } from './scalar-codecs.js';
import { byteLengthOf } from './strings.js';

type AnyCodec = SlotCodec<never>;
const NOTHING = (): void => undefined;

/** @throws DeclarationError for a type that cannot be an element */
export function createSlotCodec(runtime: InstanceRuntime, type: FieldType, where: string): SlotCodec {
  switch (type.kind) {
    case 'ref':
      return refSlot(
        runtime,
        type,
        type.target() === Object ? null : runtime.bindingOf(type.target()),
        where,
      ) as AnyCodec;
    case 'string':
      return stringSlot(runtime, type, where) as AnyCodec;
    case 'bytes':
      return bytesSlot(runtime, type, where) as AnyCodec;
    case 'typedArray':
      return typedArraySlot(runtime, type, where) as AnyCodec;
    case 'list':
    case 'queue':
    case 'map':
      return boxedContainerSlot(runtime, type, where) as AnyCodec;
    case 'embedded':
    case 'fixedArray':
      throw new DeclarationError(
        `${where}: ${type.kind} cannot be an element; use () => Class or list(...)`,
        { where },
      );
    default: {
      const value =
        type.kind === 'enum'
          ? enumCodec(type, runtime.views, where)
          : scalarCodec(type.kind, runtime.views, where);
      return (type.nullable ? nullableSlot(runtime, type, value) : plainSlot(type, value)) as AnyCodec;
    }
  }
}

function plainSlot(type: FieldType, value: ValueCodec): SlotCodec {
  return {
    type,
    sizeBytes: slotBytes(type),
    owns: false,
    traced: false,
    ...value,
    release: NOTHING,
    trace: NOTHING,
  };
}

function nullableSlot(runtime: InstanceRuntime, type: FieldType, value: ValueCodec): SlotCodec {
  const { u8 } = runtime.views;
  const sizeBytes = slotBytes(type);
  const presence = sizeBytes / 2;
  return {
    type,
    sizeBytes,
    owns: false,
    traced: false,
    read: (at) => (u8[at + presence] === 0 ? null : value.read(at)),
    check: (v) => {
      if (v !== null) value.check(v);
    },
    write: (at, v) => {
      if (v === null) {
        u8.fill(0, at, at + sizeBytes);
      } else {
        value.write(at, v);
        u8.fill(0, at + presence, at + sizeBytes);
        u8[at + presence] = 1;
      }
    },
    release: NOTHING,
    trace: NOTHING,
  };
}

function refSlot(
  runtime: InstanceRuntime,
  type: FieldType,
  target: BoundClass | null,
  where: string,
): SlotCodec<object | null> {
  const { u32 } = runtime.views;
  return {
    type,
    sizeBytes: 4,
    owns: false,
    traced: true,
    read: (at) => {
      const ref = u32[at / 4] as Ref;
      return ref === 0 ? null : runtime.resolve(ref, target);
    },
    check: (value) => {
      if (value !== null) runtime.refFor(value, target, where);
    },
    write: (at, value) => {
      u32[at / 4] = value === null ? 0 : runtime.refFor(value, target, where);
    },
    release: NOTHING,
    trace: (at, tracer) => {
      if (u32[at / 4] !== 0) tracer.reference(u32[at / 4] as Ref);
    },
  };
}

/** A slot with the ref of a block that it owns; `empty` is what a ref of 0 stands for. */
function ownedSlot<T>(
  runtime: InstanceRuntime,
  type: FieldType,
  parts: {
    readonly empty: () => T | null;
    readonly load: (ref: Ref) => T;
    readonly check: (value: unknown) => void;
    /** 0 for a value that `empty` stands for. */
    readonly store: (value: T) => Ref;
  },
): SlotCodec<T | null> {
  const { u32 } = runtime.views;
  return {
    type,
    sizeBytes: 4,
    owns: true,
    traced: true,
    read: (at) => {
      const ref = u32[at / 4] as Ref;
      return ref === 0 ? parts.empty() : parts.load(ref);
    },
    check: (value) => {
      if (value !== null || !type.nullable) parts.check(value);
    },
    write: (at, value) => {
      u32[at / 4] = value === null ? 0 : parts.store(value);
    },
    release: (at) => {
      const ref = u32[at / 4] as Ref;
      if (ref !== 0) runtime.heap.free(ref);
    },
    trace: (at, tracer) => {
      if (u32[at / 4] !== 0) tracer.owned(u32[at / 4] as Ref);
    },
  };
}

function stringSlot(runtime: InstanceRuntime, type: FieldType, where: string): SlotCodec<string | null> {
  const store = runtime.strings;
  const accepts = type.nullable ? 'a string or null' : 'a string';
  return ownedSlot<string>(runtime, type, {
    empty: () => (type.nullable ? null : ''),
    load: (ref) => store.read(ref),
    check: (value) => {
      if (typeof value !== 'string') throw refuseValue(where, accepts, value);
    },
    store: (value) => (value === '' && !type.nullable ? (0 as Ref) : store.create(value)),
  });
}

function bytesSlot(runtime: InstanceRuntime, type: FieldType, where: string): SlotCodec<Uint8Array | null> {
  const store = runtime.strings;
  return ownedSlot<Uint8Array>(runtime, type, {
    empty: () => (type.nullable ? null : new Uint8Array(0)),
    load: (ref) => store.readBytes(ref),
    check: (value) => {
      if (!(value instanceof Uint8Array)) throw refuseValue(where, 'a Uint8Array', value);
    },
    store: (value) => (byteLengthOf(value) === 0 && !type.nullable ? (0 as Ref) : store.createBytes(value)),
  });
}

const TYPED_ARRAYS = {
  Int8Array,
  Uint8Array,
  Uint8ClampedArray,
  Int16Array,
  Uint16Array,
  Int32Array,
  Uint32Array,
  Float32Array,
  Float64Array,
  BigInt64Array,
  BigUint64Array,
} as const satisfies Record<TypedArrayName, unknown>;

function typedArraySlot(
  runtime: InstanceRuntime,
  type: FieldType & { readonly kind: 'typedArray' },
  where: string,
): SlotCodec<ArrayBufferView | null> {
  const store = runtime.strings;
  const Type = TYPED_ARRAYS[type.array];
  return ownedSlot<ArrayBufferView>(runtime, type, {
    empty: () => (type.nullable ? null : new Type(0)),
    load: (ref) => new Type(store.readBytes(ref).buffer),
    check: (value) => {
      if (!(value instanceof Type)) throw refuseValue(where, `a ${type.array}`, value);
    },
    store: (value) => (byteLengthOf(value) === 0 && !type.nullable ? (0 as Ref) : store.createBytes(value)),
  });
}

/** A container as an element: a block of its own, created when something is stored. */
function boxedContainerSlot(
  runtime: InstanceRuntime,
  type: FieldType,
  where: string,
): SlotCodec<Container | null> {
  if (!isContainerType(type)) throw new DeclarationError(`${where}: not a container`, { where });
  const { u32 } = runtime.views;
  const binding = runtime.containerBinding(type, where);
  const { ops } = binding;
  const create = (): Ref => {
    const ref = runtime.heap.allocate(ops.headerBytes, ops.layoutId, 0);
    runtime.noteCreated(ref, ops.headerBytes);
    return ref;
  };
  return {
    type,
    sizeBytes: 4,
    owns: true,
    traced: true,
    read: (at) => {
      const ref = u32[at / 4] as Ref;
      return ref === 0 ? null : runtime.openContainer(binding, ref);
    },
    check: (value) => {
      if (value === null && type.nullable) return;
      ops.checkContents(binding, value);
    },
    settle: (value) => (value === null ? null : (ops.settle(binding, value) as Container)),
    write: (at, value) => {
      if (value === null) {
        u32[at / 4] = 0;
        return;
      }
      const ref = create();
      u32[at / 4] = ref;
      ops.assign(runtime.openContainer(binding, ref), value);
    },
    release: (at) => {
      const ref = u32[at / 4] as Ref;
      if (ref === 0) return;
      ops.release(binding, ref);
      runtime.heap.free(ref);
      runtime.forget(ref, where);
    },
    trace: (at, tracer) => {
      const ref = u32[at / 4] as Ref;
      if (ref === 0) return;
      tracer.owned(ref);
      ops.trace(binding, ref, tracer);
    },
  };
}
