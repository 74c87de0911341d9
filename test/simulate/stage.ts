/** All that takes part: gateways, the bus, backends and players. */
import type { DialNats } from '../../src/upstream/nats/nats-connection.ts';
import type { Network as SystemNetwork } from '../../src/wiring/network.ts';
import { Calm } from './calm.ts';
import { Network } from './network.ts';
import { Player } from './client.ts';
import type { RouteChoice } from './wishes.ts';
import { CALM_MS, type Places, ROUND_MS } from './faults.ts';
import type { SimGateway } from './gateway.ts';
import { GatewayPlaces } from './gateway-places.ts';
import { Inflicter } from './inflict.ts';
import { Ledger } from './ledger.ts';
import type { Client, RouteRules } from './records.ts';
import { LostCalls } from './lost-calls.ts';
import { LOOK_MS } from './player-link.ts';
import type { SeededRandom } from './random.ts';
import type { Resuming } from './resuming.ts';
import { SagaReader } from './saga-reader.ts';
import { Sagas } from './sagas.ts';
import type { Node, World } from './world.ts';
import { WrongClient, type WrongSurroundings } from './wrong-client.ts';

/** A process of a backend or of the bus, which ends and is begun again in one place. */
export type Service = {
  readonly place: string;
  /** null: it is down. */
  readonly node: Node | null;
  start(): void;
  /** Ends in order; `done` when the process is gone. */
  stop(done: () => void): void;
  /** Ends its connection to the bus. */
  cutBus(): void;
  /** Answers wrongly for a while. */
  misbehave(how: string, ms: number): void;
};

export type StageOptions = {
  readonly world: World;
  readonly resuming: Resuming;
  readonly gateways: number;
  readonly clients: number;
  /** The configuration of each gateway, and others that it may be started with. */
  readonly yaml: (place: string, configuration: number) => string;
  readonly configurations: number;
  readonly routes: readonly (RouteChoice & {
    readonly idempotent: boolean;
    readonly ordered: RouteRules['ordered'];
    readonly isSpread?: boolean;
  })[];
  /** Keys of session data by which routes choose an instance, and the instances; absent: none do. */
  readonly choices?: readonly (readonly [string, readonly string[]])[];
  readonly servers: (stage: Stage) => Service[];
  readonly backends: (stage: Stage) => (Service & {
    readonly wrongs: readonly string[];
    readonly isOnBus: boolean;
    /** It does nothing of its own. */
    isResting: boolean;
  })[];
  readonly dialNats: (stage: Stage, node: Node) => DialNats;
  readonly connectGrpc: (stage: Stage, node: Node) => SystemNetwork['connectGrpc'];
};

/** Users are fewer than players: some play on two devices. */
export const USERS_PER_CLIENT = 0.7;
/** Before the calm, so that they are gone by then. */
const WRONG_MS = 30_000;
const CLIENTS_PER_GROUP = 8;

export class Stage {
  readonly world: World;
  readonly network: Network;
  readonly ledger: Ledger;
  readonly calm: Calm;
  readonly lostCalls = new LostCalls(this);
  readonly players: Player[] = [];
  readonly wrongClients: readonly WrongClient[];
  readonly sagaReaders: readonly SagaReader[];
  readonly servers: readonly Service[];
  readonly backends: ReturnType<StageOptions['backends']>;
  readonly gateways: GatewayPlaces;
  readonly faults = new Inflicter(this);
  /** Overridden by who looks at it. */
  onKicked: (client: Client, why: string) => void = () => {};
  readonly #options: StageOptions;

