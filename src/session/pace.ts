/**
 * When one after the other goes, so many a second. Each has a slot of its own and goes at a random moment in it: what
 * follows, such as clients that connect again without jitter of their own, is spread as evenly.
 */
import type { Random } from '../random.ts';

/**
 * No more than so many in any second, however late each of them comes: after a stall, or because they had to wait for
 * something, several may be due at once.
 */
export class Ceiling {
  /** When each of the last ones was done; times of the clock. */
  readonly #times: number[] = [];

  /** Whether one more may go. @param perSecond More than 0; a part of one counts over a longer time. */
  hasRoom(now: number, perSecond: number): boolean {
    const most = Math.ceil(perSecond);
    const first = this.#times.at(-most);
    return first === undefined || now - first >= (most * 1_000) / perSecond;
  }

  /** One is done. @param now Read after that, so that no second holds more wherever in it each was done. */
  count(now: number, perSecond: number): void {
    this.#times.push(now);
    const most = Math.ceil(perSecond);
    if (this.#times.length > 2 * most) this.#times.splice(0, this.#times.length - most);
  }
}

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
