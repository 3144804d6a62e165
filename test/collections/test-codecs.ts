/** Simple codecs for tests of containers, in place of the real ones. */
import { ValueError } from '../../src/errors/errors.js';
import type { Offset, Ref } from '../../src/format/format.js';
import { BLOCK_HEADER_BYTES, offsetOf } from '../../src/format/format.js';
import type {
  Container,
  ContainerBinding,
  ContainerOps,
  Handle,
  Runtime,
  SlotCodec,
} from '../../src/instance/index.js';
import { PAGE, REF, STAMP } from '../../src/instance/index.js';
import type { ContainerType, FieldType } from '../../src/layout/index.js';

/** What these codecs need: a runtime that knows the test objects. */
interface CodecRuntime extends Runtime {
  findHandle(ref: Ref): Handle | null;
}

const STRING_LAYOUT = 2;

/** What an element of a ref type is in these tests: an opaque object with an identity. */
export class TestObject implements Handle {
  [REF]: Ref;
  [STAMP] = 0;
  [PAGE]: object | null = null;
  constructor(
    ref: Ref,
    readonly name: string,
  ) {
    this[REF] = ref;
  }
}

interface IntegerRange {
  readonly bytes: number;
  readonly min: number;
  readonly max: number;
  readonly view: 'u8' | 'u16' | 'i32' | 'u32';
}

const INTEGERS: Readonly<Record<string, IntegerRange>> = {
  u8: { bytes: 1, min: 0, max: 255, view: 'u8' },
  u16: { bytes: 2, min: 0, max: 65535, view: 'u16' },
  i32: { bytes: 4, min: -(2 ** 31), max: 2 ** 31 - 1, view: 'i32' },
  u32: { bytes: 4, min: 0, max: 2 ** 32 - 1, view: 'u32' },
};

/**
 * Codecs of u8, u16, i32, u32, f64 (null, where nullable, is a NaN of its own), string (an owned block; null is
 * ref 0), bytes (16-byte slots that own a block), ref, and containers in blocks of their own.
 */
export function makeCodec(
  runtime: CodecRuntime,
  type: FieldType,
  where: string,
  // biome-ignore lint/suspicious/noExplicitAny: ops of any codecs
  ops: Readonly<Record<string, ContainerOps<any>>>,
): SlotCodec | undefined {
  const refuse = (value: unknown): never => {
    throw new ValueError(`${where}: ${String(value)} is no ${type.kind}`);
  };
  const plain = { type, owns: false, traced: false, release: () => {}, trace: () => {} };
  const integer = INTEGERS[type.kind];
  if (integer !== undefined) {
    const { bytes, min, max, view } = integer;
    return {
      ...plain,
      sizeBytes: bytes,
      read: (at) => runtime.views[view][at / bytes],
      check: (value) => {
        if (typeof value !== 'number' || !Number.isInteger(value) || value < min || value > max)
          refuse(value);
      },
      write: (at, value) => {
        runtime.views[view][at / bytes] = value as number;
      },
    };
  }
  switch (type.kind) {
    case 'f64':
      return {
        ...plain,
        sizeBytes: 8,
        read: (at) => {
          const { u32, f64 } = runtime.views;
          return type.nullable && u32[at / 4] === 1 && u32[at / 4 + 1] === 0x7ff80000 ? null : f64[at / 8];
        },
        check: (value) => {
          if (typeof value !== 'number' && !(type.nullable && value === null)) refuse(value);
        },
        write: (at, value) => {
          const { u32, f64 } = runtime.views;
          if (value === null) {
            u32[at / 4] = 1;
            u32[at / 4 + 1] = 0x7ff80000;
          } else f64[at / 8] = value as number;
        },
      };
    case 'string':
    case 'bytes':
      return ownedCodec(runtime, type, refuse);
    case 'ref':
      return {
        ...plain,
        traced: true,
        sizeBytes: 4,
        read: (at) => {
          const ref = runtime.views.u32[at / 4] as Ref;
          return ref === 0 ? null : runtime.findHandle(ref);
        },
        check: (value) => {
          if (value !== null && !(value instanceof TestObject)) refuse(value);
        },
        write: (at, value) => {
          runtime.views.u32[at / 4] = value === null ? 0 : (value as TestObject)[REF];
        },
        trace: (at, tracer) => {
          const ref = runtime.views.u32[at / 4] as Ref;
          if (ref !== 0) tracer.reference(ref);
        },
      };
    case 'list':
    case 'queue':
    case 'map':
      return ops[type.kind] && boxedCodec(runtime, type, where, ops[type.kind] as ContainerOps);
    default:
      return undefined;
  }
}

