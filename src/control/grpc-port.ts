/**
 * Hands a port's connections to a gRPC server once they have begun like HTTP/2. A connection that has not made a call yet
 * can be crowded out by a new one.
 */
import {
  type ConnectionInjector,
  type Metadata,
  ServerInterceptingCall,
  type ServerInterceptor,
} from '@grpc/grpc-js';
import type { Socket } from 'node:net';

import { isFailure, REASONS } from '../errors.ts';

import type { PendingConnection } from '../transport/pending-connection.ts';
import type { OperatorPort } from '../transport/operator-port.ts';
import type { Access, Caller } from './access.ts';
import type { MakePort } from './http.ts';
import { certificateOf, peerOf } from './peer-address.ts';
import type { Role } from './roles.ts';
import { statusText } from './status-text.ts';

/** How HTTP/2 clients begin. [RFC 9113 section 3.4] */
const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');

/** Who may call. */
export type Doors = {
  readonly access: Access;
  /** What the method of this path needs; null: nothing, or its own token. */
  readonly roleOf: (path: string) => Role | null;
};

/** One that was admitted without being asked who it is. */
const NOBODY: Caller = { via: 'grpc', name: '', address: '', role: 'read' };

type Call = ConstructorParameters<typeof ServerInterceptingCall>[0];

export class GrpcPort {
  readonly port: OperatorPort;
  readonly #doors: Doors;
  /** Of the calls that were admitted. */
  readonly #admitted = new WeakMap<Metadata, Caller>();
  /** Connections that have not made a call, by the peer name that a call would have. */
  readonly #callers = new Map<string, PendingConnection>();
  #injector: ConnectionInjector | null = null;

  constructor(makePort: MakePort, doors: Doors) {
    this.#doors = doors;
    this.port = makePort((pending, socket, first) => {
      pending.stage = 'http';
      this.#onBytes(pending, socket, first);
    });
  }

  /** For the server's options. */
  readonly onCall: ServerInterceptor = ({ path }, call) => {
    const { access, roleOf } = this.#doors;
    const role = roleOf(path);
    if (role === null && access.isOpen) this.settle(call.getPeer());
    const sendStatus = call.sendStatus.bind(call);
    call.sendStatus = (status) => {
      sendStatus({ ...status, details: statusText(status.details ?? '') });
    };
    // Returned unwrapped: a wrapper would add work to every message of an attached backend.
    if (role === null) return call as ServerInterceptingCall;
    return new ServerInterceptingCall(call, {
      start: (next) => {
        next({
          onReceiveMetadata: (metadata, go) => {
            if (this.#admits(path, role, metadata, call)) go(metadata);
          },
        });
      },
    });
  };

  /** The caller of an admitted call, found by the call's metadata. */
  callerOf(metadata: Metadata): Caller {
    return this.#admitted.get(metadata) ?? NOBODY;
  }

  /** True when it may go on; otherwise it has its answer, and nothing of its request is read. */
  #admits(path: string, role: Role, metadata: Metadata, call: Call): boolean {
    const shown = metadata.get('authorization').map(String);
    const peer = call.getAuthContext().sslPeerCertificate;
    const admitted = this.#doors.access.admit(path.slice(path.lastIndexOf('/') + 1), role, {
      via: 'grpc',
      address: peerOf(call.getPeer()),
      // A client sends one token; joined, several match none.
      authorization: shown.length === 0 ? undefined : shown.join(', '),
      certificate: peer === undefined ? null : certificateOf(peer),
    });
    if (isFailure(admitted)) {
      const code = REASONS[admitted.reason as 'UNAUTHENTICATED' | 'FORBIDDEN'].grpcStatus;
      call.sendStatus({ code, details: `${admitted.reason}: ${admitted.message}` });
      return false;
    }
    this.#admitted.set(metadata, admitted);
    this.settle(call.getPeer());
    return true;
  }

  /** Whoever may call is not crowded out any more. */
  settle(peer: string): void {
    const pending = this.#callers.get(peer);
    if (pending !== undefined) this.port.settle(pending);
  }

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
