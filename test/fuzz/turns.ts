/** A clock whose turns of the event loop are taken when a target says so. */
import { ManualClock } from '../support/clock.ts';

/** More turns than any input needs: what goes on for ever is a fault. */
const TURNS_MAX = 100_000;

export class TurnClock extends ManualClock {
  #due: (() => void)[] = [];

  override soon(fn: () => void): void {
    this.#due.push(fn);
  }

  /** Takes turns until nothing is left to do. */
  settle(): void {
    for (let turns = 0; this.#due.length > 0; turns++) {
      if (turns > TURNS_MAX) throw new Error(`not settled in ${TURNS_MAX} turns`);
      const due = this.#due;
      this.#due = [];
      for (const fn of due) fn();
    }
  }
}
