/** How much one session may ask, and one backend may owe. */
import type { Session } from '../session/session.ts';

export type AdmissionLimits = {
  /** Messages per session and second, sustained. 0: no limit. */
  readonly messagesPerSecond: number;
  /** Messages that may come at once after a rest. */
  readonly burst: number;
  /** Messages in flight or waiting per backend. */
  readonly inFlightPerBackend: number;
};

export class Admission {
  /** May be replaced at any time. */
  limits: AdmissionLimits;
  readonly #inFlight: number[] = [];

  constructor(limits: AdmissionLimits) {
    this.limits = limits;
  }

  /** One more backend; its ordinal is the next. */
  addBackend(): void {
    this.#inFlight.push(0);
  }

  /** Takes one message from the session's token bucket; false: it is over its rate. */
  mayAsk(session: Session, now: number): boolean {
    const { messagesPerSecond, burst } = this.limits;
    if (messagesPerSecond === 0) return true;
    if (Number.isNaN(session.tokens)) session.tokens = burst;
    else
      session.tokens = Math.min(
        burst,
        session.tokens + ((now - session.tokensAt) * messagesPerSecond) / 1_000,
      );
    session.tokensAt = now;
    if (session.tokens < 1) return false;
    session.tokens--;
    return true;
  }

  /** Counts a message to the backend; false: it has too much in flight, and nothing was counted. */
  enter(backendOrdinal: number): boolean {
    if (this.#inFlight[backendOrdinal]! >= this.limits.inFlightPerBackend) return false;
    this.#inFlight[backendOrdinal]!++;
    return true;
  }

  leave(backendOrdinal: number): void {
    this.#inFlight[backendOrdinal]!--;
  }

  inFlight(backendOrdinal: number): number {
    return this.#inFlight[backendOrdinal]!;
  }
}
