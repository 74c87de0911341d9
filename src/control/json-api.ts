/** `POST /v1/<Method>`: the methods of Control in JSON, for use without gRPC or NATS. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { ServiceDefinition } from '@grpc/grpc-js';

import { errorJson } from '../contract/json-shapes.ts';
import { failure, type Failure, GatewayError } from '../errors.ts';
import { refusedCaller } from './caller.ts';
import { JsonMessages } from './json-messages.ts';
import type { Log } from '../telemetry/log.ts';
import { controlError, type Method, type Methods, notServed } from './method.ts';
import { sendAll } from './streaming.ts';

/** Where the methods are. */
export const API_PATH = '/v1/';
/** Bytes of the longest body: a gRPC server's default limit. */
export const API_BODY_BYTES_MAX = 4 * 1024 * 1024;
/** Concurrent requests; each may hold a body. */
export const API_REQUESTS_MAX = 64;
/** How long a connection may be idle while it is answered: longer than any method waits. */
const IDLE_MS = 30_000;

const NO_STORE = { 'Cache-Control': 'no-store', 'X-Content-Type-Options': 'nosniff' };

export type JsonApiParts = {
  readonly methods: Methods;
  readonly log: Log;
  /** Full name of the service, and its methods as proto-loader has them. */
  readonly service: string;
  readonly definitions: ServiceDefinition;
  /** `limits.convert`; absent: its default. */
  readonly convertBytesMax?: number | undefined;
};

export class JsonApi {
  readonly #parts: JsonApiParts;
  /** Made for the first call: most gateways never get one. */
  #messages: JsonMessages | null = null;
  #requests = 0;

  constructor(parts: JsonApiParts) {
    this.#parts = parts;
  }

  /** Answers a request whose path begins with `API_PATH`. */
  handle(request: IncomingMessage, response: ServerResponse): void {
    // A client may go away while it is answered.
    response.on('error', () => {});
    response.setTimeout(IDLE_MS, () => {
      response.destroy();
    });
    this.#requests++;
    response.once('close', () => {
      this.#requests--;
    });
    const path = request.url!.split('?', 1)[0]!;
    const name = path.slice(API_PATH.length);
    const refusal = this.#refusal(request, name);
    if (refusal !== null) {
      if (refusal.code === 405) response.setHeader('Allow', 'POST');
      request.resume();
      sendJson(response, refusal.code, errorJson(refusal));
      return;
    }
    this.#run(name, request, response).catch((error: unknown) => {
      sendError(response, controlError(error, this.#parts.log));
    });
  }

  /** Why the request is refused before its body is read; null: it is not. */
  #refusal(request: IncomingMessage, name: string): Failure | null {
    const callerRefusal = refusedCaller(request.headers);
    if (callerRefusal !== null) return failure('FORBIDDEN', callerRefusal);
    const { definitions, methods } = this.#parts;
    if (!Object.hasOwn(definitions, name)) {
      const served = Object.keys(methods).join(', ');
      return failure('NO_ROUTE', `no such method: POST ${API_PATH}<Method>, one of ${served}`);
    }
    if (request.method !== 'POST')
      return { ...failure('UNSUPPORTED', `use POST: ${API_PATH}${name} is a method`), code: 405 };
    if (!Object.hasOwn(methods, name)) return failure('UNSUPPORTED', notServed(name, methods));
    if (this.#requests > API_REQUESTS_MAX)
      return failure(
        'OVERLOADED',
        `${API_REQUESTS_MAX} requests are in progress already; try again`,
      );
    return null;
  }

  async #run(name: string, request: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = await readBody(request);
    // The client left before the end of its body.
    if (body === null) return;
    const { methods, service, convertBytesMax } = this.#parts;
    this.#messages ??= new JsonMessages(service, convertBytesMax);
    const messages = this.#messages;
    const method: Method = methods[name]!;
    const message = messages.request(name, textOf(body));
    if (!method.streams) {
      sendJson(response, 200, messages.answer(name, await method.run(message, Infinity)));
      return;
    }
    // The head is sent with the first line: until then a failure still gets its own status.
    response.setHeader('Content-Type', 'application/x-ndjson');
    for (const [header, value] of Object.entries(NO_STORE)) response.setHeader(header, value);
    await sendAll(
      () => method.run(message, Infinity),
      response,
      (answer) => response.write(`${JSON.stringify(messages.answer(name, answer))}\n`),
    );
    response.end();
  }
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
