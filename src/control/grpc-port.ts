/**
 * Hands a port's connections to a gRPC server once they have begun like HTTP/2. A connection that has not made a call yet
 * can be crowded out by a new one.
 */
import type { Socket } from 'node:net';

import type { PendingConnection } from '../transport/pending-connection.ts';
import type { OperatorPort } from '../transport/operator-port.ts';
import type { MakePort } from './http.ts';

/** How HTTP/2 clients begin. [RFC 9113 section 3.4] */
const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');

export class GrpcPort {
  readonly port: OperatorPort;
  /** Connections that have not made a call, by the peer name that a call would have. */
  readonly #callers = new Map<string, PendingConnection>();
  readonly #take: (socket: Socket) => void;

  /** @param take Gets each connection that has begun so, with nothing read of it; it is paused. */
  constructor(makePort: MakePort, take: (socket: Socket) => void) {
    this.#take = take;
    this.port = makePort((pending, socket, first) => {
      pending.stage = 'http';
      this.#onBytes(pending, socket, first);
    });
  }

  /** Whoever may call is not crowded out any more. */
  settle(peer: string): void {
    const pending = this.#callers.get(peer);
    if (pending !== undefined) this.port.settle(pending);
  }

  /** The preface may come in pieces. */
  #onBytes(pending: PendingConnection, socket: Socket, bytes: Buffer): void {
    const begun = Math.min(bytes.length, PREFACE.length);
    if (!bytes.subarray(0, begun).equals(PREFACE.subarray(0, begun))) {
      const seen = bytes.toString('latin1', 0, PREFACE.length).replace(/[^ -~]/g, '.');
      this.port.refuse(pending, 'not_grpc', `it begins with: ${seen}`);
      return;
    }
    if (begun < PREFACE.length) {
      socket.once('data', (more: Buffer) => {
        socket.pause();
        this.#onBytes(pending, socket, Buffer.concat([bytes, more]));
      });
      socket.resume();
      return;
    }
    const name = `${socket.remoteAddress}:${socket.remotePort}`;
    this.#callers.set(name, pending);
    pending.onSettled = () => {
      this.#callers.delete(name);
    };
    this.port.clearDeadline(pending);
    socket.unshift(bytes);
    this.#take(socket);
  }
}
