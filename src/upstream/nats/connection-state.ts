/** Whether there is a connection to NATS, and who is told when that changes. */
import type { CancelTimer, Clock } from '../../clock.ts';

/**
 * Requests that come after a connection was lost wait this long for another, instead of being refused: in a cluster it is
 * there within a few milliseconds, and a server that is started again needs a second.
 */
export const NATS_HOLD_MS = 2_000;

/** A part that acts when the state of the connection changes. */
export interface ConnectionListener {
  /** Connected; `first`: for the first time. */
  onUp?(first: boolean): void;
  /** The connection is lost, or was closed by the gateway. */
  onDown?(): void;
  /** It is still lost, NATS_HOLD_MS later: what was to wait for it need not wait longer. */
  onAway?(): void;
  /** Another connection is used, without one being lost. What was published to the gateway in between was missed. */
  onMoved?(): void;
  /** NATS has taken what it was given: there is room again. */
  onRoom?(): void;
}

export class ConnectionState {
  readonly #clock: Clock;
  readonly #listeners: ConnectionListener[] = [];
  #up = false;
  #everUp = false;
  #isClosing = false;
  /** Not null: it was lost less than NATS_HOLD_MS ago. */
  #stopWaiting: CancelTimer | null = null;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  listen(listener: ConnectionListener): void {
    this.#listeners.push(listener);
  }

  get up(): boolean {
    return this.#up;
  }

  get everUp(): boolean {
    return this.#everUp;
  }

  get mayBeBack(): boolean {
    return this.#stopWaiting !== null;
  }

  setUp(): void {
    const first = !this.#everUp;
    this.#waitNoLonger();
    this.#up = true;
    this.#everUp = true;
    for (const listener of this.#listeners) listener.onUp?.(first);
  }

  /** False: it was down already. */
  setDown(): boolean {
    if (!this.#up) return false;
    this.#up = false;
    if (!this.#isClosing)
      this.#stopWaiting = this.#clock.setTimer(NATS_HOLD_MS, () => {
        this.#stopWaiting = null;
        for (const listener of this.#listeners) listener.onAway?.();
      });
    for (const listener of this.#listeners) listener.onDown?.();
    return true;
  }

  moved(): void {
    for (const listener of this.#listeners) listener.onMoved?.();
  }

  hasRoom(): void {
    for (const listener of this.#listeners) listener.onRoom?.();
  }

  /** The gateway stops: there will be no other connection. */
  close(): void {
    this.#isClosing = true;
    if (!this.mayBeBack) return;
    this.#waitNoLonger();
    for (const listener of this.#listeners) listener.onAway?.();
  }

  #waitNoLonger(): void {
    this.#stopWaiting?.();
    this.#stopWaiting = null;
  }
}
