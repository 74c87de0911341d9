/** The HTTP servers of the health and admin ports: probes and metrics; on the admin port also Control and Attach. */
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';

import { http } from '../node-http.ts';
import { inBackground } from '../background.ts';
import type { PendingConnection } from '../transport/pending-connection.ts';
import { HTTP_HEAD_BYTES_MAX, refuseHttp } from '../transport/http-refusal.ts';
import type { OperatorPort } from '../transport/operator-port.ts';
import type { PortAddress, Serve } from '../transport/port.ts';
import type { Attach } from './attach.ts';
import type { AttachWebSockets } from './attach-websocket.ts';
import type { JsonApi } from './json-api.ts';
import { API_PATH, ATTACH_PATH } from './paths.ts';
import type { WebPages } from './web-pages.ts';

/** What the probes need to know. */
export type Probes = {
  /** Why the gateway should get no new clients; empty: it is ready. */
  notReady(): readonly string[];
  /** It could serve them, who should go elsewhere for now. */
  sendsElsewhere(): boolean;
  /** Prometheus text; null: metrics are off. */
  metrics(): string | null | Promise<string>;
  /** Resolves once a drain is over: sessions are closed, and backends have been told. Until then it stays pending. */
  readonly drained: Promise<void>;
};

/** How long a request with its body may take to arrive, or each line of a body of many; and a probe to take its answer. */
const REQUEST_MS = 10_000;
/** How long somebody may wait for the end of a drain; one who waits makes room for others when the port is full. */
const DRAINED_MS = 3_600_000;

/** Control's methods. */
export type Api = Pick<JsonApi, 'handle' | 'settled'>;

/** What a port has besides probes and metrics; absent: it does not. */
export type AdminParts = {
  /** Where backends attach over WebSocket. */
  readonly attach?: Attach;
  /** Control's methods. */
  readonly api?: Api;
  readonly web?: WebPages;
};

/** Makes the port that a server listens on. */
export type MakePort = (serve: Serve) => OperatorPort;

export class HttpServer {
  readonly #port: OperatorPort;
  readonly #probes: Probes;
  readonly #attach: Attach | null;
  /** Loaded for the first backend that attaches. */
  #webSockets: AttachWebSockets | null = null;
  readonly #api: Api | null;
  readonly #web: WebPages | null;
  readonly #server: Server;
  readonly #connections = new WeakMap<Duplex, PendingConnection>();

  constructor(probes: Probes, makePort: MakePort, { attach, api, web }: AdminParts = {}) {
    this.#probes = probes;
    this.#attach = attach ?? null;
    this.#api = api ?? null;
    this.#web = web ?? null;
    // It never listens itself, and so needs no deadlines of its own: the port's apply.
    this.#server = http.createServer(
      { maxHeaderSize: HTTP_HEAD_BYTES_MAX },
      (request, response) => {
        this.#onRequest(request, response);
      },
    );
    if (attach !== undefined) {
      this.#server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
        const pending = this.#connections.get(socket)!;
        // A refused one gets the usual time to close.
        pending.stage = 'kept';
        // It may go away meanwhile.
        socket.on('error', () => {});
        const taken = this.#loadWebSockets(attach).then((webSockets) => {
          webSockets.upgrade(request, socket, head, () => {
            this.#port.settle(pending);
          });
        });
        inBackground(taken, () => socket.destroy());
      });
    }
    this.#server.on('clientError', (error, socket) => {
      const refused = refuseHttp(error, socket);
      const pending = this.#connections.get(socket);
      if (refused !== null && pending !== undefined)
        this.#port.note(pending, refused.why, refused.detail);
    });
    this.#port = makePort((pending, socket, first) => {
      pending.stage = 'http';
      this.#connections.set(socket, pending);
      socket.unshift(first);
      this.#server.emit('connection', socket);
      socket.resume();
    });
  }

  listen(address: PortAddress): Promise<void> {
    return this.#port.listen(address);
  }

  get port(): number {
    return this.#port.address!.port;
  }

  get certificateExpiresAt(): number | null {
    return this.#port.certificateExpiresAt;
  }

  reloadCertificate(): void {
    this.#port.reloadCertificate();
  }

  /** Cuts off all remaining connections, once the methods in progress have been answered. */
  async close(): Promise<void> {
    if (this.#webSockets === null) this.#attach?.close();
    else this.#webSockets.close();
    await this.#api?.settled();
    await this.#port.close();
  }

  async #loadWebSockets(attach: Attach): Promise<AttachWebSockets> {
    if (this.#webSockets !== null) return this.#webSockets;
    const { AttachWebSockets } = await import('./attach-websocket.ts');
    return (this.#webSockets ??= new AttachWebSockets(attach));
  }

  #onRequest(request: IncomingMessage, response: ServerResponse): void {
    const pending = this.#connections.get(request.socket)!;
    this.#port.setDeadline(pending, REQUEST_MS);
    response.once('close', () => {
      pending.stage = 'kept';
      this.#port.setDeadline(pending);
    });
    const path = pathOf(request);
    if (this.#attach !== null && path === ATTACH_PATH) {
      answerAttach(response);
    } else if (this.#api !== null && path.startsWith(API_PATH)) {
      // The API has its own time limits for answering, and for the answer to be taken.
      request.once('end', () => {
        this.#port.settle(pending);
      });
      this.#api.handle(request, response, () => {
        this.#port.setDeadline(pending, REQUEST_MS);
      });
    } else if (this.#web !== null && this.#web.has(path)) {
      inBackground(this.#web.answer(request, response, path), () => {});
    } else if (path === '/drained') {
      this.#port.setDeadline(pending, DRAINED_MS);
      inBackground(this.#answerDrained(response), () => {});
    } else {
      answer(request, response, this.#probes);
    }
  }

  /** For containers that stay until the gateway next to them needs them no more. */
  async #answerDrained(response: ServerResponse): Promise<void> {
    await this.#probes.drained;
    send(response, 200, 'drained\n');
  }
}

function pathOf({ url = '' }: IncomingMessage): string {
  return url.split('?', 1)[0]!;
}

/** `/readyz?warn`, which Consul's check asks for. */
function isWarning({ url = '' }: IncomingMessage): boolean {
  return url.endsWith('?warn');
}

/** Answers a request without an upgrade. */
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
      // As Consul's warning: it serves, but is not to be preferred.
      const code = isWarning(request) && probes.sendsElsewhere() ? 429 : 503;
      send(
        response,
        why.length === 0 ? 200 : code,
        why.length === 0 ? 'ok\n' : `${why.join('\n')}\n`,
      );
      return;
    }
    case '/metrics': {
      inBackground(answerMetrics(response, probes), () => response.destroy());
      return;
    }
    default:
      send(
        response,
        404,
        'this port serves /livez, /readyz, /drained and /metrics; the admin port also serves POST /v1/<Method>, /playground and /console\n',
      );
  }
}

async function answerMetrics(response: ServerResponse, probes: Probes): Promise<void> {
  const metrics = await probes.metrics();
  if (metrics === null) send(response, 404, 'metrics are off; set telemetry.metrics: true\n');
  else send(response, 200, metrics, 'text/plain; version=0.0.4; charset=utf-8');
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
