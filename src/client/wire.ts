/** What every dialect implements: the handshake, encoding what is sent, and decoding what is received. */
import type { ClientError } from './client-error.ts';
import type { ClientClock } from './clock.ts';
import type { Handshake, Kick } from './handshake.ts';
import type { DefinitionCache } from './definition-cache.ts';
import type { Received } from './received.ts';

/** The kind of server. Pinus speaks `pomelo`; `json` is Pith's own, over WebSocket only. */
export type Dialect = 'pomelo' | 'pitaya' | 'nano' | 'json';

export type WireSettings = {
  readonly dialect: Dialect;
  readonly clock: ClientClock;
  /** The handshake's `sys` block. */
  readonly sys: Readonly<Record<string, unknown>>;
  /** Largest body of a packet in bytes, both ways, and after inflating. */
  readonly packetBytesMax: number;
  /** What this server sent before; updated by the handshake. */
  readonly definitions: DefinitionCache;
};

/** What a connection reports to the client. */
export type ConnectionEvents = {
  onOpen(handshake: Handshake): void;
  /** The route of a pending request; undefined: there is no such request. */
  routeOf(id: number): string | undefined;
  onAnswer(id: number, answer: Received): void;
  onPush(push: Received): void;
  onKick(kick: Kick): void;
  /** A message was lost; the connection goes on. */
  onProblem(error: ClientError): void;
  /** Called once, last. */
  onEnd(error: ClientError): void;
};

/** What a wire needs from its connection. */
export type WireOutput = Omit<ConnectionEvents, 'onEnd'> & {
  write(data: Uint8Array | string): void;
  /** The connection cannot go on. */
  fail(error: ClientError): void;
};

export type Wire = {
  /** Sends the handshake. */
  sendHandshake(user: unknown): void;
  /**
   * A request, or a notify where `id` is 0.
   *
   * @throws {ClientError} BAD_ROUTE, BAD_BODY, TOO_LONG.
   */
  encode(id: number, route: string, body: unknown): Uint8Array | string;
  /** True if a body for this route is encoded as pomelo-protobuf. */
  encodesProtobuf(route: string): boolean;
  /** Not called after `stop`. */
  receive(data: Uint8Array | string): void;
  /** Calls `fn` once everything received has been decoded: now, or when it is inflated. */
  whenRead(fn: () => void): void;
  stop(): void;
};
