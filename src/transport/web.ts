/**
 * The HTTP side of a port: upgrades to WebSocket, and a plain-text answer for anything else. It never listens itself,
 * and so needs no deadlines of its own: the port's apply.
 */
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';

import { http } from '../node-http.ts';
import type { Networks } from '../ip.ts';
import type { TimerWheel } from '../timer-wheel.ts';
import { forwardedAddress } from './forwarded.ts';
import type { PendingConnection } from './pending-connection.ts';
import { answerHttp, HTTP_HEAD_BYTES_MAX, refuseHttp } from './http-refusal.ts';
import type { Port } from './port.ts';
import type { RefusedConnection } from './refused.ts';
import type { Accept, Adopted } from './transport.ts';
import { WebSocketUpgrader } from './websocket-upgrader.ts';

export type WebOptions = {
  /** `*`: any. */
  readonly path: string;
  /** Allowed values of Origin; empty: any. */
  readonly origins: readonly string[];
  /** Largest packet, head included. */
  readonly packetBytesMax: number;
};

type Refusal = { status: number; why: RefusedConnection; detail: string; text: string };

export class Web {
  readonly #path: string;
  readonly #origins: ReadonlySet<string>;
  readonly #trusted: Networks;
  readonly #port: Port;
  readonly #accept: Accept;
  readonly #server: Server;
  readonly #upgrader: WebSocketUpgrader;
  readonly #connections = new WeakMap<Duplex, PendingConnection>();

  /** @param trusted The proxies whose headers say where a client is. */
  constructor(
    options: WebOptions,
    trusted: Networks,
    wheel: TimerWheel,
    port: Port,
    accept: Accept,
  ) {
    this.#path = options.path;
    this.#origins = new Set(options.origins.map((origin) => origin.toLowerCase()));
    this.#trusted = trusted;
    this.#port = port;
    this.#accept = accept;
    this.#upgrader = new WebSocketUpgrader(options.packetBytesMax, wheel);
    this.#server = http.createServer(
      { maxHeaderSize: HTTP_HEAD_BYTES_MAX },
      (request, response) => {
        this.#answer(request, response);
      },
    );
    this.#server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
      this.#upgrade(request, socket as Socket, head);
    });
    this.#server.on('clientError', (error, socket) => {
      const refused = refuseHttp(error, socket);
      const pending = this.#connections.get(socket);
      if (refused !== null && pending !== undefined)
        this.#port.note(pending, refused.why, refused.detail);
    });
    this.#upgrader.onBadRequest = (what, socket, status) => {
      answerHttp(socket, status, `This is not a WebSocket upgrade: ${what}.\n`);
      this.#port.note(this.#connections.get(socket)!, 'bad_upgrade', what);
    };
  }

  /** Takes over a connection that is paused; `first`: the bytes already read from it. */
  serve(pending: PendingConnection, socket: Socket, first: Buffer): void {
    this.#connections.set(socket, pending);
    socket.unshift(first);
    this.#server.emit('connection', socket);
    socket.resume();
  }

  /** Goes on with a client of another process. */
  adopt(pending: PendingConnection, adopted: Adopted, accept: Accept): void {
    this.#upgrader.adopt(pending.raw, adopted, pending, accept);
  }

  #upgrade(request: IncomingMessage, socket: Socket, head: Buffer): void {
    const pending = this.#connections.get(socket)!;
    const refusal =
      this.#readForwarded(request, pending) ??
      this.#refusalOf(request) ??
      this.#refusalFrom(pending);
    if (refusal !== null) {
      const { status, why, detail, text } = refusal;
      answerHttp(socket, status, text);
      this.#port.note(pending, why, detail);
      return;
    }
    this.#upgrader.upgrade(request, socket, head, pending, (connection) => {
      // What it was until now is of no use any more.
      this.#connections.delete(socket);
      this.#port.settle(pending);
      return this.#accept(connection);
    });
  }

  #readForwarded({ headers }: IncomingMessage, pending: PendingConnection): Refusal | null {
    const xForwardedFor = textOf(headers['x-forwarded-for']);
    const forwarded = textOf(headers.forwarded);
    if (xForwardedFor === '' && forwarded === '') return null;
    const both = { xForwardedFor, forwarded };
    const address = forwardedAddress(pending.remoteAddress, both, this.#trusted);
    if (address === null) {
      const detail = `X-Forwarded-For: ${xForwardedFor}; Forwarded: ${forwarded}`;
      return { status: 400, why: 'forwarded_conflict', detail, text: CONFLICT };
    }
    pending.remoteAddress = address;
    return null;
  }

  #refusalOf(request: IncomingMessage): Refusal | null {
    if (!this.#isPath(request)) {
      return { status: 404, why: 'wrong_path', detail: request.url ?? '', text: NOT_HERE };
    }
    const { origin } = request.headers;
    // Only browsers send an Origin, and only they must be kept from being used by other sites' pages.
    if (origin === undefined || this.#origins.size === 0) return null;
    if (this.#origins.has(origin.toLowerCase())) return null;
    const text = 'Pages from this origin may not connect here.\n';
    return { status: 403, why: 'wrong_origin', detail: origin, text };
  }

  /** Behind proxies its address is known only now. */
  #refusalFrom(pending: PendingConnection): Refusal | null {
    const refused = this.#port.admit(pending);
    if (refused?.why === 'blocked') return { ...refused, status: 403, text: KEPT_OUT };
    return refused && { ...refused, status: 429, text: TOO_MANY };
  }

  #isPath({ url = '' }: IncomingMessage): boolean {
    return this.#path === '*' || url.split('?', 1)[0] === this.#path;
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const headers = { 'Content-Type': 'text/plain', Connection: 'close' };
    if (!this.#isPath(request)) {
      response.writeHead(404, headers).end(NOT_HERE);
      return;
    }
    const scheme = this.#connections.get(request.socket)!.secure ? 'wss' : 'ws';
    response.writeHead(426, { ...headers, Upgrade: 'websocket' });
    response.end(`This port speaks WebSocket: connect with ${scheme}://.\n`);
  }
}

/** Several lines of one name are one list. [RFC 9110 5.3] */
function textOf(header: string | string[] | undefined): string {
  return Array.isArray(header) ? header.join(',') : (header ?? '');
}

const TOO_MANY = 'There are too many connections from your address.\n';
const KEPT_OUT = 'You may not connect here.\n';
const CONFLICT = 'X-Forwarded-For and Forwarded name different clients.\n';
const NOT_HERE = 'There is nothing at this path.\n';
