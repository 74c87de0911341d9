/**
 * Gateways on one bus: an exchange in memory instead of nats-server, time that the test moves, clients on byte pipes.
 * Nothing is delivered before the test says so, as on a network.
 */
import { FleetCommands } from '../../../src/bus/fleet-commands.ts';
import type { BusConnection, BusParts } from '../../../src/bus/bus-parts.ts';
import type { Gate } from '../../../src/bus/gate.ts';
import { NatsBus } from '../../../src/bus/nats-bus.ts';
import type { ReplayOptions } from '../../../src/bus/replay.ts';
import { SessionCommands } from '../../../src/bus/session-commands.ts';
import type { UidLimit } from '../../../src/bus/uid-claims.ts';
import { UidRule } from '../../../src/bus/uid-rule.ts';
import type { Clock } from '../../../src/clock.ts';
import { GatewayError } from '../../../src/errors.ts';
import { Registry } from '../../../src/session/registry.ts';
import { Metrics } from '../../../src/telemetry/metrics.ts';
import { TimerWheel } from '../../../src/timer-wheel.ts';
import { TurnShare } from '../../../src/turn-share.ts';
import type { NatsMessage, OnMessage } from '../../../src/upstream/nats/nats-connection.ts';
import type { ConnectionListener } from '../../../src/upstream/nats/connection-state.ts';
import { NatsReport } from '../../../src/upstream/nats/nats-report.ts';
import { Subjects } from '../../../src/upstream/nats/subjects.ts';
import { ManualClock } from '../../support/clock.ts';
import { seededRandom } from '../../support/random.ts';
import { keptLog } from '../../support/report.ts';
import { activate, makeOutboxes } from '../session/support.ts';

/** What was published, as text. */
export type Sent = {
  readonly subject: string;
  readonly reply: string;
  /** Lines without the version and the empty one. */
  readonly headers: readonly string[];
  readonly payload: string;
};

type Subscriber = {
  readonly subject: string;
  readonly queue: string;
  readonly onMessage: OnMessage;
  readonly connection: TestConnection;
};
type Published = {
  readonly subject: string;
  readonly reply: string;
  readonly head: Uint8Array;
  readonly payload: Uint8Array;
  readonly from: TestConnection | null;
};

const NO_RESPONDERS = Buffer.from('NATS/1.0 503\r\n\r\n');
const NOTHING = Buffer.alloc(0);

/** Where messages meet, in memory. */
export class Exchange {
  readonly #sent: Published[] = [];
  readonly subscribers = new Set<Subscriber>();
  /** A connection gets what it has published itself, unlike a gateway's; a test may speak through its connection then. */
  echoes = true;
  readonly #waiting: Published[] = [];
  /** What these publish the others do not hear, and the reverse: a cluster whose servers do not reach each other. */
  readonly apart = new Set<TestConnection>();

  publish(
    subject: string,
    payload: string | Uint8Array,
    reply = '',
    head: Uint8Array = NOTHING,
    from: TestConnection | null = null,
  ) {
    const bytes = typeof payload === 'string' ? Buffer.from(payload) : payload;
    const published = { subject, reply, head, payload: bytes, from };
    this.#sent.push(published);
    this.#waiting.push(published);
  }

  /** How many messages were published. */
  get count(): number {
    return this.#sent.length;
  }

