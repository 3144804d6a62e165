/**
 * How each field of a class is reached, given the ref of an object: the uncompiled form, used by everything that
 * is not a hot path (checks, tracing, release, environments without code generation) and by compiled accessors
 * for all kinds that are not worth inlining.
 */
import { GRANULE_BYTES, type Offset, type Ref } from '../format/index.js';
import { describeType, type FieldLayout } from '../layout/index.js';
import type { FieldAccess } from './codec.js';
import { fixedArrayCodec } from './fixed-array.js';
import { containerCodec, embeddedCodec, type InlineCodec } from './inline-codecs.js';
import type { InstanceRuntime } from './instance-runtime.js';
import { refuseValue } from './scalar-codecs.js';
import { createSlotCodec } from './slot-codecs.js';

export function createFieldAccess(runtime: InstanceRuntime, layout: FieldLayout): FieldAccess {
  const codec = codecAtOffset(runtime, layout);
  return layout.presence === null ? always(layout, codec) : nullable(runtime, layout, codec);
}

function codecAtOffset(runtime: InstanceRuntime, layout: FieldLayout): InlineCodec {
  const { type, where } = layout;
  switch (type.kind) {
    case 'list':
    case 'queue':
    case 'map':
      return containerCodec(runtime, type, where);
    case 'embedded':
      return embeddedCodec(runtime, type, where);
    case 'fixedArray':
      return fixedArrayCodec(runtime, type, where);
    default:
      return slotInObject(runtime, layout);
  }
}

/** A slot codec as a field: replacing a value frees the old one. */
function slotInObject(runtime: InstanceRuntime, layout: FieldLayout): InlineCodec {
  const { presence, type, where, bytes } = layout;
  const codec = createSlotCodec(runtime, presence === null ? type : { ...type, nullable: false }, where);
  const { u8, u32 } = runtime.views;
  const { heap } = runtime;
  const clear = (at: Offset): void => {
    codec.release(at);
    u8.fill(0, at, at + bytes);
  };
  return {
    read: (at) => codec.read(at),
    check: (value) => codec.check(value),
    write: (at, value) => {
      const old = codec.owns ? (u32[at / 4] as number) : 0;
      codec.write(at, value);
      if (old !== 0) heap.free(old as Ref);
    },
    clear,
    discard: clear,
    release: (at) => codec.release(at),
    trace: (at, tracer) => codec.trace(at, tracer),
  };
}

function always(layout: FieldLayout, codec: InlineCodec): FieldAccess {
  const at = (ref: Ref): Offset => (ref * GRANULE_BYTES + layout.offset) as Offset;
  return {
    layout,
    read: (ref) => codec.read(at(ref)),
    check: (value) => codec.check(value),
    write: (ref, value) => codec.write(at(ref), value),
    clear: (ref) => codec.clear(at(ref)),
    discard: (ref) => codec.discard(at(ref)),
    release: (ref) => codec.release(at(ref)),
    trace: (ref, tracer) => codec.trace(at(ref), tracer),
  };
}

function nullable(runtime: InstanceRuntime, layout: FieldLayout, codec: InlineCodec): FieldAccess {
  const { u8 } = runtime.views;
  const { offset, mask } = layout.presence as { offset: number; mask: number };
  const accepts = `${describeType({ ...layout.type, nullable: false })} or null`;
  const at = (ref: Ref): Offset => (ref * GRANULE_BYTES + layout.offset) as Offset;
  const flagsAt = (ref: Ref): number => ref * GRANULE_BYTES + offset;
  const isPresent = (ref: Ref): boolean => ((u8[flagsAt(ref)] as number) & mask) !== 0;
  const clear = (ref: Ref): void => {
    if (isPresent(ref)) codec.discard(at(ref));
    u8[flagsAt(ref)] = (u8[flagsAt(ref)] as number) & ~mask;
  };
  return {
    layout,
    read: (ref) => (isPresent(ref) ? codec.read(at(ref)) : null),
    check: (value) => {
      if (value === undefined) throw refuseValue(layout.where, accepts, value);
      if (value !== null) codec.check(value);
    },
    write: (ref, value) => {
      if (value === null) {
        clear(ref);
      } else {
        u8[flagsAt(ref)] = (u8[flagsAt(ref)] as number) | mask;
        codec.write(at(ref), value);
      }
    },
    clear,
    discard: clear,
    release: (ref) => {
      if (isPresent(ref)) codec.release(at(ref));
    },
    trace: (ref, tracer) => {
      if (isPresent(ref)) codec.trace(at(ref), tracer);
    },
  };
}
