/**
 * What must be so, by the contract alone: who is connected where, who has which uid, who is in which group until when.
 * It knows nothing of how gateways come to it.
 */
import { type Guest, HEARTBEAT_MS } from './guest.ts';

export type Policy = {
  readonly name: 'many' | 'kick_old' | 'refuse_new' | 'max_2';
  /** Keys of `auth`. */
  readonly yaml: string;
  /** Sessions of one uid. */
  readonly sessionsMax: number;
};

export const POLICIES: readonly Policy[] = [
  { name: 'many', yaml: 'sessions_per_uid: many', sessionsMax: Infinity },
  { name: 'kick_old', yaml: 'sessions_per_uid: kick_old', sessionsMax: 1 },
  { name: 'refuse_new', yaml: 'sessions_per_uid: refuse_new', sessionsMax: 1 },
  { name: 'max_2', yaml: 'max_sessions_per_uid: 2', sessionsMax: 2 },
];

/** `sessions.groups` of the fleet. */
export const GROUPS_MAX = 3;
/** Sessions that somebody may come back to. */
const LOST_MAX = 6;
/** The wheel's ticks, and turns of the event loop, that a time-out may be late. */
const LATE_MS = 60;
/** A client that is not heard for two intervals is gone. [src/session/deadlines.ts; protocol.md 4.3] */
const SILENCE_MS = 2 * HEARTBEAT_MS;

/** It ends by itself between the two; Infinity: it does not. */
export type Membership = { readonly fromMs: number; readonly byMs: number };

/** @param ttlMs 0: to the end of the session. It counts from some moment between the other two. */
export function membership(ttlMs: number, sentMs: number, doneMs: number): Membership {
  return ttlMs === 0
    ? { fromMs: Infinity, byMs: Infinity }
    : { fromMs: sentMs + ttlMs, byMs: doneMs + ttlMs + LATE_MS };
}

/** Its gateway has done nothing until now. */
function after({ fromMs, byMs }: Membership, nowMs: number): Membership {
  return fromMs > nowMs ? { fromMs, byMs } : { fromMs, byMs: Math.max(byMs, nowMs + LATE_MS) };
}

export const UNCHANGED = { fromMs: -Infinity, byMs: -Infinity };

export class ModelSession {
  readonly sid: string;
  readonly guest: Guest;
  /** The sid of the first session that this one goes on from, by tokens. */
  readonly lineage: string;
  /** When it was last changed: not before the one, nor after the other. */
  changing: { readonly fromMs: number; readonly byMs: number } = UNCHANGED;
  /** When it was last compared with what its gateway holds. */
  lookedMs = -Infinity;
  /** Which of all binds gave it its uid: a larger one is newer. */
  bound = 0;
  uid = '';
  /** When it was bound. */
  boundMs = -Infinity;
  /** By the last look; grows with every change. */
  version = 0;
  readonly groups = new Map<string, Membership>();
  /** Memberships that have ended by themselves. */
  expired = 0;
  /** What events must have said of it, in this order. */
  told: string[] = ['opened'];
  /** When its gateway finds that its client has vanished. */
  silent: Membership = { fromMs: Infinity, byMs: Infinity };

  constructor(sid: string, guest: Guest, lineage = sid) {
    this.sid = sid;
    this.guest = guest;
    this.lineage = lineage;
  }

  get place(): string {
    return this.guest.address;
  }

  tell(what: string): void {
    this.told.push(what);
  }

  vanished(nowMs: number): void {
    this.silent = {
      fromMs: this.guest.saidMs + SILENCE_MS,
      byMs: nowMs + SILENCE_MS + 2 * LATE_MS,
    };
  }

  /** Its gateway was stopped, and goes on: what was due meanwhile happens now. */
  wentOn(nowMs: number): void {
    this.silent = after(this.silent, nowMs);
    for (const [group, its] of this.groups) this.groups.set(group, after(its, nowMs));
  }
}

/** Which sessions: as `Target` of session.proto. */
export type Target = {
  readonly sids?: readonly string[];
  readonly uids?: readonly string[];
  readonly groups?: readonly string[];
  readonly all?: boolean;
  readonly except_sids?: readonly string[];
  readonly except_uids?: readonly string[];
};

