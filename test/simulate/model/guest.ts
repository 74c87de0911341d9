/** A client that does what it is told, and remembers what it gets. */
import type { ChannelOptions, End } from '../channel.ts';
import type { Network } from '../network.ts';
import { ACK, handshake, HEARTBEAT, message, type Packet, readPackets } from '../packets.ts';
import { PING } from '../sockets.ts';
import { Node, type World } from '../world.ts';

/** Short, so that much happens in little time. */
const HOME: ChannelOptions = { latencyMs: [0.5, 4], windowBytes: 256 * 1_024 };
/** The interval that gateways are configured with. */
export const HEARTBEAT_MS = 4_000;
/** It says something twice in that time. */
const SAYS_EVERY_MS = HEARTBEAT_MS / 2;

/** What a client comes back with, and when it got it. */
export type Token = { readonly text: string; readonly atMs: number };

export type Answer = {
  readonly code: number;
  readonly reason: string;
  /** Of a gate: where to connect. */
  readonly host: string;
};

/** What the handshake's answer says to one that asks for tokens. */
type Greeting = { readonly pith?: { readonly resume?: string; readonly resumed?: boolean } };

export class Guest {
  readonly name: string;
  /** Of the gateway. */
  readonly address: string;
  readonly transport: 'ws' | 'tcp';
  /** Bodies of the pushes that it has got. */
  readonly got: string[] = [];
  /** What the last kick said; '': there was none. */
  kicked = '';
  /** Neither side has ended the connection, as far as it knows. */
  isOpen = false;
  /** The gateway has got its ack. Before that it may be sent no kick. [protocol.md 3.4] */
  isActive = false;
  /** It has ended the connection itself. */
  hasLeft = false;
  /** The gateway has let it go on from the session of its token. */
  hasResumed = false;
  /** Its machine is gone, and the gateway is not told. */
  isVanished = false;
  /** The newest; null: it has not asked for any. */
  token: Token | null = null;
  /** When the gateway may last have heard it. */
  saidMs = 0;
  readonly #node: Node;
  readonly #network: Network;
  readonly #answers = new Map<number, (answer: Answer) => void>();
  #end: End | null = null;
  #id = 0;
  #opened: (code: number) => void = () => {};

  constructor(network: Network, name: string, address: string, transport: 'ws' | 'tcp') {
    this.name = name;
    this.address = address;
    this.transport = transport;
    this.#network = network;
    this.#node = new Node(network.world, name);
  }

  get #world(): World {
    return this.#network.world;
  }

  /** Connects. @returns The handshake's code; 0: the connection ended before. */
  open(user: object): Promise<number> {
    const { promise, resolve } = Promise.withResolvers<number>();
    this.#opened = resolve;
    this.#network.connect<Buffer>(this.#node, `${this.address}/${this.transport}`, HOME, {
      onOpen: (end) => {
        this.#end = end;
        this.isOpen = true;
        end.handler = {
          onMessage: (bytes) => {
            this.#onBytes(bytes);
          },
          onEnd: () => {
            end.destroy('closed');
            this.#over();
          },
          onCut: () => {
            this.#over();
          },
        };
        this.#send(handshake(user));
      },
      onRefused: () => {
        this.#over();
      },
    });
    return promise;
  }

  /** Sends a request; the promise stays open if the connection ends. */
  ask(route: string, body: string): Promise<Answer> {
    const id = ++this.#id;
    this.#send(message(id, route, body));
    return new Promise((resolve) => {
      this.#answers.set(id, resolve);
    });
  }

  /** @param how `leaves`: in order · `drops`: its system resets the connection · `vanishes`: nobody is told. */
  end(how: 'leaves' | 'drops' | 'vanishes'): void {
    const end = this.#end;
    if (end === null || !this.isOpen) return;
    this.hasLeft = true;
    if (how === 'leaves') end.end();
    else if (how === 'drops') end.destroy();
    else {
      this.isVanished = true;
      end.forget();
    }
    this.isOpen = false;
  }

  #send(bytes: Buffer): void {
    if (!this.isOpen) return;
    this.saidMs = this.#world.nowMs;
    this.#end!.send(bytes, bytes.length);
  }

  #over(): void {
    this.isOpen = false;
    this.#opened(0);
  }

  #onBytes(bytes: Buffer): void {
    if (!this.isOpen) return;
    if (bytes.length === 0) {
      this.saidMs = this.#world.nowMs;
      this.#end!.send(PING, 2);
      return;
    }
    readPackets(bytes, (packet) => {
      this.#onPacket(packet);
    });
  }

  #onPacket(packet: Packet): void {
    switch (packet.kind) {
      case 'handshake': {
        const { code, user } = JSON.parse(packet.body) as { code: number; user?: Greeting };
        if (code === 200) {
          this.#keep(user?.pith?.resume ?? '');
          this.hasResumed = user?.pith?.resumed === true;
          this.#send(ACK);
          this.#sayLater();
        } else this.#opened(code);
        return;
      }
      case 'heartbeat':
        // The first one says that the gateway has got the ack.
        this.isActive = true;
        this.#opened(200);
        return;
      case 'kick':
        this.kicked = packet.body;
        return;
      case 'push':
        if (packet.route === 'pith.resume')
          this.#keep((JSON.parse(packet.body) as { token: string }).token);
        else this.got.push(packet.body);
        return;
      case 'response': {
        const answer = JSON.parse(packet.body) as Partial<Answer>;
        this.#answers.get(packet.id)?.({ code: 200, reason: '', host: '', ...answer });
        this.#answers.delete(packet.id);
      }
    }
  }

  #keep(text: string): void {
    if (text !== '') this.token = { text, atMs: this.#world.nowMs };
  }

  #sayLater(): void {
    this.#node.after(SAYS_EVERY_MS, () => {
      if (!this.isOpen) return;
      this.#send(HEARTBEAT);
      this.#sayLater();
    });
  }
}
