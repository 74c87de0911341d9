/** Commands to sessions of the whole fleet: carried out here at once, and on the other gateways through the bus. */
import { type SessionJson, sessionJson } from '../contract/json-shapes.ts';
import { inBackground } from '../background.ts';
import { type Failure, failure, isFailure } from '../errors.ts';
import {
  type Close,
  namesNobody,
  type Patch,
  type Push,
  type Target,
} from '../contract/commands.ts';
import { type ClientIp, shownAddress } from '../ip.ts';
import type { Session } from '../session/session.ts';
import { nameRefusal } from '../session/changes.ts';
import type { Bus, GroupChange, Page, PeerCall, PushOutcome, StatusKind } from './bus.ts';
import { noReplies } from './embedded-bus.ts';
import { type Changes, type Incomplete, sumOf } from './change-outcome.ts';
import { keepRefusal } from './keep-channel.ts';
import type { SessionCommands } from './session-commands.ts';
import { cursorRefusal } from './push-cursors.ts';
import { type GroupPage, mergedGroups } from './group-pages.ts';
import { type Presence, PRESENCE_UIDS_MAX, presenceOf } from './presence.ts';
import { merged, pageOf, sessionJsonWithStats } from './session-pages.ts';
import { ABOUT_CHARS_MAX, type WhyKnown, whyOfAll } from './why.ts';
import { CONFIRM_MS_MAX } from './subscriptions.ts';

/** How long to wait for other gateways unless the caller decides, in milliseconds. */
export const FLEET_WAIT_MS = 250;
/** How many unknown users or sessions are named in an answer. */
const UNKNOWN_NAMED_MAX = 1_000;
/** Sessions of other gateways that one change may name: each takes a request of its own. */
const REMOTE_PATCHES_MAX = 1_000;

/** Who gets a kept push is not known when it is stored. */
const NOBODY_COUNTED: Omit<PushOutcome, 'kept'> = {
  ...{ delivered: 0, dropped: 0, refused: 0, gateways: 0 },
  ...{ unknownUids: [], unknownSids: [], silentGateways: [] },
};
const NOTHING: Changes = { changed: 0, version: 0 };

export type KickOutcome = { closed: number; gateways: number; silentGateways: readonly string[] };

export type GroupOutcome = {
  readonly changed: number;
  /** Sessions that could not join or leave. */
  readonly refused: number;
  readonly gateways: number;
  readonly silentGateways: readonly string[];
};

export type PresenceOutcome = {
  /** Only those who are online. */
  readonly users: ReadonlyMap<string, Presence>;
  readonly gateways: number;
  readonly silentGateways: readonly string[];
};

export type SessionsOutcome = {
  readonly sessions: readonly SessionJson[];
  readonly more: boolean;
  readonly silentGateways: readonly string[];
};

export type GroupsOutcome = GroupPage & { readonly silentGateways: readonly string[] };

const NO_TARGET = failure('BAD_ARGUMENT', 'target is empty: give sids, uids, groups or all');

export class FleetCommands {
  readonly #gatewayId: string;
  readonly #clientIp: ClientIp;
  readonly #sessionCommands: SessionCommands;
  readonly #bus: Bus;

  /** @param clientIp `log.client_ip` */
  constructor(
    gatewayId: string,
    sessionCommands: SessionCommands,
    bus: Bus,
    clientIp: ClientIp = 'full',
  ) {
    this.#clientIp = clientIp;
    this.#gatewayId = gatewayId;
    this.#sessionCommands = sessionCommands;
    this.#bus = bus;
  }

  /** Anything else that operators order: it does not meet the move of the sessions to another process. */
  inTurn<T>(run: () => Promise<T>): Promise<T | Failure> {
    return run();
  }

  /** Why a push cannot be sent at all; null: it can. */
  check(push: Push): Failure | null {
    return this.#sessionCommands.check(push);
  }

