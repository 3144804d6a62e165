/**
 * Chooses the backend: perdure's own addon, else the package mmap-io, else an error that says what to install.
 */
import { PoolOpenError } from '../errors/index.js';
import type { MemoryBackend } from './memory.js';
import { MmapIoBackend } from './mmap-io.js';
import { loadMmapIo } from './mmap-io-module.js';
import { NativeBackend } from './native.js';
import { loadAddon } from './native-addon.js';

/** The backends that map files, by name. */
export type BackendName = 'native' | 'mmap-io';

/** How the two are loaded; tests put failures here. */
export interface BackendLoaders {
  readonly native: typeof loadAddon;
  readonly mmapIo: typeof loadMmapIo;
}

/**
 * The backend of that name, or the best there is.
 * @throws PoolOpenError BACKEND with the reasons and what to do
 */
export function chooseBackend(
  name: BackendName | null = null,
  load: BackendLoaders = { native: loadAddon, mmapIo: loadMmapIo },
): MemoryBackend {
  const reasons: string[] = [];
  const causes: unknown[] = [];
  if (name !== 'mmap-io') {
    const found = load.native();
    if (found.addon !== null) return new NativeBackend(found.addon);
    reasons.push(found.reason);
    causes.push(found.cause);
  }
  if (name !== 'native') {
    const found = load.mmapIo();
    if (found.module !== null) return new MmapIoBackend(found.module);
    reasons.push(found.reason);
    causes.push(found.cause);
  }
  throw new PoolOpenError(
    'BACKEND',
    `no way to map a pool: ${reasons.join('. And ')}`,
    { reasons },
    causes[0],
  );
}
