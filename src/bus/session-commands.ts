/** Commands to the sessions of this gateway: find them, push to them, change them, close them. */
import type { Clock } from '../clock.ts';
import { type Failure, failure, isFailure } from '../errors.ts';
import {
  applyPatch,
  type Changed,
  type ChangeLimits,
  matcherOf,
  NAME_BYTES_MAX,
  refusal,
} from '../session/changes.ts';
import {
  type Close,
  type JsonObject,
  namesNobody,
  type Patch,
  type Push,
  type PushCount,
  type Target,
} from '../contract/commands.ts';
import type { Encoded } from '../protocol/packet.ts';
import { closeDetails } from '../session/close-reason.ts';
import type { Perishable } from '../session/outbox.ts';
import { GroupEnds } from '../session/group-ends.ts';
import type { Registry } from '../session/registry.ts';
import type { Session } from '../session/session.ts';
import type { Page, PresenceHere } from './bus.ts';
import { type Changes, type Incomplete, inForce, sumOf } from './change-outcome.ts';
import { groupsHere, type GroupsHere } from './group-pages.ts';
import { presenceHere } from './presence.ts';
import { cursorRefusal, passOver, put } from './push-cursors.ts';
import { PushEncodings } from './push-encodings.ts';
import { REPLY_BYTES_MAX } from './replies.ts';
import type { Replay } from './replay.ts';
import type { UidRule } from './uid-rule.ts';
import type { Histogram } from '../telemetry/histogram.ts';
import type { Log } from '../telemetry/log.ts';
import { LogThrottle } from '../telemetry/log-throttle.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { TimerWheel } from '../timer-wheel.ts';

/** [libpomelo reads the length of a push's route as a signed byte.] */
export const PUSH_ROUTE_BYTES_MAX = 127;

export type SessionCommandsParts = {
  readonly registry: Registry;
  readonly limits: ChangeLimits;
  /** `sessions.group_ttl`: how long a membership lasts where the join does not say; 0: to the end of the session. */
  readonly groupTtlMs: number;
  readonly clock: Clock;
  readonly wheel: TimerWheel;
  readonly log: Log;
  readonly metrics: Metrics;
  /** Absent: a uid may have any number of sessions. */
  readonly uids?: UidRule | undefined;
  /** Absent: kept pushes come only to who is there. */
  readonly replay?: Pick<Replay, 'bound'> | undefined;
};

/** What a session had that another goes on from. */
export type Had = {
  /** '': none. */
  readonly uid: string;
  /** Milliseconds since the epoch. */
  readonly boundAtWall: number;
  readonly data: JsonObject;
  /** `ttlMs`: for how long still, in milliseconds; 0: to the end of the session. */
  readonly groups: readonly { readonly name: string; readonly ttlMs: number }[];
};

/** Names of groups, counted for each session, that are joined or left in one turn of the event loop: about 10 ms. */
export const NAMES_PER_TURN = 2_000;

export type GroupsChanged = {
  /** Sessions that have joined or left. */
  readonly changed: number;
  /** Sessions that could not. */
  readonly refused: number;
  /** Why the first of those could not. */
  readonly failure: Failure | null;
};

function turn(clock: Clock): Promise<void> {
  return new Promise((resolve) => {
    clock.soon(resolve);
  });
}

export class SessionCommands {
  readonly #registry: Registry;
  readonly #limits: ChangeLimits;
  readonly #groupTtlMs: number;
  readonly #clock: Clock;
  readonly #wheel: TimerWheel;
  readonly #log: Log;
  readonly #metrics: Metrics;
  readonly #fanout: Histogram;
  readonly #throttle: LogThrottle;
  readonly #uids: UidRule | undefined;
  readonly #replay: Pick<Replay, 'bound'> | undefined;

  constructor(parts: SessionCommandsParts) {
    const { registry, limits, groupTtlMs, clock, wheel, log, metrics, uids, replay } = parts;
    this.#uids = uids;
    this.#replay = replay;
    this.#registry = registry;
    this.#limits = limits;
    this.#groupTtlMs = groupTtlMs;
    this.#clock = clock;
    this.#wheel = wheel;
    this.#log = log;
    this.#metrics = metrics;
    this.#fanout = metrics.histogram('pith_push_fanout', []);
    this.#throttle = new LogThrottle(clock);
  }

