/**
 * Runs a workload on a simulated medium, crashes it at every instant that matters, and has the result checked:
 * before each fence, sync, change of size and removal takes effect, after each write and each publish, and at the end.
 * The workload itself is not disturbed: crash images are checked on forks while it waits inside its fence.
 *
 * INV-SIM-9   Two runs with the same workload, options and seed try the same images with the same positions.
 * INV-SIM-10  An image counts once for each state of the acknowledgements in which it was verified.
 *
 * It knows the backend interface and its callbacks only, nothing of pools. Workload and `verify` are synchronous.
 */
import type { MemoryBackend, Step } from '../memory/index.js';
import { crashImages } from './crash-images.js';
import {
  type CrashPosition,
  type CrashReport,
  type CrashViolation,
  describeViolation,
  type InstantKind,
} from './crash-report.js';
import { type CrashImage, type DirtyUnit, UNIT_BYTES } from './dirty-unit.js';
import { endJob } from './end-job.js';
import type { MediumObserver } from './medium-controls.js';
import { mixSeeds } from './random.js';
import { Scratch } from './scratch.js';
import { SimulatedMedium } from './simulated-medium.js';
import { changeHash, hashed, mix, pathSeed, wordsOf } from './unit-hash.js';

/** Through this the workload says what it has been promised. `M` is a snapshot of the model: plain data, not changed later. */
export interface WorkloadLog<M> {
  /** A transaction is about to commit; from now on a crash may leave this state, or the one before. */
  pending(model: M): void;
  /** The transaction was reported as committed: no crash from now on may lose this state. */
  acknowledge(model: M): void;
  /** The transaction was rolled back: its state must not be found any more. */
  discard(): void;
}

/** What `verify` may expect of an image. */
export interface CrashContext<M> {
  /** How many transactions were acknowledged before the crash. */
  readonly acknowledged: number;
  /** Their models, in order. */
  readonly history: readonly M[];
  /** The last acknowledged model; undefined before the first. */
  readonly model: M | undefined;
  /** The model that was being committed; undefined if there was none. */
  readonly pending: M | undefined;
  readonly kind: InstantKind;
  /** The step whose fence was about to take effect, or that has just written; null at other instants. */
  readonly step: Step | null;
  readonly position: CrashPosition;
  /** 0 for a crash of the workload, 1 for a crash during the recovery from one. */
  readonly depth: number;
  /**
   * Call it before `verify` goes on to change anything: nested crashes are tried until then, and they are checked
   * against this same context.
   */
  recovered(): void;
}

/** Crashes during the recovery of a crash image. */
export interface NestedCrashOptions {
  /** Every how many-th image (by number, the first included) has its recovery crashed. Default 16. */
  readonly every?: number;
  /** The largest number of images at each instant of a recovery. Default 16. */
  readonly imagesPerInstant?: number;
}

/** What to explore. */
export interface ExploreOptions<M> {
  /** Prepares files; no crash is tried meanwhile. */
  readonly prepare?: (backend: MemoryBackend) => void;
  /** The program to crash. What it throws is thrown by `exploreCrashes`. */
  readonly workload: (backend: MemoryBackend, log: WorkloadLog<M>) => void;
  /** Opens and checks what a crash left; throws if it is not what was promised. The medium is gone afterwards. */
  readonly verify: (medium: SimulatedMedium, context: CrashContext<M>) => void;
  /** Default 1. */
  readonly seed?: number;
  /** The largest number of images at each instant. Default 256. */
  readonly imagesPerInstant?: number;
  /** Images after which nothing more is tried. Default: no limit. */
  readonly maxImages?: number;
  /** Also crash recoveries. Default: no. */
  readonly nested?: NestedCrashOptions | null;
  /** Protocol steps to leave out, to show that `verify` notices. */
  readonly skip?: Iterable<Step>;
  /** The medium to use, for example one with faults or a capacity; `skip` must be given to it then. */
  readonly medium?: SimulatedMedium;
  /** Stop trying crashes at the first violation; the workload still runs to its end. Default true. */
  readonly stopAtFirst?: boolean;
  /** Try only the images at this position: an instant, or an instant and an image, and so on. */
  readonly only?: CrashPosition;
}

/** Explores the crashes of a workload; see `ExploreOptions` and `assertCrashSafe`. */
export function exploreCrashes<M>(options: ExploreOptions<M>): CrashReport {
  const medium = options.medium ?? new SimulatedMedium({ skip: options.skip ?? [] });
  const exploration = new Exploration(options);
  options.prepare?.(medium);
  const observer = exploration.observer(medium, []);
  const stop = medium.observe(observer);
  try {
    options.workload(medium, exploration.log);
  } finally {
    stop();
  }
  observer.end();
  return exploration.report();
}

interface Instant {
  readonly kind: InstantKind;
  readonly step: Step | null;
  /** Position of the instant: one number, or three in a recovery. */
  readonly position: CrashPosition;
}

/** Images after which memory is given back that only weak references hold. */
const IMAGES_PER_JOB = 256;

/** The state of one run. */
class Exploration<M> {
  readonly #options: ExploreOptions<M>;
  readonly #seed: number;
  readonly #scratch = new Scratch();
  readonly #seen = new Set<number>();
  readonly #violations: CrashViolation[] = [];
  readonly #history: M[] = [];
  #pending: M | undefined;
  /** Changes with every acknowledgement; images are told apart by it. */
  #promises = 0;
  #images = 0;
  #nestedImages = 0;
  #duplicates = 0;
  #fences = 0;
  #instants = 0;

