export { crc32c } from './crc32c.js';
export * from './format.js';
export * from './wal-format.js';
