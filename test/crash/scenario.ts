/**
 * How a crash test of a pool is written: a `Scenario` runs transactions and changes a naive model (plain data) in
 * step with them; every crash image is reopened, checked and read, and must equal the model before or after the
 * transaction in flight. Models are kept as JSON, so that no later change reaches one that was promised.
 */
import { type ClassOf, type MemoryBackend, Pool, type PoolOptions } from '../../src/index.js';
import type { Step } from '../../src/memory/memory.js';
import {
  type CrashContext,
  type CrashReport,
  type ExploreOptions,
  exploreCrashes,
  mixSeeds,
  Random,
  SimulatedMedium,
  type WorkloadLog,
} from '../../src/testing/index.js';

export const PATH = 'crash.pool';
const UUID = Uint8Array.from({ length: 16 }, (_, index) => 17 * index + 3);

/** What a pool of a crash test lies on, and which log it has. */
export const MEDIA = {
  'undo log': {},
  'redo log on a disk': { domain: 'block', walSize: 16 * 1024 },
  'redo log on a disk, relaxed': { domain: 'block', durability: 'relaxed', walSize: 16 * 1024 },
  'redo log in persistent memory': { log: 'redo', walSize: 16 * 1024 },
} as const satisfies Record<string, PoolOptions>;
export type MediumName = keyof typeof MEDIA;

/** A workload, its model, and how the pool's content is read. */
export interface Scenario<R extends object, M> {
  readonly name: string;
  readonly root: ClassOf<R>;
  readonly classes?: readonly ClassOf[];
  readonly options?: { readonly maxSize?: number; readonly logSize?: number };
  /** The content of a new pool. */
  readonly initial: M;
  /** Reads everything that the model has. */
  read(root: R, pool: Pool): M;
  /** Transactions before crashes are tried. */
  prepare?(run: Run<R, M>): void;
  steps(run: Run<R, M>): void;
  /** The program drops objects, which only a collector would free. */
  readonly drops?: boolean;
  /** Share of the images at each instant, for one with many instants or a large pool. Default 1. */
  readonly share?: number;
  /** The creation of the pool is crashed too. */
  readonly creates?: boolean;
}

/** A pool in use by a scenario. */
export class Run<R extends object, M> {
  readonly random: Random;
  readonly #scenario: Scenario<R, M>;
  readonly #backend: SimulatedMedium;
  readonly #medium: MediumName;
  readonly #log: WorkloadLog<string> | null;
  /** What has committed since the last flush: with relaxed durability a crash may leave any of it. */
  #unflushed: string[] = [];
  pool: Pool;
  model: M;

  constructor(parts: {
    scenario: Scenario<R, M>;
    backend: SimulatedMedium;
    medium: MediumName;
    log: WorkloadLog<string> | null;
    model: M;
    seed: number;
  }) {
    this.#scenario = parts.scenario;
    this.#backend = parts.backend;
    this.#medium = parts.medium;
    this.#log = parts.log;
    this.model = parts.model;
    this.random = new Random(parts.seed);
    this.pool = openPool(parts.scenario, parts.backend, parts.medium);
    this.#log?.acknowledge(JSON.stringify(this.model));
  }

  get root(): R {
    return this.pool.root() as R;
  }

  /** A transaction that commits; `body` changes the pool and a draft of the model alike. */
  commit(body: (root: R, draft: M) => void): void {
    const draft = structuredClone(this.model);
    this.pool.txn(() => {
      body(this.root, draft);
      this.#pending(draft);
    });
    this.#committed(draft);
    if (this.#unflushed.length > 0 && this.random.int(6) === 0) this.flush();
  }

  /** All that has committed is promised from here on. */
  flush(): void {
    this.pool.flush();
    this.#acknowledge();
  }

  #pending(draft: M): void {
    this.#log?.pending(JSON.stringify([...this.#unflushed, JSON.stringify(draft)]));
  }

  #committed(draft: M): void {
    this.model = draft;
    const relaxed = (MEDIA[this.#medium] as PoolOptions).durability === 'relaxed';
    if (relaxed) this.#unflushed.push(JSON.stringify(draft));
    else this.#acknowledge();
  }

  #acknowledge(): void {
    this.#unflushed = [];
    this.#log?.acknowledge(JSON.stringify(this.model));
  }

  /** A transaction that is rolled back. */
  abort(body: (root: R) => void): void {
    this.attempt(body);
  }

  /** Within `commit`: a savepoint that commits with the rest; outside: as `commit` without a change of the model. */
  savepoint(body: () => void): void {
    this.pool.txn(body);
  }

  /** A transaction or savepoint that throws at its end. */
  attempt(body: (root: R) => void): void {
    const reason = new Error('rolled back on purpose');
    try {
      this.pool.txn(() => {
        body(this.root);
        throw reason;
      });
    } catch (error) {
      if (error !== reason) throw error;
    }
  }

