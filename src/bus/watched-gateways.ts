/** The other gateways by their signs of life: which of them are silent for too long, and who is to say so. */
import type { LostGateway } from '../contract/facts.ts';
import { type AliveFields, TERM_AHEAD_MAX } from './gateway-events.ts';

/** Gateways that are watched, those that are lost among them; those are forgotten for new ones. */
const WATCHED_MAX = 1_000;
/** A gateway that is silent for longer is lost: a second between signs, 6 s of stall or cut, and some delay. */
export const LOST_AFTER_MS = 7_500;
/** Time that one look may account for: what passed while this process was stalled says nothing about the others. */
const LOOK_MS_MAX = 1_000;
/** How much later the next oldest says it, if the oldest does not; and the others. */
const RANK_MS = 1_000;
const RANK_MS_MAX = 1_500;
/** Between two times of saying it, until it is heard. */
const AGAIN_MS = 1_000;
/** One that was silent for longer may have missed what was said, and this gateway what it has said. */
const AWAY_MS = 2_500;
/** How long one that is back has to say that it has returned, before it is told that it was lost. */
const BACK_MS = 1_000;

export type WatchedGateway = AliveFields & {
  /** Milliseconds since the epoch. */
  readonly heardAtWall: number;
  /** How long it has been silent, or if it is lost: how long it has been back. */
  silentMs: number;
  /** The term in which it is lost; 0: it is not. */
  lostTerm: number;
  /** It is lost, and was heard in the same term. */
  isBack: boolean;
  /** Announced when it is silent, or back, for this long. */
  dueMs: number;
};

const NEVER_LOST = { lostTerm: 0 };

/**
 * new: it was not known; back: it was silent for a while; returned: it was lost, and has said so; refused: there is no
 * room for another.
 */
export type Heard = 'alive' | 'new' | 'back' | 'returned' | 'refused';

export class WatchedGateways {
  readonly #own: string;
  readonly #startedAtWall: number;
  readonly #watched = new Map<string, WatchedGateway>();

  /** @param startedAtWall When this gateway was started, milliseconds since the epoch. */
  constructor(own: string, startedAtWall: number) {
    this.#own = own;
    this.#startedAtWall = startedAtWall;
  }

  /** Those that are not lost. */
  get size(): number {
    let size = 0;
    for (const { lostTerm } of this.#watched.values()) if (lostTerm === 0) size++;
    return size;
  }

  /** Nobody could be heard, which says nothing about anyone. */
  heardNothing(): void {
    for (const one of this.#watched.values()) {
      if (one.lostTerm > 0) continue;
      one.silentMs = 0;
      one.dueMs = LOST_AFTER_MS;
    }
  }

  heard(alive: AliveFields, heardAtWall: number): Heard {
    const { gateway, term } = alive;
    if (gateway === this.#own) return 'alive';
    const known = this.#watched.get(gateway);
    if (known === undefined && !this.#hasRoom()) return 'refused';
    const { lostTerm } = known ?? NEVER_LOST;
    const isLost = lostTerm > 0 && lostTerm >= term;
    if (isLost && known!.isBack) return 'alive';
    const dueMs = isLost ? BACK_MS : LOST_AFTER_MS;
    const more = { silentMs: 0, lostTerm: isLost ? lostTerm : 0, isBack: isLost, dueMs };
    const facts = known !== undefined && isLate(alive, known) ? known : alive;
    this.#watched.set(gateway, { ...facts, heardAtWall, ...more });
    if (known === undefined) return 'new';
    if (lostTerm > 0 && !isLost) return 'returned';
    return isLost || known.silentMs >= AWAY_MS ? 'back' : 'alive';
  }

  /** It has stopped in order. */
  left(gateway: unknown): void {
    if (typeof gateway === 'string') this.#watched.delete(gateway);
  }

  /**
   * Whoever has started it says that it is gone: nobody has to wait until it was silent for long. It may have died before
   * it was heard here for the first time, but not before it had sessions.
   *
   * @param nowWall Milliseconds since the epoch.
   * @returns null: that was known, or it was not heard and there is no room for another.
   */
  gone(gateway: string, sessions: number, nowWall: number): WatchedGateway | null {
    if (!this.#watched.has(gateway))
      this.heard({ gateway, sessions, seq: 0, term: 1, startedAtWall: nowWall }, nowWall);
    const known = this.#watched.get(gateway);
    if (known === undefined || known.lostTerm > 0) return null;
    known.silentMs = Math.max(known.silentMs, LOST_AFTER_MS);
    known.dueMs = known.silentMs + AGAIN_MS;
    return known;
  }

  has(gateway: string): boolean {
    return this.#watched.has(gateway);
  }

  /** Somebody has said that it is lost. False: that was known, is out of date, or cannot be. */
  lost({ gateway, term }: LostGateway): boolean {
    const known = this.#watched.get(gateway);
    if (known === undefined || known.lostTerm >= term || known.term > term) return false;
    if (term > known.term + TERM_AHEAD_MAX) return false;
    known.lostTerm = term;
    known.isBack = false;
    return true;
  }

  /** Those that this gateway is to announce now. @param passedMs Since the last look. */
  look(passedMs: number): WatchedGateway[] {
    const ms = Math.min(passedMs, LOOK_MS_MAX);
    const due: WatchedGateway[] = [];
    for (const one of this.#watched.values()) {
      if (one.lostTerm > 0 && !one.isBack) continue;
      one.silentMs += ms;
      if (one.silentMs < one.dueMs + this.#rankMs(one)) continue;
      one.dueMs = one.silentMs + AGAIN_MS - this.#rankMs(one);
      due.push(one);
    }
    return due;
  }

  /** How much longer than the oldest this gateway waits with the announcement of `silent`. */
  #rankMs(silent: WatchedGateway): number {
    if (silent.silentMs < silent.dueMs) return 0;
    let older = 0;
    for (const one of this.#watched.values()) {
      if (one === silent || one.lostTerm > 0 || one.silentMs >= LOST_AFTER_MS) continue;
      if (this.#isOlder(one)) older++;
    }
    return Math.min(older * RANK_MS, RANK_MS_MAX);
  }

  #isOlder({ gateway, startedAtWall }: WatchedGateway): boolean {
    if (startedAtWall !== this.#startedAtWall) return startedAtWall < this.#startedAtWall;
    return gateway < this.#own;
  }

  #hasRoom(): boolean {
    if (this.#watched.size < WATCHED_MAX) return true;
    for (const [gateway, { lostTerm, isBack }] of this.#watched)
      if (lostTerm > 0 && !isBack) return this.#watched.delete(gateway);
    return false;
  }
}

/**
 * A server that was stopped may have held it back while the gateway said, by another one, that it has returned. What is
 * much further behind is none: somebody has forged a term, and the gateway's own counts.
 */
function isLate({ term }: AliveFields, known: AliveFields): boolean {
  return term < known.term && term >= known.term - TERM_AHEAD_MAX;
}
