/** The small HTTP servers: probes and metrics, on the health port and on the admin port. */
import http, { type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

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

  constructor(probes: Probes) {
    this.#server = http.createServer(
      { headersTimeout: HEADERS_TIMEOUT_MS, requestTimeout: 2 * HEADERS_TIMEOUT_MS },
      (request, response) => {
        answer(request, response, probes);
      },
    );
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
    await new Promise<void>((resolve) => {
      this.#server.close(() => {
        resolve();
      });
      this.#server.closeAllConnections();
    });
  }
}

function answer(request: IncomingMessage, response: ServerResponse, probes: Probes): void {
  const path = (request.url ?? '').split('?', 1)[0];
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
      send(response, 404, 'there are /livez, /readyz and /metrics here\n');
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
