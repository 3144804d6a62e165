/**
 * Index access for array-like handles: a Proxy that ends their prototype chain. Methods and own fields are found
 * before it is reached, so only what is nowhere else (`list[3]`, `3 in list`, a misspelt property) pays for it.
 */
import { ValueError } from '../errors/index.js';

export interface IndexedAccess<H> {
  get(handle: H, index: number): unknown;
  /** @throws ValueError for an index that cannot be stored to */
  set(handle: H, index: number, value: unknown): void;
  /** What the handle is called in messages. */
  where(handle: H): string;
}

/** The object to put behind the prototype of an array-like class. */
export function indexedPrototype<H extends { readonly length: number }>(access: IndexedAccess<H>): object {
  return new Proxy(Object.create(Object.prototype) as object, {
    get(target, key, receiver) {
      const index = toIndex(key);
      return index < 0 ? Reflect.get(target, key, receiver) : access.get(receiver as H, index);
    },
    set(target, key, value, receiver) {
      const index = toIndex(key);
      if (index >= 0) {
        access.set(receiver as H, index, value);
        return true;
      }
      if (typeof key === 'symbol') return Reflect.set(target, key, value, receiver);
      throw new ValueError(
        `${access.where(receiver as H)}.${key}: there is no such property, and none can be added`,
        {
          property: key,
        },
      );
    },
    has(target, key) {
      return Reflect.has(target, key);
    },
  });
}

/** The array index that a property key spells, or -1. */
function toIndex(key: string | symbol): number {
  if (typeof key === 'symbol') return -1;
  const index = Number(key);
  return Number.isInteger(index) && index >= 0 && String(index) === key ? index : -1;
}
