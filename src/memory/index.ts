export * from './choose.js';
export * from './domain.js';
export * from './memory.js';
export { MMAP_IO_MAX_BYTES, MmapIoBackend } from './mmap-io.js';
export { NATIVE_MAX_BYTES, NativeBackend } from './native.js';
export * from './step.js';
export * from './views.js';
export * from './wal.js';
