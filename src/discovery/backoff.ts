/** How long to wait before Consul is asked again after a failure. */

export const BACKOFF_BASE_MS = 500;
export const BACKOFF_CAP_MS = 30_000;

export class Backoff {
  #failures = 0;

  /** Milliseconds: half to all of a wait that doubles up to the cap, so that a crowd of gateways spreads. */
  next(): number {
    const mostMs = Math.min(BACKOFF_CAP_MS, BACKOFF_BASE_MS * 2 ** Math.min(this.#failures++, 16));
    return mostMs * (0.5 + Math.random() / 2);
  }

  reset(): void {
    this.#failures = 0;
  }
}
