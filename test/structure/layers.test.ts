/**
 * The rules of docs/architecture.md that a machine can check. A rule with exceptions lists them here by name; an
 * exception that is no longer needed fails too, so that the lists only get shorter.
 */
import { describe, expect, it } from 'vitest';
import { cycles, filesBelow, headerOf, read, type SourceFile, sourceFiles } from './source-files.js';

/** Who may import whom. The same table stands in docs/architecture.md, which a test below holds against this one. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  errors: [],
  format: [],
  memory: ['errors', 'format'],
  heap: ['errors', 'format', 'memory'],
  txn: ['errors', 'format', 'memory', 'heap'],
  layout: ['errors', 'format'],
  instance: ['errors', 'format', 'memory', 'heap', 'txn', 'layout'],
  collections: ['errors', 'format', 'memory', 'layout', 'instance'],
  decorators: ['errors', 'layout', 'instance'],
  pool: ['errors', 'format', 'memory', 'heap', 'txn', 'layout', 'instance', 'collections'],
  testing: ['errors', 'format', 'memory'],
  index: [
    'errors',
    'format',
    'memory',
    'heap',
    'txn',
    'layout',
    'instance',
    'collections',
    'decorators',
    'pool',
  ],
};

/** Modules of Node that reach the operating system; the rest of `node:` is fine everywhere. */
const OPERATING_SYSTEM =
  /^(node:)?(fs|child_process|os|net|dgram|tty|module|worker_threads|process|cluster|v8)(\/|$)/;

/** The only sources of randomness: identities, and names of temporary files. */
const RANDOM = ['memory/files.ts', 'pool/open.ts'];

/** Who may look at the clock, besides memory/: how long transactions waited. */
const CLOCK = ['txn/wal-upkeep.ts'];

const files = sourceFiles();
const isIndex = (path: string): boolean => /(^|\/)index\.ts$/.test(path);

function findings(check: (file: SourceFile) => string[]): string[] {
  return files.flatMap((file) => check(file).map((what) => `src/${file.path}: ${what}`));
}

describe('imports', () => {
  it('point downward, as the table of layers says', () => {
    expect(new Set(files.map((file) => file.layer))).toEqual(new Set(Object.keys(MAY_IMPORT)));
    const upward = findings(({ layer, imports }) =>
      imports
        .filter((i) => i.isRelative)
        .map((i) => (i.target.includes('/') ? (i.target.split('/')[0] as string) : 'index'))
        .filter((target) => target !== layer && !MAY_IMPORT[layer]?.includes(target))
        .map((target) => `${layer} may not import ${target}`),
    );
    expect(upward).toEqual([]);
  });

  it('have a table that is itself without cycles, and is that of the documentation', () => {
    const order = Object.keys(MAY_IMPORT);
    for (const [layer, allowed] of Object.entries(MAY_IMPORT)) {
      for (const target of allowed) expect(order.indexOf(target)).toBeLessThan(order.indexOf(layer));
    }
    const rows = read('docs/architecture.md').matchAll(/^\| `([a-z]+)(?:\.ts)?` \|[^|]*\|([^|]*)\|$/gm);
    const documented = Object.fromEntries(
      [...rows].map(([, layer, list]) => [
        layer,
        [...(list as string).matchAll(/`([a-z]+)`/g)].map((m) => m[1]),
      ]),
    );
    expect(documented).toEqual(MAY_IMPORT);
  });

  it('are used by the layers that the table grants them to', () => {
    const unused = Object.entries(MAY_IMPORT).flatMap(([layer, allowed]) => {
      const used = new Set(
        files.filter((f) => f.layer === layer).flatMap((f) => f.imports.map((i) => i.target.split('/')[0])),
      );
      return allowed.filter((target) => !used.has(target)).map((target) => `${layer} -> ${target}`);
    });
    expect(unused).toEqual([]);
  });

  it('of another folder go through its index.ts', () => {
    const around = findings(({ path, layer, imports }) =>
      imports
        .filter((i) => i.isRelative && i.target.includes('/'))
        .filter((i) => i.target.split('/')[0] !== layer && !/^[a-z]+\/index\.ts$/.test(i.target))
        .map((i) => `${i.target} instead of its index (${path})`),
    );
    expect(around).toEqual([]);
  });

  it('form no cycles between files, those of types included', () => {
    expect(cycles(files)).toEqual([]);
  });

  it('need nothing but Node at run time', () => {
    const outside = findings(({ imports }) =>
      imports.filter((i) => !i.isRelative && !i.target.startsWith('node:')).map((i) => `imports ${i.target}`),
    );
    expect(outside).toEqual([]);
  });
});

