/**
 * A pool: one file of persistent objects, open in this process. Wires the layers together; the steps of opening
 * stand in `openPool` (open.ts).
 */
import { PerdureError, PoisonedError, SchemaError, ValueError } from '../errors/index.js';
import { ANCHORS, REGION, type Ref } from '../format/index.js';
import { bindingOfInstance, createInitial, fromPlain, type Plain, preview } from '../instance/index.js';
import type { ClassOf } from '../layout/index.js';
import { type CheckReport, checkPool } from './check.js';
import type { NamedRoots } from './named-roots.js';
import { createPool, type OpenPool, openOrCreate } from './open.js';
import type { PoolOptions } from './options.js';
import { collectStats, type PoolStats } from './stats.js';

const ROOT_WORD = (REGION.anchors.offset + ANCHORS.root.offset) / 4;

/**
 * A memory-mapped pool of persistent objects. Belongs to the thread that opened it.
 *
 * @example
 * ```ts
 * using pool = Pool.open('app.pool', { root: Root });
 * const root = pool.root(Root);
 * pool.txn(() => { root.count += 1; });
 * ```
 */
export class Pool {
  readonly #parts: OpenPool;
  #closed = false;

  private constructor(parts: OpenPool) {
    this.#parts = parts;
  }

  /**
   * Opens the pool at `path`, recovering it if the last process died; creates it if there is none and
   * `options.root` is given.
   * @throws PoolOpenError NOT_FOUND, NOT_A_POOL, TRUNCATED, VERSION, LOCKED, READ_ONLY, DOMAIN, LOG_MISSING,
   * LOG_MISMATCH, BACKEND, OPTION;
   * SchemaError when the classes do not fit; CorruptionError
   */
  static open(path: string, options: PoolOptions = {}): Pool {
    return new Pool(openOrCreate(path, options));
  }

  /**
   * Creates a pool at `path`, with one object of `options.root` as its root. Appears under its name whole or not at all.
   * @throws PoolOpenError EXISTS, NOT_FOUND (the directory), READ_ONLY, DOMAIN, BACKEND, OPTION; PoolFullError
   */
  static create(path: string, options: PoolOptions): Pool {
    return new Pool(createPool(path, options));
  }

  /** Where the pool is. */
  get path(): string {
    return this.#parts.path;
  }

  /** Whether `close` was called. */
  get closed(): boolean {
    return this.#closed;
  }

  /**
   * The root object.
   * @param type when given, the root must be of this class or a subclass
   * @throws SchemaError when it is of another class
   */
  root<T extends object>(type?: ClassOf<T>): T {
    const { runtime } = this.#open();
    const expected = type === undefined ? null : runtime.bindingOf(type);
    const root = runtime.resolve(runtime.views.u32[ROOT_WORD] as Ref, null);
    const binding = bindingOfInstance(root);
    if (expected !== null && binding?.isA(expected) !== true) {
      throw new SchemaError(
        `the root of ${this.path} is a ${binding?.layout.name}, not a ${expected.layout.name}`,
        {
          path: this.path,
          expected: expected.layout.name,
          actual: binding?.layout.name,
        },
      );
    }
    return root as T;
  }

  /** Further roots, by name. */
  get named(): NamedRoots {
    return this.#open().named;
  }

  /**
   * Runs `body` as a transaction and returns its value. When it returns, the changes are durable as far as the
   * persistence domain promises; when it throws, everything is rolled back and the error passes through
   * unchanged. Within a transaction it is a savepoint: if it throws, it is rolled back alone.
   *
   * @param body a synchronous function; one that returns a promise is refused and rolled back
   * @throws AsyncTxnError, PoolFullError, PoisonedError, PoolClosedError, or whatever `body` throws
   */
  txn<T>(body: () => T): T {
    if (typeof body !== 'function') throw new ValueError(`pool.txn(${preview(body)}): expected a function`);
    return this.#open().runtime.txn.run(body);
  }

