/**
 * All ways to one backend: as many as `links` says to each address that its name has now. They come and go with
 * the addresses, and are replaced when they are old.
 */
import { inBackground } from '../../background.ts';
import { within } from '../../clock.ts';
import { errorText } from '../../errors.ts';
import { Addresses } from './addresses.ts';
import { type Resolver, resolverOf } from './resolver.ts';
import { Rebalance } from './rebalance.ts';
import { Endpoint } from './endpoint.ts';
import type { EndpointEvents, EndpointOptions } from './endpoint-parts.ts';

/** How long the gateway waits at its start for the first attempts, before it listens. */
const FIRST_ATTEMPT_MS = 2_000;
/** How long a backend may take to end a link that was left, and on which nothing is in flight. */
const RETIRE_MS = 5_000;
/** How long after its replacement could not be opened an old link is replaced again. */
const REPLACE_AGAIN_MS = 5_000;

export type EndpointPoolOptions = Omit<
  EndpointOptions,
  'address' | 'authority' | 'index' | 'weight'
> & {
  /** `backends.<name>.grpc` */
  readonly url: string;
  /** Absent: as the URL says. */
  readonly resolver?: Resolver;
  /** Endpoints of each address. */
  readonly links: number;
  /** By host:port; 1 for those that are not named. */
  readonly weights: Readonly<Record<string, number>>;
  /** False: sessions stay where they are when ways come. */
  readonly spreads: boolean;
};

export type EndpointPoolEvents = Omit<EndpointEvents, 'onState' | 'onFaulty' | 'onOld'> & {
  onState(address: string, state: string, why: string): void;
};

export class EndpointPool {
  /** In the order of the addresses: the first way of each, then the second of each. */
  list: readonly Endpoint[] = [];
  /** Another whenever the best way for a key may be another. */
  epoch = 0;
  /** No Link anywhere, or not everywhere. */
  someHandle = false;
  readonly #options: EndpointPoolOptions;
  readonly #events: EndpointPoolEvents;
  readonly #wayEvents: EndpointEvents;
  readonly #resolver: Resolver;
  readonly #names: Addresses;
  readonly #spread: Rebalance;
  /** Left, or to come: no session gets them. */
  readonly #aside = new Set<Endpoint>();
  /** Endpoints whose successor is being opened. */
  readonly #replacing = new Set<Endpoint>();
  #closed = false;

  constructor(options: EndpointPoolOptions, events: EndpointPoolEvents) {
    this.#options = options;
    this.#events = events;
    this.#wayEvents = this.#makeWayEvents();
    this.#resolver = options.resolver ?? resolverOf(options.url);
    this.#names = new Addresses(this.#resolver, options.wheel, {
      onAddresses: (addresses) => {
        this.#adopt(addresses);
      },
      onState: (state, why) => {
        events.onState(options.url, state, why);
      },
    });
    this.#spread = new Rebalance(() => this.list, options.wheel);
  }

  /** Resolves when each first attempt has ended, or taken too long. */
  async start(): Promise<void> {
    const tried = this.#names.look().then(() => Promise.all(this.list.map((way) => way.settled)));
    await within<unknown>(this.#options.clock, FIRST_ATTEMPT_MS, tried, []);
  }

  /** Different addresses, and how many of them serve. */
  count(): { addresses: number; healthy: number } {
    const names = (ways: readonly Endpoint[]): number => new Set(ways.map(({ name }) => name)).size;
    return {
      addresses: names(this.list),
      healthy: names(this.list.filter((way) => way.serves && way.isWell)),
    };
  }

  async close(ms: number): Promise<void> {
    this.#closed = true;
    this.#names.stop();
    this.#spread.stop();
    const all = [...this.list, ...this.#aside];
    const ended = Promise.all(all.map((way) => way.close('the gateway is stopping')));
    await within(this.#options.clock, ms, ended, []);
    for (const way of all) way.destroy();
  }

  // ---- addresses ----------------------------------------------------------------------------------------

  /** Work on the ways that ended before it was done. */
  readonly #failed = (error: unknown): void => {
    this.#events.onState(this.#options.url, 'failed', errorText(error));
  };

  #adopt(names: readonly string[]): void {
    if (this.#closed) return;
    const gone = this.list.filter(({ name }) => !names.includes(name));
    const list: Endpoint[] = [];
    for (let index = 0; index < this.#options.links; index++) {
      for (const address of names) {
        const known = this.list.find((way) => way.name === address && way.index === index);
        if (known !== undefined) known.weight = this.#weightOf(address);
        list.push(known ?? this.#open(address, index));
      }
    }
    this.list = list;
    for (const way of gone) inBackground(this.#retire(way, null, 'no longer listed'), this.#failed);
    this.#changed();
  }

  /** As configured, else as the resolver has it. */
  #weightOf(address: string): number {
    const configured = this.#options.weights[address.replace(/^ipv[46]:/, '')];
    return configured ?? this.#resolver.weights?.().get(address) ?? 1;
  }

  #open(address: string, index: number): Endpoint {
    const weight = this.#weightOf(address);
    const { authority } = this.#resolver;
    return new Endpoint({ ...this.#options, address, authority, index, weight }, this.#wayEvents);
  }

  /** What is in flight there is still answered, and then its backend is asked to end it. */
  async #retire(way: Endpoint, heir: Endpoint | null, why: string): Promise<void> {
    this.#aside.add(way);
    await way.idle(heir);
    await within(this.#options.clock, RETIRE_MS, way.close(why), undefined);
    way.destroy();
    this.#aside.delete(way);
  }

  /**
   * The new one is open before the old one is left. Where there will be none, a server that goes is left all the
   * same, so that it may: its sessions go to other addresses, or wait for it to come back.
   */
  async #replace(old: Endpoint): Promise<void> {
    if (this.#replacing.has(old) || !this.list.includes(old)) return;
    this.#replacing.add(old);
    const next = this.#open(old.name, old.index);
    this.#aside.add(next);
    await next.settled;
    this.#aside.delete(next);
    this.#replacing.delete(old);
    if (this.#closed || !next.serves || !this.list.includes(old)) {
      next.destroy();
      if (old.isGoing) old.leave();
      else old.oldAgainIn(REPLACE_AGAIN_MS);
      return;
    }
    this.list = this.list.map((way) => (way === old ? next : way));
    next.sessions.owed = old.sessions.owed;
    old.sessions.handOver(next.sessions);
    this.#changed();
    await this.#retire(old, next, 'replaced by a new link');
  }

  #makeWayEvents(): EndpointEvents {
    return {
      ...this.#events,
      onState: (way, why) => {
        // Each attempt fails for the same reason, mostly.
        const said = `${way.condition} ${why}`;
        if (said !== way.told) this.#events.onState(way.name, way.condition, why);
        way.told = said;
        if (way.state === 'away') this.#names.soon();
        this.#changed();
      },
      onFaulty: (way) => {
        if (this.list.some((other) => other !== way && other.isWell)) way.eject();
      },
      onOld: (way) => {
        inBackground(this.#replace(way), this.#failed);
      },
    };
  }

  #changed(): void {
    this.epoch++;
    this.someHandle = this.list.some((way) => way.state === 'handle');
    if (this.#options.spreads && !this.#closed) this.#spread.begin();
  }
}
