/** What is counted, traced and logged of each message, and of what replies ask for and do not get. */
import type { Push } from '../contract/commands.ts';
import type { Clock } from '../clock.ts';
import { type Failure, isOwnReason, REASONS } from '../errors.ts';
import type { BackendTroubles } from '../failures/backend-troubles.ts';
import type { Failures } from '../failures/failures.ts';
import type { Message } from '../protocol/message.ts';
import { refOf } from '../ref.ts';
import type { Session } from '../session/session.ts';
import type { Log } from '../telemetry/log.ts';
import { LogThrottle } from '../telemetry/log-throttle.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { Call } from '../upstream/call.ts';
import {
  type FailedCall,
  fieldsOf,
  type NamedMessage,
  recordOfCall,
  recordOfRefused,
  type Undated,
} from './failure-records.ts';
import { MessageCounts } from './message-counts.ts';
import type { MessageTraces } from './message-traces.ts';
import { type MessageWatch, NO_MESSAGE_WATCH } from './message-watch.ts';
import type { RelayCall } from './relay-call.ts';
import type { RouteActivity } from './route-activity.ts';

/** How a call has failed. */
export type Failed = {
  /** What is answered. */
  readonly why: Failure;
  /** False: the backend has refused it, and nothing is wrong with the backend. */
  readonly isTrouble: boolean;
};

