/** What gateways are connected by: one nats-server, or three in a cluster. The way to the third can be cut. */
import type { NatsConnection } from 'nats';

import { type Cable, layCable } from '../../support/cable.ts';
import { startNats, type TestNats } from '../../support/nats.ts';
import { eventually } from '../../support/wait.ts';
import { freePort } from '../../support/process.ts';

export class Bus implements AsyncDisposable {
  readonly name: string;
  readonly servers: readonly TestNats[];
  /** Between the third server and the others. */
  readonly #routes: readonly Cable[];
  /** Of gateways that are the third of their fleet. */
  readonly #thirds: Cable[] = [];
  readonly #open: AsyncDisposableStack;

  private constructor(
    name: string,
    servers: readonly TestNats[],
    routes: readonly Cable[],
    open: AsyncDisposableStack,
  ) {
    this.name = name;
    this.servers = servers;
    this.#routes = routes;
    this.#open = open;
  }

  static async ofOne(): Promise<Bus> {
    await using open = new AsyncDisposableStack();
    const servers = [open.use(await startNats())];
    return new Bus('one server', servers, [], open.move());
  }

  /**
   * Servers connect by the cables only: what they tell each other of others leads nowhere.
   *
   * @param more Lines for their configuration. `isTold`: clients of one server are told of the others.
   */
  static async ofThree(more = '', isTold = false): Promise<Bus> {
    await using open = new AsyncDisposableStack();
    const servers: TestNats[] = [];
    const ports: number[] = [];
    const routes: Cable[] = [];
    for (const server of ['a', 'b', 'c']) {
      const port = await freePort();
      const to = [...ports];
      if (server === 'c')
        for (const [i, far] of ports.entries()) {
          const cable = open.use(await layCable(far));
          routes.push(cable);
          to[i] = cable.port;
        }
      const urls = to.map((one) => `"nats://127.0.0.1:${one}"`).join(', ');
      servers.push(
        open.use(
          await startNats(`server_name: ${server}
cluster { name: c, listen: "127.0.0.1:${port}", advertise: "127.0.0.1:1", no_advertise: ${!isTold}, routes: [${urls}] }
${more}`),
        ),
      );
      ports.push(port);
    }
    return new Bus('cluster of three', servers, routes, open.move());
  }

  /** A way to the server of the gateway with this number, from 0. */
  async layTo(gateway: number): Promise<Cable> {
    const cable = await layCable((this.servers[gateway] ?? this.servers[0]!).port);
    this.#open.use(cable);
    if (gateway === 2) this.#thirds.push(cable);
    return cable;
  }

  /** On the server of the first gateways, which is never cut off. */
  connect(): Promise<NatsConnection> {
    return this.servers[0]!.connect();
  }

  /** A client of one server, which goes to another while that is away. */
  connectTo({ port }: TestNats): Promise<NatsConnection> {
    const others = this.servers.map((server) => server.port).filter((other) => other !== port);
    const servers = [port, ...others].map((one) => `127.0.0.1:${one}`);
    const again = { maxReconnectAttempts: -1, reconnectTimeWait: 50, noRandomize: true };
    return this.servers[0]!.connect({ servers, ...again });
  }

  /** Another server. */
  after(server: TestNats): TestNats {
    return this.servers[(this.servers.indexOf(server) + 1) % this.servers.length]!;
  }

  /** The third gateway of each fleet does not reach the others. */
  isolate(): void {
    for (const cable of this.#cables) cable.cut();
  }

  /** And until what is published on each side is heard on the other. */
  async rejoin(): Promise<void> {
    for (const cable of this.#cables) cable.mend();
    await this.joined();
  }

  /** Until what is published on one server is heard on all, whichever it is. */
  async joined(): Promise<void> {
    const clients = await Promise.all(
      this.servers.map(({ port }) =>
        this.servers[0]!.connect({ servers: `127.0.0.1:${port}`, reconnect: false }),
      ),
    );
    for (const from of clients) {
      const heard = new Set<NatsConnection>();
      for (const to of clients)
        to.subscribe('probe', {
          callback: () => {
            heard.add(to);
          },
        });
      await Promise.all(clients.map((to) => to.flush()));
      await eventually(async () => {
        from.publish('probe');
        await from.flush();
        return heard.size === clients.length;
      }, 'the cluster');
    }
    await Promise.all(clients.map((client) => client.close()));
  }

  get isOneServer(): boolean {
    return this.servers.length === 1;
  }

  get #cables(): readonly Cable[] {
    return this.#routes.length > 0 ? this.#routes : this.#thirds;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#open.disposeAsync();
  }
}
