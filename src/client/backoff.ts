/** How long to wait before the next try to come back. */

/** When the client comes back by itself. */
export type ReconnectOptions = {
  /** The first wait is 0 to this; each failure doubles it. Default 500. */
  readonly baseMs?: number;
  /** A wait is never longer. Default 30000. */
  readonly capMs?: number;
  /** Tries that fail one after another before it gives up. Default: no end. */
  readonly attemptsMax?: number;
  /** 0 to 1, below 1. Default `Math.random`. */
  readonly random?: () => number;
};

/** A connection must have been open so long for the waits to begin anew: a server that accepts and closes is not stormed. */
export const STABLE_MS = 10_000;

export class Backoff {
  readonly #baseMs: number;
  readonly #capMs: number;
  readonly #attemptsMax: number;
  readonly #random: () => number;
  #attempts = 0;

  constructor(options: ReconnectOptions) {
    this.#baseMs = options.baseMs ?? 500;
    this.#capMs = options.capMs ?? 30_000;
    this.#attemptsMax = options.attemptsMax ?? Infinity;
    this.#random = options.random ?? Math.random;
  }

  /** Milliseconds from 0 to the doubled base or the cap ("full jitter", so that a crowd spreads); null: give up. */
  next(): number | null {
    if (this.#attempts >= this.#attemptsMax) return null;
    const mostMs = Math.min(this.#capMs, this.#baseMs * 2 ** this.#attempts++);
    return Math.floor(this.#random() * mostMs);
  }

  reset(): void {
    this.#attempts = 0;
  }
}
