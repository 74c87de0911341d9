/** The HTTP interface of a Consul agent: one request, one answer, bounded in size and time. */
import http, { type IncomingMessage, type RequestOptions } from 'node:http';
import https from 'node:https';

import type { Clock } from '../clock.ts';
import { Gathered } from '../gathered.ts';
import type { ClientTls } from '../transport/pem.ts';

/** Largest answer that is read: some thousands of instances. */
export const ANSWER_BYTES_MAX = 8 * 1024 * 1024;
/** As much of a refusal's text as goes into a log line. */
const REFUSAL_CHARS_MAX = 200;
/** After a failure the agent is asked again within the first of these, and within the second in the end. */
export const AGAIN_MS_MIN = 500;
export const AGAIN_MS_MAX = 30_000;
/** A host that is gone without a word is noticed after some of these. */
const TCP_KEEP_ALIVE_MS = 15_000;

export type AgentOptions = {
  /** http://host:port or https://host:port. */
  readonly url: string;
  /** '': none. */
  readonly token: string;
  readonly tls: ClientTls;
  readonly clock: Clock;
};

export type Ask = {
  readonly method: 'GET' | 'PUT';
  /** Escaped, with its query. */
  readonly path: string;
  /** Sent as JSON; absent: no body. */
  readonly body?: unknown;
  readonly waitMs: number;
  readonly signal?: AbortSignal;
};

export type Answer = {
  readonly status: number;
  /** X-Consul-Index; 0: there is none that can be used. */
  readonly index: number;
  readonly text: string;
};

export class ConsulAgent {
  readonly url: string;
  readonly #options: AgentOptions;
  #localAddress = '';

  constructor(options: AgentOptions) {
    this.#options = options;
    this.url = options.url;
  }

  /** Our own address as the agent sees it, from the last connection; '' before the first. */
  get localAddress(): string {
    return this.#localAddress;
  }

  /**
   * Any status is an answer; see `refusalOf`.
   *
   * @throws {Error} without an answer: not reached, too late, too large, aborted.
   */
  ask(ask: Ask): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const { clock, token, tls, url } = this.#options;
      const body = ask.body === undefined ? '' : JSON.stringify(ask.body);
      const options: RequestOptions = {
        method: ask.method,
        // A connection for each: they are few, and none can turn out to be dead when it is used again.
        agent: false,
        headers: {
          Accept: 'application/json',
          'Content-Length': Buffer.byteLength(body),
          ...(body !== '' && { 'Content-Type': 'application/json' }),
          ...(token !== '' && { 'X-Consul-Token': token }),
        },
        ...(ask.signal !== undefined && { signal: ask.signal }),
      };
      const target = url + ask.path;
      const request = url.startsWith('https:')
        ? https.request(target, { ...options, ...tls })
        : http.request(target, options);
      const cancelTimer = clock.setTimer(ask.waitMs, () => {
        request.destroy(new Error(`no answer in ${ask.waitMs} ms`));
      });
      const fail = (error: Error): void => {
        cancelTimer();
        reject(new Error(`Consul at ${url}: ${wordsOf(error)}`, { cause: error }));
      };
      request.setSocketKeepAlive(true, TCP_KEEP_ALIVE_MS);
      request.once('socket', (socket) => {
        const take = (): void => {
          this.#localAddress = (socket.localAddress ?? '').replace(/^::ffff:/, '');
        };
        socket.once('connect', take);
      });
      request.on('error', fail);
      request.once('response', (response) => {
        collect(response).then((text) => {
          cancelTimer();
          resolve({ status: response.statusCode ?? 0, index: indexOf(response), text });
        }, fail);
      });
      request.end(body);
    });
  }
}

/** Why an answer is no success, and what to do about it where that is known; null: it is one. */
export function refusalOf({ status, text }: Answer): string | null {
  if (status >= 200 && status < 300) return null;
  const said = text.trim().slice(0, REFUSAL_CHARS_MAX);
  const hint =
    status === 401 || status === 403 ? '; give consul.token what it needs, or set it' : '';
  return `Consul answered ${status}${said === '' ? '' : `: ${said}`}${hint}`;
}

async function collect(response: IncomingMessage): Promise<string> {
  const body = new Gathered();
  for await (const chunk of response as AsyncIterable<Buffer>) {
    if (body.bytes + chunk.length > ANSWER_BYTES_MAX)
      throw new Error(`an answer of more than ${ANSWER_BYTES_MAX} bytes`);
    body.add(chunk);
  }
  if (!response.complete) throw new Error('the answer broke off');
  return body.all().toString('utf8');
}

function indexOf(response: IncomingMessage): number {
  const index = Number(response.headers['x-consul-index'] ?? 0);
  return Number.isSafeInteger(index) && index > 0 ? index : 0;
}

/** Where a name has several addresses, Node puts the reasons into an error without a text. */
function wordsOf(error: Error): string {
  if (error instanceof AggregateError && error.message === '')
    return error.errors.map((one: Error) => one.message).join(', ');
  return error.message;
}
