export * from './persistent.js';
