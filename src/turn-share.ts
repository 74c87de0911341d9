/**
 * How much of one kind of work a turn of the event loop may do. What is more waits for the next turns, so that nobody
 * else waits long while thousands of messages or sessions are worked through.
 */
import type { Clock } from './clock.ts';
import { Fifo } from './fifo.ts';

export class TurnShare {
  readonly #clock: Clock;
  readonly #perTurn: number;
  #spent = 0;
  #isTurnComing = false;
  readonly #waiting = new Fifo<() => void>();

  /** @param perTurn `limits.fanout.per_turn`: writes of a short message to a client, or what costs as much. */
  constructor(clock: Clock, perTurn: number) {
    this.#clock = clock;
    this.#perTurn = perTurn;
  }

  /** Nothing more should be done in this turn. */
  get isSpent(): boolean {
    return this.#spent >= this.#perTurn;
  }

  /** Whether `cost` fits into what is left of this turn. */
  hasRoom(cost: number): boolean {
    return this.#spent + cost <= this.#perTurn;
  }

  /** Something is done now. It may be more than is left: whoever can wait asks first. */
  spend(cost: number): void {
    this.#spent += cost;
    this.#awaitTurn();
  }

  /**
   * Calls `fn` in the next turn, or in the first one whose share those before it have not spent. It spends what it
   * does before it returns.
   */
  soon(fn: () => void): void {
    this.#waiting.push(fn);
    this.#awaitTurn();
  }

  /** Resolves then; what it costs is spent first. */
  turn(cost = 0): Promise<void> {
    return new Promise((resolve) => {
      this.soon(() => {
        this.#spent += cost;
        resolve();
      });
    });
  }

  #awaitTurn(): void {
    if (this.#isTurnComing) return;
    this.#isTurnComing = true;
    this.#clock.soon(this.#onTurn);
  }

  readonly #onTurn = (): void => {
    this.#isTurnComing = false;
    this.#spent = 0;
    // Those that ask meanwhile come in the next turn.
    for (let due = this.#waiting.length; due > 0 && !this.isSpent; due--) this.#waiting.take()!();
    if (this.#waiting.length > 0) this.#awaitTurn();
  };
}
