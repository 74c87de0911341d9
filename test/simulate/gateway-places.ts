/** Where gateways run: one process after another in each place, which begin, are killed, or end in order. */
import type { DialNats } from '../../src/upstream/nats/nats-connection.ts';
import type { Network as SystemNetwork } from '../../src/wiring/network.ts';
import type { Calm } from './calm.ts';
import { type GatewayLine, SimGateway } from './gateway.ts';
import type { Ledger } from './ledger.ts';
import type { Network } from './network.ts';
import type { SeededRandom } from './random.ts';
import type { Node, World } from './world.ts';

export type GatewaySurroundings = {
  readonly world: World;
  readonly network: Network;
  readonly ledger: Ledger;
  readonly calm: Calm;
  readonly yaml: (place: string, configuration: number) => string;
  readonly dialNats: (node: Node) => DialNats;
  readonly connectGrpc: (node: Node) => SystemNetwork['connectGrpc'];
  /** It is in trouble, or was a little before. */
  readonly isBusInTrouble: () => boolean;
};

/** How long what a gateway has sent may travel. */
const LAST_WORDS_MS = 5_000;
/** How long a gateway may be unheard of, if it starts while it, another, or the bus is in trouble. */
const UNHEARD_MS = 90_000;

/** One place of a gateway. */
export class GatewayPlace {
  readonly place: string;
  current: SimGateway | null = null;
  generation = 0;
  configuration: number;
  isStopping = false;
  /** When the last one ended in order. */
  stoppedMs = -Infinity;
  startedMs = -Infinity;

  constructor(place: string, configuration: number) {
    this.place = place;
    this.configuration = configuration;
  }
}

export class GatewayPlaces {
  readonly all: readonly GatewayPlace[];
  readonly #around: GatewaySurroundings;
  readonly #ids = new Set<string>();

  constructor(count: number, configurations: number, around: GatewaySurroundings) {
    this.#around = around;
    this.all = Array.from(
      { length: count },
      (_, i) => new GatewayPlace(`g${i + 1}`, i % configurations),
    );
  }

  /** Gateways that run; they may be stopping. */
  get running(): SimGateway[] {
    return this.all.flatMap(({ current }) =>
      current === null || current.node.isDead ? [] : [current],
    );
  }

  at(address: string): GatewayPlace {
    return this.all.find(({ place }) => place === address)!;
  }

  /** Mostly one that is ready, as load balancers know it; now and then any. */
  pick(random: SeededRandom): string {
    const ready = this.all.filter(({ current }) => current?.isReady === true);
    if (ready.length > 0 && !random.chance(0.03)) return random.pick(ready).place;
    return random.pick(this.all).place;
  }

  /** It ends in order, or has just ended: what it has sent may still be on its way. */
  isStopping(address: string): boolean {
    const { isStopping, stoppedMs } = this.at(address);
    return isStopping || this.#around.world.nowMs - stoppedMs < LAST_WORDS_MS;
  }

  isRunning(address: string): boolean {
    const { current } = this.at(address);
    return current !== null && !current.node.isDead;
  }

  /** There is, or was, one of this id. */
  isKnown(id: string): boolean {
    return this.#ids.has(id);
  }

  /** One may not have heard of another yet. */
  isAnyNew(): boolean {
    return this.all.some(({ startedMs }) => this.#around.world.nowMs - startedMs < UNHEARD_MS);
  }

  start(place: GatewayPlace): void {
    const { world, network, yaml, dialNats, connectGrpc } = this.#around;
    if (place.current !== null) network.returned(place.current.node);
    const gateway = new SimGateway({
      world,
      network,
      place: place.place,
      generation: ++place.generation,
      yaml: yaml(place.place, place.configuration),
      dialNats,
      connectGrpc,
      onLog: (from, line) => {
        this.#onLog(from, line);
      },
    });
    place.current = gateway;
    place.startedMs = world.nowMs;
    this.#ids.add(gateway.gateway.id);
    world.trace(`${gateway.node.name} starts as ${gateway.gateway.id}`);
    gateway.gateway.start().catch((error: unknown) => {
      if (!gateway.node.isDead)
        world.violate('a gateway starts', `${gateway.node.name}: ${String(error)}`);
    });
  }

  /** What a gateway never has to say, whatever befalls it. */
  #onLog({ node }: SimGateway, { level, msg, fields }: GatewayLine): void {
    this.#around.world.trace(`${node.name} ${level} ${msg}`);
    const isLate = msg.startsWith('shutdown step');
    // A server of the bus that is stopped does not take its last words.
    const isBusLate = isLate && (fields as { what?: string }).what === 'bus';
    const isExcused = isBusLate && this.#around.isBusInTrouble();
    const isOwn = msg === 'internal error' || isLate || level === 'fatal';
    if (isOwn && !isExcused)
      this.#around.world.violate('no internal error', `${node.name}: ${msg} ${textOf(fields)}`);
  }

  /** Ends a gateway's process, and begins another after `ms`. */
  kill(place: GatewayPlace, how: 'reset' | 'silent', ms: number): void {
    const { current } = place;
    if (current === null || current.node.isDead) return;
    this.#around.world.trace(`${current.node.name} is killed`);
    this.#around.network.kill(current.node, how);
    this.#around.ledger.ends.gatewayEnded(current.gateway.id);
    this.#around.calm.last(ms, [place.place], () => {
      if (place.current === current) this.start(place);
    });
  }

  /** As Kubernetes does it: SIGTERM, and another process when this one has ended. */
  drain(place: GatewayPlace, ms: number, configuration = place.configuration): void {
    const { current } = place;
    if (current === null || current.node.isDead || place.isStopping) return;
    place.isStopping = true;
    place.configuration = configuration;
    const { node, gateway } = current;
    this.#around.calm.begin([place.place]);
    const end = (): void => {
      place.isStopping = false;
      place.stoppedMs = this.#around.world.nowMs;
      this.#around.calm.end([place.place]);
      if (!node.isDead) this.#around.network.kill(node, 'reset');
      this.#around.ledger.ends.gatewayEnded(gateway.id);
      this.#around.world.trace(`${node.name} has stopped`);
      this.#around.calm.last(ms, [place.place], () => {
        if (place.current === current) this.start(place);
      });
    };
    node.soon(() => {
      gateway.drain().then(
        () => {
          if (gateway.registry.size > 0)
            this.#around.world.violate(
              'a stop leaves nothing',
              `${node.name}: ${gateway.registry.size} sessions`,
            );
          this.#around.world.after(1, end);
        },
        (error: unknown) => {
          this.#around.world.violate('a gateway stops', `${node.name}: ${String(error)}`);
        },
      );
    });
    // The process may be killed, or stopped, on its way.
    const look = (): void => {
      if (!place.isStopping || place.current !== current) return;
      if (node.isDead) end();
      else this.#around.world.after(1_000, look);
    };
    this.#around.world.after(1_000, look);
  }
}

function textOf(fields: object): string {
  const { err, ...rest } = fields as { err?: Error };
  return `${JSON.stringify(rest)} ${err?.stack ?? ''}`;
}
