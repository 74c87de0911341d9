/**
 * A player: connects, logs in, plays, leaves and comes back, as its random numbers decide; and complains of an answer
 * that does not come.
 */
import { type End, FAR } from './channel.ts';
import type { Network } from './network.ts';
import type { Ledger } from './ledger.ts';
import type { Ask, Client, Plan, PushPlan } from './records.ts';
import { ACK, HANDSHAKE, HEARTBEAT, message, type Packet, readPackets } from './packets.ts';
import type { SeededRandom } from './random.ts';
import { PING } from './sockets.ts';
import { Node, type World } from './world.ts';
import { pieces } from './wrong-client.ts';

export type RouteChoice = {
  readonly route: string;
  readonly timeoutMs: number;
  /** How often it is taken, among all. */
  readonly weight: number;
  /** Backends of it can send pushes in the reply, and over the same connection. */
  readonly binds: boolean;
};

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
  readonly users: number;
  readonly groups: number;
  /** Keys of session data by which routes choose an instance, and the instances. */
  readonly choices: readonly (readonly [string, readonly string[]])[];
};

/** Milliseconds. */
const HEARTBEAT_MS = 15_000;
const SILENCE_MS = 40_000;
const LOOK_MS = 2_500;
/** On top of the route's own timeout, for the way there and back. */
const GRACE_MS = 2_500;
/** The mean time between two things that a player does, and between coming and going. */
const PACE_MS = 26_000;
const STAY_MS = 600_000;
const AWAY_MS = 20_000;
const AGAIN_MS = [300, 4_000] as const;
const BURST = 20;
/** Fewer than any configuration lets be in flight, with room for notifies. */
const SURELY_READ = 4;

/** One connection, from the attempt to the end. */
class Link {
  readonly client: Client;
  readonly address: string;
  readonly pending = new Map<
    number,
    { readonly ask: Ask; readonly timeoutMs: number; waitedMs: number }
  >();
  end: End | null = null;
  isActive = false;
  id = 0;
  k = 0;
  heardMs = 0;
  kicked = '';
  /** Asked, by this connection, and not answered. */
  isBinding = false;

  constructor(client: Client, address: string) {
    this.client = client;
    this.address = address;
  }
}

export class Player {
  readonly name: string;
  readonly node: Node;
  readonly #around: Surroundings;
  readonly #random: SeededRandom;
  readonly #isWebSocket: boolean;
  /** What it sends arrives in pieces. */
  readonly #isCut: boolean;
  #link: Link | null = null;
  #connections = 0;
  /** It is told to stay away. */
  #isBanned = false;
  #isSilenced = false;
  /** Does nothing of its own; what is connected stays so. */
  isResting = false;
  /** When it began to try to connect; -1: it does not. */
  triesSinceMs = -1;

