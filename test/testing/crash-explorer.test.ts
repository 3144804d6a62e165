import { describe, expect, it } from 'vitest';
import { type MemoryBackend, STEP, type Step } from '../../src/memory/index.js';
import {
  assertCrashSafe,
  type CrashContext,
  type CrashReport,
  type ExploreOptions,
  exploreCrashes,
  SimulatedMedium,
  type WorkloadLog,
} from '../../src/testing/index.js';
import { bytesOf, created, createdLog, LOG_PATH, type Opened, open, PATH } from './helpers.js';

/**
 * Two records that commit together: A and B in different lines, in two copies; a word that names the copy that
 * counts. Write the other copy, flush, fence, switch, flush, fence.
 */
const SWITCH = 0;
const copyAt = (number: number) => 16 + (number % 2) * 32;
type Pair = readonly [number, number];

function pairs(backend: MemoryBackend, log: WorkloadLog<Pair>): void {
  const file = open(backend);
  for (let number = 1; number <= 4; number++) {
    const model: Pair = [number * 10, number * 10 + 1];
    const at = copyAt(number);
    file.set(at, model[0]);
    file.set(at + 16, model[1]);
    file.flush(at, 17, STEP.dataFlush);
    file.fence(STEP.dataFence);
    log.pending(model);
    file.set(SWITCH, number);
    file.flush(SWITCH, 1, STEP.commitFlush);
    file.fence(STEP.commitFence);
    log.acknowledge(model);
  }
}

function verifyPairs(medium: SimulatedMedium, { acknowledged, model, pending }: CrashContext<Pair>): void {
  const file = open(medium);
  const number = file.get(SWITCH);
  if (number !== acknowledged && !(pending !== undefined && number === acknowledged + 1)) {
    throw new Error(`${acknowledged} acknowledged, ${number} found`);
  }
  const expected = number === acknowledged ? model : pending;
  const found = [file.get(copyAt(number)), file.get(copyAt(number) + 16)];
  if (`${found}` !== `${expected ?? [0, 0]}`) throw new Error(`${found} found instead of ${expected}`);
}

const prepare = (backend: MemoryBackend) => created(backend).memory.close();

function explorePairs(options: Partial<ExploreOptions<Pair>> = {}): CrashReport {
  return exploreCrashes<Pair>({ prepare, workload: pairs, verify: verifyPairs, ...options });
}

