/**
 * Runs children into faults, and looks at what they leave: their reports, how they ended, and the pool, opened
 * without any fault.
 */
import { execFileSync, spawn } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
} from 'node:fs';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'vite';
import { Pool } from '../../src/index.js';
import { describeError, History, type Report } from './history.js';
import { type Call, describeCase, type FaultCase, isLoss } from './plan.js';
import { difference, FaultRoot, runStep, type Workload } from './workload.js';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const POOL = 'fault.pool';
const TIMEOUT_MS = 30_000;

/** What children are made of. */
export interface Programs {
  readonly child: string;
  readonly shim: string;
  remove(): void;
}

/** The child as plain JavaScript, two folders below the root of the package: there it finds the addon. */
export async function buildPrograms(): Promise<Programs> {
  mkdirSync(join(ROOT, 'node_modules'), { recursive: true });
  const folder = mkdtempSync(join(ROOT, 'node_modules', '.fault-test-'));
  await build({
    configFile: false,
    logLevel: 'error',
    root: ROOT,
    build: { ssr: join(ROOT, 'test/faults/child.ts'), outDir: folder, emptyOutDir: false, target: 'node20' },
    ssr: { noExternal: true },
  });
  const shim = join(folder, 'shim.so');
  const [compiler = 'cc', ...flags] = (process.env.CC ?? 'cc').split(' ').filter(Boolean);
  const source = join(ROOT, 'test/faults/shim.c');
  execFileSync(compiler, [...flags, '-std=gnu11', '-O1', '-fPIC', '-shared', '-Wall', '-o', shim, source]);
  return {
    child: join(folder, 'child.js'),
    shim,
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}

/** Makes a pool whose process died; returns its folder. The workload that goes on there has as many transactions before. */
export async function makeDead(programs: Programs, workload: Workload, parent: string): Promise<string> {
  const folder = realpathSync(mkdtempSync(join(parent, 'dead-')));
  const { output, errors, problem } = await runChild(programs, join(folder, POOL), workload, {});
  if (problem !== 'it ended with SIGKILL') throw new Error(`${problem}\n${output}${errors}`);
  return folder;
}

/** What a run came to. */
export interface Outcome {
  /** What must not be; null when all is well. */
  readonly violation: string | null;
  readonly calls: readonly Call[];
}

interface Ended {
  readonly output: string;
  readonly errors: string;
  /** How it ended, if not by itself with code 0. */
  readonly problem: string | null;
}

/** What the runs of a test have in common. */
export interface Setting {
  readonly programs: Programs;
  readonly workload: Workload;
  /** Folders are made below it. */
  readonly parent: string;
  /** Folder of the pool to start from, or null for none. */
  readonly template: string | null;
}

/** Runs the workload in a folder of its own, with a fault or without. */
export async function runCase(setting: Setting, fault: FaultCase | null): Promise<Outcome> {
  const { programs, workload, template } = setting;
  const base = realpathSync(mkdtempSync(join(setting.parent, 'case-')));
  const folder = join(base, 'folder');
  const trace = join(base, 'trace');
  try {
    if (template === null) mkdirSync(folder);
    else cpSync(template, folder, { recursive: true });
    const path = join(folder, POOL);
    const ended = await runChild(programs, path, workload, {
      LD_PRELOAD: programs.shim,
      PERDURE_FAULT_FOLDER: folder,
      PERDURE_FAULT_TRACE: trace,
      ...faultVariables(fault),
    });
    const calls = readTrace(trace);
    const reports = ended.output
      .split('\n')
      .slice(0, -1)
      .map((line) => JSON.parse(line) as Report);
    const violations = [
      ...(ended.problem === null ? [] : [ended.problem]),
      ...(ended.errors === '' ? [] : [`standard error: ${ended.errors}`]),
      ...judgeReports(reports, fault, calls),
      ...judgePool(path, workload, reports, calls),
    ];
    return {
      violation: violations.length === 0 ? null : explain(violations, fault, reports, calls),
      calls,
    };
  } finally {
    rmSync(base, { recursive: true, force: true });
  }
}

function faultVariables(fault: FaultCase | null): Record<string, string> {
  if (fault === null) return {};
  return {
    PERDURE_FAULT_AT: String(fault.at),
    PERDURE_FAULT_ERRNO: String(fault.kind.errno),
    PERDURE_FAULT_CALLS: ` ${fault.kind.calls.join(' ')} `,
    PERDURE_FAULT_KEEP: fault.keep ? '1' : '0',
  };
}

function runChild(
  programs: Programs,
  path: string,
  workload: Workload,
  env: Record<string, string>,
): Promise<Ended> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [programs.child, path, JSON.stringify(workload)], {
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let output = '';
    let errors = '';
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      child.kill('SIGKILL');
    }, TIMEOUT_MS);
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
      output += chunk;
    });
    child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
      errors += chunk;
    });
    child.on('error', reject);
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      const problem = late ? 'it hung' : code === 0 ? null : `it ended with ${signal ?? `exit code ${code}`}`;
      resolve({ output, errors, problem });
    });
  });
}