describe('exports', () => {
  it('are passed on by index.ts files only', () => {
    const others = findings(({ path, imports }) =>
      isIndex(path) ? [] : imports.filter((i) => i.isReExport).map((i) => `re-exports ${i.target}`),
    );
    expect(others).toEqual([]);
  });

  it('are all that an index.ts holds', () => {
    const code = findings(({ path, text }) => {
      if (!isIndex(path)) return [];
      const rest = text
        .replace(/\/\*[\s\S]*?\*\//g, '')
        .replace(/^export\b[^;]*?\bfrom\s+'[^']+';$/gm, '')
        .trim();
      return rest === '' ? [] : [`holds more than exports: ${rest.slice(0, 60)}`];
    });
    expect(code).toEqual([]);
  });

  it('do not come from a file that exists to survive cycles', () => {
    expect(files.map((file) => file.path).filter((path) => /(^|\/)internals?\.ts$/.test(path))).toEqual([]);
  });
});

describe('the operating system', () => {
  it('is reached from src/memory only', () => {
    const reaching = findings(({ layer, imports }) =>
      layer === 'memory'
        ? []
        : imports.filter((i) => OPERATING_SYSTEM.test(i.target)).map((i) => `imports ${i.target}`),
    );
    expect(reaching).toEqual([]);
  });

  it('gives randomness and time to no one else than the files listed', () => {
    const random = files.filter(({ text }) =>
      /Math\.random|\brandom(Bytes|UUID|Int|FillSync)?\(|getRandomValues/.test(text),
    );
    expect(random.map((file) => file.path).filter((path) => !path.startsWith('testing/'))).toEqual(RANDOM);
    const clock = files.filter(({ text }) => /Date\.now|performance\.now|new Date\(\)|hrtime/.test(text));
    expect(clock.filter(({ layer }) => layer !== 'memory').map((file) => file.path)).toEqual(CLOCK);
  });
});

describe('files', () => {
  it('start with a comment that says what they own', () => {
    const bare = findings(({ path, text }) =>
      isIndex(path) || headerOf(text).startsWith('/**') ? [] : ['no header comment'],
    );
    expect(bare).toEqual([]);
  });

  it('have at most 400 lines, or say in their header why not', () => {
    const long = files
      .filter(({ text }) => text.split('\n').length - 1 > 400 && !/\b400 lines\b/.test(headerOf(text)))
      .map((file) => file.path);
    expect(long).toEqual([]);
  });

  it('hold no notes to their authors', () => {
    const notes = /\b(TODO|FIXME|XXX|HACK)\b/;
    expect(findings(({ text }) => (notes.test(text) ? ['a note to its author'] : []))).toEqual([]);
    const native = filesBelow('native', ['.c', '.h', '.mjs']).filter((path) =>
      notes.test(read(`native/${path}`)),
    );
    expect(native).toEqual([]);
  });

  it('swallow no error without a word', () => {
    const swallowing = findings(({ text }) =>
      [...text.matchAll(/catch\s*(\([^)]*\))?\s*\{\s*\}/g)].map(([match]) => match),
    );
    expect(swallowing).toEqual([]);
  });
});

describe('invariants', () => {
  const PATTERN = /\bINV-[A-Z]+-\d+\b/g;
  const defined = [...read('docs/internals/invariants.md').matchAll(/^\| (INV-[A-Z]+-\d+) \|/gm)].map(
    (m) => m[1],
  );
  const cited = new Set(
    [
      ...files.map((file) => file.text),
      ...filesBelow('native', ['.c', '.h']).map((path) => read(`native/${path}`)),
      ...filesBelow('test', ['.ts']).map((path) => read(`test/${path}`)),
    ].flatMap((text) => text.match(PATTERN) ?? []),
  );

  it('are defined once each in docs/internals/invariants.md', () => {
    expect(defined.filter((id, at) => defined.indexOf(id) !== at)).toEqual([]);
  });

  it('are defined when they are cited in src, native or test', () => {
    expect([...cited].filter((id) => !defined.includes(id))).toEqual([]);
  });

  it('are cited in the code that keeps them when they are defined', () => {
    expect(defined.filter((id) => !cited.has(id as string))).toEqual([]);
  });
});
