/** A place where a nats-server runs: one process after the other. */
import type { Network } from './network.ts';
import { NATS_DEFAULTS, NatsServerDouble, type NatsServerOptions } from './nats-server.ts';
import { Node, type World } from './world.ts';

/** Shorter than a real server's, so that a storm holds several of them. */
const LAME_DUCK = { lameDuckGraceMs: 1_000, lameDuckMs: 6_000 } as const;
const LOOK_MS = 100;

export class BusPlace {
  readonly place: string;
  node: Node | null = null;
  server: NatsServerDouble | null = null;
  readonly #world: World;
  readonly #network: Network;
  readonly #others: readonly string[];
  #generation = 0;

  readonly #taken: NatsServerOptions['taken'];

  constructor(
    world: World,
    network: Network,
    place: string,
    places: readonly string[],
    taken: NatsServerOptions['taken'] = null,
  ) {
    this.#world = world;
    this.#network = network;
    this.place = place;
    this.#taken = taken;
    this.#others = places.filter((other) => other !== place);
  }

  start(): void {
    if (this.node !== null && !this.node.isDead) return;
    this.node = new Node(this.#world, `${this.place}#${++this.#generation}`);
    const options = {
      ...NATS_DEFAULTS,
      ...LAME_DUCK,
      host: this.place,
      others: this.#others,
      taken: this.#taken,
    };
    this.server = new NatsServerDouble(this.#network, this.node, options);
    this.#world.trace(`${this.node.name} starts`);
  }

  /** Lame duck mode; `done` when its process has ended. */
  stop(done: () => void): void {
    const { node, server } = this;
    if (node === null || node.isDead) return;
    server!.lameDuck();
    const look = (): void => {
      if (node.isDead) done();
      else this.#world.after(LOOK_MS, look);
    };
    look();
  }

  cutBus(): void {}

  misbehave(): void {}
}
