/** The end of a trace: the newest lines, as many as are wanted. */

export class LastLines {
  readonly #lines: string[] = [];
  readonly #count: number;
  #next = 0;

  constructor(count: number) {
    this.#count = count;
  }

  add(line: string): void {
    this.#lines[this.#next++ % this.#count] = line;
  }

  /** The oldest first. */
  lines(): string[] {
    const at = this.#next <= this.#count ? 0 : this.#next % this.#count;
    return [...this.#lines.slice(at), ...this.#lines.slice(0, at)];
  }
}
