/**
 * The composition root: builds the parts, starts them, stops them in the reverse order. No rules of its own;
 * this is the only place that knows everything.
 */
import { randomBytes } from 'node:crypto';

import type { Bus } from './bus/bus.ts';
import { Delivery } from './bus/delivery.ts';
import { EmbeddedBus } from './bus/embedded-bus.ts';
import { NatsBus } from './bus/nats-bus.ts';
import { Reach } from './bus/reach.ts';
import { type Clock, sleep, within } from './clock.ts';
import { parseAddress, parseBus, parseHostPort, parseListenUrl } from './config/address.ts';
import type { Config } from './config/schema.ts';
import { HttpServer } from './control/http.ts';
import { ControlServer } from './control/server.ts';
import type { Info } from './control/service.ts';
import { errorText } from './errors.ts';
import { PACKET_HEAD_BYTES } from './protocol/packet.ts';
import { Admission } from './relay/admission.ts';
import { Relay } from './relay/relay.ts';
import { RouteTable } from './routing/route-table.ts';
import type { Rule } from './routing/rule.ts';
import { type Drained, drainSessions } from './session/drain.ts';
import { Flusher } from './session/outbox.ts';
import { Registry } from './session/registry.ts';
import { Session, type SessionLimits } from './session/session.ts';
import { makeRelayHost, makeSessionHost } from './hosts.ts';
import type { Log } from './telemetry/log.ts';
import { Metrics } from './telemetry/metrics.ts';
import { TimerWheel } from './timer-wheel.ts';
import { Listener } from './transport/listener.ts';
import type { Connection } from './transport/transport.ts';
import { NatsConnector, SAFE_SERVER_VERSION } from './upstream/nats/connection.ts';
import { NatsAnswers } from './upstream/nats/nats-upstream.ts';
import { Subjects } from './upstream/nats/subjects.ts';
import type { Upstream } from './upstream/upstream.ts';
import { makeUpstream } from './upstreams.ts';

const BASE62 = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
/** How long the start waits for the bus before it listens all the same. */
const BUS_WAIT_MS = 2_000;
/** How long backends may take to end their links when the gateway stops. */
const UPSTREAM_CLOSE_MS = 2_000;

/** starting · ready · draining · stopped. */
export type GatewayState = 'starting' | 'ready' | 'draining' | 'stopped';

export type GatewayParts = {
  readonly config: Config;
  readonly clock: Clock;
  readonly log: Log;
  readonly version: string;
  /** Node's version, for pith_build_info. */
  readonly nodeVersion: string;
  /** What `limits.connections: auto` comes to on this machine. */
  readonly connectionsAuto: number;
};

/** Where everything listens, with the real ports. */
export type Addresses = {
  readonly clients: readonly string[];
  readonly controlPort: number;
  readonly adminPort: number;
  readonly healthPort: number;
};

export class Gateway {
  readonly id: string;
  readonly metrics = new Metrics();
  readonly registry: Registry;
  readonly #parts: GatewayParts;
  readonly #wheel: TimerWheel;
  readonly #flusher: Flusher;
  readonly #connector: NatsConnector | null = null;
  readonly #answers: NatsAnswers | null = null;
  readonly #bus: Bus;
  readonly #delivery: Delivery;
  readonly #reach: Reach;
  readonly #admission: Admission;
  readonly #upstreams: readonly Upstream[];
  readonly #relay: Relay;
  readonly #listeners: readonly Listener[];
  readonly #control: ControlServer;
  readonly #health: HttpServer;
  readonly #admin: HttpServer;
  readonly #connectionsMax: number;
  #state: GatewayState = 'starting';
  #sessionsEver = 0;
  #startedAt = 0;
  #onBusUp: () => void = () => {};

