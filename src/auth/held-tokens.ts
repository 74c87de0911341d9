/** `auth.mode: jwt`: sessions end when their token lapses, unless their client brings a newer one in time. */
import type { CloseReason } from '../session/close-reason.ts';
import type { FrozenAuth } from '../session/frozen.ts';
import type { Session } from '../session/session.ts';
import { Timeout, type TimerWheel } from '../timer-wheel.ts';
import type { Clock } from '../clock.ts';
import type { Granted } from './jwt/claims.ts';

const EXPIRED: CloseReason = 'auth_expired';
/** Seconds that a client is told at most: clients of old read an integer of 32 bits. */
const SECONDS_MAX = 0x7fffffff;

type Held = {
  readonly holder: string;
  readonly lapse: Timeout;
};

export class HeldTokens {
  readonly #clock: Clock;
  readonly #wheel: TimerWheel;
  readonly #held = new Map<Session, Held>();

  constructor(clock: Clock, wheel: TimerWheel) {
    this.#clock = clock;
    this.#wheel = wheel;
  }

  /** Sessions with a token. */
  get size(): number {
    return this.#held.size;
  }

  /** The session has this token from now on. @param skewMs Milliseconds by which it may end later. */
  hold(session: Session, { holder, expiresAtWall }: Granted, skewMs: number): void {
    const lapse = this.#held.get(session)?.lapse ?? new Timeout(() => session.close(EXPIRED));
    this.#held.set(session, { holder, lapse });
    this.#wheel.set(lapse, expiresAtWall + skewMs - this.#clock.wallNow());
  }

  /** Whose token it has; null: it has none. */
  holderOf(session: Session): string | null {
    return this.#held.get(session)?.holder ?? null;
  }

  /** For another process; null: it has none. */
  freeze(session: Session): FrozenAuth['token'] {
    const held = this.#held.get(session);
    return held === undefined
      ? null
      : { holder: held.holder, leftMs: this.#wheel.leftMs(held.lapse) };
  }

  thaw(session: Session, { holder, leftMs }: NonNullable<FrozenAuth['token']>): void {
    const lapse = new Timeout(() => session.close(EXPIRED));
    this.#held.set(session, { holder, lapse });
    this.#wheel.set(lapse, leftMs);
  }

  /** Whole seconds that a token has left. */
  secondsLeft({ expiresAtWall }: Granted): number {
    const seconds = Math.floor((expiresAtWall - this.#clock.wallNow()) / 1_000);
    return Math.min(SECONDS_MAX, Math.max(0, seconds));
  }

  /** The session has ended. */
  forget(session: Session): void {
    const held = this.#held.get(session);
    if (held === undefined) return;
    this.#held.delete(session);
    this.#wheel.cancel(held.lapse);
  }
}
