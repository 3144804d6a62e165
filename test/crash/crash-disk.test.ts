/** Every workload, crashed at every write and sync, and whatever else matters, with the redo log on a disk. */
import { exploreMedium } from './explore.js';

exploreMedium('redo log on a disk', {
  short: { imagesPerInstant: 20, nested: { every: 64, imagesPerInstant: 1 }, seeds: 1, least: 10_000 },
  long: { imagesPerInstant: 160, nested: { every: 16, imagesPerInstant: 8 }, seeds: 4, least: 100_000 },
});
exploreMedium('redo log on a disk, relaxed', {
  short: { imagesPerInstant: 12, nested: { every: 64, imagesPerInstant: 1 }, seeds: 1, least: 12_000 },
  long: { imagesPerInstant: 160, nested: { every: 16, imagesPerInstant: 8 }, seeds: 4, least: 150_000 },
});
