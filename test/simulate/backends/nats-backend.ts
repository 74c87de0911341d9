/** A backend on NATS: subscribes to the subjects of its routes, and answers. */
import type { DialNats, NatsConnection } from '../../../src/upstream/nats/nats-connection.ts';
import type { Node } from '../world.ts';
import type { LetIn } from './courier.ts';
import type { Desk } from './desk.ts';
import { NatsCourier } from './nats-courier.ts';
import { token } from './nats-text.ts';
import { type BackendOptions, BackendPlace, type BackendProcess, whenDone } from './place.ts';
import type { Wrong } from './wrong.ts';

export type NatsBackendOptions = BackendOptions & {
  readonly dialNats: (node: Node) => DialNats;
  /** Addresses of servers. */
  readonly servers: readonly string[];
  /** What it serves: `chat.>` of the routes of its backend. */
  readonly routes: readonly string[];
  /** '': it gets every message. */
  readonly queue: string;
  /** Its name, for routes with `to`; '': it has none. */
  readonly instance: string;
  /** Messages reach it in the order in which their client sent them. */
  readonly keepsOrder: boolean;
  /** It decides who may connect; absent: it is not asked. */
  readonly letIn?: LetIn;
};

const BACKOFF_MS = { first: 150, most: 2_000 } as const;
const STOP_MS_MAX = 8_000;

export class NatsBackend extends BackendPlace {
  readonly isOnBus = true;
  readonly wrongs: readonly Wrong[] = [
    ...['twice', 'late', 'never', 'slow', 'garbage', 'strange', 'refused', 'future'] as const, // prettier-ignore
  ];
  readonly #options: NatsBackendOptions;

  constructor(options: NatsBackendOptions) {
    super(options);
    this.#options = options;
  }

  protected begin(desk: Desk): BackendProcess {
    return new NatsProcess(desk, this.#options);
  }

  override cutBus(): void {
    const { network } = this.around;
    if (this.node !== null) for (const channel of network.of(this.node)) network.cut(channel);
  }
}

class NatsProcess implements BackendProcess {
  readonly #desk: Desk;
  readonly #options: NatsBackendOptions;
  readonly #dial: DialNats;
  #courier: NatsCourier | null = null;
  #connections = 0;
  #waitMs: number = BACKOFF_MS.first;
  #isStopped = false;

  constructor(desk: Desk, options: NatsBackendOptions) {
    this.#desk = desk;
    this.#options = options;
    this.#dial = options.dialNats(desk.node);
    this.#connect();
  }

  get couriers(): NatsCourier[] {
    return this.#courier === null ? [] : [this.#courier];
  }

  #connect(): void {
    const { node, random } = this.#desk;
    const servers = [...this.#options.servers];
    const first = servers.splice(random.int(0, servers.length - 1), 1);
    const identity = {
      gatewayId: node.name,
      inboxPrefix: '',
      creds: '',
      user: '',
      password: '',
      token: '',
      nkey: '',
    };
    this.#dial(identity, [...first, ...servers]).then(
      (connection) => {
        if (this.#isStopped) connection.discard();
        else this.#open(connection);
      },
      () => {
        this.#again();
      },
    );
  }

  #again(): void {
    if (this.#isStopped) return;
    const { node, random } = this.#desk;
    const waitMs = this.#waitMs * random.between(0.5, 1.5);
    this.#waitMs = Math.min(this.#waitMs * 2, BACKOFF_MS.most);
    node.after(waitMs, () => {
      this.#connect();
    });
  }

  #open(connection: NatsConnection): void {
    const { instance, keepsOrder, letIn, queue, routes } = this.#options;
    this.#waitMs = BACKOFF_MS.first;
    const name = `${this.#desk.node.name}/bus${++this.#connections}/${connection.server}`;
    const courier = new NatsCourier(connection, this.#desk, { name, keepsOrder });
    this.#courier = courier;
    connection.listen({
      onRoom: () => {},
      onStale: () => {},
      // Another one is looked for when this one has ended.
      onLameDuck: () => {},
      onError: (what) => {
        this.#desk.node.world.trace(`${name} error ${what}`);
      },
    });
    for (const route of routes) courier.serve(`pith.rpc.${route}`, queue, 'pith.rpc.'.length);
    const prefix = `pith.to.${token(instance)}.`;
    if (instance !== '') courier.serve(`${prefix}>`, '', prefix.length);
    if (letIn !== undefined) courier.serveConnect(letIn, queue);
    connection.closed().then(
      () => {
        courier.over();
        if (this.#courier === courier) this.#courier = null;
        this.#again();
      },
      () => {},
    );
  }

  stop(done: () => void): void {
    this.#isStopped = true;
    const courier = this.#courier;
    if (courier === null) {
      done();
      return;
    }
    courier.leave();
    const { node } = this.#desk;
    whenDone(node, () => this.#desk.working === 0 || courier.isOver, STOP_MS_MAX, () => {
      courier.end();
      whenDone(node, () => courier.isOver, STOP_MS_MAX, done);
    }); // prettier-ignore
  }

  /** A client that does not read is cut off by its server. */
  deafen(): void {}
}
