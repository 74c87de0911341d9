/** Whose turn it is to be read for: those that have begun go on first, all others in their order. */
export class ReadQueue<T> {
  /** Any of them may leave it at any time. */
  readonly #waiting = new Set<T>();
  readonly #begun = new Set<T>();

  add(one: T): void {
    this.#waiting.add(one);
  }

  /** It has begun, and is not done. */
  addFirst(one: T): void {
    this.#begun.add(one);
  }

  delete(one: T): void {
    this.#waiting.delete(one);
    this.#begun.delete(one);
  }

  /** Takes out the next; undefined: there is none. */
  take(): T | undefined {
    for (const queue of [this.#begun, this.#waiting])
      for (const one of queue) {
        queue.delete(one);
        return one;
      }
    return undefined;
  }
}
