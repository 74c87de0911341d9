/**
 * A double of nats-server for the simulation: one node of a cluster, with what the gateway and its backends use of it.
 * It has no JetStream, no accounts and no gateways. What it does is pinned by test/integration/simulate-nats.test.ts,
 * which plays the same rows to it and to a real one.
 */
import { type ChannelOptions, type End, NEAR } from './channel.ts';
import type { Network } from './network.ts';
import type { NatsUser } from './nats-permissions.ts';
import { Route } from './nats-route.ts';
import { Routing } from './nats-routing.ts';
import { Session } from './nats-session.ts';
import type { Subscription } from './nats-subscription.ts';
import {
  type Frame,
  type Hello,
  OP_BYTES,
  type Packet,
  type RouteOp,
  type ServerInfo,
} from './nats-wire.ts';
import type { Node } from './world.ts';

export type NatsServerOptions = {
  /** `host`; clients connect to `host:4222`, other servers to `host:6222`. */
  readonly host: string;
  /** The hosts of the other servers of the cluster. */
  readonly others: readonly string[];
  readonly payloadBytesMax: number;
  /** Beyond it a client that does not read is cut. */
  readonly pendingBytesMax: number;
  /** What is written must be taken within this time. */
  readonly writeMs: number;
  readonly pingMs: number;
  /** Pings without an answer. */
  readonly pingsOutMax: number;
  /** How long clients stay after they are told that the server will stop, and over how long they are then closed. */
  readonly lameDuckGraceMs: number;
  readonly lameDuckMs: number;
  /** Between two attempts to reach another server. */
  readonly routeMs: number;
  /** null: anyone may connect, and do anything. */
  readonly users: readonly NatsUser[] | null;
  readonly latency: ChannelOptions;
  /** Sees every message that a client publishes and may; null: nobody does. */
  readonly taken: ((packet: Packet) => void) | null;
};

/** As a real server has them, unless it is configured otherwise. [nats-server, server/const.go] */
export const NATS_DEFAULTS: Omit<NatsServerOptions, 'host' | 'others'> = {
  payloadBytesMax: 1_048_576,
  pendingBytesMax: 64 * 1_048_576,
  writeMs: 10_000,
  pingMs: 120_000,
  pingsOutMax: 2,
  lameDuckGraceMs: 10_000,
  lameDuckMs: 120_000,
  routeMs: 1_000,
  users: null,
  latency: NEAR,
  taken: null,
};

export const NATS_VERSION = '2.15.2';
/** How long an attempt to reach another server may take. */
const ROUTE_DIAL_MS = 1_000;
/** After an orderly stop its process is gone. */
const EXIT_MS = 1_000;

export class NatsServerDouble {
  readonly node: Node;
  readonly options: NatsServerOptions;
  isLameDuck = false;
  readonly #network: Network;
  readonly routing: Routing;
  readonly #sessions = new Set<Session>();
  /** By the process at the other end, once that is known. */
  readonly #routes = new Map<string, Route>();
  /** All of them, and what is to be done when one ends. */
  readonly #connected = new Map<Route, () => void>();
  /** They have something to write at the end of this turn. */
  readonly #dirty: (Session | Route)[] = [];
  #isStopping = false;
  #stopListening: () => void;

