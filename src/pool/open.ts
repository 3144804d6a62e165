/**
 * Opening and creating a pool: the only place where all layers meet. Every step that fails unmaps what was mapped
 * and leaves the file as it was, or as recovery leaves it.
 */
import { randomBytes } from 'node:crypto';
import { listOps, mapOps, type PersistentMap, queueOps } from '../collections/index.js';
import { PoolClosedError, PoolOpenError, SchemaError } from '../errors/index.js';
import { ANCHORS, GRANULE_BYTES, LAYOUT_ID, REGION, type Ref } from '../format/index.js';
import { Heap } from '../heap/index.js';
import {
  bindingOfInstance,
  type ContainerBinding,
  createInitial,
  DIRECT,
  type Handle,
  PoolRuntime,
  REF,
} from '../instance/index.js';
import { type ClassOf, type MapType, map } from '../layout/index.js';
import { createViews, type Memory, type Views } from '../memory/index.js';
import {
  type LogSegment,
  type RecoveryInput,
  type RecoveryResult,
  RedoLog,
  readSegments,
  recover,
  Transactions,
  UndoLog,
} from '../txn/index.js';
import { namedRootsRef } from './check.js';
import { reachableClasses } from './classes.js';
import { type Header, logEpoch, planRegions, readHeader, writeHeader } from './header.js';
import { LayoutRecords } from './layout-records.js';
import { NamedRoots } from './named-roots.js';
import { type Durability, type PoolOptions, type ResolvedOptions, resolveOptions } from './options.js';
import { PoolSpace } from './space.js';
import { orphanedLog, recoverFromWal, walPath } from './wal-recovery.js';

/** The parts of an open pool. */
export interface OpenPool {
  readonly path: string;
  readonly memory: Memory;
  readonly space: PoolSpace;
  readonly log: UndoLog | RedoLog;
  readonly durability: Durability;
  /** Parts of the heap that an undo log occupies. */
  logExtensions(): readonly LogSegment[];
  readonly runtime: PoolRuntime;
  readonly records: LayoutRecords;
  readonly namedRoots: ContainerBinding;
  readonly named: NamedRoots;
  readonly recovery: RecoveryResult;
  refuseClosed(): never;
}

const ROOT_WORD = (REGION.anchors.offset + ANCHORS.root.offset) / 4;
const NAMED_ROOTS_WORD = (REGION.anchors.offset + ANCHORS.namedRoots.offset) / 4;
/** The words of the anchors that a new pool sets. */
const ANCHORS_HEAD_GRANULES = ANCHORS.namedRoots.offset / GRANULE_BYTES + 1;

export function openOrCreate(path: string, options: PoolOptions): OpenPool {
  const resolved = resolveOptions(path, options);
  if (!resolved.backend.exists(path) && resolved.create && resolved.root !== null)
    return create(path, resolved);
  return open(path, resolved);
}

/**
 * Creates a pool. Nothing of it is seen before the last step.
 *   [FORMAT 1] the header, durable; all else is zero
 *   [FORMAT 2] anchors and root object, in a transaction
 *   [FORMAT 3] ATOMIC: the file appears under its name
 */
export function createPool(path: string, options: PoolOptions): OpenPool {
  return create(path, resolveOptions(path, options));
}

function create(path: string, options: ResolvedOptions): OpenPool {
  const { root } = options;
  if (root === null)
    throw new PoolOpenError(
      'OPTION',
      `creating ${path}: option root must name the class of the root object`,
      { path },
    );
  if (options.backend.exists(walPath(path))) throw orphanedLog(path);
  const regions = planRegions({ maxBytes: options.tableBytes, logBytes: options.logBytes });
  const memory = options.backend.open({
    ...request(path, options),
    mode: 'create',
    sizeBytes: regions.heapOffset,
  });
  return closingOnError(memory, () => {
    const views = createViews(memory.buffer);
    const uuid = options.uuid ?? new Uint8Array(randomBytes(16));
    const header = writeHeader(memory, views, { ...regions, uuid });
    const space = new PoolSpace(path, memory, views, header, true);
    const recovery: RecoveryResult = { outcome: 'clean', records: 0 };
    const pool = assemble({
      path,
      options,
      memory,
      views,
      space,
      recovery,
      segments: [firstSegment(header)],
    });
    bindClasses(pool.runtime, [root, ...options.classes]);
    const format = (): void => pool.runtime.txn.run(() => setAnchors(pool, root));
    if (pool.log.kind === 'undo') {
      format();
    } else {
      pool.log.directly(format);
      space.recordSize();
    }
    memory.publish();
    return pool;
  });
}

function setAnchors({ runtime }: OpenPool, root: ClassOf): void {
  const { u32 } = runtime.views;
  const object = createInitial(runtime.bindingOf(root));
  runtime.writer.snapshot(REGION.anchors.offset / GRANULE_BYTES, ANCHORS_HEAD_GRANULES);
  u32[NAMED_ROOTS_WORD] = LAYOUT_ID.map;
  u32[NAMED_ROOTS_WORD + 1] = ANCHORS.namedRoots.offset / GRANULE_BYTES;
  u32[ROOT_WORD] = (object as { [DIRECT]: Handle })[DIRECT][REF];
}

