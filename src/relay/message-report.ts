/** What is counted, traced and logged of each message, and of what replies ask for and do not get. */
import type { Push } from '../contract/commands.ts';
import type { Clock } from '../clock.ts';
import { type Failure, isOwnReason, REASONS } from '../errors.ts';
import type { Message } from '../protocol/message.ts';
import type { Session } from '../session/session.ts';
import type { Histogram } from '../telemetry/histogram.ts';
import type { Log } from '../telemetry/log.ts';
import { LogThrottle } from '../telemetry/log-throttle.ts';
import type { Metrics, Series } from '../telemetry/metrics.ts';
import type { Call } from '../upstream/call.ts';
import type { MessageTraces } from './message-traces.ts';
import { type MessageWatch, NO_MESSAGE_WATCH } from './message-watch.ts';
import type { RelayCall } from './relay-call.ts';
import type { RouteActivity } from './route-activity.ts';

export type MessageReportParts = {
  readonly clock: Clock;
  readonly metrics: Metrics;
  readonly log: Log;
  /** null: no message is traced. */
  readonly traces: MessageTraces | null;
  /** What is counted by rules, when somebody asks. */
  readonly routes: RouteActivity;
  /** Absent: nobody looks at messages. */
  readonly watching?: MessageWatch;
};

/** A call that failed, for operators. */
export type LastFailure = {
  /** Milliseconds since the epoch. */
  readonly atWall: number;
  readonly reason: string;
  readonly route: string;
  /** In plain words. */
  readonly why: string;
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

export class MessageReport {
  readonly watching: MessageWatch;
  readonly #clock: Clock;
  readonly #metrics: Metrics;
  readonly #log: Log;
  #isDebug: boolean;
  readonly #throttle: LogThrottle;
  /** By the backend's ordinal. */
  readonly #backends: string[] = [];
  readonly #counts: BackendCounts[] = [];
  /** By the backend's ordinal; absent: none so far. */
  readonly #lastFailures: LastFailure[] = [];
  readonly routes: RouteActivity;
  /** null: no message is traced. */
  readonly traces: MessageTraces | null;

  constructor({
    clock,
    metrics,
    log,
    traces,
    routes,
    watching = NO_MESSAGE_WATCH,
  }: MessageReportParts) {
    this.routes = routes;
    this.watching = watching;
    this.#clock = clock;
    this.#metrics = metrics;
    this.#log = log;
    this.#isDebug = log.level === 'debug';
    this.#throttle = new LogThrottle(clock);
    this.traces = traces;
  }

  /** One more backend; its ordinal is the next. */
  addBackend(name: string): void {
    this.#backends.push(name);
    this.#counts.push(new BackendCounts(this.#metrics, name));
  }

  /** The last call to a backend that failed, and not because it refused. */
  lastFailure(backendOrdinal: number): LastFailure | undefined {
    return this.#lastFailures[backendOrdinal];
  }

  /** The level of the log has changed: read once, and not for each message. */
  logLevelChanged(): void {
    this.#isDebug = this.#log.level === 'debug';
  }

  /** `why`: the call failed, and not because the backend refused; null: it did not. */
  done(call: RelayCall, outcome: string, why: Failure | null): void {
    if (call.session.watchers !== 0) this.watching.done(call, outcome);
    if (why !== null) this.#failed(call, why);
    const ms = this.#clock.now() - call.startedAt;
    this.#counts[call.target.backendOrdinal]!.count(call, outcome, ms);
    if (this.routes.isOn)
      this.routes.done(call.target.match, outcome, call.wantsAnswer ? ms : null);
    const traceId = this.traces === null ? '' : this.traces.end(call, outcome, ms);
    if (this.#isDebug) logMessage(this.#log, call, { outcome, ms, traceId });
  }

  /** Throttled per backend and reason: an unreachable backend fails every request. */
  #failed(call: Call, why: Failure): void {
    const { target, route, upstream } = call;
    const { reason, detail, message } = why;
    this.#lastFailures[target.backendOrdinal] = {
      ...{ atWall: this.#clock.wallNow(), reason, route, why: detail || message },
    };
    if (call.reported || !isWorthALine(why)) return;
    const left = this.#throttle.allow(`${target.backendOrdinal} failed ${reason}`);
    if (left === null) return;
    const backend = this.#backends[target.backendOrdinal];
    const where = upstream.whereTo?.(call);
    this.#log.warn(
      { backend, reason, route, ...where, why: detail || message, ...left },
      'call failed',
    );
  }

  /** The answer cannot be encoded for this client: the backend's programmers should know. */
  badReply({ target, route, session }: Call, why: Failure): void {
    const more = this.#throttle.allow(target.match);
    if (more === null) return;
    const backend = this.#backends[target.backendOrdinal];
    this.#log.warn({ sid: session.sid, backend, route, why: why.message, ...more }, 'bad reply');
  }

  /** A message, or an answer, that never reached a backend. `backendOrdinal`: -1 where none was chosen. */
  refused(session: Session, message: Message, why: Failure, backendOrdinal: number): void {
    if (session.watchers !== 0)
      this.watching.refused(session, message, why, this.#backends[backendOrdinal] ?? '');
    this.#metrics.add('pith_messages_refused_total', [why.reason]);
    // A limit that acts should be seen by whoever has set it.
    const left =
      isWorthALine(why) || why.reason === 'TOO_MANY'
        ? this.#throttle.allow(`${backendOrdinal} refused ${why.reason}`)
        : null;
    const fields = refusedFields(session, why, this.#backends[backendOrdinal]);
    // The client's own word: cut, and in a field of its own.
    const where = { route: message.route.slice(0, 127), notify: !message.wantsAnswer };
    this.#log[left === null ? 'debug' : 'warn'](
      { ...fields, ...where, ...left },
      'message refused',
    );
  }

  patchRefused({ sid }: Session, { reason, message: why }: Failure): void {
    const left = this.#throttle.allow(`patch ${reason}`);
    // That a user is refused is what refuse_new is for.
    const level = reason === 'UID_IN_USE' ? 'info' : 'warn';
    if (left !== null) this.#log[level]({ sid, why, ...left }, 'session change in a reply refused');
  }

  pushRefused({ sid }: Session, { route }: Push, { message: why }: Failure): void {
    this.#metrics.add('pith_backend_messages_dropped_total', ['', 'push']);
    const left = this.#throttle.allow('push');
    if (left !== null) this.#log.warn({ sid, route, why, ...left }, 'push refused');
  }
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
