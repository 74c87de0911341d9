/** When a connection that is lost, or could not be made, is tried again: soon at first, then less and less often. */
import { Backoff } from '../backoff.ts';
import type { Random } from '../random.ts';
import { Timeout, type TimerWheel } from '../timer-wheel.ts';

export const RETRY_MS_MIN = 100;
export const RETRY_MS_MAX = 5_000;
/** A connection that lasted less is as good as none: a backend that cuts each one must not be dialled all the time. */
const STABLE_MS = 1_000;

export class Reconnect {
  readonly #wheel: TimerWheel;
  readonly #again: Timeout;
  readonly #backoff: Backoff;
  /** On the monotonic clock; null: there is no connection. */
  #upSince: number | null = null;

  constructor(wheel: TimerWheel, random: Random, connect: () => void) {
    this.#wheel = wheel;
    this.#again = new Timeout(connect);
    this.#backoff = new Backoff(RETRY_MS_MIN, RETRY_MS_MAX, random);
  }

  /** It is there. */
  up(): void {
    this.#upSince ??= this.#wheel.now();
    this.stop();
  }

  /** It is lost, or could not be made. */
  later(): void {
    if (this.#upSince !== null && this.#wheel.now() - this.#upSince >= STABLE_MS)
      this.#backoff.reset();
    this.#upSince = null;
    this.#wheel.set(this.#again, this.#backoff.next());
  }

  /** Nothing is wrong, but it is worth another try. */
  soon(): void {
    this.#wheel.set(this.#again, RETRY_MS_MIN);
  }

  stop(): void {
    this.#wheel.cancel(this.#again);
  }
}
