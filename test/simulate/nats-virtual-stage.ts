/** Doubles of nats-server in virtual time, as a stage for scripts. */
import type { NatsConnection } from '../../src/upstream/nats/nats-connection.ts';
import { NEAR } from './channel.ts';
import { Network } from './network.ts';
import { GATEWAY_LINK, natsDialer } from './nats-link.ts';
import { NATS_DEFAULTS, NatsServerDouble, type NatsServerOptions } from './nats-server.ts';
import type { Deed, Dialled, Stage, StageOptions } from './nats-stage.ts';
import { Node, World } from './world.ts';

/** Virtual time that a line may take. */
const PATIENCE_MS = 60_000;
/** So that a failure does not take long: between two looks, at first and later. */
const STEP_MS = [1, 25] as const;
const FIRST_LOOKS = 500;

export class VirtualStage implements Stage {
  readonly servers: readonly string[];
  readonly world: World;
  readonly network: Network;
  readonly #options: StageOptions;
  readonly #running = new Map<string, NatsServerDouble>();
  readonly #clients = new Map<string, Node>();
  #processes = 0;

  constructor(options: StageOptions, seed = 'nats') {
    this.world = new World(seed);
    this.network = new Network(this.world);
    this.#options = options;
    this.servers = Array.from({ length: options.servers }, (_, i) => `n${i + 1}`);
    for (const server of this.servers) this.#start(server);
  }

  double(server: string): NatsServerDouble {
    return this.#running.get(server)!;
  }

  #start(server: string): void {
    const { servers: _, ...rest } = this.#options;
    const options: NatsServerOptions = {
      ...NATS_DEFAULTS,
      ...rest,
      host: server,
      others: this.servers.filter((other) => other !== server),
    };
    const node = new Node(this.world, `${server}#${++this.#processes}`);
    this.#running.set(server, new NatsServerDouble(this.network, node, options));
  }

  addressOf(server: string): string {
    return `${server}:4222`;
  }

  dial(name: string, servers: readonly string[], as: Dialled): Promise<NatsConnection> {
    const node = new Node(this.world, `${name}#${++this.#processes}`);
    this.#clients.set(name, node);
    const none = { inboxPrefix: '', creds: '', token: '', nkey: '' };
    const dial = natsDialer(this.network, node, { ...GATEWAY_LINK, latency: NEAR });
    return dial({ gatewayId: name, ...as, ...none }, servers.map((one) => this.addressOf(one))); // prettier-ignore
  }

  act(server: string, deed: Deed): Promise<void> {
    const running = this.double(server);
    if (deed === 'kill') this.network.kill(running.node, 'reset');
    else if (deed === 'stop') running.stop();
    else if (deed === 'pause') running.node.pause();
    else if (deed === 'lame duck') running.lameDuck();
    else if (deed === 'start') this.#start(server);
    else {
      running.node.resume();
      this.network.resumed();
    }
    return Promise.resolve();
  }

  hold(...ends: readonly string[]): void {
    this.network.part(...this.#places(ends));
  }

  release(...ends: readonly string[]): void {
    this.network.join(...this.#places(ends));
  }

  cut(...ends: readonly string[]): void {
    const [a, b] = this.#places(ends);
    for (const channel of this.network.open) {
      const between = [channel.a.node.place, channel.b.node.place];
      if (between.includes(a) && between.includes(b)) this.network.cut(channel);
    }
  }

  #places(ends: readonly string[]): [string, string] {
    if (ends.length === 2) return [ends[0]!, ends[1]!];
    const { a, b } = this.network.of(this.#clients.get(ends[0]!)!)[0]!;
    return [a.node.place, b.node.place];
  }

  stopReading(client: string): void {
    for (const { a } of this.network.of(this.#clients.get(client)!)) a.pauseReading();
  }

  readAgain(client: string): void {
    for (const { a } of this.network.of(this.#clients.get(client)!)) a.resumeReading();
  }

  async wait<T>(promise: Promise<T>, what: string): Promise<T> {
    let isSettled = false;
    promise.then(() => (isSettled = true), () => (isSettled = true)); // prettier-ignore
    await this.until(() => isSettled, what);
    return promise;
  }

  async until(isTrue: () => boolean, what: string): Promise<void> {
    const endMs = this.world.nowMs + PATIENCE_MS;
    for (let looks = 0; !isTrue(); looks++) {
      const [violation] = this.world.violations;
      if (violation !== undefined) throw new Error(`${violation.rule}: ${violation.what}`);
      if (this.world.nowMs > endMs) throw new Error(`waited for ${what}`);
      await this.world.run(this.world.nowMs + STEP_MS[looks < FIRST_LOOKS ? 0 : 1]);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {}
}
