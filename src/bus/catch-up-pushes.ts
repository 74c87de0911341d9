/** Pushes that go to a client before all else that is for it: that waits until they are there, or for a while. */
import type { Encoded } from '../protocol/packet.ts';
import { ENTRY_BYTES } from '../session/outbox-queue.ts';
import type { Session } from '../session/session.ts';
import { Timeout, type TimerWheel } from '../timer-wheel.ts';

/** How long everything else waits. */
export const HOLD_MS_MAX = 2_000;

export class CatchUpPushes {
  readonly #session: Session;
  readonly #wheel: TimerWheel;
  readonly #bytesMax: number;
  readonly #encoded: Encoded[] = [];
  #bytes = 0;
  /** The same with what each takes besides. */
  #countedBytes = 0;
  readonly #until = new Timeout(() => {
    this.release();
  });
  #isReleased = false;

  /** Holds everything back from now on. @param bytesMax As soon as more than these are held, they go out. */
  constructor(session: Session, wheel: TimerWheel, bytesMax: number) {
    this.#session = session;
    this.#wheel = wheel;
    this.#bytesMax = bytesMax;
    session.outbox.cork();
    wheel.set(this.#until, HOLD_MS_MAX);
  }

  /** What comes now goes out like anything else. */
  get isReleased(): boolean {
    return this.#isReleased;
  }

  put(encoded: Encoded): void {
    this.#encoded.push(encoded);
    this.#bytes += encoded.length;
    this.#countedBytes += encoded.length + ENTRY_BYTES;
    this.#session.outbox.holdBeside(encoded.length + ENTRY_BYTES);
    if (this.#bytes > this.#bytesMax) this.release();
  }

  /** Harmless to repeat. */
  release(): void {
    if (this.#isReleased) return;
    this.#isReleased = true;
    this.#wheel.cancel(this.#until);
    const { outbox } = this.#session;
    outbox.holdBeside(-this.#countedBytes);
    outbox.putFirst(this.#encoded.splice(0));
    outbox.uncork();
  }
}
