/**
 * The codecs of what lies inside an object at a granule boundary, with a block header and a handle of its own:
 * container headers and embedded structs (fixed arrays: fixed-array.ts).
 */
import { DeclarationError } from '../errors/index.js';
import { BLOCK_HEADER_BYTES, GRANULE_BYTES, type Offset, type Ref } from '../format/index.js';
import { type FieldType, isContainerType } from '../layout/index.js';
import type { Tracer } from './codec.js';
import type { InstanceRuntime } from './instance-runtime.js';
import { refuseValue } from './scalar-codecs.js';
import { snapshotField } from './snapshot-field.js';

export interface InlineCodec {
  read(at: Offset): unknown;
  check(value: unknown): void;
  /** Replaces a value by a checked one. */
  write(at: Offset, value: unknown): void;
  /** Back to the initial value; frees what was there. */
  clear(at: Offset): void;
  /** The same, when the value gives way to null: its handles die. */
  discard(at: Offset): void;
  /** Frees what the value owns. */
  release(at: Offset): void;
  trace(at: Offset, tracer: Tracer): void;
}

export function containerCodec(runtime: InstanceRuntime, type: FieldType, where: string): InlineCodec {
  if (!isContainerType(type)) throw new DeclarationError(`${where}: not a container`, { where });
  const binding = runtime.containerBinding(type, where);
  const { ops } = binding;
  return {
    read: (at) => runtime.openContainer(binding, refAt(at)),
    check: (value) => ops.checkContents(binding, value),
    write: (at, value) => ops.assign(runtime.openContainer(binding, refAt(at)), value),
    clear: (at) => ops.assign(runtime.openContainer(binding, refAt(at)), []),
    discard: (at) => {
      runtime.writer.snapshot(refAt(at), ops.headerBytes / GRANULE_BYTES);
      ops.release(binding, refAt(at));
      runtime.views.u8.fill(0, at + BLOCK_HEADER_BYTES, at + ops.headerBytes);
      runtime.forget(refAt(at), where);
    },
    release: (at) => ops.release(binding, refAt(at)),
    trace: (at, tracer) => ops.trace(binding, refAt(at), tracer),
  };
}

const inherited = Object.prototype as unknown as Readonly<Record<string, unknown>>;

export function embeddedCodec(
  runtime: InstanceRuntime,
  type: FieldType & { readonly kind: 'embedded' },
  where: string,
): InlineCodec {
  const binding = runtime.bindingOf(type.target());
  const accepts = `an object with fields of ${binding.layout.name}`;
  return {
    read: (at) => runtime.resolveEmbedded(refAt(at), binding),
    check: (value) => {
      if (typeof value !== 'object' || value === null) throw refuseValue(where, accepts, value);
      binding.checkFields(value, where);
    },
    write: (at, value) => {
      const target = runtime.resolveEmbedded(refAt(at), binding);
      if (target === value) return;
      const source = value as Readonly<Record<string, unknown>>;
      const ref = refAt(at);
      for (const field of binding.fields) {
        const { name } = field.layout;
        const read = source[name];
        // A field may have the name of a method that every object inherits, such as `toString`: that is no value for it.
        const given = read === inherited[name] ? undefined : read;
        if (given !== undefined) {
          Reflect.set(target, name, given);
        } else {
          // What is not given goes back to its initial value.
          snapshotField(runtime.writer, ref, field.layout);
          field.clear(ref);
        }
      }
    },
    clear: (at) => binding.clear(refAt(at)),
    discard: (at) => {
      binding.discard(refAt(at));
      runtime.forget(refAt(at), where);
    },
    release: (at) => binding.release(refAt(at)),
    trace: (at, tracer) => binding.trace(refAt(at), tracer),
  };
}

/** The ref of what lies at a granule boundary. */
export function refAt(at: Offset): Ref {
  return (at / GRANULE_BYTES) as Ref;
}
