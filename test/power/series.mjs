/**
 * A series of power cuts of one kind: the machine is started, checks the pool that the cut before left, runs the
 * workload, and is killed at a random moment; then again on the same medium.
 *
 * After each cut the pool must hold exactly the first c transactions (the guest compares, see guest.mjs), where c is
 * at least the last transaction that was acknowledged and at most the last one that may have been started.
 */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { LossError, Machine } from './machine.mjs';
import { makeFileSystem } from './machine-image.mjs';
import { PERSISTENT_MEMORY_BYTES, PersistentMemory } from './persistent-memory.mjs';
import { VolatileDisk } from './volatile-disk.mjs';

const DISK_BYTES = 192 * 2 ** 20;
const FLUSH_INTERVAL_MS = 100;
/** How much longer than flushInterval a relaxed commit may take on an emulated machine. */
const FLUSH_SLACK_MS = 3000;
/** How long a cut waits for the medium's moment. */
const MAX_WAIT_MS = 1000;
/** So small that checkpoints and growth of the log happen all the time. */
const SMALL_LOG = { walSize: 512 * 1024, checkpointInterval: 200 };

/** What is cut: the medium, options of the pool, and what the pool must say it is. */
export const KINDS = {
  'disk-strict': {
    medium: 'disk',
    options: { durability: 'strict', ...SMALL_LOG },
    expected: { domain: 'block', log: 'redo' },
  },
  'disk-relaxed': {
    medium: 'disk',
    options: { durability: 'relaxed', flushInterval: FLUSH_INTERVAL_MS, ...SMALL_LOG },
    expected: { domain: 'block', log: 'redo' },
  },
  'dax-undo': { medium: 'dax', options: { log: 'undo' }, expected: { domain: 'memory', log: 'undo' } },
  'dax-redo': {
    medium: 'dax',
    options: { log: 'redo', ...SMALL_LOG },
    expected: { domain: 'memory', log: 'redo' },
  },
  /** A control: emulated persistent memory on a disk loses what it acknowledged. This test must notice. */
  control: { medium: 'disk', options: { emulate: true }, expected: { domain: 'emulated', log: 'undo' } },
};

export class Series {
  countTransactions = 0;
  countCheckpoints = 0;
  #kind;
  #image;
  #random;
  #medium;
  #machine = null;
  #countPools = 1;
  /** What the last opening found: { outcome, records }. */
  #recovery = null;
  /** Of the present pool: transactions up to this were found after the last cut. */
  #found = 0;
  /** Transactions up to this were acknowledged; up to that may have been started. */
  #acknowledged = 0;
  #allowed = 0;
  /** Transactions that were run, acknowledged or not: { n, at }. */
  #ran = [];

  /** @param name of KINDS; @param image from makeImage; @param folder of its own, for temporary files */
  constructor(name, { image, folder, random }) {
    this.#kind = KINDS[name];
    this.#image = image;
    this.#random = random;
    mkdirSync(folder);
    const path = join(folder, 'medium.img');
    if (this.#kind.medium === 'disk') {
      makeFileSystem(path, DISK_BYTES);
      this.#medium = new VolatileDisk(readFileSync(path), folder, random.fork());
      rmSync(path);
    } else {
      makeFileSystem(path, PERSISTENT_MEMORY_BYTES);
      this.#medium = new PersistentMemory(path, folder);
    }
  }

  /**
   * Cuts so many times, and starts once more.
   * @param onCut called with a description of each cut, once the machine is up again and all is well
   * @throws LossError: the pool is not what it must be; Error: something else went wrong
   */
  async run(countCuts, onCut) {
    try {
      for (let cut = null, count = 0; ; count++) {
        const startedAt = performance.now();
        const machine = await this.#start();
        if (cut !== null && count < countCuts && this.#random.chance(0.15)) {
          // The power fails again while the pool is being opened.
          const ms = this.#random.int(300);
          await machine.run(ms);
          onCut(`${cut}; not opened before the next`);
          cut = await this.#cut(`${ms} ms into opening`);
          continue;
        }
        const found = Number(await machine.report('state'));
        this.#compare(found);
        const seconds = ((performance.now() - startedAt) / 1000).toFixed(1);
        if (cut !== null) onCut(`${cut}; ${this.#describe(found)}, checked after ${seconds} s`);
        this.#acknowledged = found;
        if (count === countCuts) return;
        cut = await this.#runAndCut(machine);
      }
    } finally {
      this.#medium.cut();
      // After a failure the machine still runs, and the failure is known.
      await this.#machine?.cut().catch(() => {});
    }
  }

