/** Gateways, the whole of each, on one nats-server, in virtual time; and what the test does to them from outside. */
import { BusPlace } from '../bus-place.ts';
import { Network } from '../network.ts';
import { SimGateway } from '../gateway.ts';
import { natsDialer } from '../nats-link.ts';
import { World } from '../world.ts';
import { Guest, HEARTBEAT_MS } from './guest.ts';
import { Heard } from './heard.ts';
import { GROUPS_MAX, type Policy } from './model.ts';
import { Operator } from './operator.ts';

const SERVER = 'n1';
/** Virtual time after which something that was to happen never will. */
const NEVER_MS = 60_000;
/** A gateway that is cut off for less than this is not lost. [proto/README.md] */
const CUT_MS = 6_000;
/** Until gateways know of each other, and of what was said while they did not. */
const ACQUAINTED_MS = 1_500;

export type FleetOptions = {
  readonly seed: number;
  readonly gateways: number;
  readonly policy: Policy;
  /** Whether the backend is asked who may connect. */
  readonly asksConnect: boolean;
  /** `sessions.group_ttl`. */
  readonly groupTtlMs: number;
  /** Whether clients may come back with tokens. */
  readonly resumes: boolean;
  readonly onTrace?: (line: string) => void;
};

/** `sessions.resume.window`. */
export const WINDOW_MS = 30_000;
const KEY = Buffer.alloc(32, 7).toString('base64');

export class Fleet {
  readonly options: FleetOptions;
  readonly world: World;
  readonly network: Network;
  readonly operator: Operator;
  readonly heard = new Heard();
  /** By place: the gateway that runs there; null: none does. */
  readonly gateways = new Map<string, SimGateway | null>();
  /** When a gateway's process began; and when it was ready. It has greeted the others between the two. */
  readonly begunMs = new Map<string, number>();
  readonly startedMs = new Map<string, number>();
  /** By gateway: since when it is on the bus without a break. */
  readonly onBusMs = new Map<string, number>();
  /** Gateways that were killed, whose loss is to be told: when, and who was there to notice. */
  readonly killed = new Map<string, { readonly atMs: number; readonly witnesses: string[] }>();
  /** When a gateway was last said to be lost. */
  readonly lostMs = new Map<string, number>();
  /** When one was last stopped for a while: it may be the one that is to tell of a loss. */
  pausedMs = -Infinity;
  /** Gateways that were apart for so long that they may have been taken for lost. */
  readonly lostMayBe = new Set<string>();
  readonly #server: BusPlace;
  readonly #generations = new Map<string, number>();
  /** What each subscribes to when it has no session. */
  readonly #base = new Map<string, readonly string[]>();
  readonly #over: Promise<never>;
  #guests = 0;

