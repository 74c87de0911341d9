/** Whether to reconnect, and how long to wait before the next attempt. */
import { type ClientError, isObject } from './client-error.ts';

/** How the client reconnects automatically. */
export type ReconnectOptions = {
  /** Milliseconds. The first wait is between 0 and this; each failure doubles it. Default 500. */
  readonly baseMs?: number;
  /** Milliseconds of the longest wait. Default 30000. */
  readonly capMs?: number;
  /** Failed attempts in a row after which it gives up. Default: it never does. */
  readonly attemptsMax?: number;
  /** Gives a number from 0 up to, not including, 1. Default `Math.random`. */
  readonly random?: () => number;
};

/** How long a connection must have been open to reset the waits, so that a server that accepts and closes is not flooded. */
export const STABLE_MS = 10_000;

/** Reasons after which it makes sense to reconnect. */
const RETRYABLE: readonly string[] = ['LOST', 'UNREACHABLE', 'TIMEOUT'];
/** The reason of Pith's kick when it drains: another gateway is available. */
const DRAINING = 'draining';
const UNAVAILABLE = 503;

/** Whether it makes sense to connect again after this end. */
export function mayReconnect({ reason, code, body, retryAfterMs }: ClientError): boolean {
  if (RETRYABLE.includes(reason) || retryAfterMs > 0) return true;
  if (reason === 'KICKED') return isObject(body) && body['reason'] === DRAINING;
  return reason === 'REFUSED' && code === UNAVAILABLE;
}

export class Backoff {
  readonly #options: ReconnectOptions;
  #attempts = 0;

  constructor(options: ReconnectOptions) {
    this.#options = options;
  }

  /** Milliseconds from 0 to the doubled base or the cap ("full jitter", so that many clients spread out); null: give up. */
  next(): number | null {
    const {
      baseMs = 500,
      capMs = 30_000,
      attemptsMax = Infinity,
      random = Math.random,
    } = this.#options;
    if (this.#attempts >= attemptsMax) return null;
    return Math.floor(random() * Math.min(capMs, baseMs * 2 ** this.#attempts++));
  }

  reset(): void {
    this.#attempts = 0;
  }
}
