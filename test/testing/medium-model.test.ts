import { describe, expect, it } from 'vitest';
import type { Memory } from '../../src/memory/memory.js';
import { crashImages, Random, Scratch, SimulatedMedium } from '../../src/testing/index.js';
import { created, type Opened, open, PATH } from './helpers.js';

/** The semantics of a unit, written as plainly as possible. */
interface ModelUnit {
  durable: number;
  /** Values seen since, oldest first. */
  values: number[];
  /** Index of the value flushed last, or -1. */
  flushed: number;
  now: number;
}

const UNITS_PER_LINE = 8;

function modelOf(units: number): ModelUnit[] {
  return Array.from({ length: units }, () => ({ durable: 0, values: [], flushed: -1, now: 0 }));
}

function look(model: ModelUnit[]): void {
  for (const unit of model) {
    if ((unit.values.at(-1) ?? unit.durable) !== unit.now) unit.values.push(unit.now);
  }
}

function flushLine(model: ModelUnit[], line: number): void {
  look(model);
  for (const unit of model.slice(line * UNITS_PER_LINE, (line + 1) * UNITS_PER_LINE)) {
    unit.flushed = unit.values.length - 1;
  }
}

function fence(model: ModelUnit[]): void {
  look(model);
  for (const unit of model) {
    if (unit.flushed >= 0) unit.durable = unit.values[unit.flushed] as number;
    unit.values.splice(0, unit.flushed + 1);
    unit.flushed = -1;
  }
}

function uncertain(model: ModelUnit[]): [number, number[]][] {
  look(model);
  const list: [number, number[]][] = [];
  model.forEach(({ durable, values }, index) => {
    const possible = [...new Set([durable, ...values])];
    if (possible.length > 1) list.push([index, possible]);
  });
  return list;
}

function numberIn(value: Uint8Array): number {
  return Number(new DataView(value.buffer).getBigUint64(0, true));
}

function uncertainIn(medium: SimulatedMedium): [number, number[]][] {
  return medium.dirtyUnits().map(({ offset, values }) => [offset / 8, values.map(numberIn)]);
}

function step(random: Random, file: Opened, model: ModelUnit[]): void {
  const line = random.int(model.length / UNITS_PER_LINE);
  const action = random.int(10);
  if (action < 6) {
    const unit = random.chance(0.5) ? random.int(24) : random.int(model.length);
    const value = random.int(3);
    file.set(unit, value);
    (model[unit] as ModelUnit).now = value;
  } else if (action < 9) {
    const chosen = random.chance(0.7) ? random.int(3) : line;
    file.flush(chosen * UNITS_PER_LINE);
    flushLine(model, chosen);
  } else {
    file.fence();
    fence(model);
  }
}

function growTo(memory: Memory, model: ModelUnit[], bytes: number): void {
  memory.grow(bytes);
  look(model);
  model.push(...modelOf(bytes / 8 - model.length));
}

describe('the medium compared with a plain model', () => {
  for (let seed = 1; seed <= 10; seed++) {
    it(`agrees on what is uncertain and durable, through forks and growth (seed ${seed})`, () => {
      const random = new Random(seed);
      const scratch = new Scratch();
      let medium = new SimulatedMedium();
      let file = created(medium);
      let model = modelOf(512);
      medium.observe({});
      for (let round = 0; round < 8; round++) {
        for (let count = 0; count < 60; count++) step(random, file, model);
        if (random.chance(0.4)) growTo(file.memory, model, model.length * 8 + 4096);
        expect(uncertainIn(medium)).toEqual(uncertain(model));
        const images = [...crashImages(medium.dirtyUnits(), { budget: 20, seed })].length;
        const chosen = random.int(images);
        let number = 0;
        for (const image of crashImages(medium.dirtyUnits(), { budget: 20, seed })) {
          if (number++ !== chosen) continue;
          const found = model.map(({ durable }) => durable);
          image.units.forEach(({ offset, values }, index) => {
            found[offset / 8] = numberIn(values[image.choice[index] as number] as Uint8Array);
          });
          medium = medium.fork(image, scratch);
          model = found.map((value) => ({ durable: value, values: [], flushed: -1, now: value }));
        }
        medium.observe({});
        file = open(medium);
        expect(model.map((_, unit) => file.get(unit))).toEqual(model.map(({ now }) => now));
        expect(medium.readDurable(PATH)).toEqual(medium.read(PATH));
      }
    });
  }

  it('hashes equal content alike, however it came about', () => {
    const hash = (medium: SimulatedMedium): number[] => {
      const words = new Uint32Array(2);
      medium.fingerprint(words);
      return [...words];
    };
    const medium = new SimulatedMedium();
    const file = created(medium);
    const empty = hash(medium);
    file.set(3, 7);
    const image = { units: medium.dirtyUnits(), choice: Uint8Array.of(1) };
    const fork = medium.fork(image);
    expect(hash(medium)).toEqual(empty);
    expect(hash(fork)).not.toEqual(empty);
    file.flush(3);
    file.fence();
    expect(hash(medium)).toEqual(hash(fork));
    const installed = new SimulatedMedium();
    installed.install(PATH, medium.read(PATH));
    expect(hash(installed)).toEqual(hash(fork));
    file.set(3, 0);
    file.flush(3);
    file.fence();
    expect(hash(medium)).toEqual(empty);
  });
});
