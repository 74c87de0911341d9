/** Keeps the log readable, and the disk from filling up, when the same thing goes wrong over and over. */
import type { Clock } from '../clock.ts';

/** How many log lines of one kind there may be in how many milliseconds. */
const LINES_MAX = 5;
const PERIOD_MS = 10_000;
/** While there are this many kinds, lines of new kinds are dropped. */
const KINDS_MAX = 1_000;

/**
 * Lets the first lines of each kind in each period through, and counts the others. There are few kinds: callers never
 * derive one from untrusted input.
 */
export class LogThrottle {
  readonly #clock: Clock;
  readonly #kinds = new Map<string, { since: number; lines: number; leftOut: number }>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Fields to add to the line: how many were dropped before it. null: drop this line. */
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

  /** Removes quiet kinds: addresses come and go over months. */
  #forget(now: number): void {
    for (const [kind, { since }] of this.#kinds)
      if (now >= since + PERIOD_MS) this.#kinds.delete(kind);
  }
}
