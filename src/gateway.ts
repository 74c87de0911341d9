/**
 * The composition root: builds the parts, starts them, stops them in the reverse order. No rules of its own;
 * this is the only place that knows everything.
 */
import type { Bus } from './bus/bus.ts';
import { Delivery } from './bus/delivery.ts';
import { EmbeddedBus } from './bus/embedded-bus.ts';
import { Reach } from './bus/reach.ts';
import { type Clock, sleep, within } from './clock.ts';
import { parseBus, parseHostPort } from './config/address.ts';
import { ruleOf } from './config/rules.ts';
import type { Config } from './config/schema.ts';
import { type Discovery, makeDiscovery } from './wiring/discovery.ts';
import { Nats } from './wiring/nats.ts';
import { HttpServer } from './control/http.ts';
import { ControlServer } from './control/server.ts';
import type { Info } from './control/service.ts';
import { Admission } from './relay/admission.ts';
import { Relay } from './relay/relay.ts';
import { RouteTable } from './routing/route-table.ts';
import { type Drained, drainSessions } from './session/drain.ts';
import { Outboxes } from './session/outboxes.ts';
import { Registry } from './session/registry.ts';
import { type Memory, watchCertificates, watchOutboxes, watchProcess } from './wiring/gauges.ts';
import { makeRelayHost } from './wiring/hosts.ts';
import { makeListeners } from './wiring/listeners.ts';
import { type Resources, type Room, roomOf } from './wiring/room.ts';
import { Seldom } from './wiring/seldom.ts';
import { admissionLimits, bound, breakersOf, grpcAddress, randomId } from './wiring/settings.ts';
import { EventLoopLag } from './telemetry/event-loop.ts';
import type { Log } from './telemetry/log.ts';
import { Metrics } from './telemetry/metrics.ts';
import { Tracing } from './telemetry/tracing.ts';
import { TimerWheel } from './timer-wheel.ts';
import { Listener } from './transport/listener.ts';
import type { Upstream } from './upstream/upstream.ts';
import { Traces } from './wiring/traces.ts';
import { makeAttach, makeUpstream } from './wiring/upstreams.ts';

