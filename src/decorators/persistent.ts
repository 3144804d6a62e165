/**
 * `@Persistent()` and `@Field()`: declarations only. Legacy convention (`experimentalDecorators`); what differs
 * from the standard one is confined to the two functions that the decorators return.
 */
import { DeclarationError } from '../errors/index.js';
import { construct } from '../instance/index.js';
import {
  type Access,
  type ClassMetadata,
  type ClassOf,
  declareClass,
  declareField,
  type FieldType,
  fromConstructor,
  metadataOf,
  type TypeSpec,
  toFieldType,
} from '../layout/index.js';

/** Options of `@Persistent()`. */
export interface PersistentOptions {
  /** The name under which pools know the class; default: the name of the class. */
  readonly name?: string;
  /**
   * `'proxy'` (default): instances behave as plain objects in every respect. `'direct'`: instances are the direct
   * view, as fast as a plain object; spread and `Object.keys` see nothing (use `toPlain`).
   */
  readonly access?: Access;
  /** Declares the fields without `@Field`, for programs without decorator syntax: `{ id: i32, next: () => Entry }`. */
  readonly fields?: Readonly<Record<string, TypeSpec>>;
}

/**
 * Marks a class as persistent: its instances live in a pool.
 *
 * @example
 * ```ts
 * @Persistent()
 * class Entry {
 *   @Field(i32) declare id: number;
 *   @Field(() => Entry) declare next: Entry | null;
 * }
 * ```
 * Without decorator syntax: `const Entry = Persistent({ fields: { id: i32 } })(class Entry {})`.
 * @throws DeclarationError when the class cannot be persistent; the message says what to write
 */
export function Persistent(options: PersistentOptions = {}): <C extends ClassOf>(target: C) => C {
  if (typeof options !== 'object' || options === null) {
    throw new DeclarationError('@Persistent is called with options or nothing: write @Persistent()');
  }
  checkOptions(options);
  return <C extends ClassOf>(target: C, ...context: unknown[]): C => {
    if (context.length > 0) throw standardDecorators('Persistent');
    if (typeof target !== 'function') throw new DeclarationError('@Persistent() decorates a class');
    const name = options.name ?? target.name;
    if (name === '') {
      throw new DeclarationError(
        "@Persistent(): the class has no name; write @Persistent({ name: 'Entry' })",
      );
    }
    if (metadataOf(target) !== undefined) {
      throw new DeclarationError(`class ${name} is decorated with @Persistent() twice: remove one`, {
        className: name,
      });
    }
    const prototype = target.prototype as object;
    for (const [field, type] of Object.entries(options.fields ?? {})) {
      declareField(prototype, { name: field, type: toFieldType(type, `${name}.${field}`) });
    }
    return replaceConstructor(target, name, options.access ?? 'proxy');
  };
}

function standardDecorators(decorator: string): DeclarationError {
  return new DeclarationError(
    `@${decorator}() was called by standard (TC39) decorators: set "experimentalDecorators": true in the tsconfig.json that covers this file`,
  );
}

function checkOptions({ name, access, ...rest }: PersistentOptions): void {
  const unknown = Object.keys(rest).find((option) => option !== 'fields');
  if (unknown !== undefined) {
    throw new DeclarationError(
      `@Persistent(): there is no option ${unknown}; the options are name, access and fields`,
      { option: unknown },
    );
  }
  if (name !== undefined && typeof name !== 'string')
    throw new DeclarationError(`@Persistent(): name ${String(name)} is not a string`, { option: 'name' });
  if (access !== undefined && access !== 'proxy' && access !== 'direct')
    throw new DeclarationError(`@Persistent(): access ${String(access)} is neither 'proxy' nor 'direct'`, {
      option: 'access',
    });
}

/**
 * Declares a persistent field.
 *
 * @param types a field type; without it, `string`, `number` (f64), `boolean`, `Date`, `bigint` (i64), `Uint8Array`
 * and persistent classes are inferred from `design:type` metadata (`emitDecoratorMetadata`, reflect-metadata)
 * @throws DeclarationError when the type is missing or ambiguous
 */
