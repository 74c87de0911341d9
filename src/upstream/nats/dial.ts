/** Makes a connection to NATS with the client library, which nothing else uses. */
import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import type { PeerCertificate } from 'node:tls';
import {
  type ConnectionOptions,
  credsAuthenticator,
  NatsConnectionImpl,
  type NodeConnectionOptions,
  nkeyAuthenticator,
  PermissionViolationError,
  setTransportFactory,
  type Status,
  type SubscriptionOptions,
} from 'nats';
import { nodeResolveHost, NodeTransport } from 'nats/lib/node_transport.js';

import { inBackground } from '../../background.ts';
import { errorText } from '../../errors.ts';
import type { TurnShare } from '../../turn-share.ts';
import {
  type DialledServer,
  identityError,
  namesOf,
  tlsTrouble,
  NO_CERTIFICATE,
} from './dial-tls.ts';
import {
  type DialOptions,
  ENDED,
  type NatsConnection,
  type NatsConnectionHandler,
  type NatsPublishOptions,
  type NatsRefusal,
  type NatsSubscription,
  type OnMessage,
} from './nats-connection.ts';
import { PublishBatch } from './publish-batch.ts';

/** How long one server may take to accept the connection. */
const CONNECT_MS_MAX = 5_000;
/** A server that stops answering is noticed within three times this. */
const PING_INTERVAL_MS = 2_500;
const PINGS_UNANSWERED_MAX = 2;

/** What the server takes until it has announced another size. */
const PAYLOAD_BYTES_MAX = 1_048_576;
/** What has come is handled in pieces of at most so many bytes: about ten messages. */
const PIECE_BYTES_MAX = 1_024;
/** The same within one large message. */
const BODY_PIECE_BYTES_MAX = 4_096;
/** A turn that publishes more gives the library a part of it before its end. */
const BATCH_BYTES_AIM = 65_536;
/** So many bytes cost as much as a message. */
const BYTES_PER_MESSAGE = 16_384;

/** See `DialNats`. Bounded in time: each server may take 5 s. */
export async function dialNats(
  options: DialOptions,
  servers: readonly string[],
): Promise<NatsConnection> {
  const transports: PacedTransport[] = [];
  // As the library's own `connect` does it, but sockets are kept track of: the library forgets silent ones.
  setTransportFactory({
    factory: () => {
      const transport = new PacedTransport(options);
      transports.push(transport);
      return transport;
    },
    dnsResolveFn: nodeResolveHost,
  });
  try {
    const nc = await NatsConnectionImpl.connect(connectionOptions(options, servers));
    const connection = new LibraryConnection(nc as NatsConnectionImpl);
    for (const transport of transports) transport.connection = connection;
    return connection;
  } catch (error) {
    for (const transport of transports) transport.discard();
    // It then ends the connection without a reason that arrives.
    const isLacking =
      tlsTrouble(error) === '' &&
      transports.at(-1)?.wantsCertificate === true &&
      options.tls?.read().cert === undefined;
    throw new Error(isLacking ? NO_CERTIFICATE : reasonOf(error), { cause: error });
  }
}

/**
 * Hands on what has come a part in each turn of the event loop, in its order. While something waits nothing is read
 * from the socket: the server keeps the rest, so no more waits here than was read at once, 64 KiB.
 */
class PacedTransport extends NodeTransport {
  connection: LibraryConnection | null = null;
  readonly #share: TurnShare | undefined;
  /** Empty: no TLS of ours. */
  readonly #hosts: readonly string[];

  constructor({ share, tls }: DialOptions) {
    super();
    this.#share = share;
    this.#hosts = tls?.hosts ?? [];
  }

  /** The server has said that it wants a certificate of ours. */
  wantsCertificate = false;

  override async peekInfo() {
    const info = await super.peekInfo();
    this.wantsCertificate = (info as { tls_verify?: boolean }).tls_verify === true;
    return info;
  }

