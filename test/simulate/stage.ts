/** All that takes part: gateways, the bus, backends and players, and what befalls them. */
import type { DialNats } from '../../src/upstream/nats/nats-connection.ts';
import type { Network as SystemNetwork } from '../../src/wiring/network.ts';
import { Calm } from './calm.ts';
import { Network } from './network.ts';
import { Player, type RouteChoice } from './client.ts';
import { CALM_MS, type Fault, type Places, ROUND_MS } from './faults.ts';
import { type GatewayLine, SimGateway } from './gateway.ts';
import { Ledger } from './ledger.ts';
import type { Client, RouteRules } from './records.ts';
import { LostCalls } from './lost-calls.ts';
import type { SeededRandom } from './random.ts';
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
/** How long what a gateway has sent may travel. */
const LAST_WORDS_MS = 5_000;
/** How long a gateway may be unheard of, if it starts while it, another, or the bus is in trouble. */
const UNHEARD_MS = 90_000;
/** Before the calm, so that they are gone by then. */
const WRONG_MS = 30_000;
const CLIENTS_PER_GROUP = 8;

/** One place of a gateway. */
class GatewayPlace {
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

export class Stage {
  readonly world: World;
  readonly network: Network;
  readonly ledger: Ledger;
  readonly calm = new Calm();
  readonly lostCalls = new LostCalls(this);
  readonly players: Player[] = [];
  readonly wrongClients: readonly WrongClient[];
  readonly servers: readonly Service[];
  readonly backends: ReturnType<StageOptions['backends']>;
  readonly gateways: readonly GatewayPlace[];
  /** Called whenever a gateway process has begun. */
  onGateway: (gateway: SimGateway) => void = () => {};
  /** What happened, by kind. */
  readonly injected: Record<string, number> = {};
  readonly #options: StageOptions;
  /** What ends the faults that last. */
  readonly #lasting = new Set<() => void>();
  readonly #gatewayIds = new Set<string>();
  /** Until then what a gateway has forwarded before may arrive late. */
  #busTroubleUntilMs = 0;

  constructor(options: StageOptions) {
    const { world, routes, clients } = options;
    this.#options = options;
    this.world = world;
    this.network = new Network(world);
    this.ledger = new Ledger(world, new Map(routes.map((route) => [route.route, route])));
    this.servers = options.servers(this);
    this.backends = options.backends(this);
    this.gateways = Array.from(
      { length: options.gateways },
      (_, i) => new GatewayPlace(`g${i + 1}`, i % options.configurations),
    );
    this.ledger.isGateway = (id) => this.#gatewayIds.has(id);
    this.ledger.mayBeUnheardOf = () =>
      this.gateways.some(({ startedMs }) => world.nowMs - startedMs < UNHEARD_MS);
    this.ledger.mayOvertake = () => world.nowMs < this.#busTroubleUntilMs;
    for (const service of [...this.servers, ...this.backends]) service.start();
    for (const place of this.gateways) this.startGateway(place);
    const around = {
      world,
      network: this.network,
      ledger: this.ledger,
      routes,
      gatewayFor: (random: SeededRandom) => this.#gatewayFor(random),
      isCalm: (address: string, client: string) => this.#isCalm(address, client),
      isStopping: (address: string) => this.#isStopping(address),
      users: Math.ceil(clients * USERS_PER_CLIENT),
      groups: Math.ceil(clients / CLIENTS_PER_GROUP),
      choices: options.choices ?? [],
    };
    for (let i = 1; i <= clients; i++) this.players.push(new Player(i, around));
    this.wrongClients = this.#makeWrongClients(around);
  }