  constructor(network: Network, node: Node, options: NatsServerOptions) {
    this.#network = network;
    this.node = node;
    this.options = options;
    this.routing = new Routing(node.random, this.#routes);
    this.#stopListening = network.listen<Frame>(node, `${options.host}:4222`, (end) => {
      this.#accept(end);
    });
    network.listen<RouteOp[]>(node, `${options.host}:6222`, (end) => {
      this.#addRoute(end);
    });
    for (const other of options.others) this.#dialRoute(other);
  }

  // ---- clients ------------------------------------------------------------------------------------------

  get sessions(): ReadonlySet<Session> {
    return this.#sessions;
  }

  /** The processes of other servers that it is connected to. */
  get routes(): string[] {
    return [...this.#routes.keys()].sort();
  }

  #accept(end: End<Frame>): void {
    if (this.#isStopping || this.isLameDuck) {
      end.destroy('reset by peer');
      return;
    }
    const session = new Session(this, end);
    end.handler = session;
    this.#sessions.add(session);
  }

  /** Who it is; null: it may not connect. */
  userOf({ user, password }: Hello): NatsUser | null {
    const { users } = this.options;
    if (users === null) return { user: '', password: '' };
    return users.find((one) => one.user === user && one.password === password) ?? null;
  }

  closed(session: Session, subscriptions: Iterable<Subscription>): void {
    this.#sessions.delete(session);
    for (const subscription of subscriptions) this.routing.remove(subscription);
    this.write();
  }

  info(): ServerInfo {
    const { host, others, payloadBytesMax } = this.options;
    const urls = new Set(others.length > 0 && !this.isLameDuck ? this.connectUrls : []);
    for (const name of this.routes)
      for (const url of this.#routes.get(name)!.connectUrls) urls.add(url);
    return {
      kind: 'info',
      name: host,
      version: NATS_VERSION,
      payloadBytesMax,
      connectUrls: [...urls],
      isLameDuck: false,
    };
  }

  get connectUrls(): readonly string[] {
    return [`${this.options.host}:4222`];
  }

  /** Clients are told which servers the cluster has now. */
  announce(isLameDuck = false): void {
    const info = { ...this.info(), isLameDuck };
    for (const session of this.#sessions) if (session.isReady) session.say(info);
    this.write();
  }

  willWrite(one: Session | Route): void {
    one.isDirty = true;
    this.#dirty.push(one);
  }

  /** The end of a turn. */
  write(): void {
    const dirty = this.#dirty;
    for (let i = 0; i < dirty.length; i++) dirty[i]!.write();
    dirty.length = 0;
  }

  // ---- the cluster --------------------------------------------------------------------------------------

  /** At its start a server tries to reach all others; later, of two servers only one. */
  #dialRoute(host: string): void {
    if (this.#isStopping) return;
    const again = (): void => {
      if (host > this.options.host) return;
      this.node.after(this.options.routeMs, () => {
        this.#dialRoute(host);
      });
    };
    let isOver = false;
    const giveUp = this.#network.connect<RouteOp[]>(this.node, `${host}:6222`, this.options.latency, {
      onOpen: (end) => {
        isOver = true;
        this.#addRoute(end, again);
      },
      onRefused: () => {
        isOver = true;
        again();
      },
    }); // prettier-ignore
    this.node.after(ROUTE_DIAL_MS, () => {
      if (isOver) return;
      giveUp();
      again();
    });
  }

  #addRoute(end: End<RouteOp[]>, again: () => void = () => {}): void {
    const route = new Route(this, end);
    end.handler = route;
    this.#connected.set(route, again);
    this.#sayHello(route, false);
    this.write();
  }

  #sayHello(route: Route, isLameDuck: boolean): void {
    const { node, connectUrls } = this;
    route.add({ kind: 'hello', server: node.name, connectUrls, isLameDuck }, OP_BYTES);
  }

  /** The other server has said who it is. An older connection to it counts for more, as long as it is there. */
  routed(route: Route): void {
    if (this.#routes.has(route.server)) {
      route.cut();
      return;
    }
    this.#routes.set(route.server, route);
    this.routing.tell(route);
    this.announce();
  }

  unrouted(route: Route): void {
    const again = this.#connected.get(route);
    this.#connected.delete(route);
    if (this.#routes.get(route.server) === route) {
      this.#routes.delete(route.server);
      this.announce();
    }
    again?.();
  }

  // ---- its end ------------------------------------------------------------------------------------------

  /** SIGUSR2: no one new may connect, clients are told, and closed one after another; then it stops. */
  lameDuck(): void {
    if (this.isLameDuck || this.#isStopping) return;
    this.isLameDuck = true;
    this.#stopListening();
    if (this.#sessions.size === 0) {
      this.stop();
      return;
    }
    for (const route of this.#routes.values()) this.#sayHello(route, true);
    this.announce(true);
    const { lameDuckGraceMs, lameDuckMs } = this.options;
    const spreadMs = Math.max(lameDuckMs - lameDuckGraceMs, 1_000) / this.#sessions.size;
    this.node.after(lameDuckGraceMs, () => {
      this.#closeOne(Math.min(spreadMs, 1_000));
    });
  }

  #closeOne(spreadMs: number): void {
    const sessions = [...this.#sessions];
    if (sessions.length > 0) this.node.random.pick(sessions).close();
    if (this.#sessions.size === 0) this.stop();
    else
      this.node.after(this.node.random.between(spreadMs / 2, spreadMs), () => {
        this.#closeOne(spreadMs);
      });
  }

  /** SIGTERM. */
  stop(): void {
    if (this.#isStopping) return;
    this.#isStopping = true;
    for (const session of [...this.#sessions]) session.close();
    for (const route of [...this.#connected.keys()]) route.close();
    this.write();
    this.#network.world.after(EXIT_MS, () => {
      this.#network.kill(this.node, 'reset');
    });
    this.#stopListening();
  }
}