  /**
   * Runs `body` at once as a transaction, and returns a promise of its value that resolves when the changes survive power
   * loss in this domain, whatever the durability level. All that wait at a time share one sync of the log (group commit).
   * Reads see the changes before that; `onCommit` hooks run afterwards. Rejects with what `body` throws, after rolling back.
   *
   * @param body a synchronous function, as for `txn`; not to be called inside a transaction
   * @throws IoError (as rejection) when the medium failed: whether the changes survive is known when the pool is reopened
   */
  async txnAsync<T>(body: () => T): Promise<T> {
    if (typeof body !== 'function')
      throw new ValueError(`pool.txnAsync(${preview(body)}): expected a function`);
    return this.#open().runtime.txn.runAsync(body);
  }

  /**
   * Returns when all transactions that have committed survive power loss in this domain. Needed with `relaxed` durability
   * only; it takes one sync of the log, and nothing where there is nothing to do.
   * @throws IoError, PoisonedError
   */
  flush(): void {
    const { log, runtime } = this.#open();
    runtime.txn.mustBeHealthy();
    try {
      log.flush();
    } catch (error) {
      runtime.txn.fail(error);
      throw error;
    }
  }

  /** Whether a transaction of this pool is running. */
  get inTxn(): boolean {
    return this.#open().runtime.txn.active;
  }

  /**
   * Calls `hook` when the running transaction has committed. Dropped if it, or the savepoint around the call, rolls
   * back. An error of the hook reaches the caller of `txn`, whose changes are committed all the same.
   * @throws TxnRequiredError outside a transaction
   */
  onCommit(hook: () => void): void {
    this.#open().runtime.txn.onCommit(hook);
  }

  /**
   * Calls `hook` when the running transaction, or the savepoint around the call, was rolled back.
   * @throws TxnRequiredError outside a transaction
   */
  onRollback(hook: () => void): void {
    this.#open().runtime.txn.onRollback(hook);
  }

  /**
   * Creates an object of `type` with the given fields; plain objects in reference fields and containers become
   * persistent objects too. Fields that are not given have the values that initialisers and a constructor without
   * parameters give them. Runs in the current transaction, or in one of its own.
   * @throws ValueError for an unknown field or a value that does not fit; PoolFullError
   */
  create<T extends object>(type: ClassOf<T>, plain: Plain<NoInfer<T>> = {}): T {
    const { runtime } = this.#open();
    return runtime.txn.run(() => fromPlain(runtime.bindingOf(type), plain, createInitial)) as T;
  }

  /** Reads the whole pool and reports whether everything in it is sound. Takes time proportional to its size. */
  check(): CheckReport {
    const parts = this.#open();
    return checkPool({
      runtime: parts.runtime,
      records: parts.records,
      namedRoots: parts.namedRoots,
      logExtensions: parts.logExtensions(),
      sizeBytes: parts.space.sizeBytes,
    });
  }

  /** Sizes and counts. Walks the span table. */
  stats(): PoolStats {
    return collectStats(this.#open());
  }

  /**
   * Closes the pool: its file is complete, unlocked and unmapped when this returns. Using it or its objects
   * afterwards throws PoolClosedError. Idempotent.
   * @throws PerdureError OPTION when a transaction is running; IoError when the last changes cannot be made durable;
   * PoisonedError when something failed in the background and no other error has said so
   */
  close(): void {
    if (this.#closed) return;
    const { runtime, memory, log } = this.#parts;
    if (runtime.txn.active) {
      throw new PerdureError(
        'OPTION',
        `pool ${this.path} cannot be closed inside a transaction: call close() after txn()`,
      );
    }
    this.#closed = true;
    try {
      if (runtime.txn.healthy) log.end();
    } finally {
      try {
        log.close();
      } finally {
        runtime.close();
        memory.close();
      }
    }
    const { failure, told } = log.health;
    if (failure !== null && !told) throw new PoisonedError(failure);
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #open(): OpenPool {
    if (this.#closed) this.#parts.refuseClosed();
    return this.#parts;
  }
}
