/** Who gets a message on one server, of its own clients and by way of other servers. */
import { Interest, type Pattern } from './nats-interest.ts';
import { keyOf, type Route } from './nats-route.ts';
import type { Session } from './nats-session.ts';
import type { Subscription } from './nats-subscription.ts';
import { OP_BYTES, Packet, type RouteOp } from './nats-wire.ts';
import type { SeededRandom } from './random.ts';

type Wanted = { readonly subject: string; readonly queue: string; count: number };

export class Routing {
  readonly #random: SeededRandom;
  /** Those that know what clients of this server want. */
  readonly #routes: ReadonlyMap<string, Route>;
  readonly #interest = new Interest<Subscription>();
  /** What clients of this server want, and how many of them. */
  readonly #wanted = new Map<string, Wanted>();
  /** For the message that is being published. */
  readonly #chosen: Route[] = [];

  constructor(random: SeededRandom, routes: ReadonlyMap<string, Route>) {
    this.#random = random;
    this.#routes = routes;
  }

  /** Subjects that someone here or on another server is subscribed to. */
  get subjects(): number {
    return this.#interest.size;
  }

  // ---- subscriptions ------------------------------------------------------------------------------------

  add(subscription: Subscription): void {
    this.#interest.add(subscription);
    this.#count(subscription, 1);
  }

  remove(subscription: Subscription): void {
    this.#interest.remove(subscription);
    this.#count(subscription, -1);
  }

  addRemote(subscription: Subscription): void {
    this.#interest.add(subscription);
  }

  removeRemote(subscription: Subscription): void {
    this.#interest.remove(subscription);
  }

  /** Other servers hear of the first and the last for a subject, and of every member of a queue group. */
  #count({ subject, queue }: Subscription, by: 1 | -1): void {
    const key = keyOf(subject, queue);
    const wanted = this.#wanted.get(key) ?? { subject, queue, count: 0 };
    wanted.count += by;
    if (wanted.count === 0) this.#wanted.delete(key);
    else this.#wanted.set(key, wanted);
    if (queue === '' && wanted.count !== (by === 1 ? 1 : 0)) return;
    const op: RouteOp = { kind: 'interest', subject, queue, weight: wanted.count };
    for (const route of this.#routes.values()) route.add(op, OP_BYTES);
  }

  /** A new connection to another server: it is told everything. */
  tell(route: Route): void {
    for (const { subject, queue, count } of this.#wanted.values())
      route.add({ kind: 'interest', subject, queue, weight: count }, OP_BYTES);
  }

  /** A plain subscription of this client to `subject`. */
  plainOf(subject: string, session: Session): Subscription | null {
    for (const { plain } of this.#interest.match(subject))
      for (const one of plain) if (one.session === session) return one;
    return null;
  }

  // ---- messages -----------------------------------------------------------------------------------------

  /** False: there is no one for it, here or on another server. */
  publish(packet: Packet, from: Session): boolean {
    const patterns = this.#interest.match(packet.subject);
    let isDelivered = false;
    for (const { plain } of patterns) {
      for (const one of plain) {
        if (one.route !== null) this.#choose(one.route, '');
        else if (one.session!.deliver(one, packet, from)) isDelivered = true;
      }
    }
    for (const [queue, members] of queuesOf(patterns))
      if (this.#toMember(members, queue, packet, from)) isDelivered = true;
    return this.#forward(packet) || isDelivered;
  }

  /** From another server: it goes no further, except when the last local member of a group has just gone. */
  publishRouted(packet: Packet, queues: readonly string[]): void {
    const patterns = this.#interest.match(packet.subject);
    for (const { plain } of patterns)
      for (const one of plain) one.session?.deliver(one, packet, null);
    if (queues.length === 0) return;
    for (const [queue, members] of queuesOf(patterns)) {
      if (!queues.includes(queue)) continue;
      const local = members.filter((one) => one.session !== null);
      if (this.#toMember(local, queue, packet, null)) continue;
      const remote = members.find((one) => one.route !== null);
      if (remote !== undefined) this.#choose(remote.route!, queue);
    }
    this.#forward(packet);
  }

  /** One member of a group, by chance and by weight; those that do not take it are passed over. */
  #toMember(
    members: readonly Subscription[],
    queue: string,
    packet: Packet,
    from: Session | null,
  ): boolean {
    const { length } = members;
    const first = length > 1 ? this.#pick(members) : 0;
    for (let i = 0; i < length; i++) {
      const one = members[(first + i) % length]!;
      if (one.route !== null) {
        this.#choose(one.route, queue);
        return false;
      }
      if (one.session!.deliver(one, packet, from)) return true;
    }
    return false;
  }

  #pick(members: readonly Subscription[]): number {
    let total = 0;
    for (const { weight } of members) total += weight;
    let n = this.#random.int(0, total - 1);
    for (let i = 0; i < members.length; i++) {
      n -= members[i]!.weight;
      if (n < 0) return i;
    }
    return 0;
  }

  #choose(route: Route, queue: string): void {
    if (!route.isChosen) this.#chosen.push(route);
    route.choose(queue);
  }

  #forward(packet: Packet): boolean {
    if (this.#chosen.length === 0) return false;
    for (const route of this.#chosen) route.forward(packet);
    this.#chosen.length = 0;
    return true;
  }
}

/** What the publisher of a request gets at once if no one is there for it. */
export function noResponders({ subject, reply }: Packet): Packet {
  const block = Buffer.from(`NATS/1.0 503\r\nNats-Subject: ${subject}\r\n\r\n`);
  return new Packet(reply, '', block.length, block);
}

const NO_QUEUES: ReadonlyMap<string, Subscription[]> = new Map();

/** Queue groups of the same name are one group, even of different subjects. */
function queuesOf(
  patterns: readonly Pattern<Subscription>[],
): ReadonlyMap<string, readonly Subscription[]> {
  let only: Map<string, Subscription[]> | null = null;
  let merged: Map<string, Subscription[]> | null = null;
  for (const { queues } of patterns) {
    if (queues.size === 0) continue;
    if (only === null) {
      only = queues;
      continue;
    }
    merged ??= new Map(only);
    for (const [queue, members] of queues) {
      const others = merged.get(queue);
      merged.set(queue, others === undefined ? members : [...others, ...members]);
    }
  }
  return merged ?? only ?? NO_QUEUES;
}
