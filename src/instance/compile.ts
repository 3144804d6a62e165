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
import type { ClassBinding } from './binding.js';
import type { FieldAccess } from './field-access.js';
import { type Handle, PAGE, REF, STAMP } from './handle.js';
import { CHECKS } from './scalar-codecs.js';

/** The class whose objects are direct views: made from a ref and a transaction stamp. */
export type ViewClass = new (ref: Ref, stamp: number) => Handle;

/** What compiled code calls. */
export interface CompileSupport {
  readonly binding: ClassBinding;
  /** Snapshots the part of the object that the field occupies, or the whole of a small object. */
  touch(handle: Handle, field: FieldAccess): void;
  /** Throws the error for a value that the field does not accept. */
  refuse(field: FieldAccess, value: unknown): never;
}

type InlineKind = Exclude<ScalarKind, 'enum' | 'date'>;

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
  const source = `'use strict';
const { i8, u8, i16, u16, i32, u32, f32, f64, i64, u64 } = views;
return class View {
  [REF] = 0;
  [STAMP] = 0;
  [PAGE] = null;
  constructor(ref, stamp) { this[REF] = ref; this[STAMP] = stamp; }
${accessors}
};`;
  const build = new Function(
    'REF',
    'STAMP',
    'PAGE',
    'views',
    'txn',
    'fields',
    'runtime',
    'targets',
    'touch',
    'refuse',
    source,
  );
  const { runtime } = binding;
  const targets = binding.fields.map(({ layout }) =>
    layout.type.kind === 'ref' ? runtime.bindingOf(layout.type.target()) : null,
  );
  return build(
    REF,
    STAMP,
    PAGE,
    runtime.views,
    runtime.txn,
    binding.fields,
    runtime,
    targets,
    support.touch,
    support.refuse,
  ) as ViewClass;
}

function accessorSource(layout: FieldLayout, i: number): string {
  const name = JSON.stringify(layout.name);
  const touch = `if (this[STAMP] !== txn.stamp) touch(this, fields[${i}]);`;
  const { kind } = layout.type;
  let read = `fields[${i}].read(r)`;
  let body = `fields[${i}].check(v); ${touch} fields[${i}].write(this[REF], v);`;
  if (isInlineKind(kind)) {
    const cell = cellSource(kind, layout.offset);
    const present = layout.presence && `u8[r * ${GRANULE_BYTES} + ${layout.presence.offset}]`;
    const value = kind === 'bool' ? `${cell} !== 0` : cell;
    const store = kind === 'bool' ? `${cell} = v ? 1 : 0;` : `${cell} = v;`;
    const check = `if (${CHECKS[kind].refuse}) refuse(fields[${i}], v);`;
    if (layout.presence === null) {
      read = value;
      body = `${check} ${touch} const r = this[REF]; ${store}`;
    } else {
      const { mask } = layout.presence;
      read = `(${present} & ${mask}) === 0 ? null : ${value}`;
      body = `if (v === null) { ${touch} const r = this[REF]; ${present} &= ${~mask & 0xff}; return; }
    ${check} ${touch} const r = this[REF]; ${present} |= ${mask}; ${store}`;
    }
  } else if (kind === 'ref') {
    const cell = cellSource('u32', layout.offset);
    read = `${cell} === 0 ? null : runtime.resolve(${cell}, targets[${i}])`;
    body = `const target = v === null ? 0 : runtime.refFor(v, targets[${i}], ${JSON.stringify(layout.where)});
    ${touch} const r = this[REF]; ${cell} = target;`;
  }
  return `  get ${name}() { const r = this[REF]; return ${read}; }
  set ${name}(v) { ${body} }`;
}

function isInlineKind(kind: string): kind is InlineKind {
  return kind !== 'date' && kind in CHECKS;
}

/** The typed array element at a byte offset of the object with ref `r`. */
function cellSource(kind: InlineKind, offset: number): string {
  const array = kind === 'bool' ? 'u8' : kind;
  const size = ELEMENT_BYTES[kind];
  return `${array}[r * ${GRANULE_BYTES / size} + ${offset / size}]`;
}

const ELEMENT_BYTES: Readonly<Record<InlineKind, number>> = {
  i8: 1,
  u8: 1,
  bool: 1,
  i16: 2,
  u16: 2,
  i32: 4,
  u32: 4,
  f32: 4,
  f64: 8,
  i64: 8,
  u64: 8,
};

function closureView(support: CompileSupport): ViewClass {
  const { txn } = support.binding.runtime;
  class View implements Handle {
    [REF]: Ref;
    [STAMP]: number;
    [PAGE]: object | null = null;
    constructor(ref: Ref, stamp: number) {
      this[REF] = ref;
      this[STAMP] = stamp;
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
