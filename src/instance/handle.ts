/**
 * Handles: the JavaScript side of something in the pool. Every instance of a persistent class and every
 * container is a handle: it knows where its bytes are, in which transaction it was last logged, and the page of
 * the identity map that holds it.
 *
 * INV-INST-1  While the program holds a handle, the identity map answers with the same handle for its ref.
 */
import { inspect } from 'node:util';
import { StaleObjectError } from '../errors/index.js';
import type { Ref } from '../format/index.js';

/** Ref of the block (or of the embedded part of one) behind the handle. */
export const REF: unique symbol = Symbol('perdure.ref');
/** The transaction stamp under which the whole of it was last snapshotted, or allocated. */
export const STAMP: unique symbol = Symbol('perdure.stamp');
/** Page of the identity map; keeps the page, and so every handle on it, alive together. */
export const PAGE: unique symbol = Symbol('perdure.page');
/** On bound prototypes: the class binding of the pool (binding.ts). Absent on everything that is no object of a pool. */
export const BINDING: unique symbol = Symbol('perdure.binding');
/** Answered by Proxies and direct views alike: the direct view. */
export const DIRECT: unique symbol = Symbol('perdure.direct');

/**
 * The three are accessors over private fields: what copies properties (`Object.assign`, spread) must not copy a handle's
 * identity.
 */
export interface Handle {
  readonly [REF]: Ref;
  [STAMP]: number;
  [PAGE]: object | null;
}

/** Handles whose properties throw, with the prototypes that they had. */
const barred = new WeakMap<object, object>();

/** Makes every later use of the handle throw: what it stood for is gone. */
export function killHandle(handle: Handle, why: string): void {
  const refuse = (): never => {
    throw new StaleObjectError(`this object no longer exists: ${why}. Read it anew from its root`, { why });
  };
  handle[STAMP] = 0;
  Object.defineProperty(handle, REF, { configurable: true, get: refuse });
  bar(handle, refuse, 'no longer exists');
}

/** Undoes `killHandle`: what removed the object was rolled back. */
export function reviveHandle(handle: Handle): void {
  Reflect.deleteProperty(handle, REF);
  const prototype = barred.get(handle);
  if (prototype !== undefined) Object.setPrototypeOf(handle, prototype);
}

/** Makes a container of a pool that is closed throw, whatever it remembers of its contents. */
export function closeHandle(handle: Handle, refuse: () => never): void {
  if (!(BINDING in handle)) bar(handle, refuse, 'its pool is closed');
}

/** Puts a prototype in front of the handle's own that refuses all but what the library itself asks for. */
function bar(handle: object, refuse: () => never, why: string): void {
  const prototype = barred.get(handle) ?? (Object.getPrototypeOf(handle) as object);
  barred.set(handle, prototype);
  const barrier = new Proxy(Object.create(prototype) as object, {
    get(target, key, receiver) {
      if (key === inspect.custom) return () => `${prototype.constructor.name} { <${why}> }`;
      if (key === 'constructor' || (typeof key === 'symbol' && key !== Symbol.iterator))
        return Reflect.get(target, key, receiver);
      // Node's inspect takes the target of a Proxy for a pair.
      if (key === '0' && BINDING in prototype) return undefined;
      return refuse();
    },
    set: (target, key, value, receiver) =>
      typeof key === 'symbol' ? Reflect.set(target, key, value, receiver) : refuse(),
  });
  Object.setPrototypeOf(handle, barrier);
}