  /** None, where no route is there that can be asked more than once. */
  #makeWrongClients(around: Omit<WrongSurroundings, 'route' | 'isQuiet'>): WrongClient[] {
    const { world } = this;
    const free = this.#options.routes.find(
      ({ ordered, idempotent }) => ordered === 'none' && idempotent,
    );
    if (free === undefined) return [];
    const isQuiet = (): boolean => world.nowMs % ROUND_MS > CALM_MS - WRONG_MS;
    const { route } = free;
    return ['x1', 'x2'].map((name) => new WrongClient(name, { ...around, route, isQuiet }));
  }

  get places(): Places {
    return {
      gateways: this.gateways.map(({ place }) => place),
      clients: this.players.map(({ name }) => name),
      backends: this.backends,
      servers: this.servers.map(({ place }) => place),
      configurations: this.#options.configurations,
    };
  }

  /** Gateways that run, and are not stopping. */
  get running(): SimGateway[] {
    return this.gateways.flatMap(({ current }) =>
      current === null || current.node.isDead ? [] : [current],
    );
  }

  /** Mostly one that is ready, as load balancers know it; now and then any. */
  #gatewayFor(random: SeededRandom): string | null {
    const ready = this.gateways.filter(({ current }) => current?.isReady === true);
    if (ready.length > 0 && !random.chance(0.03)) return random.pick(ready).place;
    return random.pick(this.gateways).place;
  }

  /** It ends in order, or has just ended: what it has sent may still be on its way. */
  #isStopping(address: string): boolean {
    const { isStopping, stoppedMs } = this.gateways.find(({ place }) => place === address)!;
    return isStopping || this.world.nowMs - stoppedMs < LAST_WORDS_MS;
  }

  #isCalm(address: string, client: string): boolean {
    const gateway = this.gateways.find(({ place }) => place === address)!;
    return (
      this.calm.at(address, client) && gateway.current !== null && !gateway.current.node.isDead
    );
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

  // ---- gateways -----------------------------------------------------------------------------------------

  startGateway(place: GatewayPlace): void {
    const { world, network } = this;
    if (place.current !== null) network.returned(place.current.node);
    const gateway = new SimGateway({
      world,
      network,
      place: place.place,
      generation: ++place.generation,
      yaml: this.#options.yaml(place.place, place.configuration),
      dialNats: (node) => this.#options.dialNats(this, node),
      connectGrpc: (node) => this.#options.connectGrpc(this, node),
      onLog: (from, line) => {
        this.#onLog(from, line);
      },
    });
    place.current = gateway;
    place.startedMs = world.nowMs;
    this.#gatewayIds.add(gateway.gateway.id);
    world.trace(`${gateway.node.name} starts as ${gateway.gateway.id}`);
    this.onGateway(gateway);
    gateway.gateway.start().catch((error: unknown) => {
      if (!gateway.node.isDead)
        world.violate('a gateway starts', `${gateway.node.name}: ${String(error)}`);
    });
  }

  /** What a gateway never has to say, whatever befalls it. */
  #onLog({ node }: SimGateway, { level, msg, fields }: GatewayLine): void {
    this.world.trace(`${node.name} ${level} ${msg}`);
    const isLate = msg.startsWith('shutdown step');
    // A server of the bus that is stopped does not take its last words.
    const isBusLate = isLate && (fields as { what?: string }).what === 'bus';
    const isExcused = isBusLate && this.world.nowMs < this.#busTroubleUntilMs;
    const isOwn = msg === 'internal error' || isLate || level === 'fatal';
    if (isOwn && !isExcused)
      this.world.violate('no internal error', `${node.name}: ${msg} ${textOf(fields)}`);
  }

  /** Ends a gateway's process, and begins another after `ms`. */
  #killGateway(place: GatewayPlace, how: 'reset' | 'silent', ms: number): void {
    const { current } = place;
    if (current === null || current.node.isDead) return;
    this.world.trace(`${current.node.name} is killed`);
    this.network.kill(current.node, how);
    this.ledger.ends.gatewayEnded(current.gateway.id);
    this.#later(ms, [place.place], () => {
      if (place.current === current) this.startGateway(place);
    });
  }

  /** As Kubernetes does it: SIGTERM, and another process when this one has ended. */
  drainGateway(place: GatewayPlace, ms: number, configuration = place.configuration): void {
    const { current } = place;
    if (current === null || current.node.isDead || place.isStopping) return;
    place.isStopping = true;
    place.configuration = configuration;
    const { node, gateway } = current;
    this.calm.begin([place.place]);
    const end = (): void => {
      place.isStopping = false;
      place.stoppedMs = this.world.nowMs;
      this.calm.end([place.place]);
      if (!node.isDead) this.network.kill(node, 'reset');
      this.ledger.ends.gatewayEnded(gateway.id);
      this.world.trace(`${node.name} has stopped`);
      this.#later(ms, [place.place], () => {
        if (place.current === current) this.startGateway(place);
      });
    };
    node.soon(() => {
      gateway.drain().then(
        () => {
          if (gateway.registry.size > 0)
            this.world.violate(
              'a stop leaves nothing',
              `${node.name}: ${gateway.registry.size} sessions`,
            );
          this.world.after(1, end);
        },
        (error: unknown) => {
          this.world.violate('a gateway stops', `${node.name}: ${String(error)}`);
        },
      );
    });
    // The process may be killed, or stopped, on its way.
    const look = (): void => {
      if (!place.isStopping || place.current !== current) return;
      if (node.isDead) end();
      else this.world.after(1_000, look);
    };
    this.world.after(1_000, look);
  }

  /** One push to everybody, counted; `done` is told what is wrong with it, '' for nothing. */
  pushToAll(done: (problem: string) => void): void {
    const [gateway] = this.running;
    if (gateway === undefined) return;
    const { ledger, world } = this;
    const way = {
      name: `${gateway.node.name}/control`,
      process: gateway.node.name,
      keepsOrder: true,
      tellsEnds: false,
      order: 0,
    };
    const push = ledger.pushing(
      way,
      { to: { kind: 'all', name: '' }, counted: true, delivery: 'must' },
      '',
    );
    const players = this.players.filter(({ isActive }) => isActive).length;
    gateway.node.soon(() => {
      gateway.fleetCommands
        .pushCounted(
          { target: { all: true }, route: 'onAll', body: Buffer.from(push.body), ...PLAIN },
          2_000,
        )
        .then(
          (outcome) => {
            if (!('delivered' in outcome)) {
              done(`it failed: ${JSON.stringify(outcome)}`);
              return;
            }
            ledger.pushed(push, { ...outcome, isPartial: outcome.silentGateways.length > 0 });
            world.after(2_000, () => {
              const { gateways, delivered } = outcome;
              const got = push.received.size;
              const isRight =
                gateways === this.running.length && delivered === players && got === players;
              done(
                isRight
                  ? ''
                  : `${players} players on ${this.running.length} gateways: ${delivered} delivered by ${gateways}, ${got} received`,
              );
            });
          },
          (error: unknown) => {
            done(String(error));
          },
        );
    });
  }

  // ---- faults -------------------------------------------------------------------------------------------

  inflict(fault: Fault): void {
    const { kind, ms, target, more = '' } = fault;
    this.world.trace(`FAULT ${kind} ${target} ${more} ${ms}`);
    this.injected[kind] = (this.injected[kind] ?? 0) + 1;
    if (/^bus|^gateway: pause|^network/.test(kind))
      this.#busTroubleUntilMs = Math.max(
        this.#busTroubleUntilMs,
        this.world.nowMs + ms + BUS_TROUBLE_MS,
      );
    const gateway = this.gateways.find(({ place }) => place === target);
    const player = this.players.find(({ name }) => name === target);
    const backend = this.backends.find(({ place }) => place === target);
    const service = backend ?? this.servers.find(({ place }) => place === target);
    switch (kind) {
      case 'client: connection cut':
        player?.cut();
        return;
      case 'client: every third cut':
        for (const [i, one] of this.players.entries()) if (i % 3 === Number(more)) one.cut();
        return;
      case 'client: vanishes':
        player?.vanish();
        return;
      case 'client: does not read':
        player?.stall(ms);
        return;
      case 'client: partition':
      case 'bus: partition':
      case 'link: partition':
        this.#part(target, more, ms);
        return;
      case 'gateway: kill -9':
      case 'gateway: machine lost':
        if (gateway)
          this.#killGateway(gateway, kind === 'gateway: kill -9' ? 'reset' : 'silent', ms);
        return;
      case 'gateway: pause':
        if (gateway?.current) this.#pause(gateway.current.node, ms);
        return;
      case 'gateway: drain and restart':
        if (gateway) this.drainGateway(gateway, ms);
        return;
      case 'gateway: other configuration':
        if (gateway) this.drainGateway(gateway, ms, Number(more));
        return;
      case 'gateway: clock jumps':
        gateway?.current?.node.jumpWall(Number(more));
        return;
      case 'backend: kill -9':
      case 'backend: machine lost':
      case 'bus: server killed':
        if (service)
          this.#killService(service, kind === 'backend: machine lost' ? 'silent' : 'reset', ms);
        return;
      case 'backend: pause':
      case 'bus: server pause':
        if (service?.node) this.#pause(service.node, ms);
        return;
      case 'backend: stop and restart':
      case 'bus: server lame duck':
        if (service) this.#stopService(service, ms);
        return;
      case 'backend: misbehaves':
        backend?.misbehave(more, ms);
        return;
      case 'bus: connection cut':
        if (backend) backend.cutBus();
        else if (gateway?.current) this.#cutBus(gateway.current.node);
        return;
      case 'link: connection cut':
        this.#cutBetween(target, more);
        return;
      case 'network: slow':
        this.#slow(Number(more), ms);
    }
  }

  /** Ends every fault that lasts, and begins whatever is down. */
  mend(): void {
    for (const end of [...this.#lasting]) end();
  }

  /** `done` after `ms`, or when all is mended. */
  #later(ms: number, places: readonly string[], done: () => void): void {
    this.calm.begin(places);
    const end = (): void => {
      if (!this.#lasting.delete(end)) return;
      cancel();
      this.calm.end(places);
      done();
    };
    this.#lasting.add(end);
    const cancel = this.world.after(ms, end);
  }

  #part(a: string, b: string, ms: number): void {
    this.network.part(a, b);
    this.#later(ms, [a, b], () => {
      this.network.join(a, b);
    });
  }

  #pause(node: Node, ms: number): void {
    if (node.isDead || node.isPaused) return;
    node.pause();
    this.#later(ms, [node.place], () => {
      node.resume();
      this.network.resumed();
    });
  }

  #killService(service: Service, how: 'reset' | 'silent', ms: number): void {
    const { node } = service;
    if (node === null || node.isDead) return;
    const backend = this.backends.find((one) => one === service);
    if (how === 'reset' && backend?.isOnBus === false)
      this.lostCalls.lost('', (place) => place === service.place);
    this.network.kill(node, how);
    this.ledger.forgetProcess(node.name);
    this.#later(ms, [service.place], () => {
      if (service.node === null || service.node === node) service.start();
    });
  }

  #stopService(service: Service, ms: number): void {
    const { node } = service;
    if (node === null || node.isDead || node.isPaused) return;
    service.stop(() => {
      if (!node.isDead) this.network.kill(node, 'reset');
      this.ledger.forgetProcess(node.name);
      this.#later(ms, [service.place], () => {
        if (service.node === null || service.node === node) service.start();
      });
    });
  }

  #cutBus(node: Node): void {
    const onBus = this.backends.filter(({ isOnBus }) => isOnBus).map(({ place }) => place);
    this.lostCalls.lost(node.place, (place) => onBus.includes(place));
    const places = new Set(this.servers.map(({ place }) => place));
    for (const channel of this.network.of(node))
      if (places.has(channel.a.node.place) || places.has(channel.b.node.place))
        this.network.cut(channel);
  }

  #cutBetween(a: string, b: string): void {
    const isOnBus = this.backends.find(({ place }) => place === a)?.isOnBus;
    if (isOnBus === false) this.lostCalls.lost(b, (place) => place === a);
    for (const channel of [...this.network.open]) {
      const { place: from } = channel.a.node;
      const { place: to } = channel.b.node;
      if ((from === a && to === b) || (from === b && to === a)) this.network.cut(channel);
    }
  }

  #slow(factor: number, ms: number): void {
    const before = this.network.slowness;
    if (before !== 1) return;
    this.network.slowness = factor;
    this.#later(ms, [], () => {
      this.network.slowness = 1;
    });
  }
}

/** How long after a fault of the bus something may still be held back. */
const BUS_TROUBLE_MS = 60_000;
const PLAIN = { delivery: 'must', latestKey: '', expiresInMs: 0, afterReply: false } as const;

function textOf(fields: object): string {
  const { err, ...rest } = fields as { err?: Error };
  return `${JSON.stringify(rest)} ${err?.stack ?? ''}`;
}
