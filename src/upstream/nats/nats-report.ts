/** Where the NATS connection and the bus report what happens: to the log, and to the metrics. */
import type { Clock } from '../../clock.ts';
import type { Log } from '../../telemetry/log.ts';
import { LogThrottle } from '../../telemetry/log-throttle.ts';
import type { Metrics } from '../../telemetry/metrics.ts';
import { Waits } from '../waits.ts';
import { ENDED, type NatsConnection, type NatsRefusal } from './nats-connection.ts';
import { NEAR_MISS_QUEUE, STREAM_NAMES } from './subjects.ts';

/** Below this version nats-server has known security holes; the gateway works from 2.9 on and warns. */
const SAFE_SERVER_VERSION = '2.12.7';
/** Routes that are reported as captured by a stream. */
const CAPTURED_REPORTED_MAX = 64;
/** Reasons that say no more than that NATS is unreachable. */
const UNREACHABLE: ReadonlySet<string> = new Set(['connection refused', 'timeout', ENDED]);
/** Other reasons that are reported until NATS is reached again. */
const REASONS_REPORTED_MAX = 8;
/** Refusals that are normal while sessions come and go, or that refuse_new is for. */
const ORDINARY: ReadonlySet<string> = new Set(['NO_SESSION', 'CONFLICT', 'CLOSING', 'UID_IN_USE']);
/** Characters of a stranger's text in a log line. */
const TEXT_CHARS_MAX = 300;

export type NatsReportParts = {
  readonly servers: readonly string[];
  /** A backend is on NATS, so `bus: embedded` would not do. */
  readonly isNeeded: boolean;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
};

export class NatsReport {
  readonly #parts: Pick<NatsReportParts, 'servers' | 'isNeeded'>;
  readonly #log: Log;
  readonly #metrics: Metrics;
  readonly #throttle: LogThrottle;
  /** Why the last attempt failed; '': none has. */
  #why = '';
  /** Reasons reported since NATS became unreachable; null: it is reachable, or that it is not was never reported. */
  #reported: Set<string> | null = null;
  readonly #captured = new Set<string>();

  constructor(parts: NatsReportParts) {
    this.#parts = parts;
    this.#log = parts.log;
    this.#metrics = parts.metrics;
    this.#throttle = new LogThrottle(parts.clock);
  }

  /** Where calls are counted that wait for the connection. */
  waits(): Waits {
    return new Waits(this.#metrics, 'bus');
  }

  /** NATS was not reached while the gateway waited for it at its start. */
  unreachable(): void {
    const { servers, isNeeded } = this.#parts;
    this.#reported = new Set([this.#why]);
    this.#log.warn(
      { bus: servers.join(','), why: this.#why || 'no answer yet' },
      'bus unreachable; listening anyway and retrying, and not ready until it is reached: ' +
        `is nats-server running at ${servers.join(', ')}?` +
        (isNeeded ? '' : ' "bus: embedded" needs none'),
    );
  }

  connected(first: boolean, server: string, version: string): void {
    this.#metrics.add('pith_bus_connects_total', ['connected']);
    this.#reported = null;
    const left = this.#throttle.allow('up');
    if (left !== null)
      this.#log.info({ server, version, ...left }, first ? 'bus connected' : 'bus reconnected');
    if (first && isOlder(version, SAFE_SERVER_VERSION))
      this.#log.warn(
        { version },
        `nats-server below ${SAFE_SERVER_VERSION} has known security holes; update it`,
      );
  }

  lost(why: string): void {
    this.#reported = new Set([this.#why]);
    const left = this.#throttle.allow('lost');
    if (left !== null) this.#log.warn({ why, ...left }, 'bus connection lost');
  }

  /** The server is about to stop: the gateway looks for another. */
  sentAway(server: string): void {
    const left = this.#throttle.allow('sent away');
    if (left === null) return;
    const what = 'its server is about to stop (lame duck mode); the gateway moves to another';
    this.#log.info({ server, what, ...left }, 'bus');
  }

  /** Another connection is used, and none was lost. */
  moved(from: string, { server, serverVersion }: NatsConnection): void {
    this.#metrics.add('pith_bus_connects_total', ['connected']);
    this.#reported = null;
    const left = this.#throttle.allow('moved');
    if (left !== null)
      this.#log.info({ from, server, version: serverVersion, ...left }, 'bus connection moved');
  }

  /** An attempt to connect has failed. */
  notConnected(why: string): void {
    this.#metrics.add('pith_bus_connects_total', ['refused']);
    this.#why = why;
    const reported = this.#reported;
    if (reported === null || UNREACHABLE.has(why) || reported.has(why)) return;
    if (reported.size > REASONS_REPORTED_MAX) return;
    reported.add(why);
    this.#log.warn({ why }, 'bus unreachable');
  }

