/** `pith.v1.Gateway/Attach` on the control port, for backends that open their Link over gRPC. */
import { subscribe } from 'node:diagnostics_channel';
import type { Http2Session } from 'node:http2';

import { type ServerDuplexStream, type ServiceDefinition, status } from '@grpc/grpc-js';

import { type AttachSocket, AttachStream, type Ending } from '../upstream/dial-in/attach-stream.ts';
import type { Attach } from './attach.ts';
import { peerOf } from './peer-address.ts';

export const GATEWAY = 'pith.v1.Gateway';
const ATTACH_PATH = `/${GATEWAY}/Attach`;

type Call = ServerDuplexStream<Buffer, Buffer>;

const raw = (bytes: Buffer): Buffer => bytes;

/** Raw bytes: a Link encodes and decodes them itself. */
export const GATEWAY_SERVICE: ServiceDefinition = {
  Attach: {
    path: ATTACH_PATH,
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

/** The connections that backends attach by, which grpc-js keeps to itself, by the peer that it names. */
const connections = new Map<string, Http2Session>();

// The one public way to the session of a stream that somebody else serves. [nodejs.org/api/diagnostics_channel.html]
subscribe('http2.server.stream.created', (message) => {
  const { stream, headers } = message as {
    stream: { session?: Http2Session };
    headers: Record<string, string>;
  };
  const { session } = stream;
  if (session === undefined || session.destroyed || headers[':path'] !== ATTACH_PATH) return;
  const { remoteAddress, remotePort } = session.socket;
  const peer = `${remoteAddress}:${remotePort}`;
  if (connections.get(peer) === session) return;
  connections.set(peer, session);
  session.once('close', () => {
    if (connections.get(peer) === session) connections.delete(peer);
  });
});

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

  /** A ping, which has to be answered, behind what left before. [RFC 9113 section 6.7] */
  roundTrip(done: () => void): void {
    const session = connections.get(this.#call.getPeer());
    // A socket without an address: there is no telling them apart.
    if (session === undefined || session.destroyed) {
      done();
      return;
    }
    session.ping((error) => {
      if (error === null) done();
    });
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