  /** A clean close, and opening again. */
  reopen(): void {
    this.pool.close();
    this.#acknowledge();
    this.pool = openPool(this.#scenario, this.#backend, this.#medium);
  }

  /** The process dies, the machine goes on; the next one opens the pool, and recovery makes durable what it finds. */
  die(): void {
    this.#backend.killProcess();
    this.pool = openPool(this.#scenario, this.#backend, this.#medium);
    this.#acknowledge();
  }

  /**
   * The process dies at the n-th fence of a transaction, before it takes effect; the machine goes on, and the next
   * process opens the pool. What it finds, it may rely on.
   * @returns false when the transaction has fewer fences; then it was committed
   */
  dieAtFence(number: number, body: (root: R, draft: M) => void): boolean {
    const draft = structuredClone(this.model);
    const fault = this.#backend.inject({ operation: 'fence', at: number, keepFailing: true });
    try {
      this.pool.txn(() => {
        body(this.root, draft);
        this.#pending(draft);
      });
    } catch (error) {
      if (fault.fired === 0) throw error;
    }
    fault.remove();
    if (fault.fired > 0) {
      const before = this.model;
      this.model = draft;
      this.#backend.killProcess();
      this.pool = openPool(this.#scenario, this.#backend, this.#medium);
      const found = JSON.stringify(this.#scenario.read(this.root, this.pool));
      if (found === JSON.stringify(before)) this.model = before;
      else if (found !== JSON.stringify(draft)) throw new Error(`found ${found}`);
      this.#acknowledge();
    } else {
      this.#committed(draft);
    }
    return fault.fired > 0;
  }
}

export interface CrashTest {
  /** Default: the undo log. */
  readonly medium?: MediumName;
  readonly seed?: number;
  readonly imagesPerInstant?: number;
  readonly nested?: ExploreOptions<string>['nested'];
  readonly skip?: readonly Step[];
  readonly stopAtFirst?: boolean;
  readonly only?: readonly number[];
}

/** Explores the crashes of a scenario. */
export function crash<R extends object, M>(scenario: Scenario<R, M>, test: CrashTest = {}): CrashReport {
  const { seed = 1, imagesPerInstant = 64, nested = null, skip = [], stopAtFirst = true } = test;
  const { medium: on = 'undo log' } = test;
  const medium = new SimulatedMedium({ skip });
  const run = (log: WorkloadLog<string> | null, model: M, part: number) =>
    new Run<R, M>({ scenario, backend: medium, medium: on, log, model, seed: mixSeeds(seed, part) });
  let prepared = scenario.initial;
  return exploreCrashes<string>({
    medium,
    seed,
    imagesPerInstant: Math.ceil(imagesPerInstant * (scenario.share ?? 1)),
    nested,
    stopAtFirst,
    ...(test.only === undefined ? {} : { only: test.only }),
    prepare() {
      if (scenario.creates) return;
      const before = run(null, structuredClone(scenario.initial), 0);
      scenario.prepare?.(before);
      prepared = before.model;
      before.pool.close();
    },
    workload(_backend, log) {
      if (!scenario.creates) log.acknowledge(JSON.stringify(prepared));
      const live = run(log, structuredClone(prepared), 1);
      scenario.steps(live);
      live.pool.close();
    },
    verify: (image, context) => verify(scenario, image, on, context),
  });
}

/** Opens what a crash left and holds it against the promises. */
function verify<R extends object, M>(
  scenario: Scenario<R, M>,
  medium: SimulatedMedium,
  on: MediumName,
  context: CrashContext<string>,
): void {
  const { acknowledged, model, pending, position, recovered } = context;
  if (!medium.exists(PATH)) {
    if (acknowledged === 0) return;
    throw new Error('the pool is gone');
  }
  const pool = openPool(scenario, medium, on);
  recovered();
  const found = JSON.stringify(scenario.read(pool.root() as R, pool));
  const possible = pending === undefined ? [] : (JSON.parse(pending) as string[]);
  if (found !== (model ?? JSON.stringify(scenario.initial)) && !possible.includes(found)) {
    throw new Error(`found ${found}\ninstead of ${[model, ...possible].join('\nor ')}`);
  }
  checkWhole(pool, scenario.drops === true);
  if ((position[position.length - 1] as number) % 8 === 0) goOn(scenario, medium, on, pool, found);
}

function checkWhole(pool: Pool, drops: boolean): void {
  const report = pool.check();
  if (!report.ok) throw new Error(`check: ${report.problems.join('; ')}`);
  if (report.leakedBlocks > 0) throw new Error(`${report.leakedBlocks} blocks leaked`);
  if (!drops && report.unreachableBlocks > 0)
    throw new Error(`${report.unreachableBlocks} unreachable blocks`);
}

/** The recovered pool works: it takes transactions, and is the same after a clean close. */
function goOn<R extends object, M>(
  scenario: Scenario<R, M>,
  medium: SimulatedMedium,
  on: MediumName,
  pool: Pool,
  found: string,
): void {
  pool.txn(() => pool.named.set('after the crash', pool.root()));
  pool.txn(() => pool.named.delete('after the crash'));
  pool.close();
  const again = openPool(scenario, medium, on);
  const later = JSON.stringify(scenario.read(again.root() as R, again));
  if (later !== found) throw new Error(`after a clean close ${later}\ninstead of ${found}`);
  checkWhole(again, scenario.drops === true);
}

function openPool<R extends object, M>(
  scenario: Scenario<R, M>,
  backend: MemoryBackend,
  medium: MediumName,
): Pool {
  return Pool.open(PATH, { ...poolOptions(scenario, backend), ...MEDIA[medium] });
}

export function poolOptions<R extends object, M>(
  { root, classes = [], options = {} }: Pick<Scenario<R, M>, 'root' | 'classes' | 'options'>,
  backend: MemoryBackend,
): PoolOptions {
  const { maxSize = 1 << 20, logSize = 4096 } = options;
  return { root, classes, backend, uuid: UUID, maxSize, logSize };
}
