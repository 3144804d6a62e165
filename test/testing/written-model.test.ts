import { describe, expect, it } from 'vitest';
import { STEP, type WriteAheadLog } from '../../src/memory/index.js';
import { Random, Scratch, SimulatedMedium } from '../../src/testing/index.js';
import { created, createdLog, LOG_PATH, open } from './helpers.js';

const BLOCK = { domain: 'block' } as const;
const SECTOR = 512;
const SIZE = 8 * SECTOR;

/** What may be in a sector, written as plainly as possible. */
interface ModelSector {
  durable: string;
  /** What each write since left, with the number of the write. */
  versions: { content: string; write: number }[];
}

class Model {
  sectors: ModelSector[] = [];
  bytes: Buffer = Buffer.alloc(0);
  writes = 0;
  voidUntil = 0;

  resize(size: number): void {
    const bytes = Buffer.alloc(size);
    this.bytes.copy(bytes);
    this.bytes = bytes;
    this.sectors.length = Math.min(this.sectors.length, size / SECTOR);
    while (this.sectors.length < size / SECTOR)
      this.sectors.push({ durable: Buffer.alloc(SECTOR).toString('latin1'), versions: [] });
  }

  write(at: number, bytes: Uint8Array): void {
    this.bytes.set(bytes, at);
    this.writes++;
    this.sectors.forEach(({ versions }, index) => {
      const start = index * SECTOR;
      if (start + SECTOR <= at || start >= at + bytes.length) return;
      const content = this.bytes.subarray(start, start + SECTOR).toString('latin1');
      versions.push({ content, write: this.writes });
    });
  }

  sync(until: number): void {
    for (const sector of this.sectors) {
      const covered = sector.versions.filter(({ write }) => write <= until);
      const newest = covered.at(-1);
      if (newest === undefined || newest.write <= this.voidUntil) continue;
      sector.durable = newest.content;
      sector.versions.splice(0, covered.length);
    }
  }

  uncertain(): [number, string[]][] {
    return this.sectors.flatMap(({ durable, versions }, index): [number, string[]][] => {
      const contents = [...new Set([durable, ...versions.map(({ content }) => content)])];
      return contents.length > 1 ? [[index * SECTOR, contents]] : [];
    });
  }
}

function uncertainIn(medium: SimulatedMedium): [number, string[]][] {
  return medium
    .dirtyUnits()
    .map(({ offset, values }) => [offset, values.map((value) => Buffer.from(value).toString('latin1'))]);
}

/** A write of a few values, so that contents come again. */
function someBytes(random: Random): { at: number; bytes: Uint8Array } {
  const at = random.int(SIZE - 1);
  const length = random.chance(0.5) ? random.int(16) + 1 : random.int(3 * SECTOR) + 1;
  return { at, bytes: new Uint8Array(Math.min(length, SIZE - at)).fill(random.int(3)) };
}

describe('a log on a disk compared with a plain model', () => {
  for (let seed = 1; seed <= 10; seed++) {
    it(`agrees on what is uncertain and durable, through syncs, failures, cuts and forks (seed ${seed})`, () => {
      const random = new Random(seed);
      const scratch = new Scratch();
      let medium = new SimulatedMedium();
      let log = createdLog(created(medium, BLOCK), SIZE);
      let model = new Model();
      model.resize(SIZE);
      let began: number | null = null;

      const restart = (next: SimulatedMedium): void => {
        medium = next;
        log = open(medium, BLOCK).memory.openWal({ create: false, access: 'write' }) as WriteAheadLog;
        began = null;
      };
      for (let count = 0; count < 400; count++) {
        const action = random.int(100);
        if (action < 60) {
          const { at, bytes } = someBytes(random);
          log.write(at, bytes, STEP.walAppend);
          model.write(at, bytes);
        } else if (action < 70) {
          log.sync(STEP.walSync);
          model.sync(model.writes);
          began = null;
        } else if (action < 80) {
          if (began === null) {
            log.requestSync();
            began = model.writes;
          } else {
            expect(log.completedSyncs).toBeGreaterThan(0);
            model.sync(began);
            began = null;
          }
        } else if (action < 84) {
          const size = random.int(8) * SECTOR;
          log.truncate(size);
          model.resize(size);
          log.extend(SIZE);
          model.resize(SIZE);
        } else if (action < 90) {
          medium.killProcess();
          restart(medium);
        } else if (action < 93) {
          // Something to sync, so that there is something to fail.
          const { at, bytes } = someBytes(random);
          log.write(at, bytes, STEP.walAppend);
          model.write(at, bytes);
          medium.inject({ operation: 'walSync', at: 1 });
          expect(() => log.sync(STEP.walSync)).toThrow(expect.objectContaining({ code: 'IO' }));
          model.voidUntil = model.writes;
          medium.killProcess();
          restart(medium);
        } else if (action < 96) {
          const units = medium.dirtyUnits();
          const choice = Uint8Array.from(units, ({ values }) => random.int(values.length));
          const found = new Model();
          found.resize(SIZE);
          model.sectors.forEach(({ durable }, index) => {
            found.bytes.write(durable, index * SECTOR, 'latin1');
          });
          units.forEach(({ offset, values }, index) => {
            found.bytes.set(values[choice[index] as number] as Uint8Array, offset);
          });
          found.sectors.forEach((sector, index) => {
            sector.durable = found.bytes.subarray(index * SECTOR, (index + 1) * SECTOR).toString('latin1');
          });
          model = found;
          restart(medium.fork({ units, choice }, scratch));
        }
        expect(uncertainIn(medium)).toEqual(model.uncertain());
        expect(Buffer.compare(medium.read(LOG_PATH), model.bytes)).toBe(0);
        const durable = model.sectors.map((sector) => sector.durable).join('');
        expect(Buffer.from(medium.readDurable(LOG_PATH)).toString('latin1') === durable).toBe(true);
      }
    });
  }
});