  constructor(options: StageOptions) {
    const { world, routes, clients } = options;
    this.#options = options;
    this.world = world;
    this.calm = new Calm(world);
    this.network = new Network(world);
    this.ledger = new Ledger(world, new Map(routes.map((route) => [route.route, route])));
    this.servers = options.servers(this);
    this.backends = options.backends(this);
    const { network, ledger, faults } = this;
    this.gateways = new GatewayPlaces(options.gateways, options.configurations, {
      world,
      network,
      ledger,
      calm: this.calm,
      yaml: options.yaml,
      dialNats: (node) => options.dialNats(this, node),
      connectGrpc: (node) => options.connectGrpc(this, node),
      isBusInTrouble: () => faults.isBusInTrouble,
    });
    ledger.isGateway = (id) => this.gateways.isKnown(id);
    ledger.mayBeUnheardOf = () => this.gateways.isAnyNew();
    ledger.mayOvertake = () => faults.isBusInTrouble;
    for (const service of [...this.servers, ...this.backends]) service.start();
    for (const place of this.gateways.all) this.gateways.start(place);
    const around = {
      world,
      network,
      ledger,
      resuming: options.resuming,
      kicked: (client: Client, why: string) => {
        this.onKicked(client, why);
      },
      running: () => this.running,
      routes,
      gatewayFor: (random: SeededRandom) => this.gateways.pick(random),
      isCalm: (address: string, client: string) => this.#isCalm(address, client),
      isStopping: (address: string) => this.gateways.isStopping(address),
      users: Math.ceil(clients * USERS_PER_CLIENT),
      groups: Math.ceil(clients / CLIENTS_PER_GROUP),
      choices: options.choices ?? [],
    };
    for (let i = 1; i <= clients; i++) this.players.push(new Player(i, around));
    this.wrongClients = this.#makeWrongClients(around);
    this.sagaReaders = this.#makeSagaReaders(around);
    this.#look();
  }

  /** All players look in one event: it is the most frequent of all that they do. */
  #look(): void {
    this.world.after(LOOK_MS, () => {
      for (const player of this.players) player.look();
      this.#look();
    });
  }

  /** None, where no route is there that can be asked more than once. */
  #makeWrongClients(around: Omit<WrongSurroundings, 'route' | 'isQuiet'>): WrongClient[] {
    const free = this.#options.routes.find(
      ({ ordered, idempotent }) => ordered === 'none' && idempotent,
    );
    if (free === undefined) return [];
    const { route } = free;
    const isQuiet = (): boolean => this.#isQuiet;
    return ['x1', 'x2'].map((name) => new WrongClient(name, { ...around, route, isQuiet }));
  }

  /** None, where nobody tells a story. */
  #makeSagaReaders(around: Omit<WrongSurroundings, 'route' | 'isQuiet'>): SagaReader[] {
    if (!this.backends.some((backend) => backend instanceof Sagas)) return [];
    const isQuiet = (): boolean => this.#isQuiet;
    const mayOvertake = (): boolean => this.faults.isBusInTrouble;
    const surroundings = { ...around, route: '', isQuiet, mayOvertake };
    return ['s1', 's2', 's3', 's4'].map((name) => {
      return new SagaReader(name, surroundings, name !== 's4');
    });
  }

  /** Who is not a player is gone, or goes. */
  get #isQuiet(): boolean {
    return this.world.nowMs % ROUND_MS > CALM_MS - WRONG_MS;
  }

  /** What a gateway is configured with. */
  yamlOf(place: string, configuration: number): string {
    return this.#options.yaml(place, configuration);
  }

  get places(): Places {
    return {
      gateways: this.gateways.all.map(({ place }) => place),
      clients: this.players.map(({ name }) => name),
      backends: this.backends,
      servers: this.servers.map(({ place }) => place),
      configurations: this.#options.configurations,
    };
  }

  /** Gateways that run; they may be stopping. */
  get running(): SimGateway[] {
    return this.gateways.running;
  }

  #isCalm(address: string, client: string): boolean {
    return this.calm.at(address, client) && this.gateways.isRunning(address);
  }

  /** The place of the gateway that has the client's session; null: it runs no longer. */
  holderOf({ sid }: Client): string | null {
    return this.running.find(({ gateway: { id } }) => sid.startsWith(`${id}.`))?.place ?? null;
  }

  /** Nothing keeps the client from hearing of what that gateway sends it. */
  canHear({ name }: Client, gateway: string): boolean {
    const player = this.players.find((one) => one.client?.name === name);
    return player?.isReading === true && this.#isCalm(gateway, player.name);
  }
}