describe('exploreCrashes', () => {
  it('finds nothing in a correct protocol', () => {
    const report = explorePairs();
    assertCrashSafe(report);
    expect(report.fences).toBe(8);
    expect(report.instants).toBe(9);
    // Two dirty units at each data fence, one at each commit fence, none at the end.
    expect(report.images + report.duplicates).toBe(4 * 4 + 4 * 2 + 1);
  });

  for (const step of ['dataFlush', 'dataFence', 'commitFlush', 'commitFence'] as const) {
    it(`canary: notices that ${step} is left out`, () => {
      const report = explorePairs({ skip: [STEP[step]] });
      expect(report.violations.length).toBe(1);
      expect(() => assertCrashSafe(report)).toThrow(/only: \[\d+, \d+\]/);
    });
  }

  it('a violation can be repeated from its position and seed alone', () => {
    const skip = [STEP.dataFence];
    const all = explorePairs({ skip, stopAtFirst: false, seed: 5, imagesPerInstant: 6 });
    expect(all.violations.length).toBeGreaterThan(1);
    for (const violation of all.violations) {
      const again = explorePairs({ skip, seed: 5, imagesPerInstant: 6, only: violation.position });
      expect(again.images).toBe(1);
      expect(again.violations).toEqual([violation]);
    }
    expect(explorePairs({ skip, stopAtFirst: false, seed: 5, imagesPerInstant: 6 })).toEqual(all);
  });

  it('lets the workload run to its end after the first violation', () => {
    let acknowledged = 0;
    const workload = (backend: MemoryBackend, log: WorkloadLog<Pair>) => {
      pairs(backend, { ...log, acknowledge: () => acknowledged++ });
    };
    expect(explorePairs({ workload, skip: [STEP.commitFence] }).violations.length).toBe(1);
    expect(acknowledged).toBe(4);
  });

  it('crashes a creation at its publishing and a growth before it', () => {
    const kinds = new Set<string>();
    const report = exploreCrashes<null>({
      workload: (backend) => {
        const file = open(backend, { mode: 'create' });
        file.set(0, 1);
        file.flush(0);
        file.fence();
        file.memory.publish();
        file.memory.grow(8192);
        file.set(600, 1);
      },
      verify: (medium, { kind }) => {
        if (medium.exists(PATH)) kinds.add(`${kind} ${open(medium).memory.sizeBytes}`);
        else kinds.add(`${kind} without file`);
      },
    });
    assertCrashSafe(report);
    expect([...kinds]).toEqual(['fence without file', 'publish 4096', 'end 8192']);
    expect(report.duplicates).toBe(1);
  });

  it('crashes a log after its writes, and before it is cut and removed', () => {
    const found: string[] = [];
    const report = exploreCrashes<null>({
      prepare: (backend) => created(backend, { domain: 'block' }).memory.close(),
      workload: (backend) => {
        const file = open(backend, { domain: 'block' });
        const log = createdLog(file, 4096);
        log.write(0, bytesOf('a'), STEP.walAppend);
        log.write(600, bytesOf('b'), STEP.walAppend);
        log.sync(STEP.walSync);
        log.truncate(512);
        log.remove();
        file.memory.close();
      },
      verify: (medium, { kind, step }) => {
        const log = medium.exists(LOG_PATH) ? medium.read(LOG_PATH) : null;
        const text = log && `${log.length} ${log[0] ?? ''} ${log[600] ?? ''}`;
        found.push(`${kind} ${step ?? ''}: ${text}`);
      },
    });
    assertCrashSafe(report);
    const { walAppend } = STEP;
    expect(found).toEqual([
      'publish : 0  ',
      // The growth found the log empty too: the same image, not tried again.
      `write ${walAppend}: 4096 0 0`,
      `write ${walAppend}: 4096 97 0`,
      `write ${walAppend}: 4096 0 98`,
      `write ${walAppend}: 4096 97 98`,
      'remove : 512 97 ',
      'end : null',
    ]);
    expect(report.instants).toBe(8);
    expect(report.duplicates).toBe(8);
  });

  it('forgets a transaction that was rolled back', () => {
    const contexts: string[] = [];
    exploreCrashes<string>({
      prepare,
      workload: (backend, log) => {
        const file = open(backend);
        log.acknowledge('a');
        log.pending('b');
        file.fence();
        log.discard();
        file.fence();
        log.pending('c');
        file.fence();
      },
      verify: (_medium, { model, pending, acknowledged }) => {
        contexts.push(`${acknowledged} ${model} ${pending}`);
      },
    });
    expect(contexts).toEqual(['1 a b', '1 a undefined', '1 a c']);
  });

  it('stops after maxImages, and works on a medium with faults', () => {
    const medium = new SimulatedMedium();
    expect(explorePairs({ medium, maxImages: 5 }).images).toBe(5);
    const faulty = new SimulatedMedium();
    faulty.inject({ operation: 'fence', at: 3 });
    expect(() => explorePairs({ medium: faulty })).toThrow(expect.objectContaining({ code: 'IO' }));
  });
});

/** An undo log of one entry: recovery writes, and must survive crashes of its own. */
const LOG = { valid: 0, oldX: 8, oldY: 9 } as const;
const [X, Y] = [24, 32];

function persist(file: Opened, unit: number, units: number, flush: Step, fence: Step): void {
  file.flush(unit, units, flush);
  file.fence(fence);
}

function undo(backend: MemoryBackend, log: WorkloadLog<number>): void {
  const file = open(backend);
  for (let value = 1; value <= 3; value++) {
    file.set(LOG.oldX, file.get(X));
    file.set(LOG.oldY, file.get(Y));
    persist(file, LOG.oldX, 2, STEP.recordFlush, STEP.recordFence);
    file.set(LOG.valid, 1);
    persist(file, LOG.valid, 1, STEP.recordFlush, STEP.recordFence);
    file.set(X, value);
    file.set(Y, value);
    persist(file, X, Y - X + 1, STEP.dataFlush, STEP.dataFence);
    log.pending(value);
    file.set(LOG.valid, 0);
    persist(file, LOG.valid, 1, STEP.commitFlush, STEP.commitFence);
    log.acknowledge(value);
  }
}