/** How long the start waits for the bus before it listens all the same. */
const BUS_WAIT_MS = 2_000;
/** How often a gateway that stops looks whether it should hurry. */
const ACCEPT_STEP_MS = 100;
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
  readonly resources: Resources;
  /** What the process has of memory; without it that is not among the metrics. */
  readonly memory?: () => Memory;
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
  readonly #outboxes: Outboxes;
  /** null: no server at all. */
  readonly #nats: Nats | null = null;
  /** null: no Consul. */
  readonly #discovery: Discovery | null;
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
  readonly #room: Room;
  /** null: no traces. */
  readonly #tracing: Tracing | null = null;
  readonly #lag = new EventLoopLag();
  #state: GatewayState = 'starting';
  #startedAt = 0;

  constructor(parts: GatewayParts) {
    const { config, clock } = parts;
    this.#parts = parts;
    this.id = `${config.id}-${randomId()}`;
    this.#wheel = new TimerWheel(clock);
    this.#room = roomOf(config.limits, parts.resources);
    this.#outboxes = new Outboxes(clock, this.#room.outboxesBytes);

    const bus = parseBus(config.bus);
    if (bus.kind === 'nats') this.#nats = this.#makeNats(bus.servers);
    this.#bus = this.#nats?.bus ?? new EmbeddedBus();
    this.registry = new Registry(this.id, this.#bus);
    this.#delivery = this.#makeDelivery();
    this.#nats?.bus.attach(this.registry, this.#delivery);
    this.#reach = new Reach(this.id, this.#delivery, this.#bus);

    this.#discovery = makeDiscovery({ ...parts, gatewayId: this.id });
    const { otlp } = config.telemetry;
    const { metrics } = this;
    if (otlp !== '') this.#tracing = new Tracing({ ...parts, otlp, gatewayId: this.id, metrics });
    const backends = Object.keys(config.backends);
    this.#upstreams = backends.map((name) => this.#makeUpstream(name));
    this.#admission = new Admission(admissionLimits(config), backends.length);
    this.#relay = new Relay({
      table: new RouteTable(config.routes.map(ruleOf), backends),
      upstreams: this.#upstreams,
      admission: this.#admission,
      breakers: breakersOf(config),
      wheel: this.#wheel,
      routeBytesMax: config.limits.route,
      host: makeRelayHost({
        delivery: this.#delivery,
        reach: this.#reach,
        metrics: this.metrics,
        log: parts.log,
        clock,
        wheel: this.#wheel,
        backends,
        traces: this.#tracing && new Traces({ config, clock, tracing: this.#tracing }),
      }),
    });
    this.#listeners = this.#makeListeners();
    const attach = makeAttach(this.#upstreams, { ...parts, wheel: this.#wheel });
    this.#control = new ControlServer(
      {
        reach: this.#reach,
        info: () => this.info(),
        onError: (error) => {
          parts.log.error({ err: error.cause ?? error }, 'control');
        },
      },
      clock,
      attach,
    );
    const probes = {
      notReady: () => this.notReady(),
      metrics: () => (config.telemetry.metrics ? this.metrics.render() : null),
    };
    this.#health = new HttpServer(probes);
    this.#admin = new HttpServer(probes, attach, this.#control.api);
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

  /** Reads the listeners' certificates again; files that changed are found without it, a little later. */
  reloadCertificates(): void {
    for (const listener of this.#listeners) listener.reloadCertificate();
  }

  // ---- start and stop -----------------------------------------------------------------------------------

  /** Connects, then listens; clients' ports last. Rejects when a port cannot be bound. */
  async start(): Promise<void> {
    const { config, clock, log } = this.#parts;
    this.#startedAt = clock.now();
    if (config.telemetry.metrics) this.#lag.start();
    await this.#tracing?.start();
    this.#bus.start();
    if (this.#nats !== null) {
      this.#nats.connector.start();
      await within(clock, BUS_WAIT_MS, this.#nats.firstUp, undefined);
      if (!this.#bus.up)
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
    watchCertificates(this.metrics, this.#listeners);
    this.#state = 'ready';
    this.#control.setServing(true);
    this.#discovery?.start(this.addresses, () => this.notReady());
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
    await this.#discovery?.maintain();
    await this.#acceptOn(config.drain.accept_for, hurry);
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

  /** Goes on accepting for a while: load balancers take some time to look elsewhere. */
  async #acceptOn(ms: number, hurry: () => boolean): Promise<void> {
    const { clock } = this.#parts;
    const until = clock.now() + ms;
    while (clock.now() < until && !hurry())
      await sleep(clock, Math.min(ACCEPT_STEP_MS, until - clock.now()));
  }

  /** Lets go of everything that was started; harmless to repeat. */
  async #close(): Promise<void> {
    for (const session of [...this.registry.all()]) session.close('drain_forced');
    await this.#discovery?.close();
    await Promise.all(this.#upstreams.map((upstream) => upstream.close(UPSTREAM_CLOSE_MS)));
    for (const listener of this.#listeners) listener.close();
    await within(this.#parts.clock, UPSTREAM_CLOSE_MS, this.#bus.close(), undefined);
    await this.#tracing?.stop();
    await Promise.all([this.#control.close(), this.#admin.close(), this.#health.close()]);
    this.#lag.stop();
    this.#wheel.stop();
    this.#state = 'stopped';
  }

  // ---- building -----------------------------------------------------------------------------------------

  #makeNats(servers: readonly string[]): Nats {
    const { config, clock, log } = this.#parts;
    const { metrics } = this;
    return new Nats({
      servers,
      config,
      gatewayId: this.id,
      clock,
      wheel: this.#wheel,
      log,
      metrics,
    });
  }

  #makeUpstream(name: string): Upstream {
    const { config, clock, log, version } = this.#parts;
    return makeUpstream(name, config.backends[name]!, {
      gatewayId: this.id,
      version,
      clock,
      wheel: this.#wheel,
      convertBytesMax: config.limits.convert,
      natsPrefix: config.nats.prefix,
      nats: this.#nats,
      discovery: this.#discovery,
      delivery: this.#delivery,
      reach: this.#reach,
      log,
      metrics: this.metrics,
    });
  }

  #makeDelivery(): Delivery {
    const { config, clock, log } = this.#parts;
    const seldom = new Seldom(clock);
    const fanout = this.metrics.histogram('pith_push_fanout', []);
    const changeLimits = {
      dataBytesMax: config.sessions.data,
      groupsMax: config.sessions.groups,
      convertBytesMax: config.limits.convert,
    };
    return new Delivery(this.registry, changeLimits, this.#wheel, {
      onPush: (outcome, sessions) => {
        this.metrics.add('pith_pushes_total', [outcome], sessions);
        if (outcome === 'delivered') fanout.observe(sessions);
      },
      onUnsayable: (route, why) => {
        const more = seldom.take(route);
        if (more !== null)
          log.warn({ route, why, ...more }, 'a push cannot be said to some clients');
      },
    });
  }

  #makeListeners(): Listener[] {
    return makeListeners({
      ...this.#parts,
      gatewayId: this.id,
      wheel: this.#wheel,
      outboxes: this.#outboxes,
      registry: this.registry,
      delivery: this.#delivery,
      relay: this.#relay,
      upstreams: this.#upstreams,
      metrics: this.metrics,
      connectionsMax: this.#room.connections,
    });
  }

  #watchMetrics(backends: readonly string[]): void {
    const { metrics } = this;
    metrics.watch('pith_build_info', [this.#parts.version, this.#parts.nodeVersion], () => 1);
    metrics.watch('pith_sessions', [], () => this.registry.size);
    metrics.watch('pith_bus_up', [], () => (this.#bus.up ? 1 : 0));
    metrics.watch('pith_drain_state', [], () => (this.#state === 'draining' ? 1 : 0));
    watchOutboxes(metrics, this.#outboxes, this.#room);
    if (this.#parts.memory !== undefined) watchProcess(metrics, this.#lag, this.#parts.memory);
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
