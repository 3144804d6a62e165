/** Options of `Pool.open` and `Pool.create`. */
import { PoolOpenError } from '../errors/index.js';
import {
  DEFAULT_LOG_BYTES,
  DEFAULT_WAL_BYTES,
  MAX_POOL_BYTES,
  MIN_LOG_BYTES,
  MIN_WAL_BYTES,
  PAGE_BYTES,
} from '../format/index.js';
import { preview } from '../instance/index.js';
import type { ClassOf } from '../layout/index.js';
import {
  chooseBackend,
  type Domain,
  type EmulateOptions,
  type LogKind,
  type MemoryBackend,
} from '../memory/index.js';
import type { RedoOptions } from '../txn/index.js';

/** How a pool is opened or created; everything has a default but the class of the root of a new pool. */
export interface PoolOptions {
  /** Class of the root object; needed to create a pool. */
  readonly root?: ClassOf;
  /** Further classes whose objects the pool may hold, where the root does not lead to them. */
  readonly classes?: readonly ClassOf[];
  /** `false`: `open` fails when there is no pool. Default `true`. */
  readonly create?: boolean;
  /**
   * Address space to reserve, in bytes: the pool can grow to this while it is open. Default: 4 GiB on Node 20, else
   * 64 GiB. A pool created with less than 64 MiB never grows beyond that.
   */
  readonly maxSize?: number;
  /** First segment of the log of a new pool, in bytes; the log grows beyond it as needed. Default 256 KiB. */
  readonly logSize?: number;
  /**
   * Emulates persistent memory on a file system that offers none: safe against the death of the process, not
   * against power loss. An object sets latencies.
   */
  readonly emulate?: boolean | EmulateOptions;
  /** Forces a persistence domain instead of detecting it. */
  readonly domain?: Domain;
  /** Which log makes transactions durable. Default: `redo` in the domain `block`, which has no other; else `undo`. */
  readonly log?: LogKind;
  /**
   * `strict` (the default): `txn` returns when the commit would survive power loss in this domain. `relaxed`: when it
   * would survive the death of the process; power loss costs at most the last `flushInterval`, and never consistency.
   */
  readonly durability?: Durability;
  /** `relaxed`: milliseconds after which a commit is made durable in the background. Default 100. 0: only by `flush`. */
  readonly flushInterval?: number;
  /** What the redo log grows to, in bytes, before writers wait for a checkpoint. Default 64 MiB. */
  readonly walSize?: number;
  /** Milliseconds after a commit when the redo log makes a checkpoint in any case. Default 30,000. 0: by size only. */
  readonly checkpointInterval?: number;
  /** Bytes of private copies of pages that a checkpoint of the redo log leaves in memory. Default 256 MiB. */
  readonly memoryBudget?: number;
  /** How the file is mapped: by name, or a backend of one's own. Default: the native addon, else mmap-io. */
  readonly backend?: 'native' | 'mmap-io' | MemoryBackend;
  /** Identity of a new pool, 16 bytes. Default: random. Tests give one to be reproducible. */
  readonly uuid?: Uint8Array;
}

/** What a commit survives when `txn` returns. */
export type Durability = 'strict' | 'relaxed';

/** The same, checked and complete. */
export interface ResolvedOptions {
  readonly root: ClassOf | null;
  readonly classes: readonly ClassOf[];
  readonly create: boolean;
  /** What is reserved; at most what the backend can map. */
  readonly maxBytes: number;
  /** What the span table of a new pool covers. */
  readonly tableBytes: number;
  readonly logBytes: number;
  readonly emulate: EmulateOptions | null;
  readonly domain: Domain | null;
  readonly log: LogKind | null;
  readonly redo: RedoOptions;
  readonly backend: MemoryBackend;
  readonly uuid: Uint8Array | null;
}

/**
 * A pool created with a smaller `maxSize` than this is bounded by it for ever: its span table covers no more. Any
 * other has a table for the largest pool (4 MiB), and may grow as far as each opening allows.
 */
const BOUNDED_BYTES = 64 * 1024 * 1024;

const KNOWN = new Set([
  'root',
  'classes',
  'create',
  'maxSize',
  'logSize',
  'emulate',
  'domain',
  'log',
  'durability',
  'flushInterval',
  'walSize',
  'checkpointInterval',
  'memoryBudget',
  'backend',
  'uuid',
]);

const DEFAULT_FLUSH_MS = 100;
const DEFAULT_CHECKPOINT_MS = 30_000;
const DEFAULT_MEMORY_BUDGET = 256 * 1024 * 1024;
/** Larger logs would only make recovery slower. */
const MAX_WAL_BYTES = 2 ** 32;
/** The longest time of a timer. */
const MAX_MS = 2 ** 31 - 1;