  override connect(server: DialledServer & { port: number }, options: ConnectionOptions) {
    if (!options.tls) return super.connect(server, options);
    const names = namesOf(server, this.#hosts);
    const servername = names.find((name) => isIP(name) === 0);
    // By default an address would be taken for `localhost`.
    const identity = {
      checkServerIdentity: (_: string, certificate: PeerCertificate) =>
        identityError(names, certificate),
      ...(servername !== undefined && { servername }),
    };
    return super.connect(server, { ...options, tls: { ...options.tls, ...identity } });
  }

  override async *iterate(): AsyncIterableIterator<Uint8Array> {
    const share = this.#share;
    if (share === undefined) {
      yield* super.iterate();
      return;
    }
    let pieceBytesMax = PIECE_BYTES_MAX;
    for await (const chunk of super.iterate()) {
      let isPaused = false;
      for (let at = 0; at < chunk.length;) {
        const before = this.connection?.messagesIn ?? 0;
        const piece = chunk.subarray(at, at + pieceBytesMax);
        at += piece.length;
        yield piece;
        // By now its messages are handled.
        const messages = (this.connection?.messagesIn ?? 0) - before;
        const isBody = messages === 0 && piece.length >= PIECE_BYTES_MAX;
        pieceBytesMax = isBody ? BODY_PIECE_BYTES_MAX : PIECE_BYTES_MAX;
        share.spend(messages + piece.length / BYTES_PER_MESSAGE);
        if (!share.isSpent) continue;
        // Until all of it is handled, so that the end of the connection does not come before what came in time.
        if (!isPaused) this.socket.pause();
        isPaused = true;
        await share.turn();
        if (this.done) return;
        // Its answer to a ping may wait behind much that comes before.
        this.connection?.heard();
      }
      if (isPaused) this.socket.resume();
    }
  }
}

class LibraryConnection implements NatsConnection {
  readonly server: string;
  otherServers: readonly string[] = [];
  readonly #nc: NatsConnectionImpl;
  readonly #batch = new PublishBatch();
  #publishedBytes = 0;

  constructor(nc: NatsConnectionImpl) {
    this.#nc = nc;
    this.server = nc.getServer();
    this.#remember();
  }

  /** Messages that have come. */
  get messagesIn(): number {
    return this.#nc.protocol.inMsgs;
  }

  /** The server is alive: it has as much time for its next answer as if it had just answered. */
  heard(): void {
    if (!this.isClosed) this.#nc.protocol.heartbeats.start();
  }

  get serverVersion(): string {
    return this.#nc.info?.version ?? '';
  }

  get payloadBytesMax(): number {
    return this.#nc.info?.max_payload ?? PAYLOAD_BYTES_MAX;
  }

  get isClosed(): boolean {
    return this.#nc.isClosed();
  }

  get receivedBytes(): number {
    return this.#nc.protocol.inBytes;
  }

  get publishedBytes(): number {
    return this.#publishedBytes;
  }

  get unsentBytes(): number {
    const { protocol } = this.#nc;
    const given = protocol.outbound.size() + (socketOf(this.#nc)?.writableLength ?? 0);
    return this.#batch.bytes + given;
  }

  listen(handler: NatsConnectionHandler): void {
    inBackground(this.#follow(handler), (error) => {
      handler.onError(errorText(error), null);
    });
    socketOf(this.#nc)?.on('drain', () => {
      handler.onRoom();
    });
  }

