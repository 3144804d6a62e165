/** The process that is killed: transactions without end, each reported on standard output once it is acknowledged. */
import { writeSync } from 'node:fs';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { Pool } from '../../src/index.js';
import { KillRoot, runStep, VARIANTS, type VariantName } from './steps.js';

const [path, variant] = process.argv.slice(2) as [string, VariantName];
const { options, asynchronous } = VARIANTS[variant];
const pool = Pool.open(path, options);
const root = pool.root(KillRoot);
writeSync(1, `open ${root.steps}\n`);
for (let step = root.steps + 1; ; step++) {
  runStep(pool, root, step, asynchronous);
  writeSync(1, `${step}\n`);
  if (asynchronous && step % 10 === 0) await nextTurn();
  if (step % 5000 === 0) {
    // Now and then the clean way out and in again.
    pool.close();
    break;
  }
}
