/** Names of field types: for messages, and for the descriptors that pools store about classes. */
import { classNameOf } from './class-metadata.js';
import type { FieldType } from './field-type.js';

/** A short name for messages and descriptors: `i32`, `list<Entry>`, `map<string, i32?>`. `where`: the field, for messages. */
export function describeType(type: FieldType, where?: string): string {
  const mark = type.nullable && type.kind !== 'ref' ? '?' : '';
  switch (type.kind) {
    case 'enum':
      return `enum(${type.values.map((value) => JSON.stringify(value)).join('|')})${mark}`;
    case 'typedArray':
      return type.array + mark;
    case 'ref':
      return classNameOf(type.target(), where);
    case 'embedded':
      return `embedded<${classNameOf(type.target(), where)}>${mark}`;
    case 'fixedArray':
      return `${describeType(type.element, where)}[${type.length}]${mark}`;
    case 'list':
    case 'queue':
      return `${type.kind}<${describeType(type.element, where)}>${mark}`;
    case 'map':
      return `map<${describeType(type.key, where)}, ${describeType(type.value, where)}>${mark}`;
    default:
      return type.kind + mark;
  }
}
