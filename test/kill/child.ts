/** The process that is killed: transactions without end, each reported on standard output once it is acknowledged. */
import { writeSync } from 'node:fs';
import { Pool } from '../../src/index.js';
import { KillRoot, OPTIONS, runStep } from './steps.js';

const path = process.argv[2] as string;
const pool = Pool.open(path, OPTIONS);
const root = pool.root(KillRoot);
writeSync(1, `open ${root.steps}\n`);
for (let step = root.steps + 1; ; step++) {
  runStep(pool, root, step);
  writeSync(1, `${step}\n`);
  if (step % 5000 === 0) {
    // Now and then the clean way out and in again.
    pool.close();
    break;
  }
}
