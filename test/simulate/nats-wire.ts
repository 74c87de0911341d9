/** What goes over connections of nats-server: the operations of its protocol, as objects instead of text. */
import type { End } from './channel.ts';
import type { SeededRandom } from './random.ts';

/** Both sides write all that one turn brings at once; now and then it arrives in two parts. */
const SPLIT_CHANCE = 1 / 8;

/** A message: one object for all who receive it. */
export class Packet {
  readonly kind = 'message';
  readonly subject: string;
  /** '': no answer is wanted. */
  readonly reply: string;
  /** Bytes of the header block, which `bytes` begins with; -1: there is none. */
  readonly hdr: number;
  /** Header block and data. */
  readonly bytes: Uint8Array;

  constructor(subject: string, reply: string, hdr: number, bytes: Uint8Array) {
    this.subject = subject;
    this.reply = reply;
    this.hdr = hdr;
    this.bytes = bytes;
  }

  /** Bytes on the wire, about. */
  get size(): number {
    return this.subject.length + this.reply.length + this.bytes.length + 20;
  }
}

/** What a client says about itself when it connects. */
export type Hello = {
  readonly kind: 'connect';
  readonly name: string;
  readonly user: string;
  readonly password: string;
  readonly token: string;
  /** Whether it receives its own messages. */
  readonly echo: boolean;
};

export type Ping = { readonly kind: 'ping' };
export type Pong = { readonly kind: 'pong' };
export const PING: Ping = { kind: 'ping' };
export const PONG: Pong = { kind: 'pong' };

export type ClientOp =
  | Packet
  | Hello
  | Ping
  | Pong
  | { readonly kind: 'subscribe'; readonly sid: number; readonly subject: string; readonly queue: string } // prettier-ignore
  | { readonly kind: 'unsubscribe'; readonly sid: number };

/** What a server says about itself, at first and when it changes. */
export type ServerInfo = {
  readonly kind: 'info';
  readonly name: string;
  readonly version: string;
  readonly payloadBytesMax: number;
  /** The servers of its cluster. */
  readonly connectUrls: readonly string[];
  readonly isLameDuck: boolean;
};

export type ServerOp =
  | ServerInfo
  | Ping
  | Pong
  | { readonly kind: 'deliver'; readonly sid: number; readonly packet: Packet }
  | { readonly kind: 'error'; readonly what: string };

/** Between a client and its server, both ways. */
export type Frame = (ClientOp | ServerOp)[];

export type RouteOp =
  | Ping
  | Pong
  | { readonly kind: 'hello'; readonly server: string; readonly connectUrls: readonly string[]; readonly isLameDuck: boolean } // prettier-ignore
  /** `weight`: how many of the queue are there; 0: no one any more. */
  | { readonly kind: 'interest'; readonly subject: string; readonly queue: string; readonly weight: number } // prettier-ignore
  /** For everyone there but queue groups, and for one member of each group of `queues`. */
  | { readonly kind: 'routed'; readonly packet: Packet; readonly queues: readonly string[] };

/** Bytes of an operation that is no message, about. */
export const OP_BYTES = 40;

/** What one side is about to write. */
export class Outbound<T> {
  bytes = 0;
  readonly #end: End<T[]>;
  readonly #random: SeededRandom;
  #ops: T[] = [];

  constructor(end: End<T[]>, random: SeededRandom) {
    this.#end = end;
    this.#random = random;
  }

  get isEmpty(): boolean {
    return this.#ops.length === 0;
  }

  add(op: T, bytes: number): void {
    this.#ops.push(op);
    this.bytes += bytes;
  }

  write(): void {
    const { bytes } = this;
    const ops = this.#ops;
    if (ops.length === 0) return;
    this.#ops = [];
    this.bytes = 0;
    if (ops.length > 1 && this.#random.chance(SPLIT_CHANCE)) {
      const rest = ops.splice(this.#random.int(1, ops.length - 1));
      const restBytes = Math.floor((bytes * rest.length) / (rest.length + ops.length));
      this.#end.send(ops, bytes - restBytes);
      this.#end.send(rest, restBytes);
    } else {
      this.#end.send(ops, bytes);
    }
  }

  drop(): void {
    this.#ops = [];
    this.bytes = 0;
  }
}
