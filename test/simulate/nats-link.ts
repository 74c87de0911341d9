/** The gateway's end of a connection to the double of nats-server, as `src/upstream/nats/dial.ts` makes the real one. */
import type { CancelTimer } from '../../src/clock.ts';
import {
  type DialNats,
  ENDED,
  type NatsConnection,
  type NatsConnectionHandler,
  type NatsMessage,
  type NatsPublishOptions,
  type NatsSubscription,
  type OnMessage,
} from '../../src/upstream/nats/nats-connection.ts';
import { type ChannelOptions, type End, type Handler, NEAR } from './channel.ts';
import type { Network } from './network.ts';
import { readViolation } from './nats-permissions.ts';
import { Views } from './nats-views.ts';
import {
  type ClientOp,
  type Frame,
  type Hello,
  OP_BYTES,
  Packet,
  PING,
  PONG,
  type ServerInfo,
} from './nats-wire.ts';
import { Writer } from './nats-writer.ts';
import type { Node } from './world.ts';

/** As the gateway sets them for the client library. */
const CONNECT_MS_MAX = 5_000;
const PING_MS = 2_500;
const PINGS_UNANSWERED_MAX = 2;

export type NatsLinkOptions = {
  readonly latency: ChannelOptions;
  /** Whether it receives its own messages: a gateway does not. */
  readonly echo: boolean;
};

export const GATEWAY_LINK: NatsLinkOptions = { latency: NEAR, echo: false };
export const BACKEND_LINK: NatsLinkOptions = { latency: NEAR, echo: true };

type Identity = Pick<Hello, 'name' | 'user' | 'password' | 'token'>;

