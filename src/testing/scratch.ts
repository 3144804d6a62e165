/**
 * Memory for forks that are made, checked and dropped by the hundred thousand: a fresh ArrayBuffer of 1 MiB costs
 * more than everything else about a fork. A buffer that is given back is detached from all its views first, so
 * that a leaked view of an old fork never sees a new one. Contents are left as they are: whoever takes a buffer
 * overwrites what it uses.
 */

/** A stack of buffers to use again; forks that share one must not outlive it. */
export class Scratch {
  readonly #free: ArrayBuffer[] = [];

  /** A buffer of exactly this length, with any content. */
  take(bytes: number): ArrayBuffer {
    for (let index = this.#free.length - 1; index >= 0; index--) {
      if (this.#free[index]?.byteLength === bytes) return this.#free.splice(index, 1)[0] as ArrayBuffer;
    }
    return new ArrayBuffer(bytes);
  }

  /** Takes back a buffer that has no views any more. */
  give(buffer: ArrayBuffer): void {
    this.#free.push(buffer);
  }
}

/** Detaches a buffer from all its views; the same memory in a new buffer is returned. */
export function detach(buffer: ArrayBuffer): ArrayBuffer {
  return structuredClone(buffer, { transfer: [buffer] });
}
