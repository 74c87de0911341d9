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
  type ClientUnaryCall,
  credentials,
  type Metadata,
  status,
} from '@grpc/grpc-js';

import type { ClientTls } from '../../transport/pem.ts';
import type {
  CallStatus,
  ConnectGrpc,
  ConnectionOwner,
  ConnectionState,
  Dial,
  GrpcConnection,
  MessageSource,
  MessageStream,
  OnAnswer,
  UnaryRequest,
} from './grpc-connection.ts';

/** Requests for a sign of life that are not acknowledged; no more are sent. */
const ASKED_MAX = 2;
/** [RFC 9113 section 7] */
const NO_ERROR = 0;
/** Bytes of a GOAWAY's debug data that go to the log. */
const GOAWAY_TEXT_BYTES_MAX = 64;
/** Finds the connection of a socket. */
const OWNER = Symbol('connection');
/** What grpc-js calls the peer of a call that has never begun. */
const NO_PEER = 'unknown';

/** Of net or of tls. */
type Socket = ClientHttp2Session['socket'];
type Owned = { [OWNER]?: Connection };

/** By grpc-js's numbers. */
const STATES: readonly ConnectionState[] = ['idle', 'connecting', 'ready', 'failing', 'closed'];
const raw = (bytes: Buffer): Buffer => bytes;

export const connectGrpc: ConnectGrpc = (dial, owner) => new Connection(dial, owner);

class Connection implements GrpcConnection {
  readonly #dial: Dial;
  readonly #owner: ConnectionOwner;
  /** Another one after `renew`. */
  #client: Client;
  /** Of the newest attempt, until it is lost. */
  #socket: Socket | null = null;
  #session: ClientHttp2Session | null = null;
  /** Its server takes no more calls on it, and ends it when those that are there have ended. */
  #isEnding = false;
  #asked = 0;

  constructor(dial: Dial, owner: ConnectionOwner) {
    this.#dial = dial;
    this.#owner = owner;
    this.#client = this.#open();
  }

  unary(
    path: string,
    message: Buffer,
    metadata: Metadata,
    deadline: number,
    onAnswer: OnAnswer,
  ): UnaryRequest {
    const options = { deadline };
    return this.#client.makeUnaryRequest(path, raw, raw, message, metadata, options, onAnswer);
  }

  serverStream(path: string, message: Buffer, metadata: Metadata, deadline: number): MessageSource {
    return this.#client.makeServerStreamRequest(path, raw, raw, message, metadata, { deadline });
  }

  bidiStream(path: string, metadata: Metadata, deadline: number): MessageStream {
    return this.#client.makeBidiStreamRequest(path, raw, raw, metadata, { deadline });
  }

  get isReady(): boolean {
    return this.state(false) === 'ready';
  }

  state(connects: boolean): ConnectionState {
    return STATES[this.#client.getChannel().getConnectivityState(connects)]!;
  }

  watchState(from: ConnectionState, until: number, onChange: (isLate: boolean) => void): void {
    this.#client.getChannel().watchConnectivityState(STATES.indexOf(from), until, (late) => {
      onChange(late !== undefined);
    });
  }

  get heard(): number {
    return this.#socket?.bytesRead ?? 0;
  }

  ask(): void {
    const session = this.#session;
    if (session === null || session.destroyed || this.#asked >= ASKED_MAX) return;
    this.#asked++;
    session.settings({}, () => {
      if (this.#session === session) this.#asked--;
    });
  }

  /** A frame that has to be acknowledged, as for `ask`, behind what left before. */
  roundTrip(done: () => void): void {
    const session = this.#session;
    if (session === null || session.destroyed) {
      done();
      return;
    }
    session.settings({}, (error) => {
      if (error === null) done();
    });
  }

  /** Where no stream was opened, grpc-js names the target instead of a peer. Its words may be a server's own as well. */
  isUnsent(request: UnaryRequest | MessageSource, { code }: CallStatus): boolean {
    if (code !== status.UNAVAILABLE) return false;
    const peer = (request as ClientUnaryCall).getPeer();
    return peer === NO_PEER || peer === this.#client.getChannel().getTarget();
  }

  renew(): void {
    const before = this.#client;
    if (!this.#isEnding) this.#socket?.destroy();
    this.#socket = null;
    this.#session = null;
    this.#client = this.#open();
    before.close();
  }

  close(): void {
    this.#client.close();
  }

  /** A socket is connected, and will be the connection. */
  onSocket(socket: Socket): void {
    this.#socket = socket;
    this.#session = null;
    this.#isEnding = false;
    this.#asked = 0;
  }

  /** A stream was opened. */
  onSession(session: ClientHttp2Session): void {
    if (this.#session === session) return;
    this.#session = session;
    session.on('goaway', (code, _lastStream, data) => {
      // After an error the connection ends on its own.
      if (this.#session !== session || code !== NO_ERROR) return;
      this.#isEnding = true;
      this.#owner.http2Goaway(textOf(data));
    });
    // The call whose stream this is does not know of it yet, and could not be cancelled.
    setImmediate(() => {
      if (!session.destroyed)
        this.#owner.streamsMax(session.remoteSettings.maxConcurrentStreams ?? Infinity);
    });
  }

  #open(): Client {
    const { address, authority, tls, receiveBytesMax } = this.#dial;
    return new Client(address, new OwnCredentials(credentialsOf(tls), this), {
      ...namesOf(authority),
      'grpc.enable_channelz': 0,
      'grpc.max_receive_message_length': receiveBytesMax,
      // Each address is tried by us, at our pace; the channel itself should not wait longer.
      'grpc.initial_reconnect_backoff_ms': 100,
      'grpc.max_reconnect_backoff_ms': 1_000,
      // Nobody may ask for retries: a request goes out once. Only what the server has refused unread, as it does while
      // it says goodbye, goes to the next connection.
      'grpc.service_config_disable_resolution': 1,
      // An address is one backend: its channel must not be shared with another upstream's.
      'grpc.use_local_subchannel_pool': 1,
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
