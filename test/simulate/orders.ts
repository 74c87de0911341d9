/** The order in which messages arrive: of one session at a backend, and of one backend at a client. */
import type { Ask, Client, Way } from './records.ts';
import type { World } from './world.ts';

export class Orders {
  readonly #world: World;
  readonly #mayOvertake: () => boolean;
  /** The order of the last that a client got, by way and connection. */
  readonly #last = new WeakMap<Client, Map<string, number>>();
  /** The last of a session that reached a backend process in order. */
  readonly #lastK = new Map<string, Map<string, number>>();

  /** @param mayOvertake Whether it is a time in which what the bus carries may come in another order. */
  constructor(world: World, mayOvertake: () => boolean) {
    this.#world = world;
    this.#mayOvertake = mayOvertake;
  }

  /** A message of a client has reached a backend, by a way that keeps the order. */
  reached(way: Way, { n, client, k }: Ask): void {
    let last = this.#lastK.get(way.process);
    if (last === undefined) this.#lastK.set(way.process, (last = new Map()));
    const before = last.get(client.name) ?? 0;
    if (k <= before)
      this.#world.violate(
        'a backend sees messages in their order',
        `${n} of ${client.name} at ${way.name}: message ${k} after ${before}`,
      );
    last.set(client.name, k);
  }

  /** Something of a backend has reached a client. @param stamp The way, `!`, and the order. */
  arrived(client: Client, stamp: string): void {
    const mark = stamp.lastIndexOf('!');
    const way = stamp.slice(0, mark);
    const order = Number(stamp.slice(mark + 1));
    let orders = this.#last.get(client);
    if (orders === undefined) this.#last.set(client, (orders = new Map()));
    const before = orders.get(way) ?? 0;
    if (order <= before && !(isByBus(way, client) && this.#mayOvertake()))
      this.#world.violate(
        'what one backend sends arrives in its order',
        `${client.name} got ${order} of ${way} after ${before}`,
      );
    orders.set(way, Math.max(order, before));
  }

  forgetClient({ name }: Client): void {
    for (const last of this.#lastK.values()) last.delete(name);
  }

  forgetProcess(name: string): void {
    this.#lastK.delete(name);
  }
}

/** What the backend sends reaches the client's gateway over the bus: the backend is there, or has a way to another gateway. */
export function isByBus(way: string, { sid }: Client): boolean {
  if (way.includes('/bus')) return true;
  const [, gateway] = /\/(g\d+)(?:#\d+|\/attach)$/.exec(way) ?? [];
  return gateway !== undefined && !sid.startsWith(`${gateway}-`);
}