  private constructor(options: FleetOptions) {
    this.options = options;
    this.world = new World(String(options.seed));
    this.world.onTrace = options.onTrace ?? null;
    this.network = new Network(this.world);
    this.#server = new BusPlace(this.world, this.network, SERVER, [SERVER]);
    this.operator = new Operator(this.world);
    this.operator.onEvent = (name, event) => {
      if (options.onTrace) this.world.trace(`event ${name} ${JSON.stringify(event)}`);
      this.heard.take(name, event);
      if (name === 'gateway.lost') this.lostMs.set(event['gateway'] as string, this.nowMs);
    };
    this.#server.start();
    this.#over = this.world.run(Number.MAX_SAFE_INTEGER / 2_000).then(() => {
      const [first] = this.world.violations;
      throw new Error(first === undefined ? 'the world has ended' : `${first.rule}: ${first.what}`);
    });
    this.#over.catch(() => {});
  }

  static async begin(options: FleetOptions): Promise<Fleet> {
    const fleet = new Fleet(options);
    await fleet.within('the operator connects', fleet.operator.connect(fleet.network, `${SERVER}:4222`)); // prettier-ignore
    for (let i = 1; i <= options.gateways; i++) await fleet.start(`g${i}`);
    await fleet.wait(ACQUAINTED_MS);
    return fleet;
  }

  end(): void {
    this.world.stop();
  }

  get nowMs(): number {
    return this.world.nowMs;
  }

  get places(): string[] {
    return [...this.gateways.keys()];
  }

  get running(): SimGateway[] {
    return [...this.gateways.values()].filter((gateway) => gateway !== null);
  }

  // ---- time -----------------------------------------------------------------------------------------------

  /** @throws {Error} It does not happen, or a gateway has failed meanwhile. */
  within<T>(what: string, work: Promise<T>, ms = NEVER_MS): Promise<T> {
    const { promise, reject } = Promise.withResolvers<never>();
    const cancel = this.world.after(ms, () => {
      reject(new Error(`${what}: not within ${ms} ms`));
    });
    return Promise.race([work, promise, this.#over]).finally(cancel);
  }

  wait(ms: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.world.after(ms, resolve);
    return this.within('time goes on', promise, ms + 1);
  }

  /** Looks every few milliseconds. */
  async whenever(what: string, isSo: () => boolean, ms: number): Promise<void> {
    const untilMs = this.nowMs + ms;
    while (!isSo()) {
      if (this.nowMs >= untilMs) throw new Error(`${what}: not within ${ms} ms`);
      await this.wait(5);
    }
  }

  // ---- gateways -------------------------------------------------------------------------------------------

  async start(place: string): Promise<void> {
    const generation = (this.#generations.get(place) ?? 0) + 1;
    this.#generations.set(place, generation);
    const { world, network } = this;
    const gateway = new SimGateway({
      ...{ world, network, place, generation },
      yaml: yamlOf(place, this.options),
      dialNats: (node) => natsDialer(network, node),
      connectGrpc: () => () => {
        throw new Error('there is no backend on gRPC');
      },
      onLog: (_, { level, msg, fields }) => {
        world.trace(`${place} ${level} ${msg} ${JSON.stringify(fields)}`);
        if (level === 'error' || level === 'fatal')
          world.violate('no error', `${place}: ${msg} ${JSON.stringify(fields)}`);
      },
    });
    this.gateways.set(place, gateway);
    this.begunMs.set(gateway.gateway.id, this.nowMs);
    await this.within(`${place} starts`, gateway.gateway.start());
    await this.whenever(`${place} is ready`, () => gateway.isReady, 10_000);
    this.startedMs.set(gateway.gateway.id, this.nowMs);
    this.onBusMs.set(gateway.gateway.id, this.nowMs);
    await this.wait(20);
    this.#base.set(gateway.gateway.id, this.subscriptions(gateway));
  }

  /** `kill -9`. */
  kill(place: string): void {
    const gateway = this.gateways.get(place)!;
    const { id } = gateway.gateway;
    this.world.trace(`${place} is killed`);
    this.network.kill(gateway.node, 'reset');
    this.gateways.set(place, null);
    const witnesses = this.running
      .map((other) => other.gateway.id)
      .filter((other) => this.nowMs - this.startedMs.get(other)! > ACQUAINTED_MS);
    if (this.nowMs - this.startedMs.get(id)! < ACQUAINTED_MS) witnesses.length = 0;
    // It may have been lost before, and have returned.
    this.heard.lost.delete(id);
    this.lostMs.delete(id);
    this.killed.set(id, { atMs: this.nowMs, witnesses });
  }

  /** SIGSTOP and SIGCONT: it does nothing for a while. */
  async pause(place: string, ms: number): Promise<void> {
    const { node } = this.gateways.get(place)!;
    node.pause();
    await this.wait(ms);
    node.resume();
    this.network.resumed();
    this.pausedMs = this.nowMs;
  }

  /** As Kubernetes does it: SIGTERM, and its process ends when it is done. */
  async drain(place: string): Promise<void> {
    const gateway = this.gateways.get(place)!;
    await this.within(`${place} drains`, gateway.gateway.drain());
    await this.wait(1);
    this.network.kill(gateway.node, 'reset');
    this.gateways.set(place, null);
    await this.wait(20);
  }

  /** Ends its connection to the bus, and waits until it has another one with all its subscriptions. */
  async cutBus(place: string): Promise<void> {
    const { node } = this.gateways.get(place)!;
    for (const channel of this.network.of(node))
      if (channel.a.node.place === SERVER || channel.b.node.place === SERVER)
        this.network.cut(channel);
    await this.wait(20);
    await this.reconnected(place);
  }

  /** `during` goes on while it and the bus do not reach each other. */
  async apart(place: string, ms: number, during: () => Promise<void>): Promise<void> {
    const { id } = this.gateways.get(place)!.gateway;
    this.network.part(place, SERVER);
    const untilMs = this.nowMs + ms;
    await during();
    if (this.nowMs < untilMs) await this.wait(untilMs - this.nowMs);
    this.network.join(place, SERVER);
    if (this.nowMs - untilMs + ms > CUT_MS) this.lostMayBe.add(id);
    await this.wait(20);
    await this.reconnected(place);
  }

  async reconnected(place: string): Promise<void> {
    const { node } = this.gateways.get(place)!;
    const isThere = (): boolean => this.#sessions(node).length === 1;
    await this.whenever(`${place} is on the bus again`, isThere, 30_000);
    this.onBusMs.set(this.gateways.get(place)!.gateway.id, this.nowMs);
    // Its subscriptions, its events, and what it says of its sessions.
    await this.wait(ACQUAINTED_MS);
  }

  // ---- what the bus knows ---------------------------------------------------------------------------------

  #sessions(node: SimGateway['node']) {
    return [...(this.#server.server?.sessions ?? [])].filter(({ from }) => from === node);
  }

  /** Subjects, sorted; one as often as it is subscribed. */
  subscriptions({ node }: SimGateway): string[] {
    return this.#sessions(node).flatMap(({ subjects }) => subjects).sort(); // prettier-ignore
  }

  base({ gateway: { id } }: SimGateway): readonly string[] {
    return this.#base.get(id)!;
  }

  // ---- clients --------------------------------------------------------------------------------------------

  guest(place: string, transport: 'ws' | 'tcp'): Guest {
    return new Guest(this.network, `c${++this.#guests}`, place, transport);
  }
}

function yamlOf(place: string, options: FleetOptions): string {
  const { policy, asksConnect, groupTtlMs, resumes } = options;
  const resume = resumes ? `, resume: { window: ${WINDOW_MS / 1_000}s, keys: ["${KEY}"] }` : '';
  const mode = asksConnect ? 'mode: connect, backend: game, ' : '';
  return `
id: ${place}
listen: [{ url: auto://0.0.0.0:3010 }]
heartbeat: ${HEARTBEAT_MS / 1_000}s
bus: nats://${SERVER}:4222
backends:
  game: { nats: {} }
  door: { gate: { advertise: { ws: "${place}:3010", tcp: "${place}:3010" } } }
routes:
  - { match: "game.>", backend: game, timeout: 10s }
  - { match: "gate.gateHandler.queryEntry", backend: door }
auth: { ${mode}${policy.yaml} }
sessions: { groups: ${GROUPS_MAX}, group_ttl: ${groupTtlMs}ms${resume} }
drain: { budget: 4s, accept_for: 300ms }
`;
}
