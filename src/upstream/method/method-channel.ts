/** One gRPC channel to one address, for methods of any service, all in raw bytes. */
import {
  Client,
  type ClientDuplexStream,
  type ClientReadableStream,
  type ClientUnaryCall,
  connectivityState,
  Metadata,
  type requestCallback,
  type ServiceError,
} from '@grpc/grpc-js';

import { credentialsOf, type Dial, type HealthStream } from '../grpc/channel.ts';

const WATCH = '/grpc.health.v1.Health/Watch';
const CHECK = '/grpc.health.v1.Health/Check';
/** Largest message from a backend: no packet holds more. */
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
  readonly #client: Client;
  #closed = false;

  /** @throws when the certificates are none; check them beforehand with `credentialsOf`. */
  constructor({ address, authority, tls }: Omit<Dial, 'metadata'>) {
    const host = authority.replace(/:\d+$/, '').replace(/^\[|\]$/g, '');
    this.#client = new Client(address, credentialsOf(tls), {
      // The address that is dialled is a number, which stands in no certificate.
      ...(authority !== '' && {
        'grpc.default_authority': authority,
        'grpc.ssl_target_name_override': host,
      }),
      'grpc.enable_channelz': 0,
      'grpc.max_receive_message_length': MESSAGE_BYTES_MAX,
      'grpc.initial_reconnect_backoff_ms': 100,
      'grpc.max_reconnect_backoff_ms': 1_000,
      // A request goes out once; whether it may again is the route's to say.
      'grpc.enable_retries': 0,
      // An address is one backend: its channel must not be shared with another upstream's.
      'grpc.use_local_subchannel_pool': 1,
    });
  }

  unary(request: MethodRequest, done: requestCallback<Buffer>): ClientUnaryCall {
    const { path, message, metadata, deadline } = request;
    return this.#client.makeUnaryRequest(path, raw, raw, message, metadata, { deadline }, done);
  }

  stream(request: MethodRequest): ClientReadableStream<Buffer> {
    const { path, message, metadata, deadline } = request;
    return this.#client.makeServerStreamRequest(path, raw, raw, message, metadata, { deadline });
  }

  talk(path: string, deadline: number): ClientDuplexStream<Buffer, Buffer> {
    return this.#client.makeBidiStreamRequest(path, raw, raw, new Metadata(), { deadline });
  }

  watchHealth(): HealthStream {
    return this.#client.makeServerStreamRequest(WATCH, raw, raw, NOTHING, new Metadata());
  }

  /** Calls `onLost` once, when there is no connection any more. */
  watch(onLost: () => void): void {
    const channel = this.#client.getChannel();
    if (channel.getConnectivityState(false) !== connectivityState.READY) onLost();
    else channel.watchConnectivityState(connectivityState.READY, Infinity, onLost);
  }

  /**
   * Connects, and goes on connecting when the connection is lost. `onState` hears of each change, until `close`.
   *
   * @param until Milliseconds since the epoch: by then the first attempt should have ended. An idle channel keeps no
   *   process alive, and before that there may be nothing else that does.
   */
  keepConnected(until: number, onState: (state: 'ready' | 'failing' | 'connecting') => void): void {
    const channel = this.#client.getChannel();
    let deadline = until;
    const look = (late?: Error): void => {
      if (this.#closed) return;
      if (late !== undefined) deadline = Infinity;
      const state = channel.getConnectivityState(true);
      if (state === connectivityState.READY) onState('ready');
      else onState(state === connectivityState.TRANSIENT_FAILURE ? 'failing' : 'connecting');
      if (!this.#closed) channel.watchConnectivityState(state, deadline, look);
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
    this.#client.close();
  }
}
