/**
 * Moves sessions to gateways that were added: those with more than their share close idle ones, whose clients connect
 * again and come to the others, because a gateway that moves sessions is not ready. It begins when the fleet has been the
 * same for a while, and ends when the gateway has its share.
 *
 * Nobody is moved twice in an hour, though who comes back is a new session on another gateway: while any gateway has moved
 * sessions within the hour, only those are moved that are older than the hour, or than the first of those moves. All
 * gateways know when that was (`FleetMembers.moved`).
 */
import type { Clock } from '../clock.ts';
import type { Config } from '../config/schema.ts';
import type { Random } from '../random.ts';
import { COME_BACK, NO_DETAILS } from '../session/close-reason.ts';
import { Departures } from '../session/departures.ts';
import { Pace } from '../session/pace.ts';
import type { Registry } from '../session/registry.ts';
import type { Session } from '../session/session.ts';
import type { Log } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import { Timeout, type TimerWheel } from '../timer-wheel.ts';
import { rateOf, shapeOf, type Share, shareOf } from './balance.ts';
import type { FleetMembers, Member } from './members.ts';

/** How long the fleet must have been unchanged before sessions are moved. */
export const SETTLED_MS = 120_000;
/** No player is moved twice within this time. */
export const MOVED_MS = 3_600_000;
/**
 * Another gateway may have begun before, unheard, for as long as it may be and still count (`HEARD_MS`); who was sent away by
 * it then is here, as a session that began before the first move that is known.
 */
const UNHEARD_MS = 5_000;
/** The longest that one round of moves lasts; and how long sessions that got the hint may then still take. */
export const MOVING_MS_MAX = 300_000;
const FINISH_MS = 10_000;
/** Between two checks of which sessions are due. */
const STEP_MS = 50;
/** Between two searches for sessions that may be moved, after a search that found none. */
const CHOOSE_MS = 1_000;

export type RebalanceParts = {
  readonly members: FleetMembers;
  readonly registry: Registry;
  readonly live: { readonly config: Config };
  readonly clock: Clock;
  readonly wheel: TimerWheel;
  readonly random: Random;
  readonly log: Log;
  readonly metrics: Metrics;
};

type Move = {
  readonly departures: Departures;
  readonly pace: Pace;
  readonly beganAt: number;
  /** null: it goes on. */
  endedAt: number | null;
  chosenAt: number;
  /** As it was at the beginning. */
  readonly share: Share;
  /** How many it gives away a second, as things are now. */
  perSecond: number;
  /** So many are still to have their turn. */
  left: number;
};

export class Rebalance {
  readonly #parts: RebalanceParts;
  readonly #again: Timeout;
  #shape = '';
  #settledAt: number;
  #move: Move | null = null;

  constructor(parts: RebalanceParts) {
    this.#parts = parts;
    this.#settledAt = parts.clock.now();
    this.#again = new Timeout(() => {
      this.#step();
    });
  }

  /** This gateway gives sessions away. */
  get isMoving(): boolean {
    return this.#move !== null && this.#move.endedAt === null;
  }

  stop(): void {
    this.#parts.wheel.cancel(this.#again);
    this.#move = null;
  }

  /** To be called about twice a second, with the fleet as it is known. */
  look(members: readonly Member[]): void {
    const { clock, live, registry } = this.#parts;
    const now = clock.now();
    const shape = shapeOf(members);
    if (shape !== this.#shape) this.#settledAt = now;
    this.#shape = shape;
    const { rebalance, per_second: perSecond } = live.config.drain;
    const maySettle = rebalance && shape !== '' && now - this.#settledAt >= SETTLED_MS;
    if (this.#move === null) {
      const share = maySettle ? shareOf(members, perSecond) : null;
      if (share !== null && this.#isThereOne()) this.#begin(share, now);
    } else if (this.#move.endedAt === null) {
      const { departures, share, beganAt } = this.#move;
      const here = registry.size - departures.size;
      // Those who are waited for still go when there is nobody else.
      this.#move.perSecond = rateOf(members, share.mean, perSecond) || this.#move.perSecond;
      // Of the mean as it was: those who are on their way back are not counted anywhere.
      this.#move.left = Math.min(this.#move.left, here - Math.ceil(share.mean));
      const isDone = departures.size === 0 && (this.#move.left < 1 || !this.#isThereOne());
      if (isDone || !maySettle || now - beganAt >= MOVING_MS_MAX) this.#end(now);
    }
  }

  #begin(share: Share, now: number): void {
    const { clock, live, random, log, registry, members } = this.#parts;
    const { signal, hint_route: route, hint_lead: leadMs } = live.config.drain;
    const departures = new Departures({
      ...{ clock, random, log, hint: { route, leadMs }, why: 'rebalance', refuses: false },
      reason: 'rebalanced',
      details: signal === 'kick' ? COME_BACK : NO_DETAILS,
    });
    const pace = new Pace(random, now);
    const { excess } = share;
    this.#move = {
      ...{ departures, pace, beganAt: now, endedAt: null, chosenAt: -Infinity },
      ...{ share, perSecond: share.perSecond, left: excess },
    };
    const facts = { sessions: registry.size, mean: Math.round(share.mean), excess };
    log.info(facts, 'moving sessions to other gateways');
    members.movedNow(MOVED_MS);
    this.#step();
  }

  #end(now: number): void {
    const { log, registry } = this.#parts;
    const move = this.#move!;
    move.endedAt = now;
    this.#settledAt = now;
    const facts = { sessions: registry.size, moved: move.departures.closed + move.departures.size };
    log.info(facts, 'moved sessions to other gateways');
  }

  #step(): void {
    const { clock, wheel, metrics } = this.#parts;
    const move = this.#move;
    if (move === null) return;
    const now = clock.now();
    if (move.endedAt === null) this.#send(move, now);
    else if (move.departures.size === 0 || now - move.endedAt >= FINISH_MS) {
      this.#move = null;
      return;
    }
    wheel.set(this.#again, STEP_MS);
    const before = move.departures.closed;
    move.departures.closeFinished(move.perSecond);
    const closed = move.departures.closed - before;
    if (closed > 0) metrics.add('pith_sessions_moved_total', [], closed);
  }

  /** The turn of those who are due. */
  #send(move: Move, now: number): void {
    const { members } = this.#parts;
    const { departures, pace } = move;
    members.movedNow(MOVED_MS);
    while (move.left > 0 && pace.take(now, move.perSecond)) {
      move.left--;
      if (departures.next(false)) continue;
      if (now - move.chosenAt < CHOOSE_MS) return;
      move.chosenAt = now;
      departures.choose(this.#movable());
      if (!departures.next(false)) return;
    }
  }

  #isThereOne(): boolean {
    return !this.#movable().next().done;
  }

  /** Those who were not moved within the hour. */
  *#movable(): Generator<Session> {
    const { registry, members, clock } = this.#parts;
    const since = (members.moved(MOVED_MS)?.since ?? Infinity) - UNHEARD_MS;
    const old = clock.now() - MOVED_MS;
    for (const session of registry.all())
      if (session.state === 'active' && (session.openedAt < since || session.openedAt <= old))
        yield session;
  }
}
