/** Whose new tokens are due: not too many are made in one turn of the event loop. */
import type { TimerWheel } from '../timer-wheel.ts';

/** Tokens that are made in one turn: about 3 ms. */
const PER_TURN = 100;

export class TokenQueue {
  readonly #wheel: TimerWheel;
  #due: (() => void)[] = [];
  #isRunning = false;

  constructor(wheel: TimerWheel) {
    this.#wheel = wheel;
  }

  /** Calls `make` soon, in the order of the calls. */
  add(make: () => void): void {
    this.#due.push(make);
    if (this.#isRunning) return;
    this.#isRunning = true;
    this.#wheel.soon(this.#run);
  }

  readonly #run = (): void => {
    for (const make of this.#due.splice(0, PER_TURN)) make();
    this.#isRunning = this.#due.length > 0;
    if (this.#isRunning) this.#wheel.soon(this.#run);
  };
}
