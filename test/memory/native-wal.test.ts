import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll } from 'vitest';
import { type Domain, NativeBackend, type WalAccess } from '../../src/memory/index.js';
import { openOptions, Scratch } from './fixtures.js';
import { type WalPool, walContract } from './wal-contract.js';

const scratch = new Scratch();
afterAll(() => scratch.removeAll());

function makePool(directory: string, domain: Domain | null): WalPool {
  const path = join(directory, 'wal.pool');
  const options = { emulate: null, domain, log: 'redo' } as const;
  const backend = new NativeBackend();
  const memory = backend.open(openOptions(path, { mode: 'create', ...options }));
  memory.publish();
  return {
    memory,
    reopen: () => {
      memory.close();
      return backend.open(openOptions(path, options));
    },
    poolFile: () => readFileSync(path),
  };
}

const variants: [string, 'memory' | 'disk', Domain | null, WalAccess][] = [
  ['stored in memory', 'memory', null, 'write'],
  ['written on disk', 'disk', 'block', 'write'],
  ['stored on disk', 'disk', 'block', 'store'],
];
for (const [name, medium, domain, access] of variants) {
  walContract(name, {
    access,
    synchronous: domain === null,
    makePool: () => makePool(medium === 'memory' ? scratch.memory() : scratch.disk(), domain),
  });
}
