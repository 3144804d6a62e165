/**
 * `perdure/testing`: check your own code against crashes, the way perdure checks itself. A `SimulatedMedium` is a
 * memory backend that knows what is durable; `exploreCrashes` runs a workload on it and has every kind of crash
 * verified; `Random` makes workloads that can be repeated.
 */
export {
  type CrashContext,
  type ExploreOptions,
  exploreCrashes,
  type NestedCrashOptions,
  type WorkloadLog,
} from './crash-explorer.js';
export { type CrashImageOptions, countImages, crashImages } from './crash-images.js';
export {
  assertCrashSafe,
  type ChosenUnit,
  type CrashPosition,
  type CrashReport,
  type CrashViolation,
  type InstantKind,
} from './crash-report.js';
export type { CrashImage, DirtyUnit } from './dirty-unit.js';
export type { Fault, FaultyOperation, InjectedFault } from './faults.js';
export type { MediumObserver } from './medium-controls.js';
export { mixSeeds, Random } from './random.js';
export { Scratch } from './scratch.js';
export { SimulatedMedium, type SimulatedMediumOptions } from './simulated-medium.js';