  constructor(parts: GatewayParts) {
    const { config, clock } = parts;
    this.#parts = parts;
    this.id = `${config.id}-${randomId()}`;
    this.#wheel = new TimerWheel(clock);
    this.#flusher = new Flusher(clock);
    this.#connectionsMax =
      config.limits.connections === 'auto' ? parts.connectionsAuto : config.limits.connections;

    const bus = parseBus(config.bus);
    let natsBus: NatsBus | null = null;
    if (bus.kind === 'nats') {
      const subjects = new Subjects(config.nats.prefix, this.id);
      this.#connector = this.#makeConnector(bus.servers, subjects);
      this.#answers = new NatsAnswers(this.#connector, subjects, this.#answerEvents());
      natsBus = new NatsBus({
        gatewayId: this.id,
        connector: this.#connector,
        subjects,
        clock,
        wheel: this.#wheel,
        onError: (what) => {
          parts.log.error({ what }, 'bus');
        },
      });
    }
    this.#bus = natsBus ?? new EmbeddedBus();
    this.registry = new Registry(this.id, this.#bus);
    const changeLimits = { dataBytesMax: config.sessions.data, groupsMax: config.sessions.groups };
    this.#delivery = new Delivery(this.registry, changeLimits, this.#wheel, {
      onPush: (outcome, sessions) => {
        this.metrics.add('pith_pushes_total', [outcome], sessions);
      },
    });
    natsBus?.attach(this.registry, this.#delivery);
    this.#reach = new Reach(this.id, this.#delivery, this.#bus);

    const backends = Object.keys(config.backends);
    this.#upstreams = backends.map((name) => this.#makeUpstream(name));
    this.#admission = new Admission(
      {
        messagesPerSecond: config.limits.messages_per_second,
        burst: config.limits.burst,
        inFlightPerBackend: config.limits.in_flight_per_backend,
      },
      backends.length,
    );
    this.#relay = new Relay({
      table: new RouteTable(config.routes.map(ruleOf), backends),
      upstreams: this.#upstreams,
      admission: this.#admission,
      wheel: this.#wheel,
      routeBytesMax: config.limits.route,
      host: makeRelayHost({
        delivery: this.#delivery,
        reach: this.#reach,
        metrics: this.metrics,
        log: parts.log,
        wheel: this.#wheel,
      }),
    });
    this.#listeners = this.#makeListeners();
    this.#control = new ControlServer(
      {
        reach: this.#reach,
        info: () => this.info(),
        onError: (error) => {
          parts.log.error({ err: error.cause ?? error }, 'control');
        },
      },
      clock,
    );
    const probes = {
      notReady: () => this.notReady(),
      metrics: () => (config.telemetry.metrics ? this.metrics.render() : null),
    };
    this.#health = new HttpServer(probes);
    this.#admin = new HttpServer(probes);
    this.#watchMetrics(backends);
  }

  get state(): GatewayState {
    return this.#state;
  }

  /** Why the gateway should get no new clients; empty when it is ready. Backends and later bus losses don't count. */
  notReady(): string[] {
    const why: string[] = [];
    if (this.#state !== 'ready') why.push(this.#state);
    if (!this.#bus.everUp) why.push('the bus has not been reached yet');
    return why;
  }

  info(): Info {
    const names = Object.keys(this.#parts.config.backends);
    return {
      gateway: this.id,
      version: this.#parts.version,
      state: this.#state,
      sessions: this.registry.size,
      bus: this.#bus.name,
      backends: this.#upstreams.map((upstream, ordinal) => ({
        name: names[ordinal]!,
        ...upstream.info(),
        inFlight: this.#admission.inFlight(ordinal),
      })),
      uptimeMs: this.#parts.clock.now() - this.#startedAt,
    };
  }

  get addresses(): Addresses {
    return {
      clients: this.#listeners.map((listener) => listener.url),
      controlPort: this.#control.port,
      adminPort: this.#admin.port,
      healthPort: this.#health.port,
    };
  }

  // ---- start and stop -----------------------------------------------------------------------------------

  /** Connects, then listens; clients' ports last. Rejects when a port cannot be bound. */
  async start(): Promise<void> {
    const { config, clock, log } = this.#parts;
    this.#startedAt = clock.now();
    this.#bus.start();
    if (this.#connector !== null) {
      const up = new Promise<void>((resolve) => {
        this.#onBusUp = resolve;
      });
      this.#connector.start();
      await within(clock, BUS_WAIT_MS, up, undefined);
      if (!this.#connector.up)
        log.warn({ bus: config.bus }, 'the bus is away; listening all the same, and trying on');
    }
    await Promise.all(this.#upstreams.map((upstream) => upstream.start()));
    const health = parseHostPort(config.health.listen);
    await bound(
      'health.listen',
      config.health.listen,
      this.#health.listen(health.host, health.port),
    );
    const admin = parseHostPort(config.admin.listen);
    await bound('admin.listen', config.admin.listen, this.#admin.listen(admin.host, admin.port));
    await bound(
      'control.listen',
      config.control.listen,
      this.#control.listen(grpcAddress(config.control.listen)),
    );
    for (const [i, listener] of this.#listeners.entries()) {
      await bound(`listen[${i}].url`, config.listen[i]!.url, listener.listen());
    }
    this.#state = 'ready';
    this.#control.setServing(true);
    const { clients, ...ports } = this.addresses;
    log.info({ gateway: this.id, clients, ...ports, bus: this.#bus.name }, 'listening');
  }

  /**
   * Stops in an orderly way: not ready, no new clients, what is in flight is answered, sessions are closed at
   * the configured pace, then backends, bus and control. `hurry` says that it should end now.
   */
  async drain(hurry: () => boolean = () => false): Promise<Drained> {
    const { config, clock, log } = this.#parts;
    if (this.#state === 'draining' || this.#state === 'stopped') return { closed: 0, forced: 0 };
    this.#state = 'draining';
    this.#control.setServing(false);
    log.info({ sessions: this.registry.size }, 'draining');
    if (config.drain.accept_for > 0) await sleep(clock, config.drain.accept_for);
    for (const listener of this.#listeners) listener.stopAccepting();
    const { budget, per_second: perSecond, signal } = config.drain;
    const drained = await drainSessions(
      this.registry,
      clock,
      { budgetMs: budget, perSecond, signal },
      hurry,
    );
    await this.#close();
    log.info(drained, 'stopped');
    return drained;
  }

  /** Lets go of everything that was started; harmless to repeat. */
  async #close(): Promise<void> {
    for (const session of [...this.registry.all()]) session.close('drain_forced');
    await Promise.all(this.#upstreams.map((upstream) => upstream.close(UPSTREAM_CLOSE_MS)));
    for (const listener of this.#listeners) listener.close();
    await within(this.#parts.clock, UPSTREAM_CLOSE_MS, this.#bus.close(), undefined);
    await Promise.all([this.#control.close(), this.#admin.close(), this.#health.close()]);
    this.#wheel.stop();
    this.#state = 'stopped';
  }

  // ---- building -----------------------------------------------------------------------------------------

  #makeConnector(servers: readonly string[], subjects: Subjects): NatsConnector {
    const { config, log } = this.#parts;
    const { creds, user, password, token, nkey } = config.nats;
    const options = {
      servers,
      gatewayId: this.id,
      inboxPrefix: subjects.inboxPrefix,
      creds,
      user,
      password,
      token,
      nkey,
    };
    return new NatsConnector(options, {
      onUp: (first, server) => {
        const version = this.#connector!.serverVersion;
        log.info({ server, version }, first ? 'bus connected' : 'bus connected again');
        if (first && isOlder(version, SAFE_SERVER_VERSION)) {
          log.warn(
            { version },
            `nats-server below ${SAFE_SERVER_VERSION} has known security holes; update it`,
          );
        }
        (this.#bus as NatsBus).onUp(first);
        this.#onBusUp();
      },
      onDown: (why) => {
        log.warn({ why }, 'bus lost');
        this.#answers!.onDown();
      },
      onError: (what) => {
        log.error({ what }, 'bus');
      },
    });
  }

  #answerEvents(): ConstructorParameters<typeof NatsAnswers>[2] {
    return {
      onLateReply: () => {
        this.metrics.add('pith_late_replies_total', ['nats']);
      },
      onPubAck: (route) => {
        this.#parts.log.error(
          { route },
          'a JetStream stream captures request subjects and answers in the place of backends: take them out of it',
        );
      },
    };
  }

  #makeUpstream(name: string): Upstream {
    const { config, clock, log, version } = this.#parts;
    return makeUpstream(name, config.backends[name]!, {
      gatewayId: this.id,
      version,
      clock,
      wheel: this.#wheel,
      natsPrefix: config.nats.prefix,
      connector: this.#connector,
      answers: this.#answers,
      delivery: this.#delivery,
      reach: this.#reach,
      log,
      metrics: this.metrics,
    });
  }

  #makeListeners(): Listener[] {
    const { config, log } = this.#parts;
    const limits = sessionLimits(config);
    const host = makeSessionHost({
      config,
      registry: this.registry,
      relay: this.#relay,
      upstreams: this.#upstreams,
      metrics: this.metrics,
      log,
      wheel: this.#wheel,
    });
    return config.listen.map((listen) => {
      const { scheme, host: address, port } = parseListenUrl(listen.url);
      const options = {
        scheme: scheme as 'ws' | 'tcp' | 'auto',
        host: address,
        port,
        packetBytesMax: config.limits.packet + PACKET_HEAD_BYTES,
        handshakeMs: config.limits.handshake,
      };
      return new Listener(options, this.#wheel, {
        mayAccept: () => this.registry.size < this.#connectionsMax,
        onRefused: (why, remoteAddress) => {
          this.metrics.add('pith_connections_refused_total', [why]);
          log.info({ why, remoteAddress }, 'connection refused');
        },
        accept: (connection: Connection) => {
          const session = new Session({
            n: ++this.#sessionsEver,
            gatewayId: this.id,
            connection,
            host,
            wheel: this.#wheel,
            flusher: this.#flusher,
            limits,
            openedAtWall: this.#parts.clock.wallNow(),
          });
          this.registry.add(session);
          this.metrics.add('pith_connections_accepted_total', [connection.transport]);
          return session;
        },
      });
    });
  }

  #watchMetrics(backends: readonly string[]): void {
    const { metrics } = this;
    metrics.watch('pith_build_info', [this.#parts.version, this.#parts.nodeVersion], () => 1);
    metrics.watch('pith_sessions', [], () => this.registry.size);
    metrics.watch('pith_bus_up', [], () => (this.#bus.up ? 1 : 0));
    for (const [ordinal, name] of backends.entries()) {
      metrics.watch('pith_requests_in_flight', [name], () => this.#admission.inFlight(ordinal));
      metrics.watch(
        'pith_backend_healthy_addresses',
        [name],
        () => this.#upstreams[ordinal]!.info().healthy,
      );
    }
  }
}

function randomId(): string {
  let id = '';
  // 248 is the largest multiple of 62 in a byte: no letter is likelier than another.
  while (id.length < 10)
    for (const byte of randomBytes(16)) if (byte < 248 && id.length < 10) id += BASE62[byte % 62];
  return id;
}

function ruleOf(route: Config['routes'][number]): Rule {
  return {
    match: route.match,
    backend: route.backend as string,
    timeoutMs: route.timeout,
    order: route.order,
    to: route.to,
    otherwise: route.else,
    forward: route.forward,
    bound: route.bound,
  };
}

function sessionLimits(config: Config): SessionLimits {
  const { limits } = config;
  return {
    packetBytesMax: limits.packet,
    handshakeMs: limits.handshake,
    ackMs: limits.ack,
    assembleMs: limits.assemble,
    heartbeatMs: config.heartbeat,
    closeAfterMs: limits.slow.close_after,
    inFlightMax: limits.in_flight_per_session,
    outbox: { bytesMax: limits.outbox, dropAfterMs: limits.slow.drop_after },
  };
}

function grpcAddress(listen: string): string {
  const address = parseAddress(listen);
  if (address.kind === 'unix') return `unix:${address.path}`;
  return `${address.host.includes(':') ? `[${address.host}]` : address.host}:${address.port}`;
}

/** Says which key names an address that could not be bound. */
async function bound(key: string, address: string, listening: Promise<void>): Promise<void> {
  try {
    await listening;
  } catch (error) {
    throw new Error(`${key}: cannot listen on ${address}: ${errorText(error)}`, { cause: error });
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
