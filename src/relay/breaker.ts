/**
 * A circuit breaker for each backend: one that keeps failing is left alone for a while, so that clients hear so
 * at once. Off unless it is configured.
 */
import { type Failure, failure } from '../errors.ts';

export type BreakerLimits = {
  /** Failures in a row that open it; 0: never. */
  readonly failures: number;
  /** Milliseconds for which nothing is sent then; after that one message tries it. */
  readonly openMs: number;
};

/** Outcomes that say that the backend, or the way to it, is at fault. */
const FAULTS = new Set(['BACKEND_AWAY', 'BUS_AWAY', 'TIMEOUT', 'BAD_REPLY']);

export class Breaker {
  readonly #limits: BreakerLimits;
  #failures = 0;
  /** On the monotonic clock; 0: closed. */
  #openUntil = 0;
  /** The one message that tests whether the backend has recovered has been sent. */
  #trying = false;

  constructor(limits: BreakerLimits) {
    this.#limits = limits;
  }

  get isOpen(): boolean {
    return this.#openUntil !== 0;
  }

  /** Null: the message may be sent. */
  refusal(now: number): Failure | null {
    if (this.#openUntil === 0) return null;
    if (now < this.#openUntil || this.#trying) {
      const waitMs = Math.max(1, Math.ceil(this.#openUntil - now));
      return {
        ...failure('BACKEND_AWAY', undefined, waitMs),
        detail: 'its circuit breaker is open',
      };
    }
    this.#trying = true;
    return null;
  }

  /** A message has ended; `outcome` is `ok`, a reason of ours, or that the backend or the client ended it. */
  done(outcome: string, now: number): void {
    if (this.#limits.failures === 0) return;
    if (!FAULTS.has(outcome)) {
      // A client that has gone says nothing about the backend.
      if (outcome === 'client_gone') this.#trying = false;
      else this.#close();
      return;
    }
    this.#failures++;
    if (this.#openUntil === 0 && this.#failures < this.#limits.failures) return;
    this.#openUntil = now + this.#limits.openMs;
    this.#trying = false;
  }

  #close(): void {
    this.#failures = 0;
    this.#openUntil = 0;
    this.#trying = false;
  }
}
