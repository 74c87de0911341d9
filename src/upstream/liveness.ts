/**
 * Finds out that a peer is gone although its connection looks open: a machine that lost power, a network that
 * forgot the flow. Nobody ever says so; all there is to see is that nothing comes any more.
 *
 * From the moment that something was sent until something is heard and nothing is awaited, the connection is looked
 * at. A peer that is silent is asked for a sign of life after a third of the time, once more after two thirds, and
 * given up when the time is over. A connection that nobody uses is left in peace.
 */
import { Timeout, type TimerWheel } from '../timer-wheel.ts';

/** Looks in the time after which a silent peer is dead, so that is found at most a sixth of it too late. */
const LOOKS = 6;
/** At which of them a silent peer is asked. */
const ASK_AT: ReadonlySet<number> = new Set([LOOKS / 3, (2 * LOOKS) / 3]);

/** A connection that is watched. */
export interface Watched {
  /** Something is due from it: more will have to be heard. */
  isAwaited(): boolean;
  /** Another number whenever something has come; bytes received, usually. */
  heard(): number;
  /** Makes it say something, if it lives. */
  ask(): void;
  /** Gives the connection up: the peer has been silent for too long. `why` is for the log. */
  giveUp(why: string): void;
}

export class Liveness {
  readonly #deadAfterMs: number;
  readonly #wheel: TimerWheel;
  readonly #peer: Watched;
  readonly #look: Timeout;
  #isWatching = false;
  #heard = 0;
  /** Looks in a row that found nothing new. */
  #silent = 0;

  /** @param deadAfterMs Milliseconds of silence; 0: never dead. */
  constructor(deadAfterMs: number, wheel: TimerWheel, peer: Watched) {
    this.#deadAfterMs = deadAfterMs;
    this.#wheel = wheel;
    this.#peer = peer;
    this.#look = new Timeout(() => {
      this.#onLook();
    });
  }

  /** Something has been sent. Costs next to nothing while it is watched already. */
  begin(): void {
    if (this.#isWatching || this.#deadAfterMs === 0) return;
    this.#isWatching = true;
    this.#heard = this.#peer.heard();
    this.#silent = 0;
    this.#wheel.set(this.#look, this.#deadAfterMs / LOOKS);
  }

  /** The connection has ended. */
  stop(): void {
    this.#isWatching = false;
    this.#wheel.cancel(this.#look);
  }

  #onLook(): void {
    const heard = this.#peer.heard();
    const isNews = heard !== this.#heard;
    this.#heard = heard;
    this.#silent = isNews ? 0 : this.#silent + 1;
    // A call whose time is over has not been answered either: only what is heard ends the watch.
    if (isNews && !this.#peer.isAwaited()) {
      this.#isWatching = false;
    } else if (this.#silent >= LOOKS) {
      this.#isWatching = false;
      const seconds = this.#deadAfterMs / 1_000;
      this.#peer.giveUp(`nothing came for ${seconds} s (dead_after) although it was asked`);
    } else {
      if (ASK_AT.has(this.#silent)) this.#peer.ask();
      this.#wheel.set(this.#look, this.#deadAfterMs / LOOKS);
    }
  }
}
