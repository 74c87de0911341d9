/** Three real nats-servers in a cluster, with JetStream. */
import { join } from 'node:path';
import type { NatsConnection } from 'nats';

import { startNats, type TestNats } from './nats.ts';
import { freePort, run } from './process.ts';
import { ROOT } from './serve.ts';
import { eventually } from './wait.ts';

const NAMES = ['a', 'b', 'c'] as const;

type StreamInfo = {
  readonly cluster?: {
    readonly leader?: string;
    readonly replicas?: readonly { readonly current: boolean }[];
  };
};

export class NatsCluster implements AsyncDisposable {
  readonly servers: readonly TestNats[];
  readonly #open: AsyncDisposableStack;

  private constructor(servers: readonly TestNats[], open: AsyncDisposableStack) {
    this.servers = servers;
    this.#open = open;
  }

  static async start(): Promise<NatsCluster> {
    await using open = new AsyncDisposableStack();
    const ports = await Promise.all(NAMES.map(() => freePort()));
    const routes = ports.map((port) => `"nats://127.0.0.1:${port}"`).join(', ');
    const servers: TestNats[] = [];
    for (const [i, name] of NAMES.entries())
      servers.push(
        open.use(
          await startNats(`server_name: ${name}
jetstream { store_dir: "$DIR/js" }
cluster { name: c, listen: "127.0.0.1:${ports[i]!}", routes: [${routes}] }`),
        ),
      );
    return new NatsCluster(servers, open.move());
  }

  /** Of all servers, with commas between. */
  get urls(): string {
    return this.servers.map(({ url }) => url).join(',');
  }

  /** A client that goes on with another server when its own is gone. */
  connect(): Promise<NatsConnection> {
    return this.servers[0]!.connect({
      servers: this.servers.map(({ port }) => `127.0.0.1:${port}`),
      maxReconnectAttempts: -1,
      reconnectTimeWait: 50,
    });
  }

  /** `make keep-stream` on three servers; once they have agreed who decides. */
  async makeKeepStream(): Promise<void> {
    const tool = join(ROOT, 'deploy/nats/keep-stream.ts');
    const env = { NATS_URL: this.servers[0]!.url, REPLICAS: '3' };
    let said = '';
    await eventually(async () => {
      const { code, output } = await run(process.execPath, [tool], { env });
      said = output;
      return code === 0;
    }, 'the stream').catch((error: unknown) => {
      throw new Error(`${String(error)}: ${said}`);
    });
  }

  /** The server that stores what is published, once all that are there have what it has. @param nc Not on a dead one. */
  async leaderOf(nc: NatsConnection, stream: string): Promise<TestNats> {
    return eventually(async () => {
      try {
        const answer = await nc.request(`$JS.API.STREAM.INFO.${stream}`, '', { timeout: 1_000 });
        const { leader, replicas = [] } = answer.json<StreamInfo>().cluster ?? {};
        if (replicas.length < 2 || !replicas.every(({ current }) => current)) return null;
        return this.servers[NAMES.findIndex((name) => name === leader)];
      } catch {
        // Nobody leads at the moment.
        return null;
      }
    }, `a leader of ${stream}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#open.disposeAsync();
  }
}
