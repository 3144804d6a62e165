/** A `Uint32Array` that grows by doubling: volatile bookkeeping of a transaction, reused by the next one. */
export class GrowingWords {
  words: Uint32Array;
  length = 0;

  constructor(capacity: number) {
    this.words = new Uint32Array(capacity);
  }

  push(word: number): void {
    if (this.length === this.words.length) this.#grow();
    this.words[this.length] = word;
    this.length += 1;
  }

  /** Appends a pair; returns true when the backing array was replaced. */
  pushPair(first: number, second: number): boolean {
    const replaced = this.length + 2 > this.words.length;
    if (replaced) this.#grow();
    this.words[this.length] = first;
    this.words[this.length + 1] = second;
    this.length += 2;
    return replaced;
  }

  #grow(): void {
    const larger = new Uint32Array(this.words.length * 2);
    larger.set(this.words);
    this.words = larger;
  }
}
