export * from './class-metadata.js';
export * from './field-type.js';
export * from './layout.js';
export { slotBytes } from './slot.js';
export * from './types.js';
