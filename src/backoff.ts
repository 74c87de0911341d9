/** How long to wait before something that failed is tried again. */
import type { Random } from './random.ts';

export class Backoff {
  readonly #minMs: number;
  readonly #maxMs: number;
  readonly #random: Random;
  #failures = 0;

  /** @param minMs The longest that the first wait may be, in milliseconds; each failure doubles it, up to `maxMs`. */
  constructor(minMs: number, maxMs: number, random: Random) {
    this.#minMs = minMs;
    this.#maxMs = maxMs;
    this.#random = random;
  }

  /** Milliseconds: a random part of the wait, half of it at least, so that a crowd of gateways spreads. */
  next(): number {
    const mostMs = Math.min(this.#maxMs, this.#minMs * 2 ** Math.min(this.#failures++, 16));
    return mostMs * (0.5 + this.#random.number() / 2);
  }

  reset(): void {
    this.#failures = 0;
  }
}
