/**
 * Hands connections of a port to a gRPC server once they have begun as HTTP/2 does. One that has made no call yet
 * can be crowded out by a new one.
 */
import type { ConnectionInjector, ServerInterceptingCall, ServerInterceptor } from '@grpc/grpc-js';
import type { Socket } from 'node:net';

import type { Arrival } from '../transport/arrival.ts';
import type { Port } from '../transport/port.ts';
import type { MakePort } from './http.ts';
import { statusText } from './status-text.ts';

/** What a client of HTTP/2 says first. [RFC 9113 section 3.4] */
const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');

export class GrpcDoor {
  readonly port: Port;
  /** Connections that have made no call, by the name that a call gives its peer. */
  readonly #callers = new Map<string, Arrival>();
  #injector: ConnectionInjector | null = null;

  constructor(makePort: MakePort) {
    this.port = makePort((arrival, socket, first) => {
      arrival.stage = 'http';
      this.#onBytes(arrival, socket, first);
    });
  }

  /** For the server's options. */
  readonly onCall: ServerInterceptor = (_method, call) => {
    const arrival = this.#callers.get(call.getPeer());
    if (arrival !== undefined) this.port.settle(arrival);
    const sendStatus = call.sendStatus.bind(call);
    call.sendStatus = (status) => {
      sendStatus({ ...status, details: statusText(status.details ?? '') });
    };
    // As it is: a wrapper would stand in the way of every message of an attached backend.
    return call as ServerInterceptingCall;
  };

  /** Connections go there from now on. */
  serve(injector: ConnectionInjector): void {
    this.#injector = injector;
  }

  /** The preface may come in pieces. */
  #onBytes(arrival: Arrival, socket: Socket, bytes: Buffer): void {
    const begun = Math.min(bytes.length, PREFACE.length);
    if (!bytes.subarray(0, begun).equals(PREFACE.subarray(0, begun))) {
      const seen = bytes.toString('latin1', 0, PREFACE.length).replace(/[^ -~]/g, '.');
      this.port.refuse(arrival, 'not_grpc', `it begins with: ${seen}`);
      return;
    }
    if (begun < PREFACE.length) {
      socket.once('data', (more: Buffer) => {
        socket.pause();
        this.#onBytes(arrival, socket, Buffer.concat([bytes, more]));
      });
      socket.resume();
      return;
    }
    const name = `${socket.remoteAddress}:${socket.remotePort}`;
    this.#callers.set(name, arrival);
    arrival.onSettled = () => {
      this.#callers.delete(name);
    };
    this.port.rest(arrival);
    socket.unshift(bytes);
    this.#injector!.injectConnection(socket);
  }
}
