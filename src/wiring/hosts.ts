/** What happens at the edges of a session and of the relay: counted, logged, and passed on to the other parts. */
import type { SessionCommands } from '../bus/session-commands.ts';
import type { FleetCommands } from '../bus/fleet-commands.ts';
import type { Clock } from '../clock.ts';
import { type Failure, failure, isOwnReason, REASONS, isFailure } from '../errors.ts';
import type { MessageFault } from '../protocol/message.ts';
import type { Relay, RelayHost } from '../relay/relay.ts';
import { CLOSE_REASONS } from '../session/close-reason.ts';
import type { Registry } from '../session/registry.ts';
import type { Session } from '../session/session.ts';
import type { SessionHost } from '../session/session-parts.ts';
import type { Log } from '../telemetry/log.ts';
import type { Histogram } from '../telemetry/histogram.ts';
import type { Metrics, Series } from '../telemetry/metrics.ts';
import type { TimerWheel } from '../timer-wheel.ts';
import type { Call } from '../upstream/call.ts';
import type { ConnectAuth } from '../auth/connect-auth.ts';
import { LogThrottle } from '../telemetry/log-throttle.ts';
import type { MessageTraces } from '../relay/message-traces.ts';

export type SessionHostParts = {
  readonly registry: Registry;
  readonly relay: Relay;
  readonly metrics: Metrics;
  readonly log: Log;
  readonly wheel: TimerWheel;
  /** Of the listener that the sessions came by. */
  readonly auth: ConnectAuth;
};

/** What a client is told of a message that cannot be relayed. */
export const UNREADABLE: Readonly<Partial<Record<MessageFault | 'before_ack', Failure>>> = {
  truncated: failure('BAD_ROUTE', 'the message is cut off'),
  unknown_route_code: failure('BAD_ROUTE', 'no route has this code'),
  not_json: failure(
    'BAD_BODY',
    'expected a JSON object, as {"id":1,"route":"chat.room.join","body":{}}',
  ),
  bad_id: failure('BAD_BODY', 'id: expected a whole number from 1 to 9007199254740991'),
  bad_message: failure(
    'BAD_ROUTE',
    'expected a route and a body, as {"route":"chat.room.join","body":{}}',
  ),
  before_ack: failure('NOT_BOUND', 'the handshake comes first: {"handshake":{"user":{}}}'),
};

export function makeSessionHost(parts: SessionHostParts): SessionHost {
  const { registry, relay, metrics, log, wheel, auth } = parts;
  return {
    onHandshake(session, request) {
      auth.onHandshake(session, request);
    },
    onActive(session) {
      const { sid, remoteIp, clientType, clientVersion } = session;
      log.debug(
        { sid, remoteIp, transport: session.connection.transport, clientType, clientVersion },
        'session active',
      );
    },
    onMessage(session, message) {
      relay.onMessage(session, message);
    },
    onUnreadable(session, message, fault) {
      relay.refuse(session, message, UNREADABLE[fault] ?? failure('BAD_BODY'));
    },
    onDropped(session, why) {
      metrics.add('pith_messages_dropped_total', [why]);
      log.debug({ sid: session.sid, why }, 'message dropped');
    },
    onClosed(session, reason, words, cause) {
      registry.remove(session);
      auth.onClosed(session);
      metrics.add('pith_sessions_closed_total', [reason]);
      for (const [why, pushes] of Object.entries(session.outbox.skipped))
        if (pushes > 0) metrics.add('pith_pushes_skipped_total', [why], pushes);
      const lastedMs = Math.round(wheel.now() - session.openedAt);
      const { sid, uid, remoteIp } = session;
      log[CLOSE_REASONS[reason].log](
        {
          sid,
          uid,
          remoteIp,
          reason,
          ...(words.text !== '' && { words: words.text }),
          ...(cause !== '' && { error: cause }),
          lastedMs,
        },
        'session closed',
      );
      const closed = { session, reason: words.text || reason, code: words.code, lastedMs };
      for (const lane of session.lanes) lane?.peer?.forget(closed);
    },
  };
}

export type RelayHostParts = {
  readonly clock: Clock;
  readonly sessionCommands: SessionCommands;
  readonly fleetCommands: FleetCommands;
  readonly metrics: Metrics;
  readonly log: Log;
  readonly wheel: TimerWheel;
  /** In the order of their ordinals. */
  readonly backends: readonly string[];
  /** null: no message is traced. */
  readonly traces: MessageTraces | null;
};

/** What is counted of every message to one backend: found without making a label list or a key. */
class BackendCounts {
  readonly #metrics: Metrics;
  readonly #backend: string;
  readonly #outcomes = new Map<string, Series>();
  readonly #durations: Histogram;

  constructor(metrics: Metrics, backend: string) {
    this.#metrics = metrics;
    this.#backend = backend;
    this.#durations = metrics.histogram('pith_request_duration_seconds', [backend]);
  }

