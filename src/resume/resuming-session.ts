/** A session whose client has asked for tokens: when it gets the next one, and what that says. */
import type { Clock } from '../clock.ts';
import { isFailure } from '../errors.ts';
import type { Random } from '../random.ts';
import type { FrozenResuming } from '../session/frozen.ts';
import type { Session } from '../session/session.ts';
import type { Resuming } from '../session/session-record.ts';
import { Timeout, type TimerWheel } from '../timer-wheel.ts';
import { type ResumeState, stateBytes } from './resume-state.ts';
import type { TokenBox } from './token-box.ts';
import type { TokenQueue } from './token-queue.ts';

/** The route of the push that brings a new token. */
export const RESUME_ROUTE = 'pith.resume';
/** Between two tokens of a session, except for one right before a close. */
export const TOKEN_EVERY_MS = 1_000;
/** The part of its time after which a token is replaced, at the latest. */
const RENEW_AT = 1 / 4;
/** The same, less by up to this part of it, so that those who came together do not stay together. */
const SPREAD = 1 / 4;

/** Of an unsent token and the next only the next is sent. */
const NEWEST = { droppable: false, expiresAt: Infinity, latestKey: RESUME_ROUTE };

export type TokenParts = {
  readonly windowMs: number;
  readonly box: TokenBox;
  readonly queue: TokenQueue;
  readonly clock: Clock;
  readonly wheel: TimerWheel;
  readonly random: Random;
  readonly owner: TokenOwner;
};

/** Who keeps account of the tokens of all sessions. */
export interface TokenOwner {
  /** A token was made, or the session has too much in it for one. */
  counted(session: ResumingSession, outcome: 'made' | 'too_large'): void;
  /** The tokens that were made so far are void. */
  revoke(session: ResumingSession): void;
}

export class ResumingSession implements Resuming {
  readonly session: Session;
  readonly lineage: string;
  readonly resumedFrom: string;
  /** Of the last token. */
  counter: number;
  /** There was too much in it for the last one. */
  isTooLarge = false;
  /** When what its backend has granted ends, on the monotonic clock. */
  #grantedUntil = Infinity;
  readonly #parts: TokenParts;
  readonly #timeout: Timeout;
  readonly #make = (): void => {
    this.renew();
  };
  /** When the last token was made, on the monotonic clock. */
  #madeAt = -Infinity;
  /** A token is due because something has changed. */
  #isStale = false;
  #hasEnded = false;

  /** @param from What it goes on from; null: it is the first. */
  constructor(
    parts: TokenParts,
    session: Session,
    from: Pick<ResumeState, 'lineage' | 'counter' | 'sid'> | null,
  ) {
    this.#parts = parts;
    this.session = session;
    this.lineage = from?.lineage ?? session.sid;
    this.counter = from?.counter ?? 0;
    this.resumedFrom = from?.sid ?? '';
    this.#timeout = new Timeout(() => {
      parts.queue.add(this.#make);
    });
  }

  /** For another process. */
  freeze(): Omit<FrozenResuming, 'cameWith'> {
    const now = this.#parts.clock.now();
    const { lineage, resumedFrom, counter, isTooLarge } = this;
    return {
      ...{ lineage, resumedFrom, counter, isTooLarge, isStale: this.#isStale },
      grantedMs: this.#grantedUntil === Infinity ? null : this.#grantedUntil - now,
      madeMs: this.#madeAt === -Infinity ? null : now - this.#madeAt,
      dueMs: this.#parts.wheel.leftMs(this.#timeout),
    };
  }

  thaw({ counter, isTooLarge, isStale, grantedMs, madeMs, dueMs }: FrozenResuming): void {
    const now = this.#parts.clock.now();
    this.counter = counter;
    this.isTooLarge = isTooLarge;
    this.#isStale = isStale;
    this.#grantedUntil = grantedMs === null ? Infinity : now + grantedMs;
    this.#madeAt = madeMs === null ? -Infinity : now - madeMs;
    if (madeMs !== null) this.#parts.wheel.set(this.#timeout, dueMs);
  }

  /** Its tokens end by then, too. @param at On the monotonic clock; Infinity: never. */
  grantedUntil(at: number): void {
    this.#grantedUntil = at;
    this.changed();
  }

  changed(): void {
    // Until the first token there is nothing to replace.
    if (this.#isStale || this.#hasEnded || this.#madeAt === -Infinity) return;
    this.#isStale = true;
    this.#parts.wheel.setAt(this.#timeout, this.#madeAt + TOKEN_EVERY_MS);
  }

  unbound(): void {
    this.#parts.owner.revoke(this);
  }

  renew(): void {
    if (this.#hasEnded) return;
    const made = this.next();
    if (made === null) return;
    const body = Buffer.from(JSON.stringify({ token: made.token, expires_in: made.expiresIn }));
    const encoded = this.session.wire.push(RESUME_ROUTE, body);
    if (!isFailure(encoded)) this.session.push(encoded, NEWEST);
  }

  /** Makes the next token; null: there is too much in the session for one. @returns `expiresIn` in whole seconds. */
  next(): { readonly token: string; readonly expiresIn: number } | null {
    const { box, clock, wheel, random, windowMs, owner } = this.#parts;
    const now = clock.now();
    const leftMs = Math.max(0, Math.min(windowMs, this.#grantedUntil - now));
    const token = box.seal(stateBytes(this.#state(leftMs)));
    this.#madeAt = now;
    this.#isStale = false;
    const renewMs = windowMs * RENEW_AT * (1 - SPREAD * random.number());
    wheel.set(this.#timeout, Math.max(TOKEN_EVERY_MS, renewMs));
    owner.counted(this, token === null ? 'too_large' : 'made');
    this.isTooLarge = token === null;
    return token === null ? null : { token, expiresIn: Math.floor(leftMs / 1_000) };
  }

  /** The session has ended. */
  end(): void {
    this.#hasEnded = true;
    this.#parts.wheel.cancel(this.#timeout);
  }

  #state(leftMs: number): ResumeState {
    const { clock } = this.#parts;
    const { sid, uid, boundAtWall, data, groups, groupEnds, kept } = this.session;
    const wallNow = clock.wallNow();
    return {
      ...{ lineage: this.lineage, counter: ++this.counter, sid, uid, boundAtWall, data },
      issuedAtWall: wallNow,
      expiresAtWall: wallNow + Math.floor(leftMs),
      groups: [...groups].map((name) => {
        const groupMs = groupEnds?.leftMs(name) ?? Infinity;
        return { name, endsAtWall: groupMs === Infinity ? 0 : Math.ceil(wallNow + groupMs) };
      }),
      kept: kept === null ? null : { seq: kept.seq, since: kept.since },
    };
  }
}
