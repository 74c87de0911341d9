/** Puts pushes into the outboxes of this gateway's sessions, counts them, and says what could not be put. */
import type { Clock } from '../clock.ts';
import { failure, type Failure } from '../errors.ts';
import type { Push } from '../contract/commands.ts';
import type { Encoded } from '../protocol/packet.ts';
import type { Fanouts } from '../session/fanouts.ts';
import type { Perishable } from '../session/outbox.ts';
import { NOT_WATCHED, type PacketWatch } from '../session/packet-watch.ts';
import type { Session } from '../session/session.ts';
import type { Histogram } from '../telemetry/histogram.ts';
import type { Log } from '../telemetry/log.ts';
import { LogThrottle } from '../telemetry/log-throttle.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { PushTraces } from '../telemetry/push-traces.ts';
import { PushEncodings } from './push-encodings.ts';
import { PushWork } from './push-work.ts';

export type PushesParts = {
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly fanouts: Fanouts;
  /** Absent: nobody looks at packets. */
  readonly watching?: PacketWatch;
  /** Absent or null: no delivery is traced. */
  readonly pushTraces?: PushTraces | null;
};

const OUTCOMES = ['delivered', 'dropped', 'refused'] as const;

export class Pushes {
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #metrics: Metrics;
  readonly #fanouts: Fanouts;
  readonly #watching: PacketWatch;
  readonly #traces: PushTraces | null;
  readonly #sizes: Histogram;
  readonly #delays: Histogram;
  readonly #throttle: LogThrottle;

  constructor({ clock, log, metrics, fanouts, watching = NOT_WATCHED, ...more }: PushesParts) {
    this.#traces = more.pushTraces ?? null;
    this.#watching = watching;
    this.#clock = clock;
    this.#log = log;
    this.#metrics = metrics;
    this.#fanouts = fanouts;
    this.#sizes = metrics.histogram('pith_push_fanout', []);
    this.#delays = metrics.histogram('pith_push_delay_seconds', []);
    this.#throttle = new LogThrottle(clock);
  }

  /**
   * Puts the push into the outbox of each of these sessions, at once or over several turns of the event loop, but for
   * those that its target excepts. It is encoded once for each wire that they use.
   *
   * @returns null: too many wait already, and it is put nowhere.
   */
  put(sessions: readonly Session[], push: Push): PushWork | null {
    const work = new PushWork(push, this.#perishable(push), this.#watching, this.#onDone);
    work.startedAt = this.#clock.now();
    const { route, traceparent } = push;
    if (traceparent !== undefined && this.#traces !== null)
      work.span = this.#traces.begin({ traceparent, route, sessions: sessions.length });
    if (this.#fanouts.run(sessions, work)) return work;
    this.#metrics.add('pith_pushes_total', ['refused'], sessions.length);
    if (work.span !== null)
      this.#traces?.end(work.span, { delivered: 0, dropped: 0, refused: sessions.length });
    const { message: why } = this.full;
    this.#warn('waiting', { sessions: sessions.length, why }, 'push to many sessions refused');
    return null;
  }

  /** Why a push is put nowhere. */
  get full(): Failure {
    const { waitingBytes, waitingBytesMax } = this.#fanouts;
    return failure(
      'OVERLOADED',
      `pushes to many sessions wait with ${waitingBytes} bytes; limits.fanout.waiting allows ${waitingBytesMax}`,
    );
  }

  /** The push as this session's client reads it, counted as if it were put; null: it cannot be encoded. */
  encode(session: Session, push: Push): Encoded | null {
    const encodings = new PushEncodings(push);
    const encoded = encodings.of(session.wire);
    if (session.watchers !== 0)
      this.#watching.pushed(session, push, encoded === null ? 'unencodable' : 'taken');
    this.#metrics.add('pith_pushes_total', [encoded === null ? 'refused' : 'delivered'], 1);
    if (encodings.failed !== null) this.#reportUnencodable(push, encodings.failed);
    return encoded;
  }

  readonly #onDone = ({ count, encodings, push, span, startedAt }: PushWork): void => {
    if (span !== null) this.#traces?.end(span, count);
    this.#delays.observe((this.#clock.now() - startedAt) / 1_000);
    for (const outcome of OUTCOMES)
      if (count[outcome] > 0) this.#metrics.add('pith_pushes_total', [outcome], count[outcome]);
    if (count.delivered > 0) this.#sizes.observe(count.delivered);
    if (encodings.failed !== null) this.#reportUnencodable(push, encodings.failed);
  };

  #reportUnencodable({ route }: Push, { message: why }: Failure): void {
    this.#warn(route, { route, why }, 'push cannot be encoded for some clients');
  }

  #warn(about: string, fields: object, what: string): void {
    const left = this.#throttle.allow(about);
    if (left !== null) this.#log.warn({ ...fields, ...left }, what);
  }

  #perishable(push: Push): Perishable | null {
    if (push.delivery === 'must' && push.expiresInMs === 0) return null;
    return {
      droppable: push.delivery === 'droppable',
      expiresAt: push.expiresInMs === 0 ? Infinity : this.#clock.now() + push.expiresInMs,
      latestKey: push.delivery === 'latest' ? push.latestKey || push.route : '',
    };
  }
}
