/**
 * One listening port. The first byte shows the kind of client: packet types are 1 to 5, HTTP begins with a capital
 * letter, TLS with 0x16. Inside TLS the first byte is examined again, so that `auto` takes both there too. Before all
 * of them there may be a PROXY header.
 */
import type { AddressInfo, Socket } from 'node:net';
import tls from 'node:tls';

import type { Clock } from '../clock.ts';
import { Networks } from '../ip.ts';
import type { Log } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { TimerWheel } from '../timer-wheel.ts';
import type { PendingConnection } from './pending-connection.ts';
import { Certificate, type ServerTls } from './certificate.ts';
import { reasonOf, type TlsPem } from './pem.ts';
import { Port } from './port.ts';
import { ProxyEntry, type ProxyOptions } from './proxy-entry.ts';
import type { RefusedConnection } from './refused.ts';
import { TcpConnection } from './tcp.ts';
import type { Accept } from './transport.ts';
import { Web } from './web.ts';

const TLS_HANDSHAKE = 0x16;
/** Older versions have known holes. [RFC 8996] */
const TLS_MIN_VERSION = 'TLSv1.2';

export type ListenerOptions = {
  /** The transport of clients; `auto` takes WebSocket and TCP, plain and, with `tls`, over TLS. */
  readonly scheme: 'ws' | 'wss' | 'tcp' | 'tls' | 'auto';
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  /** Largest packet in bytes, head included. */
  readonly packetBytesMax: number;
  /** Milliseconds from accepting to the first byte of raw TCP or a whole HTTP request, TLS included. */
  readonly handshakeMs: number;
  /** True: `auto` does not take raw TCP. */
  readonly webSocketOnly: boolean;
  /** Path of WebSocket; `*`: any. */
  readonly path: string;
  /** Allowed values of Origin; empty: any. */
  readonly origins: readonly string[];
  readonly proxies: ProxyOptions;
  /** null: no TLS. Not null for `wss` and `tls`. */
  readonly tls: ServerTls | null;
};

export type ListenerParts = {
  readonly clock: Clock;
  readonly wheel: TimerWheel;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly accept: Accept;
  /** False: the gateway is full, and the next connection is refused. Those in `Listener.waiting` are counted already. */
  readonly mayAccept: () => boolean;
};

/** A listening port for clients. */
export interface ClientListener {
  /** The URL it listens on, with the actual port once it is bound. */
  readonly url: string;
  /** Connections that are not sessions yet. */
  readonly waiting: number;
  /** When the certificate expires, in milliseconds since the Unix epoch; null: no TLS. */
  readonly certificateExpiresAt: number | null;
  /** Reads the certificate and binds. Rejects with the certificate's fault, or the operating system's error. */
  listen(): Promise<void>;
  /** Reads the certificate's files now instead of at the next check; if they are invalid, the old certificate stays. */
  reloadCertificate(): void;
  /** Takes no new connections; open ones stay. */
  stopAccepting(): void;
  /** Closes connections that have not become sessions. */
  close(): void;
}

export class Listener implements ClientListener {
  readonly #options: ListenerOptions;
  readonly #accept: Accept;
  readonly #wheel: TimerWheel;
  readonly #port: Port;
  readonly #web: Web;
  readonly #proxyEntry: ProxyEntry;
  readonly #certificate: Certificate | null = null;
  /** Made with the first certificate. */
  #tls: tls.Server | null = null;
  /** Connections in their TLS handshake, by `peerKey`: the event at its end has another socket object. */
  readonly #handshaking = new Map<string, PendingConnection>();

