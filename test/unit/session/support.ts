/** A session on a byte pipe: what it sends is kept, what the socket would do is said by the test. */
import type { Clock } from '../../../src/clock.ts';
import { PomeloDialect } from '../../../src/dialect/pomelo.ts';
import type { Dialect } from '../../../src/dialect/wire.ts';
import { decodeMessage, encodeRequest, Message, rawIdOf } from '../../../src/protocol/message.ts';
import { type Encoded, packetOffset, PacketType } from '../../../src/protocol/packet.ts';
import { Failures } from '../../../src/failures/failures.ts';
import { Fanouts } from '../../../src/session/fanouts.ts';
import { Outboxes } from '../../../src/session/outboxes.ts';
import { Unfinished } from '../../../src/session/unfinished.ts';
import { Session } from '../../../src/session/session.ts';
import { Registry } from '../../../src/session/registry.ts';
import type { Handshakes, MessageSink, SessionLimits } from '../../../src/session/session-parts.ts';
import { NO_SESSION_EVENTS } from '../../../src/session/session-events.ts';
import { type SessionEnd, SessionReport } from '../../../src/session/session-report.ts';
import { Metrics } from '../../../src/telemetry/metrics.ts';
import type { Failure } from '../../../src/errors.ts';
import { keptLog } from '../../support/report.ts';
import type { Drop } from '../../../src/session/state.ts';
import { TimerWheel } from '../../../src/timer-wheel.ts';
import type { Connection } from '../../../src/transport/transport.ts';
import { ManualClock } from '../../support/clock.ts';
import { packetBytes } from '../protocol/wire.ts';

export class FakeConnection implements Connection {
  readonly transport = 'tcp';
  readonly remoteAddress = '192.0.2.7';
  bufferedBytes = 0;
  /** What the client has taken, as the kernel counts it. */
  takenBytes = 0;
  congested = false;
  readBytes = 0;
  sentBytes = 0;
  assembling = false;
  assemblingBytes = 0;
  /** While true the socket keeps what it is given, and is congested by it. */
  stuck = false;
  reading = true;
  closed: { readonly code: number; readonly reason: string } | null = null;
  destroyed = false;
  /** One list per `send`. */
  readonly writes: (readonly Encoded[])[] = [];

  send(packets: readonly Encoded[]): void {
    if (this.closed !== null || this.destroyed) return;
    this.writes.push([...packets]);
    if (!this.stuck) return;
    this.congested = true;
    for (const packet of packets) this.bufferedBytes += packet.length;
  }

  /** The client takes everything. Says so to nobody: call the handler's `onDrain`. */
  drain(): void {
    this.stuck = false;
    this.congested = false;
    this.bufferedBytes = 0;
  }

  pause(): void {
    this.reading = false;
  }

  resume(): void {
    this.reading = true;
  }

  pings = 0;

  ping(): void {
    this.pings++;
  }

  close(code: number, reason: string): void {
    this.closed ??= { code, reason };
  }

  destroy(): void {
    this.destroyed = true;
  }

  /** Every packet sent so far. */
  get packets(): { type: number; body: Buffer }[] {
    return this.writes.flat().map((encoded) => {
      const at = packetOffset(encoded);
      return { type: encoded[at]!, body: encoded.subarray(at + 4) };
    });
  }

  get types(): number[] {
    return this.packets.map(({ type }) => type);
  }

  /** The messages sent so far: answers as `#id body`, pushes as `route body`. */
  get messages(): string[] {
    const message = new Message();
    return this.packets
      .filter(({ type }) => type === PacketType.DATA)
      .map(({ body }) => {
        const fault = decodeMessage(body, () => undefined, message);
        if (fault !== null) throw new Error(`the gateway sent a message that is ${fault}`);
        const head = message.kind === 2 ? `#${message.rawId}` : message.route;
        return `${head} ${message.body.toString()}`;
      });
  }
}

export const LIMITS: SessionLimits = {
  packetBytesMax: 4_096,
  handshakeMs: 10_000,
  ackMs: 5_000,
  assembleMs: 8_000,
  heartbeatMs: 30_000,
  bindMs: 0,
  closeAfterMs: 20_000,
  idleMs: 0,
  maxAgeMs: 0,
  inFlightMax: 8,
  outbox: { bytesMax: 65_536, dropAfterMs: 1_000 },
};

/** Lets everyone in, and writes down what a session does with it: in place of the gateway around a session. */
export class RecordingHost extends SessionReport implements Handshakes, MessageSink {
  readonly messages: string[] = [];
  readonly drops: Drop[] = [];
  readonly refusals: string[] = [];
  readonly ended: SessionEnd[] = [];
  activations = 0;
  onMessageDo: (session: Session, message: Message) => void = () => {};
  onActiveDo: (session: Session) => void = () => {};

  /** False: the client waits for an answer to its handshake. */
  answersHandshakes = true;

  constructor(events = NO_SESSION_EVENTS) {
    super({
      ...{ metrics: new Metrics(), log: keptLog().log, events, clock: new ManualClock() },
      ...{ failures: new Failures(), tellsRefs: () => false },
    });
  }

