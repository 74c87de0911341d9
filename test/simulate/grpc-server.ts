/** A gRPC server of a simulated process: gets calls as messages, at an address as grpc-js takes it. */
import { status } from '@grpc/grpc-js';

import type { End } from './channel.ts';
import type { Network } from './network.ts';
import {
  Flow,
  type FlowOwner,
  type Open,
  Outgoing,
  placeOf,
  type ToServer,
  type Wire,
} from './grpc-wire.ts';
import type { Node } from './world.ts';

/** What a path does with a call; it sets what it wants to be told of. */
export type Method = (call: ServerCall) => void;

export type GrpcServerOptions = {
  readonly network: Network;
  readonly node: Node;
  /** `ipv4:10.0.0.1:9000` */
  readonly address: string;
  /** By path; others are UNIMPLEMENTED. Looked up at each call. */
  readonly methods: ReadonlyMap<string, Method>;
  /** Concurrent streams that a connection may have; absent: any number. */
  readonly streamsMax?: number;
};

export class GrpcServer {
  readonly options: GrpcServerOptions;
  readonly connections = new Set<ServerConnection>();
  readonly #stopListening: () => void;

  /** Listens at once. */
  constructor(options: GrpcServerOptions) {
    this.options = options;
    const { network, node, address } = options;
    this.#stopListening = network.listen<Wire>(node, placeOf(address), (end, from) => {
      this.connections.add(new ServerConnection(this, end, from));
    });
  }

  /** Takes no new connections; those that are there stay. */
  stopListening(): void {
    this.#stopListening();
  }

  /** HTTP/2's GOAWAY, on every connection that there is: calls in flight go on, and no others come. */
  goaway(why = ''): void {
    for (const connection of [...this.connections]) connection.goaway(why);
  }

  /** Ends every connection at once, with what is in flight. */
  cut(): void {
    for (const connection of [...this.connections]) connection.cut();
  }
}

/** One client's connection. */
export class ServerConnection {
  /** Of the client. */
  readonly from: Node;
  readonly outgoing: Outgoing;
  readonly calls = new Map<number, ServerCall>();
  readonly #server: GrpcServer;
  readonly #end: End<Wire>;
  #isLeaving = false;

  constructor(server: GrpcServer, end: End<Wire>, from: Node) {
    this.#server = server;
    this.#end = end;
    this.from = from;
    this.outgoing = new Outgoing(end);
    end.handler = {
      onMessage: (wire) => {
        this.#onMessage(wire as ToServer);
      },
      onEnd: () => {
        this.cut();
      },
      onCut: () => {
        this.#lost();
      },
      onRoom: () => {
        this.outgoing.onRoom();
      },
    };
    this.outgoing.send({ kind: 'settings', streamsMax: server.options.streamsMax ?? Infinity });
  }

  goaway(why: string): void {
    if (this.#isLeaving) return;
    this.#isLeaving = true;
    this.outgoing.send({ kind: 'goaway', why });
  }

  cut(): void {
    this.#end.destroy('reset by peer');
    this.#lost();
  }

  refuse(id: number): void {
    this.calls.delete(id);
    this.outgoing.send({ kind: 'refused', id });
  }

  #lost(): void {
    this.#server.connections.delete(this);
    const calls = [...this.calls.values()];
    this.calls.clear();
    for (const call of calls) call.cancelled();
  }

  #onMessage(wire: ToServer): void {
    if (wire.kind === 'ask') {
      this.outgoing.send({ kind: 'ack' });
      return;
    }
    // Node's server says goodbye as well.
    if (wire.kind === 'goaway') {
      this.goaway('');
      return;
    }
    if (wire.kind === 'open') {
      this.#open(wire);
      return;
    }
    // Else it has ended here, which the client does not know yet.
    const call = this.calls.get(wire.id);
    if (call === undefined) return;
    if (wire.kind === 'data') call.flow.arrived(wire.message);
    else if (wire.kind === 'end') call.flow.ended();
    else if (wire.kind === 'credit') call.flow.onCredit(wire.bytes);
    else {
      this.calls.delete(wire.id);
      call.cancelled();
    }
  }

  #open(wire: Open): void {
    const { id, path, message } = wire;
    if (this.#isLeaving) {
      this.refuse(id);
      return;
    }
    const call = new ServerCall(this, wire);
    this.calls.set(id, call);
    const method = this.#server.options.methods.get(path);
    if (method === undefined) {
      call.end(status.UNIMPLEMENTED, `The server does not implement the method ${path}`);
      return;
    }
    method(call);
    if (message === null) return;
    call.flow.arrived(message);
    call.flow.ended();
  }
}

/** A call, as the server has it. */
export class ServerCall implements FlowOwner {
  readonly id: number;
  readonly path: string;
  readonly metadata: Readonly<Record<string, string>>;
  /** Milliseconds that it may take, when it was sent; Infinity: it has no deadline. */
  readonly timeoutMs: number;
  readonly connection: ServerConnection;
  readonly flow = new Flow(this);
  /** By either side. */
  isEnded = false;
  onMessage: (message: Buffer) => void = () => {};
  /** The client has sent its last. */
  onEnd: () => void = () => {};
  /** The client has given it up, or its connection is lost. Not after `end`. */
  onCancelled: () => void = () => {};
  #isEnding = false;

  constructor(connection: ServerConnection, wire: Open) {
    const { id, path, metadata, timeoutMs } = wire;
    this.connection = connection;
    this.id = id;
    this.path = path;
    this.metadata = metadata;
    this.timeoutMs = timeoutMs;
  }

  get outgoing(): Outgoing | null {
    return this.isEnded ? null : this.connection.outgoing;
  }

  /** @param done The system has taken it. */
  send(message: Buffer, done?: () => void): void {
    if (!this.isEnded && !this.#isEnding) this.flow.write(message, done);
  }

  /** Ends the call, after what was sent. */
  end(code: number = status.OK, details = ''): void {
    if (this.isEnded || this.#isEnding) return;
    this.#isEnding = true;
    const ended = { kind: 'status', id: this.id, code, details } as const;
    this.flow.write(ended, () => {
      this.isEnded = true;
      this.connection.calls.delete(this.id);
    });
  }

  /** Refuses it unread, as a server that is going does: the client may send it to another connection. */
  refuse(): void {
    if (this.isEnded || this.#isEnding) return;
    this.isEnded = true;
    this.connection.refuse(this.id);
  }

  /** The answer of a unary call. */
  answer(message: Buffer): void {
    this.send(message);
    this.end();
  }

  /** Messages wait, and the client gets no room for more than a window of them, until `resume`. */
  pause(): void {
    this.flow.pause();
  }

  resume(): void {
    this.flow.resume();
  }

  cancelled(): void {
    if (this.isEnded) return;
    this.isEnded = true;
    if (!this.#isEnding) this.onCancelled();
  }

  read(message: Buffer): void {
    if (!this.isEnded) this.onMessage(message);
  }

  readAll(): void {
    if (!this.isEnded) this.onEnd();
  }
}
