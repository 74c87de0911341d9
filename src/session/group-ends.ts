/** When memberships of one session end by themselves. Made for sessions that have such memberships, and no others. */
import { Timeout, type TimerWheel } from '../timer-wheel.ts';

export class GroupEnds {
  readonly #wheel: TimerWheel;
  readonly #leave: (group: string) => void;
  readonly #ends = new Map<string, Timeout>();

  /** @param leave Called when a membership ends. */
  constructor(wheel: TimerWheel, leave: (group: string) => void) {
    this.#wheel = wheel;
    this.#leave = leave;
  }

  /** Memberships that will end. */
  get size(): number {
    return this.#ends.size;
  }

  /** Milliseconds until it ends; Infinity: it does not by itself. */
  leftMs(group: string): number {
    const end = this.#ends.get(group);
    return end === undefined ? Infinity : this.#wheel.leftMs(end);
  }

  /** It ends in `ms` milliseconds, whatever was said of it before. */
  set(group: string, ms: number): void {
    let end = this.#ends.get(group);
    if (end === undefined) {
      end = new Timeout(() => {
        this.#ends.delete(group);
        this.#leave(group);
      });
      this.#ends.set(group, end);
    }
    this.#wheel.set(end, ms);
  }

  /** It does not end by itself; or it has ended otherwise. */
  delete(group: string): void {
    const end = this.#ends.get(group);
    if (end === undefined) return;
    this.#wheel.cancel(end);
    this.#ends.delete(group);
  }

  /** The session has ended. */
  clear(): void {
    for (const end of this.#ends.values()) this.#wheel.cancel(end);
    this.#ends.clear();
  }
}
