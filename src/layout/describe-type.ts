/** Names of field types: for messages, and for the descriptors that pools store about classes. */
import { classNameOf } from './class-metadata.js';
import type { FieldType } from './field-type.js';

/** A short name for messages and descriptors: `i32`, `list<Entry>`, `map<string, i32?>`. */
export function describeType(type: FieldType): string {
  const mark = type.nullable && type.kind !== 'ref' ? '?' : '';
  switch (type.kind) {
    case 'enum':
      return `enum(${type.values.map((value) => JSON.stringify(value)).join('|')})${mark}`;
    case 'typedArray':
      return type.array + mark;
    case 'ref':
      return classNameOf(type.target());
    case 'embedded':
      return `embedded<${classNameOf(type.target())}>${mark}`;
    case 'fixedArray':
      return `${describeType(type.element)}[${type.length}]${mark}`;
    case 'list':
    case 'queue':
      return `${type.kind}<${describeType(type.element)}>${mark}`;
    case 'map':
      return `map<${describeType(type.key)}, ${describeType(type.value)}>${mark}`;
    default:
      return type.kind + mark;
  }
}