  /** Everything that was published, oldest first. */
  get sent(): Sent[] {
    return this.#sent.map(({ subject, reply, head, payload }) => {
      const lines = Buffer.from(head).toString('latin1').split('\r\n').slice(1);
      const headers = lines.filter((line) => line !== '');
      return { subject, reply, headers, payload: Buffer.from(payload).toString('latin1') };
    });
  }

  /** Delivers what was published, and what is published on that, until nothing waits. */
  deliver(): void {
    for (let next = this.#waiting.shift(); next !== undefined; next = this.#waiting.shift())
      this.#deliverOne(next);
  }

  /** Delivers only the first that wait, so many. */
  deliverFirst(count: number): void {
    for (const next of this.#waiting.splice(0, count)) this.#deliverOne(next);
  }

  /** Delivers only what was published last. */
  deliverLast(): void {
    const last = this.#waiting.pop();
    if (last !== undefined) this.#deliverOne(last);
  }

  /** The messages that were published since the last call. */
  takeSent(): Sent[] {
    const { sent } = this;
    this.#sent.length = 0;
    return sent;
  }

  /** A client that is no gateway: what comes to `subject`. */
  hear(subject: string): string[] {
    const heard: string[] = [];
    const onMessage: OnMessage = (_, { data }) => void heard.push(Buffer.from(data).toString());
    this.subscribers.add({ subject, queue: '', onMessage, connection: new TestConnection(this) });
    return heard;
  }

  #deliverOne(published: Published): void {
    const { subject, reply } = published;
    const queues = new Set<string>();
    let heard = false;
    for (const { subject: pattern, queue, onMessage, connection } of [...this.subscribers]) {
      const isOwn = connection === published.from && !this.echoes;
      if (!connection.up || isOwn || !matches(pattern, subject)) continue;
      if (published.from !== null && this.apart.has(published.from) !== this.apart.has(connection))
        continue;
      if (queue !== '' && queues.has(queue)) continue;
      queues.add(queue);
      heard = true;
      onMessage(null, messageOf(published));
    }
    if (!heard && reply !== '') this.publish(reply, '', '', NO_RESPONDERS);
  }
}

function matches(pattern: string, subject: string): boolean {
  const wanted = pattern.split('.');
  const tokens = subject.split('.');
  if (wanted.at(-1) === '>') return tokens.length >= wanted.length && every(wanted.slice(0, -1));
  return tokens.length === wanted.length && every(wanted);
  function every(parts: readonly string[]): boolean {
    return parts.every((part, i) => part === '*' || part === tokens[i]);
  }
}

/** A message as the client library gives it, as far as the gateway reads it. */
function messageOf({ subject, reply, head, payload: data }: Published): NatsMessage {
  const hdr = head.length === 0 ? -1 : head.length;
  const inside = { _msg: { hdr }, _rdata: head };
  return { subject, reply, data, ...inside } as unknown as NatsMessage;
}

/** One gateway's connection to the exchange. */
export class TestConnection implements BusConnection {
  up = true;
  payloadBytesMax = 1_048_576;
  readonly everUp = true;
  readonly serverVersion = '2.12.7';
  readonly listeners: ConnectionListener[] = [];
  /** Round trips that the test has not confirmed. */
  readonly flushes: PromiseWithResolvers<void>[] = [];
  drained = false;
  /** Bytes that NATS has not taken yet. */
  unsentBytes = 0;
  /** The connection was lost only just now. */
  mayBeBack = false;
  /** NATS takes nothing more. */
  overloaded = false;
  readonly #exchange: Exchange;

  constructor(exchange: Exchange) {
    this.#exchange = exchange;
  }

  /** A connection is there, though it may not be up yet. */
  isConnecting = false;
  /** Another one is about to take its place. */
  isMoving = false;

  get canConfirm(): boolean {
    return this.up || this.isConnecting;
  }

  get hasRoom(): boolean {
    return this.up && !this.isMoving && this.unsentBytes < 1_048_576;
  }

  always(subject: string, onMessage: OnMessage, { queue = '' }: { queue?: string } = {}): void {
    this.#exchange.subscribers.add({ subject, queue, onMessage, connection: this });
  }

