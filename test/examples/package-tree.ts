/**
 * The package and its examples, compiled from the sources as they are now into a folder of their own under build/:
 * so tests of the examples neither depend on what was built before nor disturb it.
 */
import { type SpawnSyncReturns, spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

export class PackageTree {
  readonly folder: string;

  constructor() {
    mkdirSync(join(ROOT, 'build'), { recursive: true });
    this.folder = mkdtempSync(join(ROOT, 'build', 'tree-'));
    copyFileSync(join(ROOT, 'package.json'), join(this.folder, 'package.json'));
    symlinkSync(join(ROOT, 'prebuilds'), join(this.folder, 'prebuilds'));
    this.#compile('tsconfig.build.json', 'dist');
    this.#compile(join('examples', 'tsconfig.json'), 'examples');
  }

  /** Path of a compiled example. */
  example(name: string): string {
    return join(this.folder, 'examples', name);
  }

  /** Runs a compiled example; `scratch` is where it finds the folder for temporary files. */
  run(name: string, args: readonly string[], scratch: string): SpawnSyncReturns<string> {
    return spawnSync(process.execPath, [this.example(name), ...args], {
      encoding: 'utf8',
      env: { ...process.env, TMPDIR: scratch },
    });
  }

  /** Runs a module text whose imports are relative to the folder. */
  evaluate(module: string): SpawnSyncReturns<string> {
    return spawnSync(process.execPath, ['--input-type=module', '-e', module], {
      encoding: 'utf8',
      cwd: this.folder,
    });
  }

  remove(): void {
    rmSync(this.folder, { recursive: true });
  }

  /** Types are checked by `npm run typecheck`. */
  #compile(project: string, target: string): void {
    const tsc = join(ROOT, 'node_modules', '.bin', 'tsc');
    const args = ['-p', project, '--outDir', join(this.folder, target), '--noCheck'];
    const { status, stdout } = spawnSync(tsc, args, { cwd: ROOT, encoding: 'utf8' });
    if (status !== 0) throw new Error(`tsc ${args.join(' ')} failed: ${stdout}`);
  }
}
