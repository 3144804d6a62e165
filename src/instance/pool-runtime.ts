/**
 * One open pool, as instances and containers see it: bindings of classes, identity of objects, codecs. Wired by
 * pool/, which supplies memory, heap, transactions and the registry of layouts.
 */
import {
  CorruptionError,
  ForeignObjectError,
  PoolClosedError,
  SchemaError,
  TxnRequiredError,
} from '../errors/index.js';
import { GRANULE_BYTES, offsetOf, type Ref } from '../format/index.js';
import type { Heap, TxnParticipant, Writer } from '../heap/index.js';
import {
  type ClassMetadata,
  type ClassOf,
  type ContainerType,
  type FieldType,
  type Layout,
  layoutOf,
  metadataOf,
} from '../layout/index.js';
import type { Views } from '../memory/index.js';
import { GrowingWords, runningTransaction, type Transactions } from '../txn/index.js';
import { ClassBinding } from './binding.js';
import type { SlotCodec } from './codec.js';
import type { Container, ContainerBinding, ContainerOps } from './container.js';
import { BINDING, closeHandle, DIRECT, type Handle, killHandle, REF, reviveHandle } from './handle.js';
import { IdentityMap } from './identity-map.js';
import type { BoundClass, InstanceRuntime } from './instance-runtime.js';
import { preview, refuseValue } from './scalar-codecs.js';
import { createSlotCodec } from './slot-codecs.js';
import { StringStore } from './strings.js';

/** The layouts that a pool knows: kept in the pool itself by pool/. */
export interface LayoutRegistry {
  /** Id of the layout in this pool, or 0. @throws SchemaError when the pool knows the class with other fields */
  idOf(layout: Layout): number;
  /** Adds the layout in the running transaction. */
  register(layout: Layout): number;
  /** The class of a layout id. @throws SchemaError when the program has no such class */
  classOf(layoutId: number): ClassOf;
}

