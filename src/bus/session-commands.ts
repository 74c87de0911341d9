/** What backends and operators ask of this gateway's sessions, done: push, kick, change, look up. */
import type { Wire } from '../dialect/wire.ts';
import { type Failure, failure, isFailure } from '../errors.ts';
import { CONVERT_BYTES } from '../protocol/convert.ts';
import type { Encoded } from '../protocol/packet.ts';
import {
  applyPatch,
  type Changed,
  type ChangeLimits,
  matcherOf,
  NAME_BYTES_MAX,
} from '../session/changes.ts';
import {
  type Close,
  namesNobody,
  type Patch,
  type Push,
  type PushCount,
  type Target,
} from '../contract/commands.ts';
import { closeDetails } from '../session/close-reason.ts';
import type { Perishable } from '../session/outbox.ts';
import type { Registry } from '../session/registry.ts';
import type { Session } from '../session/session.ts';
import type { TimerWheel } from '../timer-wheel.ts';

/** [libpomelo reads the length of a push's route as a signed byte.] */
export const PUSH_ROUTE_BYTES_MAX = 127;

export type SessionCommandsLimits = ChangeLimits & {
  /** Bytes of JSON that are parsed at once: `limits.convert`. */
  readonly convertBytesMax?: number;
};

export type SessionCommandsEvents = {
  /** One push to one session: delivered, dropped or refused. */
  onPush(outcome: keyof PushCount, sessions: number): void;
  /** A push that some clients cannot be told, or that fits in no packet. */
  onUnencodable(route: string, why: string): void;
};

export class SessionCommands {
  readonly #registry: Registry;
  readonly #limits: ChangeLimits;
  /** Bytes of JSON that are parsed at once: `limits.convert`. */
  readonly convertBytesMax: number;
  readonly #wheel: TimerWheel;
  readonly #events: SessionCommandsEvents;

  constructor(
    registry: Registry,
    limits: SessionCommandsLimits,
    wheel: TimerWheel,
    events: SessionCommandsEvents,
  ) {
    this.#registry = registry;
    this.#limits = limits;
    this.convertBytesMax = limits.convertBytesMax ?? CONVERT_BYTES;
    this.#wheel = wheel;
    this.#events = events;
  }

  /** The sessions of this gateway that `target` means; each once. */
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

  /** Without those that `except…` names and those for which `where` does not hold. */
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

  /** Why a push cannot be sent to anybody; null: it can. */
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
      return failure('BAD_ARGUMENT', 'push.target names nobody: give sids, uids, groups or all');
    }
    return null;
  }

  /** Puts the push into the outbox of every session given; it is encoded once for all that are spoken to alike. */
  push(sessions: readonly Session[], push: Push): PushCount {
    const count: PushCount = { delivered: 0, dropped: 0, refused: 0 };
    if (sessions.length === 0) return count;
    const perishable = this.#perishable(push);
    const forms = new Forms(push, this.#events);
    for (const session of sessions) {
      const encoded = forms.of(session.wire);
      const taken = encoded === null ? 'full' : session.push(encoded, perishable);
      if (taken === 'taken') count.delivered++;
      else if (taken === 'dropped') count.dropped++;
      else count.refused++;
    }
    for (const outcome of ['delivered', 'dropped', 'refused'] as const) {
      if (count[outcome] > 0) this.#events.onPush(outcome, count[outcome]);
    }
    return count;
  }

  patch(session: Session, patch: Patch): Changed | Failure {
    return applyPatch(this.#registry, session, patch, this.#limits);
  }

  /** Closes the sessions, with a kick packet first where the close says so. Returns how many. */
  close(sessions: readonly Session[], close: Close): number {
    const details = closeDetails(close.reason, close.code, close.retryAfterMs);
    for (const session of sessions) session.close(close.kick ? 'kick' : 'closed', details);
    return sessions.length;
  }

  bySid(sid: string): Session | undefined {
    return this.#registry.bySid(sid);
  }

  #perishable(push: Push): Perishable | null {
    if (push.delivery === 'must' && push.expiresInMs === 0) return null;
    return {
      droppable: push.delivery === 'droppable',
      expiresAt: push.expiresInMs === 0 ? Infinity : this.#wheel.now() + push.expiresInMs,
      latestKey: push.delivery === 'latest' ? push.latestKey || push.route : '',
    };
  }
}

/** One push, as each of the wires says it. Nearly always they are one. */
class Forms {
  readonly #push: Push;
  readonly #events: SessionCommandsEvents;
  #wire: Wire | null = null;
  #encoded: Encoded | null = null;
  /** Those before the last; made when there is a second. */
  #others: Map<Wire, Encoded | null> | null = null;

  constructor(push: Push, events: SessionCommandsEvents) {
    this.#push = push;
    this.#events = events;
  }

  /** null: the push cannot be encoded for this client, or not in one packet. */
  of(wire: Wire): Encoded | null {
    if (wire === this.#wire) return this.#encoded;
    if (this.#wire !== null) (this.#others ??= new Map()).set(this.#wire, this.#encoded);
    const known = this.#others?.get(wire);
    this.#wire = wire;
    this.#encoded = known === undefined ? this.#encode(wire) : known;
    return this.#encoded;
  }

  #encode(wire: Wire): Encoded | null {
    const { route, body } = this.#push;
    const encoded = wire.push(route, body);
    if (!isFailure(encoded)) return encoded;
    this.#events.onUnencodable(route, encoded.message);
    return null;
  }
}
