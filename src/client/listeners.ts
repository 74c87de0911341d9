/** A set of listeners for one event. */

/** Removes a listener. */
export type Off = () => void;

export class Listeners<Args extends readonly unknown[]> {
  readonly #all = new Set<(...args: Args) => void>();

  /** Adding the same function twice adds one listener. */
  add(listener: (...args: Args) => void): Off {
    this.#all.add(listener);
    return () => {
      this.#all.delete(listener);
    };
  }

  get size(): number {
    return this.#all.size;
  }

  /** Calls all listeners. An error that one throws is thrown again in a microtask, for the application to see. */
  readonly emit = (...args: Args): void => {
    for (const listener of [...this.#all]) {
      try {
        listener(...args);
      } catch (error) {
        queueMicrotask(() => {
          throw error;
        });
      }
    }
  };
}