  publish(
    subject: string,
    payload: Uint8Array,
    { reply = '', headers }: NatsPublishOptions = {},
  ): void {
    const { protocol } = this.#nc;
    if (this.isClosed || protocol.noMorePublishing) throw new Error(ENDED);
    if (this.#batch.bytes === 0) queueMicrotask(this.#sendBatch);
    this.#publishedBytes += this.#batch.add(subject, payload, reply, headers, this.payloadBytesMax);
    if (this.#batch.bytes > BATCH_BYTES_AIM) this.#sendBatch();
  }

  /** Before anything else that the library sends, which keeps the order. Guarded by test/integration/nats.test.ts. */
  readonly #sendBatch = (): void => {
    if (this.#batch.bytes > 0) this.#nc.protocol.sendCommand(this.#batch.take());
  };

  subscribe(subject: string, onMessage: OnMessage, queue: string): NatsSubscription {
    const callback = onMessage as unknown as NonNullable<SubscriptionOptions['callback']>;
    this.#sendBatch();
    const made = this.#nc.subscribe(subject, { callback, ...(queue !== '' && { queue }) });
    return {
      unsubscribe: () => {
        this.#sendBatch();
        made.unsubscribe();
      },
    };
  }

  flush(): Promise<void> {
    this.#sendBatch();
    return this.#nc.flush();
  }

  async closed(): Promise<Error | null> {
    return (await this.#nc.closed()) ?? null;
  }

  drain(): Promise<void> {
    this.#sendBatch();
    return this.#nc.drain();
  }

  close(): Promise<void> {
    this.#sendBatch();
    return this.#nc.close();
  }

  discard(): void {
    const { protocol } = this.#nc;
    protocol.heartbeats.cancel();
    protocol.resetOutbound();
    protocol.transport.discard();
  }

  /** Follows what the server says about itself while the connection lasts. */
  async #follow(handler: NatsConnectionHandler): Promise<void> {
    for await (const status of this.#nc.status()) {
      this.#remember();
      await this.#onStatus(status, handler);
    }
  }

  async #onStatus(status: Status, handler: NatsConnectionHandler): Promise<void> {
    if (status.type === 'staleConnection') {
      handler.onStale();
      // The library would wait until everything unsent has been sent.
      await this.#nc.close();
    } else if (status.type === 'ldm') {
      handler.onLameDuck();
    } else if (status.type === 'error') {
      handler.onError(status.error.message, refusalOf(status.error));
    }
  }

  #remember(): void {
    this.otherServers = this.#nc.info?.connect_urls ?? this.otherServers;
  }
}

/** undefined when the connection no longer has one. */
function socketOf(nc: NatsConnectionImpl): NodeTransport['socket'] | undefined {
  return (nc.protocol.transport as NodeTransport).socket;
}

function refusalOf(error: Error): NatsRefusal | null {
  if (!(error instanceof PermissionViolationError)) return null;
  return { subject: error.subject, queue: error.queue ?? '' };
}

/** The reason, as an operator can act on it. */
function reasonOf(error: unknown): string {
  const trouble = tlsTrouble(error);
  if (trouble !== '') return trouble;
  const text = errorText(error ?? '');
  return text === '' || text.includes('undefined error') ? ENDED : text;
}

function connectionOptions(
  options: DialOptions,
  servers: readonly string[],
): NodeConnectionOptions {
  const authenticator = [];
  // Read for each connection: a file that is renewed counts from the next one on.
  if (options.creds !== '') authenticator.push(credsAuthenticator(readFileSync(options.creds)));
  if (options.nkey !== '') authenticator.push(nkeyAuthenticator(Buffer.from(options.nkey)));
  const { tls } = options;
  return {
    servers: [...servers],
    // Configured servers come before those that a server has named.
    noRandomize: true,
    name: ['pith', options.gatewayId, options.name ?? ''].filter((part) => part !== '').join('/'),
    inboxPrefix: options.inboxPrefix,
    // The gateway's own pushes to all gateways must not come back to it.
    noEcho: true,
    // The gateway itself makes a new connection in place of one that ended: nothing old is left in it.
    reconnect: false,
    timeout: CONNECT_MS_MAX,
    pingInterval: PING_INTERVAL_MS,
    maxPingOut: PINGS_UNANSWERED_MAX,
    // Capturing a stack for each request would be the most expensive thing that the gateway does.
    noAsyncTraces: true,
    ...(options.user !== '' && { user: options.user, pass: options.password }),
    ...(options.token !== '' && { token: options.token }),
    ...(tls && { tls: { ...tls.read(), handshakeFirst: tls.handshakeFirst } }),
    ...(authenticator.length > 0 && { authenticator }),
  };
}
