/** One gRPC channel to one address, for methods of any service, all in raw bytes. */
import {
  type ClientDuplexStream,
  type ClientReadableStream,
  type ClientUnaryCall,
  connectivityState,
  Metadata,
  type requestCallback,
  type ServiceError,
} from '@grpc/grpc-js';

import type { HealthStream } from '../grpc-client/health-watch.ts';
import { Connection, type Dial } from '../grpc-client/connection.ts';

const WATCH = '/grpc.health.v1.Health/Watch';
const CHECK = '/grpc.health.v1.Health/Check';

/** Largest message from a backend: no packet holds more, and a call has its stream for itself. */
const MESSAGE_BYTES_MAX = 16 * 1024 * 1024;

const raw = (bytes: Buffer): Buffer => bytes;
const NOTHING = Buffer.alloc(0);

/** One message to a method. `deadline`: milliseconds since the epoch; travels as grpc-timeout. */
export type MethodRequest = {
  readonly path: string;
  readonly message: Buffer;
  readonly metadata: Metadata;
  readonly deadline: number;
};

export class MethodChannel {
  readonly connection: Connection;
  #closed = false;
  #onState: (state: 'ready' | 'failing' | 'connecting') => void = () => {};

  /** @throws if the certificates are invalid; check them beforehand with `credentialsOf`. */
  constructor(dial: Dial) {
    this.connection = new Connection(dial, {
      'grpc.max_receive_message_length': MESSAGE_BYTES_MAX,
    });
  }

  unary(request: MethodRequest, done: requestCallback<Buffer>): ClientUnaryCall {
    const { path, message, metadata, deadline } = request;
    return this.connection.client.makeUnaryRequest(
      path,
      raw,
      raw,
      message,
      metadata,
      { deadline },
      done,
    );
  }

  stream(request: MethodRequest): ClientReadableStream<Buffer> {
    const { path, message, metadata, deadline } = request;
    return this.connection.client.makeServerStreamRequest(path, raw, raw, message, metadata, {
      deadline,
    });
  }

  talk(path: string, deadline: number): ClientDuplexStream<Buffer, Buffer> {
    return this.connection.client.makeBidiStreamRequest(path, raw, raw, new Metadata(), {
      deadline,
    });
  }

  watchHealth(): HealthStream {
    return this.connection.client.makeServerStreamRequest(WATCH, raw, raw, NOTHING, new Metadata());
  }

  /**
   * Connects, and goes on connecting when the connection is lost. `onState` hears of each change, until `close`.
   *
   * @param until Milliseconds since the epoch: by then the first attempt should have ended. An idle channel keeps no
   *   process alive, and before that there may be nothing else that does.
   */
  keepConnected(until: number, onState: (state: 'ready' | 'failing' | 'connecting') => void): void {
    this.#onState = onState;
    this.#follow(until);
  }

  /** Gives up the connection, or the attempt to make one, and begins anew. */
  renew(): void {
    if (this.#closed) return;
    this.connection.renew();
    this.#follow(Infinity);
  }

  #follow(until: number): void {
    const { client } = this.connection;
    const channel = client.getChannel();
    let deadline = until;
    const look = (late?: Error): void => {
      // Renewed meanwhile.
      if (this.#closed || this.connection.client !== client) return;
      if (late !== undefined) deadline = Infinity;
      const state = channel.getConnectivityState(true);
      if (state === connectivityState.READY) this.#onState('ready');
      else this.#onState(state === connectivityState.TRANSIENT_FAILURE ? 'failing' : 'connecting');
      if (!this.#closed && this.connection.client === client)
        channel.watchConnectivityState(state, deadline, look);
    };
    look();
  }

  /** Asks a failing channel why it fails: the only way is a call, which fails at once and goes nowhere. */
  whyFailing(deadline: number, done: (error: ServiceError | null) => void): void {
    const metadata = new Metadata();
    this.unary({ path: CHECK, message: NOTHING, metadata, deadline }, done);
  }

  close(): void {
    this.#closed = true;
    this.connection.close();
  }
}
