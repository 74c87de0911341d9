/**
 * Connections between processes: two directions, in each of which messages arrive in their order, each after a
 * latency of its own. So messages overtake each other from one connection to another, and never within one.
 */
import type { SeededRandom } from './random.ts';
import type { Network } from './network.ts';
import { type Node, usOf } from './world.ts';

/** What a process does with what comes on its end of a connection. */
export type Handler<T> = {
  onMessage(message: T): void;
  /** The other side has sent its last message. */
  onEnd(): void;
  /** The connection is lost: nothing more comes, and nothing more is taken. Once, last. */
  onCut(why: string): void;
  /** The system has taken everything that it was given. */
  onRoom?(): void;
};

export type ChannelOptions = {
  /** Milliseconds that a message travels, at least and at most. */
  readonly latencyMs: readonly [number, number];
  /** Bytes that the network and the receiver's system hold; what is sent beyond waits with the sender. */
  readonly windowBytes: number;
};

/** Between machines in one place. */
export const NEAR: ChannelOptions = { latencyMs: [0.1, 1.5], windowBytes: 512 * 1024 };
/** From a client's home. */
export const FAR: ChannelOptions = { latencyMs: [5, 80], windowBytes: 256 * 1024 };

type Waiting<T> = { readonly message: T; readonly bytes: number };

/** One side's end of a connection. */
export class End<T = Buffer> {
  readonly node: Node;
  /** Of the other process. */
  other!: End<T>;
  handler!: Handler<T>;
  /** Sent, and not yet taken by the system. */
  unsentBytes = 0;
  /** Bytes that the system has taken. */
  takenBytes = 0;
  /** Neither side is told anything any more. */
  isCut = false;
  /** This side has sent its last message. */
  isEnded = false;
  readonly #channel: Channel<T>;
  /** Taken by the system and not yet by the receiver. */
  #travelling = 0;
  /** With the sender, for want of room. */
  readonly #waiting: (Waiting<T> | 'end')[] = [];
  /** Arrived, while the receiver does not read. */
  readonly #unread: (Waiting<T> | 'end')[] = [];
  /** On the way, while there is no way. */
  readonly #held: (Waiting<T> | 'end')[] = [];
  #isReading = true;
  #arrivesUs = 0;
  #isWanted = false;
  /** Why the other side has given up the connection while there was no way; '': it has not. */
  #lostMeanwhile = '';

  constructor(node: Node, channel: Channel<T>) {
    this.node = node;
    this.#channel = channel;
  }

  /** The system has not taken everything; `onRoom` follows. */
  get isCongested(): boolean {
    return this.#waiting.length > 0;
  }

  send(message: T, bytes: number): void {
    if (this.isCut || this.isEnded) return;
    const one = { message, bytes };
    if (this.#waiting.length > 0 || this.#travelling >= this.#channel.options.windowBytes) {
      this.#waiting.push(one);
      this.unsentBytes += bytes;
      this.#isWanted = true;
    } else this.#take(one);
  }

