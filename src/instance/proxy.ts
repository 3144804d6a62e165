/**
 * The shell around direct views: one shared handler per pool and class, which makes an instance behave as a plain
 * object would (keys, spread, `in`, JSON) and refuses what a persistent object cannot have.
 */

import { ValueError } from '../errors/index.js';
import { DIRECT, type Handle } from './handle.js';
import type { BoundClass } from './instance-runtime.js';

export type Shell = ProxyHandler<Handle>;

/** The handler for the instances of one class. */
export function createShell(binding: BoundClass): Shell {
  const names = binding.fields.map((field) => field.layout.name);
  const isField = new Set<string | symbol>(names);
  const { name: className } = binding.layout;
  const refuse = (what: string, key: string | symbol, advice: string): never => {
    throw new ValueError(`${what} ${className}.${String(key)}: ${advice}`, { className, field: String(key) });
  };
  const { get, set } = fieldTraps(names, {
    get: (target, key, receiver) => (key === DIRECT ? target : Reflect.get(target, key, receiver)),
    set: (target, key, value, receiver) => {
      if (hasSetter(target, key)) return Reflect.set(target, key, value, receiver);
      return refuse('cannot set', key, 'no such @Field is declared');
    },
  });
  return {
    get,
    set,
    has: (target, key) => isField.has(key) || (typeof key === 'string' && Reflect.has(target, key)),
    ownKeys: () => [...names],
    getOwnPropertyDescriptor: (target, key) =>
      isField.has(key)
        ? { value: Reflect.get(target, key), writable: true, enumerable: true, configurable: true }
        : undefined,
    defineProperty(target, key, descriptor) {
      if (isField.has(key) && 'value' in descriptor) return Reflect.set(target, key, descriptor.value);
      return refuse('cannot define', key, 'assign to a declared field instead');
    },
    deleteProperty: (_target, key) =>
      isField.has(key)
        ? refuse('cannot delete', key, 'a field stays; set it to null or to its default')
        : true,
    preventExtensions: () =>
      refuse('cannot freeze or seal', '*', 'instances of persistent classes stay as declared'),
    setPrototypeOf: () =>
      refuse('cannot change the prototype of', '*', 'the class of a persistent object is fixed'),
  };
}

type Traps = Required<Pick<Shell, 'get' | 'set'>>;

/** Traps that answer for the fields themselves, each at a call site of its own, and pass everything else on. */
function fieldTraps(names: readonly string[], rest: Traps): Traps {
  const cases = (statement: (name: string) => string): string =>
    names.map((name) => `case ${JSON.stringify(name)}: ${statement(JSON.stringify(name))}`).join(' ');
  try {
    const build = new Function(
      'getRest',
      'setRest',
      `'use strict';
return {
  get(t, key, receiver) { switch (key) { ${cases((name) => `return t[${name}];`)} } return getRest(t, key, receiver); },
  set(t, key, v, receiver) { switch (key) { ${cases((name) => `t[${name}] = v; return true;`)} } return setRest(t, key, v, receiver); },
};`,
    );
    return build(rest.get, rest.set) as Traps;
  } catch (error) {
    if (!(error instanceof EvalError)) throw error;
    const isField = new Set<string | symbol>(names);
    return {
      get: (target, key, receiver) =>
        isField.has(key) ? Reflect.get(target, key) : rest.get(target, key, receiver),
      set: (target, key, value, receiver) =>
        isField.has(key) ? Reflect.set(target, key, value) : rest.set(target, key, value, receiver),
    };
  }
}

function hasSetter(target: object, key: string | symbol): boolean {
  for (let p: object | null = Object.getPrototypeOf(target); p !== null; p = Object.getPrototypeOf(p)) {
    const descriptor = Object.getOwnPropertyDescriptor(p, key);
    if (descriptor !== undefined) return descriptor.set !== undefined;
  }
  return false;
}

/** Puts a guard at the end of a class's prototype chain, so that direct views refuse unknown fields too. */
export function guardPrototype(prototype: object, isDirectView: (receiver: object) => boolean): void {
  let top = prototype;
  for (let p = Object.getPrototypeOf(top); p !== null; p = Object.getPrototypeOf(p)) {
    if (guards.has(p)) return;
    if (p === Object.prototype) break;
    top = p;
  }
  const guard = new Proxy(Object.create(Object.prototype) as object, {
    set(target, key, value, receiver) {
      if (typeof key === 'string' && isDirectView(receiver)) {
        throw new ValueError(`cannot set ${receiver.constructor.name}.${key}: no such @Field is declared`, {
          field: key,
        });
      }
      return Reflect.set(target, key, value, receiver);
    },
  });
  guards.add(guard);
  Object.setPrototypeOf(top, guard);
}

const guards = new WeakSet<object>();
