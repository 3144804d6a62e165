/** Every workload, crashed at every fence and write, with the redo log in byte-addressable memory. */
import { exploreMedium } from './explore.js';

exploreMedium('redo log in persistent memory', {
  short: { imagesPerInstant: 12, nested: { every: 64, imagesPerInstant: 1 }, seeds: 1, least: 18_000 },
  long: { imagesPerInstant: 160, nested: { every: 16, imagesPerInstant: 8 }, seeds: 3, least: 150_000 },
});
