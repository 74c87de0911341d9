/** At the first start no worker gets clients before the others can. */
import { type Clock, within } from '../clock.ts';

/** How long the ports wait until all workers are there, so that all get their share. */
const FIRST_START_MS = 30_000;

export class FirstStart {
  readonly #clock: Clock;
  readonly #workers: number;
  readonly #asked = new Map<string, PromiseWithResolvers<void> & { count: number }>();

  constructor(clock: Clock, workers: number) {
    this.#clock = clock;
    this.#workers = workers;
  }

  /** Nobody waits any longer. */
  end(): void {
    for (const asked of this.#asked.values()) asked.resolve();
  }

  /** Resolves when all workers have asked for this door, or time is over. */
  async allAt(door: string): Promise<void> {
    let asked = this.#asked.get(door);
    if (asked === undefined) {
      asked = { ...Promise.withResolvers<void>(), count: 0 };
      this.#asked.set(door, asked);
    }
    if (++asked.count >= this.#workers) asked.resolve();
    await within(this.#clock, FIRST_START_MS, asked.promise, undefined);
  }
}
