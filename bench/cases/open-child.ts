/**
 * A process of its own that opens a pool, or parses the same data as JSON, and prints how long that took in
 * nanoseconds: what a restart pays. The library is loaded and warm: a small pool was opened before.
 *
 *   node open-child.js pool FILE WARM-UP-FILE | node open-child.js json FILE
 */
import { readFileSync } from 'node:fs';
import { Pool } from 'perdure';
import { type Item, OPEN_OPTIONS, Root } from './open-model.js';

const [kind, file = '', warmUp = ''] = process.argv.slice(2);

function openAndRead(path: string): number {
  const start = process.hrtime.bigint();
  const pool = Pool.open(path, { ...OPEN_OPTIONS, root: Root });
  const { items } = pool.root(Root);
  const found = (items.at(items.length - 1) as Item).id;
  const elapsed = Number(process.hrtime.bigint() - start);
  pool.close();
  if (found < 0) throw new Error('the last item was not found');
  return elapsed;
}

function parse(path: string): number {
  const start = process.hrtime.bigint();
  const items = JSON.parse(readFileSync(path, 'utf8')) as { id: number }[];
  if (items.at(-1) === undefined) throw new Error('the last item was not found');
  return Number(process.hrtime.bigint() - start);
}

if (kind === 'json') {
  console.log(parse(file));
} else {
  for (let i = 0; i < 5; i += 1) openAndRead(warmUp);
  console.log(openAndRead(file));
}
