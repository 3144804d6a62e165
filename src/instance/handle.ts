/**
 * Handles: the JavaScript side of something in the pool. Every instance of a persistent class and every
 * container is a handle: it knows where its bytes are, in which transaction it was last logged, and the page of
 * the identity map that holds it.
 *
 * INV-INST-1  While the program holds a handle, the identity map answers with the same handle for its ref.
 */
import { StaleObjectError } from '../errors/index.js';
import type { Ref } from '../format/index.js';

/** Own field: ref of the block (or of the embedded part of one) behind the handle. */
export const REF: unique symbol = Symbol('perdure.ref');
/** Own field: the transaction stamp under which the whole of it was last snapshotted, or allocated. */
export const STAMP: unique symbol = Symbol('perdure.stamp');
/** Own field: page of the identity map; keeps the page, and so every handle on it, alive together. */
export const PAGE: unique symbol = Symbol('perdure.page');
/** On bound prototypes: the class binding of the pool (binding.ts). Absent on everything that is no object of a pool. */
export const BINDING: unique symbol = Symbol('perdure.binding');
/** Answered by Proxies and direct views alike: the direct view. */
export const DIRECT: unique symbol = Symbol('perdure.direct');

export interface Handle {
  [REF]: Ref;
  [STAMP]: number;
  [PAGE]: object | null;
}

/** Makes every later use of the handle throw: what it stood for is gone. */
export function killHandle(handle: Handle, what: string): void {
  handle[STAMP] = 0;
  Object.defineProperty(handle, REF, {
    get() {
      throw new StaleObjectError(
        `${what} no longer exists: the transaction that created it was rolled back. Read it anew from its root`,
        { what },
      );
    },
  });
}
