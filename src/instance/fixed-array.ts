/**
 * Fixed arrays: a given number of elements inside the object that declares them. The handle is array-like; index
 * access works through a Proxy on the prototype chain, so that it costs the named methods nothing.
 */
import { DeclarationError, TxnRequiredError, ValueError } from '../errors/index.js';
import { BLOCK_HEADER_BYTES, GRANULE_BYTES, type Offset, type Ref } from '../format/index.js';
import type { FixedArrayType } from '../layout/index.js';
import type { SlotCodec } from './codec.js';
import { type Handle, PAGE, REF, STAMP } from './handle.js';
import { addIndexAccess, GET, type Indexed, SET } from './index-access.js';
import { type InlineCodec, refAt } from './inline-codecs.js';
import type { InstanceRuntime } from './instance-runtime.js';
import { refuseValue } from './scalar-codecs.js';

const BINDING: unique symbol = Symbol('perdure.fixedArray');

interface FixedArrayBinding {
  readonly runtime: InstanceRuntime;
  readonly codec: SlotCodec;
  readonly length: number;
  readonly where: string;
}

/** The elements of a `fixedArray(...)` field: array-like, iterable, of constant length. */
export class FixedArray<T = unknown> implements Handle, Indexed {
  [index: number]: T;
  readonly #ref: Ref;
  #stamp = 0;
  #page: object | null = null;
  readonly #bound: FixedArrayBinding;

  /** Made by perdure: read the field of an object to get one. */
  constructor(binding: FixedArrayBinding, ref: Ref) {
    this.#ref = ref;
    this.#bound = binding;
  }

  get [REF](): Ref {
    return this.#ref;
  }

  get [STAMP](): number {
    return this.#stamp;
  }

  set [STAMP](stamp: number) {
    this.#stamp = stamp;
  }

  get [PAGE](): object | null {
    return this.#page;
  }

  set [PAGE](page: object | null) {
    this.#page = page;
  }

  get [BINDING](): FixedArrayBinding {
    return this.#bound;
  }

  get length(): number {
    // Asked for its view, a closed pool throws.
    return this[BINDING].runtime.views.u8.length === 0 ? 0 : this[BINDING].length;
  }

  /** The element at `index`; negative ones count from the end; undefined outside. */
  at(index: number): T | undefined {
    const { length } = this;
    const i = index < 0 ? length + index : index;
    return i >= 0 && i < length && Number.isInteger(i)
      ? (this.#codec().read(slotAt(this, i)) as T)
      : undefined;
  }

  /** @throws ValueError outside the array, or when the value does not fit; TxnRequiredError outside a transaction */
  set(index: number, value: T): void {
    const { runtime, where } = this[BINDING];
    const { length } = this;
    const codec: SlotCodec = this[BINDING].codec;
    if (!Number.isInteger(index) || index < 0 || index >= length) {
      throw new ValueError(`${where}[${index}]: the index must be an integer from 0 to ${length - 1}`, {
        where,
        index,
      });
    }
    codec.check(value);
    if (runtime.txn.stamp < 0) throw new TxnRequiredError(`writing ${where}[${index}]`, { where });
    const at = slotAt(this, index);
    runtime.writer.snapshot(Math.floor(at / GRANULE_BYTES), 1);
    codec.release(at);
    codec.write(at, value);
  }

  [GET](index: number): T | undefined {
    return this.at(index);
  }

  [SET](index: number, value: unknown): void {
    this.set(index, value as T);
  }

  *[Symbol.iterator](): IterableIterator<T> {
    for (let i = 0; i < this.length; i += 1) yield this.at(i) as T;
  }

  /** The elements as a plain array. */
  toArray(): T[] {
    return [...this];
  }

  toJSON(): T[] {
    return this.toArray();
  }

  get [Symbol.toStringTag](): string {
    return 'FixedArray';
  }

  [Symbol.for('nodejs.util.inspect.custom')](
    _depth: number,
    options: object,
    inspect: (v: unknown, o: object) => string,
  ): string {
    return `FixedArray(${this.length}) ${inspect(this.toArray(), options)}`;
  }

  #codec(): SlotCodec {
    return this[BINDING].codec;
  }
}

addIndexAccess(FixedArray);

function slotAt(array: FixedArray, index: number): Offset {
  const { codec } = array[BINDING];
  return (array[REF] * GRANULE_BYTES + BLOCK_HEADER_BYTES + index * codec.sizeBytes) as Offset;
}

export function fixedArrayCodec(runtime: InstanceRuntime, type: FixedArrayType, where: string): InlineCodec {
  const codec: SlotCodec = runtime.codec(type.element, `${where}[]`);
  if (codec.sizeBytes > 8)
    throw new DeclarationError(`${where}: nullable 8-byte elements do not fit a fixed array; use list(...)`, {
      where,
    });
  const binding: FixedArrayBinding = { runtime, codec, length: type.length, where };
  const { length } = type;
  const open = (at: Offset): FixedArray => runtime.open(refAt(at), (ref) => new FixedArray(binding, ref));
  const slots = (at: Offset, visit: (slot: Offset) => void): void => {
    for (let i = 0; i < length; i += 1) visit((at + BLOCK_HEADER_BYTES + i * codec.sizeBytes) as Offset);
  };
  const clear = (at: Offset): void => {
    const granules = Math.ceil((BLOCK_HEADER_BYTES + length * codec.sizeBytes) / GRANULE_BYTES);
    runtime.writer.snapshot(refAt(at), granules);
    slots(at, codec.release);
    runtime.views.u8.fill(0, at + BLOCK_HEADER_BYTES, at + granules * GRANULE_BYTES);
  };
  const elementsOf = (value: unknown): unknown[] => Array.from(value as ArrayLike<unknown>);
  return {
    read: open,
    check: (value) => {
      if (typeof value !== 'object' || value === null || (value as ArrayLike<unknown>).length !== length) {
        throw refuseValue(where, `an array of ${length} elements`, value);
      }
      for (const element of elementsOf(value)) codec.check(element);
    },
    write: (at, value) => {
      const array = open(at);
      elementsOf(value).forEach((element, i) => {
        array.set(i, element);
      });
    },
    clear,
    discard: (at) => {
      clear(at);
      runtime.forget(refAt(at), where);
    },
    release: (at) => {
      if (codec.owns) slots(at, codec.release);
    },
    trace: (at, tracer) => {
      if (codec.traced) slots(at, (slot) => codec.trace(slot, tracer));
    },
  };
}
