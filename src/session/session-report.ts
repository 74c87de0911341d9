/** What is counted and logged of sessions, and told on the bus. */
import type { Clock } from '../clock.ts';
import type { ClosedSession } from '../contract/facts.ts';
import type { Log } from '../telemetry/log.ts';
import { LogThrottle } from '../telemetry/log-throttle.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import { DROPPED } from '../failures/advice.ts';
import type { By } from '../failures/failure-record.ts';
import { CLOSE_REASONS, type CloseDetails, type CloseReason } from './close-reason.ts';
import { NOT_WATCHED, type PacketWatch } from './packet-watch.ts';
import type { Failures } from '../failures/failures.ts';
import { refOf } from '../ref.ts';
import type { Session } from './session.ts';
import type { SessionEvents } from './session-events.ts';
import type { Drop } from './state.ts';
import { Traffic } from './traffic.ts';

/** How a session has ended. */
export type SessionEnd = {
  readonly reason: CloseReason;
  readonly details: CloseDetails;
  /** More than the reason says: the socket's error, what was wrong with a handshake; '' for nothing. */
  readonly cause: string;
  readonly lastedMs: number;
  /** Requests that had no answer yet. */
  readonly unanswered: number;
  /** It was open for messages. */
  readonly wasActive: boolean;
};

export type SessionReportParts = {
  readonly metrics: Metrics;
  readonly log: Log;
  readonly events: SessionEvents;
  readonly clock: Clock;
  /** Absent: nobody looks at packets. */
  readonly watching?: PacketWatch;
  readonly failures: Failures;
  /** `telemetry.refs` */
  readonly tellsRefs: () => boolean;
};

export class SessionReport {
  readonly watching: PacketWatch;
  readonly traffic: Traffic;
  readonly #metrics: Metrics;
  readonly #log: Log;
  readonly #events: SessionEvents;
  readonly #throttle: LogThrottle;

  readonly #parts: SessionReportParts;

  constructor(parts: SessionReportParts) {
    const { metrics, log, events, clock } = parts;
    this.#parts = parts;
    this.watching = parts.watching ?? NOT_WATCHED;
    this.#throttle = new LogThrottle(clock);
    this.traffic = new Traffic(metrics, clock);
    this.#metrics = metrics;
    this.#log = log;
    this.#events = events;
  }

  active(session: Session): void {
    const { sid, remoteIp, connection, clientType, clientVersion } = session;
    const { transport } = connection;
    this.#events.opened(session);
    this.traffic.active(session);
    this.#log.debug({ sid, remoteIp, transport, clientType, clientVersion }, 'session active');
  }

  /** A message was dropped without an answer. */
  dropped(session: Session, why: Drop): void {
    const { sid } = session;
    if (session.watchers !== 0) this.watching.dropped(session, why);
    this.#metrics.add('pith_messages_dropped_total', [why]);
    this.#log.debug({ sid, why }, 'message dropped');
    // Of the others some are answered, and too many end the session.
    if (Object.hasOwn(DROPPED, why)) this.#keepDrop(session, why);
  }

  /** What the client is told its end by; '': it is not told. */
  refOf({ sid }: Session): string {
    return this.#parts.tellsRefs() ? refOf(sid, 0) : '';
  }

  /** Gives the end as its backends learn of it. */
  closed(session: Session, end: SessionEnd): ClosedSession {
    const { reason, details, lastedMs } = end;
    const { code } = details;
    const words = { reason: details.text || reason, closeReason: reason };
    const closed = { session, ...words, code, lastedMs };
    this.#events.closed(session, closed);
    this.traffic.reconnects.ended(session.uid);
    if (session.watchers !== 0) this.watching.closed(session, end);
    this.#metrics.add('pith_sessions_closed_total', [reason]);
    this.#keep(session, end);
    this.#logEnd(session, end);
    return closed;
  }

  #logEnd(session: Session, end: SessionEnd): void {
    const { sid, uid, remoteIp } = session;
    const { reason, details, cause, lastedMs } = end;
    // Anyone can be refused, as often as they like.
    const left = reason === 'handshake_refused' ? this.#throttle.allow(reason) : {};
    if (left === null) return;
    this.#log[this.#levelOf(end)](
      {
        ...{ ref: refOf(sid, 0), sid, uid, remoteIp, reason },
        ...(details.text !== '' && { words: details.text }),
        ...(cause !== '' && { error: cause }),
        ...{ by: byOf(end), lastedMs },
        ...trafficOf(session),
        ...(end.unanswered > 0 && { unanswered: end.unanswered }),
        ...left,
      },
      'session closed',
    );
  }

  /** One that ends by itself before it was open is no player: a scan, or a load balancer that looks. */
  #levelOf({ reason, wasActive }: SessionEnd): 'debug' | 'info' | 'warn' {
    const isQuiet = reason === 'client_closed' || reason === 'connection_lost';
    return isQuiet && !wasActive ? 'debug' : CLOSE_REASONS[reason].log;
  }

  #keepDrop(session: Session, reason: Drop): void {
    this.#parts.failures.add({
      ref: refOf(session.sid, ++session.seq),
      at: this.#parts.clock.wallNow(),
      what: 'dropped',
      ...{ uid: session.uid, remoteIp: session.remoteIp },
      ...{ route: '', rule: '', backend: '', address: '', waitedMs: 0, tookMs: 0, retries: 0 },
      ...{ code: 0, reason, message: '', cause: '', by: 'gateway' },
    });
  }

  #keep(session: Session, end: SessionEnd): void {
    const { reason, details, cause, lastedMs, unanswered } = end;
    const lost = unanswered > 0 ? `${unanswered} requests had no answer yet` : '';
    this.#parts.failures.add({
      ref: refOf(session.sid, 0),
      at: this.#parts.clock.wallNow(),
      what: 'session',
      uid: session.uid,
      remoteIp: session.remoteIp,
      ...{ route: '', rule: '', backend: '', address: '' },
      ...{ waitedMs: 0, tookMs: lastedMs, retries: 0 },
      code: details.code,
      reason,
      message: details.text,
      cause: [cause, lost].filter((text) => text !== '').join('; '),
      by: byOf(end),
    });
  }
}

function byOf({ reason, details }: SessionEnd): By {
  return details.by ?? CLOSE_REASONS[reason].by;
}

/** Counts of the client's messages, what was sent to it, and the bytes of its socket. */
function trafficOf({
  seq,
  outbox,
  connection,
  roundTripMs,
}: Session): Readonly<Record<string, number>> {
  const { readBytes, sentBytes } = connection;
  return {
    ...{ messages: seq, sent: outbox.sent, bytesIn: readBytes, bytesOut: sentBytes },
    ...(roundTripMs >= 0 && { roundTripMs: Math.round(roundTripMs) }),
  };
}
