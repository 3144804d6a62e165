/**
 * Accessors compiled per pool and class: each field becomes a getter and a setter of its own source text, so that
 * every load and store is monomorphic over the pool's typed arrays, as fast as a field of a plain object. Where
 * code generation is disallowed (`--disallow-code-generation-from-strings`), closures over `FieldAccess` serve.
 *
 * A setter: checks the value (nothing is changed if it does not fit), makes sure that the object was snapshotted
 * in this transaction (INV-TXN-1), stores.
 */

import { GRANULE_BYTES, type Ref } from '../format/index.js';
import type { FieldLayout, ScalarKind } from '../layout/index.js';
import type { FieldAccess } from './codec.js';
import { type Handle, PAGE, REF, STAMP } from './handle.js';
import type { BoundClass } from './instance-runtime.js';
import { CHECKS } from './scalar-codecs.js';

/** The class whose objects are direct views: made from a ref and a transaction stamp. */
export type ViewClass = new (ref: Ref, stamp: number) => Handle;

/** What compiled code calls. */
export interface CompileSupport {
  readonly binding: BoundClass;
  /** Snapshots the part of the object that the field occupies, or the whole of a small object. */
  touch(handle: Handle, field: FieldAccess): void;
  /** Throws the error for a value that the field does not accept. */
  refuse(field: FieldAccess, value: unknown): never;
}

let generation: boolean | null = null;

/** Whether this process may compile source text. */
function canGenerate(): boolean {
  if (generation === null) {
    try {
      generation = new Function('return true')() === true;
    } catch (error) {
      if (!(error instanceof EvalError)) throw error;
      generation = false;
    }
  }
  return generation;
}

export function compileView(support: CompileSupport): ViewClass {
  return canGenerate() ? generateView(support) : closureView(support);
}

function generateView(support: CompileSupport): ViewClass {
  const { binding } = support;
  const accessors = binding.fields.map((field, i) => accessorSource(field.layout, i)).join('\n');
  // Constants of the closure, one of each per field: the optimiser sees through them.
  const constants = binding.fields
    .map(
      (_, i) =>
        `const field_${i} = fields[${i}], target_${i} = targets[${i}], values_${i} = [...(field_${i}.layout.type.values ?? [])];`,
    )
    .join('\n');
  const source = `'use strict';
const { i8, u8, i16, u16, i32, u32, f32, f64, i64, u64 } = views;
${constants}
return class View {
  #ref = 0;
  #stamp = 0;
  #page = null;
  constructor(ref, stamp) { this.#ref = ref; this.#stamp = stamp; }
  get [REF]() { return this.#ref; }
  get [STAMP]() { return this.#stamp; }
  set [STAMP](stamp) { this.#stamp = stamp; }
  get [PAGE]() { return this.#page; }
  set [PAGE](page) { this.#page = page; }
${accessors}
};`;
  const { runtime } = binding;
  const targets = binding.fields.map(({ layout }) =>
    layout.type.kind === 'ref' ? runtime.bindingOf(layout.type.target()) : null,
  );
  const scope = {
    REF,
    STAMP,
    PAGE,
    targets,
    runtime,
    views: runtime.views,
    txn: runtime.txn,
    identity: runtime.identity,
    strings: runtime.strings,
    heap: runtime.heap,
    fields: binding.fields,
    touch: support.touch,
    refuse: support.refuse,
  };
  return new Function(...Object.keys(scope), source)(...Object.values(scope)) as ViewClass;
}

function accessorSource(layout: FieldLayout, i: number): string {
  const name = JSON.stringify(layout.name);
  const touch = `if (this.#stamp !== txn.stamp) touch(this, field_${i});`;
  const { read, write } = inlineSource(layout, i, touch) ?? {
    read: `field_${i}.read(r)`,
    write: `field_${i}.check(v); ${touch} field_${i}.write(this.#ref, v);`,
  };
  return `  get ${name}() { const r = this.#ref; return ${read}; }
  set ${name}(v) { ${write} }`;
}

interface AccessorSource {
  /** An expression over `r`, the ref of the object. */
  readonly read: string;
  /** Statements over `v`, the value. */
  readonly write: string;
}

