/** A clock whose turns of the event loop are taken when a test says so. */
import { ManualClock } from './clock.ts';

/** More turns than any test needs: what goes on for ever is a fault. */
const TURNS_MAX = 100_000;

export class TurnClock extends ManualClock {
  #due: (() => void)[] = [];

  override soon(fn: () => void): void {
    this.#due.push(fn);
  }

  /** Takes one turn: what was asked for before it. False: there was nothing. */
  turn(): boolean {
    const due = this.#due;
    this.#due = [];
    for (const fn of due) fn();
    return due.length > 0;
  }

  /** Takes turns until nothing is left to do. */
  settle(): void {
    for (let turns = 0; this.turn(); turns++)
      if (turns > TURNS_MAX) throw new Error(`not settled in ${TURNS_MAX} turns`);
  }
}
