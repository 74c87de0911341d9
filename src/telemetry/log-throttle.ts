/** Keeps the log readable, and the disk from filling, when one thing goes wrong again and again. */
import type { Clock } from '../clock.ts';

/** How many log lines of one kind there may be in how many milliseconds. */
const LINES_MAX = 5;
const PERIOD_MS = 10_000;
/** While so many kinds are heard of, no line of another is written. */
const KINDS_MAX = 1_000;

/**
 * Lets the first lines of each kind in each period through, and counts the others. Kinds are few: nobody makes one of
 * what strangers say.
 */
export class LogThrottle {
  readonly #clock: Clock;
  readonly #kinds = new Map<string, { since: number; lines: number; leftOut: number }>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** What to add to the line: how many were left out before it. null: leave this one out too. */
  allow(kind: string): { leftOut?: number } | null {
    const now = this.#clock.now();
    const known = this.#kinds.get(kind);
    if (known === undefined && this.#kinds.size >= KINDS_MAX) {
      this.#forget(now);
      if (this.#kinds.size >= KINDS_MAX) return null;
    }
    if (known === undefined || now >= known.since + PERIOD_MS) {
      this.#kinds.set(kind, { since: now, lines: 1, leftOut: 0 });
      return known === undefined || known.leftOut === 0 ? {} : { leftOut: known.leftOut };
    }
    if (known.lines < LINES_MAX) {
      known.lines++;
      return {};
    }
    known.leftOut++;
    return null;
  }

  /** Those that are quiet; addresses come and go for months. */
  #forget(now: number): void {
    for (const [kind, { since }] of this.#kinds)
      if (now >= since + PERIOD_MS) this.#kinds.delete(kind);
  }
}
