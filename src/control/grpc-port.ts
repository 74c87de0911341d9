/**
 * Hands a port's connections to a gRPC server once they have begun like HTTP/2. A connection that has not made a call yet
 * can be crowded out by a new one.
 */
import type { ConnectionInjector, ServerInterceptingCall, ServerInterceptor } from '@grpc/grpc-js';
import type { Socket } from 'node:net';

import type { PendingConnection } from '../transport/pending-connection.ts';
import type { Port } from '../transport/port.ts';
import type { MakePort } from './http.ts';
import { statusText } from './status-text.ts';

/** How HTTP/2 clients begin. [RFC 9113 section 3.4] */
const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');

export class GrpcPort {
  readonly port: Port;
  /** Connections that have not made a call, by the peer name that a call would have. */
  readonly #callers = new Map<string, PendingConnection>();
  #injector: ConnectionInjector | null = null;

  constructor(makePort: MakePort) {
    this.port = makePort((pending, socket, first) => {
      pending.stage = 'http';
      this.#onBytes(pending, socket, first);
    });
  }

  /** For the server's options. */
  readonly onCall: ServerInterceptor = (_method, call) => {
    const pending = this.#callers.get(call.getPeer());
    if (pending !== undefined) this.port.settle(pending);
    const sendStatus = call.sendStatus.bind(call);
    call.sendStatus = (status) => {
      sendStatus({ ...status, details: statusText(status.details ?? '') });
    };
    // Returned unwrapped: a wrapper would add work to every message of an attached backend.
    return call as ServerInterceptingCall;
  };

  /** Hands connections to `injector` from now on. */
  serve(injector: ConnectionInjector): void {
    this.#injector = injector;
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
    this.#injector!.injectConnection(socket);
  }
}
