/**
 * The orderly stop of a gateway: not ready, no new clients, what is in flight is answered, sessions are closed at the
 * configured pace, then backends, bus and control. It happens once, whoever asks for it.
 */
import { inBackground } from './background.ts';
import type { Bus } from './bus/bus.ts';
import { type Clock, within } from './clock.ts';
import type { DrainProgress } from './control/gateway-methods.ts';
import type { Consul } from './discovery/consul.ts';
import type { Faults } from './faults.ts';
import type { Backends } from './reload/backends.ts';
import type { Placement } from './placement/placement.ts';
import type { Random } from './random.ts';
import type { Live } from './reload/reload.ts';
import { acceptOn, type Drained, drainSessions } from './session/drain.ts';
import type { Registry } from './session/registry.ts';
import type { Log } from './telemetry/log.ts';
import type { Metrics } from './telemetry/metrics.ts';
import type { ProcessUse } from './telemetry/process-use.ts';
import type { OtlpMetrics } from './telemetry/otlp-metrics.ts';
import type { Tracing } from './telemetry/tracing.ts';
import type { TimerWheel } from './timer-wheel.ts';
import type { ClientListener } from './transport/listener.ts';
import type { ControlPorts } from './wiring/control.ts';
import type { MadeTokens } from './wiring/tokens.ts';

/** How long each part of letting go may take; 5 s together, as deploy/README.md has it. */
const CLOSE_MS = { others: 3_000, bus: 1_000, control: 1_000 } as const;
/** The same of what comes before it: the rest of a start, the word to Consul. */
const BEFORE_MS = 5_000;
/** How often an operator hears how a drain goes. */
const PROGRESS_MS = 1_000;

export type DrainOptions = {
  /** Milliseconds; undefined: `drain.budget`. */
  readonly budgetMs?: number | undefined;
  /** For the log; '': none. */
  readonly reason?: string;
};

export type ShutdownParts = {
  readonly live: Live;
  readonly clock: Clock;
  readonly random: Random;
  readonly wheel: TimerWheel;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly faults: Faults;
  readonly registry: Registry;
  readonly bus: Bus;
  readonly fleetWatches: { stop(): void };
  readonly placement: Placement;
  readonly backends: Backends;
  /** Looks at the event loop now and then. */
  readonly shedding: { stop(): void };
  readonly consul: Consul | null;
  readonly tracing: Tracing | null;
  readonly otlpMetrics: OtlpMetrics | null;
  readonly tokens: MadeTokens | null;
  readonly listeners: readonly ClientListener[];
  readonly ports: ControlPorts;
  readonly processUse?: ProcessUse;
  /** The start, which may still be under way; it may reject. */
  readonly started: () => Promise<void>;
  /** Where there are several processes: all have closed their sessions. */
  readonly othersDrained?: Promise<void> | undefined;
  /** Is told once sessions are closed and backends have been told. */
  readonly drained: () => void;
};

export class Shutdown {
  readonly #parts: ShutdownParts;
  /** Of all who have asked for it. */
  readonly #hurries: (() => boolean)[] = [];
  readonly #asked = Promise.withResolvers<void>();
  readonly #sessionsGone = Promise.withResolvers<Drained>();
  /** In an object: who does not wait for the drain is not told that it failed. */
  readonly #begun = Promise.withResolvers<{ readonly drain: Promise<Drained> }>();
  #drain: Promise<Drained> | null = null;
  readonly #left = Promise.withResolvers<Drained>();
  #state: 'draining' | 'stopped' | null = null;
  #forced: number | null = null;

  constructor(parts: ShutdownParts) {
    this.#parts = parts;
  }

  /** null: nobody has asked for it. */
  get state(): 'draining' | 'stopped' | null {
    return this.#state;
  }

  /** Sessions that were closed because the budget was over; null: not all are closed yet. */
  get forced(): number | null {
    return this.#forced;
  }

  /** Resolves when it is asked for: a start that is under way should end. */
  get asked(): Promise<void> {
    return this.#asked.promise;
  }

  /** Begins; who asks again waits for the same. @param hurry Says that it should end now. */
  run(hurry: () => boolean, options: DrainOptions): Promise<Drained> {
    this.#hurries.push(hurry);
    this.#drain ??= this.#run(options);
    this.#begun.resolve({ drain: this.#drain });
    return this.#drain;
  }

  /** Another process is this gateway from now on: here nothing drains any more, and no end is told. */
  handOver(): void {
    const { listeners, placement, shedding } = this.#parts;
    this.#drain = this.#left.promise;
    this.#begun.resolve({ drain: this.#drain });
    this.#state = 'stopped';
    placement.stop();
    shedding.stop();
    for (const listener of listeners) listener.close();
  }

