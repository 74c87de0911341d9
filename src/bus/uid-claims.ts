/**
 * `auth.sessions_per_uid` and `auth.max_sessions_per_uid`: which of a uid's sessions stay, on all gateways. Each says
 * when its session was bound, all order them alike, and the newest stay; who has more than it may have closes its own.
 *
 * A claim is said at once, again shortly after, and then every half minute: so what others could not hear is put right.
 */
import { inBackground } from '../background.ts';
import type { Clock } from '../clock.ts';
import { errorText, isFailure } from '../errors.ts';
import type { Registry } from '../session/registry.ts';
import type { Session } from '../session/session.ts';
import type { Log } from '../telemetry/log.ts';
import { Timeout, type TimerWheel } from '../timer-wheel.ts';
import type { ClaimChannel } from './bus.ts';
import {
  BOUND_AT_MAX,
  type Claim,
  claimJson,
  isNewer,
  newestFirst,
  type Place,
  readHeld,
} from './claims.ts';
import type { BusEvents } from './events.ts';

/** Sessions of one uid that can be told apart; so `auth.max_sessions_per_uid` is at most that. */
export const SESSIONS_PER_UID_MAX = 1_000;
/** How long others may take to say which sessions they hold. */
export const GATHER_MS = 200;
/** Of one uid, on all gateways; more are not looked at. */
const PLACES_MAX = 20_000;
/** A claim is said a second time: two gateways of different servers may not have heard each other at once. */
const RESTATE_MS = 200;
/** All claims are said again within this time. */
export const CLAIMS_AGAIN_MS = 30_000;
/** The same when there is a new connection or a new gateway: sessions in one step. */
const HURRIED_PER_STEP = 500;
const STEP_MS = 100;
/** Without anything to say it is looked so often at how many sessions there are. */
const STEP_MS_MAX = 1_000;
/** How often one session may be given a later time. */
const RESTAMPS_MAX = 8;

export type UidLimit = {
  /** The first one stays, and any other is refused. */
  readonly refuses: boolean;
  /** Sessions of one uid. */
  readonly sessionsMax: number;
};

export type UidClaimsParts = {
  readonly gatewayId: string;
  readonly limit: UidLimit;
  readonly registry: Registry;
  readonly channel: ClaimChannel;
  readonly events: Pick<BusEvents, 'conflict'>;
  readonly clock: Clock;
  readonly wheel: TimerWheel;
  readonly log: Log;
};

type Gathering = {
  /** Sessions that were bound since: newer than whatever is found. */
  fresh: Session[];
  isConflict: boolean;
  /** Once more afterwards. */
  isAgain: boolean;
};

export class UidClaims {
  readonly #parts: UidClaimsParts;
  readonly #step: Timeout;
  /** When each was bound, on the monotonic clock. */
  readonly #since = new WeakMap<Session, number>();
  /** Bound within `RESTATE_MS`, in this order. */
  readonly #fresh = new Set<Session>();
  /** How often each was given a later time. */
  readonly #restamps = new WeakMap<Session, number>();
  /** Others are being asked which sessions they hold. */
  readonly #gathering = new Map<string, Gathering>();
  /** Sessions whose claims are still to be said again in this round. */
  #round: Iterator<Session> | null = null;
  /** Sessions, and parts of one, whose turn has come. */
  #credit = 0;
  #isHurried = false;
  /** After the hurried round another one. */
  #isOnceMore = false;
  /** A time of the clock: of the last step. */
  #steppedAt: number;

