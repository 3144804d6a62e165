/**
 * A persistent class bound to a pool: compiled accessors, creation and materialisation of its instances, and what
 * check and collector need to know of its objects.
 */
import { inspect } from 'node:util';
import { TxnRequiredError, ValueError } from '../errors/index.js';
import { BLOCK, GRANULE_BYTES, LAYOUT_ID, type Ref } from '../format/index.js';
import { type ClassOf, type FieldType, isContainerType, type Layout, layoutOf } from '../layout/index.js';
import type { FieldAccess, Tracer } from './codec.js';
import { compileView, type ViewClass } from './compile.js';
import { createFieldAccess } from './field-access.js';
import { BINDING, DIRECT, type Handle, REF, STAMP } from './handle.js';
import { inspectInstance } from './inspect.js';
import type { BoundClass, InstanceRuntime } from './instance-runtime.js';
import { toPlain } from './plain.js';
import { createShell, guardPrototype, type Shell } from './proxy.js';
import { preview, refuseValue } from './scalar-codecs.js';
import { snapshotField } from './snapshot-field.js';

/** Objects up to this size are snapshotted as a whole by their first write in a transaction; larger ones by field. */
const SNAPSHOT_WHOLE_BYTES = 128;

/** A block header inside the objects of a class: an embedded struct, fixed array or container. */
interface InnerHeader {
  readonly granule: number;
  layoutId(): number;
}

export class ClassBinding implements BoundClass {
  readonly runtime: InstanceRuntime;
  readonly layout: Layout;
  /** Id in object headers; 0 until the class is registered in the pool. */
  layoutId = 0;
  /** What constructors of the program run on (construct.ts). */
  shellClass: ClassOf | null = null;
  #fields: readonly FieldAccess[] | null = null;
  #view: ViewClass | null = null;
  #shell: Shell | null = null;
  #inner: readonly InnerHeader[] | null = null;
  readonly #bases: ReadonlySet<object>;

  constructor(runtime: InstanceRuntime, layout: Layout) {
    this.runtime = runtime;
    this.layout = layout;
    this.#bases = new Set<object>([layout.metadata.constructor, ...layout.bases]);
  }

  get fields(): readonly FieldAccess[] {
    this.#fields ??= this.layout.fields.map((field) => createFieldAccess(this.runtime, field));
    return this.#fields;
  }

  /** Whether objects of this class may stand where one of `base` is declared. */
  isA(base: BoundClass): boolean {
    return base === this || this.#bases.has(base.layout.metadata.constructor);
  }

  /** The instance for the object at `ref`, which is known to be of this class and to have none yet. */
  materialize(ref: Ref, stamp = 0): object {
    const View = this.#view ?? this.#compile();
    const view = new View(ref, stamp);
    const instance = this.#shell === null ? view : new Proxy(view, this.#shell);
    this.runtime.identity.add(ref, view, instance);
    return instance;
  }

  /** Allocates an object with initial values in the running transaction, and its instance. @throws PoolFullError */
  create(): object {
    const { runtime, layout } = this;
    if (this.layoutId === 0) runtime.register(this);
    this.#inner ??= this.#innerHeaders();
    const ref = runtime.heap.allocate(layout.sizeBytes, this.layoutId, 0);
    const { u32 } = runtime.views;
    for (const { granule, layoutId } of this.#inner) {
      u32[(ref + granule) * 4 + BLOCK.layout.offset / 4] = layoutId();
      u32[(ref + granule) * 4 + BLOCK.info.offset / 4] = granule;
    }
    runtime.noteCreated(ref, layout.sizeBytes);
    return this.materialize(ref, runtime.txn.stamp);
  }

  /** Checks the fields of a plain object. @throws ValueError for an unknown field or a value that does not fit */
  checkFields(plain: object, where: string): void {
    for (const [key, value] of Object.entries(plain)) {
      const field = this.fields.find((candidate) => candidate.layout.name === key);
      if (field === undefined) {
        throw new ValueError(
          `${where}.${key} = ${preview(value)}: expected a field of ${this.layout.name}, but no such @Field is declared`,
          {
            className: this.layout.name,
            field: key,
          },
        );
      }
      if (value !== undefined) field.check(value);
    }
  }

  /** Sets every field of the (embedded) object back to its initial value. */
  clear(ref: Ref): void {
    this.runtime.writer.snapshot(ref, this.layout.sizeBytes / GRANULE_BYTES);
    for (const field of this.fields) field.clear(ref);
  }

