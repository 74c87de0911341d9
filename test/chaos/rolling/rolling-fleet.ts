/** Gateways behind a load balancer, on a nats-server with JetStream, that are restarted one after the other. */
import { join } from 'node:path';
import type { NatsConnection } from 'nats';

import { startNats, type TestNats } from '../../support/nats.ts';
import { serve as serveNats } from '../../support/nats-backend.ts';
import { run } from '../../support/process.ts';
import { ROOT, serve, type Served } from '../../support/serve.ts';
import { eventually } from '../../support/wait.ts';
import { peakMib } from '../totals.ts';
import { Front } from './front.ts';

const KEY = Buffer.alloc(32, 7).toString('base64');
const GATEWAYS = 3;

/** SIGTERM: it drains · SIGKILL: it does not. */
export type Way = 'SIGTERM' | 'SIGKILL';

export class RollingFleet implements AsyncDisposable {
  readonly nats: TestNats;
  readonly nc: NatsConnection;
  readonly #front: Front;
  readonly #open: AsyncDisposableStack;
  #gateways: Served[] = [];

  private constructor(
    nats: TestNats,
    nc: NatsConnection,
    front: Front,
    open: AsyncDisposableStack,
  ) {
    this.nats = nats;
    this.nc = nc;
    this.#front = front;
    this.#open = open;
  }

  static async start(): Promise<RollingFleet> {
    await using open = new AsyncDisposableStack();
    const nats = open.use(await startNats('jetstream { store_dir: "$DIR/js" }'));
    const tool = join(ROOT, 'deploy/nats/keep-stream.ts');
    const { code, output } = await run(process.execPath, [tool], { env: { NATS_URL: nats.url } });
    if (code !== 0) throw new Error(output);
    const nc = await nats.connect({ maxReconnectAttempts: -1, reconnectTimeWait: 50 });
    await serveNats(nc, 'pith.rpc.game.door.*', (msg) => {
      const { uid } = msg.json<{ uid: string }>();
      return { headers: { 'Pith-Bind': uid }, body: '{"code":200}' };
    });
    await serveNats(nc, 'pith.rpc.game.room.*', () => ({ body: '{"code":200}' }));
    const front = open.use(await Front.start());
    const fleet = new RollingFleet(nats, nc, front, open.move());
    try {
      fleet.#gateways = await Promise.all(
        Array.from({ length: GATEWAYS }, () => fleet.#startOne()),
      );
      fleet.#look();
      return fleet;
    } catch (error) {
      await fleet[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Where players connect. */
  get url(): string {
    return `ws://127.0.0.1:${this.#front.port}`;
  }

  #look(): void {
    this.#front.use(this.#gateways.map(({ port }) => port));
  }

  async #startOne(): Promise<Served> {
    const gateway = await serve(`
bus: ${this.nats.url}
sessions: { resume: { window: 60s, keys: ["${KEY}"], replay: true } }
drain: { budget: 5s, per_second: 100 }
backends: { game: { nats: {} } }
routes: [{ match: "game.>", backend: game }]`);
    const isReady = async (): Promise<boolean> =>
      (await fetch(`http://127.0.0.1:${gateway.healthPort}/readyz`)).ok;
    await eventually(isReady, 'a gateway to be ready');
    return gateway;
  }

  /** Each of them in turn: a new one is there before the old one goes. @param between What is done after each. */
  async roll(way: Way, between: (n: number) => Promise<void> = () => Promise.resolve()) {
    for (let n = 0; n < GATEWAYS; n++) {
      const next = await this.#startOne();
      const old = this.#gateways[n]!;
      this.#gateways[n] = next;
      this.#look();
      old.running.kill(way);
      await old.running.exited;
      await old[Symbol.asyncDispose]();
      await between(n);
    }
  }

  /** Of the gateways that are there. */
  get peakMib(): number {
    return peakMib(this.#gateways.map(({ running }) => running));
  }

  /** Of a metric, over all gateways that are there. */
  async sum(metric: string): Promise<number> {
    let all = 0;
    for (const { healthPort } of this.#gateways) {
      const text = await (await fetch(`http://127.0.0.1:${healthPort}/metrics`)).text();
      for (const line of text.split('\n'))
        if (line.startsWith(metric)) all += Number(line.split(' ').at(-1));
    }
    return all;
  }

  /** Lines of the logs of gateways that are there that should not be. */
  faults(): string[] {
    return this.#gateways.flatMap((gateway) =>
      gateway
        .log()
        .filter(({ level, msg }) => level === 'error' && msg !== 'bus')
        .map(({ msg }) => `a gateway logs: ${msg}`),
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const gateway of this.#gateways) await gateway[Symbol.asyncDispose]();
    await this.#open.disposeAsync();
  }
}
