/** One gRPC channel to one address: opens a Link, makes Handle, Connect and Closed calls, all in raw bytes. */
import {
  Client,
  type ClientDuplexStream,
  type ClientUnaryCall,
  connectivityState,
  credentials,
  Metadata,
  type requestCallback,
  status,
} from '@grpc/grpc-js';

const LINK = '/pith.v1.Backend/Link';
const HANDLE = '/pith.v1.Backend/Handle';
const CONNECT = '/pith.v1.Backend/Connect';
const CLOSED = '/pith.v1.Backend/Closed';
/** Largest message from a backend: one turn's frames. */
const MESSAGE_BYTES_MAX = 16 * 1024 * 1024;

export type LinkStream = ClientDuplexStream<Buffer, Buffer>;

const raw = (bytes: Buffer): Buffer => bytes;

export class Channel {
  readonly #client: Client;
  readonly #metadata: Metadata;

  /** @param address As grpc-js takes it: `ipv4:127.0.0.1:9000`, `unix:/run/chat.sock`. */
  constructor(address: string, metadata: Readonly<Record<string, string>>) {
    this.#client = new Client(address, credentials.createInsecure(), {
      'grpc.enable_channelz': 0,
      'grpc.max_receive_message_length': MESSAGE_BYTES_MAX,
      // Each address is tried by us, at our pace; the channel itself should not wait longer.
      'grpc.initial_reconnect_backoff_ms': 100,
      'grpc.max_reconnect_backoff_ms': 1_000,
      // An address is one backend: its channel must not be shared with another upstream's.
      'grpc.use_local_subchannel_pool': 1,
    });
    this.#metadata = new Metadata();
    for (const [name, value] of Object.entries(metadata)) this.#metadata.set(name, value);
  }

  openLink(): LinkStream {
    return this.#client.makeBidiStreamRequest(LINK, raw, raw, this.#metadata);
  }

  /** @param deadline Milliseconds since the epoch; travels as grpc-timeout. */
  handle(request: Buffer, deadline: number, done: requestCallback<Buffer>): ClientUnaryCall {
    return this.#unary(HANDLE, request, deadline, done);
  }

  connect(request: Buffer, deadline: number, done: requestCallback<Buffer>): ClientUnaryCall {
    return this.#unary(CONNECT, request, deadline, done);
  }

  closed(event: Buffer, deadline: number, done: requestCallback<Buffer>): void {
    this.#unary(CLOSED, event, deadline, done);
  }

  #unary(
    method: string,
    message: Buffer,
    deadline: number,
    done: requestCallback<Buffer>,
  ): ClientUnaryCall {
    const options = { deadline };
    return this.#client.makeUnaryRequest(method, raw, raw, message, this.#metadata, options, done);
  }

  /** Resolves when the address can be reached; rejects after `deadline`. */
  ready(deadline: number): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#client.waitForReady(deadline, (error) => {
        if (error) reject(error);
        else resolve();
      });
    });
  }

  /** Calls `onLost` once, when there is no connection any more. */
  watch(onLost: () => void): void {
    const channel = this.#client.getChannel();
    if (channel.getConnectivityState(false) !== connectivityState.READY) onLost();
    else channel.watchConnectivityState(connectivityState.READY, Infinity, onLost);
  }

  close(): void {
    this.#client.close();
  }
}

export { status };
