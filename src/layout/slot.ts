/** Sizes of slots: one value of a type as a field or as an element of a container. */
import type { FieldType } from './field-type.js';

/**
 * Bytes of a slot. Where null has no representation of its own, a nullable slot is twice as large: the value,
 * then a presence byte. Containers and embedded objects as elements are refs to blocks of their own.
 */
export function slotBytes(type: FieldType): number {
  const bytes = valueBytes(type);
  const needsPresence = type.nullable && bytes !== REF_BYTES_OF[type.kind];
  return needsPresence ? bytes * 2 : bytes;
}

const REF_BYTES_OF: Partial<Record<FieldType['kind'], number>> = {
  string: 4,
  bytes: 4,
  typedArray: 4,
  ref: 4,
  list: 4,
  queue: 4,
  map: 4,
  embedded: 4,
  fixedArray: 4,
};

function valueBytes(type: FieldType): number {
  switch (type.kind) {
    case 'i8':
    case 'u8':
    case 'bool':
      return 1;
    case 'enum':
      return type.values.length <= 256 ? 1 : 2;
    case 'i16':
    case 'u16':
      return 2;
    case 'f64':
    case 'i64':
    case 'u64':
    case 'date':
      return 8;
    default:
      return 4;
  }
}
