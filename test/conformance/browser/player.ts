/** One page of the browser: the client in it, and the bytes on its wire. */
import type { Page } from 'playwright-core';

import { eventually, PATIENCE_MS } from '../../support/wait.ts';

/** Something that happened in the client, with the arguments that it gave. */
export type PageEvent = { readonly event: string; readonly args: readonly unknown[] };

export type InitOptions = {
  readonly user?: object;
  readonly reconnect?: boolean;
};

export class Player implements AsyncDisposable {
  /** Every frame in each direction, as the browser saw it on the wire. */
  readonly received: Buffer[] = [];
  readonly sent: Buffer[] = [];
  readonly #page: Page;
  #keys = 0;

  constructor(page: Page) {
    this.#page = page;
    page.on('websocket', (socket) => {
      socket.on('framereceived', ({ payload }) => this.received.push(binary(payload)));
      socket.on('framesent', ({ payload }) => this.sent.push(binary(payload)));
    });
  }

  /** Connects and shakes hands. */
  async init(port: number, options: InitOptions = {}): Promise<void> {
    await this.#do('init', { ...options, port });
    await this.event('ready');
  }

  /** Asks; what the callback was called with. */
  async callback(route: string, body: object): Promise<readonly unknown[]> {
    const args = await this.#wait('answer', await this.ask(route, body));
    return args.slice(1);
  }

  /** Asks; the body of the answer. */
  async request(route: string, body: object = {}): Promise<unknown> {
    return (await this.callback(route, body))[0];
  }

  /** Asks, and waits for no answer; the key of the answer's event. */
  async ask(route: string, body: object): Promise<number> {
    const key = ++this.#keys;
    await this.#do('request', key, route, body);
    return key;
  }

  /** Sends `count` requests at once, `{n}` in route and body replaced; the bodies of the answers by n. */
  async requests(count: number, route: string, body: object): Promise<Map<number, unknown>> {
    await this.#do('requests', count, route, body);
    const [answers] = await this.event('answers');
    return new Map(answers as [number, unknown][]);
  }

  notify(route: string, body: object): Promise<void> {
    return this.#do('notify', route, body);
  }

  disconnect(): Promise<void> {
    return this.#do('disconnect');
  }

  /** The arguments of the `n`th event of that name; the first is 0. */
  event(name: string, n = 0): Promise<readonly unknown[]> {
    return this.#wait(name, n);
  }

  /** Everything that happened so far, in order. */
  events(): Promise<PageEvent[]> {
    return this.#page.evaluate('driver.events()');
  }

  /** Everything of that name that happened so far. */
  async all(name: string): Promise<PageEvent[]> {
    return (await this.events()).filter(({ event }) => event === name);
  }

  /** The first `count` frames that came whose package is of this type. */
  frames(type: number, count = 1): Promise<Buffer[]> {
    return eventually(() => {
      const found = this.received.filter((frame) => frame[0] === type);
      return found.length >= count && found.slice(0, count);
    }, `${count} frames of type ${type}`);
  }

  /** Closes the page, as its user would. */
  async close(): Promise<void> {
    await this.#page.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#page.context().close();
  }

  async #do(act: string, ...args: readonly unknown[]): Promise<void> {
    await this.#page.evaluate(call(act, args));
  }

  #wait(name: string, n: number): Promise<readonly unknown[]> {
    return this.#page.evaluate(call('wait', [name, n, PATIENCE_MS]));
  }
}

function call(act: string, args: readonly unknown[]): string {
  return `driver.${act}(...${JSON.stringify(args)})`;
}

function binary(payload: string | Buffer): Buffer {
  if (typeof payload === 'string') throw new Error(`a text frame: ${payload}`);
  return payload;
}
