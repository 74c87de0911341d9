/** Who makes the calls of a gRPC server, and whether they may. */
import { type Metadata, ServerInterceptingCall, type ServerInterceptor } from '@grpc/grpc-js';

import { isFailure, REASONS } from '../errors.ts';
import type { Access, Caller } from './access.ts';
import { certificateOf, peerOf } from './peer-address.ts';
import type { Role } from './roles.ts';
import { statusText } from './status-text.ts';

/** Who may call. */
export type Doors = {
  readonly access: Access;
  /** What the method of this path needs; null: nothing, or its own token. */
  readonly roleOf: (path: string) => Role | null;
};

/** One that was admitted without being asked who it is. */
const NOBODY: Caller = { via: 'grpc', name: '', address: '', role: 'read' };

type Call = ConstructorParameters<typeof ServerInterceptingCall>[0];

export class GrpcCalls {
  readonly #doors: Doors;
  /** Whoever may call, by the peer that gRPC names, is not crowded out any more. */
  readonly #settle: (peer: string) => void;
  /** Of the calls that were admitted. */
  readonly #admitted = new WeakMap<Metadata, Caller>();

  constructor(doors: Doors, settle: (peer: string) => void) {
    this.#doors = doors;
    this.#settle = settle;
  }

  /** For the server's options. */
  readonly onCall: ServerInterceptor = ({ path }, call) => {
    const { access, roleOf } = this.#doors;
    const role = roleOf(path);
    if (role === null && access.isOpen) this.#settle(call.getPeer());
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
    this.#settle(call.getPeer());
    return true;
  }
}
