/** Which listeners want which event. */

/** Takes a listener off again. */
export type Off = () => void;

export class Listeners<Args extends readonly unknown[]> {
  readonly #all = new Set<(...args: Args) => void>();

  /** The same function twice is one listener. */
  add(listener: (...args: Args) => void): Off {
    this.#all.add(listener);
    return () => {
      this.#all.delete(listener);
    };
  }

  get size(): number {
    return this.#all.size;
  }

  /** Calls all. What one throws is the application's to see: it is thrown again later, and breaks nothing here. */
  emit(...args: Args): void {
    for (const listener of [...this.#all]) {
      try {
        listener(...args);
      } catch (error) {
        queueMicrotask(() => {
          throw error;
        });
      }
    }
  }
}
