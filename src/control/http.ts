/** The small HTTP servers: probes and metrics, on the health port and on the admin port, where backends attach too. */
import http, { type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';

import type { Attach } from './attach.ts';
import { ATTACH_PATH, AttachWebSockets } from './attach-websocket.ts';
import { API_PATH, type JsonApi } from './json-api.ts';

/** What the probes ask. */
export type Probes = {
  /** Why the gateway should get no new clients; empty when it is ready. */
  notReady(): readonly string[];
  /** Prometheus text; null: metrics are off. */
  metrics(): string | null;
};

const HEADERS_TIMEOUT_MS = 5_000;

export class HttpServer {
  readonly #server: http.Server;
  readonly #webSockets: AttachWebSockets | null = null;

  /**
   * @param attach Where backends attach by WebSocket; null: they don't, here.
   * @param api Control's methods; null: none here.
   */
  constructor(probes: Probes, attach: Attach | null = null, api: JsonApi | null = null) {
    this.#server = http.createServer(
      { headersTimeout: HEADERS_TIMEOUT_MS, requestTimeout: 2 * HEADERS_TIMEOUT_MS },
      (request, response) => {
        if (attach !== null && pathOf(request) === ATTACH_PATH) answerAttach(response);
        else if (api !== null && pathOf(request).startsWith(API_PATH))
          api.handle(request, response);
        else answer(request, response, probes);
      },
    );
    if (attach !== null) {
      const webSockets = new AttachWebSockets(attach);
      this.#webSockets = webSockets;
      this.#server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
        webSockets.upgrade(request, socket, head);
      });
    }
    this.#server.on('clientError', (_error, socket) => {
      if (socket.writable) socket.end('HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n');
    });
  }

  async listen(host: string, port: number): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen({ host, port }, () => {
        this.#server.off('error', reject);
        resolve();
      });
    });
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  async close(): Promise<void> {
    this.#webSockets?.close();
    await new Promise<void>((resolve) => {
      this.#server.close(() => {
        resolve();
      });
      this.#server.closeAllConnections();
    });
  }
}

function pathOf({ url = '' }: IncomingMessage): string {
  return url.split('?', 1)[0]!;
}

/** A request that wants no upgrade. */
function answerAttach(response: ServerResponse): void {
  response.setHeader('Upgrade', 'websocket');
  send(response, 426, `backends attach here by WebSocket: ws://…${ATTACH_PATH}\n`);
}

function answer(request: IncomingMessage, response: ServerResponse, probes: Probes): void {
  const path = pathOf(request);
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    response.setHeader('Allow', 'GET, HEAD');
    send(response, 405, 'only GET and HEAD\n');
    return;
  }
  switch (path) {
    case '/livez':
      send(response, 200, 'ok\n');
      return;
    case '/readyz': {
      const why = probes.notReady();
      send(
        response,
        why.length === 0 ? 200 : 503,
        why.length === 0 ? 'ok\n' : `${why.join('\n')}\n`,
      );
      return;
    }
    case '/metrics': {
      const metrics = probes.metrics();
      if (metrics === null) send(response, 404, 'metrics are off: telemetry.metrics\n');
      else send(response, 200, metrics, 'text/plain; version=0.0.4; charset=utf-8');
      return;
    }
    default:
      send(
        response,
        404,
        'there are /livez, /readyz and /metrics here; on the admin port POST /v1/<Method> too\n',
      );
  }
}

function send(
  response: ServerResponse,
  code: number,
  body: string,
  type = 'text/plain; charset=utf-8',
): void {
  response.writeHead(code, {
    'Content-Type': type,
    'Content-Length': Buffer.byteLength(body),
    'Cache-Control': 'no-store',
  });
  response.end(body);
}
