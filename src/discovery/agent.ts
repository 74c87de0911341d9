/** The HTTP interface of a Consul agent: one request, one answer, bounded in size and time. */
import type { IncomingMessage, RequestOptions } from 'node:http';
import https from 'node:https';

import { http } from '../node-http.ts';
import type { Clock } from '../clock.ts';
import { gather } from '../gathered.ts';
import type { ClientTls } from '../transport/pem.ts';

/** Largest answer that is read, in bytes: some thousands of instances. */
export const ANSWER_BYTES_MAX = 8 * 1024 * 1024;
/** Characters of an error answer that go into a log line. */
const REFUSAL_CHARS_MAX = 200;
/** Milliseconds until the agent is asked again after a failure: at first, and at most. */
export const AGAIN_MS_MIN = 500;
export const AGAIN_MS_MAX = 30_000;
/** A host that vanishes without closing is noticed after a few of these. */
const TCP_KEEP_ALIVE_MS = 15_000;

export type AgentOptions = {
  /** http://host:port or https://host:port. */
  readonly url: string;
  /** ACL token; '': none. */
  readonly token: string;
  readonly tls: ClientTls;
  readonly clock: Clock;
};

export type Ask = {
  readonly method: 'GET' | 'PUT';
  /** Escaped, with the query. */
  readonly path: string;
  /** Sent as JSON; absent: no body. */
  readonly body?: unknown;
  readonly waitMs: number;
  readonly signal?: AbortSignal;
};

export type Answer = {
  readonly status: number;
  /** X-Consul-Index; 0: there is no usable one. */
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
   * Asks once. Any status counts as an answer; see `refusalOf`.
   *
   * @throws {Error} There is no answer: unreachable, too late, too large, aborted.
   */
  ask(ask: Ask): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const { clock, token, tls, url } = this.#options;
      const body = ask.body === undefined ? '' : JSON.stringify(ask.body);
      const options: RequestOptions = {
        method: ask.method,
        // A new connection for each: requests are few, and a reused connection might turn out to be dead.
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
        reject(new Error(`Consul at ${url}: ${messageOf(error)}`, { cause: error }));
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

/** Why an answer is not a success, and what to do about it if known; null: it is a success. */
export function refusalOf({ status, text }: Answer): string | null {
  if (status >= 200 && status < 300) return null;
  const detail = text.trim().slice(0, REFUSAL_CHARS_MAX);
  const hint =
    status === 401 || status === 403
      ? '; set consul.token, or give it the permissions it needs'
      : '';
  return `Consul answered ${status}${detail === '' ? '' : `: ${detail}`}${hint}`;
}

async function collect(response: IncomingMessage): Promise<string> {
  const body = await gather(response as AsyncIterable<Buffer>, ANSWER_BYTES_MAX);
  if (!response.complete) throw new Error('the answer was cut off');
  return body.toString('utf8');
}

function indexOf(response: IncomingMessage): number {
  const index = Number(response.headers['x-consul-index'] ?? 0);
  return Number.isSafeInteger(index) && index > 0 ? index : 0;
}

/** If a name has several addresses, Node puts the reasons into an error without a message. */
function messageOf(error: Error): string {
  if (error instanceof AggregateError && error.message === '')
    return error.errors.map((one: Error) => one.message).join(', ');
  return error.message;
}
