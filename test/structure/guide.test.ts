/** The programs in docs/guide run: every block that imports perdure is complete, and asserts what it says. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createServer } from 'vite';
import { describe, it } from 'vitest';
import { filesBelow, ROOT, read } from './source-files.js';

interface Program {
  readonly name: string;
  readonly code: string;
}

const programs: Program[] = filesBelow('docs/guide', ['.md']).flatMap((page) =>
  [...read(`docs/guide/${page}`).matchAll(/^```ts\n([\s\S]*?)^```$/gm)]
    .map(([, code]) => code as string)
    .filter((code) => /from 'perdure'/.test(code))
    .map((code, i) => ({ name: `${page} ${i + 1}`, code })),
);

/** Runs a program from memory, with `perdure` standing for the sources. */
async function run({ name, code }: Program): Promise<void> {
  const id = join(ROOT, 'test', 'structure', `${name.replace(/\W/g, '-')}.program.ts`);
  const server = await createServer({
    root: ROOT,
    configFile: false,
    logLevel: 'error',
    server: { middlewareMode: true, watch: null, ws: false },
    optimizeDeps: { noDiscovery: true },
    // `using` is not known to every supported Node.
    oxc: { target: 'es2022' },
    resolve: {
      alias: [
        { find: /^perdure\/testing$/, replacement: join(ROOT, 'src', 'testing', 'index.ts') },
        { find: /^perdure$/, replacement: join(ROOT, 'src', 'index.ts') },
      ],
    },
    plugins: [
      {
        name: 'guide-program',
        resolveId: (source) => (source === id ? id : null),
        load: (source) => (source === id ? code : null),
      },
    ],
  });
  try {
    await server.ssrLoadModule(id);
  } finally {
    await server.close();
  }
}

describe('the guide', () => {
  it.each(programs.map((program) => [program.name, program] as const))('%s runs', async (_name, program) => {
    const before = process.cwd();
    const directory = mkdtempSync(join(tmpdir(), 'perdure-guide-'));
    process.chdir(directory);
    try {
      await run(program);
    } finally {
      process.chdir(before);
      rmSync(directory, { recursive: true });
    }
  });
});
