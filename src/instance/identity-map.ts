/**
 * The identity map: from a ref to the one live instance for it (INV-INST-1). A WeakRef per object would cost
 * more than everything else about reading it, so there is one for a page of 64 granules: the page holds its
 * instances, and each of them holds the page through `PAGE`. A page dies when the program holds none of its
 * instances any more.
 */
import type { Ref } from '../format/index.js';
import { type Handle, PAGE } from './handle.js';

const PAGE_SHIFT = 6;
const SLOT_MASK = 63;

/** A page: what the program sees of each handle (the Proxy, where there is one), by granule. */
export interface IdentityPage {
  readonly slots: (object | undefined)[];
}

export class IdentityMap {
  readonly #pages = new Map<number, WeakRef<IdentityPage>>();
  readonly #dead = new FinalizationRegistry<number>((number) => {
    if (this.#pages.get(number)?.deref() === undefined) this.#pages.delete(number);
  });
  // The page used last, held strongly.
  #lastNumber = -1;
  #last: IdentityPage | null = null;

  /** What the program holds for `ref`, or undefined. */
  find(ref: Ref): object | undefined {
    const number = ref >>> PAGE_SHIFT;
    if (number === this.#lastNumber) return (this.#last as IdentityPage).slots[ref & SLOT_MASK];
    const page = this.#pages.get(number)?.deref();
    if (page === undefined) return undefined;
    this.#lastNumber = number;
    this.#last = page;
    return page.slots[ref & SLOT_MASK];
  }

  /** Makes `instance` the answer for `ref`; `handle` is what lies behind it. */
  add(ref: Ref, handle: Handle, instance: object): void {
    const page = this.#page(ref >>> PAGE_SHIFT);
    page.slots[ref & SLOT_MASK] = instance;
    handle[PAGE] = page;
  }

  remove(ref: Ref): void {
    const page = this.#pages.get(ref >>> PAGE_SHIFT)?.deref();
    if (page !== undefined) page.slots[ref & SLOT_MASK] = undefined;
  }

  /** Every instance alive now. */
  forEach(visit: (instance: object) => void): void {
    for (const weak of this.#pages.values()) {
      for (const instance of weak.deref()?.slots ?? []) if (instance !== undefined) visit(instance);
    }
  }

  get countPages(): number {
    return this.#pages.size;
  }

  #page(number: number): IdentityPage {
    if (number === this.#lastNumber) return this.#last as IdentityPage;
    let page = this.#pages.get(number)?.deref();
    if (page === undefined) {
      page = { slots: new Array(SLOT_MASK + 1).fill(undefined) };
      this.#pages.set(number, new WeakRef(page));
      this.#dead.register(page, number);
    }
    this.#lastNumber = number;
    this.#last = page;
    return page;
  }
}
