/** The client's own time: it runs in browsers, where the gateway's clock does not, and a test can own it. */

/** The longest wait that a timer can be set to, in ms; and of every option that is a number. */
export const NUMBER_MAX = 0x7fffffff;

export type ClientClock = {
  /** Milliseconds that never go back. */
  now(): number;
  /** Calls `fn` once, `ms` from now; the result stops that. */
  setTimer(ms: number, fn: () => void): () => void;
};

export const realClock: ClientClock = {
  // oxlint-disable-next-line no-restricted-properties -- the only place of the client that reads the clock
  now: () => performance.now(),
  setTimer(ms, fn) {
    // oxlint-disable-next-line no-restricted-globals -- the only place of the client that sets a timer
    const timer = setTimeout(fn, Math.min(ms, NUMBER_MAX));
    return () => {
      clearTimeout(timer);
    };
  },
};
