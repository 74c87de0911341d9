/** How often users have come and gone lately: a client that flaps loses its session again and again. */
import type { Clock } from '../clock.ts';

/** What is older counts no more: ends of the last one to two of these, in milliseconds. */
export const RECONNECTS_PERIOD_MS = 300_000;
/** Users whose ends are counted in one period; those that come after them are not. */
export const RECONNECTS_USERS_MAX = 10_000;

export class Reconnects {
  readonly #clock: Clock;
  #since = 0;
  /** Ends of sessions by uid, in this period and in the one before. */
  #now = new Map<string, number>();
  #before = new Map<string, number>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** A session of this user has ended; '': of none. */
  ended(uid: string): void {
    if (uid === '') return;
    this.#turn();
    const count = this.#now.get(uid);
    if (count !== undefined || this.#now.size < RECONNECTS_USERS_MAX)
      this.#now.set(uid, (count ?? 0) + 1);
  }

  /** Sessions of this user that have ended in the last five to ten minutes. */
  of(uid: string): number {
    if (uid === '') return 0;
    this.#turn();
    return (this.#now.get(uid) ?? 0) + (this.#before.get(uid) ?? 0);
  }

  #turn(): void {
    const periods = Math.floor((this.#clock.now() - this.#since) / RECONNECTS_PERIOD_MS);
    if (periods === 0) return;
    this.#since += periods * RECONNECTS_PERIOD_MS;
    this.#before = periods === 1 ? this.#now : new Map();
    this.#now = new Map();
  }
}
