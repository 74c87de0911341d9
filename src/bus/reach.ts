/** One command, wherever its sessions are: here at once, and on the other gateways through the bus. */
import type { SessionJson } from '../contract/json-shapes.ts';
import { sessionJson } from '../contract/json-shapes.ts';
import { type Failure, failure } from '../errors.ts';
import {
  type Close,
  namesNobody,
  type Patch,
  type Push,
  type Target,
} from '../session/commands.ts';
import type { Session } from '../session/session.ts';
import type { Bus, Changes, FleetAnswer, FleetAnswers, Page, PushOutcome } from './bus.ts';
import type { Delivery } from './delivery.ts';

/** How long to wait for other gateways unless the caller says. */
export const FLEET_WAIT_MS = 250;
/** How many unknown users or sessions are named in an answer. */
const UNKNOWN_NAMED_MAX = 1_000;

export type KickOutcome = { closed: number; gateways: number; silentGateways: readonly string[] };

export class Reach {
  readonly #gatewayId: string;
  readonly #delivery: Delivery;
  readonly #bus: Bus;

  constructor(gatewayId: string, delivery: Delivery, bus: Bus) {
    this.#gatewayId = gatewayId;
    this.#delivery = delivery;
    this.#bus = bus;
  }

  /** Pushes, and does not count. `from`: the session that is meant when the push names nobody. */
  push(push: Push, from: Session | null): Failure | null {
    const refused = this.#delivery.check(push);
    if (refused !== null) return refused;
    if (push.target === null) {
      if (from === null) return failure('BAD_ARGUMENT', 'push.target is missing');
      this.#delivery.push([from], push);
      return null;
    }
    this.#delivery.push(this.#delivery.select(push.target), push);
    const elsewhere = this.#elsewhere(push.target);
    if (elsewhere !== null) this.#bus.push(elsewhere, push);
    return null;
  }

  async pushCounted(push: Push, waitMs: number): Promise<PushOutcome | Failure> {
    const refused = this.#delivery.check(push);
    if (refused !== null) return refused;
    if (push.target === null) return failure('BAD_ARGUMENT', 'push.target is missing');
    const { target } = push;
    const sessions = this.#delivery.select(target);
    const outcome: PushOutcome = {
      ...this.#delivery.push(sessions, push),
      gateways: 1,
      unknownUids: [],
      unknownSids: [],
      silentGateways: [],
    };
    const elsewhere = this.#elsewhere(target);
    const fleet =
      elsewhere === null ? NOBODY : await this.#bus.pushCounted(elsewhere, push, waitMs);
    const uids = new Set(sessions.map((session) => session.uid));
    const sids = new Set(sessions.map((session) => session.sid));
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

  /** Closes, with a kick packet first where the close says so. */
  async close(
    target: Target,
    close: Close,
    waitMs = FLEET_WAIT_MS,
  ): Promise<KickOutcome | Failure> {
    if (namesNobody(target))
      return failure('BAD_ARGUMENT', 'target names nobody: give sids, uids, groups or all');
    let closed = this.#delivery.close(this.#delivery.select(target), close);
    const elsewhere = this.#elsewhere(target);
    const fleet = elsewhere === null ? NOBODY : await this.#bus.kick(elsewhere, close, waitMs);
    for (const answer of fleet.answers) closed += answer.closed ?? 0;
    return { closed, gateways: 1 + fleet.answers.length, silentGateways: fleet.silentGateways };
  }

  /** Sessions in the order of their gateways' ids and of their opening; `target` naming nobody means all. */
  async list(target: Target, page: Page): Promise<SessionJson[]> {
    const everybody = namesNobody(target) ? { ...target, all: true } : target;
    const own: FleetAnswer = {
      gateway: this.#gatewayId,
      ...listed(this.#delivery.select(everybody), page),
    };
    const elsewhere = this.#elsewhere(everybody);
    const fleet =
      elsewhere === null ? NOBODY : await this.#bus.list(elsewhere, page, FLEET_WAIT_MS);
    return merged([own, ...fleet.answers]).slice(0, page.limit);
  }

  async get(sid: string): Promise<SessionJson | Failure> {
    const session = this.#delivery.bySid(sid);
    if (session !== undefined) return sessionJson(session);
    return this.#isOwn(sid) ? failure('NO_SESSION') : this.#bus.getSession(sid, FLEET_WAIT_MS);
  }

  /** Changes one session, and answers when the change is in force everywhere. */
  async patch(sid: string, patch: Patch): Promise<Changes | Failure> {
    const session = this.#delivery.bySid(sid);
    if (session === undefined) {
      return this.#isOwn(sid)
        ? failure('NO_SESSION')
        : this.#bus.patchSession(sid, patch, FLEET_WAIT_MS);
    }
    return settle(this.#delivery.patch(session, patch));
  }

  #isOwn(sid: string): boolean {
    return sid.slice(0, sid.lastIndexOf('.')) === this.#gatewayId;
  }

  /** What of the target other gateways may hold; null: nothing. */
  #elsewhere(target: Target): Target | null {
    if (target.local) return null;
    const sids = (target.sids ?? []).filter((sid) => !this.#isOwn(sid));
    const rest = { ...target, sids };
    return namesNobody(rest) ? null : rest;
  }
}

/** Waits until a change is in force, pushes by the new uid included. */
export async function settle(changed: ReturnType<Delivery['patch']>): Promise<Changes | Failure> {
  if ('code' in changed) return changed;
  if (changed.confirmed !== null) await changed.confirmed;
  return { changed: changed.changed, version: changed.version };
}

/** One gateway's part of a page. */
export function listed(
  sessions: readonly Session[],
  { limit, after }: Page,
): Pick<FleetAnswer, 'sessions' | 'more'> {
  const rest =
    after === ''
      ? [...sessions]
      : sessions.filter((session) => compareSids(session.sid, after) > 0);
  const page = rest.sort((a, b) => a.n - b.n).slice(0, limit);
  return { sessions: page.map(sessionJson), more: page.length < rest.length };
}

/** All parts in order, up to where the first gateway has more than it gave: the next page begins there. */
function merged(answers: readonly FleetAnswer[]): SessionJson[] {
  const all = answers
    .flatMap((answer) => answer.sessions ?? [])
    .sort((a, b) => compareSids(a.sid, b.sid));
  let end = all.length;
  for (const { more, sessions = [] } of answers) {
    const last = sessions.at(-1);
    if (more && last !== undefined) end = Math.min(end, all.indexOf(last) + 1);
  }
  return all.slice(0, end);
}

const NOBODY: FleetAnswers = { answers: [], silentGateways: [] };

function missing(asked: readonly string[] | undefined, found: ReadonlySet<string>): string[] {
  return (asked ?? []).filter((name) => !found.has(name)).slice(0, UNKNOWN_NAMED_MAX);
}

/** By gateway, then by number: ids of one gateway count up. */
export function compareSids(a: string, b: string): number {
  const [gatewayA, nA] = splitSid(a);
  const [gatewayB, nB] = splitSid(b);
  if (gatewayA !== gatewayB) return gatewayA < gatewayB ? -1 : 1;
  return nA - nB;
}

function splitSid(sid: string): [string, number] {
  const dot = sid.lastIndexOf('.');
  return [sid.slice(0, dot), Number(sid.slice(dot + 1))];
}
