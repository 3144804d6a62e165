/**
 * `list[3]`: index access without a Proxy around the instance. A Proxy on the prototype chain is reached only by
 * keys that neither the instance nor the prototypes before it have, so methods are as fast as without it.
 *
 * A `has` trap is not told which instance is asked, so `3 in list` cannot be answered: it is refused rather than
 * answered wrongly. Own state must be in declared fields, whose definition does not consult the chain.
 */
import { ValueError } from '../errors/index.js';

/** Method: the element at an index, or undefined. */
export const GET: unique symbol = Symbol('perdure.get');
/** Method: stores an element at an index, or throws. */
export const SET: unique symbol = Symbol('perdure.set');

export interface Indexed {
  [GET](index: number): unknown;
  [SET](index: number, value: unknown): void;
}

const ZERO = 48;

/** The array index that a property key spells in its canonical form, or -1. */
export function indexOfKey(key: string): number {
  const { length } = key;
  if (length === 0 || length > 10) return -1;
  let index = 0;
  for (let i = 0; i < length; i++) {
    const digit = key.charCodeAt(i) - ZERO;
    if (digit < 0 || digit > 9 || (digit === 0 && i === 0 && length > 1)) return -1;
    index = index * 10 + digit;
  }
  return index < 2 ** 32 - 1 ? index : -1;
}

const handler: ProxyHandler<object> = {
  get(target, key, receiver) {
    if (typeof key === 'string') {
      const index = indexOfKey(key);
      if (index >= 0) return (receiver as Indexed)[GET](index);
    }
    return Reflect.get(target, key, receiver);
  },
  set(target, key, value, receiver) {
    if (typeof key !== 'string') return Reflect.set(target, key, value, receiver);
    const index = indexOfKey(key);
    if (index < 0) {
      throw new ValueError(
        `'${key}' cannot be set: lists and fixed arrays have elements and a length, no other properties`,
        {
          field: key,
        },
      );
    }
    (receiver as Indexed)[SET](index, value);
    return true;
  },
  has(target, key) {
    if (typeof key === 'string' && indexOfKey(key) >= 0) {
      throw new ValueError(`'${key} in list' cannot be answered: compare the index with its length`, {
        field: key,
      });
    }
    return Reflect.has(target, key);
  },
};

/**
 * Gives the instances of a class index access through its methods GET and SET.
 * @param last the class, of those that the instances inherit from, whose own base class has no hot methods
 */
export function addIndexAccess(last: { readonly prototype: object }): void {
  const base: object = Object.getPrototypeOf(last.prototype);
  // A target of its own, so that the prototype of the proxy is the base: `instanceof` goes on working.
  Object.setPrototypeOf(last.prototype, new Proxy(Object.create(base), handler));
}