export class PoolRuntime implements InstanceRuntime {
  readonly heap: Heap;
  readonly txn: Transactions<PoolRuntime>;
  readonly writer: Writer;
  readonly strings: StringStore;
  readonly identity = new IdentityMap();
  readonly hashSeed: number;
  readonly path: string;
  #views: Views;
  readonly #containers: ReadonlyMap<string, ContainerOps>;
  readonly #registry: LayoutRegistry;
  readonly #bindings = new Map<ClassMetadata, ClassBinding>();
  readonly #byName = new Map<string, ClassBinding>();
  readonly #byId: (BoundClass | undefined)[] = [];
  /** (ref, bytes) of what was created in the running transaction and may have handles. */
  readonly #created = new GrowingWords(64);
  /** What `forget` removed; in `#created` they stand with 0 bytes. */
  readonly #removed: object[] = [];
  readonly #participant: TxnParticipant = {
    mark: () => this.#created.length,
    rolledBackTo: (mark) => this.#forgetCreated(mark),
    ended: (committed) => {
      if (!committed) this.#forgetCreated(0);
      this.#created.length = 0;
      this.#removed.length = 0;
    },
  };

  constructor(parts: {
    readonly path: string;
    readonly views: Views;
    readonly hashSeed: number;
    readonly containers: readonly ContainerOps[];
    readonly registry: LayoutRegistry;
    readonly createTxn: (runtime: PoolRuntime) => Transactions<PoolRuntime>;
    readonly createHeap: (runtime: PoolRuntime) => Heap;
  }) {
    this.path = parts.path;
    this.#views = parts.views;
    this.hashSeed = parts.hashSeed;
    this.#containers = new Map(parts.containers.map((ops) => [ops.kind, ops]));
    this.#registry = parts.registry;
    this.txn = parts.createTxn(this);
    this.writer = this.txn;
    this.heap = parts.createHeap(this);
    this.strings = new StringStore(parts.views, this.heap);
  }

  /** Throws once the pool is closed: so whoever reads it for each operation never touches a detached view. */
  get views(): Views {
    return this.#views;
  }

  // ------------------------------------------------------------------------------------ classes

  /** The binding of a decorated class. @throws DeclarationError, SchemaError */
  bindingOf(target: ClassOf): ClassBinding {
    const metadata = metadataOf(target);
    return metadata === undefined ? this.#bind(layoutOf(target)) : this.bindingFor(metadata);
  }

  bindingFor(metadata: ClassMetadata): ClassBinding {
    return this.#bindings.get(metadata) ?? this.#bind(layoutOf(metadata.constructor));
  }

  #bind(layout: Layout): ClassBinding {
    const sameName = this.#byName.get(layout.name);
    if (sameName !== undefined) {
      throw new SchemaError(
        `two classes of the name ${layout.name} are used in pool ${this.path}: rename one, or give it another name with @Persistent({ name: ... })`,
        { className: layout.name },
      );
    }
    const binding = new ClassBinding(this, layout);
    this.#bindings.set(layout.metadata, binding);
    this.#byName.set(layout.name, binding);
    binding.layoutId = this.#registry.idOf(layout);
    if (binding.layoutId !== 0) this.#byId[binding.layoutId] = binding;
    return binding;
  }

  /** Makes the pool know the class, in the running transaction. */
  register(binding: BoundClass): void {
    binding.layoutId = this.#registry.register(binding.layout);
    this.#byId[binding.layoutId] = binding;
  }

  /** Layouts from `firstId` on were rolled back. */
  forgetLayouts(firstId: number): void {
    for (const binding of this.#byId.splice(firstId)) if (binding !== undefined) binding.layoutId = 0;
  }

  /** The binding for the layout id in a block header. @throws CorruptionError, SchemaError */
  bindingForId(layoutId: number): BoundClass {
    return this.#byId[layoutId] ?? this.bindingOf(this.#registry.classOf(layoutId));
  }

  // ------------------------------------------------------------------------------------ objects

  /** The instance of the object at `ref`. @throws CorruptionError when there is none of class `expected`, if one is given */
  resolve(ref: Ref, expected: BoundClass | null): object {
    return this.identity.find(ref) ?? this.#materialize(ref, expected);
  }

  #materialize(ref: Ref, expected: BoundClass | null): object {
    const { u32 } = this.views;
    if (!this.heap.isBlock(ref)) {
      throw new CorruptionError(
        `${this.path}: a reference points to offset ${offsetOf(ref)}, where no object is`,
        {
          path: this.path,
          offset: offsetOf(ref),
        },
      );
    }
    const binding = this.bindingForId(u32[ref * 4] as number);
    if (binding.layout.sizeBytes > this.heap.blockBytes(ref)) {
      throw new CorruptionError(
        `${this.path}: the block at offset ${offsetOf(ref)} is too small for a ${binding.layout.name}`,
        { path: this.path, offset: offsetOf(ref), expected: binding.layout.sizeBytes },
      );
    }
    if (expected !== null && !binding.isA(expected)) {
      throw new CorruptionError(
        `${this.path}: the object at offset ${offsetOf(ref)} is a ${binding.layout.name}, expected a ${expected.layout.name}`,
        {
          path: this.path,
          offset: offsetOf(ref),
          expected: expected.layout.name,
          actual: binding.layout.name,
        },
      );
    }
    return binding.materialize(ref);
  }

  /** The instance for a struct inside another object. */
  resolveEmbedded(ref: Ref, binding: BoundClass): object {
    return this.identity.find(ref) ?? binding.materialize(ref);
  }

  /** The ref to store for `value` in a field of class `target`. @throws ValueError, ForeignObjectError */
  refFor(value: unknown, target: BoundClass | null, where: string): Ref {
    const direct =
      typeof value === 'object' && value !== null ? (value as { [DIRECT]?: Handle })[DIRECT] : undefined;
    const binding = (direct as { [BINDING]?: BoundClass } | undefined)?.[BINDING];
    if (direct === undefined || binding === undefined) {
      const name = target?.layout.name ?? 'persistent object';
      throw refuseValue(
        where,
        `a ${name} of this pool or null; for plain data use pool.create(${target?.layout.name ?? 'Class'}, ...)`,
        value,
      );
    }
    if (binding !== target) this.#checkForeign(binding, target, where, value);
    const ref = direct[REF];
    if (this.views.u32[ref * 4 + 1] !== 0) {
      throw refuseValue(
        where,
        `an object of its own; this ${binding.layout.name} is embedded in another object: copy it`,
        value,
      );
    }
    return ref;
  }

  #checkForeign(binding: BoundClass, target: BoundClass | null, where: string, value: unknown): void {
    if (binding.runtime !== this) {
      throw new ForeignObjectError(
        `${where} = ${preview(value)}: the object belongs to pool ${binding.runtime.path}, not to ${this.path}; copy it with pool.create(Class, toPlain(object))`,
        { where, path: this.path, otherPath: binding.runtime.path },
      );
    }
    if (target !== null && !binding.isA(target))
      throw refuseValue(where, `a ${target.layout.name} or null`, value);
  }

  // ------------------------------------------------------------------------------------ handles

  /** The live handle at `ref`, or the one that `make` makes. */
  open<H extends Handle & object>(ref: Ref, make: (ref: Ref) => H): H {
    const found = this.identity.find(ref);
    if (found !== undefined) return found as H;
    const handle = make(ref);
    this.identity.add(ref, handle, handle);
    return handle;
  }

  openContainer(binding: ContainerBinding, ref: Ref): Container {
    const found = this.identity.find(ref);
    if (found !== undefined) return found as Container;
    const container = binding.ops.open(binding, ref);
    this.identity.add(ref, container, container);
    return container;
  }

  /** A block was created in the running transaction: if that rolls back, its handles die. */
  noteCreated(ref: Ref, bytes: number): void {
    if (this.#created.length === 0) this.txn.enlist(this.#participant);
    this.#created.pushPair(ref, bytes);
  }

  /** What was at `ref` is removed in the running transaction: its handle throws from now on, unless that rolls back. */
  forget(ref: Ref, what: string): void {
    const instance = this.identity.find(ref);
    if (instance === undefined) return;
    this.noteCreated(ref, 0);
    this.#removed.push(instance);
    this.#kill(ref, instance, `${what} was removed or replaced`);
  }

  #kill(ref: Ref, instance: object, why: string): void {
    killHandle(handleOf(instance), why);
    this.identity.remove(ref);
  }

  /** Newest first: what was created since dies, what was removed since lives again. */
  #forgetCreated(from: number): void {
    const { words } = this.#created;
    for (let i = this.#created.length - 2; i >= from; i -= 2) {
      const ref = words[i] as Ref;
      const granules = (words[i + 1] as number) / GRANULE_BYTES;
      if (granules === 0) this.#revive(ref, this.#removed.pop() as object);
      for (let granule = 0; granule < granules; granule += 1) {
        const instance = this.identity.find((ref + granule) as Ref);
        if (instance !== undefined)
          this.#kill((ref + granule) as Ref, instance, 'the transaction that created it was rolled back');
      }
    }
    this.#created.length = from;
  }

  #revive(ref: Ref, instance: object): void {
    // What was put in its place and rolled back has a handle of its own by now (INV-INST-1).
    const later = this.identity.find(ref);
    if (later !== undefined) this.#kill(ref, later, 'the transaction that created it was rolled back');
    const handle = handleOf(instance);
    reviveHandle(handle);
    this.identity.add(ref, handle, instance);
  }

  // ------------------------------------------------------------------------------------ values

  codec(type: FieldType, where: string): SlotCodec {
    return createSlotCodec(this, type, where);
  }

  containerBinding(type: ContainerType, where: string): ContainerBinding {
    const ops = this.#containers.get(type.kind);
    if (ops === undefined)
      throw new SchemaError(`${where}: no implementation of ${type.kind} is registered`, { where });
    return { runtime: this, type, ops, codecs: ops.codecs(this, type, where), where };
  }

  /** After this, whatever is done with an instance or container throws PoolClosedError. */
  close(): void {
    const refuse = (what: string): never => {
      throw new PoolClosedError(what, { path: this.path });
    };
    for (const binding of this.#bindings.values()) binding.close(refuse);
    const refuseContainer = (): never => refuse(`using a container of ${this.path}`);
    this.identity.forEach((instance) => {
      closeHandle(handleOf(instance), refuseContainer);
    });
    this.#views = new Proxy(this.#views, { get: () => refuse(`using an object of ${this.path}`) });
  }
}

/** The runtime of the pool whose transaction runs now, in which an object is to be created. @throws TxnRequiredError */
export function runningRuntime(metadata: ClassMetadata): PoolRuntime {
  const owner = runningTransaction()?.owner;
  if (!(owner instanceof PoolRuntime)) throw new TxnRequiredError(`new ${metadata.name}()`);
  return owner;
}

function handleOf(instance: object): Handle {
  return (instance as { [DIRECT]?: Handle })[DIRECT] ?? (instance as Handle);
}
