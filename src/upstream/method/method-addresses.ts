/** The addresses of a backend in method mode, and which of them a session goes to. */
import { inBackground } from '../../background.ts';
import { within } from '../../clock.ts';
import { errorText } from '../../errors.ts';
import { instanceFor } from '../../routing/route-table.ts';
import type { Session } from '../../session/session.ts';
import { Balancer, type Policy } from '../pool/balancer.ts';
import { Addresses } from '../pool/addresses.ts';
import type { PooledSession } from '../pool/pooled-session.ts';
import { type Resolver, resolverOf } from '../pool/resolver.ts';
import {
  MethodAddress,
  type MethodAddressEvents,
  type MethodAddressOptions,
} from './method-address.ts';

/** How long an address that is no longer listed may take to answer what it has. */
const RETIRE_MS = 30_000;

export type MethodAddressesOptions = Omit<
  MethodAddressOptions,
  'address' | 'authority' | 'weight'
> & {
  readonly url: string;
  readonly balance: Policy;
  /** With balance hash: uid, or data.<key>. */
  readonly hashBy: string;
  /** By host:port; 1 for those that are not named. */
  readonly weights: Readonly<Record<string, number>>;
};

/** state: serving, away, unhealthy, ejected, unresolved. */
export type OnState = (address: string, state: string, why: string) => void;

export class MethodAddresses {
  readonly #options: MethodAddressesOptions;
  readonly #onState: OnState;
  readonly #events: MethodAddressEvents;
  readonly #resolver: Resolver;
  readonly #names: Addresses;
  readonly #balancer: Balancer;
  /** null: a session keeps to its address while that is there. */
  readonly #key: readonly { readonly field: string }[] | null;
  #addresses: readonly MethodAddress[] = [];
  #closed = false;

  constructor(options: MethodAddressesOptions, onState: OnState) {
    this.#options = options;
    this.#onState = onState;
    this.#events = {
      onState: (address, why) => {
        onState(address.label, address.condition, why);
        if (!address.serves) this.#names.soon();
      },
      onFaulty: (address) => {
        if (this.#addresses.some((other) => other !== address && other.isWell)) address.eject();
      },
    };
    this.#resolver = resolverOf(options.url);
    this.#names = new Addresses(this.#resolver, options.wheel, {
      onAddresses: (addresses) => {
        this.#adopt(addresses);
      },
      onState: (state, why) => {
        onState(options.url, state, why);
      },
    });
    this.#balancer = new Balancer(options.balance);
    this.#key = options.balance === 'hash' ? [{ field: options.hashBy }] : null;
  }

  count(): { addresses: number; healthy: number } {
    const healthy = this.#addresses.filter((address) => address.isWell).length;
    return { addresses: this.#addresses.length, healthy };
  }

  /** Any that is there; null: none is. */
  get any(): MethodAddress | null {
    return this.#addresses.find(({ serves }) => serves) ?? null;
  }

  /** Resolves when the first attempt at each has ended, either way. Never rejects. */
  async start(): Promise<void> {
    await this.#names.look();
    await Promise.all(this.#addresses.map(({ settled }) => settled));
  }

  /** One message of a session is in flight at a time, so it may move at any; null: there is nobody. */
  of(peer: PooledSession<MethodAddress>, session: Session): MethodAddress | null {
    const place = peer.endpoint;
    if (place !== null && place.isOpen && this.#key === null) return place;
    const key = this.#key === null ? '' : instanceFor(this.#key, session) || session.sid;
    const next = this.#balancer.pick(this.#addresses, key);
    // A notify may outlive its session, which nobody will forget a second time.
    if (next === place || session.state === 'closed') return next;
    this.forget(peer);
    peer.endpoint = next;
    if (next !== null) next.sessions.size++;
    return next;
  }

  /** The session has ended, or goes elsewhere. */
  forget(peer: PooledSession<MethodAddress>): void {
    const place = peer.endpoint;
    peer.endpoint = null;
    if (place !== null) place.sessions.size--;
  }

  async close(ms: number): Promise<void> {
    this.#closed = true;
    this.#names.stop();
    const idle = Promise.all(this.#addresses.map((address) => address.retire()));
    await within(this.#options.clock, ms, idle, []);
    for (const address of this.#addresses) address.close();
  }

  /** Work on the addresses that ended before it was done. */
  readonly #failed = (error: unknown): void => {
    this.#onState(this.#options.url, 'failed', errorText(error));
  };

  #adopt(names: readonly string[]): void {
    if (this.#closed) return;
    const gone = this.#addresses.filter(({ label }) => !names.includes(label));
    this.#addresses = names.map(
      (name) => this.#addresses.find(({ label }) => label === name) ?? this.#open(name),
    );
    for (const address of gone) inBackground(this.#retire(address), this.#failed);
  }

  async #retire(address: MethodAddress): Promise<void> {
    await within(this.#options.clock, RETIRE_MS, address.retire(), undefined);
    address.close();
  }

  #open(address: string): MethodAddress {
    const weight = this.#options.weights[address.replace(/^ipv[46]:/, '')] ?? 1;
    const { authority } = this.#resolver;
    return new MethodAddress({ ...this.#options, address, authority, weight }, this.#events);
  }
}
