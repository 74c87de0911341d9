/** How much one session may ask, and one backend may owe. */
import { type Failure, failure } from '../errors.ts';
import type { Target } from '../routing/rule.ts';
import type { Session } from '../session/session.ts';
import { takeToken } from './token-bucket.ts';

export type AdmissionLimits = {
  /** Messages per session and second, sustained. 0: no limit. */
  readonly messagesPerSecond: number;
  /** Messages that may come at once after a rest. */
  readonly burst: number;
  /** Messages in flight or waiting per backend. */
  readonly inFlightPerBackend: number;
  /** Bytes of their bodies, of all backends together. */
  readonly inFlightBytes: number;
};

export class Admission {
  /** May be replaced at any time. */
  limits: AdmissionLimits;
  /** Messages refused by the rate of their session, and by that of their route. */
  readonly limited = { session: 0, route: 0 };
  readonly #inFlight: number[] = [];
  #heldBytes = 0;

  constructor(limits: AdmissionLimits) {
    this.limits = limits;
  }

  /** One more backend; its ordinal is the next. */
  addBackend(): void {
    this.#inFlight.push(0);
  }

  /** Counts a message of the session; why it is one too many, or null. */
  refusal(session: Session, now: number): Failure | null {
    const { messagesPerSecond, burst } = this.limits;
    if (messagesPerSecond === 0) return null;
    const waitMs = takeToken(session, messagesPerSecond, burst, now);
    if (waitMs === 0) return null;
    this.limited.session++;
    return tooMany(
      `limits.messages_per_second is ${messagesPerSecond}, with a burst of ${burst}`,
      waitMs,
    );
  }

  /** The same by the rate of the message's route. */
  routeRefusal(session: Session, { rate, match, ordinal }: Target, now: number): Failure | null {
    if (rate === 0) return null;
    session.rates ??= new Map();
    let bucket = session.rates.get(match);
    if (bucket === undefined) {
      bucket = { tokens: Number.NaN, tokensAt: 0 };
      session.rates.set(match, bucket);
    }
    const waitMs = takeToken(bucket, rate, rate, now);
    if (waitMs === 0) return null;
    this.limited.route++;
    return tooMany(`routes[${ordinal}].rate is ${rate}`, waitMs);
  }

  /** Counts a message to the backend; false: it has too much in flight, and nothing was counted. */
  enter(backendOrdinal: number): boolean {
    if (this.#inFlight[backendOrdinal]! >= this.limits.inFlightPerBackend) return false;
    this.#inFlight[backendOrdinal]!++;
    return true;
  }

  /** Counts the body of a message that has entered; false: all of them together hold too much, and it was not counted. */
  hold(bytes: number): boolean {
    if (this.#heldBytes + bytes > this.limits.inFlightBytes) return false;
    this.#heldBytes += bytes;
    return true;
  }

  /** @param bytes Of its body, as they were counted; 0: they were not. */
  leave(backendOrdinal: number, bytes: number): void {
    this.#inFlight[backendOrdinal]!--;
    this.#heldBytes -= bytes;
  }

  /** Bytes of all bodies in flight or waiting. */
  get heldBytes(): number {
    return this.#heldBytes;
  }

  /** Why the message that was not let in is refused. */
  overload(key: 'in_flight_per_backend' | 'in_flight_bytes'): Failure {
    const { inFlightPerBackend, inFlightBytes } = this.limits;
    const limit = key === 'in_flight_bytes' ? `${inFlightBytes} bytes` : inFlightPerBackend;
    return { ...failure('OVERLOADED'), detail: `limits.${key} is ${limit}` };
  }

  inFlight(backendOrdinal: number): number {
    return this.#inFlight[backendOrdinal]!;
  }
}

function tooMany(detail: string, retryAfterMs: number): Failure {
  return { ...failure('TOO_MANY'), detail, retryAfterMs };
}