  /** Pushes without counting. @param from The session that a push without a target is for. */
  push(push: Push, from: Session | null): Failure | null {
    const refused = this.#sessionCommands.check(push);
    if (refused !== null) return refused;
    if (push.keep === true) return this.#keep(push, from);
    if (push.target === null) {
      if (from === null) return failure('BAD_ARGUMENT', 'push.target is missing');
      const unnumbered = cursorRefusal(push, {});
      if (unnumbered !== null) return unnumbered;
      this.#sessionCommands.push(push, [from]);
      return null;
    }
    const elsewhere = this.#elsewhere(push.target);
    const unsent = elsewhere === null ? null : this.#bus.peers.push(elsewhere, push);
    if (unsent !== null) return unsent;
    this.#sessionCommands.push(push);
    return null;
  }

  /** Without waiting for the stream; what it says is reported. */
  #keep(push: Push, from: Session | null): Failure | null {
    const own = push.target === null && from !== null ? { uids: [from.uid] } : push.target;
    const whole = { ...push, target: own };
    const refused = keepRefusal(whole);
    if (refused !== null) return refused;
    inBackground(this.#bus.keeping.keep(whole), () => {});
    return null;
  }

  async #keepCounted(push: Push): Promise<PushOutcome | Failure> {
    const kept = keepRefusal(push) ?? (await this.#bus.keeping.keep(push));
    if (typeof kept !== 'number') return kept;
    return { ...NOBODY_COUNTED, kept };
  }

  async pushCounted(push: Push, waitMs: number): Promise<PushOutcome | Failure> {
    const refused = this.#sessionCommands.check(push);
    if (refused !== null) return refused;
    if (push.keep === true) return this.#keepCounted(push);
    if (push.target === null) return failure('BAD_ARGUMENT', 'push.target is missing');
    const { target } = push;
    const elsewhere = this.#elsewhere(target);
    const call =
      elsewhere === null ? noReplies() : this.#bus.peers.pushCounted(elsewhere, push, waitMs);
    if (isFailure(call)) return call;
    const here = this.#sessionCommands.namesHere(target);
    const { delivered, dropped, refused: full } = await this.#sessionCommands.pushCounted(push);
    const outcome: PushOutcome = {
      ...{ delivered, dropped, refused: full, gateways: 1, kept: 0 },
      ...{ unknownUids: [], unknownSids: [], silentGateways: [] },
    };
    const fleet = await call;
    const uids = new Set(here.uids);
    const sids = new Set(here.sids);
    for (const answer of fleet.answers) {
      outcome.delivered += answer.delivered ?? 0;
      outcome.dropped += answer.dropped ?? 0;
      outcome.refused += answer.refused ?? 0;
      outcome.gateways++;
      for (const uid of answer.uids ?? []) uids.add(uid);
      for (const sid of answer.sids ?? []) sids.add(sid);
    }
    outcome.unknownUids = missing(target.uids, uids);
    outcome.unknownSids = missing(target.sids, sids);
    outcome.silentGateways = [...fleet.silentGateways];
    return outcome;
  }

  /** Closes sessions, each with a kick packet first if `close` says so. */
  async close(
    target: Target,
    close: Close,
    waitMs = FLEET_WAIT_MS,
  ): Promise<KickOutcome | Failure> {
    if (namesNobody(target)) return NO_TARGET;
    const elsewhere = this.#elsewhere(target);
    const call = elsewhere === null ? noReplies() : this.#bus.peers.kick(elsewhere, close, waitMs);
    if (isFailure(call)) return call;
    let closed = await this.#sessionCommands.closeAll(this.#sessionCommands.select(target), close);
    const fleet = await call;
    for (const answer of fleet.answers) closed += answer.closed ?? 0;
    return { closed, gateways: 1 + fleet.answers.length, silentGateways: fleet.silentGateways };
  }