/** Ends that no token leads back from. */
const FINAL = /^(kick|closed|cheating|logged_in_elsewhere)/;

/** A session that has ended, until events and its client have been asked about it. */
export type Ended = {
  readonly session: ModelSession;
  /** '': its gateway was killed. With a `|`: one of several. */
  readonly reason: string;
};

export class Model {
  readonly policy: Policy;
  /** By sid, in the order of their opening. */
  readonly sessions = new Map<string, ModelSession>();
  /** Since the last look. */
  readonly ended: Ended[] = [];
  /** Ended sessions whose clients have a token, the last few. */
  readonly lost: ModelSession[] = [];
  /** No token of these counts any more. */
  readonly endedLineages = new Set<string>();
  /** Perhaps: all gateways have ended since, and what they knew with them. */
  readonly doubtfulEnds = new Set<string>();
  /** Operations so far, by kind. */
  readonly counts: Record<string, number> = {};
  #binds = 0;

  constructor(policy: Policy) {
    this.policy = policy;
  }

  count(kind: string): void {
    this.counts[kind] = (this.counts[kind] ?? 0) + 1;
  }

  get list(): ModelSession[] {
    return [...this.sessions.values()];
  }

  at(place: string): ModelSession[] {
    return this.list.filter((session) => session.place === place);
  }

  /** The oldest bind first. */
  of(uid: string): ModelSession[] {
    const all = this.list.filter((session) => session.uid === uid);
    return all.sort((a, b) => a.bound - b.bound);
  }

  select(target: Target): ModelSession[] {
    const { sids = [], uids = [], groups = [], all = false } = target;
    const { except_sids: exceptSids = [], except_uids: exceptUids = [] } = target;
    return this.list.filter(
      ({ sid, uid, groups: its }) =>
        (all ||
          sids.includes(sid) ||
          (uid !== '' && uids.includes(uid)) ||
          groups.some((group) => its.has(group))) &&
        !exceptSids.includes(sid) &&
        !(uid !== '' && exceptUids.includes(uid)),
    );
  }

  // ---- changes --------------------------------------------------------------------------------------------

  /** The session has got this uid just now. */
  bind(session: ModelSession, uid: string): void {
    session.tell(uid === '' ? `unbound ${session.uid}` : `bound ${uid}`);
    session.uid = uid;
    session.bound = uid === '' ? 0 : ++this.#binds;
  }

  /** It is newer than all that were bound before, whenever it was. */
  rebound(session: ModelSession): void {
    session.bound = ++this.#binds;
  }

  /** Those who have to go because `uid` has more sessions than it may. */
  tooMany(uid: string): ModelSession[] {
    const all = this.of(uid);
    return all.slice(0, Math.max(0, all.length - this.policy.sessionsMax));
  }

  close(session: ModelSession, reason: string): void {
    session.tell(`closed ${reason}`);
    this.#end(session, reason);
  }

  /** Its gateway was killed. */
  lose(session: ModelSession): void {
    this.#end(session, '');
  }

  /** No gateway is left. */
  forgetEnds(): void {
    for (const lineage of this.endedLineages) this.doubtfulEnds.add(lineage);
    this.endedLineages.clear();
  }

  #end(session: ModelSession, reason: string): void {
    this.sessions.delete(session.sid);
    this.ended.push({ session, reason });
    const ends = reason.includes('|') ? this.doubtfulEnds : this.endedLineages;
    if (FINAL.test(reason)) ends.add(session.lineage);
    if (session.guest.token === null) return;
    // Of a lineage the last one: the tokens of those before it are older.
    const others = this.lost.filter(({ lineage }) => lineage !== session.lineage);
    this.lost.splice(0, this.lost.length, ...others.slice(1 - LOST_MAX), session);
  }

  /** Why `session` cannot have these groups; '': it can. */
  static refusal({ groups }: ModelSession, join: readonly string[]): string {
    const after = new Set([...groups.keys(), ...join]);
    return after.size > GROUPS_MAX ? '413 TOO_LARGE' : '';
  }
}
