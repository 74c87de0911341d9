/**
 * A queue: first in, first out, each in constant time. It keeps nothing of what was taken, even while it never empties,
 * so that what is counted of its content is what it holds.
 */

/** Empty places at the front before the list is shortened. */
const COMPACT_AT = 1_024;

export class Fifo<T extends object | string> {
  #places: (T | null)[] = [];
  #head = 0;

  get length(): number {
    return this.#places.length - this.#head;
  }

  push(item: T): void {
    this.#places.push(item);
  }

  /** Takes out the first; null: it is empty. */
  take(): T | null {
    if (this.length === 0) return null;
    const item = this.#places[this.#head]!;
    this.#places[this.#head++] = null;
    if (this.length === 0) {
      this.clear();
    } else if (this.#head >= COMPACT_AT && this.#head > this.length) {
      this.#places.splice(0, this.#head);
      this.#head = 0;
    }
    return item;
  }

  clear(): void {
    this.#places = [];
    this.#head = 0;
  }

  *[Symbol.iterator](): Generator<T> {
    for (let at = this.#head; at < this.#places.length; at++) yield this.#places[at]!;
  }
}
