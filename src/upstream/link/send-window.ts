/** What the backend lets us send on a Link, requests and handshakes: all, until it says otherwise. */
import type { Credit } from '../../contract/backend-frames.ts';

/** Calls that wait for a backend's credit on one link; beyond it they are refused. */
export const WAITING_CALLS_MAX = 1_000;
/** The same, in bytes of their bodies. */
export const WAITING_BYTES_MAX = 8 * 1024 * 1024;

export class SendWindow {
  /** Calls that may wait for their answer. */
  inFlightMax = Infinity;
  #frames = Infinity;
  #bytes = Infinity;

  /** Messages that may be sent; Infinity: any number. */
  get frames(): number {
    return this.#frames;
  }

  /** The backend grants what may be sent. */
  useCredit(): void {
    this.#frames = 0;
    this.#bytes = 0;
  }

  grant({ frames, bytes }: Credit): void {
    this.#frames += frames;
    this.#bytes += bytes;
  }

  spend(bytes: number): void {
    this.#frames--;
    this.#bytes -= bytes;
  }

  /** The last that fits may be larger than what is left: else a large one might never go. */
  isSpent(inFlight: number): boolean {
    return this.#frames < 1 || this.#bytes < 1 || inFlight >= this.inFlightMax;
  }
}
