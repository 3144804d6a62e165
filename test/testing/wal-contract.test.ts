import { SimulatedMedium } from '../../src/testing/index.js';
import { openOptions } from '../memory/fixtures.js';
import { type WalPool, walContract } from '../memory/wal-contract.js';

const POOL = 'wal.pool';

function makePool(domain: 'memory' | 'block'): WalPool {
  const options = { emulate: null, domain, log: 'redo' } as const;
  const medium = new SimulatedMedium();
  const memory = medium.open(openOptions(POOL, { mode: 'create', ...options }));
  memory.publish();
  return {
    memory,
    reopen: () => {
      memory.close();
      return medium.open(openOptions(POOL, options));
    },
    poolFile: () => medium.read(POOL),
  };
}

for (const [name, domain, access] of [
  ['simulated disk, written', 'block', 'write'],
  ['simulated disk, stored', 'block', 'store'],
  ['simulated persistent memory', 'memory', 'store'],
] as const) {
  walContract(name, { access, synchronous: domain === 'memory', makePool: () => makePool(domain) });
}
