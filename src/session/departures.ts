/**
 * Sessions that are sent away: in random order, idle ones first; each is told before, if there is a route for it, and
 * closed when nothing of it is in flight.
 */
import type { Clock } from '../clock.ts';
import { isFailure } from '../errors.ts';
import type { Random } from '../random.ts';
import type { Log } from '../telemetry/log.ts';
import type { CloseDetails, CloseReason } from './close-reason.ts';
import { Ceiling } from './pace.ts';
import type { Session } from './session.ts';

/** Sessions closed in one turn of the event loop: a few milliseconds. */
export const CLOSED_PER_TURN = 64;

/** The push before the close; `proto/README.md` has its body. */
export type Hint = {
  /** '': none. */
  readonly route: string;
  /** Milliseconds from the push to the close, at least. */
  readonly leadMs: number;
};

export type DeparturesParts = {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly hint: Hint;
  readonly reason: CloseReason;
  readonly details: CloseDetails;
  /** `reason` of the hint. */
  readonly why: string;
  /** New requests are refused once a session's time is up; else it is closed in the first pause between them. */
  readonly refuses: boolean;
};

export class Departures {
  readonly #parts: DeparturesParts;
  /** Those who go, by when each may be closed; times of the clock. */
  readonly #leaving = new Map<Session, number>();
  /** Those whose turn comes: idle ones, and others once no idle one is left. */
  #idle: Session[] = [];
  #busy: Session[] = [];
  readonly #ceiling = new Ceiling();
  #closed = 0;
  #isMute = false;

  constructor(parts: DeparturesParts) {
    this.#parts = parts;
  }

  /** Those whose turn has come and who are still there. */
  get size(): number {
    return this.#leaving.size;
  }

  /** Closed by now. */
  get closed(): number {
    return this.#closed;
  }

  /** Who may be next, in random order; those who are leaving already are passed over. */
  choose(sessions: Iterable<Session>): void {
    this.#idle = shuffled([...sessions], this.#parts.random);
    this.#busy = [];
  }

  /** The next one's turn; false: there is none, or the rest is busy and `orBusy` is false. */
  next(orBusy: boolean): boolean {
    for (let one = this.#idle.pop(); one !== undefined; one = this.#idle.pop()) {
      if (one.state === 'closed' || this.#leaving.has(one)) continue;
      if (isIdle(one)) return this.#begin(one);
      this.#busy.push(one);
    }
    if (!orBusy) return false;
    for (let one = this.#busy.pop(); one !== undefined; one = this.#busy.pop())
      if (one.state !== 'closed') return this.#begin(one);
    return false;
  }

  #begin(session: Session): boolean {
    const { clock, hint, refuses } = this.#parts;
    const isTold = session.state === 'active' && hint.route !== '' && this.#tell(session);
    this.#leaving.set(session, isTold ? clock.now() + hint.leadMs : clock.now());
    if (!isTold && refuses) session.drain();
    return true;
  }

  /** False: the push cannot be written for this client. */
  #tell(session: Session): boolean {
    const { clock, hint, why, log } = this.#parts;
    const body = Buffer.from(JSON.stringify({ reason: why, in_ms: hint.leadMs }));
    const encoded = session.wire.push(hint.route, body);
    if (isFailure(encoded)) {
      if (!this.#isMute)
        log.warn({ route: hint.route, why: encoded.message }, 'drain.hint_route is not pushed');
      this.#isMute = true;
      return false;
    }
    const expiresAt = clock.now() + hint.leadMs;
    session.push(encoded, { droppable: true, expiresAt, latestKey: '' });
    return true;
  }

  /**
   * Closes those whose time is up and of whom nothing is in flight, `perSecond` in any second at most. True: there are
   * more, for the next turn.
   */
  closeFinished(perSecond: number): boolean {
    const { clock, reason, details, refuses } = this.#parts;
    let left = CLOSED_PER_TURN;
    for (const [session, at] of [...this.#leaving]) {
      if (session.state === 'closed') this.#leaving.delete(session);
      if (session.state === 'closed' || clock.now() < at) continue;
      if (left === 0) return true;
      if (refuses && session.state !== 'draining') session.drain();
      if (!isIdle(session)) continue;
      if (!this.#ceiling.hasRoom(clock.now(), perSecond)) return false;
      left--;
      session.resuming?.renew();
      session.close(reason, details);
      this.#ceiling.count(clock.now(), perSecond);
      this.#leaving.delete(session);
      this.#closed++;
    }
    return false;
  }
}

/** Nothing is in flight and nothing is unsent. */
function isIdle({ inFlight, outbox }: Session): boolean {
  return inFlight === 0 && outbox.unsentBytes === 0;
}

/** [Fisher and Yates] */
function shuffled<T>(all: T[], random: Random): T[] {
  for (let i = all.length - 1; i > 0; i--) {
    const j = Math.floor(random.number() * (i + 1));
    [all[i], all[j]] = [all[j]!, all[i]!];
  }
  return all;
}
