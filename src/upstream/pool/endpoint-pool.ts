/**
 * All endpoints of one backend: as many as `links` says for each address that its name has now, or those that have
 * attached. They come and go with the addresses, and are replaced when they are old.
 */
import { inBackground } from '../../background.ts';
import { type Clock, within } from '../../clock.ts';
import { errorText } from '../../errors.ts';
import type { Random } from '../../random.ts';
import type { TimerWheel } from '../../timer-wheel.ts';
import type { BackendReport } from '../backend-report.ts';
import type { AddressStatus, UpstreamInfo } from '../upstream.ts';
import { Addresses } from './addresses.ts';
import { type Policy, rebalances } from './balancer.ts';
import { Endpoint } from './endpoint.ts';
import { Rebalance } from './rebalance.ts';
import type { Resolver } from './resolver.ts';
import type { Transport, TransportOwner } from './transport.ts';

/** How long the gateway waits at its start for the first attempts, before it listens. */
export const FIRST_ATTEMPT_MS = 2_000;
/** How long a backend may take to end a connection that was left, and on which nothing is in flight. */
const RETIRE_MS = 5_000;
/** How long after its replacement could not be opened an old endpoint is replaced again. */
const REPLACE_AGAIN_MS = 5_000;

/** Makes what carries an endpoint's calls. */
export type MakeTransport<T extends Transport> = (owner: TransportOwner) => T;

export type PoolOptions = {
  /** Where the addresses come from, for the log. */
  readonly url: string;
  /** Endpoints of each address. */
  readonly links: number;
  /** By host:port; those that are not named have what the resolver says, or 1. */
  readonly weights: Readonly<Record<string, number>>;
  readonly balance: Policy;
  /** Milliseconds after which an endpoint is to be replaced; 0: never. */
  readonly ageMs: number;
  readonly clock: Clock;
  readonly wheel: TimerWheel;
  readonly random: Random;
};

/** What a pool needs to dial. */
export type Dialling<T extends Transport> = {
  readonly resolver: Resolver;
  readonly makeTransport: MakeTransport<T>;
};

export class EndpointPool<T extends Transport = Transport> {
  /** In the order of the addresses: the first of each, then the second of each. */
  list: readonly Endpoint<T>[] = [];
  /** Another whenever the best endpoint for a key may be another. */
  epoch = 0;
  /** All endpoints keep the order in which they are sent something. */
  keepsOrder = true;
  readonly report: BackendReport;
  readonly wheel: TimerWheel;
  readonly random: Random;
  readonly ageMs: number;
  readonly #options: PoolOptions;
  readonly #addresses: Addresses | null;
  readonly #rebalance: Rebalance;
  /** Left, or to come: no session gets them. */
  readonly #aside = new Set<Endpoint<T>>();
  /** Those whose successor is being opened. */
  readonly #replacing = new Set<Endpoint<T>>();
  #closed = false;

  /** @param dialling null: nothing is dialled, its endpoints attach. */
  constructor(options: PoolOptions, report: BackendReport, dialling: Dialling<T> | null) {
    const { url, wheel } = options;
    this.report = report;
    this.wheel = wheel;
    this.random = options.random;
    this.ageMs = options.ageMs;
    this.#options = options;
    this.#addresses =
      dialling &&
      new Addresses({ url, resolver: dialling.resolver, wheel, report }, (addresses) => {
        this.#adopt(dialling, addresses);
      });
    this.#rebalance = new Rebalance(() => this.list, wheel);
  }

