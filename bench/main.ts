/**
 * `npm run bench`: ns per operation, with a plain-JavaScript baseline beside each case.
 *
 *   npm run bench -- --json            one JSON object a line: {"case","ns","baselineNs","ratio"}
 *   npm run bench -- --filter txn/     only cases whose name contains the text
 *   npm run bench -- --smoke           every case once at a small size, to see that it still runs
 */
import { cpus } from 'node:os';
import { parseArgs } from 'node:util';
import { collectionCases } from './cases/collections.js';
import { closeFieldPool, fieldCases } from './cases/fields.js';
import { openCases } from './cases/open.js';
import { txnCases } from './cases/txns.js';
import { resultHash, runCase } from './harness.js';

const { values } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    smoke: { type: 'boolean', default: false },
    filter: { type: 'string', default: '' },
    rounds: { type: 'string', default: '7' },
  },
});

const cases = [...fieldCases, ...txnCases, ...collectionCases, ...openCases].filter(
  ({ name }) => name.includes(values.filter) && !(values.smoke && name.endsWith('/1000000')),
);
const options = values.smoke ? { rounds: 1, scale: 0.001 } : { rounds: Number(values.rounds), scale: 1 };

if (!values.json) {
  console.log(
    `Node ${process.version}, ${cpus()[0]?.model ?? 'unknown processor'}, ${options.rounds} rounds, best round`,
  );
  console.log(`${'case'.padEnd(36)}${'ns/op'.padStart(14)}${'baseline'.padStart(14)}${'ratio'.padStart(10)}`);
}
for (const benchCase of cases) {
  const result = runCase(benchCase, options);
  if (values.json) console.log(JSON.stringify(result));
  else {
    const cells = [result.ns, result.baselineNs, result.ratio].map((value, i) =>
      value.toFixed(i < 2 ? 1 : 2).padStart(i < 2 ? 14 : 10),
    );
    console.log(result.case.padEnd(36) + cells.join(''));
  }
}
closeFieldPool();
if (!values.json) console.log(`result hash ${resultHash()}`);
