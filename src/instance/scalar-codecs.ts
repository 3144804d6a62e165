/**
 * Reading, checking and writing scalars. One codec per kind and pool, closed over the pool's typed arrays. The
 * checks stand here once, as source text as well (`CHECKS`), because compiled accessors inline them.
 */
import { ValueError } from '../errors/index.js';
import type { Offset } from '../format/index.js';
import type { EnumType, ScalarKind } from '../layout/index.js';
import type { Views } from '../memory/index.js';

/** A value that is never null, at any byte offset aligned to its size. */
export interface ValueCodec<T = unknown> {
  read(at: Offset): T;
  check(value: unknown): void;
  write(at: Offset, value: T): void;
}

/** What a scalar kind accepts: the condition under which `v` is refused, and the words for the message. */
export const CHECKS: Readonly<
  Record<Exclude<ScalarKind, 'enum'>, { readonly refuse: string; readonly accepts: string }>
> = {
  i8: { refuse: "typeof v !== 'number' || v !== (v << 24) >> 24", accepts: 'an integer from -128 to 127' },
  u8: { refuse: "typeof v !== 'number' || v !== (v & 0xff)", accepts: 'an integer from 0 to 255' },
  i16: {
    refuse: "typeof v !== 'number' || v !== (v << 16) >> 16",
    accepts: 'an integer from -32768 to 32767',
  },
  u16: { refuse: "typeof v !== 'number' || v !== (v & 0xffff)", accepts: 'an integer from 0 to 65535' },
  i32: {
    refuse: "typeof v !== 'number' || v !== (v | 0)",
    accepts: 'an integer from -2147483648 to 2147483647',
  },
  u32: { refuse: "typeof v !== 'number' || v !== v >>> 0", accepts: 'an integer from 0 to 4294967295' },
  f32: { refuse: "typeof v !== 'number'", accepts: 'a number' },
  f64: { refuse: "typeof v !== 'number'", accepts: 'a number' },
  i64: {
    refuse: "typeof v !== 'bigint' || v !== BigInt.asIntN(64, v)",
    accepts: 'a bigint from -2^63 to 2^63 - 1',
  },
  u64: {
    refuse: "typeof v !== 'bigint' || v !== BigInt.asUintN(64, v)",
    accepts: 'a bigint from 0 to 2^64 - 1',
  },
  bool: { refuse: "typeof v !== 'boolean'", accepts: 'true or false' },
  date: { refuse: '!(v instanceof Date) || Number.isNaN(v.getTime())', accepts: 'a valid Date' },
};

/** The same conditions as functions, for codecs and where code cannot be compiled. */
const REFUSES: Readonly<Record<Exclude<ScalarKind, 'enum'>, (v: unknown) => boolean>> = {
  i8: (v) => typeof v !== 'number' || v !== (v << 24) >> 24,
  u8: (v) => typeof v !== 'number' || v !== (v & 0xff),
  i16: (v) => typeof v !== 'number' || v !== (v << 16) >> 16,
  u16: (v) => typeof v !== 'number' || v !== (v & 0xffff),
  i32: (v) => typeof v !== 'number' || v !== (v | 0),
  u32: (v) => typeof v !== 'number' || v !== v >>> 0,
  f32: (v) => typeof v !== 'number',
  f64: (v) => typeof v !== 'number',
  i64: (v) => typeof v !== 'bigint' || v !== BigInt.asIntN(64, v),
  u64: (v) => typeof v !== 'bigint' || v !== BigInt.asUintN(64, v),
  bool: (v) => typeof v !== 'boolean',
  date: (v) => !(v instanceof Date) || Number.isNaN(v.getTime()),
};

/** The error for a value that does not fit. */
export function refuseValue(where: string, accepts: string, value: unknown): ValueError {
  return new ValueError(`${where} = ${preview(value)}: expected ${accepts}`, {
    where,
    expected: accepts,
    actual: value,
  });
}

/** A short rendering of any value, for messages. */
export function preview(value: unknown): string {
  if (typeof value === 'string')
    return JSON.stringify(value.length > 40 ? `${value.slice(0, 40)}...` : value);
  if (typeof value === 'bigint') return `${value}n`;
  if (typeof value === 'function') return `function ${value.name}`;
  if (typeof value === 'object' && value !== null) {
    const name = (value as { constructor?: { name?: unknown } }).constructor?.name;
    return typeof name === 'string' && name !== '' ? `a ${name}` : 'an object';
  }
  return String(value);
}

export function scalarCodec(kind: Exclude<ScalarKind, 'enum'>, views: Views, where: string): ValueCodec {
  const refuses = REFUSES[kind];
  const accepts = CHECKS[kind].accepts;
  const check = (value: unknown): void => {
    if (refuses(value)) throw refuseValue(where, accepts, value);
  };
  return { check, ...access(kind, views) } as ValueCodec;
}

export function enumCodec(type: EnumType, views: Views, where: string): ValueCodec {
  const index = new Map(type.values.map((value, i) => [value, i]));
  const accepts = `one of ${type.values.map((value) => JSON.stringify(value)).join(', ')}`;
  const check = (value: unknown): void => {
    if (!index.has(value as string)) throw refuseValue(where, accepts, value);
  };
  const { values } = type;
  if (values.length <= 256) {
    const { u8 } = views;
    return {
      check,
      read: (at) => values[u8[at] as number],
      write: (at, value) => {
        u8[at] = index.get(value as string) as number;
      },
    };
  }
  const { u16 } = views;
  return {
    check,
    read: (at) => values[u16[at / 2] as number],
    write: (at, value) => {
      u16[at / 2] = index.get(value as string) as number;
    },
  };
}

function access(kind: Exclude<ScalarKind, 'enum'>, views: Views): Pick<ValueCodec<never>, 'read' | 'write'> {
  switch (kind) {
    case 'bool': {
      const { u8 } = views;
      const write = (at: Offset, value: boolean): void => {
        u8[at] = value ? 1 : 0;
      };
      return { read: (at) => (u8[at] !== 0) as never, write };
    }
    case 'date': {
      const { f64 } = views;
      const write = (at: Offset, value: Date): void => {
        // Not the method of a subclass, which is code of the program.
        f64[at / 8] = Date.prototype.getTime.call(value);
      };
      return { read: (at) => new Date(f64[at / 8] as number) as never, write };
    }
    default: {
      const array = views[kind] as Float64Array;
      const size = array.BYTES_PER_ELEMENT;
      const write = (at: Offset, value: number): void => {
        array[at / size] = value;
      };
      return { read: (at) => array[at / size] as never, write };
    }
  }
}
