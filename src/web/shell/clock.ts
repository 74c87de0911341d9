/** Time in the pages. */

/** Milliseconds since the Unix epoch. */
export function now(): number {
  return Date.now();
}

/** Milliseconds that never go back, with fractions. */
export function monotonicMs(): number {
  return performance.now();
}

/** Calls `fn` once, `ms` from now; the returned function cancels that. */
export function after(ms: number, fn: () => void): () => void {
  const timer = setTimeout(fn, ms);
  return () => {
    clearTimeout(timer);
  };
}

/** Calls `fn` every `ms`, until the returned function is called. */
export function every(ms: number, fn: () => void): () => void {
  const timer = setInterval(fn, ms);
  return () => {
    clearInterval(timer);
  };
}

/** Aborts `ms` from now. */
export function abortedAfter(ms: number): AbortSignal {
  const abort = new AbortController();
  after(ms, () => abort.abort());
  return abort.signal;
}