  error(what: string): void {
    const left = this.#throttle.allow('error');
    if (left !== null) this.#log.error({ what, ...left }, 'bus');
  }

  /** A message was refused or dropped, or its answer was. @param reason One of few: it is a label. */
  refused(reason: string, subject: string, why: string): void {
    this.#metrics.add('pith_bus_refused_total', [reason]);
    if (ORDINARY.has(reason)) return;
    const left = this.#throttle.allow(reason);
    if (left === null) return;
    const cut = { subject: subject.slice(0, TEXT_CHARS_MAX), what: why.slice(0, TEXT_CHARS_MAX) };
    this.#log.warn({ reason, ...cut, ...left }, 'bus message refused');
  }

  /** An answer came that nothing waits for any more: a backend's, or one to a request on the bus. */
  lateReply(kind: 'nats' | 'bus'): void {
    this.#metrics.add('pith_late_replies_total', [kind]);
  }

  /** An event is on its way to the bus. @param name One of few: it is a label. */
  event(name: string): void {
    this.#metrics.add('pith_events_total', [name]);
  }

  /** Events with these numbers will never be published. */
  eventsDropped(from: number, to: number): void {
    this.#metrics.add('pith_events_dropped_total', [], to - from + 1);
    const left = this.#throttle.allow('events');
    if (left === null) return;
    const what = 'events dropped: more than can wait for the bus; all sessions will be told again';
    this.#log.warn({ from, to, ...left }, what);
  }

  /** The stream of kept pushes can be used. */
  keptStreamFound(stream: string): void {
    this.#log.info({ stream }, 'the stream of kept pushes was found');
  }

  /** @param sessions That wait for kept pushes. */
  keptUnreadable(sessions: number): void {
    const left = this.#throttle.allow('kept');
    if (left === null) return;
    const what = 'kept pushes cannot be read: JetStream does not answer; trying again';
    this.#log.warn({ sessions, ...left }, what);
  }

  /** A session has caught up by this many kept pushes. @param isMissing Others may be missing. */
  replayed(pushes: number, isMissing: boolean): void {
    this.#metrics.add('pith_replayed_pushes_total', [], pushes);
    this.#metrics.add('pith_replays_total', [isMissing ? 'missed' : 'complete']);
    if (!isMissing) return;
    const left = this.#throttle.allow('kept missed');
    if (left === null) return;
    const what =
      'kept pushes may have been missed: more came in than the stream keeps of a user; raise its max_msgs_per_subject';
    this.#log.warn({ pushes, ...left }, what);
  }

  /** Another gateway is gone, with all its sessions. */
  gatewayLost(lost: {
    gateway: string;
    sessions: number;
    lastHeardWall: number;
    by: string;
  }): void {
    const { gateway, sessions, by } = lost;
    const left = this.#throttle.allow('gateway lost');
    if (left === null) return;
    const lastHeard = new Date(lost.lastHeardWall).toISOString();
    this.#log.warn({ lost: gateway, sessions, lastHeard, by, ...left }, 'gateway lost');
  }

  /** It was only cut off. */
  gatewayReturned(gateway: string): void {
    const left = this.#throttle.allow('gateway returned');
    if (left !== null) this.#log.info({ returned: gateway, ...left }, 'gateway returned');
  }

  /** This gateway was cut off, or has dropped events. */
  returned(sessions: number): void {
    const left = this.#throttle.allow('returned');
    if (left === null) return;
    const what =
      'this gateway was cut off, or has dropped events: it announces all its sessions again';
    this.#log.warn({ sessions, ...left }, what);
  }

  /** A stream's acknowledgement came where a backend's answer was expected. */
  pubAck(route: string, subject: string): void {
    this.#metrics.add('pith_bus_refused_total', ['PUB_ACK']);
    if (this.#captured.has(route) || this.#captured.size >= CAPTURED_REPORTED_MAX) return;
    this.#captured.add(route);
    this.#log.error(
      { route, subject },
      'a JetStream stream captures request subjects and acknowledges them in place of backends: remove these subjects from the stream',
    );
  }
}

function isOlder(version: string, than: string): boolean {
  const a = version.split('.').map(Number);
  const b = than.split('.').map(Number);
  for (let i = 0; i < 3; i++) {
    if ((a[i] ?? 0) !== (b[i] ?? 0)) return (a[i] ?? 0) < (b[i] ?? 0);
  }
  return false;
}

/**
 * Listing streams and subscribing to near misses are optional: permissions need not allow them. A gateway that may not
 * subscribe to near misses reports that itself.
 */
export function isExpected(refused: NatsRefusal | null): boolean {
  if (refused === null) return false;
  return refused.subject === STREAM_NAMES || refused.queue === NEAR_MISS_QUEUE;
}
