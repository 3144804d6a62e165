/** The command line of the demo. */
import { parseArgs } from 'node:util';

export const USAGE = `usage: npm run demo -- [options]
  --kills <n>  how often the importer is killed before it may finish (default 6)
  --limit <n>  import the first n places only
  --batch <n>  places in a transaction (default 100)
  --seed <n>   repeat the moments of the kills of another run, as far as processes can be repeated
  --keep       keep the pool, and print where it is`;

export interface DemoOptions {
  readonly kills: number;
  readonly limit: number;
  readonly batch: number;
  readonly seed: number;
  readonly keep: boolean;
  readonly help: boolean;
}

/** @throws Error when an option is unknown or no number */
export function parseOptions(args: readonly string[]): DemoOptions {
  const { values } = parseArgs({
    args: [...args],
    options: {
      kills: { type: 'string' },
      limit: { type: 'string' },
      batch: { type: 'string' },
      seed: { type: 'string' },
      keep: { type: 'boolean' },
      help: { type: 'boolean' },
    },
  });
  return {
    kills: wholeNumber('kills', values.kills, 6),
    limit: wholeNumber('limit', values.limit, 2 ** 31),
    batch: Math.max(1, wholeNumber('batch', values.batch, 100)),
    seed: wholeNumber('seed', values.seed, Math.floor(Math.random() * 2 ** 31)),
    keep: values.keep ?? false,
    help: values.help ?? false,
  };
}

function wholeNumber(name: string, text: string | undefined, fallback: number): number {
  if (text === undefined) return fallback;
  if (!/^\d{1,10}$/.test(text)) throw new Error(`--${name} ${text}: expected a whole number`);
  return Number(text);
}
