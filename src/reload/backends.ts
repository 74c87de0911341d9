/** The backends that the configuration names, and what becomes of them when it changes. */
import { isDeepStrictEqual } from 'node:util';

import { inBackground } from '../background.ts';
import { type Clock, sleep, within } from '../clock.ts';
import { ruleOf } from '../config/rules.ts';
import type { Config } from '../config/schema.ts';
import type { BackendConfig } from '../config/schema-backends.ts';
import type { Info } from '../control/gateway-methods.ts';
import { Breaker } from '../relay/breaker.ts';
import type { Relay } from '../relay/relay.ts';
import { RouteTable } from '../routing/route-table.ts';
import type { Registry } from '../session/registry.ts';
import type { Log } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { DialInUpstream } from '../upstream/dial-in/dial-in-upstream.ts';
import type { Upstream, UpstreamInfo } from '../upstream/upstream.ts';

/** How long backends may take to end their links when the gateway stops, or does without them. */
const CLOSE_MS = 2_000;
/** How long the first try of a backend is waited for; each bounds its own, and a name server may not answer. */
const START_MS = 5_000;
/** How often a backend that is no longer named is looked at: it closes once nothing is in flight there. */
const RETIRE_LOOK_MS = 100;
/** And after so long whatever is in flight. */
const RETIRE_MS_MAX = 60_000;

export type BackendsParts = {
  readonly config: Config;
  readonly relay: Relay;
  readonly registry: Pick<Registry, 'all'>;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
  /** @throws {Error} when a file that it needs cannot be used. */
  readonly makeUpstream: (name: string, backend: BackendConfig) => Upstream;
  /** What the files hold that the backend names, in any form. @throws {Error} when a certificate cannot be read. */
  readonly readFiles: (name: string, backend: BackendConfig) => string;
};

/** Where the handshake asks, if it asks anyone: kept up to date. */
export type AskedBackend = { upstream: Upstream; ordinal: number };

type Backend = {
  readonly name: string;
  readonly config: BackendConfig;
  /** As they were when it was made. */
  readonly files: string;
  readonly upstream: Upstream;
  /** Of the relay. */
  readonly ordinal: number;
};

/** Made, and not in use yet. */
type Made = Omit<Backend, 'ordinal'>;

export class Backends {
  readonly #parts: BackendsParts;
  #current = new Map<string, Backend>();
  /** By ordinal; those that are no longer named are closed, or will be. */
  readonly #all: Backend[] = [];
  readonly #retiring = new Set<Upstream>();
  #asked: AskedBackend | null = null;

