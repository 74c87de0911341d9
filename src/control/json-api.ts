/** `POST /v1/<Method>`: the methods of Control in JSON, for use without gRPC or NATS. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { TLSSocket } from 'node:tls';

import { type Clock, nextTurn, within } from '../clock.ts';
import { errorJson } from '../contract/json-shapes.ts';
import { failure, type Failure, GatewayError, isFailure } from '../errors.ts';
import { plainAddress } from '../ip.ts';
import type { Access, Caller, PeerCertificate, Shown } from './access.ts';
import { refusedCaller } from './caller.ts';
import { certificateOf } from './peer-address.ts';
import { ruleOf } from './roles.ts';
import { JsonMessages, LARGE_BYTES } from './json-messages.ts';
import { linesOf } from './lines.ts';
import { API_PATH } from './paths.ts';
import type { Log } from '../telemetry/log.ts';
import { type Asked, controlError, type Method, type Methods, notServed } from './method.ts';
import { sendAll } from './streaming.ts';

/** Bytes of the longest body: a gRPC server's default limit. */
export const API_BODY_BYTES_MAX = 4 * 1024 * 1024;
/** Concurrent requests; each may hold a body. */
export const API_REQUESTS_MAX = 64;
/** Those that are held as long as the caller likes, apart: each method bounds them further. */
export const API_HELD_MAX = 32;
/** How long a connection may be idle while it is answered: longer than any method waits. */
const IDLE_MS = 30_000;

/** How long what is in progress may take when the gateway stops: the last line of a Drain, above all. */
const SETTLE_MS = 500;

const NO_STORE = { 'Cache-Control': 'no-store', 'X-Content-Type-Options': 'nosniff' };

export type JsonApiParts = {
  readonly methods: Methods;
  /** Who may call. */
  readonly access: Access;
  /** `admin.hosts`. */
  readonly hosts?: readonly string[];
  readonly log: Log;
  readonly clock: Clock;
  /** Full name of the service, and all its methods by name, also those that this release does not serve. */
  readonly service: string;
  readonly definitions: Readonly<Record<string, unknown>>;
  /** `limits.convert`; absent: its default. */
  readonly convertBytesMax?: number | undefined;
};

export class JsonApi {
  readonly #parts: JsonApiParts;
  /** Made for the first call: most gateways never get one. */
  #messages: JsonMessages | null = null;
  #requests = 0;
  #held = 0;
  /** Resolves when nothing is in progress. */
  #idle = Promise.withResolvers<void>();

  constructor(parts: JsonApiParts) {
    this.#parts = parts;
  }

