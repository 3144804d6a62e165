/**
 * What decorators say about classes: the one place where it is kept. Decorators write it, layouts read it.
 * Keyed by prototype, since property decorators run before the class exists.
 */
import { DeclarationError } from '../errors/index.js';
import type { ClassOf, FieldType } from './field-type.js';

/** A field as declared on one class (inherited ones stand at their own class). */
export interface FieldDeclaration {
  readonly name: string;
  readonly type: FieldType;
}

/** How instances are handed out: behind a Proxy, or as the direct view. */
export type Access = 'proxy' | 'direct';

/** A class marked `@Persistent()`. */
export interface ClassMetadata {
  /** The name under which pools know the class. */
  readonly name: string;
  readonly access: Access;
  /** What the program calls the class: the constructor that the decorator returned. */
  readonly constructor: ClassOf;
  /** The class as written. */
  readonly original: ClassOf;
}

const fieldsByPrototype = new WeakMap<object, FieldDeclaration[]>();
const metadataByPrototype = new WeakMap<object, ClassMetadata>();
/** Decorated classes by name; several of one name may exist, only not in one pool. */
const classesByName = new Map<string, Set<ClassMetadata>>();

/** Records a field. @throws DeclarationError when the name is taken or cannot be a field */
export function declareField(prototype: object, field: FieldDeclaration): void {
  const fields = fieldsByPrototype.get(prototype) ?? [];
  const className = prototype.constructor.name;
  if (fields.some((other) => other.name === field.name)) {
    throw new DeclarationError(`${className}.${field.name} is decorated twice: remove one @Field`, {
      className,
      field: field.name,
    });
  }
  if (field.name === 'constructor' || field.name === '__proto__') {
    throw new DeclarationError(`${className}.${field.name}: a field cannot have this name`, {
      className,
      field: field.name,
    });
  }
  fields.push(field);
  fieldsByPrototype.set(prototype, fields);
}

/** The fields declared on exactly this prototype. */
export function declaredFields(prototype: object): readonly FieldDeclaration[] {
  return fieldsByPrototype.get(prototype) ?? [];
}

export function declareClass(metadata: ClassMetadata): void {
  metadataByPrototype.set(metadata.original.prototype, metadata);
  const sameName = classesByName.get(metadata.name) ?? new Set();
  sameName.add(metadata);
  classesByName.set(metadata.name, sameName);
}

/**
 * The metadata of a decorated class, or undefined. Subclasses do not inherit it.
 * @throws DeclarationError when it is no class at all
 */
export function metadataOf(target: ClassOf, where?: string): ClassMetadata | undefined {
  if (typeof target !== 'function') {
    throw new DeclarationError(
      `${where === undefined ? '' : `${where}: `}${String(target)} stands where a persistent class is expected: if a field says () => Class, look whether Class is exported and imported as a value, and not used before it is defined`,
    );
  }
  return metadataByPrototype.get(target.prototype as object);
}

/** The metadata of the class that an instance's prototype belongs to. */
export function metadataOfPrototype(prototype: object): ClassMetadata | undefined {
  return metadataByPrototype.get(prototype);
}

/** All decorated classes of a name. */
export function classesNamed(name: string): ReadonlySet<ClassMetadata> {
  return classesByName.get(name) ?? new Set();
}

/** The name under which pools know a class. */
export function classNameOf(target: ClassOf, where?: string): string {
  return metadataOf(target, where)?.name ?? target.name;
}