  /** Sessions, sorted by the id of their gateway, then by when they were opened. An empty target means all. */
  async list(target: Target, page: Page): Promise<SessionsOutcome | Failure> {
    const everybody = namesNobody(target) ? { ...target, all: true } : target;
    const elsewhere = this.#elsewhere(everybody);
    const call =
      elsewhere === null ? noReplies() : this.#bus.peers.list(elsewhere, page, FLEET_WAIT_MS);
    if (isFailure(call)) return call;
    const own = pageOf(this.#sessionCommands.select(everybody), page, Infinity);
    if (isFailure(own)) return own;
    const { answers, silentGateways } = await call;
    for (const { failure: why } of answers) if (why !== undefined) return why;
    const parts = [{ gateway: this.#gatewayId, ...own }, ...answers];
    const all = merged(parts);
    const more = all.length > page.limit || parts.some((part) => part.more);
    const sessions = all.slice(0, page.limit).map((session) => this.#shown(session));
    return { sessions, more, silentGateways };
  }

  /** Sessions join groups, or leave them, wherever they are. */
  async changeGroups(change: GroupChange): Promise<GroupOutcome | Failure> {
    const { verb, target, groups, ttlMs } = change;
    if (namesNobody(target)) return NO_TARGET;
    if (groups.length === 0) return failure('BAD_ARGUMENT', 'groups is missing: name at least one');
    const patch: Patch = { [verb]: groups, ...(ttlMs !== undefined && { groupTtlMs: ttlMs }) };
    const refused = nameRefusal(patch);
    if (refused !== null) return refused;
    const elsewhere = this.#elsewhere(target);
    const call =
      elsewhere === null
        ? noReplies()
        : // Longer than for other calls: each answers when the change is confirmed.
          this.#bus.peers.changeGroups(
            { ...change, target: elsewhere },
            FLEET_WAIT_MS + CONFIRM_MS_MAX,
          );
    if (isFailure(call)) return call;
    const own = this.#sessionCommands.changeGroups(this.#sessionCommands.select(target), patch);
    let { changed, refused: refusals, failure: why } = await own;
    const { answers, silentGateways } = await call;
    for (const answer of answers) {
      changed += answer.changed ?? 0;
      refusals += answer.refused ?? 0;
      why ??= answer.failure ?? null;
    }
    // Nothing was done, and there is a reason to give.
    if (changed === 0 && why !== null) return why;
    return { changed, refused: refusals, gateways: 1 + answers.length, silentGateways };
  }

  /** Which of these users are online, and where. */
  async presence(asked: readonly string[]): Promise<PresenceOutcome | Failure> {
    const uids = [...new Set(asked)];
    if (uids.length > PRESENCE_UIDS_MAX)
      return failure('TOO_LARGE', `${uids.length} uids; at most ${PRESENCE_UIDS_MAX} are allowed`);
    const call = uids.length === 0 ? noReplies() : this.#bus.peers.presence(uids, FLEET_WAIT_MS);
    if (isFailure(call)) return call;
    const own = this.#sessionCommands.presence(uids);
    const { answers, silentGateways } = await call;
    const users = presenceOf(uids, [{ gateway: this.#gatewayId, presence: own }, ...answers]);
    return { users, gateways: 1 + answers.length, silentGateways };
  }

  /** Groups whose names begin with `prefix`, by name. */
  async groups(prefix: string, page: Page): Promise<GroupsOutcome | Failure> {
    const call = this.#bus.peers.groups(prefix, page, FLEET_WAIT_MS);
    if (isFailure(call)) return call;
    const own = this.#sessionCommands.groups(prefix, page);
    const { answers, silentGateways } = await call;
    const parts = [{ gateway: this.#gatewayId, ...own }, ...answers];
    return { ...mergedGroups(parts, page.limit), silentGateways };
  }

  /** What the fleet knows of a failure. @param about A ref, a sid or a uid. */
  async why(about: string): Promise<WhyKnown | Failure> {
    if (about === '') return failure('BAD_ARGUMENT', 'about is empty: give a ref, a sid or a uid');
    if (about.length > ABOUT_CHARS_MAX)
      return failure('TOO_LARGE', `about: at most ${ABOUT_CHARS_MAX} characters`);
    const call = this.#bus.peers.why(about, FLEET_WAIT_MS);
    if (isFailure(call)) return call;
    const own = this.#sessionCommands.why(about);
    const { answers, silentGateways } = await call;
    return { ...whyOfAll(own, answers), gateways: 1 + answers.length, silentGateways };
  }

  /** What the other gateways tell of themselves. @param fields As the kind has them. */
  status(kind: StatusKind, fields: object): PeerCall {
    return this.#bus.peers.status(kind, fields, FLEET_WAIT_MS);
  }

  /** @param stats With what it is doing. */
  async get(sid: string, stats = false): Promise<SessionJson | Failure> {
    const found = await this.#find(sid, stats);
    return isFailure(found) ? found : this.#shown(found);
  }

  /** For people: backends get the whole address. */
  #shown(session: SessionJson): SessionJson {
    if (this.#clientIp === 'full') return session;
    return { ...session, remote_ip: shownAddress(session.remote_ip, this.#clientIp) };
  }

  async #find(sid: string, stats: boolean): Promise<SessionJson | Failure> {
    const session = this.#sessionCommands.bySid(sid);
    if (session !== undefined) return stats ? sessionJsonWithStats(session) : sessionJson(session);
    if (this.#isOwn(sid)) return failure('NO_SESSION');
    return this.#bus.bySid.get(sid, FLEET_WAIT_MS, stats);
  }

  /** Changes one session, and resolves when the change is in force everywhere. */
  async patch(sid: string, patch: Patch): Promise<Changes | Failure> {
    const session = this.#sessionCommands.bySid(sid);
    if (session === undefined) {
      return this.#isOwn(sid)
        ? failure('NO_SESSION')
        : this.#bus.bySid.patch(sid, patch, FLEET_WAIT_MS);
    }
    return this.#sessionCommands.patchAll([session], patch);
  }

  /**
   * Changes every session that is named; on other gateways only those named by sid. One that cannot be changed does
   * not keep the others from it, unless it is found out before any has been.
   */
  async patchAll(target: Target, patch: Patch): Promise<Changes | Incomplete> {
    const excepted = new Set(target.exceptSids);
    const remoteSids = (target.sids ?? []).filter(
      (sid) => !excepted.has(sid) && this.#sessionCommands.bySid(sid) === undefined,
    );
    if (remoteSids.length > REMOTE_PATCHES_MAX)
      return { ...tooMany(remoteSids.length), ...NOTHING };
    const results: Promise<Changes | Failure>[] = [];
    let isSent = false;
    for (const sid of remoteSids) {
      const cannotExist = target.local === true || this.#isOwn(sid);
      const call = cannotExist
        ? failure('NO_SESSION')
        : this.#bus.bySid.patch(sid, patch, FLEET_WAIT_MS);
      if (!isFailure(call)) isSent = true;
      // As when it is too large for the first: it is too large for all.
      else if (!isSent && call.reason !== 'NO_SESSION') return { ...call, ...NOTHING };
      results.push(isFailure(call) ? Promise.resolve(call) : call);
    }
    const sessions = this.#sessionCommands.select(target);
    return sumOf([this.#sessionCommands.patchAll(sessions, patch), ...results]);
  }

  #isOwn(sid: string): boolean {
    return sid.slice(0, sid.lastIndexOf('.')) === this.#gatewayId;
  }

  /** The part of the target that other gateways may hold; null: nothing. */
  #elsewhere(target: Target): Target | null {
    if (target.local) return null;
    const sids = (target.sids ?? []).filter((sid) => !this.#isOwn(sid));
    const rest = { ...target, sids };
    return namesNobody(rest) ? null : rest;
  }
}

function tooMany(sessions: number): Failure {
  return failure(
    'TOO_LARGE',
    `the change names ${sessions} sessions of other gateways; at most ${REMOTE_PATCHES_MAX} are allowed`,
  );
}

function missing(asked: readonly string[] | undefined, found: ReadonlySet<string>): string[] {
  return (asked ?? []).filter((name) => !found.has(name)).slice(0, UNKNOWN_NAMED_MAX);
}