  /** Makes all that the configuration names. @throws {Error} when a file that one needs cannot be used. */
  constructor(parts: BackendsParts) {
    this.#parts = parts;
    const { config } = parts;
    this.#use(config, this.#make(config));
    parts.metrics.watchAll('pith_backend_addresses', () => this.#addressStates());
    parts.metrics.watchAll('pith_link_credit', () => this.#credits());
    const { mode, backend } = config.auth;
    if (mode === 'connect' || (mode === 'jwt' && backend !== ''))
      this.#asked = { ...this.#current.get(backend)! };
  }

  /** null: nobody is asked. The object stays; what it holds may change. */
  get asked(): Readonly<AskedBackend> | null {
    return this.#asked;
  }

  /** By the order of the configuration. */
  get upstreams(): Upstream[] {
    return [...this.#current.values()].map(({ upstream }) => upstream);
  }

  get dialIn(): DialInUpstream[] {
    return this.upstreams.filter((upstream): upstream is DialInUpstream => 'attach' in upstream);
  }

  /** How many addresses of each backend are in which state, for the metrics. */
  *#addressStates(): Generator<readonly [labels: string[], value: number]> {
    for (const { name, upstream } of this.#current.values()) {
      const counts = new Map<string, number>();
      for (const { state } of upstream.info().each?.() ?? [])
        counts.set(state, (counts.get(state) ?? 0) + 1);
      for (const [state, count] of counts) yield [[name, state], count];
    }
  }

  /** Of backends that limit what their Links are sent. */
  *#credits(): Generator<readonly [labels: string[], value: number]> {
    for (const { name, upstream } of this.#current.values()) {
      const limited = (upstream.info().each?.() ?? [])
        .map(({ credit = Infinity }) => credit)
        .filter(Number.isFinite);
      if (limited.length > 0) yield [[name], limited.reduce((sum, credit) => sum + credit, 0)];
    }
  }

  info(): Info['backends'] {
    const { admission } = this.#parts.relay.parts;
    return this.facts().map((facts) => ({ ...facts, inFlight: admission.inFlight(facts.ordinal) }));
  }

  /** By name, those that the configuration names now. */
  backends(): ReadonlyMap<string, AskedBackend> {
    return this.#current;
  }

  /** Of those that the configuration names now. */
  facts(): (UpstreamInfo & Pick<Backend, 'name' | 'ordinal'>)[] {
    return [...this.#current.values()].map(({ name, upstream, ordinal }) => ({
      ...{ name, ordinal },
      ...upstream.info(),
    }));
  }

  /** Resolves when all are as ready as they can be now. Never rejects. */
  async start(): Promise<void> {
    await Promise.all(this.upstreams.map((upstream) => upstream.start()));
  }

  /**
   * Goes over to the backends and routes of another configuration. Backends whose settings and files are the same stay
   * as they are, with their connections. New ones are started first; those that are gone, or have changed, get nothing more,
   * and close when what they have is answered.
   *
   * @param whenReady Called in the turn in which it comes into effect.
   * @returns The names of those that were made.
   * @throws {Error} when a file that one needs cannot be used; then nothing has changed.
   */
  async replace(config: Config, whenReady: () => void): Promise<string[]> {
    const made = this.#make(config);
    const started = Promise.all(made.map(({ upstream }) => upstream.start()));
    await within(this.#parts.clock, START_MS, started, undefined);
    const before = this.#current;
    this.#use(config, made);
    whenReady();
    for (const backend of before.values()) {
      const next = this.#current.get(backend.name);
      if (next === backend) continue;
      if (next !== undefined) this.#succeed(backend, next);
      this.#retire(backend);
    }
    return made.map(({ name }) => name);
  }

  /** Ends them all. Bounded in time. */
  async close(): Promise<void> {
    const all = [...this.upstreams, ...this.#retiring];
    await Promise.all(all.map((upstream) => upstream.close(CLOSE_MS)));
  }

  /** Those that are not there yet. */
  #make(config: Config): Made[] {
    const { makeUpstream, readFiles } = this.#parts;
    const made: Made[] = [];
    try {
      for (const [name, backend] of Object.entries(config.backends)) {
        const files = readFiles(name, backend);
        const known = this.#current.get(name);
        if (known?.files === files && isDeepStrictEqual(known.config, backend)) continue;
        made.push({ name, config: backend, files, upstream: makeUpstream(name, backend) });
      }
      return made;
    } catch (error) {
      for (const { upstream } of made) inBackground(upstream.close(0), () => {});
      throw error;
    }
  }

  #use(config: Config, made: readonly Made[]): void {
    const { relay, metrics } = this.#parts;
    const { admission } = relay.parts;
    const fresh = new Map(made.map((one) => [one.name, this.#add(one)]));
    const gone = [...this.#current.keys()].filter((name) => !(name in config.backends));
    this.#current = new Map(
      Object.keys(config.backends).map((name) => [
        name,
        fresh.get(name) ?? this.#current.get(name)!,
      ]),
    );
    for (const name of gone) {
      metrics.unwatch('pith_requests_in_flight', [name]);
      metrics.unwatch('pith_backend_healthy_addresses', [name]);
      metrics.unwatch('pith_backend_breaker_open', [name]);
    }
    for (const { name, ordinal, upstream } of fresh.values()) {
      metrics.watch('pith_requests_in_flight', [name], () => admission.inFlight(ordinal));
      metrics.watch('pith_backend_healthy_addresses', [name], () => upstream.info().healthy);
      metrics.watch('pith_backend_breaker_open', [name], () =>
        relay.breakers[ordinal]?.isOpen ? 1 : 0,
      );
    }
    // A name stands for one backend at a time; the ordinals of others stay theirs.
    const names = this.#all.map((one) => (this.#current.get(one.name) === one ? one.name : ''));
    relay.table = new RouteTable(config.routes.map(ruleOf), names, config.limits.route);
    const asked = this.#current.get(config.auth.backend);
    if (this.#asked !== null && asked !== undefined) Object.assign(this.#asked, asked);
  }

  #add(made: Made): Backend {
    const ordinal = this.#parts.relay.addBackend({ ...made, breaker: breakerOf(made.config) });
    const backend = { ...made, ordinal };
    this.#all.push(backend);
    return backend;
  }

  /** What a session sends from now on waits until the one before has answered what it has of that session. */
  #succeed(before: Backend, next: Backend): void {
    for (const session of this.#parts.registry.all()) {
      const lane = session.lanes[before.ordinal];
      if (lane !== undefined && !lane.isQuiet) session.lane(next.ordinal).follow(lane);
    }
  }

  #retire({ name, upstream, ordinal }: Backend): void {
    this.#retiring.add(upstream);
    const { clock, log, relay } = this.#parts;
    const { admission } = relay.parts;
    const retire = async (): Promise<void> => {
      const until = clock.now() + RETIRE_MS_MAX;
      while (admission.inFlight(ordinal) > 0 && clock.now() < until)
        await sleep(clock, RETIRE_LOOK_MS);
      await upstream.close(CLOSE_MS);
      this.#retiring.delete(upstream);
    };
    inBackground(retire(), (error: unknown) => {
      log.error({ err: error, backend: name }, 'a backend could not be closed');
    });
  }
}

function breakerOf(backend: BackendConfig): Breaker | null {
  if (!('breaker' in backend) || backend.breaker.failures === 0) return null;
  return new Breaker({ failures: backend.breaker.failures, openMs: backend.breaker.open });
}