/** @throws PoolOpenError OPTION, BACKEND */
export function resolveOptions(path: string, options: PoolOptions): ResolvedOptions {
  if (typeof path !== 'string' || path === '') refuse('path', path, 'the name of a file');
  if (typeof options !== 'object' || options === null)
    refuse('options', options, 'an object, as in { root: Root }');
  for (const key of Object.keys(options))
    if (!KNOWN.has(key)) {
      const known = [...KNOWN].join(', ');
      throw new PoolOpenError('OPTION', `there is no option ${key}: the options are ${known}`, {
        option: key,
      });
    }
  checkKinds(options);
  const backend =
    typeof options.backend === 'object' ? options.backend : chooseBackend(options.backend ?? null);
  const limit = backend.maxBytes;
  const { maxSize, logSize = DEFAULT_LOG_BYTES, uuid = null } = options;
  if (maxSize !== undefined && !(Number.isSafeInteger(maxSize) && maxSize > 0 && maxSize <= limit)) {
    refuse('maxSize', maxSize, `a number of bytes up to ${limit} (the ${backend.name} backend on this Node)`);
  }
  if (!(Number.isSafeInteger(logSize) && logSize >= MIN_LOG_BYTES && logSize <= 2 ** 30)) {
    refuse('logSize', logSize, `a number of bytes from ${MIN_LOG_BYTES} to ${2 ** 30}`);
  }
  if (uuid !== null && !(uuid instanceof Uint8Array && uuid.length === 16))
    refuse('uuid', uuid, 'a Uint8Array of 16 bytes');
  const { emulate = false } = options;
  return {
    root: options.root ?? null,
    classes: options.classes ?? [],
    create: options.create ?? true,
    maxBytes: pageUp(maxSize ?? limit),
    tableBytes: maxSize !== undefined && maxSize < BOUNDED_BYTES ? pageUp(maxSize) : MAX_POOL_BYTES,
    logBytes: pageUp(logSize),
    emulate: emulate === true ? {} : emulate === false ? null : emulate,
    domain: options.domain ?? null,
    log: options.log ?? null,
    redo: redoOptions(options),
    backend,
    uuid,
  };
}

function redoOptions(options: PoolOptions): RedoOptions {
  const whole = (name: keyof PoolOptions, least: number, most: number, standard: number): number => {
    const value = options[name] ?? standard;
    if (!(Number.isSafeInteger(value) && (value as number) >= least && (value as number) <= most))
      refuse(name, value, `a whole number from ${least} to ${most}`);
    return value as number;
  };
  const { durability = 'strict' } = options;
  if (durability !== 'strict' && durability !== 'relaxed')
    refuse('durability', durability, "'strict' or 'relaxed'");
  return {
    strict: durability === 'strict',
    flushInterval: whole('flushInterval', 0, MAX_MS, DEFAULT_FLUSH_MS),
    walBytes: pageUp(whole('walSize', MIN_WAL_BYTES, MAX_WAL_BYTES, DEFAULT_WAL_BYTES)),
    checkpointInterval: whole('checkpointInterval', 0, MAX_MS, DEFAULT_CHECKPOINT_MS),
    memoryBudget: whole('memoryBudget', 0, MAX_POOL_BYTES, DEFAULT_MEMORY_BUDGET),
  };
}

const DOMAINS: readonly Domain[] = ['cpu-cache', 'memory', 'emulated', 'block'];
const EMULATE_KEYS = ['flushNs', 'fenceNs', 'flush'];

/** Programs without TypeScript pass anything. */
function checkKinds({ root, classes, create, emulate, domain, log, backend }: PoolOptions): void {
  if (root !== undefined && typeof root !== 'function') refuse('root', root, 'a persistent class');
  if (classes !== undefined && !Array.isArray(classes)) refuse('classes', classes, 'an array of classes');
  for (const each of classes ?? [])
    if (typeof each !== 'function') refuse('classes', each, 'persistent classes only');
  if (create !== undefined && typeof create !== 'boolean') refuse('create', create, 'true or false');
  if (domain !== undefined && !DOMAINS.includes(domain))
    refuse('domain', domain, `one of ${DOMAINS.join(', ')}`);
  if (log !== undefined && log !== 'undo' && log !== 'redo') refuse('log', log, "'undo' or 'redo'");
  if (typeof backend === 'string' && backend !== 'native' && backend !== 'mmap-io')
    refuse('backend', backend, "'native', 'mmap-io' or a MemoryBackend");
  if (emulate === undefined || typeof emulate === 'boolean') return;
  const settings = typeof emulate === 'object' && emulate !== null ? Object.keys(emulate) : null;
  if (settings === null || settings.some((key) => !EMULATE_KEYS.includes(key)))
    refuse(
      'emulate',
      settings === null ? emulate : `{ ${settings.join(', ')} }`,
      `true, false or an object with ${EMULATE_KEYS.join(', ')}`,
    );
}

function refuse(option: string, value: unknown, expected: string): never {
  const shown = typeof value === 'string' ? JSON.stringify(value) : preview(value);
  throw new PoolOpenError('OPTION', `option ${option} = ${shown}: expected ${expected}`, {
    option,
    actual: value,
    expected,
  });
}

function pageUp(bytes: number): number {
  return Math.ceil(bytes / PAGE_BYTES) * PAGE_BYTES;
}
