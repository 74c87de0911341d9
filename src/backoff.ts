/** How long to wait before something that failed is tried again. */

export class Backoff {
  readonly #minMs: number;
  readonly #maxMs: number;
  #failures = 0;

  /** @param minMs The longest that the first wait may be, in milliseconds; each failure doubles it, up to `maxMs`. */
  constructor(minMs: number, maxMs: number) {
    this.#minMs = minMs;
    this.#maxMs = maxMs;
  }

  /** Milliseconds: a random part of the wait, half of it at least, so that a crowd of gateways spreads. */
  next(): number {
    const mostMs = Math.min(this.#maxMs, this.#minMs * 2 ** Math.min(this.#failures++, 16));
    return mostMs * (0.5 + Math.random() / 2);
  }

  reset(): void {
    this.#failures = 0;
  }
}
