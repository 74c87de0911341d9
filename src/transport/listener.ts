/**
 * One listening port. `auto` tells raw TCP from WebSocket by the first byte: packet types are 1 to 5, HTTP
 * begins with a capital letter, TLS with 0x16.
 */
import http, { type IncomingMessage, type ServerResponse } from 'node:http';
import net, { type AddressInfo, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';

import { Alarm, type TimerWheel } from '../timer-wheel.ts';
import { TcpConnection } from './tcp.ts';
import type { Accept } from './transport.ts';
import { WebSocketUpgrader } from './websocket.ts';

/** Waiting connections that the kernel keeps for us: a restart of a fleet sends thousands at once. */
const BACKLOG = 4_096;
const TLS_HANDSHAKE = 0x16;
const HTTP_HEAD_BYTES_MAX = 8_192;

export type ListenerOptions = {
  readonly scheme: 'ws' | 'tcp' | 'auto';
  readonly host: string;
  /** 0: any free one. */
  readonly port: number;
  /** Largest packet, head included. */
  readonly packetBytesMax: number;
  /** Milliseconds from accepting to a whole HTTP request, or to the first byte of raw TCP. */
  readonly handshakeMs: number;
};

/** Why a connection was turned away before it became a session. */
export type RefusedConnection =
  | 'connection_limit'
  | 'tls_on_plain_port'
  | 'http_on_tcp_port'
  | 'tcp_on_ws_port'
  | 'silent';

export type ListenerEvents = {
  readonly accept: Accept;
  /** False refuses the next connection: the gateway is full. */
  mayAccept(): boolean;
  onRefused(why: RefusedConnection, remoteAddress: string): void;
};

export class Listener {
  readonly #options: ListenerOptions;
  readonly #events: ListenerEvents;
  readonly #wheel: TimerWheel;
  readonly #server: net.Server;
  readonly #web: http.Server;
  readonly #upgrader: WebSocketUpgrader;
  /** Connections that have sent nothing yet. */
  readonly #silent = new Set<Socket>();

  constructor(options: ListenerOptions, wheel: TimerWheel, events: ListenerEvents) {
    this.#options = options;
    this.#events = events;
    this.#wheel = wheel;
    this.#upgrader = new WebSocketUpgrader(options.packetBytesMax, wheel);
    this.#web = this.#makeWeb();
    this.#server = net.createServer((socket) => {
      this.#take(socket);
    });
  }

  /** Binds. Rejects with the operating system's error, which names the address. */
  async listen(): Promise<void> {
    const { host, port } = this.#options;
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen({ host, port, backlog: BACKLOG }, () => {
        this.#server.off('error', reject);
        resolve();
      });
    });
  }

  /** Where it listens, with the real port. */
  get url(): string {
    const { address, port, family } = this.#server.address() as AddressInfo;
    return `${this.#options.scheme}://${family === 'IPv6' ? `[${address}]` : address}:${port}`;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Takes no new connections; those that are open live on. */
  stopAccepting(): void {
    this.#server.close();
    this.#web.closeIdleConnections();
  }

  /** Ends what has not become a session. */
  close(): void {
    this.stopAccepting();
    for (const socket of this.#silent) socket.destroy();
    this.#web.closeAllConnections();
  }

  #take(socket: Socket): void {
    socket.on('error', () => {});
    if (!this.#events.mayAccept()) {
      this.#refuse(socket, 'connection_limit');
      return;
    }
    this.#sniff(socket);
  }

  #sniff(socket: Socket): void {
    const silent = new Alarm(() => {
      this.#refuse(socket, 'silent');
    });
    this.#wheel.set(silent, this.#options.handshakeMs);
    this.#silent.add(socket);
    const settle = (): void => {
      this.#wheel.cancel(silent);
      this.#silent.delete(socket);
    };
    socket.once('close', settle);
    socket.once('data', (first: Buffer) => {
      // Nothing more may come before somebody has taken over.
      socket.pause();
      socket.off('close', settle);
      settle();
      this.#sort(socket, first);
    });
  }

  #sort(socket: Socket, first: Buffer): void {
    const { scheme } = this.#options;
    const byte = first[0]!;
    if (byte === TLS_HANDSHAKE) {
      this.#refuse(socket, 'tls_on_plain_port');
    } else if (byte >= 0x41 && byte <= 0x5a) {
      if (scheme === 'tcp') this.#refuse(socket, 'http_on_tcp_port');
      else this.#serveWeb(socket, first);
    } else if (scheme === 'ws') {
      this.#refuse(socket, 'tcp_on_ws_port');
    } else if (this.#events.mayAccept()) {
      TcpConnection.open(socket, first, this.#wheel, this.#events.accept);
    } else {
      // Others have come first while this one was silent.
      this.#refuse(socket, 'connection_limit');
    }
  }

  #serveWeb(socket: Socket, first: Buffer): void {
    socket.unshift(first);
    this.#web.emit('connection', socket);
    socket.resume();
  }

  #refuse(socket: Socket, why: RefusedConnection): void {
    this.#events.onRefused(why, socket.remoteAddress ?? '');
    socket.destroy();
  }

  #makeWeb(): http.Server {
    const { handshakeMs } = this.#options;
    const web = http.createServer(
      {
        headersTimeout: handshakeMs,
        requestTimeout: handshakeMs,
        connectionsCheckingInterval: Math.min(1_000, handshakeMs),
        maxHeaderSize: HTTP_HEAD_BYTES_MAX,
        keepAliveTimeout: 5_000,
      },
      answerPlainHttp,
    );
    web.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
      if (!this.#events.mayAccept()) {
        this.#refuse(socket as Socket, 'connection_limit');
        return;
      }
      this.#upgrader.upgrade(request, socket as Socket, head, this.#events.accept);
    });
    web.on('clientError', (_error, socket) => {
      if (socket.writable) socket.end('HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n');
      else socket.destroy();
    });
    // A server that never listens does not look for slow requests until it is told that it does.
    web.emit('listening');
    return web;
  }
}

function answerPlainHttp(_request: IncomingMessage, response: ServerResponse): void {
  response.writeHead(426, {
    'Content-Type': 'text/plain',
    Upgrade: 'websocket',
    Connection: 'close',
  });
  response.end('This port speaks the Pomelo protocol over WebSocket: connect with ws://.\n');
}
