/** Between persistent objects and plain ones: `toPlain` copies out, `fromPlain` creates from plain data. */

import { ValueError } from '../errors/index.js';
import type { FieldType } from '../layout/index.js';
import { BOUND, Container } from './container.js';
import { FixedArray } from './fixed-array.js';
import { BINDING, DIRECT } from './handle.js';
import type { BoundClass } from './instance-runtime.js';
import { preview } from './scalar-codecs.js';

/** The class binding of a persistent instance; undefined for anything else. */
export function bindingOfInstance(value: unknown): BoundClass | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const direct = (value as { [DIRECT]?: object })[DIRECT];
  return direct === undefined ? undefined : (direct as { [BINDING]?: BoundClass })[BINDING];
}

/**
 * A deep copy of a persistent object (or container) as plain data: objects, arrays and Maps that share and refer
 * to each other as the originals do, cycles included. Suits `structuredClone` and `postMessage`.
 *
 * @param value a persistent instance, a container, or anything else, which is returned as it is
 */
export function toPlain(value: unknown): unknown {
  const copies = new Map<unknown, unknown>();
  const pending: (() => void)[] = [];
  const copy = (source: unknown): unknown => {
    if (typeof source !== 'object' || source === null) return source;
    const known = copies.get(source);
    if (known !== undefined) return known;
    const binding = bindingOfInstance(source);
    if (binding !== undefined) {
      const target: Record<string, unknown> = {};
      copies.set(source, target);
      pending.push(() => {
        for (const { layout } of binding.fields) target[layout.name] = copy(Reflect.get(source, layout.name));
      });
      return target;
    }
    if (!(source instanceof Container) && !(source instanceof FixedArray)) return source;
    if (source instanceof Container && source[BOUND].type.kind === 'map') {
      const target = new Map<unknown, unknown>();
      copies.set(source, target);
      pending.push(() => {
        for (const [key, element] of source as unknown as Iterable<[unknown, unknown]>)
          target.set(copy(key), copy(element));
      });
      return target;
    }
    const target: unknown[] = [];
    copies.set(source, target);
    pending.push(() => {
      for (const element of source as unknown as Iterable<unknown>) target.push(copy(element));
    });
    return target;
  };
  const result = copy(value);
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) next();
  return result;
}

/**
 * What a container hands out for an element that it removes: a container among them goes with its slot, so the
 * program gets a plain copy of it.
 */
export function detach(value: unknown): unknown {
  return value instanceof Container ? toPlain(value) : value;
}

/**
 * Creates an object of the bound class from plain data. Plain objects in reference fields, and in lists, queues
 * and maps of references, become objects of the declared classes; sharing and cycles among them are kept.
 * @param create makes an object with its initial values
 * @throws ValueError for an unknown field or a value that does not fit
 */
export function fromPlain(
  binding: BoundClass,
  plain: object,
  create: (target: BoundClass) => object,
): object {
  const made = new Map<object, object>();
  const pending: (() => void)[] = [];
  const make = (target: BoundClass, source: object): object => {
    const known = made.get(source);
    if (known !== undefined) return known;
    if (typeof source !== 'object' || source === null || Array.isArray(source) || source instanceof Map) {
      throw new ValueError(
        `${target.layout.name}: expected an object with its fields, got ${preview(source)}`,
      );
    }
    const instance = create(target);
    made.set(source, instance);
    pending.push(() => fill(target, instance, source));
    return instance;
  };
  const convert = (type: FieldType, value: unknown): unknown => {
    if (typeof value !== 'object' || value === null || bindingOfInstance(value) !== undefined) return value;
    switch (type.kind) {
      case 'ref':
        return make(binding.runtime.bindingOf(type.target()), value);
      case 'list':
      case 'queue':
        return isIterable(value) ? Array.from(value, (element) => convert(type.element, element)) : value;
      case 'map': {
        const entries = isIterable(value) ? (value as Iterable<[unknown, unknown]>) : Object.entries(value);
        return new Map(
          Array.from(entries, ([key, element]) => [convert(type.key, key), convert(type.value, element)]),
        );
      }
      default:
        return value;
    }
  };
  const fill = (target: BoundClass, instance: object, source: object): void => {
    for (const [key, value] of Object.entries(source)) {
      const field = target.fields.find((candidate) => candidate.layout.name === key);
      if (field === undefined) {
        throw new ValueError(`${target.layout.name}.${key} = ${preview(value)}: no such @Field is declared`, {
          field: key,
        });
      }
      if (value !== undefined) Reflect.set(instance, key, convert(field.layout.type, value));
    }
  };
  const root = make(binding, plain);
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) next();
  return root;
}

function isIterable(value: object): value is Iterable<unknown> {
  return Symbol.iterator in value;
}
