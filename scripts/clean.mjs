/** Removes generated folders: `node scripts/clean.mjs dist build/examples`. So nothing stale is run or packed. */
import { rmSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const GENERATED = ['dist', 'build', 'coverage'];
const root = dirname(dirname(fileURLToPath(import.meta.url)));

for (const name of process.argv.slice(2)) {
  const folder = join(root, name);
  if (!GENERATED.includes(relative(root, folder).split('/')[0])) throw new Error(`${name} is not generated`);
  rmSync(folder, { recursive: true, force: true });
}