  onHandshake(...[session, request]: Parameters<Handshakes['onHandshake']>): void {
    if (!this.answersHandshakes) return;
    if (request === null) session.refuse(session.listenerDialect.refuse(500), 'no handshake');
    else session.accept(session.listenerDialect.accept(request, undefined) as Buffer);
  }

  onClosed(): void {}

  receive(session: Session, message: Message): void {
    this.messages.push(`${message.wantsAnswer ? message.rawId : 'notify'} ${message.route}`);
    this.onMessageDo(session, message);
  }

  refuse(_session: Session, { rawId }: Message, { code, message }: Failure): void {
    this.refusals.push(`${rawId}: ${code} ${message}`);
  }

  override active(session: Session): void {
    super.active(session);
    this.activations++;
    this.onActiveDo(session);
  }

  override dropped(session: Session, why: Drop): void {
    super.dropped(session, why);
    this.drops.push(why);
  }

  override closed(...[session, end]: Parameters<SessionReport['closed']>) {
    const closed = super.closed(session, end);
    this.ended.push(end);
    return closed;
  }
}

export const HANDSHAKE = packetBytes(
  PacketType.HANDSHAKE,
  Buffer.from('{"sys":{"type":"js","version":"1.0"}}'),
);
export const ACK = packetBytes(PacketType.HANDSHAKE_ACK);
export const HEARTBEAT = packetBytes(PacketType.HEARTBEAT);

/** A packet as a client sends it over TCP, from what our own encoder makes. */
export function bare(encoded: Encoded): Buffer {
  return Buffer.from(encoded.subarray(packetOffset(encoded)));
}

export function request(id: number, route = 'a.b.c', body = ''): Buffer {
  return bare(encodeRequest(rawIdOf(id), route, Buffer.from(body))!);
}

export function data(body: string | Buffer): Buffer {
  return packetBytes(PacketType.DATA, Buffer.from(body));
}

/** Resolves when the outboxes were flushed for what was put before. */
export function turn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}

export type World = ReturnType<typeof makeWorld>;

/** What the sessions of a gateway share. */
export function makeWorld(outboxesBytesMax = 1e9) {
  const clock = new ManualClock(1_000);
  const registry = new Registry('g-0123456789', { add: () => null, remove() {} });
  return {
    clock,
    wheel: new TimerWheel(clock),
    ...makeOutboxes(clock, outboxesBytesMax),
    registry,
  };
}

/** @param perTurn As `limits.fanout.per_turn`. */
export function makeOutboxes(clock: Clock, bytesMax = 1e9, perTurn = 256, waitingBytesMax = 1e9) {
  const outboxes = new Outboxes(clock, bytesMax, perTurn);
  return { outboxes, fanouts: new Fanouts(clock, outboxes, { perTurn, waitingBytesMax }) };
}

type Choice = {
  readonly limits?: Partial<SessionLimits>;
  readonly host?: RecordingHost;
  /** Default: the host lets everyone in. */
  readonly auth?: Handshakes;
  /** Default: the host writes messages down. */
  readonly relay?: MessageSink;
  readonly world?: World;
  readonly n?: number;
  readonly gatewayId?: string;
  readonly dialect?: Dialect;
  readonly unfinished?: Unfinished;
};

/** Pomelo without dictionary and protos. */
export const POMELO = new PomeloDialect({
  heartbeatSeconds: 30,
  dictionary: null,
  protos: null,
  signatures: null,
  profile: 'auto',
});

/** A session that has just been connected. */
export function connect(choice: Choice = {}) {
  const world = choice.world ?? makeWorld();
  const connection = new FakeConnection();
  const host = choice.host ?? new RecordingHost();
  const dialect = choice.dialect ?? POMELO;
  const limits = { ...LIMITS, ...choice.limits };
  const parts = {
    gatewayId: choice.gatewayId ?? 'g-0123456789',
    dialect,
    limits: { ...limits, packetBytesMax: Math.min(limits.packetBytesMax, dialect.packetBytesMax) },
    auth: choice.auth ?? host,
    relay: choice.relay ?? host,
    registry: world.registry,
    report: host,
    wheel: world.wheel,
    outboxes: world.outboxes,
    fanouts: world.fanouts,
    unfinished: choice.unfinished ?? new Unfinished(1e9),
  };
  const session = new Session(parts, connection, choice.n ?? 1, world.clock.wallNow());
  return { ...world, connection, host, session, limits: parts.limits };
}

/** The same after handshake and ack, with what was sent for them forgotten. */
export function activate(choice: Choice = {}) {
  const client = connect(choice);
  client.session.onBytes(Buffer.concat([HANDSHAKE, ACK]));
  client.connection.writes.length = 0;
  return client;
}

/** What does not take another turn. */
export function atOnce<T>(outcome: T | Promise<T>): T {
  if (outcome instanceof Promise) throw new Error('it takes more than one turn');
  return outcome;
}
