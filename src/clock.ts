/** Time. The only file that reads the clock, sets a timer or waits for a turn, so that a test can own time. */

/** Stops the timer; harmless when it has fired. */
export type CancelTimer = () => void;

export type Clock = {
  /** Milliseconds that never go back; for deadlines and durations. */
  now(): number;
  /** Milliseconds since the Unix epoch; for people and for other machines. */
  wallNow(): number;
  /** Calls `fn` once, `ms` from now, or after 24 days if that is sooner. The timer alone does not keep the process alive. */
  setTimer(ms: number, fn: () => void): CancelTimer;
  /** Calls `fn` in the next turn of the event loop, once what has come meanwhile is read; in the order of the calls. */
  soon(fn: () => void): void;
};

/** The longest that a timer can have in Node: 24.8 days. */
const TIMER_MS_MAX = 0x7fffffff;

export const systemClock: Clock = {
  now: () => performance.now(),
  wallNow: () => Date.now(),
  setTimer(ms, fn) {
    // Through setImmediate: after a stall of the process, what clients sent meanwhile is read before any of them
    // is considered late.
    // Node calls at once what is set for longer.
    const timer = setTimeout(() => setImmediate(fn), Math.min(ms, TIMER_MS_MAX));
    timer.unref();
    return () => {
      clearTimeout(timer);
    };
  },
  soon(fn) {
    setImmediate(fn);
  },
};

/**
 * Keeps the process alive until the returned function is called. The clock's timers do not, so code that only waits
 * for time would let the process end: a start that waits for NATS before anything listens, or the last part of a stop.
 */
export function holdProcess(): () => void {
  // Any period would do.
  const timer = setInterval(() => {}, TIMER_MS_MAX);
  return () => {
    clearInterval(timer);
  };
}

/** Resolves in the next turn of the event loop. */
export function nextTurn(clock: Clock): Promise<void> {
  return new Promise((resolve) => {
    clock.soon(resolve);
  });
}

/** Resolves after `ms`. */
export function sleep(clock: Clock, ms: number): Promise<void> {
  return new Promise((resolve) => {
    clock.setTimer(ms, resolve);
  });
}

/** The value of `promise`, or `fallback` if it takes longer than `ms`. A rejection is passed on. */
export async function within<T>(
  clock: Clock,
  ms: number,
  promise: Promise<T>,
  fallback: T,
): Promise<T> {
  let cancel: CancelTimer = () => {};
  const late = new Promise<T>((resolve) => {
    cancel = clock.setTimer(ms, () => {
      resolve(fallback);
    });
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    cancel();
  }
}
