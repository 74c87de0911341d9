/** Pitaya's client for Go, in a process of its own. */
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';

import { buildModule } from './go-module.ts';
import { PATIENCE_MS } from '../support/wait.ts';

export type PitayaAnswer = { readonly body: unknown; readonly isErr: boolean };

type Event = {
  readonly event: 'connected' | 'failed' | 'sent' | 'answer' | 'push';
  readonly key?: number;
  readonly id?: number;
  readonly route?: string;
  readonly body?: string;
  readonly isErr?: boolean;
};

export class PitayaClient implements AsyncDisposable {
  readonly #child: ChildProcessByStdio<Writable, Readable, Readable>;
  readonly #events: Event[] = [];
  readonly #watchers = new Set<() => void>();
  #errors = '';
  #hasEnded = false;
  #keys = 0;

  private constructor(child: ChildProcessByStdio<Writable, Readable, Readable>) {
    this.#child = child;
    createInterface(child.stdout).on('line', (line) => {
      this.#events.push(JSON.parse(line) as Event);
      this.#look();
    });
    child.stderr.on('data', (chunk: Buffer) => {
      this.#errors += chunk.toString();
    });
    child.on('close', () => {
      this.#hasEnded = true;
      this.#look();
    });
  }

  /** @param how `path` for WebSocket, `ca` (PEM) for TLS. */
  static async connect(
    port: number,
    how: { readonly path?: string; readonly ca?: string } = {},
  ): Promise<PitayaClient> {
    const program = await buildModule('pitaya-go');
    const client = new PitayaClient(spawn(program, { stdio: 'pipe' }));
    client.#do('connect', { addr: `127.0.0.1:${port}`, ...how });
    await client.#first(({ event }) => event === 'connected', 'the handshake');
    return client;
  }

  async request(route: string, body: object): Promise<PitayaAnswer> {
    const key = ++this.#keys;
    this.#do('request', { key, route, body });
    const sent = await this.#first((one) => one.event === 'sent' && one.key === key, 'the id');
    const answer = await this.#first(
      (one) => one.event === 'answer' && one.id === sent.id,
      `the answer to ${route}`,
    );
    return { body: JSON.parse(answer.body!) as unknown, isErr: answer.isErr === true };
  }

  notify(route: string, body: object): void {
    this.#do('notify', { route, body });
  }

  /** The body of the `n`th push of a route; the first is 0. */
  async push(route: string, n = 0): Promise<unknown> {
    const found = await this.#wait(() => {
      const pushes = this.#events.filter((one) => one.event === 'push' && one.route === route);
      return pushes[n];
    }, `push ${n} of ${route}`);
    return JSON.parse(found.body!) as unknown;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#hasEnded) return;
    this.#child.stdin.end();
    await once(this.#child, 'close');
  }

  #do(act: string, rest: object): void {
    this.#child.stdin.write(`${JSON.stringify({ do: act, ...rest })}\n`);
  }

  #look(): void {
    for (const look of this.#watchers) look();
  }

  #first(isIt: (event: Event) => boolean, what: string): Promise<Event> {
    return this.#wait(() => this.#events.find(isIt), what);
  }

  #wait(find: () => Event | undefined, what: string): Promise<Event> {
    return new Promise((resolve, reject) => {
      const finish = (): void => {
        clearTimeout(timer);
        this.#watchers.delete(look);
      };
      const fail = (why: string): void => {
        finish();
        const last = this.#events.slice(-5).map((event) => JSON.stringify(event));
        reject(new Error(`${what}: ${why}\n${last.join('\n')}\n${this.#errors.slice(-2_000)}`));
      };
      const timer = setTimeout(() => {
        fail(`did not come in ${PATIENCE_MS} ms`);
      }, PATIENCE_MS);
      const look = (): void => {
        const found = find();
        if (found !== undefined) {
          finish();
          resolve(found);
        } else if (this.#hasEnded) {
          fail('the client has ended');
        } else if (this.#events.at(-1)?.event === 'failed') {
          fail('the client failed');
        }
      };
      this.#watchers.add(look);
      look();
    });
  }
}
