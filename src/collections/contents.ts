/**
 * What may be assigned to a list or queue as a whole: `root.items = [1, 2]`. The value is checked first and
 * stored later, so it must be something that can be read twice.
 */
import { ValueError } from '../errors/index.js';
import { Container } from '../instance/index.js';

/**
 * The elements of an array, typed array, Set or container as a plain array of their own.
 * @throws ValueError for anything else, one-shot iterators included
 */
export function contentsOf(value: unknown, where: string): unknown[] {
  if (Array.isArray(value)) return Array.from(value);
  const isReadable = value instanceof Set || value instanceof Container || ArrayBuffer.isView(value);
  if (isReadable && Symbol.iterator in value) return Array.from(value as Iterable<unknown>);
  const what = value === null ? 'null' : typeof value;
  throw new ValueError(
    `${where}: ${what} cannot be assigned to a list or queue; give it an array, as in [...values]`,
    {
      field: where,
    },
  );
}
