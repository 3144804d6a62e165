/**
 * Cuts the power of a virtual machine while a program works on a pool, again and again, and checks what is left:
 * `node scripts/test-power.mjs [--cuts n] [--kind name]... [--seed n]`, after a build.
 *
 *   disk-strict, disk-relaxed  the redo log on ext4, on a disk that loses its write cache in the cut
 *   dax-undo, dax-redo         both logs on ext4 on persistent memory, mapped with MAP_SYNC
 *   disk, dax                  both of a medium
 *   control                    a pool that is not safe on a disk: it must be seen to lose transactions
 *
 * Without --kind it is all of them, each with 10 cuts: about 8 minutes on a machine with nothing else to do. Exits with 1
 * after a loss, and keeps the medium as the cut left it. The seed repeats what is drawn, but not where exactly in its work
 * a cut meets the machine. Needs no privileges and no KVM; says what to install when something is missing.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { LossError } from '../test/power/machine.mjs';
import { makeImage } from '../test/power/machine-image.mjs';
import { KINDS, Series } from '../test/power/series.mjs';

const MAX_CONTROL_CUTS = 5;

const { values: options } = parseArgs({
  options: {
    cuts: { type: 'string', default: '10' },
    kind: { type: 'string', multiple: true, default: ['disk', 'dax', 'control'] },
    seed: { type: 'string', default: String(Date.now() % 2 ** 32) },
  },
});

const isWanted = (name) => options.kind.some((kind) => name === kind || name.startsWith(`${kind}-`));
const names = Object.keys(KINDS).filter(isWanted);
const countCuts = Number(options.cuts);
const seed = Number(options.seed);
if (names.length === 0 || !Number.isSafeInteger(countCuts) || countCuts < 1 || !Number.isSafeInteger(seed)) {
  console.error(`usage: --cuts n --seed n --kind name, of disk, dax, ${Object.keys(KINDS).join(', ')}`);
  process.exit(1);
}

const folder = mkdtempSync(join(tmpdir(), 'perdure-power-'));
// With the machines, see machine.mjs.
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => process.exit(1));

try {
  const image = makeImage(folder);
  // Not before the package is known to be built.
  const { Random } = await import('perdure/testing');
  const random = new Random(seed);
  console.log(`seed ${seed}`);
  const summary = [];
  for (const name of names) {
    const runOne = name === 'control' ? runControl : runSeries;
    summary.push(await runOne(name, { image, random: random.fork() }));
  }
  console.log(`\n${summary.join('\n')}`);
} catch (error) {
  console.error(`test-power: ${error.message}`);
  process.exitCode = 1;
}
// Whatever is still open.
process.exit();

/** One series. Returns its line of the summary. */
async function runSeries(name, parts) {
  const startedAt = performance.now();
  const series = new Series(name, { ...parts, folder: join(folder, name) });
  let count = 0;
  const onCut = (text) => {
    count += 1;
    console.log(`${name} ${count}/${countCuts}: ${text}`);
  };
  const error = await failureOf(series.run(countCuts, onCut));
  if (error !== null) fail(series, `${name}: ${error.message}`);
  const outcome = error === null ? 'no loss' : error instanceof LossError ? 'LOSS' : 'FAILED';
  const seconds = Math.round((performance.now() - startedAt) / 1000);
  const work = `${series.countTransactions} transactions, ${series.countCheckpoints} checkpoints, ${seconds} s`;
  return `${name}: ${count} cuts survived, ${work}: ${outcome}`;
}

/** The control: must lose something, or the other series show nothing. Returns its line of the summary. */
async function runControl(name, parts) {
  const series = new Series(name, { ...parts, folder: join(folder, name) });
  let count = 0;
  const onCut = () => {
    count += 1;
  };
  const error = await failureOf(series.run(MAX_CONTROL_CUTS, onCut));
  if (error instanceof LossError)
    return `${name}: a loss by cut ${count + 1}, as there must be: ${error.message.slice(0, 100)}`;
  fail(series, error?.message ?? `no loss in ${count} cuts: this test would not notice one`);
  return `${name}: FAILED`;
}

function failureOf(promise) {
  return promise.then(
    () => null,
    (error) => error,
  );
}

/** Leaves what is needed to look into a failure. */
function fail(series, message) {
  const kept = mkdtempSync(join(tmpdir(), 'perdure-power-kept-'));
  series.save(kept);
  console.error(`${message}\n  seed ${seed}; the medium before the last start, and the serial line: ${kept}`);
  process.exitCode = 1;
}
