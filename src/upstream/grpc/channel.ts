/** One gRPC channel to one address: opens a Link, makes Handle, Connect and Closed calls, all in raw bytes. */
import {
  type ClientDuplexStream,
  type ClientUnaryCall,
  Metadata,
  type requestCallback,
} from '@grpc/grpc-js';

import type { HealthStream } from '../grpc-client/health-watch.ts';
import { Connection, type Dial } from '../grpc-client/connection.ts';

export const LINK = '/pith.v1.Backend/Link';
export const HANDLE = '/pith.v1.Backend/Handle';
export const CONNECT = '/pith.v1.Backend/Connect';
export const CLOSED = '/pith.v1.Backend/Closed';
export const WATCH = '/grpc.health.v1.Health/Watch';
/** A HealthCheckRequest for the whole server, which is the service ''. */
const WHOLE_SERVER = Buffer.alloc(0);

export type LinkStream = ClientDuplexStream<Buffer, Buffer>;

const raw = (bytes: Buffer): Buffer => bytes;

export class Channel {
  readonly connection: Connection;
  readonly #metadata: Metadata;

  /** @throws if the certificates are invalid; check them beforehand with `credentialsOf`. */
  constructor(dial: Dial & { readonly metadata: Readonly<Record<string, string>> }) {
    this.connection = new Connection(dial);
    this.#metadata = new Metadata();
    for (const [name, value] of Object.entries(dial.metadata)) this.#metadata.set(name, value);
  }

  openLink(): LinkStream {
    return this.connection.client.makeBidiStreamRequest(LINK, raw, raw, this.#metadata);
  }

  watchHealth(): HealthStream {
    return this.connection.client.makeServerStreamRequest(
      WATCH,
      raw,
      raw,
      WHOLE_SERVER,
      this.#metadata,
    );
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
    return this.connection.client.makeUnaryRequest(
      method,
      raw,
      raw,
      message,
      this.#metadata,
      options,
      done,
    );
  }

  /** Resolves when the address can be reached; rejects after `deadline`. */
  ready(deadline: number): Promise<void> {
    return new Promise((resolve, reject) => {
      this.connection.client.waitForReady(deadline, (error) => {
        if (error) reject(error);
        else resolve();
      });
    });
  }

  close(): void {
    this.connection.close();
  }
}
