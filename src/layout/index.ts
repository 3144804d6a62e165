export * from './class-metadata.js';
export { describeType } from './describe-type.js';
export * from './field-type.js';
export * from './layout.js';
export { slotBytes } from './slot.js';
export * from './types.js';
