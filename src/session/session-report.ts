/** What is counted and logged of sessions, and told on the bus. */
import type { Clock } from '../clock.ts';
import type { ClosedSession } from '../contract/facts.ts';
import type { Log } from '../telemetry/log.ts';
import { LogThrottle } from '../telemetry/log-throttle.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import { CLOSE_REASONS, type CloseDetails, type CloseReason } from './close-reason.ts';
import { NOT_WATCHED, type PacketWatch } from './packet-watch.ts';
import type { Session } from './session.ts';
import type { SessionEvents } from './session-events.ts';
import type { Drop } from './state.ts';

/** How a session has ended. */
export type SessionEnd = {
  readonly reason: CloseReason;
  readonly details: CloseDetails;
  /** More than the reason says: the socket's error, what was wrong with a handshake; '' for nothing. */
  readonly cause: string;
  readonly lastedMs: number;
};

export type SessionReportParts = {
  readonly metrics: Metrics;
  readonly log: Log;
  readonly events: SessionEvents;
  readonly clock: Clock;
  /** Absent: nobody looks at packets. */
  readonly watching?: PacketWatch;
};

export class SessionReport {
  readonly watching: PacketWatch;
  readonly #metrics: Metrics;
  readonly #log: Log;
  readonly #events: SessionEvents;
  readonly #throttle: LogThrottle;

  constructor({ metrics, log, events, clock, watching = NOT_WATCHED }: SessionReportParts) {
    this.watching = watching;
    this.#throttle = new LogThrottle(clock);
    this.#metrics = metrics;
    this.#log = log;
    this.#events = events;
  }

  active(session: Session): void {
    const { sid, remoteIp, connection, clientType, clientVersion } = session;
    const { transport } = connection;
    this.#events.opened(session);
    this.#log.debug({ sid, remoteIp, transport, clientType, clientVersion }, 'session active');
  }

  /** A message was dropped without an answer. */
  dropped(session: Session, why: Drop): void {
    const { sid } = session;
    if (session.watchers !== 0) this.watching.dropped(session, why);
    this.#metrics.add('pith_messages_dropped_total', [why]);
    this.#log.debug({ sid, why }, 'message dropped');
  }

  closed(session: Session, end: SessionEnd, closed: ClosedSession): void {
    const { sid, uid, remoteIp } = session;
    const { reason, details, cause, lastedMs } = end;
    this.#events.closed(session, closed);
    if (session.watchers !== 0) this.watching.closed(session, end);
    this.#metrics.add('pith_sessions_closed_total', [reason]);
    const words = details.text !== '' && { words: details.text };
    const error = cause !== '' && { error: cause };
    // Anyone can be refused, as often as they like.
    const left = reason === 'handshake_refused' ? this.#throttle.allow(reason) : {};
    if (left === null) return;
    const fields = { sid, uid, remoteIp, reason, ...words, ...error, lastedMs, ...left };
    this.#log[CLOSE_REASONS[reason].log](fields, 'session closed');
  }
}
