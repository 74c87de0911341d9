/** Finds out when all that was sent on a link has been received, for sessions that are to go another way. */

/** What carries it. */
export interface Sender {
  /** Bytes that have not left yet. */
  readonly unsent: number;
  /** Sends what this turn has gathered. */
  flush(): void;
}

export class Receipts {
  readonly #sender: Sender;
  readonly #roundTrip: (done: () => void) => void;
  /** For the next round trip. */
  #waiting: (() => void)[] = [];
  #isUnderWay = false;

  /** @param roundTrip Calls `done` once the peer has received what left before; never if the connection ends. */
  constructor(sender: Sender, roundTrip: (done: () => void) => void) {
    this.#sender = sender;
    this.#roundTrip = roundTrip;
  }

  /** Something is asked for, so the peer is not silent if it lives. */
  get isAwaited(): boolean {
    return this.#waiting.length > 0;
  }

  /** Calls `done` once all that was sent until now has been received, or the link has ended. */
  add(done: () => void): void {
    this.#waiting.push(done);
    this.#sender.flush();
    this.ask();
  }

  /** Also called when the system has taken something. */
  ask(): void {
    // One round trip at a time, however many sessions move.
    if (this.#waiting.length === 0 || this.#isUnderWay || this.#sender.unsent > 0) return;
    this.#isUnderWay = true;
    const asking = this.#waiting.length;
    this.#roundTrip(() => {
      this.#isUnderWay = false;
      for (const done of this.#waiting.splice(0, asking)) done();
      this.ask();
    });
  }

  /** The link has ended: nothing of it arrives any more. */
  end(): void {
    for (const done of this.#waiting.splice(0)) done();
  }
}
