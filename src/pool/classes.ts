/** Which classes a program's classes lead to through their fields. */
import { type ClassOf, type FieldType, layoutOf } from '../layout/index.js';

/** The given classes, their base classes, and every class that their fields mention, transitively. */
export function reachableClasses(roots: readonly ClassOf[]): ReadonlySet<ClassOf> {
  const found = new Set<ClassOf>();
  const pending = [...roots];
  for (let target = pending.pop(); target !== undefined; target = pending.pop()) {
    if (found.has(target)) continue;
    found.add(target);
    const layout = layoutOf(target);
    pending.push(...layout.bases);
    for (const { type } of layout.fields) pending.push(...mentioned(type));
  }
  return found;
}

function mentioned(type: FieldType): ClassOf[] {
  switch (type.kind) {
    case 'ref':
    case 'embedded':
      return [type.target()];
    case 'list':
    case 'queue':
    case 'fixedArray':
      return mentioned(type.element);
    case 'map':
      return [...mentioned(type.key), ...mentioned(type.value)];
    default:
      return [];
  }
}
