/**
 * The spine: one client message, at most one answer. Read this first.
 *
 *   message → admit → route → admit → body → lane → upstream … reply → session changes → pushes → answer
 *
 * Every way out of here goes through `#release`, which is where a call leaves the session, the lane and the
 * wheel; so a request is answered once, whatever dies. Guarded by test/integration/invariants.test.ts.
 */
import { NOTHING } from '../bytes.ts';
import { type Failure, failure, isOwnReason, isFailure } from '../errors.ts';
import type { BadSignature } from '../dialect/wire.ts';
import type { Message } from '../protocol/message.ts';
import { isReserved } from '../routing/reserved.ts';
import { isRoute, namesConstructor, RENAMED_BYTES_MAX } from '../routing/route.ts';
import { chosen, instanceFor, renamed, type RouteTable } from '../routing/route-table.ts';
import type { Target } from '../routing/rule.ts';
import type { Close, Patch, Push, Reply } from '../contract/commands.ts';
import type { Session } from '../session/session.ts';
import type { TimerWheel } from '../timer-wheel.ts';
import { type Call, type CallEnd, CallPool } from '../upstream/call.ts';
import type { Upstream } from '../upstream/upstream.ts';
import type { Admission } from './admission.ts';
import type { Breaker } from './breaker.ts';
import { Retries } from './retries.ts';

/** What replies carry beside the answer, and what the rest of the gateway hears of each message. */
export interface RelayHost {
  /** Applies the changes; null when they took effect. */
  patch(session: Session, patch: Patch): Failure | null;
  push(push: Push, from: Session): void;
  close(session: Session, close: Close): void;
  /** A message is about to be relayed; this may set `call.trace`. */
  onBegin(call: Call): void;
  /** `why`: the call failed, and not because the backend refused; null: it did not. */
  onDone(call: Call, outcome: string, why: Failure | null): void;
  /** The answer cannot be encoded for this client: the backend's programmers should know. */
  onBadReply(call: Call, why: Failure): void;
  /** A message was dropped, or will end its session: its client did not sign it. */
  onBadSignature(session: Session): void;
  /** An answer, or the failure of a notify, that never reached a backend. `backendOrdinal`: -1 where none was chosen. */
  onRefused(
    session: Session,
    route: string,
    wantsAnswer: boolean,
    why: Failure,
    backendOrdinal: number,
  ): void;
}

export type RelayParts = {
  readonly table: RouteTable;
  /** By the backend's ordinal. */
  readonly upstreams: readonly Upstream[];
  readonly admission: Admission;
  /** By the backend's ordinal; null: none. */
  readonly breakers: readonly (Breaker | null)[];
  readonly wheel: TimerWheel;
  readonly routeBytesMax: number;
  readonly host: RelayHost;
};

const IN_FLIGHT: Failure = {
  ...failure('OVERLOADED'),
  detail: 'limits.in_flight_per_backend is reached',
};
const NO_RULE: Failure = { ...failure('NO_ROUTE'), detail: 'no rule of routes takes it' };
const RESERVED: Failure = {
  ...failure('NO_ROUTE'),
  detail: "routes that begin with pith are the gateway's own, and no client's",
};
const RENAMED_TO_NONE: Failure = {
  ...failure('NO_ROUTE'),
  detail: "its rule's rename makes no route of it",
};

export class Relay implements CallEnd {
  readonly #table: RouteTable;
  readonly #upstreams: readonly Upstream[];
  readonly #admission: Admission;
  readonly #wheel: TimerWheel;
  readonly #routeBytesMax: number;
  readonly #host: RelayHost;
  readonly #breakers: readonly (Breaker | null)[];
  readonly #retries: Retries;
  readonly #pool = new CallPool(this);

  constructor(parts: RelayParts) {
    this.#table = parts.table;
    this.#upstreams = parts.upstreams;
    this.#admission = parts.admission;
    this.#wheel = parts.wheel;
    this.#routeBytesMax = parts.routeBytesMax;
    this.#host = parts.host;
    this.#breakers = parts.breakers;
    this.#retries = new Retries(parts.wheel, parts.upstreams.length);
  }

