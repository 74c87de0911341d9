/**
 * Requests that the server has given to nobody, because there is no subscriber at the moment. No backend has seen them,
 * so they may be sent again; and where the route was served a moment ago, its only backend is likely being replaced.
 */
import { Timeout, type TimerWheel } from '../../timer-wheel.ts';
import type { Call, PendingCall } from '../call.ts';
import type { Waits } from '../waits.ts';

/** A route that was answered within this time has a backend, even if it has no subscriber now. */
const SERVED_MS = 10_000;
/** Routes whose answers are remembered; beyond it the one that was answered first is forgotten. */
export const SERVED_ROUTES_MAX = 1_000;
/** Requests that wait; beyond it they fail at once. */
export const UNSERVED_MAX = 1_000;
/** Milliseconds before each further attempt. After the last one, 2 s after the first, a request fails. */
export const UNSERVED_PAUSES_MS = [50, 100, 200, 350, 500, 800] as const;

class Waiting implements PendingCall {
  readonly timeout: Timeout;
  readonly #onCancel: () => void;

  constructor(onTime: () => void, onCancel: () => void) {
    this.timeout = new Timeout(onTime);
    this.#onCancel = onCancel;
  }

  cancel(): void {
    this.#onCancel();
  }
}

export class Unserved {
  readonly #wheel: TimerWheel;
  /** By route: when it was last answered, on the monotonic clock. */
  readonly #answeredAt = new Map<string, number>();
  /** How often a request has waited. */
  readonly #attempts = new WeakMap<Call, { readonly generation: number; count: number }>();
  readonly #waits: Waits;
  #waiting = 0;

  constructor(wheel: TimerWheel, waits: Waits) {
    this.#wheel = wheel;
    this.#waits = waits;
  }

  /** @param now On the monotonic clock. */
  answered({ route }: Call, now: number): void {
    this.#answeredAt.set(route, now);
    if (this.#answeredAt.size > SERVED_ROUTES_MAX)
      this.#answeredAt.delete(this.#answeredAt.keys().next().value!);
  }

  /**
   * True: it waits, and `again` is called unless it ends meanwhile. One whose session has sent more that is in flight
   * does not wait: that may be given to a backend which comes first, and would have overtaken it.
   */
  waits(call: Call, again: () => void): boolean {
    const { generation } = call;
    let attempt = this.#attempts.get(call);
    if (attempt?.generation !== generation) attempt = { generation, count: 0 };
    this.#attempts.delete(call);
    const pauseMs = UNSERVED_PAUSES_MS[attempt.count];
    if (pauseMs === undefined || this.#waiting >= UNSERVED_MAX) return false;
    if (this.#wheel.now() + pauseMs >= call.deadline) return false;
    const isAlone = call.unordered || call.lane.inFlight === 1;
    const since = this.#wheel.now() - (this.#answeredAt.get(call.route) ?? -Infinity);
    if (!isAlone || since > SERVED_MS) return false;
    attempt.count++;
    this.#attempts.set(call, attempt);
    this.#waiting++;
    this.#waits.begin();
    // What the session sends next stays behind it.
    if (!call.unordered) call.lane.hold();
    const waiting = new Waiting(
      () => {
        this.#waiting--;
        this.#waits.end();
        call.pending = null;
        again();
      },
      () => {
        this.#waiting--;
        this.#waits.end();
        this.#wheel.cancel(waiting.timeout);
      },
    );
    call.pending = waiting;
    this.#wheel.set(waiting.timeout, pauseMs);
    return true;
  }
}
