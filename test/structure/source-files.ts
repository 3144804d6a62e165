/** The source files as the structure tests see them: text, header comment and imports. */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, posix } from 'node:path';
import { fileURLToPath } from 'node:url';

export const ROOT = join(dirname(fileURLToPath(import.meta.url)), '..', '..');

export interface Import {
  /** The file below src/ that is imported, or the specifier of a module outside. */
  readonly target: string;
  readonly isRelative: boolean;
  readonly isReExport: boolean;
}

export interface SourceFile {
  /** Path below src/, with slashes. */
  readonly path: string;
  /** The layer: the folder, or `index` for src/index.ts. */
  readonly layer: string;
  readonly text: string;
  readonly imports: readonly Import[];
}

/** All import and export-from statements, of types too, and import() expressions. */
function importsOf(path: string, text: string): Import[] {
  const statement =
    /^(import|export)\b[^;'"]*?\bfrom\s+'([^']+)'|^import\s+'([^']+)'|\bimport\(\s*'([^']+)'/gm;
  return [...text.matchAll(statement)].map(([, keyword, from, bare, dynamic]) => {
    const specifier = (from ?? bare ?? dynamic) as string;
    const isRelative = specifier.startsWith('.');
    const target = isRelative
      ? posix.normalize(posix.join(posix.dirname(path), specifier)).replace(/\.js$/, '.ts')
      : specifier;
    return { target, isRelative, isReExport: keyword === 'export' };
  });
}

/** Paths of the files below a folder of the repository whose names end in one of `endings`. */
export function filesBelow(folder: string, endings: readonly string[]): string[] {
  return readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
    .map((path) => path.replaceAll('\\', '/'))
    .filter((path) => endings.some((ending) => path.endsWith(ending)))
    .sort();
}

export function read(path: string): string {
  return readFileSync(join(ROOT, path), 'utf8');
}

export function sourceFiles(): SourceFile[] {
  return filesBelow('src', ['.ts']).map((path) => {
    const text = read(`src/${path}`);
    const layer = path.includes('/') ? (path.split('/')[0] as string) : 'index';
    return { path, layer, text, imports: importsOf(path, text) };
  });
}

/** The comment at the top of a file, or the empty string. */
export function headerOf(text: string): string {
  return /^\s*\/\*[\s\S]*?\*\//.exec(text)?.[0] ?? '';
}

/** Groups of files that import each other in a circle: strongly connected components with more than one member. */
export function cycles(files: readonly SourceFile[]): string[][] {
  const targets = new Map(
    files.map(({ path, imports }) => [path, imports.filter((i) => i.isRelative).map((i) => i.target)]),
  );
  const reaches = (from: string): Set<string> => {
    const seen = new Set<string>();
    const pending = [...(targets.get(from) ?? [])];
    for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
      if (seen.has(next)) continue;
      seen.add(next);
      pending.push(...(targets.get(next) ?? []));
    }
    return seen;
  };
  const reached = new Map(files.map(({ path }) => [path, reaches(path)]));
  const groups = new Map<string, string[]>();
  for (const { path } of files) {
    if (!reached.get(path)?.has(path)) continue;
    const group = files
      .map((f) => f.path)
      .filter((p) => reached.get(path)?.has(p) && reached.get(p)?.has(path));
    groups.set(group.join(), group);
  }
  return [...groups.values()];
}