  /** Messages in flight or waiting. */
  get inFlight(): number {
    return this.#pool.inUse;
  }

  /** Relays one message of an active or draining session. */
  onMessage(session: Session, message: Message): void {
    const now = this.#wheel.now();
    const target = this.#target(session, message, now);
    if (isFailure(target)) {
      this.refuse(session, message, target);
      return;
    }
    const route = target.rename === '' ? message.route : renamed(target.rename, message.route);
    const misnamed = target.rename === '' ? null : faultOfRenamed(route);
    if (misnamed !== null) {
      this.refuse(session, message, misnamed);
      return;
    }
    const open = this.#breakers[target.backendOrdinal]?.refusal(now) ?? null;
    if (open !== null) {
      this.refuse(session, message, open, target.backendOrdinal);
      return;
    }
    if (!this.#admission.enter(target.backendOrdinal)) {
      this.refuse(session, message, IN_FLIGHT, target.backendOrdinal);
      return;
    }
    // Last check, because it is the most expensive.
    const body = session.wire.readBody(session, message, target.codec !== 'auto');
    if (!(body instanceof Uint8Array)) {
      this.#admission.leave(target.backendOrdinal);
      this.#unread(session, message, body);
      return;
    }
    const call = this.#fill(this.#pool.take(), session, message, target, now);
    call.body = body;
    call.route = route;
    this.#host.onBegin(call);
    session.track(call);
    this.#wheel.setAt(call, call.deadline);
    call.lane.enter(call);
  }

  /** Where the message goes, or why it goes nowhere. */
  #target(session: Session, message: Message, now: number): Target | Failure {
    if (!this.#admission.mayAsk(session, now)) return failure('TOO_MANY');
    if (session.state === 'draining') return failure('DRAINING');
    const { route } = message;
    if (!isRoute(route, this.#routeBytesMax) || namesConstructor(route))
      return failure('BAD_ROUTE');
    if (isReserved(route)) return RESERVED;
    const target = this.#table.find(route);
    if (target === null) return NO_RULE;
    if (target.bound && session.uid === '') return failure('NOT_BOUND');
    return target.choices === null ? target : chosen(target, session);
  }

  #fill(call: Call, session: Session, message: Message, target: Target, now: number): Call {
    const upstream = this.#upstreams[target.backendOrdinal]!;
    call.state = 'waiting';
    call.session = session;
    call.lane = session.lane(target.backendOrdinal);
    call.target = target;
    call.upstream = upstream;
    call.clientRoute = message.route;
    call.rawId = message.rawId;
    call.wantsAnswer = message.wantsAnswer;
    call.seq = ++session.seq;
    call.startedAt = now;
    call.deadline = now + target.timeoutMs;
    call.instance = '';
    call.idempotent = target.idempotent;
    call.unordered = target.order === 'none';
    call.exclusive = target.order === 'serial' || (target.order === 'keep' && upstream.oneAtATime);
    return call;
  }

  /** The call's turn in its lane has come. */
  start(call: Call): void {
    call.state = 'sent';
    // Its session is ending, and what it waited for was ended a moment ago.
    if (call.wantsAnswer && call.session.state === 'closed') {
      this.#release(call, 'client_gone');
      return;
    }
    // Read now, not when the message came: a bind by an earlier answer counts.
    if (call.target.instance !== null)
      call.instance = instanceFor(call.target.instance, call.session);
    // A method may say it too, but only when it is looked up.
    if (call.idempotent || call.target.method !== '')
      this.#retries.began(call.target.backendOrdinal);
    call.upstream.send(call);
  }

  // ---- ends ---------------------------------------------------------------------------------------------

  succeed(call: Call, body: Uint8Array): void {
    const { session, clientRoute: route } = call;
    if (call.wantsAnswer && session.state !== 'closed') {
      const encoded = session.wire.answer(call.rawId, route, body, call.target.codec);
      if (isFailure(encoded)) {
        this.#host.onBadReply(call, encoded);
        call.reported = true;
        this.fail(call, encoded);
        return;
      }
      session.answer(encoded);
    }
    this.#release(call, 'ok');
  }

  fail(call: Call, why: Failure): void {
    if (call.idempotent && this.#retries.again(call, why)) return;
    this.#endWith(call, why, why);
  }

  /** The backend has spoken: it is not asked again, and nothing is wrong with it. */
  #refused(call: Call, why: Failure): void {
    this.#endWith(call, why, null);
  }

  #endWith(call: Call, said: Failure, trouble: Failure | null): void {
    if (call.wantsAnswer && call.session.state !== 'closed') answerFailure(call, said);
    this.#release(call, isOwnReason(said.reason) ? said.reason : 'BACKEND', trouble);
  }

