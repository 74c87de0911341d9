/**
 * The order of one session's messages to one backend.
 *
 * Messages start in the order in which they came. One that is `exclusive` starts only when no other exclusive
 * one is in flight; whatever comes behind a waiting one waits too, so nothing overtakes.
 */

import type { ClosedSession } from '../contract/facts.ts';

/** One session at one backend, as the upstream keeps it between messages: where they go, and what they say of it. */
export interface BackendSession {
  /** Where the backend has had messages of it, first where it keeps to; none: it has had none. For another process. */
  readonly places: readonly string[];
  /** The session has ended: its state is dropped, and the backend is notified if it has had messages of the session. */
  forget(closed: ClosedSession): void;
}

/** What carries messages that it does not answer: a notify, or a request that was given up after it was sent. */
export interface Carried {
  /** Nothing that it carried can arrive any more. */
  readonly ended: boolean;
  /** Calls `done` once all that was sent until now has been received, or it has ended; perhaps before it returns. */
  whenReceived(done: () => void): void;
}

/** A message that may have to wait for its turn. */
export interface Queued {
  /** One in flight per lane at a time. */
  readonly exclusive: boolean;
  /** May pass those that wait: the route asked for no order. */
  readonly unordered: boolean;
  /** The turn has come. */
  start(): void;
}

export class Lane {
  /** Messages sent and not yet done. */
  inFlight = 0;
  /** Owned by the upstream; null: the session has had no messages there. */
  backendSession: BackendSession | null = null;
  #exclusiveInFlight = false;
  #waiting: Queued[] = [];
  #head = 0;
  #starting = false;
  #isPaused = false;
  #onEmpty: (() => void) | null = null;
  /** The lane before it has messages that have not ended; nothing starts in its turn until they have. */
  #isFollowing = false;
  /** Those that follow it. */
  #followers: Lane[] = [];
  /** What may still have messages on the way that are done with here: another way would overtake them. */
  #onTheWay: readonly Carried[] = [];

  get waiting(): number {
    return this.#waiting.length - this.#head;
  }

  /** Starts `message` now or in its turn. */
  enter(message: Queued): void {
    if (message.unordered || (this.waiting === 0 && this.#mayStart(message))) {
      this.#start(message);
      return;
    }
    this.#waiting.push(message);
  }

  /** A started message is done: the next ones may start. */
  leave(message: Queued): void {
    this.inFlight--;
    if (message.exclusive && !message.unordered) this.#exclusiveInFlight = false;
    this.#advance();
  }

  /** Takes out a message that has not started. */
  abandon(message: Queued): void {
    const at = this.#waiting.indexOf(message, this.#head);
    if (at < 0) return;
    this.#waiting.splice(at, 1);
    this.#advance();
  }

  /** Nothing more starts in its turn until `resume`: what has started last is not sent yet. */
  pause(): void {
    this.#isPaused = true;
  }

  resume(): void {
    this.#isPaused = false;
    this.#advance();
  }

  /** A message was sent by `way` that will not be answered. */
  unanswered(way: Carried): void {
    if (this.#onTheWay.includes(way)) return;
    this.#onTheWay = [...this.#onTheWay.filter(({ ended }) => !ended), way];
  }

  /** A message that was sent and is not answered may still be on its way. */
  get isAwaitingReceipt(): boolean {
    return this.#onTheWay.length > 0 && this.#onTheWay.some(({ ended }) => !ended);
  }

  /**
   * Nothing starts until nothing is in flight, and what is not answered has been received; then `onEmpty` is called, and
   * it goes on.
   */
  holdUntilEmpty(onEmpty: () => void): void {
    this.#onEmpty = onEmpty;
    this.#advance();
  }

  /** Nothing starts until nothing is in flight, nor on the way. */
  hold(): void {
    if (this.#onEmpty === null) this.holdUntilEmpty(nothing);
  }

  /**
   * What comes here was sent after everything in `before`, which gets nothing more, and must not overtake it: its backend
   * was replaced by this one's.
   */
  follow(before: Lane): void {
    if (before.isAwaitingReceipt) before.hold();
    if (before.isQuiet) return;
    this.#isFollowing = true;
    before.#followers.push(this);
  }

  /** Nothing is in flight or waits, and nothing has to end before the next message starts. */
  get isQuiet(): boolean {
    return this.inFlight === 0 && this.waiting === 0 && !this.#isFollowing;
  }

  #letGo(): void {
    if (!this.isQuiet) return;
    for (const follower of this.#followers.splice(0)) {
      follower.#isFollowing = false;
      follower.#advance();
    }
  }

  #mayStart(message: Queued): boolean {
    if (this.#isFollowing || this.#isPaused || this.#onEmpty !== null) return false;
    return !message.exclusive || !this.#exclusiveInFlight;
  }

  #start(message: Queued): void {
    this.inFlight++;
    if (message.exclusive && !message.unordered) this.#exclusiveInFlight = true;
    message.start();
  }

  #advance(): void {
    // A message may end while it is being started; the loop that started it goes on.
    if (this.#starting) return;
    if (this.waiting > 0 || this.#onEmpty !== null) this.#startNext();
    if (this.#followers.length > 0) this.#letGo();
  }

  /** What is on the way counts as in flight, until it has been received. */
  #settle(): void {
    for (const way of this.#onTheWay) {
      this.inFlight++;
      way.whenReceived(() => {
        this.inFlight--;
        this.#advance();
      });
    }
    this.#onTheWay = [];
  }

  #startNext(): void {
    this.#starting = true;
    do {
      if (this.#onEmpty !== null && this.inFlight === 0) this.#settle();
      if (this.#onEmpty !== null && this.inFlight === 0) {
        const onEmpty = this.#onEmpty;
        this.#onEmpty = null;
        onEmpty();
      }
      while (this.waiting > 0 && this.#mayStart(this.#waiting[this.#head]!)) {
        const next = this.#waiting[this.#head]!;
        this.#head++;
        this.#start(next);
      }
      // One that has just started may hold the lane, and end.
    } while (this.#onEmpty !== null && this.inFlight === 0);
    if (this.#head === this.#waiting.length) {
      this.#waiting.length = 0;
      this.#head = 0;
    } else if (this.#head > 64) {
      this.#waiting.splice(0, this.#head);
      this.#head = 0;
    }
    this.#starting = false;
  }
}

function nothing(): void {}
