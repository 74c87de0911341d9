/** A backend on plain HTTP, in this process: Node's own server, and a raw socket for what that would never send. */
import { once } from 'node:events';
import http from 'node:http';
import https from 'node:https';
import net from 'node:net';

import { eventually } from './wait.ts';

/** One request, as it came. */
export type HttpAsked = {
  readonly method: string;
  readonly path: string;
  /** By lower-case name. */
  readonly headers: http.IncomingHttpHeaders;
  /** Names as they were written. */
  readonly names: readonly string[];
  readonly body: Buffer;
  /** Which connection it came on; the first is 1. */
  readonly connection: number;
  /** The client has closed the connection before the answer was complete. */
  aborted: boolean;
};

export type HttpAnswer = {
  readonly status?: number;
  readonly headers?: http.OutgoingHttpHeaders;
  readonly body?: string | Buffer;
};

/** What becomes of a request: an answer, or whatever is done with the response; null: nothing, for ever. */
export type Answering = (
  asked: HttpAsked,
  response: http.ServerResponse,
) => HttpAnswer | null | Promise<HttpAnswer | null>;

export class HttpBackend implements AsyncDisposable {
  readonly asked: HttpAsked[] = [];
  readonly #server: http.Server;
  readonly #scheme: string;
  readonly #sockets = new Set<net.Socket>();
  #connections = 0;
  answering: Answering;

  private constructor(answering: Answering, tls: https.ServerOptions | null) {
    this.answering = answering;
    const listener: http.RequestListener = (request, response) => {
      void this.#onRequest(request, response);
    };
    this.#server = tls === null ? http.createServer(listener) : https.createServer(tls, listener);
    this.#scheme = tls === null ? 'http' : 'https';
    // One that is ended while a request is on its way is a 503 by right, on a busy machine more often.
    this.#server.keepAliveTimeout = 0;
    this.#server.on(tls === null ? 'connection' : 'secureConnection', (socket: net.Socket) => {
      Object.assign(socket, { connectionNumber: ++this.#connections });
      this.#sockets.add(socket);
      socket.on('close', () => this.#sockets.delete(socket));
    });
  }

  static async start(
    answering: Answering,
    { port = 0, tls = null }: { port?: number; tls?: https.ServerOptions | null } = {},
  ): Promise<HttpBackend> {
    const backend = new HttpBackend(answering, tls);
    backend.#server.listen(port, '127.0.0.1');
    await once(backend.#server, 'listening');
    return backend;
  }

  get port(): number {
    return (this.#server.address() as net.AddressInfo).port;
  }

  get url(): string {
    return `${this.#scheme}://127.0.0.1:${this.port}`;
  }

  /** Connections that were made, ever. */
  get connections(): number {
    return this.#connections;
  }

  /** Connections that are open. */
  get open(): number {
    return this.#sockets.size;
  }

  /** How long the server keeps an idle connection; 0: for ever. */
  set keepAliveMs(ms: number) {
    this.#server.keepAliveTimeout = ms;
  }

  /** The `n`th request of a path (the first is 0), once it is there. */
  nth(n: number, path?: string): Promise<HttpAsked> {
    const ofPath = () => this.asked.filter((one) => path === undefined || one.path === path)[n];
    return eventually(ofPath, `request ${n} of ${path ?? 'any path'}`);
  }

  /** Closes every connection without a word. */
  cut(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  async stop(): Promise<void> {
    if (!this.#server.listening) return;
    const closed = once(this.#server, 'close');
    this.#server.close();
    this.cut();
    await closed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  async #onRequest(request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const asked: HttpAsked = {
      method: request.method!,
      path: request.url!,
      headers: request.headers,
      names: request.rawHeaders.filter((_, i) => i % 2 === 0),
      body: Buffer.concat(chunks),
      connection: (request.socket as net.Socket & { connectionNumber: number }).connectionNumber,
      aborted: false,
    };
    response.on('close', () => {
      asked.aborted = !response.writableFinished;
    });
    this.asked.push(asked);
    const answer = await this.answering(asked, response);
    if (answer === null) return;
    const { status = 200, headers = {}, body = '' } = answer;
    response.writeHead(status, headers);
    response.end(body);
  }
}

/** A port that says `bytes` to whoever has sent something, or at once, and then maybe hangs up. */
export async function startRawPort(
  bytes: Buffer | string,
  { atOnce = false, hangUp = true } = {},
): Promise<
  AsyncDisposable & { readonly url: string; readonly port: number; readonly came: Buffer[] }
> {
  const sockets = new Set<net.Socket>();
  const came: Buffer[] = [];
  const server = net.createServer((socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => {});
    const say = (): void => {
      if (hangUp) socket.end(bytes);
      else socket.write(bytes);
    };
    socket.on('data', (chunk) => came.push(chunk));
    if (atOnce) say();
    else socket.once('data', say);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as net.AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    port,
    came,
    async [Symbol.asyncDispose]() {
      const closed = once(server, 'close');
      server.close();
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}