  constructor(parts: UidClaimsParts) {
    this.#parts = parts;
    this.#steppedAt = parts.clock.now();
    this.#step = new Timeout(() => {
      this.#onStep();
    });
  }

  start(): void {
    this.#stepSoon();
  }

  /** There may be gateways that have not heard what this one holds. */
  sayAll(): void {
    if (this.#isHurried) this.#isOnceMore = true;
    else {
      this.#round = null;
      this.#isHurried = true;
      this.#stepSoon();
    }
  }

  /** When a session is bound to `uid` now: later than any other that is here. */
  stampFor(uid: string): number {
    const { clock, registry } = this.#parts;
    let stamp = clock.wallNow();
    for (const { boundAtWall } of registry.byUid(uid))
      if (boundAtWall < BOUND_AT_MAX) stamp = Math.max(stamp, boundAtWall + 1);
    return stamp;
  }

  /**
   * The session has just got its uid.
   *
   * @param ageMs How long it has had it in the session that it goes on from; null: it is new.
   */
  bound(session: Session, ageMs: number | null = null): void {
    const { clock, limit, registry } = this.#parts;
    this.#since.set(session, clock.now() - Math.max(0, ageMs ?? 0));
    if (this.#fresh.size === 0) this.#stepSoon();
    this.#fresh.delete(session);
    this.#fresh.add(session);
    const { uid } = session;
    const here = newestFirst([...registry.byUid(uid)].map(placeOf));
    this.#closeBelow(uid, here[limit.sessionsMax - 1], []);
    if (limit.sessionsMax === 1) this.#say(session);
    else this.#gather(uid, ageMs === null ? session : null, false);
  }

  /** It has had its uid for so long in another process: others know it. */
  goesOn(session: Session, ageMs: number): void {
    this.#since.set(session, this.#parts.clock.now() - Math.max(0, ageMs));
  }

  /** Another gateway claims the uid for one of its sessions. */
  hear(uid: string, claim: Claim): void {
    const { gatewayId, limit } = this.#parts;
    if (claim.sid.startsWith(`${gatewayId}.`) && claim.floor === null) return;
    const conflict = claim.again || limit.refuses ? [claim.sid] : [];
    if (claim.floor !== null) this.#closeBelow(uid, claim.floor, claim.again ? [claim.sid] : []);
    else if (limit.sessionsMax > 1) this.#gather(uid, null, claim.again);
    else
      for (const session of [...this.#parts.registry.byUid(uid)])
        this.#compare(session, claim, conflict);
  }

  /** What this gateway holds of the uid, for one that asks. */
  held(uid: string): readonly (readonly [n: number, boundAt: number])[] {
    return this.#newestHere(uid).map(({ n, boundAtWall }) => [n, boundAtWall]);
  }

  // ---- one session for each uid ---------------------------------------------------------------------------

  #compare(session: Session, claim: Claim, conflict: readonly string[]): void {
    if (!isNewer(claim, placeOf(session))) this.#say(session);
    // The other one was there when this one came, and its clock is ahead.
    else if (claim.ageMs > this.#ageOf(session) && this.#restamp(session, claim.boundAt))
      this.#say(session);
    else if (claim.lineage !== '' && claim.lineage === session.resuming?.lineage)
      // Its client has come back to another gateway, and goes on there.
      session.close('resumed');
    else this.#close(session, conflict);
  }

  #ageOf(session: Session): number {
    const now = this.#parts.clock.now();
    return Math.floor(now - (this.#since.get(session) ?? now));
  }

  /** Makes a session newer than what was bound at `boundAt`. False: it cannot be. */
  #restamp(session: Session, boundAt: number): boolean {
    const restamps = this.#restamps.get(session) ?? 0;
    if (restamps >= RESTAMPS_MAX || boundAt >= BOUND_AT_MAX) return false;
    this.#restamps.set(session, restamps + 1);
    session.boundAtWall = boundAt + 1;
    return true;
  }

  #say(session: Session): void {
    const again = !this.#fresh.has(session);
    const lineage = session.resuming?.lineage ?? '';
    const claim = { ...placeOf(session), again, ageMs: this.#ageOf(session), lineage, floor: null };
    this.#parts.channel.publish(session.uid, claimJson(session.uid, claim));
  }

  // ---- several --------------------------------------------------------------------------------------------

  /**
   * Asks who holds sessions of the uid, and closes those that are too many.
   * @param fresh It was just bound; null: another gateway has said something.
   */
  #gather(uid: string, fresh: Session | null, isConflict: boolean): void {
    const { channel, log, registry } = this.#parts;
    const under = this.#gathering.get(uid);
    if (under !== undefined) {
      under.isAgain = true;
      if (fresh !== null) under.fresh.push(fresh);
      return;
    }
    if (!channel.up || registry.byUid(uid).size === 0) return;
    const gathering = { fresh: fresh === null ? [] : [fresh], isConflict, isAgain: true };
    this.#gathering.set(uid, gathering);
    inBackground(this.#gatherAll(uid, gathering), (error) => {
      this.#gathering.delete(uid);
      log.error({ uid, error: errorText(error) }, 'sessions of a uid could not be counted');
    });
  }

  async #gatherAll(uid: string, gathering: Gathering): Promise<void> {
    const { registry } = this.#parts;
    while (gathering.isAgain && registry.byUid(uid).size > 0) {
      gathering.isAgain = false;
      const fresh = gathering.fresh.splice(0);
      const elsewhere = await this.#elsewhere(uid);
      this.#trim(uid, elsewhere, fresh, gathering);
    }
    this.#gathering.delete(uid);
  }

  async #elsewhere(uid: string): Promise<Place[]> {
    const { channel, gatewayId } = this.#parts;
    const places: Place[] = [];
    const question = { uid, gateway: gatewayId, ask: 'held' };
    const asked = channel.ask(uid, question, GATHER_MS, ({ gateway, fields }) => {
      if (gateway !== gatewayId)
        places.push(...readHeld(gateway, fields['held'], SESSIONS_PER_UID_MAX));
      return places.length >= PLACES_MAX;
    });
    if (!isFailure(asked)) await asked.ended;
    return places;
  }

  #trim(
    uid: string,
    elsewhere: readonly Place[],
    fresh: readonly Session[],
    gathering: Gathering,
  ): void {
    const { channel, limit, registry } = this.#parts;
    const { isConflict } = gathering;
    let newest = newestFirst(elsewhere)[0];
    // Those that came while the others were asked are as new.
    for (const session of [...fresh, ...gathering.fresh]) {
      if (session.uid !== uid || newest === undefined || !isNewer(newest, placeOf(session))) continue; // prettier-ignore
      if (!this.#restamp(session, newest.boundAt)) continue;
      newest = placeOf(session);
      // Gateways that asked in the meantime were given the earlier time.
      gathering.isAgain = true;
    }
    const here = [...registry.byUid(uid)].map(placeOf);
    const all = newestFirst([...elsewhere, ...here]);
    const floor = all[limit.sessionsMax - 1];
    if (floor === undefined || all.length <= limit.sessionsMax) return;
    const claim: Claim = { ...floor, again: isConflict, ageMs: 0, lineage: '', floor };
    if (elsewhere.some((place) => isNewer(floor, place)))
      channel.publish(uid, claimJson(uid, claim));
    this.#closeBelow(uid, floor, isConflict ? [floor.sid] : []);
  }

  /** @param floor The oldest that stays; undefined: all do. */
  #closeBelow(uid: string, floor: Place | undefined, conflict: readonly string[]): void {
    if (floor === undefined) return;
    for (const session of [...this.#parts.registry.byUid(uid)])
      if (isNewer(floor, placeOf(session))) this.#close(session, conflict);
  }

  #newestHere(uid: string): Session[] {
    const sessions = [...this.#parts.registry.byUid(uid)];
    sessions.sort((one, other) => (isNewer(placeOf(one), placeOf(other)) ? -1 : 1));
    return sessions.slice(0, SESSIONS_PER_UID_MAX);
  }

  // ---- both -----------------------------------------------------------------------------------------------

  /** @param conflict The others, where gateways had not reached each other. */
  #close(session: Session, conflict: readonly string[]): void {
    if (conflict.length > 0) this.#parts.events.conflict(session, conflict);
    session.close('logged_in_elsewhere');
  }

  #stepSoon(): void {
    this.#parts.wheel.set(this.#step, STEP_MS);
  }

  #onStep(): void {
    const { channel, clock, wheel } = this.#parts;
    const now = clock.now();
    // After a stall it is no more than one step.
    const passedMs = Math.min(now - this.#steppedAt, STEP_MS_MAX);
    this.#steppedAt = now;
    this.#sayFresh();
    if (channel.up) this.#sayNext(passedMs);
    wheel.set(this.#step, this.#pauseMs);
  }

  /** Until there is something to say. */
  get #pauseMs(): number {
    if (this.#isHurried || this.#fresh.size > 0) return STEP_MS;
    const nextMs = ((1 - this.#credit) * CLAIMS_AGAIN_MS) / (this.#parts.registry.size + 1);
    return Math.min(Math.max(nextMs, STEP_MS), STEP_MS_MAX);
  }

  /** Says the newest claims a second time; where others were asked, some may have been too slow to answer. */
  #sayFresh(): void {
    const { clock, limit } = this.#parts;
    const until = clock.now() - RESTATE_MS;
    for (const session of this.#fresh) {
      if (this.#since.get(session)! > until) return;
      if (session.uid !== '' && session.state !== 'closed') {
        if (limit.sessionsMax === 1) this.#say(session);
        else this.#gather(session.uid, null, false);
      }
      this.#fresh.delete(session);
    }
  }

  /** A part of the round in which all claims are said again. */
  #sayNext(passedMs: number): void {
    const { registry } = this.#parts;
    // One more, for the end of the round.
    this.#credit += ((registry.size + 1) * passedMs) / CLAIMS_AGAIN_MS;
    if (this.#isHurried) this.#credit = HURRIED_PER_STEP;
    this.#round ??= registry.all();
    for (; this.#credit >= 1; this.#credit--) {
      const next = this.#round.next();
      if (next.done === true) {
        this.#round = null;
        this.#credit = 0;
        this.#isHurried = this.#isOnceMore;
        this.#isOnceMore = false;
        return;
      }
      if (next.value.uid !== '') this.#say(next.value);
    }
  }
}

function placeOf({ sid, boundAtWall }: Session): Place {
  return { sid, boundAt: boundAtWall };
}
