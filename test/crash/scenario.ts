/**
 * How a crash test of a pool is written: a `Scenario` runs transactions and changes a naive model (plain data) in
 * step with them; every crash image is reopened, checked and read, and must equal the model before or after the
 * transaction in flight. Models are kept as JSON, so that no later change reaches one that was promised.
 */
import { type ClassOf, type MemoryBackend, Pool, type PoolOptions } from '../../src/index.js';
import type { Step } from '../../src/memory/step.js';
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
  readonly options?: Pick<PoolOptions, 'maxSize' | 'logSize' | 'memoryBudget' | 'flushInterval'>;
  /** On which media this is a scenario. Default: all. */
  readonly media?: readonly MediumName[];
  /** How the pool is opened where that differs from its medium: for the n-th opening in a run, or of an image. */
  readonly openAs?: (number: number) => MediumName;
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
  #openings = 0;
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
    this.pool = this.#openPool();
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

  /** As `commit`, without waiting for the medium: what it did is promised after the next flush or strict commit. */
  commitAsync(body: (root: R, draft: M) => void): void {
    const draft = structuredClone(this.model);
    const committed = this.pool.txnAsync(() => {
      body(this.root, draft);
      this.#pending(draft);
    });
    // Nobody waits for it; the event loop does not turn while crashes are explored.
    committed.catch(() => undefined);
    this.model = draft;
    if (this.pool.stats().wal === null) this.#acknowledge();
    else this.#unflushed.push(JSON.stringify(draft));
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
    this.pool = this.#openPool();
  }

  /** The process dies, the machine goes on; the next one opens the pool, and recovery makes durable what it finds. */
  die(): void {
    this.#backend.killProcess();
    this.pool = this.#openPool();
    this.#acknowledge();
  }

  #openPool(): Pool {
    const medium = this.#scenario.openAs?.(this.#openings) ?? this.#medium;
    this.#openings += 1;
    return openPool(this.#scenario, this.#backend, medium);
  }

  /**
   * The process dies at the n-th fence of a transaction, before it takes effect, or in the n-th of all its operations on
   * the medium: `any`. The machine goes on, and the next process opens the pool. What it finds, it may rely on.
   * @returns false when the transaction has fewer of them; then it was committed
   */
  dieAt(operation: 'fence' | 'any', number: number, body: (root: R, draft: M) => void): boolean {
    const draft = structuredClone(this.model);
    const death = this.#dieIn(operation, number);
    let returned = false;
    try {
      this.pool.txn(() => {
        body(this.root, draft);
        this.#pending(draft);
      });
      returned = true;
    } catch (error) {
      if (!death.came) throw error;
    } finally {
      death.cancel();
    }
    if (death.came) {
      const before = this.model;
      this.model = draft;
      this.pool = this.#openPool();
      const found = JSON.stringify(this.#scenario.read(this.root, this.pool));
      if (!returned && found === JSON.stringify(before)) this.model = before;
      else if (found !== JSON.stringify(draft)) throw new Error(`found ${found}`);
      this.#acknowledge();
    } else {
      this.#committed(draft);
    }
    return death.came;
  }

  /** Kills the process in the n-th fence or sync from now on, before it takes effect, or in the n-th operation. */
  #dieIn(operation: 'fence' | 'any', number: number): { readonly came: boolean; cancel(): void } {
    let left = number;
    let came = false;
    const count = (): void => {
      left -= 1;
      if (left !== 0) return;
      came = true;
      this.#backend.killProcess();
      throw new Error('the process has died');
    };
    const others = operation === 'any' ? { onWrite: count, onGrow: count, onTruncate: count } : {};
    const cancel = this.#backend.observe({ onFence: count, ...others });
    return {
      get came() {
        return came;
      },
      cancel,
    };
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
  const number = position[position.length - 1] as number;
  const as = scenario.openAs?.(number) ?? on;
  const pool = openPool(scenario, medium, as);
  recovered();
  const found = JSON.stringify(scenario.read(pool.root() as R, pool));
  const possible = pending === undefined ? [] : (JSON.parse(pending) as string[]);
  if (found !== (model ?? JSON.stringify(scenario.initial)) && !possible.includes(found)) {
    throw new Error(`found ${found}\ninstead of ${[model, ...possible].join('\nor ')}`);
  }
  checkWhole(pool, scenario.drops === true);
  if (number % 8 === 0) goOn(scenario, medium, as, pool, found);
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
  return Pool.open(PATH, { ...MEDIA[medium], ...poolOptions(scenario, backend) });
}

export function poolOptions<R extends object, M>(
  { root, classes = [], options = {} }: Pick<Scenario<R, M>, 'root' | 'classes' | 'options'>,
  backend: MemoryBackend,
): PoolOptions {
  return { root, classes, backend, uuid: UUID, maxSize: 1 << 20, logSize: 4096, ...options };
}