  subscribe(subject: string, onMessage: OnMessage, queue = ''): { unsubscribe(): void } {
    const subscriber = { subject, queue, onMessage, connection: this };
    this.#exchange.subscribers.add(subscriber);
    return { unsubscribe: () => void this.#exchange.subscribers.delete(subscriber) };
  }

  publish(...[subject, payload, options]: Parameters<BusConnection['publish']>): void {
    if (this.overloaded)
      throw new GatewayError('OVERLOADED', 'NATS does not take what it is given');
    const head = (options?.headers as { encode(): Uint8Array } | undefined)?.encode();
    this.#exchange.publish(subject, payload as Uint8Array, options?.reply, head, this);
  }

  flush(): Promise<void> {
    const flush = Promise.withResolvers<void>();
    this.flushes.push(flush);
    return flush.promise;
  }

  listen(listener: ConnectionListener): void {
    this.listeners.push(listener);
  }

  drain(): Promise<void> {
    this.drained = true;
    return Promise.resolve();
  }

  /** Patterns that are subscribed, without those of every gateway. */
  get patterns(): string[] {
    return [...this.#exchange.subscribers]
      .filter(
        ({ connection, subject }) =>
          connection === this && /^pith\.(user|group)\.[^*]/.test(subject),
      ) // prettier-ignore
      .map(({ subject }) => subject);
  }
}

/** What a part of the bus needs, for the gateway of this id. */
export function makeParts(
  gatewayId: string,
  exchange = new Exchange(),
  clock = new ManualClock(1_000),
  perTurn = 256,
) {
  const { lines, log } = keptLog();
  const metrics = new Metrics();
  const connector = new TestConnection(exchange);
  const servers = ['127.0.0.1:4222'];
  const parts: BusParts = {
    gatewayId,
    connector,
    subjects: new Subjects('pith', gatewayId),
    clock,
    wheel: new TimerWheel(clock),
    random: seededRandom(),
    convertBytesMax: 1_048_576,
    report: new NatsReport({ clock, log, metrics, servers, isNeeded: false }),
    share: new TurnShare(clock, perTurn),
  };
  return { ...parts, parts, connector, exchange, clock, log, lines, metrics };
}

/** A gateway with its bus and no clients. */
export function makeGateway(
  gatewayId: string,
  exchange = new Exchange(),
  clock = new ManualClock(1_000),
  groupTtlMs = 0,
  makeGate: (parts: BusParts, bus: NatsBus) => Gate | null = () => null,
  more: {
    limit?: UidLimit | undefined;
    wallClock?: Clock;
    heartbeatMs?: number;
    replay?: ReplayOptions;
    perTurn?: number;
    waitingBytesMax?: number;
    outboxesBytesMax?: number;
  } = {},
) {
  const made = makeParts(gatewayId, exchange, clock, more.perTurn);
  const { parts, log, metrics } = made;
  const bus = new NatsBus(parts, undefined, more.replay);
  const registry = new Registry(gatewayId, bus.subscriptions);
  const limits = { dataBytesMax: 1_024, groupsMax: 8 };
  const { claims: channel, peers, events } = bus;
  const around = { ...parts, clock: more.wallClock ?? clock, registry, channel, peers, events };
  const uids = more.limit && new UidRule({ ...around, limit: more.limit, log });
  uids?.claims.start();
  const { outboxes, fanouts } = makeOutboxes(
    clock,
    more.outboxesBytesMax,
    more.perTurn,
    more.waitingBytesMax,
  );
  const sessionCommands = new SessionCommands({
    ...{ registry, limits, groupTtlMs, clock, log, metrics, wheel: parts.wheel, uids, fanouts },
    replay: bus.replay ?? undefined,
  });
  bus.attach(registry, sessionCommands, { gate: makeGate(parts, bus), uids });
  bus.start();
  const fleet = new FleetCommands(gatewayId, sessionCommands, bus);
  const world = { clock, wheel: parts.wheel, outboxes, fanouts, registry };
  /** Adds a client, bound and in groups as given. */
  const client = (n: number, uid = '', ...groups: string[]) => {
    const { heartbeatMs = 30_000 } = more;
    const made = activate({ world, n, gatewayId, limits: { heartbeatMs } });
    registry.add(made.session);
    void registry.bind(made.session, uid, 1_000);
    for (const group of groups) void registry.join(made.session, group);
    return made;
  };
  return { ...made, bus, registry, sessionCommands, fleet, client, world, uids };
}