  /** Saves the medium as the last cut left it, and what the machine said since. */
  save(folder) {
    mkdirSync(folder, { recursive: true });
    this.#medium.save(join(folder, `${this.#kind.medium}.img`));
    writeFileSync(join(folder, 'serial.log'), `${this.#machine.log.join('\n')}\n`);
  }

  /** Starts the machine, up to where the pool is opened. */
  async #start() {
    const machine = new Machine(this.#image, await this.#medium.start(), (word, rest) =>
      this.#note(word, rest),
    );
    this.#machine = machine;
    await machine.report('ready');
    const strict = this.#kind.options.durability !== 'relaxed';
    const settings = {
      seed: this.#random.u32(),
      pool: this.#poolName(),
      options: this.#kind.options,
      strict,
      // Often enough for a cut to find pages in the disk's cache that nobody has synced; or next to never.
      writebackMs: this.#random.pick([50, 500, 5000]),
      // Without asynchronous transactions the event loop never turns.
      asyncShare: this.#random.pick(strict ? [0, 0.1] : [0, 0.1, 0.6]),
    };
    machine.send(JSON.stringify(settings));
    await machine.report('opening');
    return machine;
  }

  async #runAndCut(machine) {
    const random = this.#random;
    if (random.chance(0.25)) {
      this.#countPools += 1;
      this.#found = 0;
      this.#acknowledged = 0;
    }
    this.#allowed = this.#acknowledged;
    machine.send(JSON.stringify({ pool: this.#poolName() }));
    const ms = random.int(random.chance(0.3) ? 400 : 5000);
    await machine.run(ms);
    return await this.#cut(`${ms} ms into the workload`);
  }

  /** Cuts the power. Returns a description. */
  async #cut(when) {
    await Promise.race([this.#medium.moment(), this.#machine.run(MAX_WAIT_MS)]);
    // What was run longer ago than this may not be lost.
    const deadline = performance.now() - FLUSH_INTERVAL_MS - FLUSH_SLACK_MS;
    const survived = this.#medium.cut();
    await this.#machine.cut();
    for (const { n, at } of this.#ran)
      if (at < deadline) this.#acknowledged = Math.max(this.#acknowledged, n);
    this.#ran = [];
    return `${when}: ${survived}`;
  }

  /** @throws LossError when so many transactions cannot be */
  #compare(found) {
    if (found < this.#acknowledged)
      throw new LossError(`${this.#acknowledged} transactions were acknowledged, ${found} are there`);
    if (found > this.#allowed)
      throw new LossError(`at most ${this.#allowed} transactions were started, ${found} are there`);
    this.countTransactions += found - this.#found;
    this.#found = found;
  }

  #describe(found) {
    const { outcome, records } = this.#recovery;
    return `${this.#acknowledged} acknowledged, ${found} found (${outcome}, ${records} records)`;
  }

  #poolName() {
    return `pool-${this.#countPools}`;
  }

  /** Takes the reports that nobody waits for. */
  #note(word, rest) {
    const n = Number(rest);
    if (word === 'ack') this.#acknowledged = Math.max(this.#acknowledged, n);
    else if (word === 'ran') this.#ran.push({ n, at: performance.now() });
    else if (word === 'checkpoints') this.countCheckpoints += n;
    else if (word === 'next') {
      this.#allowed = n;
      this.#machine.send('');
    } else if (word === 'medium') this.#noteMedium(JSON.parse(rest));
    else return false;
    return true;
  }

  #noteMedium(actual) {
    for (const [name, expected] of Object.entries(this.#kind.expected))
      if (actual[name] !== expected) throw new Error(`${name} is ${actual[name]}, expected ${expected}`);
    this.#recovery = actual.recovery;
  }
}