  answer(call: Call, reply: Reply): void {
    const { session } = call;
    if (session.state === 'closed') {
      // A notify's client is gone; what the backend says to others still goes out.
      for (const push of reply.pushes) if (push.target !== null) this.#host.push(push, session);
      this.#release(call, 'ok');
      return;
    }
    // In this order: changes take effect, pushes before the answer, the answer, pushes after it, the close.
    const refused = reply.patch === null ? null : this.#host.patch(session, reply.patch);
    if (refused !== null) {
      this.#refused(call, refused);
      return;
    }
    for (const push of reply.pushes) if (!push.afterReply) this.#host.push(push, session);
    if (reply.failure !== null) this.#refused(call, reply.failure);
    else this.succeed(call, reply.body ?? NOTHING);
    for (const push of reply.pushes) if (push.afterReply) this.#host.push(push, session);
    if (reply.close !== null) this.#host.close(session, reply.close);
  }

  sent(call: Call): void {
    this.#release(call, 'ok');
  }

  onLate(call: Call): void {
    if (call.state === 'sent') call.pending?.cancel(call);
    this.fail(call, failure('TIMEOUT'));
  }

  /** The gateway waits no longer, though the client does. A notify still goes where it was going. */
  giveUp(call: Call, why: Failure): void {
    if (!call.wantsAnswer || call.state === 'free') return;
    if (call.state === 'sent') call.pending?.cancel(call);
    this.fail(call, why);
  }

  /** Nobody waits for an answer any more. A notify still goes where it was going. */
  onSessionClosed(call: Call): void {
    if (!call.wantsAnswer || call.state === 'free') return;
    if (call.state === 'sent') call.pending?.cancel(call);
    this.#release(call, 'client_gone');
  }

  #release(call: Call, outcome: string, why: Failure | null = null): void {
    const { lane, session, state, target } = call;
    // An answer that does not fit, or a push before it, closes the session, which ends its calls: this one too.
    if (state === 'free') return;
    this.#wheel.cancel(call);
    this.#admission.leave(target.backendOrdinal);
    this.#breakers[target.backendOrdinal]?.done(outcome, this.#wheel.now());
    this.#host.onDone(call, outcome, why);
    call.state = 'free';
    // Last of the counts: the session may read on, and send more, when this one is gone.
    session.untrack(call);
    if (state === 'waiting') lane.abandon(call);
    else lane.leave(call);
    this.#pool.give(call);
  }

  /** A body that goes nowhere: answered, or dropped or its session closed as it is configured. */
  #unread(session: Session, message: Message, why: Failure | BadSignature): void {
    if (typeof why === 'object') {
      this.refuse(session, message, why);
      return;
    }
    this.#host.onBadSignature(session);
    if (why === 'close') session.close('bad_signature');
  }

  /** Answers a message that reached no backend. */
  refuse(session: Session, message: Message, why: Failure, backendOrdinal = -1): void {
    if (message.wantsAnswer) {
      const encoded = session.wire.failure(message.rawId, message.route, why);
      if (encoded !== null) session.answer(encoded);
    }
    this.#host.onRefused(session, message.route, message.wantsAnswer, why, backendOrdinal);
  }
}

/** Why a route that its rule has renamed goes nowhere; null: it may go. */
function faultOfRenamed(route: string): Failure | null {
  if (isReserved(route)) return RESERVED;
  return isRoute(route, RENAMED_BYTES_MAX) ? null : RENAMED_TO_NONE;
}

function answerFailure({ session, rawId, clientRoute, target }: Call, why: Failure): void {
  const encoded = session.wire.failure(rawId, clientRoute, why, target.codec);
  if (encoded !== null) session.answer(encoded);
}