export type MessageReportParts = {
  readonly clock: Clock;
  readonly metrics: Metrics;
  readonly log: Log;
  /** null: no message is traced. */
  readonly traces: MessageTraces | null;
  readonly failures: Failures;
  readonly troubles: BackendTroubles;
  /** `telemetry.refs` */
  readonly tellsRefs: boolean;
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

export class MessageReport {
  readonly watching: MessageWatch;
  readonly #clock: Clock;
  readonly #metrics: Metrics;
  readonly #log: Log;
  #isDebug: boolean;
  readonly #throttle: LogThrottle;
  /** By the backend's ordinal. */
  readonly #backends: string[] = [];
  /** By the backend's ordinal; absent: none so far. */
  readonly #lastFailures: LastFailure[] = [];
  readonly routes: RouteActivity;
  readonly #counts: MessageCounts;
  /** null: no message is traced. */
  readonly traces: MessageTraces | null;
  readonly #failures: Failures;
  readonly #troubles: BackendTroubles;
  /** Error answers have the ref of their message. May be replaced at any time. */
  tellsRefs: boolean;

  constructor(parts: MessageReportParts) {
    const { clock, metrics, log, traces } = parts;
    this.#failures = parts.failures;
    this.#troubles = parts.troubles;
    this.tellsRefs = parts.tellsRefs;
    this.routes = parts.routes;
    this.watching = parts.watching ?? NO_MESSAGE_WATCH;
    this.#clock = clock;
    this.#metrics = metrics;
    this.#counts = new MessageCounts(metrics);
    this.#log = log;
    this.#isDebug = log.level === 'debug';
    this.#throttle = new LogThrottle(clock);
    this.traces = traces;
  }

  /** One more backend; its ordinal is the next. */
  addBackend(name: string): void {
    this.#backends.push(name);
    this.#counts.addBackend(name);
  }

  /** The last call to a backend that failed, and not because it refused. */
  lastFailure(backendOrdinal: number): LastFailure | undefined {
    return this.#lastFailures[backendOrdinal];
  }

  /** The level of the log has changed: read once, and not for each message. */
  logLevelChanged(): void {
    this.#isDebug = this.#log.level === 'debug';
  }

  /** A message has ended; one that failed is told of before. @param now On the monotonic clock. */
  done(call: RelayCall, outcome: string, now: number): void {
    if (call.session.watchers !== 0) this.watching.done(call, outcome);
    const ms = now - call.startedAt;
    if (this.routes.isOn)
      this.routes.done(call.target.match, outcome, call.wantsAnswer ? ms : null);
    this.#counts.count(call, outcome, ms);
    const traceId = this.traces === null ? '' : this.traces.end(call, outcome, ms);
    if (this.#isDebug) logMessage(this.#log, call, { outcome, ms, traceId });
  }

  /** A call has failed, or its backend has refused it; one line now and then for each backend and reason. */
  failed(call: FailedCall, failed: Failed): void {
    const backend = this.#backends[call.target.backendOrdinal]!;
    const record = recordOfCall(call, backend, { ...failed, now: this.#clock.now() });
    const { why, isTrouble } = failed;
    const { reason } = why;
    const cause = isTrouble && !record.cause ? this.#troubleOf(backend, reason) : record.cause;
    const at = this.#clock.wallNow();
    if (isTrouble)
      this.#lastFailures[call.target.backendOrdinal] = {
        ...{ atWall: at, reason, route: call.route, why: cause || why.message },
      };
    if (call.answersClient) this.#failures.add({ ...record, at, cause });
    if (call.reported) return;
    const isLoud = isTrouble && isWorthALine(why);
    const kind = isOwnReason(reason) ? reason : 'BACKEND';
    const left = this.#throttle.allow(
      `${call.target.backendOrdinal} ${isTrouble ? 'failed' : 'refused'} ${kind}`,
    );
    if (left === null) return;
    const where = call.upstream.whereTo?.(call);
    const trace = traced(this.traces?.failed(call) ?? '');
    this.#log[isLoud ? 'warn' : 'info'](
      { ...fieldsOf(record), ...where, why: cause || why.message, ...trace, ...left },
      isTrouble ? 'call failed' : 'call refused',
    );
  }

  /** What was last wrong with a backend, where that may be why. */
  #troubleOf(backend: string, reason: string): string {
    return AWAY.has(reason) ? this.#troubles.of(backend, this.#clock.now()) : '';
  }

  /** The answer cannot be encoded for this client: the backend's programmers should know. */
  badReply({ target, route, session, seq, trace }: Call, why: Failure): void {
    const more = this.#throttle.allow(target.match);
    if (more === null) return;
    const backend = this.#backends[target.backendOrdinal];
    const { sid } = session;
    const fields = { ref: refOf(sid, seq), sid, backend, route, why: why.message };
    this.#log.warn({ ...fields, ...traced(trace?.traceId ?? ''), ...more }, 'bad reply');
  }

  /** A message, or an answer, that never reached a backend. `backendOrdinal`: -1 where none was chosen. */
  refused(
    session: Session,
    message: Message,
    why: Failure,
    { rule, backendOrdinal }: { readonly rule: string; readonly backendOrdinal: number },
  ): void {
    if (session.watchers !== 0)
      this.watching.refused(session, message, why, this.#backends[backendOrdinal] ?? '');
    this.#metrics.add('pith_messages_refused_total', [why.reason]);
    const backend = this.#backends[backendOrdinal] ?? '';
    const { route, wantsAnswer } = message;
    const named = { seq: session.seq, route, wantsAnswer };
    const record = this.kept(session, named, why, { rule, backend });
    // A limit that acts should be seen by whoever has set it.
    const isLoud = isWorthALine(why) || why.reason === 'TOO_MANY';
    const { detail } = why;
    // Lines about one limit must not hide another; theirs is nothing that a client has said.
    const limit = OF_LIMITS.has(why.reason) ? detail : '';
    const left = this.#throttle.allow(`${backendOrdinal} refused ${why.reason} ${limit}`);
    if (left === null && !this.#isDebug) return;
    const level = left === null ? 'debug' : isLoud ? 'warn' : 'info';
    this.#log[level](
      {
        ...fieldsOf(record),
        notify: !message.wantsAnswer,
        ...(detail !== '' && { why: detail }),
        ...left,
      },
      'message refused',
    );
  }

  /** Keeps what was refused, for those who ask why. */
  kept(session: Session, message: NamedMessage, why: Failure, way = NO_WAY): Undated {
    const record = recordOfRefused(session, message, why, way);
    this.#failures.add({ ...record, at: this.#clock.wallNow() });
    return record;
  }

  /** What the client is told: with the ref of its message, where that is configured. */
  named(why: Failure, sid: string, seq: number): Failure {
    return this.tellsRefs ? { ...why, ref: refOf(sid, seq) } : why;
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

/** No rule, no backend. */
const NO_WAY = { rule: '', backend: '' };

/** Refusals by limits: their detail says which, and its number. */
const OF_LIMITS: ReadonlySet<string> = new Set(['TOO_MANY', 'OVERLOADED']);

/** Failures of which the backend's last trouble may be the cause. */
const AWAY: ReadonlySet<string> = new Set(['BACKEND_AWAY', 'BUS_AWAY', 'TIMEOUT']);

/** Failures that somebody who runs the gateway should hear of; the others are a client's own. */
function isWorthALine({ reason }: Failure): boolean {
  return reason === 'NO_ROUTE' || (isOwnReason(reason) && REASONS[reason].log !== 'debug');
}

function traced(traceId: string): { trace_id?: string } {
  return traceId === '' ? {} : { trace_id: traceId };
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
      ...traced(traceId),
    },
    'message',
  );
}
