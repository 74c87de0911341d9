/** One gRPC channel to one address: opens a Link, makes Handle, Connect and Closed calls, all in raw bytes. */
import {
  type ChannelCredentials,
  type ChannelOptions,
  Client,
  type ClientDuplexStream,
  type ClientReadableStream,
  type ClientUnaryCall,
  connectivityState,
  credentials,
  Metadata,
  type requestCallback,
} from '@grpc/grpc-js';

const LINK = '/pith.v1.Backend/Link';
const HANDLE = '/pith.v1.Backend/Handle';
const CONNECT = '/pith.v1.Backend/Connect';
const CLOSED = '/pith.v1.Backend/Closed';
const WATCH = '/grpc.health.v1.Health/Watch';
/** Largest message from a backend: one turn's frames. */
const MESSAGE_BYTES_MAX = 16 * 1024 * 1024;
/** A HealthCheckRequest for the whole server, which is the service ''. */
const WHOLE_SERVER = Buffer.alloc(0);

export type LinkStream = ClientDuplexStream<Buffer, Buffer>;
export type HealthStream = ClientReadableStream<Buffer>;

/** TLS towards a backend, as PEM text; '' where there is none. */
export type BackendTls = {
  /** '': the system's authorities. */
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
};

/** How an address is dialled. */
export type Dial = {
  /** As grpc-js takes it: `ipv4:127.0.0.1:9000`, `unix:/run/chat.sock`. */
  readonly address: string;
  /** `host:port` of the name that the address was found by, which the backend sees and its certificate bears; '': none. */
  readonly authority: string;
  /** null: in plain text. */
  readonly tls: BackendTls | null;
  readonly metadata: Readonly<Record<string, string>>;
};

const raw = (bytes: Buffer): Buffer => bytes;

export class Channel {
  readonly #client: Client;
  readonly #metadata: Metadata;

  /** @throws when the certificates are none; check them beforehand with `credentialsOf`. */
  constructor({ address, authority, tls, metadata }: Dial) {
    this.#client = new Client(address, credentialsOf(tls), {
      ...namesOf(authority),
      'grpc.enable_channelz': 0,
      'grpc.max_receive_message_length': MESSAGE_BYTES_MAX,
      // Each address is tried by us, at our pace; the channel itself should not wait longer.
      'grpc.initial_reconnect_backoff_ms': 100,
      'grpc.max_reconnect_backoff_ms': 1_000,
      // An address is one backend: its channel must not be shared with another upstream's.
      'grpc.use_local_subchannel_pool': 1,
    });
    this.#metadata = new Metadata();
    for (const [name, value] of Object.entries(metadata)) this.#metadata.set(name, value);
  }

  openLink(): LinkStream {
    return this.#client.makeBidiStreamRequest(LINK, raw, raw, this.#metadata);
  }

  watchHealth(): HealthStream {
    return this.#client.makeServerStreamRequest(WATCH, raw, raw, WHOLE_SERVER, this.#metadata);
  }

  /** @param deadline Milliseconds since the epoch; travels as grpc-timeout. */
  handle(request: Buffer, deadline: number, done: requestCallback<Buffer>): ClientUnaryCall {
    return this.#unary(HANDLE, request, deadline, done);
  }

  connect(request: Buffer, deadline: number, done: requestCallback<Buffer>): ClientUnaryCall {
    return this.#unary(CONNECT, request, deadline, done);
  }

  closed(event: Buffer, deadline: number, done: requestCallback<Buffer>): void {
    this.#unary(CLOSED, event, deadline, done);
  }

  #unary(
    method: string,
    message: Buffer,
    deadline: number,
    done: requestCallback<Buffer>,
  ): ClientUnaryCall {
    const options = { deadline };
    return this.#client.makeUnaryRequest(method, raw, raw, message, this.#metadata, options, done);
  }

  /** Resolves when the address can be reached; rejects after `deadline`. */
  ready(deadline: number): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#client.waitForReady(deadline, (error) => {
        if (error) reject(error);
        else resolve();
      });
    });
  }

  /** Calls `onLost` once, when there is no connection any more. */
  watch(onLost: () => void): void {
    const channel = this.#client.getChannel();
    if (channel.getConnectivityState(false) !== connectivityState.READY) onLost();
    else channel.watchConnectivityState(connectivityState.READY, Infinity, onLost);
  }

  close(): void {
    this.#client.close();
  }
}

/** @throws what OpenSSL, or grpc-js, says of certificates that are none. */
export function credentialsOf(tls: BackendTls | null): ChannelCredentials {
  if (tls === null) return credentials.createInsecure();
  const pem = (text: string): Buffer | null => (text === '' ? null : Buffer.from(text));
  return credentials.createSsl(pem(tls.ca), pem(tls.key), pem(tls.cert));
}

/** The address that is dialled is a number, which says nothing to a mesh and stands in no certificate. */
function namesOf(authority: string): ChannelOptions {
  if (authority === '') return {};
  const host = authority.replace(/:\d+$/, '').replace(/^\[|\]$/g, '');
  return { 'grpc.default_authority': authority, 'grpc.ssl_target_name_override': host };
}
