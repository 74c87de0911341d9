/** A Link as a backend for tests holds it: what came on it, and what is sent. */
import type { Metadata, ServerDuplexStream } from '@grpc/grpc-js';

import type { GrpcBackend } from './grpc-backend.ts';
import type { GatewayFrame, Shape } from './grpc-shapes.ts';

export type LinkStream = ServerDuplexStream<{ frames: GatewayFrame[] }, Shape | Buffer>;

/** One stream that a gateway opened. */
export class BackendLink {
  readonly backend: GrpcBackend;
  /** Everything that came on it. */
  readonly frames: GatewayFrame[] = [];
  isOpen = true;
  readonly #stream: LinkStream;

  constructor(backend: GrpcBackend, stream: LinkStream) {
    this.backend = backend;
    this.#stream = stream;
  }

  get metadata(): Metadata {
    return this.#stream.metadata;
  }

  /** Sends BackendFrames in one message. */
  send(...frames: Shape[]): void {
    if (this.isOpen) this.#stream.write({ frames });
  }

  sendRaw(bytes: Buffer): void {
    this.#stream.write(bytes);
  }

  hello(): void {
    const { instance, more } = this.backend;
    this.send({ hello: { instance, version: 'test', ...more } });
  }

  goaway(): void {
    this.send({ goaway: { reason: 'test' } });
  }

  end(): void {
    this.isOpen = false;
    this.#stream.end();
  }

  /** Reads no more, so that what the gateway sends piles up. */
  pause(): void {
    this.#stream.pause();
  }

  resume(): void {
    this.#stream.resume();
  }

  /** What came of a kind, such as `pushed`, `done` or `cancel`, with the frame's id. */
  got(kind: string): { id: number; what: Shape }[] {
    return this.frames
      .filter((frame) => frame.frame === kind)
      .map((frame) => ({ id: frame.id, what: frame[kind] as Shape }));
  }
}