/** Source text for the kinds that are worth it; null for the others. */
function inlineSource(layout: FieldLayout, i: number, touch: string): AccessorSource | null {
  const { type, offset, presence } = layout;
  const refuse = `refuse(field_${i}, v);`;
  switch (type.kind) {
    case 'ref': {
      const cell = cellSource('u32', offset);
      return {
        read: `${cell} === 0 ? null : runtime.resolve(${cell}, target_${i})`,
        write: `const ref = v === null ? 0 : runtime.refFor(v, target_${i}, ${JSON.stringify(layout.where)});
    ${touch} const r = this.#ref; ${cell} = ref;`,
      };
    }
    case 'string': {
      const cell = cellSource('u32', offset);
      const [zero, accepts, stored] = type.nullable
        ? ['null', "typeof v !== 'string' && v !== null", 'v === null ? 0 : strings.create(v)']
        : ["''", "typeof v !== 'string'", "v === '' ? 0 : strings.create(v)"];
      return {
        read: `${cell} === 0 ? ${zero} : strings.read(${cell})`,
        write: `if (${accepts}) ${refuse} ${touch} const r = this.#ref; const old = ${cell};
    ${cell} = ${stored}; if (old !== 0) heap.free(old);`,
      };
    }
    case 'enum': {
      // Beyond this many values, a lookup in the codec is as good.
      if (type.values.length > 32) return null;
      const cell = cellSource('u8', offset);
      const cases = type.values
        .map((value, n) => `case ${JSON.stringify(value)}: e = ${n}; break;`)
        .join(' ');
      return withPresence(presence, {
        read: `values_${i}[${cell}]`,
        write: `let e = 0; switch (v) { ${cases} default: ${refuse} }
    ${touch} const r = this.#ref; ${cell} = e;`,
        touch,
      });
    }
    case 'list':
    case 'queue':
    case 'map':
      if (presence !== null) return null;
      return {
        read: `identity.find(r + ${offset / GRANULE_BYTES}) ?? field_${i}.read(r)`,
        write: `field_${i}.check(v); ${touch} field_${i}.write(this.#ref, v);`,
      };
    case 'bytes':
    case 'typedArray':
    case 'embedded':
    case 'fixedArray':
      return null;
    default: {
      const cell = cellSource(type.kind, offset);
      return withPresence(presence, {
        read: LOADS[type.kind]?.(cell) ?? cell,
        write: `if (${CHECKS[type.kind].refuse}) ${refuse} ${touch} const r = this.#ref; ${cell} = ${STORES[type.kind] ?? 'v'};`,
        touch,
      });
    }
  }
}

/** Conversions between a cell and a value, where they differ. */
const LOADS: Readonly<Partial<Record<ScalarKind, (cell: string) => string>>> = {
  bool: (cell) => `${cell} !== 0`,
  date: (cell) => `new Date(${cell})`,
};
const STORES: Readonly<Partial<Record<ScalarKind, string>>> = { bool: 'v ? 1 : 0', date: 'v.getTime()' };

function withPresence(
  presence: FieldLayout['presence'],
  source: AccessorSource & { readonly touch: string },
): AccessorSource {
  if (presence === null) return source;
  const flags = `u8[r * ${GRANULE_BYTES} + ${presence.offset}]`;
  return {
    read: `(${flags} & ${presence.mask}) === 0 ? null : ${source.read}`,
    write: `if (v === null) { ${source.touch} const r = this.#ref; ${flags} &= ${~presence.mask & 0xff}; return; }
    ${source.write} ${flags} |= ${presence.mask};`,
  };
}

/** The typed array element at a byte offset of the object with ref `r`. */
function cellSource(kind: Exclude<ScalarKind, 'enum'>, offset: number): string {
  const array = CELL_ARRAYS[kind];
  const size = ELEMENT_BYTES[array];
  return `${array}[r * ${GRANULE_BYTES / size} + ${offset / size}]`;
}

type CellArray = Exclude<ScalarKind, 'enum' | 'bool' | 'date'>;

const ELEMENT_BYTES: Readonly<Record<CellArray, number>> = {
  i8: 1,
  u8: 1,
  i16: 2,
  u16: 2,
  i32: 4,
  u32: 4,
  f32: 4,
  f64: 8,
  i64: 8,
  u64: 8,
};

const CELL_ARRAYS: Readonly<Record<Exclude<ScalarKind, 'enum'>, CellArray>> = {
  i8: 'i8',
  u8: 'u8',
  i16: 'i16',
  u16: 'u16',
  i32: 'i32',
  u32: 'u32',
  f32: 'f32',
  f64: 'f64',
  i64: 'i64',
  u64: 'u64',
  bool: 'u8',
  date: 'f64',
};

function closureView(support: CompileSupport): ViewClass {
  const { txn } = support.binding.runtime;
  class View implements Handle {
    readonly #ref: Ref;
    #stamp: number;
    #page: object | null = null;
    constructor(ref: Ref, stamp: number) {
      this.#ref = ref;
      this.#stamp = stamp;
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
  }
  for (const field of support.binding.fields) {
    Object.defineProperty(View.prototype, field.layout.name, {
      configurable: true,
      get(this: Handle) {
        return field.read(this[REF]);
      },
      set(this: Handle, value: unknown) {
        field.check(value);
        if (this[STAMP] !== txn.stamp) support.touch(this, field);
        field.write(this[REF], value);
      },
    });
  }
  return View;
}
