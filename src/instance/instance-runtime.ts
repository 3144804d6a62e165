/**
 * What the parts of this folder know of each other: the runtime of a pool and the classes bound to it, as
 * interfaces. pool-runtime.ts and binding.ts implement them; everybody else imports them from here, so that no
 * two files of the folder need each other.
 */
import type { Ref } from '../format/index.js';
import type { ClassMetadata, ClassOf, ContainerType, Layout } from '../layout/index.js';
import type { FieldAccess, Tracer } from './codec.js';
import type { Container, ContainerBinding } from './container.js';
import type { Handle } from './handle.js';
import type { IdentityMap } from './identity-map.js';
import type { Runtime } from './runtime.js';
import type { StringStore } from './strings.js';

/** A persistent class bound to a pool. */
export interface BoundClass {
  readonly runtime: InstanceRuntime;
  readonly layout: Layout;
  /** Id in object headers; 0 until the class is registered in the pool. */
  layoutId: number;
  /** What constructors of the program run on (construct.ts). */
  shellClass: ClassOf | null;
  readonly fields: readonly FieldAccess[];
  /** Whether objects of this class may stand where one of `base` is declared. */
  isA(base: BoundClass): boolean;
  /** The instance for the object at `ref`, which is known to be of this class and to have none yet. */
  materialize(ref: Ref, stamp?: number): object;
  /** Allocates an object with initial values in the running transaction, and its instance. @throws PoolFullError */
  create(): object;
  /** Checks the fields of a plain object. @throws ValueError for an unknown field or a value that does not fit */
  checkFields(plain: object, where: string): void;
  /** Sets every field of the (embedded) object back to its initial value. */
  clear(ref: Ref): void;
  /** The same, when the embedded object gives way to null: handles of what lies inside it die. */
  discard(ref: Ref): void;
  /** Frees what the object owns, not the object itself. */
  release(ref: Ref): void;
  trace(ref: Ref, tracer: Tracer): void;
}

/** The runtime of a pool, as codecs, accessors and bindings use it. */
export interface InstanceRuntime extends Runtime {
  readonly path: string;
  readonly strings: StringStore;
  readonly identity: IdentityMap;
  /** The binding of a decorated class. @throws DeclarationError, SchemaError */
  bindingOf(target: ClassOf): BoundClass;
  bindingFor(metadata: ClassMetadata): BoundClass;
  /** Makes the pool know the class, in the running transaction. */
  register(binding: BoundClass): void;
  /** The instance of the object at `ref`. @throws CorruptionError when there is none of class `expected`, if one is given */
  resolve(ref: Ref, expected: BoundClass | null): object;
  /** The instance for a struct inside another object. */
  resolveEmbedded(ref: Ref, binding: BoundClass): object;
  /** The ref to store for `value` in a field of class `target`. @throws ValueError, ForeignObjectError */
  refFor(value: unknown, target: BoundClass | null, where: string): Ref;
  /** The live handle at `ref`, or the one that `make` makes. */
  open<H extends Handle & object>(ref: Ref, make: (ref: Ref) => H): H;
  openContainer(binding: ContainerBinding, ref: Ref): Container;
  containerBinding(type: ContainerType, where: string): ContainerBinding;
  /** A block was created in the running transaction: if that rolls back, its handles die. */
  noteCreated(ref: Ref, bytes: number): void;
  /** What was at `ref` is removed in the running transaction: its handle throws from now on, unless that rolls back. */
  forget(ref: Ref, what: string): void;
}