  constructor(options: ExploreOptions<M>) {
    this.#options = options;
    this.#seed = options.seed ?? 1;
  }

  readonly log: WorkloadLog<M> = {
    pending: (model) => {
      this.#promises++;
      this.#pending = model;
    },
    acknowledge: (model) => {
      this.#promises++;
      this.#pending = undefined;
      this.#history.push(model);
    },
    discard: () => {
      this.#promises++;
      this.#pending = undefined;
    },
  };

  /** Explores every instant of a medium; `within` is the position of the image that it is, [] for the first. */
  observer(medium: SimulatedMedium, within: CrashPosition): MediumObserver & { end(): void } {
    let next = 0;
    const at = (kind: InstantKind, step: Step | null): void => {
      this.#explore(medium, { kind, step, position: [...within, next++] });
    };
    return {
      onFence: (_path, step) => at('fence', step),
      onWrite: (_path, step) => at('write', step),
      onGrow: () => at('grow', null),
      onTruncate: () => at('truncate', null),
      onPublish: () => at('publish', null),
      onRemove: () => at('remove', null),
      end: () => at('end', null),
    };
  }

  report(): CrashReport {
    return {
      seed: this.#seed,
      images: this.#images,
      nestedImages: this.#nestedImages,
      duplicates: this.#duplicates,
      fences: this.#fences,
      instants: this.#instants,
      violations: this.#violations,
    };
  }

  #explore(medium: SimulatedMedium, instant: Instant): void {
    const { position, kind } = instant;
    if (this.#isDone() || !this.#isWanted(position)) return;
    const nested = position.length > 1;
    if (!nested) this.#instants++;
    if (!nested && kind === 'fence') this.#fences++;
    const units = medium.dirtyUnits();
    const hash = new ImageHash(medium, units, this.#promises);
    const budget = nested ? (this.#options.nested?.imagesPerInstant ?? 16) : this.#options.imagesPerInstant;
    const seed = mixSeeds(this.#seed, ...position);
    let number = 0;
    for (const image of crashImages(units, { seed, budget: budget ?? 256 })) {
      const at = [...position, number++];
      if (!this.#isWanted(at) || !this.#isNew(hash, image)) continue;
      this.#verify(medium, image, { ...instant, position: at });
      if (this.#isDone()) return;
    }
  }

  #verify(medium: SimulatedMedium, image: CrashImage, { kind, step, position }: Instant): void {
    const nested = position.length > 2;
    this.#images++;
    if (nested) this.#nestedImages++;
    const fork = medium.fork(image, this.#scratch);
    const stop = this.#crashesRecovery(position) ? fork.observe(this.observer(fork, position)) : () => {};
    const acknowledged = this.#history.length;
    const context: CrashContext<M> = {
      acknowledged,
      history: this.#history,
      model: this.#history[acknowledged - 1],
      pending: this.#pending,
      kind,
      step,
      position,
      depth: nested ? 1 : 0,
      recovered: stop,
    };
    if (this.#images % IMAGES_PER_JOB === 0) endJob();
    try {
      this.#options.verify(fork, context);
    } catch (error) {
      const facts = { seed: this.#seed, position, kind, step, acknowledged, image, error };
      this.#violations.push(describeViolation(facts));
    } finally {
      stop();
      fork.release();
    }
  }

  #crashesRecovery(position: CrashPosition): boolean {
    const { nested, only } = this.#options;
    if (!nested || position.length > 2) return false;
    if (only !== undefined && only.length > 2) return true;
    return (position[1] as number) % (nested.every ?? 16) === 0;
  }

  #isDone(): boolean {
    const { stopAtFirst = true, maxImages = Number.POSITIVE_INFINITY } = this.#options;
    return (stopAtFirst && this.#violations.length > 0) || this.#images >= maxImages;
  }

  #isWanted(position: CrashPosition): boolean {
    const { only } = this.#options;
    if (only === undefined) return true;
    return position.every((number, index) => index >= only.length || number === only[index]);
  }

  #isNew(hash: ImageHash, image: CrashImage): boolean {
    if (this.#options.only !== undefined) return true;
    const key = hash.of(image.choice);
    if (this.#seen.has(key)) {
      this.#duplicates++;
      return false;
    }
    this.#seen.add(key);
    return true;
  }
}

/** Hashes the images of one instant to 53 bits: content of the medium, and what had been promised. */
class ImageHash {
  readonly #base = new Uint32Array(2);
  /** Two words for each value of each unit. */
  readonly #changes: Uint32Array[];

  constructor(medium: SimulatedMedium, units: readonly DirtyUnit[], promises: number) {
    medium.fingerprint(this.#base);
    this.#base[0] = (this.#base[0] as number) ^ mix(promises + 1);
    this.#changes = units.map(changesOf);
  }

  of(choice: Uint8Array): number {
    let low = this.#base[0] as number;
    let high = this.#base[1] as number;
    for (let index = 0; index < choice.length; index++) {
      const value = choice[index] as number;
      if (value === 0) continue;
      const changes = this.#changes[index] as Uint32Array;
      low ^= changes[2 * value] as number;
      high ^= changes[2 * value + 1] as number;
    }
    return (high & 0x1fffff) * 2 ** 32 + (low >>> 0);
  }
}

function changesOf({ path, offset, values }: DirtyUnit): Uint32Array {
  const seed = pathSeed(path);
  const durable = wordsOf(values[0] as Uint8Array);
  const changes = new Uint32Array(2 * values.length);
  values.forEach((value, index) => {
    changeHash(seed, offset / UNIT_BYTES, durable, wordsOf(value));
    changes.set(hashed, 2 * index);
  });
  return changes;
}