  /** The same, when the embedded object gives way to null: handles of what lies inside it die. */
  discard(ref: Ref): void {
    this.runtime.writer.snapshot(ref, this.layout.sizeBytes / GRANULE_BYTES);
    for (const field of this.fields) field.discard(ref);
  }

  /** Frees what the object owns, not the object itself. */
  release(ref: Ref): void {
    for (const field of this.fields) field.release(ref);
  }

  trace(ref: Ref, tracer: Tracer): void {
    for (const field of this.fields) field.trace(ref, tracer);
  }

  /** After the pool was closed: whatever is done with an instance throws. */
  close(refuse: (what: string) => never): void {
    if (this.#view === null) return;
    const { name } = this.layout;
    for (const field of this.fields) {
      Object.defineProperty(this.#view.prototype, field.layout.name, {
        configurable: true,
        get: () => refuse(`reading ${field.layout.where}`),
        set: () => refuse(`writing ${field.layout.where}`),
      });
    }
    if (this.#shell !== null) {
      const { get } = this.#shell;
      this.#shell.get = (target, key, receiver) =>
        typeof key === 'symbol' || key === 'constructor'
          ? get?.(target, key, receiver)
          : refuse(`reading ${name}.${key}`);
      this.#shell.set = (_target, key) => refuse(`writing ${name}.${String(key)}`);
      this.#shell.ownKeys = () => refuse(`listing the fields of a ${name}`);
    }
  }

  #compile(): ViewClass {
    const { metadata, name } = this.layout;
    const whole = this.layout.sizeBytes <= SNAPSHOT_WHOLE_BYTES;
    const granules = this.layout.sizeBytes / GRANULE_BYTES;
    const { writer, txn } = this.runtime;
    const touch = (handle: Handle, field: FieldAccess): void => {
      if (txn.stamp < 0)
        throw new TxnRequiredError(`writing ${field.layout.where}`, {
          className: name,
          field: field.layout.name,
        });
      if (whole) {
        writer.snapshot(handle[REF], granules);
        handle[STAMP] = txn.stamp;
      } else {
        snapshotField(this.runtime.writer, handle[REF], field.layout);
      }
    };
    const refuse = (field: FieldAccess, value: unknown): never => {
      field.check(value);
      throw refuseValue(field.layout.where, field.layout.type.kind, value);
    };
    const View = compileView({ binding: this, touch, refuse });
    this.#view = View;
    const prototype = View.prototype as object;
    Object.setPrototypeOf(prototype, metadata.original.prototype as object);
    const hidden = (value: unknown): PropertyDescriptor => ({ value, configurable: true, writable: true });
    Object.defineProperties(prototype, {
      constructor: hidden(metadata.constructor),
      [BINDING]: hidden(this),
      [DIRECT]: {
        get() {
          return this;
        },
      },
      [inspect.custom]: hidden(inspectInstance),
    });
    if (metadata.access === 'proxy') {
      this.#shell = createShell(this);
    } else {
      guardPrototype(metadata.original.prototype as object, (receiver) => BINDING in receiver);
      if (!('toJSON' in prototype)) {
        Object.defineProperty(
          prototype,
          'toJSON',
          hidden(function toJson(this: object) {
            return toPlain(this);
          }),
        );
      }
    }
    return View;
  }

  /** The headers inside the objects of this class, those of nested structs included. */
  #innerHeaders(): InnerHeader[] {
    const headers: InnerHeader[] = [];
    const pending: { layout: Layout; granule: number }[] = [{ layout: this.layout, granule: 0 }];
    for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
      for (const { type, offset } of next.layout.fields) {
        const granule = next.granule + offset / GRANULE_BYTES;
        const layoutId = this.#innerLayoutId(type);
        if (layoutId === null) continue;
        headers.push({ granule, layoutId });
        if (type.kind === 'embedded') pending.push({ layout: layoutOf(type.target()), granule });
      }
    }
    return headers;
  }

  #innerLayoutId(type: FieldType): (() => number) | null {
    if (type.kind === 'embedded') {
      const binding = this.runtime.bindingOf(type.target());
      return () => {
        if (binding.layoutId === 0) this.runtime.register(binding);
        return binding.layoutId;
      };
    }
    if (type.kind === 'fixedArray') return () => LAYOUT_ID.fixedArray;
    return isContainerType(type) ? () => LAYOUT_ID[type.kind] : null;
  }
}