export function Field(...types: [type?: TypeSpec]): (target: object, key: string | symbol) => void {
  const [type] = types;
  const given = types.length > 0;
  return (target: object, key: string | symbol): void => {
    if (typeof key === 'object') {
      throw standardDecorators('Field');
    }
    const className = target?.constructor?.name ?? 'a class';
    if (typeof target === 'function') {
      throw new DeclarationError(`${target.name}.${String(key)} is static: a @Field belongs to instances`);
    }
    if (typeof key === 'symbol') {
      throw new DeclarationError(`${className}[${String(key)}]: a @Field needs a string name`, { className });
    }
    const existing = Object.getOwnPropertyDescriptor(target, key);
    if (existing !== undefined && key !== 'constructor') {
      const what = 'value' in existing ? 'a method' : 'a getter or setter';
      throw new DeclarationError(
        `${className}.${key} is ${what}: a @Field is a property without code; decorate the property that it is computed from`,
        { className, field: key },
      );
    }
    if (given && type === undefined) {
      throw new DeclarationError(
        `${className}.${key}: the type given to @Field is undefined, probably because of a circular import; write @Field(() => Class)`,
        { className, field: key },
      );
    }
    declareField(target, {
      name: key,
      type: type === undefined ? inferType(target, key) : toFieldType(type, `${className}.${key}`),
    });
  };
}

interface MetadataReflect {
  getMetadata?(key: string, target: object, property: string): unknown;
}

function inferType(prototype: object, key: string): FieldType {
  const className = prototype.constructor.name;
  const designType = (Reflect as MetadataReflect).getMetadata?.('design:type', prototype, key);
  const inferred = fromConstructor(designType);
  if (inferred !== undefined) return inferred;
  const fix = `write the type: @Field('string'), @Field(i32), @Field(nullable('date')), @Field(list(() => City)), @Field(() => City)`;
  const why =
    designType === undefined
      ? 'has no type: import "reflect-metadata" first and set "emitDecoratorMetadata": true (esbuild, tsx and Vitest ignore it), or'
      : `is of type ${(designType as { name?: string }).name ?? String(designType)} to the compiler, which could mean several things (a class or null, another union, an interface):`;
  throw new DeclarationError(`${className}.${key} ${why} ${fix}`, { className, field: key });
}

/** The constructor that programs use: creates in the pool whose transaction is running. */
function replaceConstructor<C extends ClassOf>(target: C, name: string, access: Access): C {
  const prototype = target.prototype as object;
  const replacement = function (this: unknown, ...args: unknown[]): object {
    if (new.target === undefined) throw new TypeError(`class ${name} cannot be called without new`);
    return construct(metadata, args, new.target as unknown as ClassOf);
  };
  // Beside the class, not below it: who climbs from constructor to constructor must come to an end.
  Object.setPrototypeOf(replacement, Object.getPrototypeOf(target) as object | null);
  Object.defineProperty(replacement, 'prototype', { value: prototype, writable: false });
  mirrorStatics(target, replacement);
  Object.defineProperty(prototype, 'constructor', { value: replacement, configurable: true, writable: true });
  const metadata: ClassMetadata = {
    name,
    access,
    constructor: replacement as unknown as ClassOf,
    original: target,
  };
  declareClass(metadata);
  return replacement as unknown as C;
}

/** Name, length and static members; data stays where it is, so that class and replacement see the same. */
function mirrorStatics(target: ClassOf, replacement: object): void {
  for (const key of Reflect.ownKeys(target)) {
    if (key === 'prototype') continue;
    const descriptor = Object.getOwnPropertyDescriptor(target, key) as PropertyDescriptor;
    const isData =
      'value' in descriptor && descriptor.writable === true && typeof descriptor.value !== 'function';
    const mirrored: PropertyDescriptor = isData
      ? {
          configurable: true,
          enumerable: descriptor.enumerable ?? false,
          get: () => Reflect.get(target, key) as unknown,
          set: (value: unknown) => {
            Reflect.set(target, key, value);
          },
        }
      : { ...descriptor, configurable: true };
    Object.defineProperty(replacement, key, mirrored);
  }
}
