/**
 * One gRPC client to one address, and the HTTP/2 connection below it, which grpc-js keeps to itself: whether
 * anything comes on it, how to make the server say something, and how to end it.
 *
 * grpc-js's own keepalive is not used. It sends a PING at every interval while there is a call, and a Link is a call
 * that never ends; a stock server allows one in five minutes, and closes the connection at the third too many
 * [grpc-go http2_server.go handlePing, grpc-java KeepAliveEnforcer, C-core max_ping_strikes]. An empty SETTINGS
 * frame is asked with instead: whoever speaks HTTP/2 has to acknowledge it at once [RFC 9113 section 6.5.3], and no
 * server counts it as a ping.
 */
import { subscribe } from 'node:diagnostics_channel';
import type { ClientHttp2Session } from 'node:http2';
import {
  ChannelCredentials,
  type ChannelOptions,
  Client,
  connectivityState,
  credentials,
} from '@grpc/grpc-js';

import type { ClientTls } from '../../transport/pem.ts';

/** How an address is dialled. */
export type Dial = {
  /** As grpc-js takes it: `ipv4:127.0.0.1:9000`, `unix:/run/chat.sock`. */
  readonly address: string;
  /** `host:port` of the name that the address was found by, which the backend sees and its certificate bears; '': none. */
  readonly authority: string;
  /** null: in plain text. */
  readonly tls: ClientTls | null;
};

/**
 * Largest message from a backend: an answer fits in 16 MiB, and one that does not is refused alone, without the
 * connection that it came on. Beyond this the stream ends.
 */
export const RECEIVE_BYTES_MAX = 64 * 1024 * 1024;
/** Requests for a sign of life that are not acknowledged; no more are sent. */
const ASKED_MAX = 2;
/** [RFC 9113 section 7] */
const NO_ERROR = 0;
/** Bytes of a GOAWAY's debug data that go to the log. */
const GOAWAY_TEXT_BYTES_MAX = 64;
/** Finds the connection of a socket. */
const OWNER = Symbol('connection');

/** Of net or of tls. */
type Socket = ClientHttp2Session['socket'];
type Owned = { [OWNER]?: Connection };

export class Connection {
  readonly #dial: Dial;
  readonly #more: ChannelOptions;
  #client: Client;
  /** Of the newest attempt, until it is lost. */
  #socket: Socket | null = null;
  #session: ClientHttp2Session | null = null;
  #asked = 0;
  /** Called when the server takes no more calls on the present connection. */
  onGoaway: (why: string) => void = () => {};
  /** Called for each connection with the number of concurrent streams that the server allows. */
  onStreamsMax: (max: number) => void = () => {};

  /** @throws if the certificates are invalid; check them beforehand with `credentialsOf`. */
  constructor(dial: Dial, more: ChannelOptions = {}) {
    this.#dial = dial;
    this.#more = more;
    this.#client = this.#open();
  }

  /** Another one after `renew`. */
  get client(): Client {
    return this.#client;
  }

  /** There is a connection that takes calls. */
  get isReady(): boolean {
    return this.#client.getChannel().getConnectivityState(false) === connectivityState.READY;
  }

  /** Bytes that have come on the connection that is there; 0 without one. */
  get heard(): number {
    return this.#socket?.bytesRead ?? 0;
  }