  count(call: Call, outcome: string, ms: number): void {
    let series = this.#outcomes.get(outcome);
    if (series === undefined) {
      series = this.#metrics.series('pith_requests_total', [this.#backend, outcome]);
      this.#outcomes.set(outcome, series);
    }
    series.add();
    if (call.wantsAnswer) this.#durations.observe(ms / 1_000);
  }
}

export function makeRelayHost(parts: RelayHostParts): RelayHost {
  const { sessionCommands, fleetCommands, metrics, log, wheel, traces } = parts;
  const isDebug = log.level === 'debug';
  const throttle = new LogThrottle(parts.clock);
  const tellFailed = failureTeller(parts, throttle);
  const counts = parts.backends.map((backend) => new BackendCounts(metrics, backend));
  return {
    patch(session, patch) {
      const changed = sessionCommands.patch(session, patch);
      if (!isFailure(changed)) return null;
      const left = throttle.allow(`patch ${changed.reason}`);
      if (left !== null)
        log.warn(
          { sid: session.sid, why: changed.message, ...left },
          'a reply changes the session in a way that is refused',
        );
      return changed;
    },
    push(push, from) {
      const refused = fleetCommands.push(push, from);
      if (refused === null) return;
      metrics.add('pith_backend_messages_dropped_total', ['', 'push']);
      const left = throttle.allow('push');
      if (left !== null)
        log.warn(
          { sid: from.sid, route: push.route, why: refused.message, ...left },
          'push refused',
        );
    },
    close(session, close) {
      sessionCommands.close([session], close);
    },
    onBegin(call) {
      if (traces !== null) traces.begin(call);
    },
    onDone(call, outcome, why) {
      if (why !== null) tellFailed(call, why);
      const ms = wheel.now() - call.startedAt;
      counts[call.target.backendOrdinal]!.count(call, outcome, ms);
      const traceId = traces === null ? '' : traces.end(call, outcome, ms);
      if (isDebug) logMessage(log, call, { outcome, ms, traceId });
    },
    onBadReply(call, why) {
      const { target, route, session } = call;
      const more = throttle.allow(target.match);
      if (more === null) return;
      const backend = parts.backends[target.backendOrdinal];
      log.warn({ sid: session.sid, backend, route, why: why.message, ...more }, 'bad reply');
    },
    onBadSignature(session) {
      metrics.add('pith_messages_dropped_total', ['bad_signature']);
      log.debug({ sid: session.sid, why: 'bad_signature' }, 'message dropped');
    },
    onRefused(session, route, wantsAnswer, why, backendOrdinal) {
      metrics.add('pith_messages_refused_total', [why.reason]);
      const left = isWorthALine(why)
        ? throttle.allow(`${backendOrdinal} refused ${why.reason}`)
        : null;
      const fields = refusedFields(session, why, parts.backends[backendOrdinal]);
      // The client's own word: cut, and in a field of its own.
      const said = { route: route.slice(0, 127), notify: !wantsAnswer };
      log[left === null ? 'debug' : 'warn']({ ...fields, ...said, ...left }, 'message refused');
    },
  };
}

function refusedFields(
  { sid }: Session,
  { reason, detail }: Failure,
  backend: string | undefined,
): Readonly<Record<string, string>> {
  return {
    sid,
    ...(backend !== undefined && { backend }),
    reason,
    ...(detail !== '' && { why: detail }),
  };
}

/** One line for each backend and reason, now and then: a backend that is away fails all that is asked. */
function failureTeller(
  { backends, log }: RelayHostParts,
  throttle: LogThrottle,
): (call: Call, why: Failure) => void {
  return (call, why) => {
    const { target, route, upstream } = call;
    const { reason, detail, message } = why;
    if (call.reported || !isWorthALine(why)) return;
    const left = throttle.allow(`${target.backendOrdinal} failed ${reason}`);
    if (left === null) return;
    const backend = backends[target.backendOrdinal];
    const where = upstream.whereTo?.(call);
    log.warn({ backend, reason, route, ...where, why: detail || message, ...left }, 'call failed');
  };
}

/** Failures that somebody who runs the gateway should hear of; the others are a client's own. */
function isWorthALine({ reason }: Failure): boolean {
  return reason === 'NO_ROUTE' || (isOwnReason(reason) && REASONS[reason].log !== 'debug');
}

function logMessage(
  log: Log,
  call: Call,
  { outcome, ms, traceId }: { outcome: string; ms: number; traceId: string },
): void {
  const { session, route, seq, wantsAnswer } = call;
  log.debug(
    {
      sid: session.sid,
      route,
      seq,
      notify: !wantsAnswer,
      outcome,
      ms: Math.round(10 * ms) / 10,
      ...(traceId !== '' && { trace_id: traceId }),
    },
    'message',
  );
}
