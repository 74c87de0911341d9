/**
 * The composition root: builds the parts and starts them; shutdown.ts stops them. No rules of its own;
 * this is the only place that knows everything.
 */
import { inBackground } from './background.ts';
import type { ServiceFacts } from './bus/micro-service.ts';
import { type Clock, within } from './clock.ts';
import { autoLimits, needsOf, type Resources } from './config/auto-limits.ts';
import type { OtelExport } from './config/otel-variables.ts';
import { pageUrls } from './config/web-pages.ts';
import type { Config } from './config/schema.ts';
import { Audit } from './control/audit.ts';
import type { Info, LogLevel, ReloadOutcome } from './control/gateway-methods.ts';
import type { Consul } from './discovery/consul.ts';
import { BackendTroubles } from './failures/backend-troubles.ts';
import { Failures } from './failures/failures.ts';
import { Faults } from './faults.ts';
import type { Random } from './random.ts';
import type { Drained } from './session/drain.ts';
import { readBlocksFile } from './orders/blocks-file.ts';
import type { Orders } from './orders/orders.ts';
import { Outboxes } from './session/outboxes.ts';
import type { Registry } from './session/registry.ts';
import type { Backends } from './reload/backends.ts';
import type { LiveTokens } from './reload/live-tokens.ts';
import type { ReadConfig, Reload } from './reload/reload.ts';
import type { Shedding } from './relay/shedding.ts';
import type { Readiness } from './placement/placement.ts';
import { type DrainOptions, Shutdown } from './shutdown.ts';
import type { TakeOver } from './takeover/take-over.ts';
import type { History } from './telemetry/history.ts';
import type { LevelSwitch } from './telemetry/level-switch.ts';
import type { Log } from './telemetry/log.ts';
import { Metrics } from './telemetry/metrics.ts';
import type { RecentLines } from './telemetry/recent-lines.ts';
import type { ProcessUse } from './telemetry/process-use.ts';
import { TimerWheel } from './timer-wheel.ts';
import { type BusParts, makeBus, makeGatewayId } from './wiring/bus.ts';
import { type ControlPorts, makeAccess, makeBusApi } from './wiring/control.ts';
import { makeCertificateGauges, makeGauges } from './wiring/gauges.ts';
import { type Listeners, makeListeners, makeListenSteps } from './wiring/listeners.ts';
import type { Kinds } from './wiring/kinds.ts';
import type { Network } from './wiring/network.ts';
import { makeOwnGateway } from './wiring/own-gateway.ts';
import { makeFleetStatus } from './wiring/own-status.ts';
import { type Exports, makeExports, makeLevelSwitch, makeRelay } from './wiring/relay.ts';
import { makeReload } from './wiring/reload.ts';
import { makeLiveTokens, makeTokens } from './wiring/tokens.ts';
import { makeReadiness } from './wiring/worker.ts';
import type { OwnWorker } from './workers/own-worker.ts';
import type { Facts } from './workers/words.ts';
import { makeTakeOver, type MakeTakeoverParts } from './wiring/takeover.ts';
import { makeBackends, makeConsul } from './wiring/upstreams.ts';

/** How long the start waits for the bus before it listens anyway. */
const BUS_WAIT_MS = 2_000;
/** How long it waits for backends, and for the keys of tokens; each bounds its own first try, and a name server may not answer. */
const BACKENDS_WAIT_MS = 5_000;

/** starting · ready · draining · stopped. */
export type GatewayState = 'starting' | 'ready' | 'draining' | 'stopped';