  /** Makes the server say something. */
  ask(): void {
    const session = this.#session;
    if (session === null || session.destroyed || this.#asked >= ASKED_MAX) return;
    this.#asked++;
    session.settings({}, () => {
      if (this.#session === session) this.#asked--;
    });
  }

  /** Ends the connection, and fails what is in flight on it. The next call makes another. */
  drop(): void {
    this.#socket?.destroy();
  }

  /** Aborts an attempt to connect; the next call starts another. */
  renew(): void {
    const before = this.#client;
    this.drop();
    this.#socket = null;
    this.#session = null;
    this.#client = this.#open();
    before.close();
  }

  /** Calls `onLost` once, when there is no connection any more, or the server takes no new calls on it. */
  watch(onLost: () => void): void {
    if (this.isReady)
      this.#client.getChannel().watchConnectivityState(connectivityState.READY, Infinity, onLost);
    else onLost();
  }

  close(): void {
    this.#client.close();
  }

  /** A socket is connected, and will be the connection. */
  onSocket(socket: Socket): void {
    this.#socket = socket;
    this.#session = null;
    this.#asked = 0;
  }

  /** A stream was opened. */
  onSession(session: ClientHttp2Session): void {
    if (this.#session === session) return;
    this.#session = session;
    session.on('goaway', (code, _lastStream, data) => {
      // After an error the connection ends on its own.
      if (this.#session === session && code === NO_ERROR) this.onGoaway(textOf(data));
    });
    // The call whose stream this is does not know of it yet, and could not be cancelled.
    setImmediate(() => {
      if (!session.destroyed)
        this.onStreamsMax(session.remoteSettings.maxConcurrentStreams ?? Infinity);
    });
  }

  #open(): Client {
    const { address, authority, tls } = this.#dial;
    return new Client(address, new OwnCredentials(credentialsOf(tls), this), {
      ...namesOf(authority),
      'grpc.enable_channelz': 0,
      'grpc.max_receive_message_length': RECEIVE_BYTES_MAX,
      // Each address is tried by us, at our pace; the channel itself should not wait longer.
      'grpc.initial_reconnect_backoff_ms': 100,
      'grpc.max_reconnect_backoff_ms': 1_000,
      // Nobody may ask for retries: a request goes out once. Only what the server has refused unread, as it does while
      // it says goodbye, goes to the next connection.
      'grpc.service_config_disable_resolution': 1,
      // An address is one backend: its channel must not be shared with another upstream's.
      'grpc.use_local_subchannel_pool': 1,
      ...this.#more,
    });
  }
}

/** The credentials that it is given; it only notes which socket they were used on. */
class OwnCredentials extends ChannelCredentials {
  readonly #inner: ChannelCredentials;
  readonly #owner: Connection;

  constructor(inner: ChannelCredentials, owner: Connection) {
    super();
    this.#inner = inner;
    this.#owner = owner;
  }

  _isSecure(): boolean {
    return this.#inner._isSecure();
  }

  _equals(other: ChannelCredentials): boolean {
    return this === other;
  }

  override _createSecureConnector(
    ...args: Parameters<ChannelCredentials['_createSecureConnector']>
  ): ReturnType<ChannelCredentials['_createSecureConnector']> {
    const inner = this.#inner._createSecureConnector(...args);
    const owner = this.#owner;
    return {
      connect: async (socket) => {
        // Before the handshake of TLS, which may hang as well.
        owner.onSocket(socket);
        const connected = await inner.connect(socket);
        owner.onSocket(connected.socket);
        (connected.socket as Owned)[OWNER] = owner;
        return connected;
      },
      waitForReady: () => inner.waitForReady(),
      getCallCredentials: () => inner.getCallCredentials(),
      destroy: () => {
        inner.destroy();
      },
    };
  }
}

// The one public way to the session of a stream that somebody else opens. [nodejs.org/api/diagnostics_channel.html]
subscribe('http2.client.stream.created', (message) => {
  const { session } = (message as { stream: { session?: ClientHttp2Session } }).stream;
  // The socket of an ended session is not accessible; one of another library has no owner.
  if (session === undefined || session.destroyed) return;
  (session.socket as Owned)[OWNER]?.onSession(session);
});

/** What a server says for people to read, as `max_age`. */
function textOf(data: Uint8Array | undefined): string {
  return Buffer.from(data ?? [])
    .toString('latin1', 0, GOAWAY_TEXT_BYTES_MAX)
    .replace(/[^ -~]/g, '?');
}

/** @throws what OpenSSL, or grpc-js, says of invalid certificates. */
export function credentialsOf(tls: ClientTls | null): ChannelCredentials {
  if (tls === null) return credentials.createInsecure();
  const pem = (text?: string): Buffer | null => (text === undefined ? null : Buffer.from(text));
  return credentials.createSsl(pem(tls.ca), pem(tls.key), pem(tls.cert));
}

/** The address that is dialled is a number, which says nothing to a mesh and stands in no certificate. */
function namesOf(authority: string): ChannelOptions {
  if (authority === '') return {};
  const host = authority.replace(/:\d+$/, '').replace(/^\[|\]$/g, '');
  return { 'grpc.default_authority': authority, 'grpc.ssl_target_name_override': host };
}
