/**
 * What persistent containers have in common, and the seam through which fields and codecs use them without
 * knowing them: instance/ lies below collections/, so pool/ hands in the `ContainerOps` of each kind.
 *
 * The header of a container lies inside the object that owns it (or at the start of a block of its own, when it
 * is an element of another container). Zero bytes after the block header are an empty container, so declaring
 * one costs no allocation.
 */
import { TxnRequiredError, ValueError } from '../errors/index.js';
import { GRANULE_BYTES, type Ref } from '../format/index.js';
import type { ContainerKind, ContainerType } from '../layout/index.js';
import type { Tracer } from './codec.js';
import { type Handle, PAGE, REF, STAMP } from './handle.js';
import type { Runtime } from './runtime.js';

/** Of a container: the `ContainerBinding` it was opened with. */
export const BOUND: unique symbol = Symbol('perdure.bound');

/** What is known of a container from its declaration; one per field (or element type) and pool. */
export interface ContainerBinding<Codecs = unknown> {
  readonly runtime: Runtime;
  readonly type: ContainerType;
  readonly ops: ContainerOps<Codecs>;
  readonly codecs: Codecs;
  /** For messages: `Root.items`. */
  readonly where: string;
}

/** One kind of container, as the layers below see it. */
export interface ContainerOps<Codecs = unknown> {
  readonly kind: ContainerKind;
  /** Bytes of the header, a whole number of granules. */
  readonly headerBytes: number;
  /** Layout id in the block header. */
  readonly layoutId: number;
  /** The codecs of keys and values. @throws DeclarationError when a type cannot be an element or key */
  codecs(runtime: Runtime, type: ContainerType, where: string): Codecs;
  /** A handle for the container whose header is at `ref`. */
  open(binding: ContainerBinding<Codecs>, ref: Ref): Container<Codecs>;
  /** Checks a value that is to replace the whole contents, as in `root.items = [1, 2]`. @throws ValueError */
  checkContents(binding: ContainerBinding<Codecs>, value: unknown): void;
  /** A plain copy of contents, all the way down: storing it runs no code of the program. @throws ValueError */
  settle(binding: ContainerBinding<Codecs>, value: unknown): unknown;
  /** Replaces the whole contents; the value was checked. A container of the same kind is copied; itself is left alone. */
  assign(container: Container<Codecs>, value: unknown): void;
  /** Frees everything the container owns: nodes, strings, boxed containers. The header is left as it is. */
  release(binding: ContainerBinding<Codecs>, ref: Ref): void;
  /**
   * Tells the tracer of every node and element, and validates the structure on the way (counts, bounds, order,
   * no cycles), never trusting a byte before it is checked.
   * @throws CorruptionError
   */
  trace(binding: ContainerBinding<Codecs>, ref: Ref, tracer: Tracer): void;
}

/**
 * Ends the prototype chain of the containers: a property that none of them has would be stored on the handle, and lost.
 */
const noOtherProperties = new Proxy(Object.create(Object.prototype) as object, {
  set(target, key, value, receiver) {
    if (typeof key === 'symbol' || !(receiver instanceof Container))
      return Reflect.set(target, key, value, receiver);
    const { where, type } = receiver[BOUND];
    throw new ValueError(
      `${where}.${key} = ...: a ${type.kind} has no such property; use its methods to change its contents`,
      {
        where,
        property: key,
      },
    );
  },
});

/** Base class of the containers. */
export abstract class Container<Codecs = unknown> implements Handle {
  readonly #ref: Ref;
  #stamp = 0;
  #page: object | null = null;
  readonly #bound: ContainerBinding<Codecs>;

  constructor(binding: ContainerBinding<Codecs>, ref: Ref) {
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

  get [BOUND](): ContainerBinding<Codecs> {
    return this.#bound;
  }

  /**
   * Call before the first store to the header in an operation: snapshots it once per transaction or savepoint.
   * @throws TxnRequiredError outside a transaction
   */
  protected touch(): void {
    const { runtime, ops, where } = this[BOUND];
    if (this[STAMP] !== runtime.txn.stamp) {
      // Asked for a view, a closed pool throws.
      if (runtime.txn.stamp < 0 && runtime.views.u8 !== undefined)
        throw new TxnRequiredError(`changing ${where}`, { where });
      runtime.writer.snapshot(this[REF], ops.headerBytes / GRANULE_BYTES);
      this[STAMP] = runtime.txn.stamp;
    }
  }
}

Object.setPrototypeOf(Container.prototype, noOtherProperties);
