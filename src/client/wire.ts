/** What every dialect does: how a connection is begun, what is sent and what is made of what comes. */
import type { ClientError } from './client-error.ts';
import type { ClientClock } from './clock.ts';
import type { Handshake, Kick } from './handshake.ts';
import type { Learned } from './learned.ts';
import type { Received } from './received.ts';

/** Which server this is for. Pinus speaks `pomelo`; `json` is Pith's own, over WebSocket alone. */
export type Dialect = 'pomelo' | 'pitaya' | 'nano' | 'json';

export type WireSettings = {
  readonly dialect: Dialect;
  readonly clock: ClientClock;
  /** What the client says of itself. */
  readonly sys: Readonly<Record<string, unknown>>;
  /** Of a packet's body, both ways; after inflating too. */
  readonly packetBytesMax: number;
  /** What servers have told before; filled by the handshake. */
  readonly learned: Learned;
};

export type WireEvents = {
  write(data: Uint8Array | string): void;
  onOpen(handshake: Handshake): void;
  /** The route of a request that waits; undefined: none does. */
  routeOf(id: number): string | undefined;
  onAnswer(id: number, answer: Received): void;
  onPush(push: Received): void;
  onKick(kick: Kick): void;
  /** A message that is lost, and nothing else. */
  onProblem(error: ClientError): void;
  /** The connection cannot go on. */
  onFault(error: ClientError): void;
};

export type Wire = {
  /** Sends the handshake. */
  hello(user: unknown): void;
  /**
   * A request, or a notify where `id` is 0.
   *
   * @throws {ClientError} BAD_ROUTE, BAD_BODY, TOO_LONG.
   */
  encode(id: number, route: string, body: unknown): Uint8Array | string;
  /** True: the body of a request to this route goes in pomelo-protobuf. */
  encodesProtobuf(route: string): boolean;
  /** Not called after `stop`. */
  receive(data: Uint8Array | string): void;
  /** Calls `fn` once all that was received has been read: now, or when it is inflated. */
  whenRead(fn: () => void): void;
  stop(): void;
};
