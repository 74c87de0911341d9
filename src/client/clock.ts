/** The client's own clock: it runs in browsers, where the gateway's does not, and tests can replace it. */

/** The longest wait of a timer, in milliseconds, and the largest value of every numeric option. */
export const NUMBER_MAX = 0x7fffffff;

export type ClientClock = {
  /** Milliseconds that never go back. */
  now(): number;
  /** Calls `fn` once, `ms` from now; the returned function cancels that. */
  setTimer(ms: number, fn: () => void): () => void;
};

export const realClock: ClientClock = {
  now: () => performance.now(),
  setTimer(ms, fn) {
    const timer = setTimeout(fn, Math.min(ms, NUMBER_MAX));
    return () => {
      clearTimeout(timer);
    };
  },
};
