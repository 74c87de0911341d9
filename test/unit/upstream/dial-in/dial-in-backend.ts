/** A backend that opens its Link itself, for tests. */
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import {
  type ClientDuplexStream,
  credentials,
  type GrpcObject,
  loadPackageDefinition,
  type ServiceClientConstructor,
  type ServiceError,
} from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { WebSocket } from 'ws';

import type { TestGateway } from '../../../support/gateway.ts';
import { eventually } from '../../../support/wait.ts';

export type Json = Record<string, unknown>;
export type Frame = Json & { id?: number };
export type Ended = { code: number; text: string };
export type Transport = 'gRPC' | 'WebSocket';
type Ports = Pick<TestGateway, 'adminPort' | 'controlPort'>;

const PROTO_DIR = fileURLToPath(new URL('../../../../proto', import.meta.url));
const OPTIONS = { keepCase: true, longs: Number, enums: String, defaults: true, oneofs: true };
const pith = loadPackageDefinition(
  loadSync('pith/v1/backend.proto', { ...OPTIONS, includeDirs: [PROTO_DIR] }),
)['pith'] as GrpcObject;
const Client = (pith['v1'] as GrpcObject)['Gateway'] as ServiceClientConstructor;

/** One attached process; requests are answered by `handle`, or never. */
export class DialIn implements AsyncDisposable {
  readonly transport: Transport;
  readonly frames: Frame[] = [];
  readonly ended: Promise<Ended>;
  /** Says what a Reply holds; null: nothing is answered. */
  handle: (route: string, body: Json, frame: Frame) => Json | null = (_, body) => this.body(body);
  /** Told of every request, notifies too. */
  onRequest: (route: string, body: Json) => void = () => {};
  readonly #write: (frames: readonly Frame[]) => void;
  readonly kill: () => void;
  /** Ends in order. */
  readonly end: () => void;
  readonly raw: WebSocket | null;

  constructor(transport: Transport, gateway: Ports) {
    this.transport = transport;
    let end: (ended: Ended) => void;
    this.ended = new Promise((resolve) => {
      end = resolve;
    });
    if (transport === 'WebSocket') {
      const socket = new WebSocket(`ws://127.0.0.1:${gateway.adminPort}/v1/attach`);
      const open = once(socket, 'open');
      socket.on('message', (data: Buffer) => {
        this.#take((JSON.parse(data.toString()) as { frames: Frame[] }).frames);
      });
      socket.on('error', () => {});
      socket.on('close', (code, reason) => {
        end({ code, text: reason.toString() });
      });
      this.raw = socket;
      this.#write = (frames) => void open.then(() => socket.send(JSON.stringify({ frames })));
      this.kill = () => {
        socket.terminate();
      };
      this.end = () => {
        socket.close();
      };
      return;
    }
    const client = new Client(`127.0.0.1:${gateway.controlPort}`, credentials.createInsecure());
    const stream = (client['Attach'] as () => ClientDuplexStream<Json, { frames: Frame[] }>)();
    stream.on('data', ({ frames }) => {
      this.#take(frames);
    });
    stream.on('error', () => {});
    stream.on('status', ({ code, details }: ServiceError) => {
      client.close();
      end({ code, text: details });
    });
    this.raw = null;
    this.#write = (frames) => {
      stream.write({ frames });
    };
    this.kill = () => {
      stream.cancel();
    };
    this.end = () => {
      stream.end();
    };
  }

  /** Says hello, and waits until the gateway has done so. */
  static async attach(transport: Transport, gateway: Ports, hello: Json = {}): Promise<DialIn> {
    const backend = new DialIn(transport, gateway);
    backend.send({ hello: { backend: 'game', token: 'secret', ...hello } });
    await eventually(() => backend.frames.length > 0, 'the hello of the gateway');
    return backend;
  }

  send(...frames: Frame[]): void {
    this.#write(frames);
  }

  body(json: unknown): Json {
    const bytes = Buffer.from(JSON.stringify(json));
    return { body: this.transport === 'gRPC' ? { bytes } : { json } };
  }

  all(kind: string): Json[] {
    return this.frames.filter((frame) => kind in frame).map((frame) => frame[kind] as Json);
  }

  async got(kind: string, count = 1): Promise<Json[]> {
    return eventually(
      () => this.all(kind).length >= count && this.all(kind),
      `${kind} (${count}) among ${JSON.stringify(this.frames.slice(0, 20))}`,
    );
  }

  #take(frames: Frame[]): void {
    for (const frame of frames) {
      this.frames.push(frame);
      const request = frame['request'] as { route: string; notify: boolean; body: string } | null;
      if (!request) continue;
      const body = JSON.parse(Buffer.from(request.body, 'base64').toString()) as Json;
      this.onRequest(request.route, body);
      if (request.notify) continue;
      const reply = this.handle(request.route, body, frame);
      if (reply !== null) this.send({ id: frame.id!, reply });
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.kill();
    await this.ended;
  }
}
