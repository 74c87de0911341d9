/** Active health: what a backend's own grpc.health.v1 says, over one connection to it. */
import { type Metadata, status } from '@grpc/grpc-js';

import { VARINT, WireError, WireReader } from '../../contract/protobuf-wire.ts';
import { Timeout, type TimerWheel } from '../../timer-wheel.ts';

import type { Health, TransportOwner } from '../pool/transport.ts';
import {
  type CallError,
  type GrpcConnection,
  type MessageSource,
  onceLost,
} from './grpc-connection.ts';

/** How long after its end a watch is begun again, in milliseconds. */
const WATCH_AGAIN_MS = 1_000;

/** HealthCheckResponse.ServingStatus. [grpc/health/v1/health.proto] */
const SERVING = 1;
const NAMES = ['UNKNOWN', 'SERVING', 'NOT_SERVING', 'SERVICE_UNKNOWN'];
const NOT_SERVING = 2;

/** auto: only a backend that says NOT_SERVING is not well · true: only one that says SERVING is. */
export type HealthMode = 'auto' | boolean;

export const WATCH = '/grpc.health.v1.Health/Watch';
/** A HealthCheckRequest for the whole server, which is the service ''. */
const WHOLE_SERVER = Buffer.alloc(0);

export type HealthWatchOptions = {
  readonly mode: HealthMode;
  /** Sent with every call. */
  readonly metadata: Metadata;
  readonly wheel: TimerWheel;
};

export class HealthWatch implements Health {
  /** False: no new sessions. */
  well: boolean;
  /** The last message of the backend, or why there is none; '' before that. */
  message = '';
  readonly #mode: HealthMode;
  readonly #metadata: Metadata;
  readonly #wheel: TimerWheel;
  readonly #connection: GrpcConnection;
  readonly #endpoint: TransportOwner;
  readonly #again: Timeout;
  #stream: MessageSource | null = null;

  /** @param endpoint Whose backend is asked over `connection`. */
  constructor(options: HealthWatchOptions, connection: GrpcConnection, endpoint: TransportOwner) {
    this.#mode = options.mode;
    this.#metadata = options.metadata;
    this.#wheel = options.wheel;
    this.#connection = connection;
    this.#endpoint = endpoint;
    this.well = options.mode !== true;
    this.#again = new Timeout(() => {
      this.start();
    });
  }

  /** Starts watching, also again on a new connection. */
  start(): void {
    if (this.#mode === false) return;
    this.#drop();
    const connection = this.#connection;
    // What is cancelled as soon as it is opened stays open at the server.
    if (!connection.isReady) {
      this.#wheel.set(this.#again, WATCH_AGAIN_MS);
      return;
    }
    const stream = connection.serverStream(WATCH, WHOLE_SERVER, this.#metadata, Infinity);
    this.#stream = stream;
    stream.on('data', (bytes) => {
      if (this.#stream === stream) this.#onStatus(bytes);
    });
    stream.on('error', (error) => {
      if (this.#stream === stream) this.#onEnd(error);
    });
    stream.on('end', () => {});
    // A server that stops in good order waits for its streams: this one must not be what it waits for.
    onceLost(connection, () => {
      if (this.#stream !== stream) return;
      this.#drop();
      this.#wheel.set(this.#again, WATCH_AGAIN_MS);
    });
  }

  /** The connection is lost, or left. */
  stop(): void {
    this.#drop();
    this.well = this.#mode !== true;
    this.message = '';
  }

  /** So many streams may be open at a time. One is for calls. */
  streamsMax(max: number): void {
    if (max > 1 || this.#stream === null) return;
    this.#drop();
    this.#become(this.#mode !== true, 'the server lets one stream be open; health is not watched');
  }

  /** Stops asking; the last state stays. */
  rest(): void {
    this.#drop();
  }

  #drop(): void {
    const stream = this.#stream;
    this.#stream = null;
    this.#wheel.cancel(this.#again);
    stream?.on('error', () => {});
    stream?.cancel();
  }

  #onStatus(bytes: Buffer): void {
    let serving = 0;
    try {
      serving = statusOf(bytes);
    } catch (error) {
      if (!(error instanceof WireError)) throw error;
    }
    this.#become(
      this.#mode === true ? serving === SERVING : serving !== NOT_SERVING,
      NAMES[serving] ?? String(serving),
    );
  }

  #onEnd(error: CallError): void {
    this.#stream = null;
    // Not asked again on this connection: it will not learn it.
    if (error.code === status.UNIMPLEMENTED) {
      this.#become(this.#mode !== true, 'the backend has no grpc.health.v1.Health');
      return;
    }
    // The last state stays until there is another, or a new connection.
    this.#become(this.well, error.details || error.message);
    this.#wheel.set(this.#again, WATCH_AGAIN_MS);
  }

  #become(well: boolean, message: string): void {
    const changed = well !== this.well;
    const isNew = message !== this.message;
    this.well = well;
    this.message = message;
    // Each new reason for not using it is worth a log line.
    if (changed || (!well && isNew)) this.#endpoint.healthChanged();
  }
}

function statusOf(bytes: Buffer): number {
  const reader = new WireReader(bytes);
  let serving = 0;
  while (reader.next()) {
    if (reader.field === 1 && reader.type === VARINT) serving = reader.uint();
    else reader.skip();
  }
  return serving;
}