function recoverAndVerify(medium: SimulatedMedium, context: CrashContext<number>): void {
  const file = open(medium);
  if (file.get(LOG.valid) === 1) {
    file.set(X, file.get(LOG.oldX));
    file.set(Y, file.get(LOG.oldY));
    persist(file, X, Y - X + 1, STEP.recoveryFlush, STEP.recoveryFence);
    file.set(LOG.valid, 0);
    persist(file, LOG.valid, 1, STEP.rollbackFlush, STEP.rollbackFence);
  }
  context.recovered();
  const found = file.get(X);
  if (found !== file.get(Y)) throw new Error(`half a transaction: ${found}, ${file.get(Y)}`);
  if (found !== (context.model ?? 0) && found !== context.pending) throw new Error(`${found} found`);
  file.set(X, 1000);
  file.fence(STEP.dataFence);
}

describe('crashes during recovery', () => {
  const options: ExploreOptions<number> = { prepare, workload: undo, verify: recoverAndVerify };
  const nested = { every: 1 };

  it('finds nothing in a correct recovery, and has tried', () => {
    const report = exploreCrashes({ ...options, nested });
    assertCrashSafe(report);
    expect(report.nestedImages).toBeGreaterThan(10);
    expect(exploreCrashes(options).nestedImages).toBe(0);
  });

  for (const step of ['recoveryFlush', 'recoveryFence'] as const) {
    it(`canary: notices only so that ${step} is left out, and can repeat it`, () => {
      assertCrashSafe(exploreCrashes({ ...options, skip: [STEP[step]] }));
      const report = exploreCrashes({ ...options, nested, skip: [STEP[step]] });
      const [violation] = report.violations;
      expect(violation?.position.length).toBe(4);
      expect(violation?.message).toContain('during its recovery');
      const only = violation?.position ?? [];
      const again = exploreCrashes({ ...options, nested, skip: [STEP[step]], only });
      expect(again.violations).toEqual([violation]);
      expect(again.nestedImages).toBe(1);
    });
  }
});

describe('speed', () => {
  it('checks 100,000 images of 700 KiB in a couple of minutes', () => {
    const size = 700 * 1024;
    const images = 20_000;
    const started = performance.now();
    const report = exploreCrashes<null>({
      imagesPerInstant: images,
      workload: (backend) => {
        const options = { path: PATH, mode: 'create', emulate: null, domain: null, log: null } as const;
        const memory = backend.open({ ...options, maxBytes: 1 << 20, sizeBytes: size });
        memory.publish();
        const words = new Uint32Array(memory.buffer);
        for (let line = 0; line < 100; line++) words[line * 1600] = 1;
      },
      verify: (medium) => {
        const options = {
          path: PATH,
          mode: 'open',
          emulate: null,
          domain: null,
          log: null,
          sizeBytes: 0,
        } as const;
        medium.open({ ...options, maxBytes: 1 << 20 }).close();
      },
    });
    const perImage = ((performance.now() - started) / report.images) * 1000;
    console.log(`crash-explorer/image/700KiB: ${Math.round(perImage)} us per image, ${report.images} images`);
    expect(report.images).toBeGreaterThan(images * 0.99);
    expect(perImage).toBeLessThan(1000);
  });

  it('checks images of a disk as fast: 700 KiB of pages, and a log of 1 MiB', () => {
    const size = 700 * 1024;
    const how = { domain: 'block', maxBytes: 1 << 20 } as const;
    const started = performance.now();
    const report = exploreCrashes<null>({
      imagesPerInstant: 200,
      workload: (backend) => {
        const file = created(backend, { ...how, sizeBytes: size });
        const log = createdLog(file, 1 << 20);
        new Uint8Array(file.memory.buffer).fill(1, 0, size);
        log.startWrite(
          Uint32Array.from({ length: 50 }, (_, page) => page),
          50,
        );
        for (let record = 0; log.busy; record++)
          log.write(record * 700, new Uint8Array(700).fill(1), STEP.walAppend);
        log.finish();
      },
      verify: (medium) => {
        const log = open(medium, how).memory.openWal({ create: false, access: 'write' });
        log?.read(0, new Uint8Array(64 * 1024));
      },
    });
    const perImage = ((performance.now() - started) / report.images) * 1000;
    console.log(
      `crash-explorer/image/disk: ${Math.round(perImage)} us per image, ${report.images} images, ${report.instants} instants`,
    );
    expect(report.images).toBeGreaterThan(10_000);
    expect(perImage).toBeLessThan(1000);
  });
});