/** Makes connections of one process. */
export function natsDialer(
  network: Network,
  node: Node,
  options: NatsLinkOptions = GATEWAY_LINK,
): DialNats {
  return async ({ gatewayId, user, password, token }, servers) => {
    const identity = { name: `pith/${gatewayId}`, user, password, token };
    let last = new Error(ENDED);
    for (const url of servers) {
      const server = url.replace(/^[a-z]+:\/\//, '');
      const link = new NatsLink(node, server, { ...identity, echo: options.echo });
      const error = await link.open(network, options.latency);
      if (error === null) return link;
      last = error;
    }
    throw last;
  };
}

type Subscribed = {
  readonly sid: number;
  readonly subject: string;
  readonly queue: string;
  readonly onMessage: OnMessage;
};

type RoundTrip = { readonly done: () => void; readonly fail: (error: Error) => void };

export class NatsLink implements NatsConnection, Handler<Frame> {
  readonly server: string;
  isClosed = false;
  readonly #node: Node;
  readonly #identity: Identity & { readonly echo: boolean };
  readonly #subscribed = new Map<number, Subscribed>();
  readonly #ended = Promise.withResolvers<Error | null>();
  readonly #views = new Views();
  #roundTrips: RoundTrip[] = [];
  #end: End<Frame> | null = null;
  #writer: Writer | null = null;
  #handler: NatsConnectionHandler | null = null;
  #info: ServerInfo | null = null;
  #sids = 0;
  #isDraining = false;
  #takesNoMore = false;
  #lastError: Error | null = null;
  #pingsOut = 0;
  #stopPings: CancelTimer = () => {};
  #opened: ((error: Error | null) => void) | null = null;

  constructor(node: Node, server: string, identity: Identity & { readonly echo: boolean }) {
    this.#node = node;
    this.server = server;
    this.#identity = identity;
  }

  /** null: the server has accepted it. */
  open(network: Network, latency: ChannelOptions): Promise<Error | null> {
    const { promise, resolve } = Promise.withResolvers<Error | null>();
    const giveUp = network.connect<Frame>(this.#node, this.server, latency, {
      onOpen: (end) => {
        this.#end = end;
        this.#writer = new Writer(end);
        end.handler = this;
      },
      onRefused: () => {
        this.#opened?.(new Error('connection refused'));
      },
    });
    const cancel = this.#node.clock.setTimer(CONNECT_MS_MAX, () => {
      giveUp();
      this.#opened?.(new Error('timeout'));
    });
    this.#opened = (error) => {
      this.#opened = null;
      cancel();
      if (error === null) this.#pingLater();
      else this.#end?.destroy('closed by the client');
      resolve(error);
    };
    return promise;
  }

  // ---- what the gateway uses ----------------------------------------------------------------------------

  get serverVersion(): string {
    return this.isClosed ? '' : this.#info!.version;
  }

  get payloadBytesMax(): number {
    return this.#info!.payloadBytesMax;
  }

  get otherServers(): readonly string[] {
    return this.#info!.connectUrls;
  }

  readonly receivedBytes = 0;
  readonly publishedBytes = 0;

  get unsentBytes(): number {
    return this.#writer!.unsentBytes;
  }

  listen(handler: NatsConnectionHandler): void {
    this.#handler = handler;
  }

  publish(subject: string, payload: Uint8Array, options: NatsPublishOptions = {}): void {
    const { reply = '' } = options;
    this.#check(subject);
    if (reply !== '') this.#check(reply);
    if (this.#takesNoMore) throw new Error('connection draining');
    const block = options.headers?.encode();
    const blockBytes = block?.length ?? 0;
    const bytes = Buffer.allocUnsafe(blockBytes + payload.length);
    if (bytes.length > this.payloadBytesMax) throw new Error("'payload' max_payload size exceeded");
    if (block !== undefined) bytes.set(block);
    bytes.set(payload, blockBytes);
    const packet = new Packet(subject, reply, block === undefined ? -1 : blockBytes, bytes);
    this.#send(packet, packet.size);
  }

  subscribe(subject: string, onMessage: OnMessage, queue: string): NatsSubscription {
    this.#check(subject);
    if (this.#isDraining) throw new Error('connection draining');
    const sid = ++this.#sids;
    this.#subscribed.set(sid, { sid, subject, queue, onMessage });
    this.#send({ kind: 'subscribe', sid, subject, queue }, OP_BYTES + subject.length);
    return {
      unsubscribe: () => {
        if (this.isClosed) return;
        this.#send({ kind: 'unsubscribe', sid }, OP_BYTES);
        this.#subscribed.delete(sid);
      },
    };
  }

  flush(): Promise<void> {
    if (this.isClosed) return Promise.reject(new Error('closed connection'));
    return this.#roundTrip();
  }

  closed(): Promise<Error | null> {
    return this.#ended.promise;
  }

  /** As the library does it: it waits for ever if the connection is lost meanwhile. */
  async drain(): Promise<void> {
    if (this.isClosed) throw new Error('closed connection');
    if (this.#isDraining) throw new Error('connection draining');
    this.#isDraining = true;
    for (const sid of this.#subscribed.keys()) this.#send({ kind: 'unsubscribe', sid }, OP_BYTES);
    await this.#roundTrip().catch(() => {});
    this.#subscribed.clear();
    this.#takesNoMore = true;
    await this.#roundTrip();
    await this.close();
  }

  close(): Promise<void> {
    this.#writer!.write();
    this.#finish(null);
    return Promise.resolve();
  }

  discard(): void {
    this.#writer?.drop();
    this.#stopPings();
    this.#end?.destroy('closed by the client');
    const error = new Error('connection disconnected');
    for (const { fail } of this.#roundTrips.splice(0)) fail(error);
  }

  #check(subject: string): void {
    if (this.isClosed) throw new Error('closed connection');
    if (subject === '' || /[ \n\r\t]/.test(subject)) throw new Error(`invalid subject: '${subject}'`); // prettier-ignore
  }

  #roundTrip(): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#ping({ done: resolve, fail: reject });
    return promise;
  }

  // ---- what the server sends ----------------------------------------------------------------------------

  onMessage(ops: Frame): void {
    for (const op of ops) {
      if (this.#end!.isCut) return;
      this.#take(op);
    }
  }

  onEnd(): void {
    this.#lost(this.#lastError);
  }

  onCut(why: string): void {
    this.#lost(/reset/.test(why) ? new Error('read ECONNRESET') : this.#lastError);
  }

  onRoom(): void {
    this.#handler?.onRoom();
  }

  #take(op: Frame[number]): void {
    switch (op.kind) {
      case 'deliver':
        this.#deliver(op.sid, op.packet);
        break;
      case 'pong':
        this.#roundTrips.shift()?.done();
        break;
      case 'ping':
        this.#send(PONG, OP_BYTES);
        this.#writer!.write();
        break;
      case 'info':
        this.#onInfo(op);
        break;
      case 'error':
        this.#onError(op.what);
        break;
      default: // Only clients send the others.
    }
  }

  #deliver(sid: number, packet: Packet): void {
    const subscribed = this.#subscribed.get(sid);
    if (subscribed !== undefined) this.#views.show(packet, subscribed.onMessage);
  }

  #onInfo(info: ServerInfo): void {
    const isFirst = this.#info === null;
    this.#info = info;
    if (isFirst) {
      this.#send({ kind: 'connect', ...this.#identity }, OP_BYTES);
      this.#ping({ done: () => this.#opened?.(null), fail: () => {} });
    } else if (info.isLameDuck) this.#handler?.onLameDuck();
  }

  #onError(what: string): void {
    const refused = readViolation(what);
    if (refused === null) this.#lastError = new Error(what);
    else this.#onRefused(what, refused);
    if (this.#opened !== null) this.#opened(new Error(what));
    else
      this.#handler?.onError(what, refused && { subject: refused.subject, queue: refused.queue });
  }

  /** Its subscriber is told, and is none any more. */
  #onRefused(what: string, refused: NonNullable<ReturnType<typeof readViolation>>): void {
    if (!refused.isSubscription) return;
    for (const one of this.#subscribed.values()) {
      if (one.subject !== refused.subject || one.queue !== refused.queue) continue;
      this.#subscribed.delete(one.sid);
      one.onMessage(new Error(what), {} as NatsMessage);
      return;
    }
  }

  // ---- what it sends ------------------------------------------------------------------------------------

  #send(op: ClientOp, bytes: number): void {
    this.#writer!.send(op, bytes);
  }

  #ping(roundTrip: RoundTrip): void {
    this.#roundTrips.push(roundTrip);
    this.#send(PING, OP_BYTES);
    this.#writer!.write();
  }

  #pingLater(): void {
    this.#stopPings = this.#node.after(PING_MS, () => {
      if (this.#pingsOut === PINGS_UNANSWERED_MAX) {
        this.#stale();
        return;
      }
      this.#pingsOut++;
      this.#ping({ done: () => (this.#pingsOut = 0), fail: () => {} });
      this.#pingLater();
    });
  }

  // ---- its end ------------------------------------------------------------------------------------------

  #stale(): void {
    this.#handler?.onStale();
    this.#finish(null);
  }

  #lost(error: Error | null): void {
    if (this.#opened !== null) this.#opened(error ?? new Error(ENDED));
    this.#finish(error);
  }

  #finish(error: Error | null): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.#stopPings();
    this.#writer!.drop();
    this.#end!.destroy('closed by the client');
    this.#ended.resolve(error);
  }
}
