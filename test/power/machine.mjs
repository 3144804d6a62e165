/**
 * A virtual machine: qemu with software emulation, so that it runs anywhere, with a kernel and an initramfs started
 * directly and one serial line. What it reports (lines `@word rest`, see guest.mjs) arrives here; `cut` is kill -9.
 */
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

/** Far more than any step takes, on a slow host too. */
const REPORT_TIMEOUT_MS = 180_000;
const MAX_LOG_LINES = 2000;

/** All machines that run: none outlives this process. */
const running = new Set();
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

/** The pool does not hold what it should. */
export class LossError extends Error {}

export class Machine {
  /** The last lines from the serial line and from qemu. */
  log = [];
  #child;
  #gone;
  #isCut = false;
  #failure = null;
  /** Reports that nobody has waited for yet. */
  #reports = [];
  /** Who waits: { word, resolve, reject, timer }; `word` is null when only time is waited for. */
  #waiting = null;
  #listener;

  /**
   * @param image { kernel, initramfs }
   * @param medium { memoryMb, append, args }: the size, and arguments of the kernel and of qemu
   * @param listener called with word and rest of each report; those for which it returns true are done with
   */
  constructor(image, medium, listener) {
    this.#listener = listener;
    const command = [
      ...['-accel', 'tcg', '-cpu', 'max', '-m', `${medium.memoryMb}M`],
      ...['-nodefaults', '-no-user-config', '-display', 'none', '-no-reboot', '-serial', 'stdio'],
      ...['-kernel', image.kernel, '-initrd', image.initramfs],
      ...['-append', `console=ttyS0 quiet panic=-1 ${medium.append}`, ...medium.args],
    ];
    const child = spawn('qemu-system-x86_64', command, { stdio: ['pipe', 'pipe', 'pipe'] });
    this.#child = child;
    running.add(child);
    this.#gone = new Promise((resolve) => {
      child.on('error', (error) => this.#fail(error));
      child.on('close', (code, signal) => {
        running.delete(child);
        if (!this.#isCut)
          this.#fail(new Error(`the machine ended by itself (${signal ?? `exit code ${code}`})`));
        resolve();
      });
    });
    // What is sent to a machine that has just been killed is lost.
    child.stdin.on('error', () => {});
    createInterface({ input: child.stderr }).on('line', (line) => this.#keep(`qemu: ${line}`));
    createInterface({ input: child.stdout }).on('line', (line) => this.#take(line));
  }

  /** Waits for a report; resolves to its rest. Rejects when the guest reports something bad, or ends. */
  report(word) {
    return new Promise((resolve, reject) => {
      const onTimeout = () => this.#fail(new Error(`no report of '${word}'`));
      this.#wait({ word, resolve, reject, timer: setTimeout(onTimeout, REPORT_TIMEOUT_MS) });
    });
  }

  /** Lets the machine run for some time. Rejects as `report` does. */
  run(ms) {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => this.#settle().resolve(), ms);
      this.#wait({ word: null, resolve, reject, timer });
    });
  }

  /** A line of input. */
  send(line) {
    this.#child.stdin.write(`${line}\n`);
  }

  /** Kills the machine. Resolves when it is gone and all that it had reported has arrived. */
  async cut() {
    this.#isCut = true;
    this.#child.kill('SIGKILL');
    await this.#gone;
    if (this.#failure !== null) throw this.#failure;
  }

  #wait(waiting) {
    this.#waiting = waiting;
    if (this.#failure !== null) this.#settle().reject(this.#failure);
    else this.#deliver();
  }

  #settle() {
    const waiting = this.#waiting;
    this.#waiting = null;
    clearTimeout(waiting?.timer);
    return waiting;
  }

  #deliver() {
    const at = this.#reports.findIndex(({ word }) => word === this.#waiting?.word);
    if (at === -1) return;
    const [{ rest }] = this.#reports.splice(0, at + 1).slice(-1);
    this.#settle().resolve(rest);
  }

  /** The first failure counts: others follow from it. */
  #fail(error) {
    this.#failure ??= error;
    this.#settle()?.reject(this.#failure);
  }

  #take(line) {
    this.#keep(line);
    const [, word, rest] = /^@(\w+) (.*?)\r?$/.exec(line) ?? [];
    if (word === undefined) return;
    if (word === 'lost') this.#fail(new LossError(rest));
    if (word === 'bad') this.#fail(new Error(rest));
    try {
      if (this.#listener(word, rest)) return;
    } catch (error) {
      this.#fail(error);
    }
    this.#reports.push({ word, rest });
    this.#deliver();
  }

  #keep(line) {
    this.log.push(line);
    if (this.log.length > MAX_LOG_LINES) this.log.shift();
  }
}
