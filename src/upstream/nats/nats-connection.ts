/** One connection to nats-server, as the gateway uses it. */
import type { ClientTls } from '../../transport/pem.ts';
import type { TurnShare } from '../../turn-share.ts';

/** TLS towards the servers. */
export type NatsTls = {
  /** Reads authorities, certificate and key, for each connection: files that were renewed count from the next one on. */
  readonly read: () => ClientTls;
  /** True: the server speaks TLS from its first byte on (`handshake_first`). */
  readonly handshakeFirst: boolean;
  /** Hosts of the servers in the configuration. */
  readonly hosts: readonly string[];
};

/** How the gateway introduces itself to nats-server. */
export type DialOptions = {
  readonly gatewayId: string;
  /** Of this connection, where the gateway has several; absent or '': it has one. */
  readonly name?: string | undefined;
  readonly inboxPrefix: string;
  /** Path of a credentials file; '' for none. So with the others. */
  readonly creds: string;
  readonly user: string;
  readonly password: string;
  readonly token: string;
  readonly nkey: string;
  /** Absent: TLS where the server asks for it, with the system's authorities. */
  readonly tls?: NatsTls | undefined;
  /** What a turn of the event loop may do of what has come; absent: all of it. */
  readonly share?: TurnShare | undefined;
};

/**
 * Tries `servers` in this order until one accepts the connection. Rejects when none does, with an error whose message
 * is the reason of the last one.
 */
export type DialNats = (
  options: DialOptions,
  servers: readonly string[],
) => Promise<NatsConnection>;

/** Why a connection ended, if neither side gave a reason. */
export const ENDED = 'the server closed the connection before it was ready';

/** A message from NATS. It is only valid while its subscriber is being called: the bytes are views. */
export type NatsMessage = {
  readonly subject: string;
  /** '' or undefined: no answer is wanted. */
  readonly reply?: string;
  readonly data: Uint8Array;
  /**
   * The client library's own: `_rdata` is the header block, `hdr` bytes long, and the data; nothing precedes the data
   * if `hdr` is not above 0. Read here because the library's reading of headers takes quadratic time. So are the bytes of
   * the subject, where they are bytes. Guarded by test/integration/nats-replies.test.ts.
   */
  readonly _msg: { readonly hdr: number; readonly subject?: Uint8Array | string };
  readonly _rdata: Uint8Array;
};

/** How a subscriber is called. With an error, such as a permission that is missing, there is no message. */
export type OnMessage = (error: Error | null, message: NatsMessage) => void;

/** The header block of a message that is published, from its version to its empty line. */
export type NatsHeaders = {
  encode(): Uint8Array;
  /** The same, if it is ASCII; absent: it may not be. */
  readonly text?: string;
};

export type NatsPublishOptions = {
  /** '' or absent: no answer is wanted. */
  readonly reply?: string;
  readonly headers?: NatsHeaders;
};

export type NatsSubscription = { unsubscribe(): void };

/** What the server did not permit. */
export type NatsRefusal = {
  readonly subject: string;
  /** '': it was no queue subscription. */
  readonly queue: string;
};

/** Receives what happens on a connection beside messages. */
export interface NatsConnectionHandler {
  /** The operating system has taken everything that was published, after it took only a part at first. */
  onRoom(): void;
  /** The server no longer answers pings; the connection then closes itself. */
  onStale(): void;
  /** The server is about to stop. */
  onLameDuck(): void;
  /** The server reports an error. @param refused null: it is not about a permission. */
  onError(what: string, refused: NatsRefusal | null): void;
}

/** It is usable from the moment that the server has accepted it, and once it has ended it is of no more use. */
export interface NatsConnection {
  /** `host:port`, for the log. */
  readonly server: string;
  readonly serverVersion: string;
  /** Largest message that the server takes, in bytes, headers included. */
  readonly payloadBytesMax: number;
  /** The servers of the cluster, as this one last announced them; none while it has announced none. */
  readonly otherServers: readonly string[];
  readonly isClosed: boolean;
  /** Bytes that were published and that the operating system has not taken yet. */
  readonly unsentBytes: number;
  /** Bytes of the messages that have come, headers included. */
  readonly receivedBytes: number;
  /** Bytes of the messages that were published, headers included. */
  readonly publishedBytes: number;

  /** Called once, before anything else. */
  listen(handler: NatsConnectionHandler): void;
  /**
   * Sends one message, in the order of calls; what is published in one turn is sent together at its end. `payload` is
   * not kept beyond that.
   * @throws {Error} The connection has ended, or the message is larger than `payloadBytesMax`.
   */
  publish(subject: string, payload: Uint8Array, options?: NatsPublishOptions): void;
  /** @param queue '': every subscriber gets each message. @throws {Error} The connection has ended, or is draining. */
  subscribe(subject: string, onMessage: OnMessage, queue: string): NatsSubscription;
  /**
   * One round trip: resolves when the server has taken everything before it. It may stay open when the connection ends
   * meanwhile, until `discard`, which rejects it.
   */
  flush(): Promise<void>;
  /** Resolves when it has ended, whoever ended it; with the reason if there is one. Never rejects. */
  closed(): Promise<Error | null>;
  /** Ends it in order: what was received is still handled, and what was published is still sent. */
  drain(): Promise<void>;
  /** Ends it; what was published is sent if the operating system takes it at once. */
  close(): Promise<void>;
  /** Ends it on the spot; does no harm afterwards. Whoever waits for a round trip is rejected. */
  discard(): void;
}

/** Rejects when the connection ends: a round trip may stay open then. */
export async function ended(nc: NatsConnection): Promise<never> {
  throw (await nc.closed()) ?? new Error(ENDED);
}
