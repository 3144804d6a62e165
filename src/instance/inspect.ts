/** How `console.log` shows persistent instances: as a plain object of their class would look. */

import { type InspectOptions, inspect } from 'node:util';
import { PoolClosedError, StaleObjectError } from '../errors/index.js';
import { BINDING, type Handle } from './handle.js';
import type { BoundClass } from './instance-runtime.js';

/** Instances being shown now, outermost first: a cycle back to one of them ends there. */
const shown = new Set<object>();

/** Serves as `[nodejs.util.inspect.custom]` of bound prototypes. */
export function inspectInstance(
  this: Handle & { [BINDING]: BoundClass },
  depth: number,
  options: InspectOptions,
): string {
  const binding = this[BINDING];
  const { name } = binding.layout;
  if (shown.has(this)) return `[Circular ${name}]`;
  if (depth < 0) return `[${name}]`;
  shown.add(this);
  try {
    const fields: Record<string, unknown> = {};
    for (const { layout } of binding.fields) fields[layout.name] = Reflect.get(this, layout.name);
    return `${name} ${inspect(fields, { ...options, depth: depth ?? null })}`;
  } catch (error) {
    // Printing is often the last thing that a failing program does: it must not fail as well.
    if (error instanceof PoolClosedError) return `${name} { <its pool is closed> }`;
    if (error instanceof StaleObjectError) return `${name} { <no longer exists> }`;
    throw error;
  } finally {
    shown.delete(this);
  }
}