  /** Resolves when all that is in progress has been answered, or after a moment. */
  async settled(): Promise<void> {
    if (this.#requests + this.#held === 0) return;
    this.#idle = Promise.withResolvers<void>();
    await within(this.#parts.clock, SETTLE_MS, this.#idle.promise, undefined);
  }

  /** Answers a request whose path begins with `API_PATH`. @param onLine A line of a body of many has come. */
  handle(request: IncomingMessage, response: ServerResponse, onLine: () => void): void {
    // A client may go away while it is answered.
    response.on('error', () => {});
    response.setTimeout(IDLE_MS, () => {
      response.destroy();
    });
    const path = request.url!.split('?', 1)[0]!;
    const name = path.slice(API_PATH.length);
    this.#count(this.#isHeld(name), 1);
    response.once('close', () => {
      this.#count(this.#isHeld(name), -1);
    });
    const admitted = this.#admit(request, response, name);
    if (isFailure(admitted)) {
      if (admitted.code === 405) response.setHeader('Allow', 'POST');
      request.resume();
      sendJson(response, admitted.code, errorJson(admitted));
      return;
    }
    const method = this.#parts.methods[name]!;
    const call = {
      name,
      request,
      response,
      asked: { caller: admitted, convertBytesMax: Infinity },
    };
    const done =
      method.streams === 'requests' ? this.#runMany(method, call, onLine) : this.#run(method, call);
    done.catch((error: unknown) => {
      sendError(response, controlError(error, this.#parts.log));
    });
  }

  /** Those that are held take none of the places of the others. */
  #count(isHeld: boolean, change: 1 | -1): void {
    if (isHeld) this.#held += change;
    else this.#requests += change;
    if (this.#requests + this.#held === 0) this.#idle.resolve();
  }

  #isHeld(name: string): boolean {
    const { methods } = this.#parts;
    return Object.hasOwn(methods, name) && methods[name]!.streams === 'held';
  }

  #messagesOf(): JsonMessages {
    const { service, convertBytesMax } = this.#parts;
    return (this.#messages ??= new JsonMessages(service, convertBytesMax));
  }

  /** One request on each line of the body, and one answer. */
  async #runMany(
    method: Extract<Method, { streams: 'requests' }>,
    { name, request, response, asked }: HttpCall,
    onLine: () => void,
  ): Promise<void> {
    const messages = this.#messagesOf();
    async function* requests(): AsyncGenerator<Buffer> {
      for await (const line of linesOf(request, API_BODY_BYTES_MAX)) {
        onLine();
        yield messages.request(name, textOf(line));
      }
    }
    const answer = await method.run(requests(), asked);
    if (response.destroyed) return;
    sendJson(response, 200, messages.answer(name, answer));
  }

  /** Who may call; or why the request is refused before its body is read. */
  #admit(request: IncomingMessage, response: ServerResponse, name: string): Caller | Failure {
    const { access, definitions, methods, hosts = [] } = this.#parts;
    const callerRefusal = refusedCaller(request.headers, {
      isSecure: 'encrypted' in request.socket,
      isGuarded: !access.isOpen,
      hosts,
    });
    if (callerRefusal !== null) return failure('FORBIDDEN', callerRefusal);
    const caller = access.admit(name, ruleOf(name).role, shownBy(request));
    if (isFailure(caller)) {
      response.setHeader('WWW-Authenticate', challengeOf(caller, request.headers.authorization));
      return caller;
    }
    if (!Object.hasOwn(definitions, name)) {
      const served = Object.keys(methods).join(', ');
      return failure('NO_ROUTE', `no such method: POST ${API_PATH}<Method>, one of ${served}`);
    }
    if (request.method !== 'POST')
      return { ...failure('UNSUPPORTED', `use POST: ${API_PATH}${name} is a method`), code: 405 };
    if (!Object.hasOwn(methods, name)) return failure('UNSUPPORTED', notServed(name, methods));
    const isHeld = this.#isHeld(name);
    const max = isHeld ? API_HELD_MAX : API_REQUESTS_MAX;
    if ((isHeld ? this.#held : this.#requests) > max)
      return failure('OVERLOADED', `${max} requests are in progress already; try again`);
    return caller;
  }

  async #run(
    method: Exclude<Method, { streams: 'requests' }>,
    { name, request, response, asked }: HttpCall,
  ): Promise<void> {
    const body = await readBody(request);
    // The client left before the end of its body.
    if (body === null) return;
    const messages = this.#messagesOf();
    const message = messages.request(name, textOf(body));
    if (body.length > LARGE_BYTES) await nextTurn(this.#parts.clock);
    if (!method.streams) {
      // Each method bounds how long it takes.
      response.setTimeout(0);
      const answer = await method.run(message, asked);
      response.setTimeout(IDLE_MS);
      sendJson(response, 200, messages.answer(name, answer));
      return;
    }
    // The head is sent with the first line: until then a failure still gets its own status.
    response.setHeader('Content-Type', 'application/x-ndjson');
    for (const [header, value] of Object.entries(NO_STORE)) response.setHeader(header, value);
    await sendAll(
      (gone) => method.run(message, { ...asked, gone }),
      response,
      this.#parts.clock,
      (answer) => response.write(`${JSON.stringify(messages.answer(name, answer))}\n`),
    );
    response.end();
  }
}

type HttpCall = {
  readonly name: string;
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly asked: Asked;
};

type Socket = IncomingMessage['socket'];

function shownBy({ headers, socket }: IncomingMessage): Shown {
  return {
    via: 'http',
    address: `${plainAddress(socket.remoteAddress ?? '')}:${socket.remotePort}`,
    authorization: headers.authorization,
    certificate: verifiedCertificate(socket),
  };
}

/** null: no TLS, no certificate, or none that `tls.ca` has signed. */
function verifiedCertificate(socket: Socket): PeerCertificate | null {
  const { authorized, getPeerCertificate } = socket as Partial<TLSSocket>;
  if (authorized !== true || getPeerCertificate === undefined) return null;
  const certificate = getPeerCertificate.call(socket);
  return 'raw' in certificate ? certificateOf(certificate) : null;
}

/** What a caller has to show. [RFC 6750 section 3] */
function challengeOf({ reason }: Failure, shown: string | undefined): string {
  const realm = 'Bearer realm="pith"';
  if (reason === 'UNAUTHENTICATED')
    return shown === undefined ? realm : `${realm}, error="invalid_token"`;
  return `${realm}, error="insufficient_scope"`;
}

/** The whole body; null: the client left. @throws {GatewayError} Too large; it is read to its end anyway. */
function readBody(request: IncomingMessage): Promise<Buffer | null> {
  return new Promise((resolve, reject) => {
    const parts: Buffer[] = [];
    let length = 0;
    request.on('data', (part: Buffer) => {
      length += part.length;
      // A client that is cut off while it writes never reads the answer. The port bounds how long this may take.
      if (length > API_BODY_BYTES_MAX) parts.length = 0;
      else parts.push(part);
    });
    request.once('end', () => {
      if (length <= API_BODY_BYTES_MAX) resolve(Buffer.concat(parts, length));
      else reject(new GatewayError('TOO_LARGE', TOO_LARGE));
    });
    request.once('error', () => {
      resolve(null);
    });
    request.once('close', () => {
      resolve(null);
    });
  });
}

const TOO_LARGE = `the body is over ${API_BODY_BYTES_MAX} bytes: split the request`;

function textOf(body: Buffer): string {
  try {
    return UTF_8.decode(body);
  } catch {
    throw new GatewayError('BAD_BODY', 'the body is not UTF-8');
  }
}

const UTF_8 = new TextDecoder('utf-8', { fatal: true });

function sendError(response: ServerResponse, error: GatewayError): void {
  const why = failure(error.reason, error.message);
  // After the first line of a stream the status has been sent, so the error becomes the last line.
  if (response.headersSent) response.end(`${JSON.stringify(errorJson(why))}\n`);
  else sendJson(response, why.code, errorJson(why));
}

function sendJson(response: ServerResponse, code: number, json: unknown): void {
  const body = `${JSON.stringify(json)}\n`;
  response.writeHead(code, {
    'Content-Type': 'application/json',
    'Content-Length': Buffer.byteLength(body),
    ...NO_STORE,
  });
  response.end(body);
}