function readTrace(path: string): Call[] {
  if (!existsSync(path)) return [];
  const lines = readFileSync(path, 'utf8').split('\n').filter(Boolean);
  return lines
    .map((line) => {
      const [number, name, file, fate] = line.split(' ') as [string, string, string, Call['fate']?];
      return { number: Number(number), name, file, fate: fate ?? null };
    })
    .sort((a, b) => a.number - b.number);
}

/** Whether the child says that all is well, and met as many failures as there were faults. */
function judgeReports(reports: readonly Report[], fault: FaultCase | null, calls: readonly Call[]): string[] {
  const found: string[] = [];
  let failures = 0;
  let poisoned = false;
  for (const report of reports) {
    switch (report.event) {
      case 'wrong':
        found.push(report.what);
        break;
      case 'open':
        poisoned = false;
        break;
      case 'full':
      case 'openFailed':
        failures += 1;
        break;
      case 'failed':
      case 'flushFailed':
      case 'closeFailed':
        // Everything after the first is a consequence, up to the next opening.
        if (!poisoned) failures += 1;
        poisoned = true;
        break;
    }
  }
  const failed = calls.some(({ fate }) => fate === 'failed');
  const allowed = fault === null || fault.kind.harmless || !failed ? 0 : fault.keep ? Infinity : 1;
  if (failures > allowed) found.push(`${failures} failures, where at most ${allowed} had a cause`);
  const loss = fault === null ? undefined : calls.find((call) => isLoss(call, fault.kind));
  if (loss !== undefined && failures === 0)
    found.push(`the program was not told that call ${loss.number} failed`);
  if (reports.at(-1)?.event !== 'end') found.push('the workload did not come to its end');
  return found;
}

/** Opens the pool that is left, without faults: whether it holds a prefix of the transactions, and is sound. */
function judgePool(
  path: string,
  workload: Workload,
  reports: readonly Report[],
  calls: readonly Call[],
): string[] {
  const found: string[] = [];
  const history = new History(workload.before);
  for (const report of reports) history.add(report);
  const folder = join(path, '..');
  const unlinkFailed = calls.some(({ name, fate }) => name === 'unlink' && fate === 'failed');
  const isExcused = (name: string): boolean => name.endsWith('.new') && unlinkFailed;
  const strangers = (): string[] =>
    readdirSync(folder).filter((name) => name !== basename(path) && !isExcused(name));
  if (!existsSync(path)) {
    if (workload.before > 0 || reports.some(({ event }) => event === 'open')) found.push('the pool is gone');
    if (strangers().length > 0) found.push(`there is no pool, but ${strangers().join(', ')}`);
    return found;
  }
  try {
    const pool = Pool.open(path, { ...workload.options, root: FaultRoot, create: false });
    try {
      const root = pool.root(FaultRoot);
      const count = history.countUpTo(root.step);
      if (count === null) {
        const expected = `${history.acknowledged} to ${history.steps.length} of ${history.steps.join(' ')}`;
        found.push(`the last transaction that is left is ${root.step}; expected ${expected}`);
      } else {
        const field = difference(root, history.steps.slice(0, count));
        if (field !== null) found.push(`${field} is not as ${count} transactions leave it`);
        pool.txn(() => runStep(pool, root, workload.transactions + 1));
      }
      const { ok, problems, leakedBlocks, unreachableBlocks } = pool.check();
      if (!ok || leakedBlocks > 0 || unreachableBlocks > 0) {
        found.push(`check: ${JSON.stringify({ ok, problems, leakedBlocks, unreachableBlocks })}`);
      }
    } finally {
      pool.close();
    }
  } catch (error) {
    found.push(`the pool that is left fails: ${describeError(error)}`);
  }
  if (strangers().length > 0) found.push(`files left behind: ${strangers().join(', ')}`);
  return found;
}

/** Violations with all that is needed to understand them. */
function explain(
  violations: readonly string[],
  fault: FaultCase | null,
  reports: readonly Report[],
  calls: readonly Call[],
): string {
  const list = (some: readonly Call[]): string =>
    some
      .map(({ number, name, file, fate }) => `${number} ${name} ${file}${fate === null ? '' : ` ${fate}`}`)
      .join(', ');
  const near = calls.filter(
    ({ number }) => fault !== null && number >= fault.at - 3 && number <= fault.at + 6,
  );
  const told = reports.filter(({ event }) => event !== 'wrong').slice(-12);
  return [
    `${fault === null ? 'without faults' : describeCase(fault)}:`,
    ...violations,
    `calls: ${list(near)}; at the end: ${list(calls.slice(-3))}`,
    `reports: ${told.map((report) => Object.values(report).join(' ')).join(', ')}`,
  ].join('\n  ');
}
