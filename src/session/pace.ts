/**
 * When one after the other goes, so many a second. Each has a slot of its own and goes at a random moment in it: what
 * follows, such as clients that connect again without jitter of their own, is spread as evenly.
 */
import type { Random } from '../random.ts';

/** What was missed in a stall is made up for this far, not all at once. */
const CATCH_UP_MS = 50;

export class Pace {
  readonly #random: Random;
  /** When the next slot begins, and when in it the next one goes. Times of the clock. */
  #slotAt: number;
  #dueAt: number;

  /** The first one goes at once. */
  constructor(random: Random, now: number) {
    this.#random = random;
    this.#slotAt = now;
    this.#dueAt = now;
  }

  /** When the next one goes, on the clock. */
  get dueAt(): number {
    return this.#dueAt;
  }

  /** True for each one whose time has come. @param perSecond More than 0. */
  take(now: number, perSecond: number): boolean {
    if (now < this.#dueAt) return false;
    const slotMs = 1_000 / perSecond;
    this.#slotAt = Math.max(this.#slotAt + slotMs, now - CATCH_UP_MS);
    this.#dueAt = this.#slotAt + this.#random.number() * slotMs;
    return true;
  }
}
