/** How a way is left: new work goes elsewhere, and when nothing is in flight any more its link may end. */
import { Timeout, type TimerWheel } from '../../timer-wheel.ts';

/** How often a way that is being left is looked at. */
const IDLE_LOOK_MS = 20;

/** The way, as it is while it is being left. */
export interface Left {
  readonly serves: boolean;
  /** Nothing is in flight, and no session keeps to it. */
  readonly isIdle: boolean;
  /** It serves by a link. */
  readonly hasLink: boolean;
  endLink(): void;
}

export class Leaving {
  /** No new work is wanted. */
  isLeaving = false;
  readonly #wheel: TimerWheel;
  readonly #way: Left;
  readonly #look: Timeout;
  /** Set while the way is left for good. */
  #onIdle: (() => void) | null = null;

  constructor(wheel: TimerWheel, way: Left) {
    this.#wheel = wheel;
    this.#way = way;
    this.#look = new Timeout(() => {
      this.look();
    });
  }

  /** It will not serve again. */
  get isForGood(): boolean {
    return this.#onIdle !== null;
  }

  begin(): void {
    this.isLeaving = true;
    this.look();
  }

  /** Resolves when the way is idle, or lost. */
  async idle(begin: () => void): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#onIdle = resolve;
      begin();
    });
  }

  /** A new attempt to connect: the backend may be another one by now. */
  beginAgain(): void {
    if (!this.isForGood) this.isLeaving = false;
  }

  look(): void {
    const { isIdle, serves, hasLink } = this.#way;
    const onIdle = this.#onIdle;
    if (onIdle === null && !hasLink) return;
    if (!isIdle && serves) {
      this.#wheel.set(this.#look, IDLE_LOOK_MS);
    } else if (onIdle === null) {
      this.#way.endLink();
    } else {
      this.#onIdle = null;
      onIdle();
    }
  }

  stop(): void {
    this.#wheel.cancel(this.#look);
  }
}
