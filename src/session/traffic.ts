/** What clients and the gateway have sent each other: counted by additions, and read when somebody scrapes. */
import type { Clock } from '../clock.ts';
import type { Histogram } from '../telemetry/histogram.ts';
import type { Metrics, Series } from '../telemetry/metrics.ts';
import type { ByteCounts, TransportName } from '../transport/transport.ts';
import { Reconnects } from './reconnects.ts';
import type { Registry } from './registry.ts';
import type { Session } from './session.ts';
import type { State } from './state.ts';

/** Kinds of clients that are told apart; those that come after them count as `_OTHER`. */
export const CLIENT_TYPES_MAX = 50;
const TRANSPORTS: readonly TransportName[] = ['ws', 'wss', 'tcp', 'tls'];
const STATES: readonly Exclude<State, 'closed'>[] = [
  'opening',
  'handshaking',
  'active',
  'draining',
];

export class Traffic {
  /** From clients. */
  requests = 0;
  notifies = 0;
  /** To clients: answers, errors among them. */
  responses = 0;
  pushes = 0;
  readonly reconnects: Reconnects;
  readonly #bytes = new Map<TransportName, ByteCounts>();
  readonly #metrics: Metrics;
  readonly #clock: Clock;
  readonly #handshakes: Histogram;
  readonly #roundTrips = new Map<TransportName, Histogram>();
  /** By dialect, and by kind of client. */
  readonly #clients = new Map<string, Map<string, Series>>();
  readonly #clientTypes = new Set<string>();

  constructor(metrics: Metrics, clock: Clock) {
    this.#metrics = metrics;
    this.#clock = clock;
    this.reconnects = new Reconnects(clock);
    this.#handshakes = metrics.histogram('pith_handshake_duration_seconds', []);
    metrics.watch('pith_messages_received_total', ['request'], () => this.requests);
    metrics.watch('pith_messages_received_total', ['notify'], () => this.notifies);
    metrics.watch('pith_messages_sent_total', ['response'], () => this.responses);
    metrics.watch('pith_messages_sent_total', ['push'], () => this.pushes);
    for (const transport of TRANSPORTS) {
      const bytes: ByteCounts = { received: 0, sent: 0 };
      this.#bytes.set(transport, bytes);
      metrics.watch('pith_bytes_received_total', [transport], () => bytes.received);
      metrics.watch('pith_bytes_sent_total', [transport], () => bytes.sent);
      this.#roundTrips.set(transport, metrics.histogram('pith_round_trip_seconds', [transport]));
    }
  }

  /** A message from a client that could be read. */
  came(wantsAnswer: boolean): void {
    if (wantsAnswer) this.requests++;
    else this.notifies++;
  }

  bytesOf(transport: TransportName): ByteCounts {
    return this.#bytes.get(transport)!;
  }

  /** Its handshake is through: since it has connected so much time has passed, and it is such a client. */
  active(session: Session): void {
    this.#handshakes.observe((this.#clock.now() - session.openedAt) / 1_000);
    const type = this.#boundedType(session.clientType);
    let byType = this.#clients.get(session.dialect);
    if (byType === undefined) this.#clients.set(session.dialect, (byType = new Map()));
    let series = byType.get(type);
    if (series === undefined) {
      series = this.#metrics.series('pith_handshakes_total', [session.dialect, type]);
      byType.set(type, series);
    }
    series.add();
  }

  roundTrip(transport: TransportName, ms: number): void {
    this.#roundTrips.get(transport)!.observe(ms / 1_000);
  }

  /** What a client says of itself is the label of a metric only as long as there are few. */
  #boundedType(type: string): string {
    if (this.#clientTypes.has(type)) return type;
    if (this.#clientTypes.size >= CLIENT_TYPES_MAX || !/^[\w.-]{0,32}$/.test(type)) return '_OTHER';
    this.#clientTypes.add(type);
    return type;
  }
}

/** Sessions by transport and state: counted when somebody looks, all in one pass. */
export function watchStates(metrics: Metrics, registry: Registry): void {
  const keys = TRANSPORTS.flatMap((transport) => STATES.map((state) => ({ transport, state })));
  const counts = new Map<string, number>();
  for (const [i, { transport, state }] of keys.entries())
    metrics.watch('pith_session_states', [transport, state], () => {
      // They are read in this order.
      if (i === 0) countStates(registry, counts);
      return counts.get(`${transport} ${state}`) ?? 0;
    });
}

function countStates(registry: Registry, counts: Map<string, number>): void {
  counts.clear();
  for (const { connection, state } of registry.all()) {
    const key = `${connection.transport} ${state}`;
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
}