/** Strings: 4-byte slots (`string`) or 16-byte slots (`bytes`, which here hold strings as well). */
function ownedCodec(runtime: CodecRuntime, type: FieldType, refuse: (value: unknown) => never): SlotCodec {
  const sizeBytes = type.kind === 'string' ? 4 : 16;
  return {
    type,
    sizeBytes,
    owns: true,
    traced: true,
    read: (at) => {
      const { u32, bytes } = runtime.views;
      const ref = u32[at / 4] as Ref;
      if (ref === 0) return null;
      const start = offsetOf(ref) + BLOCK_HEADER_BYTES;
      return bytes.toString('utf16le', start, start + (u32[offsetOf(ref) / 4 + 1] as number));
    },
    check: (value) => {
      if (typeof value !== 'string' && !(type.nullable && value === null)) refuse(value);
    },
    write: (at, value) => {
      const { u32, bytes } = runtime.views;
      if (sizeBytes === 16) u32[at / 4 + 1] = u32[at / 4 + 2] = u32[at / 4 + 3] = 0xabababab;
      u32[at / 4] = 0;
      if (value === null) return;
      const length = (value as string).length * 2;
      const ref = runtime.heap.allocateRaw(BLOCK_HEADER_BYTES + length, STRING_LAYOUT, length);
      bytes.write(value as string, offsetOf(ref) + BLOCK_HEADER_BYTES, 'utf16le');
      u32[at / 4] = ref;
    },
    release: (at) => {
      const ref = runtime.views.u32[at / 4] as Ref;
      if (ref !== 0) runtime.heap.free(ref);
    },
    trace: (at, tracer) => {
      const ref = runtime.views.u32[at / 4] as Ref;
      if (ref !== 0) tracer.owned(ref);
    },
  };
}

/** Containers as elements: a slot holds the ref of a block with the container's header. */
function boxedCodec(runtime: CodecRuntime, type: ContainerType, where: string, ops: ContainerOps): SlotCodec {
  const binding: ContainerBinding = { runtime, type, ops, where, codecs: ops.codecs(runtime, type, where) };
  const handles = new Map<Ref, Container>();
  const open = (ref: Ref): Container => {
    let handle = handles.get(ref);
    if (handle === undefined) {
      handle = ops.open(binding, ref);
      handles.set(ref, handle);
    }
    return handle;
  };
  const refAt = (at: Offset): Ref => runtime.views.u32[at / 4] as Ref;
  return {
    type,
    sizeBytes: 4,
    owns: true,
    traced: true,
    read: (at) => open(refAt(at)),
    check: (value) => ops.checkContents(binding, value),
    write: (at, value) => {
      const ref = runtime.heap.allocate(ops.headerBytes, ops.layoutId, 0);
      handles.delete(ref);
      runtime.views.u32[at / 4] = ref;
      ops.assign(open(ref), value);
    },
    release: (at) => {
      ops.release(binding, refAt(at));
      runtime.heap.free(refAt(at));
    },
    trace: (at, tracer) => {
      tracer.owned(refAt(at));
      ops.trace(binding, refAt(at), tracer);
    },
  };
}