  /** Resolves when each first attempt has ended, or taken too long. */
  async start(): Promise<void> {
    const tried = this.#addresses
      ?.look()
      .then(() => Promise.all(this.list.map(({ settled }) => settled)));
    await within<unknown>(this.#options.clock, FIRST_ATTEMPT_MS, tried ?? Promise.resolve(), null);
  }

  /** An endpoint that has connected on its own, and is removed when it is lost. */
  attach(name: string, makeTransport: MakeTransport<T>): Endpoint<T> {
    const spec = { name, index: 0, weight: 1, isDialled: false, makeTransport };
    const endpoint = new Endpoint(spec, this);
    this.list = [...this.list, endpoint];
    return endpoint;
  }

  /** Different addresses, how many of them serve, and what there is to say of each endpoint. */
  count(): Omit<UpstreamInfo, 'kind'> {
    const names = (of: readonly Endpoint<T>[]): number => new Set(of.map(({ name }) => name)).size;
    const healthy = names(this.list.filter((one) => one.isWell));
    return { addresses: names(this.list), healthy, each: () => this.list.map(statusOf) };
  }

  async close(ms: number, reason: string): Promise<void> {
    this.#closed = true;
    this.#addresses?.stop();
    this.#rebalance.stop();
    const all = [...this.list, ...this.#aside];
    const ended = Promise.all(all.map((endpoint) => endpoint.close(reason)));
    await within<unknown>(this.#options.clock, ms, ended, null);
    for (const endpoint of all) endpoint.destroy();
    this.list = [];
  }

  // ---- what its endpoints say ---------------------------------------------------------------------------

  /** Whether an endpoint serves, or takes new sessions, is otherwise. */
  changed(endpoint: Endpoint<T>): void {
    if (endpoint.condition === 'away') this.#addresses?.soon();
    this.#changed();
  }

  /** The sessions of `endpoint` have somewhere else to go. */
  hasOther(endpoint: Endpoint<T>): boolean {
    return this.list.some((other) => other !== endpoint && other.isWell);
  }

  /** An attached one is lost. */
  remove(endpoint: Endpoint<T>): void {
    this.list = this.list.filter((other) => other !== endpoint);
    this.#changed();
  }

  /** It is as old as it may be. */
  replace(old: Endpoint<T>): void {
    if (this.#replacing.has(old) || !this.list.includes(old)) return;
    this.#inBackground(this.#replace(old));
  }

  // ---- addresses ----------------------------------------------------------------------------------------

  #adopt({ resolver, makeTransport }: Dialling<T>, names: readonly string[]): void {
    if (this.#closed) return;
    const gone = this.list.filter(({ name }) => !names.includes(name));
    const list: Endpoint<T>[] = [];
    for (let index = 0; index < this.#options.links; index++) {
      for (const name of names) {
        const known = this.list.find((one) => one.name === name && one.index === index);
        // As configured, else as the resolver has it.
        const configured = this.#options.weights[name.replace(/^ipv[46]:/, '')];
        const weight = configured ?? resolver.weights?.().get(name) ?? 1;
        if (known !== undefined) known.weight = weight;
        const spec = { name, index, weight, isDialled: true, makeTransport };
        list.push(known ?? new Endpoint(spec, this));
      }
    }
    this.list = list;
    for (const endpoint of gone)
      this.#inBackground(this.#retire(endpoint, null, 'no longer listed'));
    this.#changed();
  }

  /** What is in flight there is still answered, and then its backend is asked to end it. */
  async #retire(endpoint: Endpoint<T>, heir: Endpoint<T> | null, why: string): Promise<void> {
    this.#aside.add(endpoint);
    await endpoint.idle(heir);
    await within(this.#options.clock, RETIRE_MS, endpoint.close(why), undefined);
    endpoint.destroy();
    this.#aside.delete(endpoint);
  }

  /**
   * The new one is open before the old one is left. Where there will be none, a server that goes is left anyway, so
   * that it may: its sessions go to other addresses, or wait for it to come back.
   */
  async #replace(old: Endpoint<T>): Promise<void> {
    this.#replacing.add(old);
    const next = new Endpoint({ ...old.spec, weight: old.weight }, this);
    this.#aside.add(next);
    await next.settled;
    this.#aside.delete(next);
    this.#replacing.delete(old);
    if (this.#closed || !next.serves || !this.list.includes(old)) {
      next.destroy();
      if (old.isConnectionClosing) old.leave();
      else old.retryReplacementIn(REPLACE_AGAIN_MS);
      return;
    }
    this.list = this.list.map((endpoint) => (endpoint === old ? next : endpoint));
    next.sessions.owed = old.sessions.owed;
    old.sessions.handOver(next.sessions);
    this.#changed();
    await this.#retire(old, next, 'replaced by a new link');
  }

  /** Work on the endpoints that ended before it was done is reported. */
  #inBackground(work: Promise<void>): void {
    inBackground(work, (error) => {
      this.report.state(this.#options.url, 'failed', errorText(error));
    });
  }

  #changed(): void {
    this.epoch++;
    this.keepsOrder = this.list.every(({ transport }) => transport.keepsOrder);
    const mayMove = this.list.length > 1 && rebalances(this.#options.balance);
    if (mayMove && !this.#closed) this.#rebalance.begin();
  }
}

/** What operators are told of it. */
function statusOf<T extends Transport>(endpoint: Endpoint<T>): AddressStatus {
  const { name, condition, why, instance, inFlight, sessions, isWell } = endpoint;
  return {
    ...{ address: name, state: condition, why, instance, inFlight },
    ...{ sessions: sessions.size, isHealthy: isWell, credit: endpoint.transport.credit },
  };
}
