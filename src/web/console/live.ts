/**
 * Data that stays current: a page asks again and again as long as it is looked at, says when nobody answers, and goes on
 * by itself.
 */
import { useEffect, useRef, useState } from 'preact/hooks';

import { inBackground } from '../../background.ts';
import { after, now } from '../shell/clock.ts';
import { Control, ControlError } from '../shell/control.ts';

/** How long an answer may take: a connection that is cut says nothing. */
const ANSWER_MS = 10_000;
/** After a failure. */
const RETRY_MS = 2_000;

export type Trouble = {
  readonly error: ControlError;
  /** When Control last answered, in milliseconds since the epoch; 0: never. */
  readonly lastOkAt: number;
};

/** The way to Control, and how it is. */
export class Link {
  readonly control = new Control();
  #lastOkAt = 0;
  #trouble: Trouble | null = null;
  readonly #listeners = new Set<() => void>();
  readonly #waiting = new Set<() => void>();

  get trouble(): Trouble | null {
    return this.#trouble;
  }

  listen(fn: () => void): () => void {
    this.#listeners.add(fn);
    return () => {
      this.#listeners.delete(fn);
    };
  }

  setToken(token: string): void {
    this.control.setToken(token);
    for (const again of this.#waiting) again();
  }

  /** @throws {ControlError} @throws The signal's reason. */
  async ask<T>(signal: AbortSignal, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    try {
      const found = await answered(work, signal);
      this.#lastOkAt = now();
      this.#tell(null);
      return found;
    } catch (error) {
      // What one method refuses is no trouble of the whole page.
      if (error instanceof ControlError && (error.needsToken || error.code === 0))
        this.#tell(error);
      throw error;
    }
  }

  #tell(error: ControlError | null): void {
    if (error === null && this.#trouble === null) return;
    this.#trouble = error === null ? null : { error, lastOkAt: this.#lastOkAt };
    for (const fn of this.#listeners) fn();
  }

  /** Tells of another token. */
  onToken(fn: () => void): () => void {
    this.#waiting.add(fn);
    return () => {
      this.#waiting.delete(fn);
    };
  }
}

async function answered<T>(
  work: (signal: AbortSignal) => Promise<T>,
  signal: AbortSignal,
): Promise<T> {
  const limit = new AbortController();
  const stop = (): void => {
    limit.abort(signal.reason);
  };
  signal.addEventListener('abort', stop);
  const cancel = after(ANSWER_MS, () => {
    limit.abort(new ControlError(0, 'UNREACHABLE', `no answer for ${ANSWER_MS / 1_000} seconds`));
  });
  try {
    return await work(limit.signal);
  } finally {
    cancel();
    signal.removeEventListener('abort', stop);
  }
}

export const link = new Link();

export type Live<T> = {
  /** The last that was answered; null: nothing yet. */
  readonly data: T | null;
  /** When, in milliseconds since the epoch. */
  readonly at: number;
  /** What Control has said instead of it. */
  readonly error: ControlError | null;
  readonly refresh: () => void;
};

/** Asks now, and every `everyMs` while the page is looked at. @param key What is asked: with another one it begins anew. */
export function useLive<T>(
  key: string,
  work: (signal: AbortSignal) => Promise<T>,
  everyMs: number,
): Live<T> {
  const [state, setState] = useState<{
    key: string;
    data: T | null;
    at: number;
    error: ControlError | null;
  }>({
    ...{ key, data: null, at: 0, error: null },
  });
  const refresh = useRef<() => void>(() => {});
  const latest = useRef(work);
  latest.current = work;
  useEffect(() => {
    const end = new AbortController();
    let cancel = (): void => {};
    let isAsking = false;
    const ask = async (): Promise<void> => {
      cancel();
      if (isAsking || end.signal.aborted || document.hidden) return;
      isAsking = true;
      let waitMs = everyMs;
      try {
        const data = await link.ask(end.signal, (signal) => latest.current(signal));
        setState({ key, data, at: now(), error: null });
      } catch (error) {
        if (end.signal.aborted) return;
        const known = asControlError(error);
        // Another token begins it again, see `onToken`.
        waitMs = known.needsToken ? Infinity : Math.max(everyMs, RETRY_MS);
        setState((before) => ({
          ...(before.key === key ? before : { data: null, at: 0 }),
          key,
          error: known,
        }));
      } finally {
        isAsking = false;
      }
      if (!end.signal.aborted && waitMs < Infinity) cancel = after(waitMs, go);
    };
    const go = (): void => {
      inBackground(ask(), () => {});
    };
    refresh.current = go;
    document.addEventListener('visibilitychange', go);
    const deaf = link.onToken(go);
    go();
    return () => {
      end.abort(new DOMException('left', 'AbortError'));
      cancel();
      deaf();
      document.removeEventListener('visibilitychange', go);
    };
  }, [key, everyMs]);
  const isCurrent = state.key === key;
  return {
    data: isCurrent ? state.data : null,
    at: isCurrent ? state.at : 0,
    error: isCurrent ? state.error : null,
    refresh: () => {
      refresh.current();
    },
  };
}

/** One method that answers once. */
export function useMethod<T>(method: string, request: object, everyMs: number): Live<T> {
  const key = `${method} ${JSON.stringify(request)}`;
  return useLive(key, (signal) => link.control.call<T>(method, request, { signal }), everyMs);
}

/** One method that answers in a stream, all of it. */
export function useList<T>(method: string, request: object, everyMs: number): Live<readonly T[]> {
  const key = `${method} ${JSON.stringify(request)}`;
  const work = async (signal: AbortSignal): Promise<T[]> => {
    const all: T[] = [];
    for await (const one of link.control.stream<T>(method, request, { signal })) all.push(one);
    return all;
  };
  return useLive(key, work, everyMs);
}

export function asControlError(error: unknown): ControlError {
  return error instanceof ControlError
    ? error
    : new ControlError(0, 'UNEXPECTED', error instanceof Error ? error.message : 'unknown trouble');
}

/** What it was, and is, over time: for rates of counters that only grow. */
export function useBefore<T>(
  value: T | null,
  at: number,
): { readonly before: T | null; readonly ms: number } {
  const kept = useRef<{ value: T | null; at: number; before: T | null; ms: number }>({
    ...{ value: null, at: 0, before: null, ms: 0 },
  });
  const { current } = kept;
  if (value !== null && at !== current.at)
    kept.current = { value, at, before: current.value, ms: at - current.at };
  const { before, ms } = kept.current;
  return { before, ms };
}

/** How often a second a counter grew; 0 where it is not known, or began anew. */
export function perSecond(value: number, before: number | undefined, ms: number): number {
  return before === undefined || ms <= 0 ? 0 : Math.max(0, ((value - before) * 1_000) / ms);
}
