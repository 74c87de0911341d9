/**
 * The spine: one client message, at most one answer. Read this first.
 *
 *   message → admit → route → admit → body → lane → upstream … reply → session changes → pushes → answer
 *   └──────────────── here ───────────────┘└──────────────────── relay-call.ts ───────────────────────┘
 */
import { type Failure, failure, isFailure } from '../errors.ts';
import type { BadSignature } from '../dialect/wire.ts';
import type { Message } from '../protocol/message.ts';
import { mayUse } from '../routing/roles.ts';
import { REFRESH_ROUTE } from '../routing/reserved.ts';
import { chosen, renamedOr, RESERVED, RouteTable } from '../routing/route-table.ts';
import type { Target } from '../routing/rule.ts';
import type { MessageSink } from '../session/session-parts.ts';
import type { Session } from '../session/session.ts';
import type { Upstream } from '../upstream/upstream.ts';
import type { Breaker } from './breaker.ts';
import { RelayCall } from './relay-call.ts';
import type { RelayBackend, RelayParts } from './relay-parts.ts';
import { Retries } from './retries.ts';

const NO_ROLE = failure('FORBIDDEN', 'this route needs a role that the session does not have');

/** Of less it is not worth a copy; up to eight times as much is read at once. */
const SHARED_BYTES = 8_192;
const SMALL_SHARE = 1 / 4;

/**
 * A body in flight keeps all in memory that was read with it. Where that is much more than the body it is copied, or a
 * client that fills each read with something else would make the gateway hold many times what is counted.
 */
function kept(body: Buffer): Buffer {
  const { byteLength } = body.buffer;
  if (byteLength <= SHARED_BYTES || body.length >= byteLength * SMALL_SHARE) return body;
  // Not of the memory that small buffers share, which is as large.
  const copy = Buffer.allocUnsafeSlow(body.length);
  body.copy(copy);
  return copy;
}

/** Requests with a newer token. */
export interface TokenRequests {
  /** Answers it now or later. @param body A view: gone after this call. */
  receive(session: Session, message: Message, body: Buffer): void;
}

export class Relay implements MessageSink {
  readonly parts: RelayParts;
  readonly retries: Retries;
  /** Replaced when the configuration is reloaded. What is in flight keeps the target that it was given. */
  table = new RouteTable([], []);
  /** Takes what comes on `pith.refresh`; null: no tokens are in use, and that route is reserved as others are. */
  refresh: TokenRequests | null = null;
  /** By the backend's ordinal, which no other backend gets later. */
  readonly upstreams: Upstream[] = [];
  /** By the backend's ordinal; null: none. */
  readonly breakers: (Breaker | null)[] = [];
  readonly #free: RelayCall[] = [];
  #inFlight = 0;

  constructor(parts: RelayParts) {
    this.parts = parts;
    this.retries = new Retries(parts.wheel, parts.random);
  }

  /** Returns its ordinal. Nothing reaches it before a table names it. */
  addBackend({ name, upstream, breaker }: RelayBackend): number {
    this.parts.admission.addBackend();
    this.parts.report.addBackend(name);
    this.retries.addBackend();
    this.breakers.push(breaker);
    return this.upstreams.push(upstream) - 1;
  }

  /** Messages in flight or waiting. */
  get inFlight(): number {
    return this.#inFlight;
  }

