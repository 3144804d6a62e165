/** Every workload, crashed at every fence, growth, publish and at its end, with the undo log. */
import { exploreMedium } from './explore.js';

exploreMedium('undo log', {
  short: { imagesPerInstant: 24, nested: { every: 16, imagesPerInstant: 8 }, seeds: 1, least: 60_000 },
  long: { imagesPerInstant: 160, nested: { every: 16, imagesPerInstant: 16 }, seeds: 3, least: 600_000 },
});