export type GatewayParts = {
  readonly config: Config;
  /** Reads it again, for a reload; absent: it stays as it is. */
  readonly readConfig?: ReadConfig;
  readonly clock: Clock;
  readonly random: Random;
  readonly network: Network;
  /** Must have loaded what `config` needs. */
  readonly kinds: Kinds;
  readonly log: Log;
  readonly version: string;
  /** Node's version, for pith_build_info. */
  readonly nodeVersion: string;
  readonly resources: Resources;
  /** What the log has warned of lately; absent: it is not kept. */
  readonly recentLines?: RecentLines;
  /** What OpenTelemetry's variables say of how to export; absent: nothing. */
  readonly otel?: OtelExport;
  /** This process goes on with the clients of another one, as that gateway; absent: it is a new one. */
  readonly successor?: { readonly id: string; readonly from: TakeOver };
  /** Log lines dropped because stdout was not read; absent: no such metric. */
  readonly logLinesDropped?: () => number;
  /** What the process uses; without it that is not among the metrics. */
  readonly processUse?: ProcessUse;
  /** The process is one of several that serve together; absent: it is the only one. */
  readonly worker?: OwnWorker;
};

export class Gateway {
  readonly id: string;
  readonly metrics = new Metrics();
  readonly registry: Registry;
  /** What operators have ordered for the whole fleet. */
  readonly orders: Orders;
  readonly #parts: GatewayParts;
  readonly #wheel: TimerWheel;
  readonly #faults: Faults;
  readonly #bus: BusParts;
  /** null: no Consul. */
  readonly #consul: Consul | null;
  readonly #exports: Exports;
  readonly #backends: Backends;
  readonly #shedding: Shedding;
  /** null: clients need no tokens. */
  readonly #tokens: LiveTokens | null;
  readonly #reload: Reload;
  readonly #listeners: Listeners;
  readonly #ports: ControlPorts;
  readonly #readiness: Readiness;
  readonly #shutdown: Shutdown;
  readonly #logLevel: LevelSwitch;
  readonly #history: History;
  /** For `makeHandOver`, which lets another process go on with everything. */
  readonly takeover: MakeTakeoverParts;
  /** Everything listens. */
  #started = false;
  #startedAt = 0;
  #begun: Promise<void> = Promise.resolve();