  /** Relays one message of an active or draining session. */
  receive(session: Session, message: Message): void {
    const { admission, report, shedding, wheel } = this.parts;
    const now = wheel.now();
    const shed = shedding.refuseNext();
    // A session that cannot refresh its token would lapse, and its client log in again, which costs more.
    const isShed = shed !== null && !this.#isRefresh(message);
    const target = isShed ? shed : this.target(session, message.route, now);
    if (isFailure(target)) {
      if (target === RESERVED && this.#isRefresh(message))
        this.#refreshToken(this.refresh!, session, message);
      else this.refuse(session, message, target);
      return;
    }
    const route = target.rename === '' ? message.route : renamedOr(target.rename, message.route);
    if (typeof route !== 'string') {
      this.refuse(session, message, route);
      return;
    }
    const open = this.breakers[target.backendOrdinal]?.refusal(now) ?? null;
    if (open !== null) {
      this.refuse(session, message, open, target.backendOrdinal);
      return;
    }
    if (!admission.enter(target.backendOrdinal)) {
      const full = admission.overload('in_flight_per_backend');
      this.refuse(session, message, full, target.backendOrdinal);
      return;
    }
    // Last check, because it is the most expensive.
    const body = session.wire.readBody(session, message, target.codec !== 'auto');
    if (!(body instanceof Uint8Array)) {
      admission.leave(target.backendOrdinal, 0);
      this.#unread(session, message, body);
      return;
    }
    if (!admission.hold(body.length)) {
      admission.leave(target.backendOrdinal, 0);
      this.refuse(session, message, admission.overload('in_flight_bytes'), target.backendOrdinal);
      return;
    }
    const call = this.#free.pop() ?? new RelayCall(this);
    this.#inFlight++;
    call.fill(session, message, target, now);
    call.body = kept(body);
    call.heldBytes = body.length;
    call.route = route;
    report.traces?.begin(call);
    if (session.watchers !== 0) report.watching.received(call);
    session.track(call);
    wheel.setAt(call, call.deadline);
    call.lane.enter(call);
    if (call.state === 'waiting') call.hasWaited = true;
  }

  /** Where the message goes, or why it goes nowhere. */
  target(session: Session, route: string, now: number): Target | Failure {
    const { admission, maintenance } = this.parts;
    const tooMany = admission.refusal(session, now);
    if (tooMany !== null) return tooMany;
    if (session.state === 'draining') return failure('DRAINING');
    const target = this.table.resolve(route);
    if (isFailure(target)) return target;
    if (maintenance.isOn) {
      const closed = maintenance.refusal(route, session.uid);
      if (closed !== null) return closed;
    }
    if (target.bound && session.uid === '') return failure('NOT_BOUND');
    if (!mayUse(target.roles, session.data)) return NO_ROLE;
    const tooManyHere = admission.routeRefusal(session, target, now);
    if (tooManyHere !== null) return tooManyHere;
    return target.choices === null ? target : chosen(target, session);
  }

  #isRefresh({ route }: Message): boolean {
    return route === REFRESH_ROUTE && this.refresh !== null;
  }

  #refreshToken(refresh: TokenRequests, session: Session, message: Message): void {
    if (session.watchers !== 0) this.parts.report.watching.own(session, message);
    const body = session.wire.readBody(session, message, false);
    if (body instanceof Uint8Array) refresh.receive(session, message, body);
    else this.#unread(session, message, body);
  }

  /** A body that goes nowhere: answered, or dropped or its session closed as it is configured. */
  #unread(session: Session, message: Message, why: Failure | BadSignature): void {
    if (typeof why === 'object') {
      this.refuse(session, message, why);
      return;
    }
    session.drop('bad_signature');
    if (why === 'close') session.close('bad_signature');
  }

  /** Answers a message that reached no backend. */
  refuse(session: Session, message: Message, why: Failure, backendOrdinal = -1): void {
    // Counted like those that are relayed: its number is in its ref.
    const seq = ++session.seq;
    const { report } = this.parts;
    if (message.wantsAnswer) {
      const named = report.named(why, session.sid, seq);
      const encoded = session.wire.failure(message.rawId, message.route, named);
      if (encoded !== null) session.send(encoded);
    }
    const rule = this.#matchOf(message.route);
    report.refused(session, message, why, { rule, backendOrdinal });
    if (report.routes.isOn) report.routes.done(rule, why.reason, null);
  }

  /** '': no rule matches it. */
  #matchOf(route: string): string {
    const target = this.table.resolve(route);
    return isFailure(target) ? '' : target.match;
  }

  /** A call has ended: its slot may serve another message. */
  free(call: RelayCall): void {
    this.#inFlight--;
    this.#free.push(call);
  }
}
