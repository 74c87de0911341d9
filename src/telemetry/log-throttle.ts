/** Keeps the log readable, and the disk from filling, when one thing goes wrong again and again. */
import type { Clock } from '../clock.ts';

/** How many log lines of one kind there may be in how many milliseconds. */
const SELDOM_LINES = 5;
const SELDOM_MS = 10_000;
const KINDS_MAX = 1_000;

/** Lets a few log lines of each kind through, and says how many it has left out before. Kinds are few: whoever takes makes no kind of what strangers say. */
export class LogThrottle {
  readonly #clock: Clock;
  readonly #kinds = new Map<string, { since: number; lines: number; leftOut: number }>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** What to add to the line; null: not this time. */
  take(kind: string): { leftOut?: number } | null {
    const now = this.#clock.now();
    const known = this.#kinds.get(kind);
    if (known === undefined && this.#kinds.size >= KINDS_MAX) {
      this.#forget(now);
      if (this.#kinds.size >= KINDS_MAX) return null;
    }
    if (known === undefined || now >= known.since + SELDOM_MS) {
      this.#kinds.set(kind, { since: now, lines: 1, leftOut: 0 });
      return known === undefined || known.leftOut === 0 ? {} : { leftOut: known.leftOut };
    }
    if (known.lines < SELDOM_LINES) {
      known.lines++;
      return {};
    }
    known.leftOut++;
    return null;
  }

  /** Those that are quiet; addresses come and go for months. */
  #forget(now: number): void {
    for (const [kind, { since }] of this.#kinds)
      if (now >= since + SELDOM_MS) this.#kinds.delete(kind);
  }
}
