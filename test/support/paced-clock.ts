/** A clock set by hand, for what has pauses and deadlines at once. */
import type { CancelTimer } from '../../src/clock.ts';
import { ManualClock } from './clock.ts';
import { eventually } from './wait.ts';

/** Tells which timers are armed, so that a test lets exactly a pause go by and never a deadline. */
export class PacedClock extends ManualClock {
  readonly #armed = new Map<() => void, number>();

  override setTimer(ms: number, fn: () => void): CancelTimer {
    const fire = (): void => {
      this.#armed.delete(fire);
      fn();
    };
    this.#armed.set(fire, ms);
    const cancel = super.setTimer(ms, fire);
    return () => {
      this.#armed.delete(fire);
      cancel();
    };
  }

  /** Waits for a timer of such a length, and lets it fire. */
  async pass(isIt: (ms: number) => boolean): Promise<void> {
    const ms = await eventually(() => [...this.#armed.values()].find(isIt), 'a pause');
    this.advance(ms);
  }
}
