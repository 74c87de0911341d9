/** The options of the client and of its requests, with their defaults. */
import type { ReconnectOptions } from './backoff.ts';
import { type ClientClock, NUMBER_MAX, realClock } from './clock.ts';
import type { ClientCache } from './definition-cache.ts';
import { PACKET_BYTES_MAX } from './packets.ts';
import type { Dial } from './transport.ts';
import { webSocket } from './websocket.ts';
import type { Dialect } from './wire.ts';

/** Numbers range from 1 to 2147483647. */
export type ClientOptions = {
  /** The kind of server: `pomelo` (also for Pinus), `pitaya`, `nano`, or Pith's own `json`. Default `pomelo`. */
  readonly dialect?: Dialect;
  /** The transport. Default `webSocket()`; for tcp:// and tls:// use `tcp()` from `pith/client/tcp`. */
  readonly dial?: Dial;
  /** The handshake's `user` block, or a function (also async) that returns it for each connection. Default {}. */
  readonly user?: unknown;
  /** Merged into the handshake's `sys`, overriding the client's own keys: `{ type: 'js-websocket' }`. */
  readonly sys?: Readonly<Record<string, unknown>>;
  /** Milliseconds for the connection and its handshake together. Default 10000. */
  readonly connectTimeoutMs?: number;
  /** Milliseconds for each answer. Default 15000, which is longer than a gateway's own default of ten seconds. */
  readonly timeoutMs?: number;
  /** Reconnecting after a loss; false: never. Default: on, see `ReconnectOptions`. */
  readonly reconnect?: ReconnectOptions | false;
  /** Come back to the same session after a loss, without a new login, where Pith's `sessions.resume` is on. Default true. */
  readonly resume?: boolean;
  /** Return bodies as the bytes that came, neither parsed nor decoded. Default false. */
  readonly raw?: boolean;
  /**
   * Reject on answers whose body has a numeric `code` of 400 or more and a string `reason`, as Pith's errors have.
   * Default false: in Pomelo a `code` in an answer belongs to the application.
   */
  readonly throwOnError?: boolean;
  /** Keeps a server's dictionary and protobuf definitions between runs. Default: only between connections. */
  readonly cache?: ClientCache;
  /** Most pending requests; one more fails. Default 256. */
  readonly inFlightMax?: number;
  /** Most unsent bytes; a message beyond that fails, unless nothing is unsent. Default 1048576. */
  readonly bufferedBytesMax?: number;
  /** Bytes of a packet's body, both ways, and after inflating. Default 16777215, which is the maximum. */
  readonly packetBytesMax?: number;
  /** Replaces the clock, for tests. */
  readonly clock?: ClientClock;
};

/** Of one request; what is absent is as for all. */
export type RequestOptions = {
  /** Milliseconds. Default: the client's. */
  readonly timeoutMs?: number;
  /** Stops waiting; the promise rejects with the signal's reason. What was sent cannot be taken back. */
  readonly signal?: AbortSignal;
  /** Default: the client's. */
  readonly raw?: boolean;
  /** Default: the client's. */
  readonly throwOnError?: boolean;
};

export type Options = Required<Omit<ClientOptions, 'cache' | 'user'>> &
  Pick<ClientOptions, 'cache' | 'user'>;

/** Adds the defaults. @throws {RangeError} A number is out of range. */
export function withDefaults(options: ClientOptions): Options {
  const all: Options = {
    dialect: 'pomelo',
    dial: webSocket(),
    sys: {},
    connectTimeoutMs: 10_000,
    timeoutMs: 15_000,
    reconnect: {},
    resume: true,
    raw: false,
    throwOnError: false,
    inFlightMax: 256,
    bufferedBytesMax: 1_048_576,
    packetBytesMax: PACKET_BYTES_MAX,
    clock: realClock,
    ...options,
  };
  for (const [name, value] of Object.entries(all)) {
    if (typeof value === 'number') expectInRange(name, value);
  }
  return all;
}

/** @throws {RangeError} Names the option that is out of range. */
export function expectInRange(name: string, value: number): void {
  if (value >= 1 && value <= NUMBER_MAX) return;
  throw new RangeError(`${name} is ${value}; expected 1 to ${NUMBER_MAX}`);
}