  /** This side is done; what was sent before still arrives. */
  end(): void {
    if (this.isCut || this.isEnded) return;
    this.isEnded = true;
    if (this.#waiting.length > 0) this.#waiting.push('end');
    else this.#travel('end');
  }

  /** Ends the connection at once; this side's handler is told nothing. */
  destroy(why = 'reset by peer'): void {
    if (this.isCut) return;
    this.#drop();
    // Across a partition nobody is told before it heals.
    if (this.#channel.isPartitioned) this.other.#lostMeanwhile = why;
    else this.other.lose(why);
  }

  pauseReading(): void {
    this.#isReading = false;
  }

  resumeReading(): void {
    if (this.#isReading) return;
    this.#isReading = true;
    if (this.#unread.length > 0)
      this.node.soon(() => {
        this.#readOn();
      });
  }

  // ---- the network --------------------------------------------------------------------------------------

  /** It will be told that the connection is lost, once what is on its way is there. */
  lose(why: string): void {
    if (this.isCut) return;
    const cut = (): void => {
      if (this.isCut) return;
      this.#drop();
      this.handler.onCut(why);
    };
    this.node.input(this.#nextArrival(), cut);
  }

  /** The process is gone: nothing of it is told to anybody. */
  forget(): void {
    this.#drop();
  }

  /** There is a way again. */
  heal(): void {
    for (const one of this.#held.splice(0)) this.#travel(one);
    if (this.#lostMeanwhile !== '') this.lose(this.#lostMeanwhile);
  }

  #drop(): void {
    this.isCut = true;
    this.#waiting.length = 0;
    this.#unread.length = 0;
    this.#held.length = 0;
    this.unsentBytes = 0;
    this.#channel.dropped();
  }

  #take(one: Waiting<T>): void {
    this.#travelling += one.bytes;
    this.takenBytes += one.bytes;
    this.#travel(one);
  }

  #travel(one: Waiting<T> | 'end'): void {
    if (this.#channel.isPartitioned) {
      this.#held.push(one);
      return;
    }
    const { other } = this;
    other.node.input(this.#arrival(), () => {
      other.#arrived(one);
    });
  }

  /** When what is sent now is there: not before what was sent before. */
  #arrival(): number {
    const { nowUs } = this.node.world;
    const at = Math.max(this.#arrivesUs, nowUs + this.#channel.latencyUs());
    this.#arrivesUs = at;
    return at;
  }

  #nextArrival(): number {
    return this.other.#arrival();
  }

  #arrived(one: Waiting<T> | 'end'): void {
    if (this.isCut) return;
    if (!this.#isReading || this.#unread.length > 0) this.#unread.push(one);
    else this.#read(one);
  }

  #read(one: Waiting<T> | 'end'): void {
    if (one === 'end') {
      this.handler.onEnd();
      return;
    }
    this.other.#room(one.bytes);
    this.handler.onMessage(one.message);
  }

  #readOn(): void {
    while (this.#isReading && !this.isCut && this.#unread.length > 0)
      this.#read(this.#unread.shift()!);
  }

  /** The receiver has read `bytes`. */
  #room(bytes: number): void {
    this.#travelling -= bytes;
    if (this.#waiting.length === 0 || this.isCut) return;
    const { windowBytes } = this.#channel.options;
    while (this.#waiting.length > 0 && this.#travelling < windowBytes) {
      const next = this.#waiting.shift()!;
      if (next === 'end') this.#travel(next);
      else {
        this.unsentBytes -= next.bytes;
        this.#take(next);
      }
    }
    if (this.#waiting.length === 0 && this.#isWanted && !this.isEnded) {
      this.#isWanted = false;
      this.node.input(this.node.world.nowUs + 1, () => {
        if (!this.isCut && this.#waiting.length === 0) this.handler.onRoom?.();
      });
    }
  }
}

export class Channel<T = Buffer> {
  readonly options: ChannelOptions;
  readonly a: End<T>;
  readonly b: End<T>;
  isPartitioned = false;
  /** A machine is lost: there is no way any more, whatever heals. */
  isSilent = false;
  readonly #random: SeededRandom;
  readonly #network: Network;

  constructor(network: Network, from: Node, to: Node, name: string, options: ChannelOptions) {
    this.options = options;
    this.#network = network;
    this.#random = network.world.random(`channel/${name}`);
    this.a = new End<T>(from, this);
    this.b = new End<T>(to, this);
    this.a.other = this.b;
    this.b.other = this.a;
  }

  latencyUs(): number {
    const [least, most] = this.options.latencyMs;
    const network = this.#network;
    const usual = this.#random.between(least, most) * network.slowness;
    const delay = network.delayAt(this.a.node.place) + network.delayAt(this.b.node.place);
    return usOf(delay === 0 ? usual : usual + this.#random.between(delay / 2, delay));
  }

  dropped(): void {
    if (this.a.isCut && this.b.isCut) this.#network.ended(this as unknown as Channel<never>);
  }
}
