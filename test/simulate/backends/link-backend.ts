/** A backend that gateways dial over gRPC: it serves Link, or Handle, Connect and Closed. */
import { GrpcServer, type Method, type ServerCall } from '../grpc-server.ts';
import type { Node } from '../world.ts';
import type { LinkOptions } from './link-options.ts';
import { Conversation } from './conversation.ts';
import type { Courier } from './courier.ts';
import type { Desk } from './desk.ts';
import { HandleCalls } from './handle-calls.ts';
import { type BackendOptions, BackendPlace, type BackendProcess, whenDone } from './place.ts';
import type { StreamHandler, StreamSocket } from './stream.ts';
import type { Wrong } from './wrong.ts';

export type LinkBackendOptions = BackendOptions & {
  /** `ipv4:10.0.0.1:9000` */
  readonly address: string;
  /** `handle`: there is no Link. */
  readonly mode: 'link' | 'handle';
  readonly link: Omit<LinkOptions, 'backend' | 'token'>;
};

const LINK = '/pith.v1.Backend/Link';
/** How long a stop may take. */
const STOP_MS_MAX = 16_000;

export class LinkBackend extends BackendPlace {
  readonly isOnBus = false;
  readonly wrongs: readonly Wrong[];
  readonly #options: LinkBackendOptions;

  constructor(options: LinkBackendOptions) {
    super(options);
    this.#options = options;
    this.wrongs =
      options.mode === 'link'
        ? ['twice', 'late', 'never', 'slow', 'garbage', 'strange', 'refused', 'future', 'deaf']
        : ['late', 'never', 'slow', 'garbage', 'refused', 'future'];
  }

  protected begin(desk: Desk): BackendProcess {
    return this.#options.mode === 'link'
      ? new LinkProcess(desk, this.#options)
      : new HandleProcess(desk, this.#options);
  }
}

class LinkProcess implements BackendProcess {
  readonly #peers = new Map<Conversation, Node>();
  readonly #desk: Desk;
  readonly #options: LinkBackendOptions;
  readonly #server: GrpcServer;
  #links = 0;
  #deafUntilMs = 0;
  #isStopping = false;

  constructor(desk: Desk, options: LinkBackendOptions) {
    this.#desk = desk;
    this.#options = options;
    const { address, network } = options;
    const methods = new Map<string, Method>([[LINK, (call) => { this.#open(call); }]]); // prettier-ignore
    this.#server = new GrpcServer({ network, node: desk.node, address, methods });
  }

  get couriers(): Conversation[] {
    return [...this.#peers.keys()];
  }

  #open(call: ServerCall): void {
    const { from } = call.connection;
    this.#dropOlder(from);
    const name = `${this.#desk.node.name}/link${++this.#links}/${from.name}`;
    const link: Conversation = new Conversation(
      new ServedStream(call),
      this.#desk,
      this.#options.link,
      {
        name,
        onOver: () => this.#peers.delete(link),
      },
    );
    this.#peers.set(link, from);
    if (this.#desk.node.world.nowMs < this.#deafUntilMs) link.pause();
    if (this.#isStopping) link.leave();
  }

  /** A machine that is back answers what comes for its former process with a reset. */
  #dropOlder({ name, place }: Node): void {
    for (const [link, from] of this.#peers)
      if (from.place === place && from.name !== name && from.isDead) link.destroy();
  }

  stop(done: () => void): void {
    const { node, random } = this.#desk;
    this.#isStopping = true;
    this.#server.stopListening();
    for (const link of this.couriers) link.leave();
    // As servers that are told to stop gracefully; others only let their streams end.
    if (random.chance(0.5)) this.#server.goaway('graceful_stop');
    whenDone(node, () => this.#peers.size === 0, STOP_MS_MAX, done);
  }

  deafen(ms: number): void {
    const { node } = this.#desk;
    this.#deafUntilMs = Math.max(this.#deafUntilMs, node.world.nowMs + ms);
    for (const link of this.couriers) link.pause();
    node.after(ms, () => {
      if (node.world.nowMs >= this.#deafUntilMs) for (const link of this.couriers) link.resume();
    });
  }
}

class HandleProcess implements BackendProcess {
  readonly couriers: readonly Courier[] = [];
  readonly #desk: Desk;
  readonly #server: GrpcServer;
  readonly #calls: HandleCalls;

  constructor(desk: Desk, { address, link, network }: LinkBackendOptions) {
    this.#desk = desk;
    this.#calls = new HandleCalls(desk, link.letIn);
    this.#server = new GrpcServer({
      network,
      node: desk.node,
      address,
      methods: this.#calls.methods,
    });
  }

  stop(done: () => void): void {
    this.#server.stopListening();
    this.#server.goaway('graceful_stop');
    whenDone(this.#desk.node, () => this.#calls.inFlight === 0, STOP_MS_MAX, done);
  }

  /** Each of its calls is one message. */
  deafen(): void {}
}

/** A stream that is served. */
class ServedStream implements StreamSocket {
  handler!: StreamHandler;
  readonly #call: ServerCall;

  constructor(call: ServerCall) {
    this.#call = call;
    call.onMessage = (message) => {
      this.handler.onMessage(message);
    };
    call.onEnd = () => {
      this.handler.onEnd();
    };
    call.onCancelled = () => {
      this.handler.onCut('cancelled');
    };
  }

  send(message: Buffer): void {
    this.#call.send(message);
  }

  end(): void {
    this.#call.end();
  }

  destroy(): void {
    this.#call.end(ABORTED, 'destroyed');
  }

  pause(): void {
    this.#call.pause();
  }

  resume(): void {
    this.#call.resume();
  }
}

/** A status of gRPC. */
const ABORTED = 10;
