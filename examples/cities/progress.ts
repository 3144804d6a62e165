/** What the demo prints: lines, and on a terminal a bar below them that moves. */

const BAR_WIDTH = 40;
const REDRAW_MS = 50;

export class Progress {
  readonly #total: number;
  readonly #stream: NodeJS.WriteStream;
  #shown = false;
  #lastDraw = 0;

  constructor(total: number, stream: NodeJS.WriteStream = process.stdout) {
    this.#total = total;
    this.#stream = stream;
  }

  /** Moves the bar; nothing where there is no terminal. */
  update(done: number): void {
    if (!this.#stream.isTTY) return;
    const now = Date.now();
    if (now - this.#lastDraw < REDRAW_MS && done < this.#total) return;
    this.#lastDraw = now;
    const filled = Math.round((done / this.#total) * BAR_WIDTH);
    const bar = '#'.repeat(filled) + '-'.repeat(BAR_WIDTH - filled);
    const percent = Math.floor((done / this.#total) * 100);
    const count = `${done.toLocaleString('en-US')} / ${this.#total.toLocaleString('en-US')}`;
    this.#erase();
    this.#stream.write(`[${bar}] ${percent}% ${count}`);
    this.#shown = true;
  }

  /** Prints a line in the place of the bar. */
  line(text: string): void {
    this.#erase();
    this.#stream.write(`${text}\n`);
  }

  #erase(): void {
    if (this.#shown) this.#stream.write('\r\x1b[K');
    this.#shown = false;
  }
}
