/**
 * Loads the optional peer mmap-io (1.1.x), gives its functions types, and detaches its buffers, which it cannot.
 */
import { createRequire } from 'node:module';
import { getSystemErrorName } from 'node:util';

/** The part of mmap-io that perdure uses. Sizes and offsets are truncated to 32 bits in it: check them first. */
export interface MmapIoModule {
  readonly PROT_READ: number;
  readonly PROT_WRITE: number;
  readonly MAP_SHARED: number;
  map(size: number, protection: number, flags: number, fd: number): Buffer;
  /** A length of 0 means the whole buffer there. */
  sync(buffer: Buffer, offset: number, length: number, blocking: boolean, invalidate: boolean): void;
}

export type MmapIoFound = { readonly module: MmapIoModule };
export interface MmapIoMissing {
  readonly module: null;
  /** Why it cannot be used, and what to do. */
  readonly reason: string;
  readonly cause: unknown;
}

/** Loads mmap-io, or says why it cannot be loaded. */
export function loadMmapIo(specifier = 'mmap-io'): MmapIoFound | MmapIoMissing {
  try {
    return { module: createRequire(import.meta.url)(specifier) as MmapIoModule };
  } catch (cause) {
    const lines = cause instanceof Error ? cause.message.split('\n') : [String(cause)];
    const notFound = (cause as NodeJS.ErrnoException | null)?.code === 'MODULE_NOT_FOUND';
    const text = lines.slice(0, notFound ? 1 : 2).join(' ');
    const install = 'CXXFLAGS=-std=gnu++20 npm install mmap-io@1.1.7';
    const built = `its addon must be compiled: allow its install script (npm 11 and later ask) and run ${install}`;
    return { module: null, reason: `the package mmap-io cannot be loaded (${text}); ${built}`, cause };
  }
}

/** The name of the errno in a message of mmap-io ("msync() failed, 5"), if there is one. */
export function mmapIoErrno(error: unknown): string | null {
  const digits = error instanceof Error ? /failed, (\d+)$/.exec(error.message)?.[1] : undefined;
  return digits === undefined ? null : getSystemErrorName(-Number(digits));
}

interface Transferable {
  transfer?(length: number): ArrayBuffer;
}

/**
 * Makes every view of `buffer` empty; mmap-io unmaps the memory when the collector finds the buffer gone.
 *
 * Node 22 has ArrayBuffer.prototype.transfer. On Node 20, reading into a view from a byte stream transfers its
 * buffer at once, as the Streams standard has it. (structuredClone will not do: it copies buffers of addons, and
 * reading beyond the end of the file is a bus error.)
 */
export function detachBuffer(buffer: ArrayBuffer): void {
  const { transfer } = buffer as Transferable;
  if (transfer !== undefined) {
    transfer.call(buffer, 0);
    return;
  }
  const settled = (): undefined => undefined;
  const reader = new ReadableStream({ type: 'bytes' }).getReader({ mode: 'byob' });
  reader.read(new Uint8Array(buffer)).then(settled, settled);
  reader.cancel().then(settled, settled);
}
