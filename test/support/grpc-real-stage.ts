/** A real server, behind a cable where a script wants one, and a connection on grpc-js. */
import type { EventEmitter } from 'node:events';
import { constants, type ServerHttp2Stream } from 'node:http2';
import {
  type sendUnaryData,
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  type ServerUnaryCall,
  type ServerWritableStream,
  status,
} from '@grpc/grpc-js';

import { connectGrpc } from '../../src/upstream/grpc-client/grpc-js-connection.ts';
import { GrpcStage, type Served, shown, SOURCE, STREAM, UNARY } from '../simulate/grpc-stage.ts';
import { type Cable, layCable } from './cable.ts';
import { eventually } from './wait.ts';

type Stream = ServerDuplexStream<Buffer, Buffer>;
type Source = ServerWritableStream<Buffer, Buffer>;
type Unary = ServerUnaryCall<Buffer, Buffer>;
const raw = (bytes: Buffer): Buffer => bytes;

export class RealStage extends GrpcStage {
  protected readonly connect = connectGrpc;
  /** For what is between the two. */
  readonly #withCable: boolean;
  #cable: Cable | null = null;
  /** 0: any. */
  #port = 0;
  #server: Server | null = null;

  constructor(withCable: boolean) {
    super();
    this.#withCable = withCable;
  }

  get address(): string {
    return `ipv4:127.0.0.1:${this.#cable?.port ?? this.#port}`;
  }

  async until(look: () => boolean, what: string): Promise<void> {
    await eventually(look, what, 10_000);
  }

  now(): number {
    return Date.now();
  }

  async listen(streamsMax?: number): Promise<void> {
    const server = new Server(
      streamsMax === undefined ? {} : { 'grpc.max_concurrent_streams': streamsMax },
    );
    this.#server = server;
    server.register(UNARY, this.#unary, raw, raw, 'unary');
    server.register(SOURCE, this.#source, raw, raw, 'serverStream');
    server.register(STREAM, this.#stream, raw, raw, 'bidi');
    this.#port = await new Promise<number>((resolve, reject) => {
      const address = `127.0.0.1:${this.#port}`;
      server.bindAsync(address, ServerCredentials.createInsecure(), (error, port) => {
        if (error) reject(error);
        else resolve(port);
      });
    });
    if (this.#withCable) this.#cable ??= await layCable(this.#port);
    this.#cable?.mend();
  }

  async kill(): Promise<void> {
    const server = this.#server;
    this.#server = null;
    if (server === null) return;
    this.#cable?.cut();
    server.forceShutdown();
    await new Promise((resolve) => {
      server.tryShutdown(resolve);
    });
  }

  goaway(): void {
    this.#server!.drain(`127.0.0.1:${this.#port}`, 60_000);
  }

  hang(): void {
    this.#cable!.swallow(1);
  }

  freeze(): void {
    this.#cable!.freeze();
  }

  mend(): void {}

  override async [Symbol.asyncDispose](): Promise<void> {
    await super[Symbol.asyncDispose]();
    await this.#cable?.[Symbol.asyncDispose]();
  }

  readonly #unary = (call: Unary, done: sendUnaryData<Buffer>): void => {
    const n = this.#came(call, 'unary', {
      say: (text) => {
        done(null, Buffer.from(text));
      },
      end: (code = status.OK, details = '') => {
        done({ code, details });
      },
      pause: () => {},
      resume: () => {},
    });
    this.served.push(`${n} got ${call.request.toString()}`);
  };

  readonly #source = (call: Source): void => {
    const n = this.#came(call, 'source', writableOf(call));
    this.served.push(`${n} got ${call.request.toString()}`);
  };

  readonly #stream = (call: Stream): void => {
    const n = this.#came(call, 'stream', {
      ...writableOf(call),
      pause: () => call.pause(),
      resume: () => call.resume(),
    });
    call.on('data', (message: Buffer) => {
      this.served.push(`${n} got ${shown(message)}`);
    });
  };

  #came(call: EventEmitter, kind: string, served: Omit<Served, 'refuse'>): number {
    const server = this.#server;
    let isOver = false;
    const n = this.calls.push({
      ...served,
      say: (text) => {
        isOver = kind === 'unary';
        served.say(text);
      },
      end: (code, details) => {
        isOver = true;
        served.end(code, details);
      },
      refuse: () => {
        isOver = true;
        http2StreamOf(call).close(constants.NGHTTP2_REFUSED_STREAM);
      },
    });
    this.served.push(`${n} ${kind}`);
    // grpc-js says the first of each call that is over, and the second also of one that is cancelled.
    call.on('cancelled', () => {
      if (isOver || server !== this.#server) return;
      isOver = true;
      const ended = this.served.indexOf(`${n} end`);
      if (ended !== -1) this.served.splice(ended, 1);
      this.served.push(`${n} cancelled`);
    });
    call.on('end', () => {
      if (!isOver && kind === 'stream') this.served.push(`${n} end`);
    });
    call.on('error', () => {});
    return n;
  }
}

function writableOf(call: Source | Stream): Omit<Served, 'refuse'> {
  return {
    say: (text) => {
      call.write(Buffer.from(text));
    },
    end: (code = status.OK, details = '') => {
      if (code === status.OK) call.end();
      else call.emit('error', { code, details });
    },
    pause: () => {},
    resume: () => {},
  };
}

/** grpc-js has no word for it. */
function http2StreamOf(call: object): ServerHttp2Stream {
  type Layer = {
    readonly call?: Layer;
    readonly nextCall?: Layer;
    readonly stream?: ServerHttp2Stream;
  };
  let layer: Layer | undefined = call as Layer;
  while (layer !== undefined && layer.stream === undefined) layer = layer.call ?? layer.nextCall;
  return layer!.stream!;
}
