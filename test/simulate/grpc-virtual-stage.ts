/** The double, in virtual time. */
import type { ConnectGrpc } from '../../src/upstream/grpc-client/grpc-connection.ts';
import { Network } from './network.ts';
import { makeConnectGrpc } from './grpc-connection.ts';
import { GrpcServer, type Method, type ServerCall } from './grpc-server.ts';
import { GrpcStage, shown, SOURCE, STREAM, UNARY } from './grpc-stage.ts';
import { Node, World } from './world.ts';

/** Virtual milliseconds between two looks. */
const LOOK_MS = 10;
/** Looks for what does not come. */
const LOOKS_MAX = 6_000;

export class VirtualStage extends GrpcStage {
  readonly address = 'ipv4:10.0.0.1:9000';
  protected readonly connect: ConnectGrpc;
  readonly #world = new World('grpc');
  readonly #network = new Network(this.#world);
  readonly #client = new Node(this.#world, 'gateway#1');
  #server: { readonly node: Node; readonly grpc: GrpcServer } | null = null;
  #generation = 0;

  constructor() {
    super();
    this.connect = makeConnectGrpc(this.#network, this.#client);
  }

  async until(look: () => boolean, what: string): Promise<void> {
    const world = this.#world;
    for (let i = 0; i < LOOKS_MAX; i++) {
      if (look()) return;
      await world.run(world.nowMs + LOOK_MS);
      if (world.violations.length > 0) throw new Error(world.violations[0]!.what);
    }
    throw new Error(`waited for ${what}`);
  }

  now(): number {
    return this.#client.clock.wallNow();
  }

  listen(streamsMax = Infinity): Promise<void> {
    const node = new Node(this.#world, `backend#${++this.#generation}`);
    const methods = new Map<string, Method>([
      [UNARY, this.#unary],
      [SOURCE, (call) => this.#take(call, 'source')],
      [STREAM, (call) => this.#take(call, 'stream')],
    ]);
    const grpc = new GrpcServer({
      ...{ network: this.#network, node, address: this.address, methods, streamsMax },
    });
    this.#server = { node, grpc };
    return Promise.resolve();
  }

  kill(): Promise<void> {
    if (this.#server !== null) this.#network.kill(this.#server.node, 'reset');
    this.#server = null;
    return Promise.resolve();
  }

  goaway(): void {
    this.#server!.grpc.goaway();
  }

  hang(): void {
    this.#network.part('gateway', 'backend');
  }

  freeze(): void {
    this.#network.part('gateway', 'backend');
  }

  mend(): void {
    this.#network.join('gateway', 'backend');
  }

  readonly #unary = (call: ServerCall): void => {
    this.#take(call, 'unary');
  };

  #take(call: ServerCall, kind: 'unary' | 'source' | 'stream'): void {
    const n = this.calls.push({
      say: (text) => {
        if (kind === 'unary') call.answer(Buffer.from(text));
        else call.send(Buffer.from(text));
      },
      end: (code, details) => {
        call.end(code, details);
      },
      refuse: () => {
        call.refuse();
      },
      pause: () => {
        call.pause();
      },
      resume: () => {
        call.resume();
      },
    });
    this.served.push(`${n} ${kind}`);
    call.onMessage = (message) => {
      this.served.push(`${n} got ${shown(message)}`);
    };
    call.onEnd = () => {
      if (kind === 'stream') this.served.push(`${n} end`);
    };
    call.onCancelled = () => {
      this.served.push(`${n} cancelled`);
    };
  }
}