  /** The sessions of this gateway that `target` names; each once. */
  select(target: Target): Session[] {
    const chosen = new Set<Session>();
    if (target.all) for (const session of this.#registry.all()) chosen.add(session);
    for (const sid of target.sids ?? []) {
      const session = this.#registry.bySid(sid);
      if (session !== undefined) chosen.add(session);
    }
    for (const uid of target.uids ?? [])
      for (const session of this.#registry.byUid(uid)) chosen.add(session);
    for (const group of target.groups ?? [])
      for (const session of this.#registry.byGroup(group)) chosen.add(session);
    return this.except([...chosen], target);
  }

  /** Leaves out the sessions that `except…` names, and those that `where` does not match. */
  except(sessions: readonly Session[], target: Target): Session[] {
    const sids = new Set(target.exceptSids);
    const uids = new Set(target.exceptUids);
    const holds = target.where === undefined ? null : matcherOf(target.where);
    return sessions.filter(
      (session) =>
        !sids.has(session.sid) &&
        (session.uid === '' || !uids.has(session.uid)) &&
        (holds === null || holds(session.data)),
    );
  }

  /** Why a push cannot be sent at all; null: it can. */
  check(push: Push): Failure | null {
    if (push.fault !== undefined) return failure('BAD_ARGUMENT', push.fault);
    const routeBytes = Buffer.byteLength(push.route);
    if (routeBytes === 0 || routeBytes > PUSH_ROUTE_BYTES_MAX) {
      return failure(
        'BAD_ARGUMENT',
        `push.route is ${routeBytes} bytes; 1 to ${PUSH_ROUTE_BYTES_MAX} are allowed`,
      );
    }
    const keyBytes = Buffer.byteLength(push.latestKey);
    if (keyBytes > NAME_BYTES_MAX) {
      return failure(
        'BAD_ARGUMENT',
        `push.latest_key is ${keyBytes} bytes; at most ${NAME_BYTES_MAX} are allowed`,
      );
    }
    if (push.target !== null && namesNobody(push.target)) {
      return failure('BAD_ARGUMENT', 'push.target is empty: give sids, uids, groups or all');
    }
    return push.target === null ? null : cursorRefusal(push, push.target);
  }

  /** Puts the push into the outbox of every session given. It is encoded once for each wire that they use. */
  push(sessions: readonly Session[], push: Push): PushCount {
    const count: PushCount = { delivered: 0, dropped: 0, refused: 0 };
    if (push.cursor !== undefined) passOver(this.#registry, sessions, push.target, push.cursor);
    if (sessions.length === 0) return count;
    const perishable = this.#perishable(push);
    const encodings = new PushEncodings(push);
    for (const session of sessions) {
      const encoded = encodings.of(session.wire);
      const taken = encoded === null ? 'full' : put(session, push, encoded, perishable);
      if (taken === 'taken') count.delivered++;
      else if (taken === 'dropped') count.dropped++;
      else count.refused++;
    }
    for (const outcome of ['delivered', 'dropped', 'refused'] as const)
      if (count[outcome] > 0) this.#metrics.add('pith_pushes_total', [outcome], count[outcome]);
    if (count.delivered > 0) this.#fanout.observe(count.delivered);
    if (encodings.failed !== null) this.#reportUnencodable(push.route, encodings.failed);
    return count;
  }

  /** The push as this session's client reads it, for whoever sends it later; null: it cannot be encoded. */
  encode({ wire }: Session, push: Push): Encoded | null {
    const encodings = new PushEncodings(push);
    const encoded = encodings.of(wire);
    if (encodings.failed !== null) this.#reportUnencodable(push.route, encodings.failed);
    this.#metrics.add('pith_pushes_total', [encoded === null ? 'refused' : 'delivered'], 1);
    return encoded;
  }

  #reportUnencodable(route: string, { message: why }: Failure): void {
    const left = this.#throttle.allow(route);
    if (left === null) return;
    this.#log.warn({ route, why, ...left }, 'push cannot be encoded for some clients');
  }

  /** Changes one session at once; `confirmed` says when pushes to its new user or groups reach it. */
  patch(session: Session, patch: Patch): Changed | Failure {
    const uids = this.#uids;
    const { uid: before } = session;
    const uid = newUidOf(session, patch);
    const now = uids === undefined ? this.#clock.wallNow() : uids.claims.stampFor(uid);
    const changed = applyPatch(this.#registry, session, patch, this.#limits, now);
    if (uids !== undefined && uid !== '' && !isFailure(changed)) uids.claims.bound(session);
    if (session.uid !== before) this.#replay?.bound(session);
    if (patch.join !== undefined && !isFailure(changed)) {
      session.deltas?.keep(patch.join);
      this.#endLater(session, patch);
    }
    return changed;
  }

  /**
   * The same for a patch that must not be applied before others were asked whether they hold its uid; null: there is
   * nobody to ask, apply it at once.
   *
   * @param isWanted Asked before it is applied: whoever wants it may be gone by then.
   */
  patchAsked(
    session: Session,
    patch: Patch,
    isWanted: () => boolean = () => true,
  ): Promise<Changed | Failure> | null {
    const uid = newUidOf(session, patch);
    if (uid === '' || this.#uids === undefined) return null;
    // What is refused anyway disturbs nobody.
    if (refusal(session, patch, this.#limits) !== null) return null;
    return this.#uids.whenFree(session, uid, () =>
      isWanted() ? this.patch(session, patch) : failure('TIMEOUT'),
    );
  }

  /**
   * Gives a new session what another one had: at once, or after its uid was asked for. The uid stays as old as it was,
   * so that it does not take its place from a session that was bound later.
   */
  restore(session: Session, had: Had): Changed | Failure | Promise<Changed | Failure> {
    const patch: Patch = {
      ...(had.uid !== '' && { uid: had.uid }),
      ...{ set: had.data, join: had.groups.map(({ name }) => name) },
    };
    const restore = (): Changed | Failure => this.#restore(session, patch, had);
    const mayAsk = had.uid !== '' && refusal(session, patch, this.#limits) === null;
    return (mayAsk ? this.#uids?.whenFree(session, had.uid, restore) : null) ?? restore();
  }

  #restore(session: Session, patch: Patch, { boundAtWall, groups }: Had): Changed | Failure {
    // Just newer than what may be left of the session before.
    const boundAt = this.#uids === undefined ? boundAtWall : boundAtWall + 1;
    const changed = applyPatch(this.#registry, session, patch, this.#limits, boundAt);
    if (isFailure(changed)) return changed;
    if (session.uid !== '') this.#uids?.claims.bound(session, this.#clock.wallNow() - boundAt);
    for (const { name, ttlMs } of groups)
      if (ttlMs > 0) this.#endLater(session, { join: [name], groupTtlMs: ttlMs });
    return changed;
  }

  /** The last join says how long a membership lasts. */
  #endLater(session: Session, { join = [], groupTtlMs = this.#groupTtlMs }: Patch): void {
    if (groupTtlMs === 0) {
      if (session.groupEnds !== null) for (const group of join) session.groupEnds.delete(group);
      return;
    }
    session.groupEnds ??= new GroupEnds(this.#wheel, (group) => {
      this.#registry.leave(session, group);
      session.changed();
    });
    for (const group of join) session.groupEnds.set(group, groupTtlMs);
    session.resuming?.changed();
  }

  /** Changes each of them at once, and resolves when the changes are in force everywhere; a fault rejects. */
  async patchAll(sessions: readonly Session[], patch: Patch): Promise<Changes | Incomplete> {
    return sumOf(
      sessions.map((session) =>
        inForce(this.patchAsked(session, patch) ?? this.patch(session, patch)),
      ),
    );
  }

  /** Adds each of them to groups or removes it, not too many in one turn; resolves when that is in force everywhere. */
  async changeGroups(sessions: readonly Session[], patch: Patch): Promise<GroupsChanged> {
    const done: { changed: number; refused: number; failure: Failure | null } = {
      ...{ changed: 0, refused: 0, failure: null },
    };
    const names = (patch.join?.length ?? 0) + (patch.leave?.length ?? 0);
    const perTurn = Math.max(1, Math.floor(NAMES_PER_TURN / Math.max(1, names)));
    const confirmed: Promise<void>[] = [];
    for (const [i, session] of sessions.entries()) {
      if (i > 0 && i % perTurn === 0) await turn(this.#clock);
      // It has left meanwhile, and its groups with it.
      if (session.state === 'closed') continue;
      const changed = this.patch(session, patch);
      if (isFailure(changed)) {
        done.refused++;
        done.failure ??= changed;
        continue;
      }
      done.changed += changed.changed;
      if (changed.confirmed !== null) confirmed.push(changed.confirmed);
    }
    await Promise.all(confirmed);
    return done;
  }

  /** Closes the sessions, each with a kick packet first if `close` says so. Returns how many. */
  close(sessions: readonly Session[], close: Close): number {
    const details = closeDetails(close.reason, close.code, close.retryAfterMs);
    for (const session of sessions) session.close(close.kick ? 'kick' : 'closed', details);
    return sessions.length;
  }

  /** Who of these users is here. */
  presence(uids: readonly string[], bytesMax = REPLY_BYTES_MAX): PresenceHere[] {
    return presenceHere(this.#registry, uids, bytesMax);
  }

  /** A page of the groups that have members here. */
  groups(prefix: string, page: Page, bytesMax = REPLY_BYTES_MAX): GroupsHere {
    return groupsHere(this.#registry, prefix, page, bytesMax);
  }

  bySid(sid: string): Session | undefined {
    return this.#registry.bySid(sid);
  }

  #perishable(push: Push): Perishable | null {
    if (push.delivery === 'must' && push.expiresInMs === 0) return null;
    return {
      droppable: push.delivery === 'droppable',
      expiresAt: push.expiresInMs === 0 ? Infinity : this.#clock.now() + push.expiresInMs,
      latestKey: push.delivery === 'latest' ? push.latestKey || push.route : '',
    };
  }
}

/** The uid that the patch gives to the session; '': none that it has not. */
function newUidOf({ uid: before }: Session, { uid = '' }: Patch): string {
  return uid === before ? '' : uid;
}
