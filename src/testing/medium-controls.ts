/**
 * What the open files of a simulated medium share with it: who looks on, what is left out, what fails, how much room
 * there is.
 */
import type { Step } from '../memory/index.js';
import type { Faults } from './faults.js';
import type { SimulatedFile } from './simulated-file.js';
import type { WriteClock } from './written-content.js';

/** Is told at the instants that matter for a crash. Whatever it throws reaches the program under test. */
export interface MediumObserver {
  /** A file was opened or created. */
  onOpen?(path: string): void;
  /** A fence or sync is about to take effect: the largest uncertainty until then. The step is null for a whole file. */
  onFence?(path: string, step: Step | null): void;
  /** A system call has written to a file; no sync has made it durable yet. */
  onWrite?(path: string, step: Step): void;
  /** A file is about to grow. */
  onGrow?(path: string, sizeBytes: number): void;
  /** A log is about to be cut. */
  onTruncate?(path: string, sizeBytes: number): void;
  /** A new file has just become visible under its name. */
  onPublish?(path: string): void;
  /** A log is about to be removed. */
  onRemove?(path: string): void;
}

/** What an open file takes from its medium. */
export interface MediumControls {
  readonly observers: ReadonlySet<MediumObserver>;
  readonly skip: ReadonlySet<Step>;
  readonly faults: Faults;
  /** Bytes that all files may have together. */
  readonly capacityBytes: number;
  /** Bytes of a page that reach a disk together. */
  readonly pageUnitBytes: number;
  /** Bytes of a log that reach a disk together. */
  readonly logUnitBytes: number;
  /** After how many appends the interval between syncs in the background is over. */
  readonly appendsPerSync: number;
  readonly clock: WriteClock;
  usedBytes(): number;
  /** @throws PoolOpenError when another file of this name was published meanwhile */
  publish(file: SimulatedFile): void;
  /** The file of a log, which others see at once; null when there is none and it is not to be created. */
  openLog(path: string, create: boolean): SimulatedFile | null;
  remove(file: SimulatedFile): void;
  closed(file: SimulatedFile): void;
}
