/** Commands to the sessions of this gateway: find them, push to them, change them, close them. */
import { inBackground } from '../background.ts';
import type { Clock } from '../clock.ts';
import { type Failure, failure, isFailure } from '../errors.ts';
import {
  applyPatch,
  type Changed,
  type ChangeLimits,
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
import { Failures } from '../failures/failures.ts';
import type { Encoded } from '../protocol/packet.ts';
import { closeDetails } from '../session/close-reason.ts';
import { CLOSE_COST, EachSession, type Fanouts } from '../session/fanouts.ts';
import { GroupEnds } from '../session/group-ends.ts';
import type { Registry } from '../session/registry.ts';
import type { FrozenSession } from '../session/frozen.ts';
import type { Session } from '../session/session.ts';
import type { Page, PresenceHere } from './bus.ts';
import { type Changes, type Incomplete, inForce, sumOf } from './change-outcome.ts';
import { groupsHere, type GroupsHere } from './group-pages.ts';
import { presenceHere } from './presence.ts';
import { cursorRefusal } from './push-cursors.ts';
import { Pushes, type PushesParts } from './pushes.ts';
import { REPLY_BYTES_MAX } from './replies.ts';
import type { Replay } from './replay.ts';
import { filterOf, named, namesHere } from './selection.ts';
import type { UidRule } from './uid-rule.ts';
import { type WhyHere, whyHere } from './why.ts';
import type { TimerWheel } from '../timer-wheel.ts';

/** [libpomelo reads the length of a push's route as a signed byte.] */
export const PUSH_ROUTE_BYTES_MAX = 127;

export type SessionCommandsParts = PushesParts & {
  readonly registry: Registry;
  readonly limits: ChangeLimits;
  /** `sessions.group_ttl`: how long a membership lasts where the join does not say; 0: to the end of the session. */
  readonly groupTtlMs: number;
  readonly wheel: TimerWheel;
  /** Absent: a uid may have any number of sessions. */
  readonly uids?: UidRule | undefined;
  /** Absent: kept pushes come only to who is there. */
  readonly replay?: Pick<Replay, 'bound'> | undefined;
  /** Absent: nothing is known. */
  readonly failures?: Failures;
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

type FrozenMembership = Pick<FrozenSession, 'uid' | 'boundAtWall' | 'groups'>;

/** What these cost for one session, compared to a write: to be changed, and for each group of a change. */
const CHANGE_COST = 1;
const GROUP_COST = 1 / 8;

export type GroupsChanged = {
  /** Sessions that have joined or left. */
  readonly changed: number;
  /** Sessions that could not. */
  readonly refused: number;
  /** Why the first of those could not. */
  readonly failure: Failure | null;
};

export class SessionCommands {
  readonly #registry: Registry;
  readonly #limits: ChangeLimits;
  readonly #groupTtlMs: number;
  readonly #clock: Clock;
  readonly #wheel: TimerWheel;
  readonly #fanouts: Fanouts;
  readonly #pushes: Pushes;
  readonly #uids: UidRule | undefined;
  readonly #replay: Pick<Replay, 'bound'> | undefined;
  readonly #failures: Failures;

  constructor(parts: SessionCommandsParts) {
    const { registry, limits, groupTtlMs, clock, wheel, fanouts, uids, replay } = parts;
    this.#failures = parts.failures ?? new Failures();
    this.#uids = uids;
    this.#replay = replay;
    this.#registry = registry;
    this.#limits = limits;
    this.#groupTtlMs = groupTtlMs;
    this.#clock = clock;
    this.#wheel = wheel;
    this.#fanouts = fanouts;
    this.#pushes = new Pushes(parts);
  }

  /** The sessions of this gateway that `target` means; each once. */
  select(target: Target): Session[] {
    const sessions = named(this.#registry, target);
    const filter = filterOf(target);
    return filter === null ? sessions : sessions.filter(filter);
  }

  /** Of the users and sessions that `target` names, those that are here. */
  namesHere(target: Target): ReturnType<typeof namesHere> {
    return namesHere(this.#registry, target);
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

  /** Pushes to the sessions that its target means, or to those given, without those that its target excepts. */
  push(push: Push, sessions: readonly Session[] = this.#named(push)): void {
    this.#pushes.put(sessions, push);
  }

  /** The push as this session's client reads it, for whoever sends it later; null: it cannot be encoded. */
  encode(session: Session, push: Push): Encoded | null {
    return this.#pushes.encode(session, push);
  }

  /** The same, and says what has become of it. A Failure: too many pushes wait, and it is sent to nobody here. */
  pushCounted(
    push: Push,
    sessions: readonly Session[] = this.#named(push),
  ): PushCount | Promise<PushCount> | (Failure & PushCount) {
    const work = this.#pushes.put(sessions, push);
    if (work !== null) return work.whenDone(() => work.count);
    return { ...this.#pushes.full, delivered: 0, dropped: 0, refused: sessions.length };
  }

  #named({ target }: Push): Session[] {
    return target === null ? [] : named(this.#registry, target);
  }

  /** Changes one session at once; `confirmed` says when pushes to its new user or groups reach it. */
  patch(session: Session, patch: Patch): Changed | Failure {
    if (this.#fanouts.isBusy) this.#fanouts.catchUp(session);
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

  /** The session goes on from another process: it has this uid and these groups, and nobody is told. */
  thaw(session: Session, { uid, boundAtWall, groups }: FrozenMembership): void {
    const confirmed = [this.#registry.bind(session, uid, boundAtWall) ?? Promise.resolve()];
    if (uid !== '') this.#uids?.claims.goesOn(session, this.#clock.wallNow() - boundAtWall);
    for (const { name, leftMs } of groups) {
      confirmed.push(this.#registry.join(session, name) ?? Promise.resolve());
      if (leftMs !== null) this.#endLater(session, { join: [name], groupTtlMs: leftMs });
    }
    // Whoever takes over waits for the whole connection.
    inBackground(Promise.all(confirmed), () => {});
  }

  /** The last join says how long a membership lasts. */
  #endLater(session: Session, { join = [], groupTtlMs = this.#groupTtlMs }: Patch): void {
    if (groupTtlMs === 0 && session.groupEnds === null) return;
    session.groupEnds ??= new GroupEnds(this.#wheel, (group) => {
      this.#registry.leave(session, group);
      session.changed();
    });
    for (const group of join)
      if (groupTtlMs === 0) session.groupEnds.delete(group);
      else session.groupEnds.set(group, groupTtlMs);
    // Its token says when they end.
    session.resuming?.changed();
  }

  /** Changes each of them, and resolves when the changes are in force everywhere; a fault rejects. */
  async patchAll(sessions: readonly Session[], patch: Patch): Promise<Changes | Incomplete> {
    const changes: Promise<Changes | Failure>[] = [];
    const work = new EachSession(costOf(patch), (session) => {
      const change = this.patchAsked(session, patch) ?? this.patch(session, patch);
      changes.push(inForce(change));
    });
    this.#fanouts.runAlways(sessions, work);
    await work.whenDone(() => {});
    return sumOf(changes);
  }

  /** Adds each of them to groups or removes it; resolves when that is in force everywhere. */
  async changeGroups(sessions: readonly Session[], patch: Patch): Promise<GroupsChanged> {
    const done: { changed: number; refused: number; failure: Failure | null } = {
      ...{ changed: 0, refused: 0, failure: null },
    };
    const confirmed: Promise<void>[] = [];
    const work = new EachSession(costOf(patch), (session) => {
      // It has left meanwhile, and its groups with it.
      if (session.state === 'closed') return;
      const changed = this.patch(session, patch);
      if (isFailure(changed)) {
        done.refused++;
        done.failure ??= changed;
        return;
      }
      done.changed += changed.changed;
      if (changed.confirmed !== null) confirmed.push(changed.confirmed);
    });
    this.#fanouts.runAlways(sessions, work);
    await work.whenDone(() => {});
    await Promise.all(confirmed);
    return done;
  }

  /** Closes the session, with a kick packet first if `close` says so. */
  close(session: Session, { reason, code, kick, retryAfterMs, by = 'backend' }: Close): void {
    const details = { ...closeDetails(reason, code, retryAfterMs), by };
    session.close(kick ? 'kick' : 'closed', details);
  }

  /** Closes all of them. Returns how many. */
  closeAll(sessions: readonly Session[], close: Close): number | Promise<number> {
    const work = new EachSession(CLOSE_COST, (session) => {
      this.close(session, close);
    });
    this.#fanouts.runAlways(sessions, work);
    return work.whenDone(() => sessions.length);
  }

  /** Who of these users is here. */
  presence(uids: readonly string[], bytesMax = REPLY_BYTES_MAX): PresenceHere[] {
    return presenceHere(this.#registry, uids, bytesMax);
  }

  /** A page of the groups that have members here. */
  groups(prefix: string, page: Page, bytesMax = REPLY_BYTES_MAX): GroupsHere {
    return groupsHere(this.#registry, prefix, page, bytesMax);
  }

  /** What is known here of a ref, a sid or a uid; of many failures the newest, as many as fit into `bytesMax`. */
  why(about: string, bytesMax = REPLY_BYTES_MAX): WhyHere {
    return whyHere(this.#failures, this.#registry, about, bytesMax);
  }

  bySid(sid: string): Session | undefined {
    return this.#registry.bySid(sid);
  }
}

function costOf({ join = [], leave = [] }: Patch): number {
  return CHANGE_COST + GROUP_COST * (join.length + leave.length);
}

/** The uid that the patch gives to the session; '': none that it has not. */
function newUidOf({ uid: before }: Session, { uid = '' }: Patch): string {
  return uid === before ? '' : uid;
}
