/** What an application may set, with the defaults. */
import type { ReconnectOptions } from './backoff.ts';
import { type ClientClock, NUMBER_MAX, realClock } from './clock.ts';
import type { ClientCache } from './learned.ts';
import { PACKET_BYTES_MAX } from './packets.ts';
import type { Dial } from './transport.ts';
import { webSocket } from './websocket.ts';
import type { Dialect } from './wire.ts';

/** Numbers are 1 to `NUMBER_MAX`. */
export type ClientOptions = {
  /** Which server this is for: `pomelo` (Pinus too), `pitaya`, `nano`, or Pith's own `json`. Default `pomelo`. */
  readonly dialect?: Dialect;
  /** What carries the bytes: default `webSocket()`; `tcp()` of `pith/client/tcp` for tcp:// and tls://. */
  readonly dial?: Dial;
  /** The handshake's `user` block, or a function that gives it at each connection, maybe by a promise. Default {}. */
  readonly user?: unknown;
  /** Goes into the handshake's `sys`, before what the client says of itself: `{ type: 'js-websocket' }`. */
  readonly sys?: Readonly<Record<string, unknown>>;
  /** For the connection and its handshake, together. In ms; default 10000. */
  readonly connectTimeoutMs?: number;
  /** For each answer. In ms; default 15000, more than a gateway's own default of ten seconds. */
  readonly timeoutMs?: number;
  /** Coming back after a loss; false: never. Default: on, see `ReconnectOptions`. */
  readonly reconnect?: ReconnectOptions | false;
  /** Bodies are given as the bytes that came, neither parsed nor decoded. Default false. */
  readonly raw?: boolean;
  /**
   * Answers whose body has a number `code` of 400 or more and a string `reason` reject, as Pith's errors have both.
   * Default false: in Pomelo a code in an answer is the application's, and answers come as they are.
   */
  readonly throwOnError?: boolean;
  /** Keeps a server's dictionary and protobuf definitions between runs. Default: only between connections. */
  readonly cache?: ClientCache;
  /** Requests that may wait for an answer at once; one more fails. Default 256. */
  readonly inFlightMax?: number;
  /** Bytes that may wait to be sent; a message on top of that fails, unless none wait. Default 1048576. */
  readonly bufferedBytesMax?: number;
  /** The body of one packet, both ways, and of a compressed one when inflated. Default 16777215, which is the most. */
  readonly packetBytesMax?: number;
  /** Time, for tests. */
  readonly clock?: ClientClock;
};

export type Options = Required<Omit<ClientOptions, 'cache' | 'user'>> &
  Pick<ClientOptions, 'cache' | 'user'>;

/** With the defaults. Throws a RangeError for a number that is out of its range. */
export function withDefaults(options: ClientOptions): Options {
  const all: Options = {
    dialect: 'pomelo',
    dial: webSocket(),
    sys: {},
    connectTimeoutMs: 10_000,
    timeoutMs: 15_000,
    reconnect: {},
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

/** Throws a RangeError that names what is out of its range. */
export function expectInRange(name: string, value: number): void {
  if (value >= 1 && value <= NUMBER_MAX) return;
  throw new RangeError(`${name} is ${value}, not 1 to ${NUMBER_MAX}`);
}
