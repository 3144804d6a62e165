/** Named roots: objects that a pool finds by name, besides its root object. */

import type { PersistentMap } from '../collections/index.js';
import { SchemaError, ValueError } from '../errors/index.js';
import { bindingOfInstance, type PoolRuntime } from '../instance/index.js';
import type { ClassOf } from '../layout/index.js';

/** `pool.named`: further roots of a pool, by name. Reading needs no transaction, changing does. */
export class NamedRoots {
  readonly #runtime: PoolRuntime;
  readonly #map: () => PersistentMap<string, object>;

  constructor(runtime: PoolRuntime, map: () => PersistentMap<string, object>) {
    this.#runtime = runtime;
    this.#map = map;
    // `pool.named.settings = object` would be lost.
    Object.preventExtensions(this);
  }

  /**
   * The object of that name, or undefined.
   * @param type when given, the object must be of this class or a subclass
   * @throws SchemaError when it is of another class
   */
  get<T extends object>(name: string, type?: ClassOf<T>): T | undefined {
    const found = this.#map().get(name);
    if (found === undefined || type === undefined) return found as T | undefined;
    const binding = bindingOfInstance(found);
    if (binding?.isA(this.#runtime.bindingOf(type)) !== true) {
      throw new SchemaError(
        `named root ${JSON.stringify(name)} is a ${binding?.layout.name}, not a ${type.name}`,
        { name },
      );
    }
    return found as T;
  }

  /** Gives `object` a name, in a transaction; replaces the object that had it. @throws TxnRequiredError, ValueError */
  set(name: string, object: object): void {
    if (object === null || object === undefined) {
      throw new ValueError(
        `named root ${JSON.stringify(name)} = ${String(object)}: use delete(name) to remove one`,
        { name },
      );
    }
    this.#map().set(name, object);
  }

  has(name: string): boolean {
    return this.#map().has(name);
  }

  /** Removes the name, in a transaction; true if there was one. */
  delete(name: string): boolean {
    return this.#map().delete(name);
  }

  /** The names, in the order in which they were first set. */
  keys(): IterableIterator<string> {
    return this.#map().keys();
  }
}
