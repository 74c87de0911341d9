/** All sessions of this gateway, by number, user and group. Finds and counts; decides nothing. */
import type { Session } from './session.ts';
import { NO_GROUPS } from './session-record.ts';
import { NO_SESSION_EVENTS, type SessionEvents } from './session-events.ts';

/**
 * Where the registry says what it needs to hear of. `add` returns null when the interest holds already, else a
 * promise that resolves when the bus has confirmed it (it never rejects, and is bounded in time).
 */
export interface Subscriptions {
  add(kind: SubscriptionKind, name: string): Promise<void> | null;
  remove(kind: SubscriptionKind, name: string): void;
}
export type SubscriptionKind = 'user' | 'group';

export class Registry {
  /** Is told what happens to sessions. */
  readonly events: SessionEvents;
  readonly #gatewayId: string;
  readonly #subscriptions: Subscriptions;
  readonly #sessions = new Map<number, Session>();
  readonly #users = new Map<string, Set<Session>>();
  readonly #groups = new Map<string, Set<Session>>();

  constructor(gatewayId: string, subscriptions: Subscriptions, events = NO_SESSION_EVENTS) {
    this.events = events;
    this.#gatewayId = gatewayId;
    this.#subscriptions = subscriptions;
  }

  get size(): number {
    return this.#sessions.size;
  }

  add(session: Session): void {
    this.#sessions.set(session.n, session);
  }

  /** Takes the session out of everything. */
  remove(session: Session): void {
    if (!this.#sessions.delete(session.n)) return;
    session.groupEnds?.clear();
    session.deltas?.clear();
    session.kept?.catchUp?.end();
    if (session.uid !== '') this.#detach('user', session.uid, session);
    for (const group of session.groups) this.#detach('group', group, session);
  }

  all(): IterableIterator<Session> {
    return this.#sessions.values();
  }

  /** The session of this sid, if this gateway holds it. */
  bySid(sid: string): Session | undefined {
    const dot = sid.lastIndexOf('.');
    if (dot < 0 || sid.slice(0, dot) !== this.#gatewayId) return undefined;
    const n = sid.slice(dot + 1);
    return /^[1-9][0-9]{0,15}$/.test(n) ? this.#sessions.get(Number(n)) : undefined;
  }

  byUid(uid: string): ReadonlySet<Session> {
    return this.#users.get(uid) ?? NONE;
  }

  byGroup(group: string): ReadonlySet<Session> {
    return this.#groups.get(group) ?? NONE;
  }

  /** Every group that has members here. */
  groups(): IterableIterator<[name: string, members: ReadonlySet<Session>]> {
    return this.#groups.entries();
  }

  /**
   * Changes the session's user; see `Subscriptions.add` for what is returned.
   *
   * @param boundAtWall Milliseconds since the epoch.
   */
  bind(session: Session, uid: string, boundAtWall: number): Promise<void> | null {
    if (session.uid === uid) return null;
    if (session.uid !== '') this.#detach('user', session.uid, session);
    session.uid = uid;
    session.boundAtWall = uid === '' ? 0 : boundAtWall;
    return uid === '' ? null : this.#attach('user', uid, session);
  }

  /** Hears what is for the uid before a session here has it. Resolves when that holds. */
  async hold(uid: string): Promise<void> {
    await this.#subscriptions.add('user', uid);
  }

  /** The same no longer: no session here has it. */
  unhold(uid: string): void {
    this.#subscriptions.remove('user', uid);
  }

  join(session: Session, group: string): Promise<void> | null {
    if (session.groups.has(group)) return null;
    if (session.groups === NO_GROUPS) session.groups = new Set([group]);
    else (session.groups as Set<string>).add(group);
    return this.#attach('group', group, session);
  }

  /** When pushes to the group reach its members here; null: they do now. Never rejects, and is bounded in time. */
  heard(group: string): Promise<void> | null {
    return this.#subscriptions.add('group', group);
  }

  leave(session: Session, group: string): void {
    if (!(session.groups as Set<string>).delete(group)) return;
    if (session.groups.size === 0) session.groups = NO_GROUPS;
    session.groupEnds?.delete(group);
    session.deltas?.forget(group);
    this.#detach('group', group, session);
  }

  #index(kind: SubscriptionKind): Map<string, Set<Session>> {
    return kind === 'user' ? this.#users : this.#groups;
  }

  #attach(kind: SubscriptionKind, name: string, session: Session): Promise<void> | null {
    const index = this.#index(kind);
    let members = index.get(name);
    if (members === undefined) {
      members = new Set();
      index.set(name, members);
    }
    members.add(session);
    // Asked for every member, not only the first: a second one must wait for the same confirmation.
    return this.#subscriptions.add(kind, name);
  }

  #detach(kind: SubscriptionKind, name: string, session: Session): void {
    const index = this.#index(kind);
    const members = index.get(name);
    if (members === undefined || !members.delete(session) || members.size > 0) return;
    index.delete(name);
    this.#subscriptions.remove(kind, name);
  }
}

const NONE: ReadonlySet<Session> = new Set();
