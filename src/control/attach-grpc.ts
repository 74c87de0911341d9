/** `pith.v1.Gateway/Attach` on the control port, for backends that open their Link over gRPC. */
import { type ServerDuplexStream, type ServiceDefinition, status } from '@grpc/grpc-js';

import { type AttachSocket, AttachStream, type Ending } from '../upstream/dial-in/attach-stream.ts';
import type { Attach } from './attach.ts';
import { peerOf } from './peer-address.ts';

export const GATEWAY = 'pith.v1.Gateway';

type Call = ServerDuplexStream<Buffer, Buffer>;

const raw = (bytes: Buffer): Buffer => bytes;

/** Raw bytes: a Link encodes and decodes them itself. */
export const GATEWAY_SERVICE: ServiceDefinition = {
  Attach: {
    path: `/${GATEWAY}/Attach`,
    requestStream: true,
    responseStream: true,
    requestSerialize: raw,
    requestDeserialize: raw,
    responseSerialize: raw,
    responseDeserialize: raw,
  },
};

/** The handler of Attach. @param onAttached A backend has shown that it may; by the peer that gRPC names. */
export function attachByGrpc(
  attach: Attach,
  onAttached: (peer: string) => void,
): (call: Call) => void {
  return (call) => {
    const stream = new AttachStream(
      `grpc ${peerOf(call.getPeer())}`,
      new GrpcSocket(call, onAttached),
    );
    call.on('data', (message: Buffer) => {
      stream.take(message);
    });
    call.on('end', () => {
      stream.onPeerEnd();
    });
    call.on('cancelled', () => {
      stream.fail('the connection was lost, or the backend cancelled the call');
    });
    attach.open(stream);
  };
}

export const STATUS_OF_ENDING: Readonly<Record<Ending['how'], status>> = {
  done: status.OK,
  unauthenticated: status.UNAUTHENTICATED,
  invalid: status.INVALID_ARGUMENT,
  full: status.RESOURCE_EXHAUSTED,
  stopping: status.UNAVAILABLE,
  broken: status.ABORTED,
};

class GrpcSocket implements AttachSocket {
  readonly #call: Call;
  readonly #onAttached: (peer: string) => void;

  constructor(call: Call, onAttached: (peer: string) => void) {
    this.#call = call;
    this.#onAttached = onAttached;
  }

  send(message: Buffer, done: () => void): void {
    this.#call.write(message, done);
  }

  pause(): void {
    this.#call.pause();
  }

  resume(): void {
    this.#call.resume();
  }

  /** The port pings every connection: see ControlServer. */
  watch(): void {
    this.#onAttached(this.#call.getPeer());
  }

  end({ how, text }: Ending): void {
    if (how === 'done') this.#call.end();
    // This is how to end with a status: it is sent after what was written.
    else this.#call.emit('error', { code: STATUS_OF_ENDING[how], details: text });
    // Whatever else arrives is discarded, and must not pile up in memory.
    this.#call.resume();
  }

  destroy(): void {
    this.#call.emit('error', {
      code: status.ABORTED,
      details: 'the gateway dropped the link',
    });
    this.#call.destroy();
  }
}
