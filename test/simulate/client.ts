/**
 * A player: connects, logs in, plays, leaves and comes back, as its random numbers decide; and complains of an answer
 * that does not come.
 */
import { type End, FAR } from './channel.ts';
import { leaveOpen } from './left-open.ts';
import { Link, type Surroundings } from './player-link.ts';
import { type Client, newClient, type Plan } from './records.ts';
import { ACK, handshake, HEARTBEAT, type Packet, readPackets } from './packets.ts';
import type { SeededRandom } from './random.ts';
import { Wallet } from './resuming.ts';
import { PING } from './sockets.ts';
import { Node } from './world.ts';
import { Wishes } from './wishes.ts';

/** Milliseconds. */
const HEARTBEAT_MS = 15_000;
const SILENCE_MS = 40_000;
/** The mean time between two things that a player does, and between coming and going. */
const PACE_MS = 26_000;
const STAY_MS = 600_000;
const AWAY_MS = 20_000;
const AGAIN_MS = [300, 4_000] as const;
/** Of those who leave and have a token, so many leave their connection open, and come back on another one. */
const TWICE = 0.3;

export class Player {
  readonly name: string;
  readonly node: Node;
  readonly #around: Surroundings;
  readonly #random: SeededRandom;
  readonly #wishes: Wishes;
  readonly #wallet: Wallet;
  readonly #isWebSocket: boolean;
  /** What it sends arrives in pieces. */
  readonly #isCut: boolean;
  #link: Link | null = null;
  #connections = 0;
  /** It is told to stay away. */
  #isBanned = false;
  /** Times that it does not read; a later one may begin before an earlier one is over. */
  #stalls = 0;
  /** Does nothing of its own; what is connected stays so. */
  isResting = false;
  /** When it began to try to connect; -1: it does not. */
  triesSinceMs = -1;

  constructor(index: number, around: Surroundings) {
    this.name = `c${index}`;
    this.#around = around;
    this.node = new Node(around.world, this.name);
    this.#random = around.world.random(`player/${this.name}`);
    this.#wishes = new Wishes(this.#random, around);
    this.#wallet = new Wallet(index, this.name, around);
    this.#isWebSocket = index % 2 === 0;
    this.#isCut = index % 4 === 1;
    this.node.after(this.#random.between(0, 30_000), () => {
      this.#connect();
    });
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
    return this.#stalls === 0;
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
    this.#stalls++;
    this.node.after(ms, () => {
      this.#stalls--;
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

  /** Asks for something, as all do at that moment. @param what What all ask for; '': anything. */
  rush(what: string): void {
    if (this.#link?.isActive && !this.isResting) this.#play(this.#link, this.#wishes.inRush(what));
  }

  /** Asks once at each of its routes, and tells the answers' codes. @returns How many there will be. */
  probe(done: (route: string, code: number, reason: string) => void): number {
    const link = this.#link;
    if (!link?.isActive) return 0;
    for (const choice of this.#around.routes)
      link.ask(choice, {}, false, (code, reason) => {
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
    const link = new Link(newClient(name), address, {
      around: this.#around,
      random: this.#random,
      isCut: this.#isCut,
    });
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
        link.ended();
        this.#over(link, link.kicked === '' ? 'ended' : `kicked: ${link.kicked}`);
      },
      onCut: (why) => {
        this.#over(link, why);
      },
    };
    const greeting = handshake(this.#wallet.user);
    end.send(greeting, greeting.length);
  }

  #onBytes(link: Link, bytes: Buffer): void {
    // After leaving, a client ignores what still arrives.
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
        this.#around.kicked(link.client, packet.body);
        this.#wallet.kicked(link);
        return;
      case 'push': {
        if (this.#wallet.takes(packet)) return;
        const { p } = JSON.parse(packet.body) as { p: number };
        this.#around.ledger.received(link.client, p, packet.body);
        return;
      }
      case 'response':
        link.answered(packet.id, packet.body);
    }
  }

  #onHandshake(link: Link, body: string): void {
    const { code, user } = JSON.parse(body) as {
      code: number;
      user?: { uid?: string; pith?: { resume: string; resumed?: true } };
    };
    if (code !== 200) {
      link.end!.end();
      return;
    }
    this.#wallet.greeted(link, user?.pith);
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
      if (this.#wallet.hasToken && this.#random.chance(TWICE)) {
        leaveOpen(this.node, link.end!);
        this.#over(link, 'opened twice');
      } else this.#leave(link, this.#random.chance(0.7));
    });
  }

  #login(link: Link): void {
    const route = this.#wishes.login();
    link.ask(route, { bind: this.#wishes.user() }, false);
    // Some do not wait for it.
    const count = this.#random.chance(0.3) ? this.#wishes.burst() : 0;
    for (let i = 0; i < count; i++) this.#play(link);
  }

  #playLater(link: Link): void {
    this.node.after(this.#random.exponential(PACE_MS), () => {
      if (this.#link !== link || !link.isActive) return;
      if (this.isResting) {
        this.#playLater(link);
        return;
      }
      const count = this.#wishes.burst();
      for (let i = 0; i < count; i++) this.#play(link);
      this.#playLater(link);
    });
  }

  #play(link: Link, wish?: Plan): void {
    const route = this.#wishes.route();
    const plan = wish ?? this.#wishes.plan(route, link.isBinding);
    link.ask(route, plan, this.#random.chance(0.15));
  }

  /** Called every `LOOK_MS`: gives up a gateway that is silent, and complains of answers that do not come. */
  look(): void {
    const link = this.#link;
    if (link === null) return;
    const { world, isCalm } = this.#around;
    if (link.end !== null && world.nowMs - link.heardMs > SILENCE_MS) {
      link.end.destroy();
      this.#over(link, 'silence');
      return;
    }
    if (this.isReading && isCalm(link.address, this.name)) link.waited();
  }

  // ---- its end ------------------------------------------------------------------------------------------

  #leave(link: Link, isPolite: boolean): void {
    const { end } = link;
    if (end === null) return;
    if (isPolite) end.end();
    else end.destroy();
    this.#over(link, isPolite ? 'left' : 'dropped out');
  }

  #over(link: Link, why: string): void {
    if (this.#link !== link) return;
    const { ledger } = this.#around;
    this.#link = null;
    link.over(why);
    // What it sent may still arrive, and be answered to nobody.
    this.#around.world.after(FORGET_MS, () => {
      ledger.forgetClient(link.client);
    });
    if (why !== 'left' && why !== 'dropped out') {
      this.#again();
      return;
    }
    this.#wallet.left();
    this.node.after(this.#random.exponential(AWAY_MS), () => {
      this.#connect();
    });
  }

  #again(): void {
    this.node.after(this.#random.between(...AGAIN_MS), () => {
      this.#connect();
    });
  }
}

const FORGET_MS = 600_000;
