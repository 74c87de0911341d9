/** The entry of a port behind load balancers: who may send a PROXY header, who must, and what it changes. */
import type { Socket } from 'node:net';

import type { Networks } from '../ip.ts';
import type { PendingConnection } from './pending-connection.ts';
import type { Port, Serve } from './port.ts';
import { beginsWithProxyHeader, type ProxyHeader, readProxyHeader } from './proxy-header.ts';

export type ProxyOptions = {
  /**
   * none: a PROXY header is refused · optional: trusted proxies may send one, anybody else connects without ·
   * required: only trusted proxies may connect, and each connection begins with one.
   */
  readonly header: 'none' | 'optional' | 'required';
  /** Networks of the proxies that are believed, here and in HTTP headers. */
  readonly trusted: readonly string[];
};

export class ProxyEntry {
  readonly #header: ProxyOptions['header'];
  readonly #trusted: Networks;
  readonly #port: Port;
  readonly #serve: Serve;

  /** @param serve Gets each connection with what follows its header. */
  constructor(header: ProxyOptions['header'], trusted: Networks, port: Port, serve: Serve) {
    this.#header = header;
    this.#trusted = trusted;
    this.#port = port;
    this.#serve = serve;
  }

  /** Takes the first bytes of a connection, and again what follows if they are not enough. */
  take(pending: PendingConnection, socket: Socket, first: Buffer): void {
    const { proxyHeader } = pending;
    if (proxyHeader === null) this.#serve(pending, socket, first);
    else if (this.#header === 'none') this.#takeWithout(pending, socket, first);
    else if (!this.#trusted.has(pending.remoteAddress)) this.#takeUntrusted(pending, socket, first);
    else this.#read(pending, socket, Buffer.concat([proxyHeader, first]));
  }

  #takeUntrusted(pending: PendingConnection, socket: Socket, first: Buffer): void {
    if (this.#header === 'required') this.#port.refuse(pending, 'untrusted_proxy');
    else this.#takeWithout(pending, socket, first);
  }

  /** From somebody who has no PROXY header to send. */
  #takeWithout(pending: PendingConnection, socket: Socket, first: Buffer): void {
    if (!beginsWithProxyHeader(first)) {
      pending.proxyHeader = null;
      this.#serve(pending, socket, first);
      return;
    }
    const isRead = this.#header !== 'none';
    this.#port.refuse(pending, isRead ? 'untrusted_proxy' : 'unexpected_proxy_header');
  }

  #read(pending: PendingConnection, socket: Socket, bytes: Buffer): void {
    const header = readProxyHeader(bytes);
    switch (header.kind) {
      case 'header':
        this.#believe(pending, socket, bytes, header);
        break;
      case 'partial':
        pending.stage = 'proxy';
        this.#waitForMore(pending, socket, bytes);
        break;
      case 'bad':
        this.#port.refuse(pending, 'bad_proxy_header', header.what);
        break;
      case 'none':
        if (this.#header === 'required') this.#port.refuse(pending, 'no_proxy_header');
        else this.#end(pending, socket, bytes);
    }
  }

  #believe(
    pending: PendingConnection,
    socket: Socket,
    bytes: Buffer,
    header: Extract<ProxyHeader, { kind: 'header' }>,
  ): void {
    if (header.source !== '') pending.remoteAddress = header.source;
    const refused = this.#port.admit(pending);
    if (refused !== null) {
      this.#port.refuse(pending, refused.why, refused.detail);
      return;
    }
    this.#end(pending, socket, bytes.subarray(header.bytes));
  }

  /** There is no header any more. */
  #end(pending: PendingConnection, socket: Socket, rest: Buffer): void {
    pending.stage = 'silent';
    if (rest.length > 0) {
      pending.proxyHeader = null;
      this.#serve(pending, socket, rest);
    } else {
      this.#waitForMore(pending, socket, null);
    }
  }

  #waitForMore(pending: PendingConnection, socket: Socket, soFar: Buffer | null): void {
    pending.proxyHeader = soFar;
    this.#port.sniff(pending, socket);
    socket.resume();
  }
}