function open(path: string, options: ResolvedOptions): OpenPool {
  const memory = options.backend.open({ ...request(path, options), mode: 'open', sizeBytes: 0 });
  return closingOnError(memory, () => {
    const views = createViews(memory.buffer);
    const space = new PoolSpace(path, memory, views, readHeader(memory, views, path), false);
    // A redo log that was closed cleanly writes nothing before its first commit.
    if (memory.info.log === 'undo' || space.header.walId !== 0n) space.settle();
    // One of the two logs is dead: the header names the write-ahead log, and starts a new epoch when it does.
    const replayed = recoverFromWal({ path, memory, views, space });
    const input = recoveryInput(memory, views, space.header);
    const recovery = replayed ?? recover(input);
    const segments = readSegments(input);
    // [RECOVERY 5] The undo log of the last process is dead; this one writes under a new epoch.
    if (memory.info.log === 'undo' || recovery.outcome !== 'clean') space.retireLog();
    const pool = assemble({ path, options, memory, views, space, recovery, segments });
    bindClasses(pool.runtime, [...(options.root === null ? [] : [options.root]), ...options.classes]);
    checkRoot(pool, options.root);
    return pool;
  });
}

function request(path: string, options: ResolvedOptions) {
  const { maxBytes, emulate, domain, log } = options;
  return { path, maxBytes, emulate, domain, log };
}

function recoveryInput(memory: Memory, views: Views, header: Header): RecoveryInput {
  return {
    memory,
    views,
    firstSegment: firstSegment(header),
    epoch: logEpoch(header),
    bounds: {
      start: REGION.anchors.offset / GRANULE_BYTES,
      end: Math.floor(header.sizeBytes / GRANULE_BYTES),
    },
    heapStart: header.heapOffset / GRANULE_BYTES,
  };
}

function firstSegment(header: Header): LogSegment {
  return { ref: (REGION.log.offset / GRANULE_BYTES) as Ref, granules: header.logBytes / GRANULE_BYTES };
}

interface Parts {
  readonly path: string;
  readonly options: ResolvedOptions;
  readonly memory: Memory;
  readonly views: Views;
  readonly space: PoolSpace;
  readonly recovery: RecoveryResult;
  readonly segments: readonly LogSegment[];
}

function createLog(parts: Parts, heap: () => Heap): UndoLog | RedoLog {
  const { memory, views, space, options } = parts;
  if (memory.info.log === 'undo') {
    return new UndoLog(memory, views, parts.segments, logEpoch(space.header), {
      allocateLogRun: (bytes) => heap().allocateLogRun(bytes),
      freeLogRun: (segment) => heap().freeLogRun(segment),
      retireLog: () => space.retireLog(),
    });
  }
  return new RedoLog(
    memory,
    views,
    {
      sizeBytes: () => space.sizeBytes,
      newWal: () => ({ ...space.walPlace, walId: newWalId(options, space) }),
      attachWal: (identity) => space.attachWal(identity),
      markCheckpoint: (walId, seq) => space.markCheckpoint(walId, seq),
      detachWal: () => space.detachWal(space.sizeBytes),
    },
    options.redo,
  );
}

/** Identity of a new write-ahead log: random, or following from the pool's where that was given. */
function newWalId(options: ResolvedOptions, { walPlace }: PoolSpace): bigint {
  if (options.uuid !== null) return BigInt(walPlace.epoch) + 1n;
  const id = new DataView(new Uint8Array(randomBytes(8)).buffer).getBigUint64(0);
  return id === 0n ? 1n : id;
}

function assemble(parts: Parts): OpenPool {
  const { path, memory, views, space, recovery } = parts;
  const { header } = space;
  let runtime: PoolRuntime;
  const log = createLog(parts, () => runtime.heap);
  const records = new LayoutRecords(() => runtime);
  runtime = new PoolRuntime({
    path,
    views,
    hashSeed: new DataView(header.uuid.buffer, header.uuid.byteOffset).getUint32(0, true),
    containers: [listOps, mapOps, queueOps],
    registry: records,
    createTxn: (owner) => new Transactions(log, owner),
    createHeap: ({ txn }) =>
      new Heap(
        views,
        {
          tableStart: (header.spanTableOffset / GRANULE_BYTES) as Ref,
          heapStart: (header.heapOffset / GRANULE_BYTES) as Ref,
          spanCount: () => space.spanCount,
          growTo: (count) => space.growTo(count),
        },
        txn,
      ),
  });
  records.load();
  const namedRoots = runtime.containerBinding(map('string', () => Object) as MapType, 'pool.named');
  const named = new NamedRoots(
    runtime,
    () => runtime.openContainer(namedRoots, namedRootsRef()) as unknown as PersistentMap<string, object>,
  );
  const refuseClosed = (): never => {
    throw new PoolClosedError(`using pool ${path}`, { path });
  };
  const undoExtensions = parts.segments.slice(1);
  return {
    path,
    memory,
    space,
    log,
    durability: parts.options.redo.strict ? 'strict' : 'relaxed',
    logExtensions: () => (log.kind === 'undo' ? log.extensions : undoExtensions),
    runtime,
    records,
    namedRoots,
    named,
    recovery,
    refuseClosed,
  };
}

/** Binds all classes that the given ones lead to, so that a mismatch shows at opening. */
function bindClasses(runtime: PoolRuntime, classes: readonly ClassOf[]): void {
  for (const target of reachableClasses(classes)) runtime.bindingOf(target);
}

function checkRoot({ runtime, path }: OpenPool, root: ClassOf | null): void {
  if (root === null) return;
  const binding = runtime.bindingOf(root);
  const actual = bindingOfInstance(runtime.resolve(runtime.views.u32[ROOT_WORD] as Ref, null));
  if (actual?.isA(binding) !== true) {
    throw new SchemaError(
      `the root of ${path} is a ${actual?.layout.name}, not a ${binding.layout.name}: open it with { root: ${actual?.layout.name} }`,
      {
        path,
        expected: binding.layout.name,
        actual: actual?.layout.name,
      },
    );
  }
}

function closingOnError(memory: Memory, body: () => OpenPool): OpenPool {
  try {
    return body();
  } catch (error) {
    memory.close();
    throw error;
  }
}
