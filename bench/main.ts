/**
 * `npm run bench`: ns per operation, with a plain-JavaScript baseline beside each case. Each case runs in a process of
 * its own, as a program would: classes bound to many pools, and buffers that were detached, slow V8's code down.
 *
 *   npm run bench -- --json            one JSON object a line: {"case","ns","baselineNs","ratio"}
 *   npm run bench -- --filter txn/     only cases whose name contains the text
 *   npm run bench -- --smoke           every case once at a small size and in one process, to see that it still runs
 */
import { execFileSync } from 'node:child_process';
import { cpus } from 'node:os';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { collectionCases } from './cases/collections.js';
import { durabilityCases } from './cases/durability.js';
import { fieldCases } from './cases/fields.js';
import { openCases } from './cases/open.js';
import { txnCases } from './cases/txns.js';
import { type BenchResult, runCase } from './harness.js';

const { values } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    smoke: { type: 'boolean', default: false },
    filter: { type: 'string', default: '' },
    rounds: { type: 'string', default: '9' },
    /** Internal: run this case here and print its result as JSON. */
    only: { type: 'string' },
  },
});

const allCases = [...fieldCases, ...txnCases, ...collectionCases, ...openCases, ...durabilityCases];
const options = values.smoke ? { rounds: 1, scale: 0.001 } : { rounds: Number(values.rounds), scale: 1 };

function runInProcess(name: string): BenchResult {
  const args = [fileURLToPath(import.meta.url), '--only', name, '--rounds', String(options.rounds)];
  return JSON.parse(execFileSync(process.execPath, args, { encoding: 'utf8' })) as BenchResult;
}

function print(result: BenchResult): void {
  if (values.json) {
    const { case: name, ns, baselineNs, ratio } = result;
    console.log(JSON.stringify({ case: name, ns, baselineNs, ratio }));
    return;
  }
  const cells = [result.ns, result.baselineNs].map((ns) => ns.toFixed(1).padStart(14)).join('');
  console.log(`${result.case.padEnd(36)}${cells}${result.ratio.toFixed(2).padStart(10)}`);
}

async function runAll(): Promise<void> {
  const cases = allCases.filter(
    ({ name, heavy = false }) => name.includes(values.filter) && !(values.smoke && heavy),
  );
  if (!values.json) {
    const processor = cpus()[0]?.model ?? 'unknown processor';
    console.log(`Node ${process.version}, ${processor}, best of ${options.rounds} rounds`);
    console.log(
      `${'case'.padEnd(36)}${'ns/op'.padStart(14)}${'baseline'.padStart(14)}${'ratio'.padStart(10)}`,
    );
  }
  let hash = 0;
  for (const benchCase of cases) {
    const result = values.smoke ? await runCase(benchCase, options) : runInProcess(benchCase.name);
    hash += result.hash;
    print(result);
  }
  if (!values.json) console.log(`result hash ${hash}`);
}

const only = allCases.find(({ name }) => name === values.only);
if (only === undefined) await runAll();
else console.log(JSON.stringify(await runCase(only, options)));