  constructor(options: ListenerOptions, parts: ListenerParts) {
    const { accept, clock, log, mayAccept, wheel } = parts;
    const { handshakeMs: waitMs } = options;
    this.#options = options;
    this.#accept = accept;
    this.#wheel = wheel;
    this.#port = new Port(
      { name: () => this.url, waitMs, crowdedAt: Infinity, mayAccept, label: '' },
      parts,
      (pending, socket, first) => {
        this.#proxyEntry.take(pending, socket, first);
      },
    );
    const trusted = new Networks(options.proxies.trusted);
    this.#proxyEntry = new ProxyEntry(options.proxies.header, trusted, this.#port, (...taken) => {
      this.#dispatch(...taken);
    });
    this.#web = new Web(options, trusted, wheel, this.#port, accept);
    if (options.tls !== null) {
      this.#certificate = new Certificate(options.tls, clock, log, (pem) => {
        this.#tls!.setSecureContext(contextOf(pem));
      });
    }
  }

  async listen(): Promise<void> {
    const { host, port } = this.#options;
    if (this.#certificate !== null) this.#tls = this.#makeTls(this.#certificate.start());
    await this.#port.listen({ host, port });
  }

  get url(): string {
    const { scheme, host, port } = this.#options;
    const { address, port: realPort } = this.#port.address ?? { address: host, port };
    return `${scheme}://${address.includes(':') ? `[${address}]` : address}:${realPort}`;
  }

  get port(): number {
    return (this.#port.address as AddressInfo).port;
  }

  /** Silent ones, and those in a TLS handshake or an HTTP request. */
  get waiting(): number {
    return this.#port.waiting;
  }

  get certificateExpiresAt(): number | null {
    return this.#certificate?.expiresAt ?? null;
  }

  reloadCertificate(): void {
    this.#certificate?.reload();
  }

  stopAccepting(): void {
    this.#certificate?.stop();
    this.#port.stopAccepting();
  }

  close(): void {
    this.stopAccepting();
    this.#port.closeWaiting();
  }

  // ---- a new connection ---------------------------------------------------------------------------------

  #dispatch(pending: PendingConnection, socket: Socket, first: Buffer): void {
    const kind = kindOf(first[0]!);
    const refusal = this.#refusalOf(kind, pending.secure);
    if (refusal !== null) {
      this.#port.refuse(pending, refusal);
    } else if (kind === 'tls' && !pending.secure) {
      this.#startTls(pending, first);
    } else if (kind === 'http') {
      pending.stage = 'http';
      this.#web.serve(pending, socket, first);
    } else {
      this.#port.settle(pending);
      TcpConnection.open(socket, first, pending, this.#wheel, this.#accept);
    }
  }

  /** Why this kind of client may not connect here; null: it may. */
  #refusalOf(kind: Kind, isSecure: boolean): RefusedConnection | null {
    const { scheme, webSocketOnly, tls: secured } = this.#options;
    if (!isSecure) {
      if (kind === 'tls') return secured === null ? 'tls_on_plain_port' : null;
      // A connection without TLS cannot show a certificate.
      const isSecureOnly = scheme === 'wss' || scheme === 'tls' || secured?.requireClientCert;
      if (isSecureOnly) return 'plain_on_tls_port';
    }
    if (kind === 'http') return scheme === 'tcp' || scheme === 'tls' ? 'http_on_tcp_port' : null;
    return scheme === 'ws' || scheme === 'wss' || webSocketOnly ? 'tcp_on_ws_port' : null;
  }

  // ---- TLS ----------------------------------------------------------------------------------------------

  /** A server that never listens: it is given the connections that turn out to speak TLS. */
  #makeTls(pem: TlsPem): tls.Server {
    const { scheme, handshakeMs } = this.#options;
    const requireClientCert = this.#options.tls?.requireClientCert ?? false;
    const server = tls.createServer({
      ...contextOf(pem),
      requestCert: requireClientCert,
      rejectUnauthorized: requireClientCert,
      // The listener's own deadline comes first.
      handshakeTimeout: 2 * handshakeMs,
      ...(scheme !== 'tls' && { ALPNProtocols: ['http/1.1'] }),
    });
    server.on('secureConnection', (socket) => {
      socket.on('error', ignore);
      const pending = this.#handshaking.get(peerKey(socket));
      if (pending === undefined) {
        socket.destroy();
        return;
      }
      this.#endHandshake(pending);
      pending.secure = true;
      pending.stage = 'silent';
      this.#port.sniff(pending, socket);
    });
    server.on('tlsClientError', (error, socket) => {
      // The address of a closed connection is no longer known; its `onClosed` has reported it.
      const pending = this.#handshaking.get(peerKey(socket));
      // Node sends the client its alert and closes.
      if (pending !== undefined) this.#port.note(pending, 'tls_failed', reasonOf(error));
    });
    return server;
  }

  #startTls(pending: PendingConnection, first: Buffer): void {
    pending.stage = 'tls';
    // A client that does not trust our certificate often just closes.
    pending.onClosed = () => {
      if (pending.stage === 'tls') this.#port.note(pending, 'tls_failed', 'the connection ended');
    };
    pending.onSettled = () => {
      this.#endHandshake(pending);
    };
    pending.tlsPeerKey = peerKey(pending.raw);
    this.#handshaking.set(pending.tlsPeerKey, pending);
    pending.raw.unshift(first);
    this.#tls!.emit('connection', pending.raw);
  }

  #endHandshake(pending: PendingConnection): void {
    if (this.#handshaking.get(pending.tlsPeerKey) === pending)
      this.#handshaking.delete(pending.tlsPeerKey);
    pending.tlsPeerKey = '';
  }
}

function ignore(): void {}

/** Unique among open connections. */
function peerKey(socket: Socket): string {
  return `${socket.remoteAddress} ${socket.remotePort} ${socket.localAddress}`;
}

type Kind = 'tls' | 'http' | 'packets';

function kindOf(byte: number): Kind {
  if (byte === TLS_HANDSHAKE) return 'tls';
  return byte >= 0x41 && byte <= 0x5a ? 'http' : 'packets';
}

function contextOf({ cert, key, ca }: TlsPem): tls.SecureContextOptions {
  return {
    cert,
    key,
    ...(ca !== '' && { ca }),
    minVersion: TLS_MIN_VERSION,
    // Without it a client with a certificate cannot resume its TLS session.
    sessionIdContext: 'pith',
  };
}
