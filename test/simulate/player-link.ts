/** One connection of a player, from the attempt to the end, and what it has asked by it. */
import type { End } from './channel.ts';
import type { Ledger } from './ledger.ts';
import type { Network } from './network.ts';
import type { SimGateway } from './gateway.ts';
import type { Resuming } from './resuming.ts';
import { message } from './packets.ts';
import type { SeededRandom } from './random.ts';
import type { Ask, Client, Plan } from './records.ts';
import type { RouteChoice } from './wishes.ts';
import type { World } from './world.ts';
import { pieces } from './wrong-client.ts';

export type Surroundings = {
  readonly world: World;
  readonly network: Network;
  readonly ledger: Ledger;
  readonly routes: readonly RouteChoice[];
  /** Where to connect, as a load balancer says; null: nowhere. */
  readonly gatewayFor: (random: SeededRandom) => string | null;
  /** Nothing keeps the gateway at this address, or the way to it, from working. */
  readonly isCalm: (address: string, client: string) => boolean;
  /** The gateway there ends in order. */
  readonly isStopping: (address: string) => boolean;
  readonly resuming: Resuming;
  /** A gateway has told it why it is closed. */
  readonly kicked: (client: Client, why: string) => void;
  /** Gateways that run. */
  readonly running: () => readonly SimGateway[];
  readonly users: number;
  readonly groups: number;
  /** Keys of session data by which routes choose an instance, and the instances. */
  readonly choices: readonly (readonly [string, readonly string[]])[];
};

/** How often it is looked whether an answer is overdue, in milliseconds. */
export const LOOK_MS = 2_500;
/** On top of the route's own timeout, for the way there and back. */
const GRACE_MS = 2_500;
/** Fewer than any configuration lets be in flight, with room for notifies. */
const SURELY_READ = 4;
const ID_MAX = 20_000;

/** Told the code and the reason of an answer. */
export type Probe = (code: number, reason: string) => void;

type Pending = {
  readonly ask: Ask;
  readonly timeoutMs: number;
  readonly probe: Probe | undefined;
  waitedMs: number;
};

/** In a kick: of a gateway that stops, or that has more than its share of sessions. */
export const SENT_AWAY = /"(draining|rebalanced)"/;

export class Link {
  readonly client: Client;
  readonly address: string;
  end: End | null = null;
  isActive = false;
  heardMs = 0;
  kicked = '';
  /** It has asked to be bound, and was not answered. */
  isBinding = false;
  readonly #around: Surroundings;
  readonly #random: SeededRandom;
  /** What it sends arrives in pieces. */
  readonly #isCut: boolean;
  readonly #pending = new Map<number, Pending>();
  #id = 0;
  #k = 0;

  constructor(
    client: Client,
    address: string,
    parts: { around: Surroundings; random: SeededRandom; isCut: boolean },
  ) {
    this.client = client;
    this.address = address;
    this.#around = parts.around;
    this.#random = parts.random;
    this.#isCut = parts.isCut;
  }

  ask({ route, timeoutMs }: RouteChoice, plan: Plan, isNotify: boolean, probe?: Probe): void {
    const { ledger } = this.#around;
    const k = ++this.#k;
    const padding = this.#random.chance(0.01) ? 'x'.repeat(this.#random.int(1, 30_000)) : '';
    const isChange = plan.bind !== undefined;
    const what = { k, route, plan, isNotify: isNotify && !isChange, padding };
    const ask = ledger.asking(this.client, what);
    let id = 0;
    if (!ask.isNotify) {
      this.#id = this.#id >= ID_MAX ? 1 : this.#id + 1;
      id = this.#id;
      this.#pending.set(id, { ask, timeoutMs, probe, waitedMs: 0 });
      if (isChange) this.isBinding = true;
    }
    const bytes = message(id, route, ask.body);
    if (this.#isCut) for (const one of pieces(bytes, this.#random)) this.end!.send(one, one.length);
    else this.end!.send(bytes, bytes.length);
  }

  answered(id: number, body: string): void {
    const { ledger, world } = this.#around;
    const pending = this.#pending.get(id);
    if (pending === undefined) {
      world.violate(
        'each request is answered once',
        `${this.client.name} got an answer to ${id}: ${body}`,
      );
      return;
    }
    this.#pending.delete(id);
    const { ask, probe } = pending;
    const answer = JSON.parse(body) as {
      n?: number;
      by?: string;
      code?: number;
      reason?: string;
      msg?: string;
    };
    const { code = 200, reason = '' } = answer;
    if (code === 200 && answer.n !== ask.n)
      world.violate('nobody gets another’s answer', `${ask.n} of ${this.client.name} got ${body}`);
    if (ask.plan.bind !== undefined) this.isBinding = false;
    ledger.answered(ask, code, reason, code === 555 ? (answer.msg ?? '') : (answer.by ?? ''));
    probe?.(code, reason);
  }

  /** Counts how long each request has waited; called every `LOOK_MS` in which nothing kept it from being answered. */
  waited(): void {
    if (this.#pending.size === 0) return;
    const { world } = this.#around;
    let left = SURELY_READ;
    // A gateway reads no more of a client with too much in flight: the others have perhaps not been read.
    for (const pending of this.#pending.values()) {
      if (left-- === 0) return;
      pending.waitedMs += LOOK_MS;
      if (pending.waitedMs <= pending.timeoutMs + GRACE_MS + LOOK_MS) continue;
      const { n, route } = pending.ask;
      world.violate(
        'each request is answered',
        `${n} of ${this.client.name} to ${route} on ${this.address}`,
      );
      pending.waitedMs = -Infinity;
    }
  }

  /**
   * The other side ends it. A gateway that stops in order, or sends a session to another, answers what backends have before
   * it closes it.
   */
  ended(): void {
    const { world, isStopping } = this.#around;
    const { address, client, kicked } = this;
    const isSentAway = isStopping(address) || SENT_AWAY.test(kicked);
    if (!isSentAway || client.isToldToGo || kicked.includes('logged_in_elsewhere')) return;
    for (const { ask } of this.#pending.values())
      if (ask.reached.length > 0)
        world.violate(
          'a stop answers what is in flight',
          `${ask.n} of ${client.name} at ${address}`,
        );
  }

  /** It is over; nothing is waited for any longer. */
  over(why: string): void {
    const { ledger } = this.#around;
    for (const { ask } of this.#pending.values()) ledger.lost(ask);
    this.#pending.clear();
    ledger.closed(this.client, why);
  }
}
