/**
 * What an exploration found, and how a violation is told: with everything that is needed to see it again.
 */
import { AssertionError } from 'node:assert';
import { STEP, type Step } from '../memory/index.js';
import { type CrashImage, type DirtyUnit, UNIT_BYTES } from './dirty-unit.js';

/**
 * At what kind of instant a crash was tried: before a fence or sync, a growth, the cutting or the removal of a log took
 * effect, after a write or a publish, at the end.
 */
export type InstantKind = 'fence' | 'write' | 'grow' | 'truncate' | 'publish' | 'remove' | 'end';

/**
 * Where a crash image stands in an exploration: the number of the instant, of the image there and, for a crash
 * during the recovery of that image, the number of the instant and of the image in it. All count from 0.
 */
export type CrashPosition = readonly number[];

/** One unit of a crash image, for reading. */
export interface ChosenUnit {
  readonly path: string;
  readonly offset: number;
  /** Length of the unit. */
  readonly bytes: number;
  /** The durable content in hexadecimal; of a unit of more than 8 bytes those where they differ first. */
  readonly durable: string;
  /** The content in the image; differs from `durable` if something had reached the medium. */
  readonly found: string;
}

/** A crash after which the program's promise did not hold. */
export interface CrashViolation {
  readonly seed: number;
  /** Give it as `only` to see this image again, and nothing else. */
  readonly position: CrashPosition;
  readonly kind: InstantKind;
  /** Name of the protocol step (`STEP`) at whose fence or write it was; null at other instants. */
  readonly step: string | null;
  /** Transactions acknowledged before the crash. */
  readonly acknowledged: number;
  readonly units: readonly ChosenUnit[];
  /** What `verify` threw. */
  readonly error: unknown;
  readonly message: string;
}

/** The result of an exploration. */
export interface CrashReport {
  readonly seed: number;
  /** Distinct images that were verified, those of nested crashes included. */
  readonly images: number;
  readonly nestedImages: number;
  /** Images that were not verified again, because the same one was before, after the same acknowledgements. */
  readonly duplicates: number;
  /** Fences and syncs of the workload at which crashes were tried. */
  readonly fences: number;
  /** All instants of the workload at which crashes were tried: see `InstantKind`. */
  readonly instants: number;
  readonly violations: readonly CrashViolation[];
}

/** What is known of a violation when it is found. */
interface ViolationFacts {
  readonly seed: number;
  readonly position: CrashPosition;
  readonly kind: InstantKind;
  readonly step: Step | null;
  readonly acknowledged: number;
  readonly image: CrashImage;
  readonly error: unknown;
}

const SHOWN_UNITS = 12;

/** Describes a violation. */
export function describeViolation(facts: ViolationFacts): CrashViolation {
  const { seed, position, kind, acknowledged, image, error } = facts;
  const step = facts.step === null ? null : stepName(facts.step);
  const units = image.units.map((unit, index) => chosenUnit(unit, image.choice[index] as number));
  const present = units.filter(({ durable, found }) => durable !== found);
  const list = present.slice(0, SHOWN_UNITS).map(({ path, offset }) => `${path}+0x${offset.toString(16)}`);
  if (present.length > SHOWN_UNITS) list.push(`and ${present.length - SHOWN_UNITS} more`);
  const message =
    `crash at instant ${position[0]} (${step ?? kind}), image ${position[1]}` +
    (position.length > 2
      ? `, then during its recovery at instant ${position[2]}, image ${position[3]}`
      : '') +
    `, after ${acknowledged} acknowledged: ${text(error)}\n` +
    `${present.length} of ${units.length} uncertain units had reached the medium: ${list.join(', ') || 'none'}\n` +
    `to repeat it: exploreCrashes({ ..., seed: ${seed}, only: [${position.join(', ')}] })`;
  return { seed, position, kind, step, acknowledged, units, error, message };
}

/**
 * Fails a test if the exploration found anything.
 * @throws AssertionError with the message of the first violation; its `cause` is what `verify` threw
 */
export function assertCrashSafe(report: CrashReport): void {
  const first = report.violations[0];
  if (first === undefined) return;
  const failure = new AssertionError({ message: first.message });
  failure.cause = first.error;
  throw failure;
}

function chosenUnit({ path, offset, values }: DirtyUnit, chosen: number): ChosenUnit {
  const durable = values[0] as Uint8Array;
  const found = values[chosen] as Uint8Array;
  const different = durable.findIndex((byte, index) => byte !== found[index]);
  const from = Math.max(0, different) & ~(UNIT_BYTES - 1);
  return { path, offset, bytes: durable.length, durable: hex(durable, from), found: hex(found, from) };
}

/** A unit of 8 bytes as a little-endian word. */
function hex(bytes: Uint8Array, from: number): string {
  const word = Buffer.from(bytes.subarray(from, from + UNIT_BYTES)).readBigUInt64LE();
  const digits = word.toString(16).padStart(16, '0');
  return bytes.length === UNIT_BYTES ? `0x${digits}` : `+${from}: 0x${digits}`;
}

function stepName(step: Step): string {
  return Object.entries(STEP).find(([, value]) => value === step)?.[0] ?? `step ${step}`;
}

function text(error: unknown): string {
  return error instanceof Error ? `${error.name}: ${error.message}` : String(error);
}