  /** After that: lets go of the rest. Never rejects. */
  async leave(): Promise<void> {
    const { backends, faults, ports, tracing, otlpMetrics } = this.#parts;
    this.#parts.fleetWatches.stop();
    this.#parts.tokens?.live.stop();
    this.#parts.drained();
    await Promise.all([
      faults.step('traces', CLOSE_MS.others, async () => tracing?.stop()),
      faults.step('metrics', CLOSE_MS.others, async () => otlpMetrics?.stop()),
      faults.step('backends', CLOSE_MS.others, () => backends.close()),
      faults.step('control', CLOSE_MS.control, () =>
        Promise.all([ports.control.close(), ports.admin.close(), ports.health.close()]),
      ),
    ]);
    this.#left.resolve({ closed: 0, forced: 0 });
  }

  /** Settles when the gateway has stopped, whoever asked it to. */
  async ended(): Promise<Drained> {
    const { drain } = await this.#begun.promise;
    return drain;
  }

  /** Begins it for an operator, who hears each second how it goes, until no session is left. */
  async *follow(options: DrainOptions): AsyncGenerator<DrainProgress> {
    const { clock, registry } = this.#parts;
    const gone = this.#sessionsGone.promise;
    // Whoever waits for the end hears of a fault.
    inBackground(
      this.run(() => false, options),
      () => {},
    );
    for (let drained: Drained | null = null; ;) {
      yield { state: 'draining', remaining: registry.size, forced: 0 };
      drained = await within<Drained | null>(clock, PROGRESS_MS, gone, null);
      if (drained === null) continue;
      yield { state: 'drained', remaining: 0, forced: drained.forced };
      return;
    }
  }

  async #run({ budgetMs, reason = '' }: DrainOptions): Promise<Drained> {
    const { live, clock, log, faults, registry, bus, placement, consul, listeners, ports } =
      this.#parts;
    const { drain: settings } = live.config;
    const hurry = (): boolean => this.#hurries.some((asked) => asked());
    this.#state = 'draining';
    this.#asked.resolve();
    // A failed start is reported to whoever started it.
    await faults.step('start', BEFORE_MS, () => this.#parts.started().catch(() => {}));
    ports.control.setServing(false);
    placement.stop();
    bus.tell('draining');
    log.info({ sessions: registry.size, ...(reason !== '' && { reason }) }, 'draining');
    await faults.step('discovery', BEFORE_MS, async () => consul?.maintain());
    await acceptOn(clock, settings.accept_for, hurry);
    for (const listener of listeners) listener.stopAccepting();
    const {
      budget,
      per_second: perSecond,
      signal,
      hint_route: route,
      hint_lead: leadMs,
    } = settings;
    const drained = await drainSessions(
      this.#parts,
      { budgetMs: budgetMs ?? budget, perSecond, signal, hint: { route, leadMs } },
      hurry,
    );
    this.#parts.metrics.add('pith_drain_forced_total', [], drained.forced);
    this.#forced = drained.forced;
    this.#sessionsGone.resolve(drained);
    // Until then the ports of operators answer for all.
    await this.#parts.othersDrained;
    await this.#close();
    log.info(drained, 'stopped');
    return drained;
  }

  /** Releases everything that was started. */
  async #close(): Promise<void> {
    const { faults, registry, bus, backends, consul, tracing, listeners, ports } = this.#parts;
    const { otlpMetrics } = this.#parts;
    for (const session of [...registry.all()]) session.close('drain_forced');
    this.#parts.fleetWatches.stop();
    this.#parts.tokens?.live.stop();
    await Promise.all([
      faults.step('discovery', CLOSE_MS.others, async () => consul?.close()),
      faults.step('traces', CLOSE_MS.others, async () => tracing?.stop()),
      faults.step('metrics', CLOSE_MS.others, async () => otlpMetrics?.stop()),
      faults.step('backends', CLOSE_MS.others, () => backends.close()),
    ]);
    this.#parts.drained();
    for (const listener of listeners) listener.close();
    bus.tell('stopped');
    await faults.step('bus', CLOSE_MS.bus, () => bus.close());
    await faults.step('control', CLOSE_MS.control, () =>
      Promise.all([ports.control.close(), ports.admin.close(), ports.health.close()]),
    );
    this.#parts.shedding.stop();
    this.#parts.processUse?.lag.stop();
    this.#parts.processUse?.gc.stop();
    this.#parts.wheel.stop();
    this.#state = 'stopped';
  }
}
