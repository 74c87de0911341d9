/**
 * Passive health: how an endpoint does, by the ends of its calls alone. One that keeps failing is
 * left alone for a while, and then tried with one session at a time until one of its calls is answered.
 */

/** Failures in a row (no answer in time, no answer that can be read, the connection lost) that are too many. */
export const FAILURES_MAX = 5;
/** Milliseconds of the first ejection; each further one doubles them. */
export const EJECTED_MS_MIN = 5_000;
export const EJECTED_MS_MAX = 60_000;

export class Ejection {
  /** In a row. */
  failures = 0;
  /** On the monotonic clock; 0: not ejected. */
  #until = 0;
  #ms = EJECTED_MS_MIN;

  get ejected(): boolean {
    return this.#until !== 0;
  }

  /** For how long it is, or would be, left alone: milliseconds. */
  get ms(): number {
    return this.#ms;
  }

  /** True when a session may go there. */
  admits(now: number): boolean {
    return this.#until === 0 || now >= this.#until;
  }

  /** A session has been sent there; while it is ejected the next one waits for as long again. */
  tried(now: number): void {
    if (this.#until !== 0) this.#until = now + this.#ms;
  }

  /** True when it has failed too often, and is not left alone yet. */
  failed(now: number): boolean {
    this.failures++;
    if (this.#until === 0) return this.failures >= FAILURES_MAX;
    // It was tried, and is no better. What was sent there before may fail later: that counts once.
    if (now >= this.#until - this.#ms + EJECTED_MS_MIN) {
      this.#ms = Math.min(this.#ms * 2, EJECTED_MS_MAX);
      this.#until = now + this.#ms;
    }
    return false;
  }

  eject(now: number): void {
    this.#until = now + this.#ms;
  }

  /** A call was answered, even if late. True: this ended an ejection. */
  answered(): boolean {
    this.failures = 0;
    const was = this.ejected;
    this.#until = 0;
    this.#ms = EJECTED_MS_MIN;
    return was;
  }
}
