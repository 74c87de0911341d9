/** One address of a backend in mode: method, which calls of any service go to, all in raw bytes. */
import type { Metadata } from '@grpc/grpc-js';

import type { MessageSource, OnAnswer, UnaryRequest } from '../grpc-client/grpc-connection.ts';
import type { GrpcTransportOptions } from '../grpc-client/grpc-transport.ts';
import { RpcTransport } from '../grpc-client/rpc-transport.ts';
import type { TransportOwner } from '../pool/transport.ts';
import type { SchemaKeeper } from './schema-keeper.ts';

/** Largest message from a backend: no packet holds more, and a call has its stream for itself. */
const MESSAGE_BYTES_MAX = 16 * 1024 * 1024;

/** One message to a method. `deadline`: milliseconds since the epoch; travels as grpc-timeout. */
export type MethodRequest = {
  readonly path: string;
  readonly message: Buffer;
  readonly metadata: Metadata;
  readonly deadline: number;
};

export class MethodTransport extends RpcTransport {
  /** Counted by the calls: `enter`, `leave`. */
  inFlight = 0;
  readonly #keeper: SchemaKeeper;
  #onIdle: () => void = () => {};

  constructor(endpoint: TransportOwner, options: GrpcTransportOptions, keeper: SchemaKeeper) {
    super(endpoint, 'serving', options, MESSAGE_BYTES_MAX);
    this.#keeper = keeper;
  }

  enter(): void {
    this.inFlight++;
    this.liveness.begin();
  }

  leave(): void {
    this.inFlight--;
    if (this.inFlight === 0) this.#onIdle();
  }

  unary(request: MethodRequest, done: OnAnswer): UnaryRequest {
    const { path, message, metadata, deadline } = request;
    return this.connection.unary(path, message, metadata, deadline, done);
  }

  stream(request: MethodRequest): MessageSource {
    const { path, message, metadata, deadline } = request;
    return this.connection.serverStream(path, message, metadata, deadline);
  }

  protected override ready(): void {
    super.ready();
    // There may have been nowhere to ask for the schema until now.
    if (this.#keeper.schema === null) this.#keeper.lookSoon();
  }

  /** What is in flight is still answered. */
  close(): Promise<void> {
    this.stop();
    return new Promise((resolve) => {
      this.#onIdle = resolve;
      if (this.inFlight === 0) resolve();
    });
  }
}