  constructor(index: number, around: Surroundings) {
    this.name = `c${index}`;
    this.#around = around;
    this.node = new Node(around.world, this.name);
    this.#random = around.world.random(`player/${this.name}`);
    this.#isWebSocket = index % 2 === 0;
    this.#isCut = index % 4 === 1;
    this.node.after(this.#random.between(0, 30_000), () => {
      this.#connect();
    });
    this.#lookLater();
  }

  get client(): Client | null {
    return this.#link?.client ?? null;
  }

  get isActive(): boolean {
    return this.#link?.isActive ?? false;
  }

  /** Address of the gateway; null: it is not connected. */
  get address(): string | null {
    return this.#link?.isActive ? this.#link.address : null;
  }

  /** It reads what it is sent. */
  get isReading(): boolean {
    return !this.#isSilenced;
  }

  get transport(): 'ws' | 'tcp' {
    return this.#isWebSocket ? 'ws' : 'tcp';
  }

  // ---- from outside -------------------------------------------------------------------------------------

  /** Leaves, and stays away until `invite`. */
  ban(): void {
    this.#isBanned = true;
    this.triesSinceMs = -1;
    if (this.#link !== null) this.#leave(this.#link, this.#random.chance(0.5));
  }

  invite(): void {
    if (!this.#isBanned) return;
    this.#isBanned = false;
    this.node.after(this.#random.between(0, 10_000), () => {
      this.#connect();
    });
  }

  /** Reads nothing for a while. */
  stall(ms: number): void {
    const end = this.#link?.end;
    if (!end) return;
    end.pauseReading();
    this.#isSilenced = true;
    this.node.after(ms, () => {
      this.#isSilenced = false;
      end.resumeReading();
    });
  }

  /** Its machine loses the network, and the gateway is not told. */
  vanish(): void {
    const link = this.#link;
    if (!link?.end) return;
    link.end.forget();
    this.#over(link, 'vanished');
  }

  cut(): void {
    const link = this.#link;
    if (!link?.end) return;
    link.end.destroy();
    this.#over(link, 'cut');
  }

  /** Asks once at each of its routes, and tells the answers' codes. @returns How many there will be. */
  probe(done: (route: string, code: number, reason: string) => void): number {
    const link = this.#link;
    if (!link?.isActive) return 0;
    for (const choice of this.#around.routes)
      this.#ask(link, choice, {}, false, (code, reason) => {
        done(choice.route, code, reason);
      });
    return this.#around.routes.length;
  }

  // ---- its life -----------------------------------------------------------------------------------------

  #connect(): void {
    if (this.#link !== null || this.#isBanned) return;
    if (this.isResting) {
      this.#again();
      return;
    }
    if (this.triesSinceMs < 0) this.triesSinceMs = this.#around.world.nowMs;
    const { network, ledger } = this.#around;
    const address = this.#around.gatewayFor(this.#random);
    if (address === null) {
      this.#again();
      return;
    }
    const name = `${this.name}/${++this.#connections}`;
    const client: Client = {
      name,
      sid: '',
      uid: '',
      binds: 0,
      uids: new Set(),
      groups: new Set(),
      isMeddled: false,
      isToldToGo: false,
      isOpen: true,
    };
    const link = new Link(client, address);
    this.#link = link;
    const giveUp = network.connect<Buffer>(this.node, `${address}/${this.transport}`, FAR, {
      onOpen: (end) => {
        cancel();
        this.#open(link, end);
      },
      onRefused: () => {
        cancel();
        this.#over(link, 'refused');
      },
    });
    const cancel = this.node.after(10_000, () => {
      giveUp();
      this.#over(link, 'no way');
    });
    ledger.world.trace(`${name} to ${address}`);
  }

  #open(link: Link, end: End): void {
    link.end = end;
    link.heardMs = this.#around.world.nowMs;
    end.handler = {
      onMessage: (bytes) => {
        this.#onBytes(link, bytes);
      },
      onEnd: () => {
        end.destroy('closed');
        this.#expectAnswered(link);
        this.#over(link, link.kicked === '' ? 'ended' : `kicked: ${link.kicked}`);
      },
      onCut: (why) => {
        this.#over(link, why);
      },
    };
    end.send(HANDSHAKE, HANDSHAKE.length);
  }

  #onBytes(link: Link, bytes: Buffer): void {
    // Who has left does not look at what still comes.
    if (this.#link !== link) return;
    link.heardMs = this.#around.world.nowMs;
    if (bytes.length === 0) {
      link.end!.send(PING, 2);
      return;
    }
    readPackets(bytes, (packet) => {
      if (this.#link === link) this.#onPacket(link, packet);
    });
  }

  #onPacket(link: Link, packet: Packet): void {
    switch (packet.kind) {
      case 'handshake':
        this.#onHandshake(link, packet.body);
        return;
      case 'heartbeat':
        this.node.after(HEARTBEAT_MS, () => {
          if (this.#link === link) link.end!.send(HEARTBEAT, HEARTBEAT.length);
        });
        return;
      case 'kick':
        link.kicked = packet.body;
        return;
      case 'push': {
        const { p } = JSON.parse(packet.body) as { p: number };
        this.#around.ledger.received(link.client, p, packet.body);
        return;
      }
      case 'response':
        this.#onAnswer(link, packet.id, packet.body);
    }
  }

  #onHandshake(link: Link, body: string): void {
    const { code, user } = JSON.parse(body) as { code: number; user?: { uid?: string } };
    if (code !== 200) {
      link.end!.end();
      return;
    }
    if (user?.uid !== undefined) {
      link.client.uid = user.uid;
      link.client.uids.add(user.uid);
    }
    link.end!.send(ACK, ACK.length);
    link.isActive = true;
    this.triesSinceMs = -1;
    // A few are never logged in.
    if (link.client.uid === '' && this.#random.chance(0.95)) this.#login(link);
    this.#playLater(link);
    this.node.after(this.#random.exponential(STAY_MS), () => {
      if (this.#link !== link || this.isResting) return;
      // Many leave in the midst of something.
      const count = this.#random.int(0, 3);
      for (let i = 0; i < count; i++) this.#play(link);
      this.#leave(link, this.#random.chance(0.7));
    });
  }

  #login(link: Link): void {
    const { users, routes } = this.#around;
    const choice = this.#random.pick(routes.filter(({ binds }) => binds));
    // Some play on two devices.
    const uid = `u${this.#random.int(0, users - 1)}`;
    this.#ask(link, choice, { bind: uid }, false);
    // Some do not wait for it.
    const count = this.#random.chance(0.3) ? this.#burst() : 0;
    for (let i = 0; i < count; i++) this.#play(link);
  }

  #playLater(link: Link): void {
    this.node.after(this.#random.exponential(PACE_MS), () => {
      if (this.#link !== link || !link.isActive) return;
      if (this.isResting) {
        this.#playLater(link);
        return;
      }
      const count = this.#burst();
      for (let i = 0; i < count; i++) this.#play(link);
      this.#playLater(link);
    });
  }

  /** Mostly one thing at a time; now and then several at once, which overtake each other where they may. */
  #burst(): number {
    const dice = this.#random.number();
    if (dice < 0.02) return BURST;
    return dice < 0.2 ? this.#random.int(2, 5) : 1;
  }

  #play(link: Link): void {
    const random = this.#random;
    const { routes } = this.#around;
    let at = random.number() * routes.reduce((sum, { weight }) => sum + weight, 0);
    const choice = routes.find(({ weight }) => (at -= weight) < 0) ?? routes[0]!;
    this.#ask(link, choice, this.#plan(link, choice), random.chance(0.15));
  }

  #plan(link: Link, { binds }: RouteChoice): Plan {
    const random = this.#random;
    const { groups } = this.#around;
    const group = (): string => `room.${random.int(1, groups)}`;
    const dice = random.number();
    const plan: { -readonly [K in keyof Plan]: Plan[K] } = {};
    if (dice < 0.39) return plan;
    if (dice < 0.42 && binds && !link.isBinding) return { bind: this.#userOrNobody() };
    if (dice < 0.5) plan.delayMs = random.exponential(2_000);
    else if (dice < 0.6) plan.join = [group()];
    else if (dice < 0.64) plan.leave = [group()];
    else if (dice < 0.66) plan.set = this.#data();
    else if (dice < 0.672) plan.closes = true;
    else if (dice < 0.69) plan.fails = true;
    else if (dice < 0.72) plan.delayMs = random.exponential(1_500);
    else if (dice < 0.84) plan.before = this.#pushes();
    else if (dice < 0.92) plan.inReply = this.#pushes();
    else plan.after = this.#pushes();
    return plan;
  }

  #userOrNobody(): string {
    const { users } = this.#around;
    return this.#random.chance(0.3) ? '' : `u${this.#random.int(0, users - 1)}`;
  }

  /** Anything, or what chooses the instance on some routes; '' chooses none. */
  #data(): Plan['set'] & object {
    const random = this.#random;
    const { choices } = this.#around;
    if (choices.length === 0 || random.chance(0.5))
      return { [`key${random.int(1, 5)}`]: random.int(0, 1_000_000) };
    const [key, instances] = random.pick(choices);
    return { [key]: random.pick(['', ...instances]) };
  }

  #pushes(): PushPlan[] {
    return Array.from({ length: this.#random.int(1, 3) }, () => this.#push());
  }

  #push(): PushPlan {
    const random = this.#random;
    const { users, groups } = this.#around;
    const dice = random.number();
    const to: PushPlan['to'] =
      dice < 0.6
        ? { kind: 'session', name: '' }
        : dice < 0.8
          ? { kind: 'user', name: `u${random.int(0, users - 1)}` }
          : dice < 0.998
            ? { kind: 'group', name: `room.${random.int(1, groups)}` }
            : { kind: 'all', name: '' };
    const kind = random.number();
    const delivery = kind < 0.8 ? 'must' : kind < 0.9 ? 'droppable' : 'latest';
    return { to, counted: random.chance(0.3), delivery };
  }

  // ---- asking -------------------------------------------------------------------------------------------

  #ask(
    link: Link,
    choice: RouteChoice,
    plan: Plan,
    isNotify: boolean,
    done?: (code: number, reason: string) => void,
  ): void {
    const { ledger } = this.#around;
    const { route, timeoutMs } = choice;
    const k = ++link.k;
    const padding = this.#random.chance(0.01) ? 'x'.repeat(this.#random.int(1, 30_000)) : '';
    const isChange = plan.bind !== undefined;
    const ask = ledger.asking(link.client, {
      k,
      route,
      plan,
      isNotify: isNotify && !isChange,
      padding,
    });
    let id = 0;
    if (!ask.isNotify) {
      link.id = link.id >= 20_000 ? 1 : link.id + 1;
      id = link.id;
      link.pending.set(id, { ask, timeoutMs, waitedMs: 0 });
      if (isChange) link.isBinding = true;
      if (done !== undefined) this.#probes.set(ask, done);
    }
    const bytes = message(id, route, ask.body);
    if (this.#isCut) for (const one of pieces(bytes, this.#random)) link.end!.send(one, one.length);
    else link.end!.send(bytes, bytes.length);
  }

  readonly #probes = new WeakMap<Ask, (code: number, reason: string) => void>();

  #onAnswer(link: Link, id: number, body: string): void {
    const { ledger, world } = this.#around;
    const pending = link.pending.get(id);
    if (pending === undefined) {
      world.violate(
        'each request is answered once',
        `${link.client.name} got an answer to ${id}: ${body}`,
      );
      return;
    }
    link.pending.delete(id);
    const { ask } = pending;
    const answer = JSON.parse(body) as {
      n?: number;
      by?: string;
      code?: number;
      reason?: string;
      msg?: string;
    };
    const { code = 200, reason = '' } = answer;
    if (code === 200 && answer.n !== ask.n)
      world.violate('nobody gets another’s answer', `${ask.n} of ${link.client.name} got ${body}`);
    if (ask.plan.bind !== undefined) link.isBinding = false;
    ledger.answered(ask, code, reason, code === 555 ? (answer.msg ?? '') : (answer.by ?? ''));
    this.#probes.get(ask)?.(code, reason);
  }

  /** Counts how long each request has waited while nothing kept it from being answered. */
  #lookLater(): void {
    this.#around.world.after(LOOK_MS, () => {
      const link = this.#link;
      if (link !== null) this.#look(link);
      this.#lookLater();
    });
  }

  #look(link: Link): void {
    const { world, isCalm } = this.#around;
    if (link.end !== null && world.nowMs - link.heardMs > SILENCE_MS) {
      link.end.destroy();
      this.#over(link, 'silence');
      return;
    }
    if (link.pending.size === 0 || this.#isSilenced || !isCalm(link.address, this.name)) return;
    // A gateway reads no more of a client with too much in flight: the others have perhaps not been read.
    for (const pending of [...link.pending.values()].slice(0, SURELY_READ)) {
      pending.waitedMs += LOOK_MS;
      if (pending.waitedMs > pending.timeoutMs + GRACE_MS + LOOK_MS) {
        const { n, route } = pending.ask;
        world.violate(
          'each request is answered',
          `${n} of ${link.client.name} to ${route} on ${link.address}`,
        );
        pending.waitedMs = -Infinity;
      }
    }
  }

  // ---- its end ------------------------------------------------------------------------------------------

  #leave(link: Link, isPolite: boolean): void {
    const { end } = link;
    if (end === null) return;
    if (isPolite) end.end();
    else end.destroy();
    this.#over(link, isPolite ? 'left' : 'dropped out');
  }

  /** A gateway that stops in order answers what backends have before it closes a session. */
  #expectAnswered({ address, client, kicked, pending }: Link): void {
    const { world, isStopping } = this.#around;
    if (!isStopping(address) || client.isToldToGo || kicked.includes('logged_in_elsewhere')) return;
    for (const { ask } of pending.values())
      if (ask.reached.length > 0)
        world.violate(
          'a stop answers what is in flight',
          `${ask.n} of ${client.name} at ${address}`,
        );
  }

  #over(link: Link, why: string): void {
    if (this.#link !== link) return;
    const { ledger } = this.#around;
    this.#link = null;
    for (const { ask } of link.pending.values()) ledger.lost(ask);
    link.pending.clear();
    ledger.closed(link.client, why);
    // What it sent may still arrive, and be answered to nobody.
    this.#around.world.after(FORGET_MS, () => {
      ledger.forgetClient(link.client);
    });
    if (why === 'left' || why === 'dropped out')
      this.node.after(this.#random.exponential(AWAY_MS), () => {
        this.#connect();
      });
    else this.#again();
  }

  #again(): void {
    this.node.after(this.#random.between(...AGAIN_MS), () => {
      this.#connect();
    });
  }
}

const FORGET_MS = 600_000;
