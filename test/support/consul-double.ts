/**
 * What speaks like a Consul agent, and does what a real one cannot be made to: fail, hang, go back in its index.
 * test/slow/consul.test.ts asks a real one.
 */
import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo } from 'node:net';

import { eventually } from './wait.ts';

export type ConsulAsk = {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: http.IncomingHttpHeaders;
  /** Parsed; null: none. */
  readonly body: unknown;
};

export type ConsulAnswer = {
  readonly status?: number;
  readonly index?: number;
  /** Text as it is; anything else as JSON. */
  readonly body?: unknown;
};

/** What to say; null: nothing, until the other side gives up or `release` is called. */
export type Say = (ask: ConsulAsk) => ConsulAnswer | null;

export class ConsulDouble implements AsyncDisposable {
  readonly asks: ConsulAsk[] = [];
  say: Say;
  readonly #server: http.Server;
  readonly #held = new Map<http.ServerResponse, ConsulAsk>();
  #port = 0;

  private constructor(say: Say) {
    this.say = say;
    this.#server = http.createServer((request, response) => {
      void this.#take(request, response);
    });
  }

  static async start(say: Say): Promise<ConsulDouble> {
    const double = new ConsulDouble(say);
    await double.listen();
    return double;
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  /** Questions that wait for an answer. */
  get held(): readonly ConsulAsk[] {
    return [...this.#held.values()];
  }

  /** On the port that it had before. */
  async listen(): Promise<void> {
    this.#server.listen(this.#port, '127.0.0.1');
    await once(this.#server, 'listening');
    this.#port = (this.#server.address() as AddressInfo).port;
  }

  async stop(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    this.#server.closeAllConnections();
    await closed;
  }

  /** Answers every question that waits. */
  release(answer: ConsulAnswer): void {
    for (const response of this.#held.keys()) write(response, answer);
    this.#held.clear();
  }

  /** Resolves with the last question once there are `count`. */
  async asked(count: number): Promise<ConsulAsk> {
    return await eventually(
      () => this.asks.length >= count && this.asks[count - 1],
      `${count} questions, there are ${this.asks.length}`,
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#server.listening) await this.stop();
  }

  async #take(request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
    let text = '';
    for await (const chunk of request) text += String(chunk);
    const { pathname, searchParams } = new URL(request.url ?? '', this.url);
    const ask: ConsulAsk = {
      method: request.method ?? '',
      path: decodeURIComponent(pathname),
      query: searchParams,
      headers: request.headers,
      body: text === '' ? null : (JSON.parse(text) as unknown),
    };
    this.asks.push(ask);
    const answer = this.say(ask);
    if (answer !== null) {
      write(response, answer);
      return;
    }
    this.#held.set(response, ask);
    response.once('close', () => this.#held.delete(response));
  }
}

function write(response: http.ServerResponse, { status = 200, index, body = '' }: ConsulAnswer) {
  response.writeHead(status, {
    ...(index !== undefined && { 'X-Consul-Index': index }),
    'Content-Type': 'application/json',
  });
  response.end(typeof body === 'string' ? body : JSON.stringify(body));
}

/** An entry of `/v1/health/service/<name>`. */
export function healthy(address: string, port: number, weight = 1): unknown {
  return {
    Node: { Node: 'n1', Address: '10.9.9.9' },
    Service: {
      ID: `${address}:${port}`,
      Address: address,
      Port: port,
      Weights: { Passing: weight },
    },
  };
}