  /** Makes every part, each with those that it needs. @throws {Error} when a file that it needs cannot be used. */
  constructor(parts: GatewayParts) {
    const { config, clock, log } = parts;
    const { metrics } = this;
    this.#parts = parts;
    this.id = parts.successor?.id ?? makeGatewayId(config.id, parts.random);
    this.#wheel = new TimerWheel(clock);
    this.#faults = new Faults(clock, log, metrics);
    const live = { config };
    const kept = { failures: new Failures(config.log.client_ip), troubles: new BackendTroubles() };
    const shared = { ...parts, live, gatewayId: this.id, wheel: this.#wheel, metrics, ...kept };
    const capacity = autoLimits(config.limits, parts.resources, needsOf(config));
    const outboxes = new Outboxes(clock, capacity.outboxesBytes, config.limits.fanout.per_turn);
    const liveTokens = makeLiveTokens(shared);
    const exports = makeExports(shared);
    const bus = makeBus({ ...shared, ...exports, capacity, outboxes, liveTokens });
    const consul = makeConsul(shared);
    const relay = makeRelay({ ...shared, ...bus, capacity, ...exports });
    const backends = makeBackends({ ...shared, ...bus, consul, relay });
    const tokens = makeTokens({ ...shared, ...bus, relay, liveTokens });
    const made = { ...shared, ...bus, capacity, outboxes, relay, backends, tokens };
    const access = makeAccess(shared);
    const audit = new Audit(shared);
    const logLevel = makeLevelSwitch(shared, relay);
    this.#logLevel = logLevel;
    const info = (): Info => this.info();
    const ownGateway = makeOwnGateway({
      ...{ ...made, logLevel },
      info,
      clients: () => this.addresses.clients,
      drain: (options) => this.#shutdown.follow(options),
      reload: () => this.reload('Control.Reload'),
      forced: () => this.forced,
    });
    const own = { notReady: () => this.notReady(), sendsElsewhere: () => this.sendsElsewhere };
    const readiness = makeReadiness(own, parts.worker);
    const { status, history } = makeFleetStatus({ ...made, readiness: own, info });
    bus.bus.serve(makeBusApi({ ...made, audit, own: ownGateway, status }), () =>
      this.#serviceFacts(),
    );
    const drained = Promise.withResolvers<void>();
    const listeners = makeListeners(made);
    const refusal = (): string => (this.state === 'ready' ? '' : `the gateway is ${this.state}`);
    this.#reload = makeReload({ ...made, access, listeners, refusal, logLevel });
    this.#ports = parts.network.makeControlPorts({
      ...{ ...made, access, audit, own: ownGateway, readiness, status },
      drained: drained.promise,
    });
    makeGauges({ ...made, isDraining: () => this.state === 'draining' });
    this.#shutdown = new Shutdown({
      ...{ ...made, ...exports, consul, othersDrained: parts.worker?.drained },
      drained: drained.resolve,
      faults: this.#faults,
      shedding: relay.parts.shedding,
      listeners: listeners.all,
      ports: this.#ports,
      started: () => this.#begun,
    });
    this.takeover = { ...made, listeners, shutdown: this.#shutdown, faults: this.#faults };

    this.registry = bus.registry;
    this.#history = history;
    this.#listeners = listeners;
    this.#tokens = liveTokens;
    this.#bus = bus;
    this.#consul = consul;
    this.#readiness = readiness;
    this.orders = bus.orders;
    this.#exports = exports;
    this.#backends = backends;
    this.#shedding = relay.parts.shedding;
  }

  get state(): GatewayState {
    return this.#shutdown.state ?? (this.#started ? 'ready' : 'starting');
  }

  /** Why the gateway should get no new clients; empty when it is ready. Backends and later bus losses don't count. */
  notReady(): string[] {
    const why: string[] = [];
    if (this.state !== 'ready') why.push(this.state);
    const { bus, placement } = this.#bus;
    for (const one of [bus.notReady, placement.elsewhere, this.#tokens?.notReady ?? ''])
      if (one !== '') why.push(one);
    return why;
  }

  /** It could serve newcomers, who should go elsewhere for now; so it is no fault that it is not ready. */
  get sendsElsewhere(): boolean {
    const { bus, placement } = this.#bus;
    return this.state === 'ready' && bus.notReady === '' && placement.elsewhere !== '';
  }

  /** Connections of clients, those that are no sessions yet included. */
  get clients(): number {
    return this.#listeners.connections();
  }

  /** Sessions that the drain closed because its budget was over; null: it is not that far. */
  get forced(): number | null {
    return this.#shutdown.forced;
  }

  /** @param level null: that of the configuration. @param lastsMs 0: until it is changed again. */
  setLogLevel(level: LogLevel | null, lastsMs: number): void {
    this.#logLevel.set(level, lastsMs);
  }

  /** The process of another gateway has ended. */
  tellLost(gateway: string, sessions: number): void {
    this.#bus.nats?.bus.watch.gone(gateway, sessions);
  }

  info(): Info {
    return {
      ...{ gateway: this.id, version: this.#parts.version, state: this.state },
      ...{ sessions: this.registry.size, bus: this.#bus.bus.name },
      backends: this.#backends.info(),
      uptimeMs: this.#parts.clock.now() - this.#startedAt,
      maintenance: this.orders.maintenance.isOn,
      ...{ logLevel: this.#logLevel.level, logLevelUntilWall: this.#logLevel.untilWall },
    };
  }

  #serviceFacts(): ServiceFacts {
    const { version } = this.#parts;
    return { version, metadata: { state: this.state, sessions: String(this.registry.size) } };
  }

  /** Where everything listens, with the real ports. */
  get addresses(): Facts {
    return {
      clients: this.#listeners.all.map((listener) => listener.url),
      ...{ controlPort: this.#ports.control.port, adminPort: this.#ports.admin.port },
      pages: pageUrls(this.#parts.config.admin, this.#ports.admin.port),
      healthPort: this.#ports.health.port,
    };
  }

  /** Reads the certificates again; files that changed are found without it, a little later. */
  reloadCertificates(): void {
    for (const listener of this.#listeners.all) listener.reloadCertificate();
    for (const port of [this.#ports.control, this.#ports.admin]) port.reloadCertificate();
  }

  /** Reads the configuration again, and applies it if all that has changed can be. @param why For the log. */
  reload(why: string): Promise<ReloadOutcome> {
    return this.#reload.run(why);
  }

  // ---- start and stop -----------------------------------------------------------------------------------

  /** Connects, then listens; clients' ports last. Rejects when a port cannot be bound. */
  async start(): Promise<void> {
    this.#startedAt = this.#parts.clock.now();
    this.#begun = this.#begin();
    await this.#begun;
  }

  async #begin(): Promise<void> {
    const { config, log, successor } = this.#parts;
    this.#parts.processUse?.lag.start();
    this.#parts.processUse?.gc.start();
    const { tracing, otlpMetrics } = this.#exports;
    await Promise.all([tracing?.start(), otlpMetrics?.start()]);
    this.orders.setFile(await readBlocksFile(config.blocks.file, this.#parts.clock));
    this.#bus.bus.start();
    const { nats } = this.#bus;
    if (nats !== null) {
      const { connector, requests, report } = nats;
      for (const one of new Set([connector, requests])) one.start();
      if (!successor) await this.#unlessStopped(BUS_WAIT_MS, this.#bus.bus.ready);
      if (!successor && this.state === 'starting' && !connector.up) report.unreachable();
    }
    const tokens = this.#tokens?.start();
    await this.#unlessStopped(BACKENDS_WAIT_MS, Promise.all([this.#backends.start(), tokens]));
    await successor?.from.goOn(makeTakeOver(this.takeover));
    for (const listen of makeListenSteps(config, this.#ports, this.#listeners.all)) {
      if (this.state !== 'starting') return;
      await listen();
    }
    if (this.state !== 'starting') return;
    const { control, admin } = this.#ports;
    makeCertificateGauges(this.metrics, this.#listeners.all, { control, admin });
    this.#started = true;
    this.#shedding.start();
    this.#history.start();
    this.#bus.placement.start(() => {
      this.#ports.control.setServing(true, this.#bus.placement.elsewhere === '');
    });
    if (successor === undefined) this.#bus.bus.tell('ready');
    else this.#bus.gate?.setReady(true);
    this.#ports.control.setServing(true);
    this.#consul?.start(this.addresses, this.#readiness);
    const { clients, ...others } = this.addresses;
    const notReady = this.notReady();
    const why = notReady.length > 0 && { notReady };
    log.info(
      { gateway: this.id, clients, ...others, bus: this.#bus.bus.name, ...why },
      'listening',
    );
    if (notReady.length > 0) inBackground(this.#tellReady(), this.#faults.onFault);
  }

  /** Waits for `work`, for `ms` at most, and no longer than until somebody wants the gateway to stop. */
  async #unlessStopped(ms: number, work: Promise<unknown>): Promise<void> {
    await within(this.#parts.clock, ms, Promise.race([work, this.#shutdown.asked]), undefined);
  }

  async #tellReady(): Promise<void> {
    await Promise.all([this.#bus.bus.ready, this.#tokens?.ready]);
    if (this.state === 'ready') this.#parts.log.info({ gateway: this.id }, 'ready');
  }

  /** Stops in an orderly way, once. @param hurry Says that it should end now; whoever asks may say so. */
  drain(hurry: () => boolean = () => false, options: DrainOptions = {}): Promise<Drained> {
    return this.#shutdown.run(hurry, options);
  }

  /** Settles when the gateway has stopped, whoever asked it to. */
  stopped(): Promise<Drained> {
    return this.#shutdown.ended();
  }

  /** Background work of the gateway has failed. It is counted and logged, and the gateway carries on. */
  onFault(error: unknown): void {
    this.#faults.onFault(error);
  }
}
