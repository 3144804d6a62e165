/** The examples, run as users run them: compiled, on a real file, with a real kill. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { PackageTree } from './package-tree.js';

let tree: PackageTree;
let scratch: string;

beforeAll(() => {
  tree = new PackageTree();
});
afterAll(() => tree.remove());
beforeEach(() => {
  scratch = mkdtempSync(join(tmpdir(), 'perdure-examples-'));
});
afterEach(() => rmSync(scratch, { recursive: true, force: true }));

describe('linked-list', () => {
  it('finds the list of the run before', () => {
    const folder = join(scratch, 'a', 'b');
    const first = tree.run('linked-list/main.js', [folder], scratch);
    expect([first.stderr, first.stdout.split('\n')[0]]).toEqual(['', '0: entry 0']);
    const second = tree.run('linked-list/main.js', [folder], scratch);
    expect(second.stdout).toContain('0: entry 0\n1: entry 1\n');
    expect(second.status).toBe(0);
  });
});

describe('cities', () => {
  /** Processes whose pool lies in the scratch folder. */
  const importers = () => readdirSync('/proc').filter((pid) => /^\d+$/.test(pid) && usesScratch(pid));
  const usesScratch = (pid: string) => {
    try {
      return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(scratch);
    } catch {
      return false; // it has ended
    }
  };
  const demo = (...args: string[]) => tree.run('cities/main.js', args, scratch);

  it('imports everything in spite of kills, and leaves nothing behind', () => {
    const { stdout, stderr, status } = demo('--limit', '4321', '--batch', '10', '--kills', '5');
    expect([stderr, status]).toEqual(['', 0]);
    expect(stdout.match(/^kill \d: /gm)).toHaveLength(5);
    expect(stdout.trimEnd().split('\n').at(-1)).toMatch(
      /^imported 4,321 cities, killed 5 times, worst recovery \d+\.\d ms, check passed$/,
    );
    expect(readdirSync(scratch)).toEqual([]);
  });

  it('ends the importer and removes the pool when it is interrupted', async () => {
    const child = spawn(process.execPath, [tree.example('cities/main.js')], {
      env: { ...process.env, TMPDIR: scratch },
      stdio: 'ignore',
    });
    while (importers().length === 0) await sleep(5);
    child.kill('SIGTERM');
    expect(await once(child, 'exit')).toEqual([143, null]);
    expect(readdirSync(scratch)).toEqual([]);
    while (importers().length > 0) await sleep(5);
  });

  it('notices a city that is missing, moved or changed, and one that should not be there', () => {
    const { stdout } = demo('--limit', '500', '--kills', '0', '--keep');
    const path = /kept: (.*)$/m.exec(stdout)?.[1];
    const { stdout: output, stderr } = tree.evaluate(`
      import { Pool } from 'perdure';
      import { World } from './examples/cities/model.js';
      import { verify } from './examples/cities/verify.js';
      const pool = Pool.open(${JSON.stringify(path)}, { root: World });
      const world = pool.root(World);
      const expected = { total: 500, batch: 100, reported: 500 };
      const [one, other] = world.countries.values();
      const faults = {
        none: () => {},
        missing: () => one.cities.pop(),
        moved: () => other.cities.push(one.cities.pop()),
        changed: () => { one.cities.at(0).latitude += 1; },
        twice: () => one.cities.push(one.cities.at(0)),
        uncounted: () => { world.imported -= 100; },
        lost: () => { expected.reported = 1000; },
      };
      const counts = {};
      for (const [name, fault] of Object.entries(faults)) {
        try {
          pool.txn(() => {
            fault();
            counts[name] = verify(pool, expected).length;
            throw 'undo';
          });
        } catch (error) {
          if (error !== 'undo') throw error;
        }
      }
      console.log(JSON.stringify(counts));
    `);
    expect(stderr).toBe('');
    const counts = JSON.parse(output) as Record<string, number>;
    expect(Object.keys(counts).filter((name) => counts[name] === 0)).toEqual(['none']);
    expect(Object.keys(counts)).toHaveLength(7);
  });

  it('says what options there are', () => {
    expect(demo('--help').stdout).toContain('--kills <n>');
    const unknown = demo('--kill', '3');
    expect(unknown.stderr).toContain('--kills <n>');
    expect(unknown.status).toBe(1);
    const wrong = demo('--kills', 'many');
    expect(wrong.stderr).toBe('demo failed: --kills many: expected a whole number\n');
    expect(wrong.status).toBe(1);
  });
});
