/** TLS on the connections of a port: the handshake, and the certificate, which can change while the port is open. */
import type { Socket } from 'node:net';
import tls from 'node:tls';

import type { Clock } from '../clock.ts';
import { Held } from '../held.ts';
import type { Log } from '../telemetry/log.ts';
import { Certificate, type ServerTls } from './certificate.ts';
import { reasonOf, type TlsPem } from './pem.ts';
import type { PendingConnection } from './pending-connection.ts';
import type { Port } from './port.ts';

const TLS_HANDSHAKE = 0x16;
/** A record begins with its type, its version and its length, which is at most so much before anything is encrypted. [RFC 8446, 5.1] */
const RECORD_HEAD_BYTES = 5;
const RECORD_MAJOR_VERSION = 3;
const RECORD_BYTES_MAX = 16_384;
/** Older versions have known holes. [RFC 8996] */
const TLS_MIN_VERSION = 'TLSv1.2';

/** True for the first byte of a client that speaks TLS. */
export function beginsTls(first: Buffer): boolean {
  return first[0] === TLS_HANDSHAKE;
}

/** Bytes of the record that `first` begins, as far as that is known; of one that is not TLS, none more than have come. */
function recordBytes(first: Buffer): number {
  if (first.length > 1 && first[1] !== RECORD_MAJOR_VERSION) return first.length;
  if (first.length < RECORD_HEAD_BYTES) return RECORD_HEAD_BYTES;
  const bytes = first.readUInt16BE(RECORD_HEAD_BYTES - 2);
  return bytes > RECORD_BYTES_MAX ? first.length : RECORD_HEAD_BYTES + bytes;
}

export type TlsEntryOptions = ServerTls & {
  /** Milliseconds that the port gives to connections, TLS included. */
  readonly handshakeMs: number;
  /** What clients may choose from [RFC 7301]; empty: nothing is said about it. */
  readonly protocols: readonly string[];
  /** True: clients are asked for a certificate, and may connect without. */
  readonly asksForCert: boolean;
};

export class TlsEntry {
  readonly #options: TlsEntryOptions;
  readonly #port: Port;
  readonly #certificate: Certificate;
  /** Made with the first certificate. It never listens: it is given the connections that turn out to speak TLS. */
  #server: tls.Server | null = null;
  /** Connections in their handshake, by `peerKey`: the event at its end has another socket object. */
  readonly #handshaking = new Map<string, PendingConnection>();

  constructor(options: TlsEntryOptions, port: Port, clock: Clock, log: Log) {
    this.#options = options;
    this.#port = port;
    this.#certificate = new Certificate(options, clock, log, (pem) => {
      this.#server!.setSecureContext(contextOf(pem));
    });
  }

  /** Reads the certificate. @throws {Error} Says what is wrong, naming key and file. */
  begin(): void {
    this.#server = this.#makeServer(this.#certificate.start());
  }

  /** Stops looking for a new certificate. */
  stop(): void {
    this.#certificate.stop();
  }

  /** Reads the certificate's files now instead of at the next check; if they are invalid, the old one stays. */
  reload(): void {
    this.#certificate.reload();
  }

  /** When the certificate expires, in milliseconds since the Unix epoch. */
  get expiresAt(): number {
    return this.#certificate.expiresAt;
  }

  /** Makes the handshake; then the port waits for the first bytes inside TLS. @param first What has been read already. */
  take(pending: PendingConnection, first: Buffer): void {
    pending.stage = 'tls';
    // A client that does not trust our certificate often just closes.
    pending.onClosed = () => {
      if (pending.stage === 'tls') this.#port.note(pending, 'tls_failed', 'the connection ended');
    };
    if (first.length < recordBytes(first)) this.#gather(pending, first);
    else this.#begin(pending, first);
  }

  /**
   * Until the first record is whole: what a handshake needs, some 50 KiB and a share of a millisecond, is only for those
   * who send one.
   */
  #gather(pending: PendingConnection, first: Buffer): void {
    const { raw } = pending;
    const held = new Held();
    held.add(first);
    pending.onSettled = () => {
      held.clear();
    };
    let wanted = recordBytes(first);
    const onData = (chunk: Buffer): void => {
      held.add(chunk);
      if (wanted <= RECORD_HEAD_BYTES) wanted = recordBytes(held.all());
      if (held.bytes < wanted) return;
      raw.off('data', onData);
      raw.pause();
      const hello = held.all();
      held.clear();
      this.#begin(pending, hello);
    };
    raw.on('data', onData);
    raw.resume();
  }

  #begin(pending: PendingConnection, hello: Buffer): void {
    pending.onSettled = () => {
      this.#endHandshake(pending);
    };
    pending.tlsPeerKey = peerKey(pending.raw);
    this.#handshaking.set(pending.tlsPeerKey, pending);
    pending.raw.unshift(hello);
    this.#server!.emit('connection', pending.raw);
  }

  #makeServer(pem: TlsPem): tls.Server {
    const { asksForCert, handshakeMs, protocols, requireClientCert } = this.#options;
    const server = tls.createServer({
      ...contextOf(pem),
      requestCert: requireClientCert || asksForCert,
      rejectUnauthorized: requireClientCert,
      // The port's own deadline comes first.
      handshakeTimeout: 2 * handshakeMs,
      ...(protocols.length > 0 && { ALPNProtocols: [...protocols] }),
    });
    server.on('secureConnection', (socket) => {
      this.#onSecure(socket);
    });
    server.on('tlsClientError', (error, socket) => {
      // The address of a closed connection is no longer known; its `onClosed` has reported it.
      const pending = this.#handshaking.get(peerKey(socket));
      // Node sends the client its alert and closes.
      if (pending !== undefined) this.#port.note(pending, 'tls_failed', reasonOf(error));
    });
    return server;
  }

  #onSecure(socket: tls.TLSSocket): void {
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
