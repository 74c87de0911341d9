/**
 * One listening port. The first byte shows the kind of client: packet types are 1 to 5, HTTP begins with a capital
 * letter, TLS with 0x16. Inside TLS the first byte is examined again, so that `auto` takes both there too. Before all
 * of them there may be a PROXY header.
 */
import type { AddressInfo, Socket } from 'node:net';

import type { Clock } from '../clock.ts';
import { Networks } from '../ip.ts';
import type { Log } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { TimerWheel } from '../timer-wheel.ts';
import type { AcceptPace } from './accept-pace.ts';
import type { MakeAcceptor } from './acceptor.ts';
import type { AddressLimit } from './address-limit.ts';
import type { PendingConnection } from './pending-connection.ts';
import type { ServerTls } from './certificate.ts';
import { Port } from './port.ts';
import { ProxyEntry, type ProxyOptions } from './proxy-entry.ts';
import type { Refused, RefusedConnection } from './refused.ts';
import { TcpConnection } from './tcp.ts';
import { beginsTls, TlsEntry } from './tls-entry.ts';
import type { RawHandle } from './raw-handle.ts';
import type { Accept, Adopted, TransportName } from './transport.ts';
import { Web } from './web.ts';

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
  /** Nobody may connect from this address. */
  readonly isBlocked: (address: string) => boolean;
  /** Of all ports for clients together. */
  readonly addressLimit: AddressLimit;
  /** The same. */
  readonly pace: AcceptPace;
  /** Where its connections come from; absent: it listens itself. */
  readonly acceptor?: MakeAcceptor | undefined;
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
  /** Goes on with a client of another process, who is read from once its connection is resumed; absent: it cannot. */
  adopt?(handle: RawHandle, transport: TransportName, adopted: Adopted, accept: Accept): void;
}

export class Listener implements ClientListener {
  readonly #options: ListenerOptions;
  readonly #accept: Accept;
  readonly #wheel: TimerWheel;
  readonly #port: Port;
  readonly #web: Web;
  readonly #proxyEntry: ProxyEntry;
  readonly #tls: TlsEntry | null = null;

  constructor(options: ListenerOptions, parts: ListenerParts) {
    const { accept, clock, log, mayAccept, isBlocked, addressLimit, pace, wheel } = parts;
    const { handshakeMs: waitMs } = options;
    const trusted = new Networks(options.proxies.trusted);
    const admit = (pending: PendingConnection): Refused | null => {
      // Where a trusted proxy connects from says nothing about where its client is.
      if (trusted.has(pending.remoteAddress)) return null;
      if (isBlocked(pending.remoteAddress)) return { why: 'blocked', detail: '' };
      const refused = (): Refused => {
        return {
          why: 'address_limit',
          detail: `limits.connections_per_address is ${addressLimit.max}`,
        };
      };
      const onOver = (): void => {
        const { why, detail } = refused();
        this.#port.refuse(pending, why, detail);
      };
      return addressLimit.enter(pending, onOver) ? null : refused();
    };
    this.#options = options;
    this.#accept = accept;
    this.#wheel = wheel;
    this.#port = new Port(
      { name: () => this.url, waitMs, crowdedAt: Infinity, mayAccept, admit, pace, label: '' },
      parts,
      (pending, socket, first) => {
        this.#proxyEntry.take(pending, socket, first);
      },
    );
    this.#proxyEntry = new ProxyEntry(options.proxies.header, trusted, this.#port, (...taken) => {
      this.#dispatch(...taken);
    });
    this.#web = new Web(options, trusted, wheel, this.#port, accept);
    if (options.tls !== null) {
      const protocols = options.scheme === 'tls' ? [] : ['http/1.1'];
      const { handshakeMs } = options;
      const entry = { ...options.tls, handshakeMs, protocols, asksForCert: false };
      this.#tls = new TlsEntry(entry, this.#port, clock, log);
    }
  }

  async listen(): Promise<void> {
    const { host, port } = this.#options;
    this.#tls?.begin();
    await this.#port.listen({ host, port });
  }

  adopt(handle: RawHandle, transport: TransportName, adopted: Adopted, accept: Accept): void {
    const pending = this.#port.adopt(handle, adopted.remoteAddress);
    if (transport === 'ws') this.#web.adopt(pending, adopted, accept);
    else TcpConnection.adopt(pending.raw, adopted, pending, this.#wheel, accept);
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
    return this.#tls?.expiresAt ?? null;
  }

  reloadCertificate(): void {
    this.#tls?.reload();
  }

  stopAccepting(): void {
    this.#tls?.stop();
    this.#port.stopAccepting();
  }

  close(): void {
    this.stopAccepting();
    this.#port.closeWaiting();
  }

  // ---- a new connection ---------------------------------------------------------------------------------

  #dispatch(pending: PendingConnection, socket: Socket, first: Buffer): void {
    const kind = kindOf(first);
    // Its address may have been blocked meanwhile.
    const refusal = this.#port.admit(pending)?.why ?? this.#refusalOf(kind, pending.secure);
    if (refusal !== null) {
      this.#port.refuse(pending, refusal);
    } else if (kind === 'tls' && !pending.secure) {
      this.#tls!.take(pending, first);
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
}

type Kind = 'tls' | 'http' | 'packets';

function kindOf(first: Buffer): Kind {
  if (beginsTls(first)) return 'tls';
  const byte = first[0]!;
  return byte >= 0x41 && byte <= 0x5a ? 'http' : 'packets';
}
