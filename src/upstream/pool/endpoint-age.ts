/** When an endpoint is to be replaced by a new one: it is old, or its server wants to be rid of the connection. */
import type { Random } from '../../random.ts';
import { Timeout, type TimerWheel } from '../../timer-wheel.ts';

/** One that its server leaves is replaced at once, but not one that is younger: else there may be no end to it. */
export const REPLACE_MS_MIN = 1_000;
/** How far from `link_age` its own age may be, so that they are not all replaced at once. */
const AGE_JITTER = 0.2;

export class EndpointAge {
  /** The server has announced by HTTP/2's GOAWAY that it takes no more calls on this connection. */
  isConnectionClosing = false;
  readonly #ageMs: number;
  readonly #wheel: TimerWheel;
  readonly #random: Random;
  readonly #old: Timeout;
  /** On the monotonic clock; null: it is not open. */
  #since: number | null = null;

  /** @param ageMs Milliseconds; 0: as old as it gets. */
  constructor(ageMs: number, wheel: TimerWheel, random: Random, onOld: () => void) {
    this.#ageMs = ageMs;
    this.#wheel = wheel;
    this.#random = random;
    this.#old = new Timeout(onOld);
  }

  /** It serves. */
  opened(): void {
    this.#since = this.#wheel.now();
    if (this.isConnectionClosing) this.again(REPLACE_MS_MIN);
    else if (this.#ageMs > 0)
      this.again(this.#ageMs * (1 - AGE_JITTER * (2 * this.#random.number() - 1)));
  }

  http2Goaway(): void {
    if (this.isConnectionClosing) return;
    this.isConnectionClosing = true;
    if (this.#since !== null) this.again(this.#since + REPLACE_MS_MIN - this.#wheel.now());
  }

  /** It is old in `ms`. */
  again(ms: number): void {
    this.#wheel.set(this.#old, ms);
  }

  /** It is not replaced any more. */
  stop(): void {
    this.#wheel.cancel(this.#old);
  }

  /** It is lost. */
  ended(): void {
    this.stop();
    this.isConnectionClosing = false;
    this.#since = null;
  }
}
