/**
 * Stories that go on: each is a group whose pushes are numbered, and a request whose answer is all of it so far. One process
 * on NATS tells them; who begins to tell after another one begins anew.
 */
import { BACKEND_LINK, natsDialer } from './nats-link.ts';
import type { NatsConnection, NatsMessage } from '../../src/upstream/nats/nats-connection.ts';
import { headerBlock } from './backends/nats-text.ts';
import type { Network } from './network.ts';
import type { SeededRandom } from './random.ts';
import { Node, type World } from './world.ts';

export const SAGAS = ['saga1', 'saga2', 'saga3'] as const;
/** Mean milliseconds between two parts of all stories together. */
const PART_MS = 250;
const AGAIN_MS = [150, 2_000] as const;
/** How long an answer takes, and one that is late; the route's own time is 3 s. The story goes on meanwhile. */
const THINK_MS = [20, 150] as const;
const LATE_MS = [200, 4_000] as const;

export type SagaPart = { readonly s: string; readonly e: string; readonly n: number };

export class Sagas {
  readonly place = 'saga-1';
  readonly isOnBus = true;
  readonly wrongs = ['late', 'never', 'refused'] as const;
  node: Node | null = null;
  isResting = false;
  readonly #world: World;
  readonly #network: Network;
  readonly #servers: readonly string[];
  #generation = 0;
  #wrong = '';

  constructor(world: World, network: Network, servers: readonly string[]) {
    this.#world = world;
    this.#network = network;
    this.#servers = servers;
  }

  start(): void {
    if (this.node !== null && !this.node.isDead) return;
    if (this.node !== null) this.#network.returned(this.node);
    const node = new Node(this.#world, `${this.place}#${++this.#generation}`);
    this.node = node;
    new Teller(node, {
      dial: natsDialer(this.#network, node, BACKEND_LINK),
      servers: this.#servers,
      epoch: `e${this.#generation}`,
      random: this.#world.random(`sagas/${this.#generation}`),
      isResting: () => this.isResting,
      wrong: () => this.#wrong,
    });
  }

  stop(done: () => void): void {
    done();
  }

  cutBus(): void {
    if (this.node !== null)
      for (const channel of this.#network.of(this.node)) this.#network.cut(channel);
  }

  misbehave(how: string, ms: number): void {
    this.#wrong = how;
    this.#world.after(ms, () => {
      this.#wrong = '';
    });
  }
}

type TellerParts = {
  readonly dial: ReturnType<typeof natsDialer>;
  readonly servers: readonly string[];
  readonly epoch: string;
  readonly random: SeededRandom;
  readonly isResting: () => boolean;
  readonly wrong: () => string;
};

/** One process. */
class Teller {
  readonly #node: Node;
  readonly #parts: TellerParts;
  readonly #told = new Map<string, number>(SAGAS.map((saga) => [saga, 0]));
  #connection: NatsConnection | null = null;

  constructor(node: Node, parts: TellerParts) {
    this.#node = node;
    this.#parts = parts;
    this.#connect();
    this.#tellLater();
  }

  #connect(): void {
    const { dial, servers, random } = this.#parts;
    const first = random.int(0, servers.length - 1);
    const order = [...servers.slice(first), ...servers.slice(0, first)];
    const nobody = { inboxPrefix: '', creds: '', user: '', password: '', token: '', nkey: '' };
    dial({ gatewayId: this.#node.name, ...nobody }, order).then(
      (connection) => {
        this.#open(connection);
      },
      () => {
        this.#again();
      },
    );
  }

  #again(): void {
    this.#connection = null;
    this.#node.after(this.#parts.random.between(...AGAIN_MS), () => {
      this.#connect();
    });
  }

  #open(connection: NatsConnection): void {
    this.#connection = connection;
    connection.listen({ onRoom() {}, onStale() {}, onLameDuck() {}, onError() {} });
    for (const saga of SAGAS)
      connection.subscribe(
        `pith.rpc.${saga}.>`,
        (error, message) => {
          if (error === null) this.#answer(saga, message);
        },
        'sagas',
      );
    connection.closed().then(
      () => {
        this.#again();
      },
      () => {},
    );
  }

  /** All of it until now, whenever the answer leaves. */
  #answer(saga: string, { reply = '' }: NatsMessage): void {
    const { epoch, random, wrong } = this.#parts;
    const how = wrong();
    if (reply === '' || (how === 'never' && random.chance(0.5))) return;
    const n = this.#told.get(saga)!;
    const part: SagaPart = { s: saga, e: epoch, n };
    const isRefused = how === 'refused' && random.chance(0.5);
    const lines = isRefused
      ? ['Nats-Service-Error-Code', '555', 'Nats-Service-Error', 'not now']
      : ['Pith-From', `${epoch}.${n}`];
    const [leastMs, mostMs] = how === 'late' ? LATE_MS : THINK_MS;
    const thinkMs = random.between(leastMs, mostMs);
    const connection = this.#connection;
    this.#node.after(thinkMs, () => {
      if (connection === null || connection.isClosed) return;
      const block = headerBlock(lines);
      const body = isRefused ? '' : JSON.stringify(part);
      connection.publish(reply, Buffer.from(body), { headers: { encode: () => block } });
    });
  }

  /** It goes on whether or not anybody can be told. */
  #tellLater(): void {
    const { random, isResting } = this.#parts;
    this.#node.after(random.exponential(PART_MS), () => {
      if (!isResting()) this.#tell(random.pick(SAGAS));
      this.#tellLater();
    });
  }

  #tell(saga: string): void {
    const n = this.#told.get(saga)! + 1;
    this.#told.set(saga, n);
    const connection = this.#connection;
    if (connection === null || connection.isClosed) return;
    const { epoch } = this.#parts;
    const part: SagaPart = { s: saga, e: epoch, n };
    const block = headerBlock(['Pith-Route', 'onSaga', 'Pith-Cursor', `${epoch}.${n}`]);
    connection.publish(`pith.group.${saga}.push`, Buffer.from(JSON.stringify(part)), {
      headers: { encode: () => block },
    });
  }
}
