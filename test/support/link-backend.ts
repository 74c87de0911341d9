/** A backend that serves pith.v1.Backend, Link and Handle, and answers each request as the test's function says. */
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import {
  type GrpcObject,
  loadPackageDefinition,
  type sendUnaryData,
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  type ServerUnaryCall,
  type ServiceClientConstructor,
} from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';

import { eventually } from './wait.ts';

const PROTO_DIR = fileURLToPath(new URL('../../proto', import.meta.url));

type Json = Record<string, unknown>;
type Frame = { id: number; frame?: string; [field: string]: unknown };
type Stream = ServerDuplexStream<{ frames: Frame[] }, { frames: Json[] }>;

/** What PushResult says. */
export type Pushed = { delivered: number; dropped: number; refused: number };

/** One request or notify; answer it at any time, or never. */
export type BackendRequest = {
  readonly sid: string;
  readonly uid: string;
  readonly route: string;
  readonly notify: boolean;
  readonly body: Buffer;
  readonly seq: number;
  /** Answers with a JSON body, and with what else a Reply holds. */
  answer(body: unknown, more?: Json): void;
  fail(error: { code: number; reason: string; message?: string }): void;
};

export type LinkBackend = AsyncDisposable & {
  readonly address: string;
  /** Every request and notify that came, in order. */
  readonly requests: readonly BackendRequest[];
  /** Ids that the gateway has cancelled. */
  readonly cancelled: readonly number[];
  readonly goaways: readonly string[];
  readonly closed: readonly string[];
  /** Ends of sessions and of gateways, as they came, by a frame or a call. */
  readonly told: readonly { readonly kind: string; readonly event: Json }[];
  /** Waits until so many requests have come in all. */
  came(count: number): Promise<readonly BackendRequest[]>;
  /** Pushes over the first link and waits for what became of it. */
  push(push: Json): Promise<Pushed>;
  /** Gateways that are connected. */
  readonly links: number;
  /** Pushes many in one message, without a result. */
  pushAll(pushes: readonly Json[]): void;
};

/** @param handle Called for every request; without it nothing is answered until the test does. */
export async function startLinkBackend(
  handle: (request: BackendRequest) => void = () => {},
  options: { instance?: string; link?: boolean; port?: number } = {},
): Promise<LinkBackend> {
  const requests: BackendRequest[] = [];
  const cancelled: number[] = [];
  const goaways: string[] = [];
  const closed: string[] = [];
  const told: { kind: string; event: Json }[] = [];
  const streams: Stream[] = [];
  const pushes = new Map<number, (pushed: Pushed) => void>();
  let lastPush = 0;

  const take = (fields: Json, reply: (reply: Json) => void): void => {
    const session = (fields['session'] ?? {}) as { sid?: string; uid?: string };
    const request: BackendRequest = {
      sid: session.sid ?? '',
      uid: session.uid ?? '',
      route: fields['route'] as string,
      notify: fields['notify'] as boolean,
      body: fields['body'] as Buffer,
      seq: fields['seq'] as number,
      answer(body, more = {}) {
        reply({ body: { bytes: Buffer.from(JSON.stringify(body)) }, ...more });
      },
      fail(error) {
        reply({ error });
      },
    };
    requests.push(request);
    handle(request);
  };

  const onFrame = (stream: Stream, { id, frame, ...fields }: Frame): void => {
    if (frame === 'request')
      take(fields['request'] as Json, (reply) => {
        if (stream.writable) stream.write({ frames: [{ id, reply }] });
      });
    else if (frame === 'cancel') cancelled.push(id);
    else if (frame === 'pushed') pushes.get(id)?.(fields['pushed'] as Pushed);
    else if (frame === 'goaway') goaways.push((fields['goaway'] as { reason: string }).reason);
    else if (frame === 'closed') closed.push((fields['closed'] as { reason: string }).reason);
    if (frame === 'closed' || frame === 'lost')
      told.push({ kind: frame, event: fields[frame] as Json });
  };

  const server = new Server();
  server.addService(backendService(), {
    ...(options.link !== false && {
      Link(stream: Stream) {
        streams.push(stream);
        stream.on('data', ({ frames }: { frames: Frame[] }) => {
          for (const one of frames) onFrame(stream, one);
        });
        stream.on('end', () => {
          stream.end();
        });
        stream.on('error', () => {});
        stream.write({ frames: [{ hello: { instance: options.instance ?? 'one' } }] });
      },
    }),
    ...Object.fromEntries(
      (['closed', 'lost'] as const).map((kind) => [
        kind === 'closed' ? 'Closed' : 'Lost',
        ({ request: event }: ServerUnaryCall<Json, Json>, done: sendUnaryData<Json>) => {
          told.push({ kind, event });
          done(null, {});
        },
      ]),
    ),
    Handle(call: ServerUnaryCall<Json, Json>, done: sendUnaryData<Json>) {
      take(call.request, (reply) => {
        done(null, reply);
      });
    },
  });
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync(
      `127.0.0.1:${options.port ?? 0}`,
      ServerCredentials.createInsecure(),
      (error, bound) => {
        if (error) reject(error);
        else resolve(bound);
      },
    );
  });

  const first = (): Promise<Stream> =>
    eventually(() => streams.find((stream) => stream.writable), 'a link');
  return {
    address: `127.0.0.1:${port}`,
    requests,
    cancelled,
    goaways,
    closed,
    told,
    came: (count) => eventually(() => requests.length >= count && requests, `${count} requests`),
    get links() {
      return streams.filter(({ writable }) => writable).length;
    },
    async push(push) {
      const stream = await first();
      const id = ++lastPush;
      return new Promise((resolve) => {
        pushes.set(id, (pushed) => {
          pushes.delete(id);
          resolve(pushed);
        });
        stream.write({ frames: [{ id, push }] });
      });
    },
    pushAll(all) {
      const stream = streams.find(({ writable }) => writable);
      if (stream === undefined) throw new Error('there is no link');
      stream.write({ frames: all.map((push) => ({ push })) });
    },
    async [Symbol.asyncDispose]() {
      server.forceShutdown();
      await Promise.all(
        streams.filter(({ destroyed }) => !destroyed).map((stream) => once(stream, 'close')),
      );
    },
  };
}

function backendService(): ServiceClientConstructor['service'] {
  const definition = loadSync('pith/v1/backend.proto', {
    includeDirs: [PROTO_DIR],
    keepCase: true,
    longs: Number,
    enums: String,
    defaults: true,
    oneofs: true,
  });
  const pith = loadPackageDefinition(definition)['pith'] as GrpcObject;
  return ((pith['v1'] as GrpcObject)['Backend'] as ServiceClientConstructor).service;
}
