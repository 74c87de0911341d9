/** One server of the bus in the simulation: its process is begun again in the same place, and knows nothing then. */
import type { Network } from './channel.ts';
import { NATS_DEFAULTS, NatsServerDouble, type NatsServerOptions } from './nats-server.ts';
import type { Service } from './stage.ts';
import { Node, type World } from './world.ts';

export type NatsServiceOptions = Partial<Omit<NatsServerOptions, 'host' | 'others'>> & {
  readonly world: World;
  readonly network: Network;
};

export class NatsService implements Service {
  readonly place: string;
  server: NatsServerDouble | null = null;
  readonly #options: NatsServiceOptions;
  readonly #others: readonly string[];
  #generation = 0;

  constructor(place: string, others: readonly string[], options: NatsServiceOptions) {
    this.place = place;
    this.#others = others;
    this.#options = options;
  }

  get node(): Node | null {
    const node = this.server?.node;
    return node === undefined || node.isDead ? null : node;
  }

  start(): void {
    const { world, network, ...rest } = this.#options;
    const node = new Node(world, `${this.place}#${++this.#generation}`);
    const options = { ...NATS_DEFAULTS, ...rest, host: this.place, others: this.#others };
    this.server = new NatsServerDouble(network, node, options);
  }

  /** By lame duck mode, as Kubernetes has it in the chart of NATS. */
  stop(done: () => void): void {
    this.server!.onExit = done;
    this.server!.lameDuck();
  }

  cutBus(): void {
    // It is the bus.
  }

  misbehave(): void {
    // It does not.
  }
}

/** All servers of a cluster: `n1`, `n2` … */
export function natsServices(count: number, options: NatsServiceOptions): NatsService[] {
  const places = Array.from({ length: count }, (_, i) => `n${i + 1}`);
  return places.map((place) => {
    const others = places.filter((other) => other !== place);
    return new NatsService(place, others, options);
  });
}
