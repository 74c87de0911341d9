/** A clock that moves only when a test says so. Turns of the event loop are Node's: a test awaits those. */
import type { CancelTimer, Clock } from '../../src/clock.ts';

type Timer = { readonly dueMs: number; readonly fn: () => void };

export class ManualClock implements Clock {
  #nowMs: number;
  /** What wall time has ahead of `now()`. */
  readonly #epochMs: number;
  readonly #timers = new Set<Timer>();

  /** @param nowMs what `now()` begins with. Wall time begins at 2026-01-01T00:00:00Z. */
  constructor(nowMs = 0) {
    this.#nowMs = nowMs;
    this.#epochMs = Date.UTC(2026, 0, 1) - nowMs;
  }

  now(): number {
    return this.#nowMs;
  }

  wallNow(): number {
    return this.#epochMs + this.#nowMs;
  }

  setTimer(ms: number, fn: () => void): CancelTimer {
    const timer = { dueMs: this.#nowMs + Math.max(ms, 0), fn };
    this.#timers.add(timer);
    return () => {
      this.#timers.delete(timer);
    };
  }

  soon(fn: () => void): void {
    setImmediate(fn);
  }

  /** Timers that are armed. */
  get timerCount(): number {
    return this.#timers.size;
  }

  /** Lets `ms` go by: every timer fires at its own time, those set on the way too. */
  advance(ms: number): void {
    const endMs = this.#nowMs + ms;
    for (let timer = this.#next(endMs); timer !== null; timer = this.#next(endMs)) {
      this.#timers.delete(timer);
      this.#nowMs = Math.max(this.#nowMs, timer.dueMs);
      timer.fn();
    }
    this.#nowMs = endMs;
  }

  /** As when the process was stopped for `ms`: only then do the timers fire that were due, all of them late. */
  jump(ms: number): void {
    this.#nowMs += ms;
    this.advance(0);
  }

  /** The timer that is due first, and of those the one that was set first. */
  #next(endMs: number): Timer | null {
    let next: Timer | null = null;
    for (const timer of this.#timers) {
      if (timer.dueMs <= endMs && (next === null || timer.dueMs < next.dueMs)) next = timer;
    }
    return next;
  }
}
