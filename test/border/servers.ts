/**
 * One backend of each kind, as small as it can be: each echoes, unless `serve` takes a request for itself, and then
 * gets the means to answer it with any bytes.
 */
import { once } from 'node:events';
import http from 'node:http';
import net from 'node:net';
import {
  Client as GrpcClient,
  type ClientDuplexStream,
  credentials,
  Metadata,
  type sendUnaryData,
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  type ServerUnaryCall,
} from '@grpc/grpc-js';
import { WebSocket } from 'ws';

import {
  backendService,
  type ConnectShape,
  type RequestShape,
  type Shape,
} from '../support/grpc-shapes.ts';
import { type MethodAsked, MethodBackend } from '../support/method-backend.ts';
import { type NatsMessage, NatsWire } from './nats-wire.ts';

/** A request of a client as a backend has it; a notify is not answered. */
export type Asked<S> = {
  readonly route: string;
  readonly body: Buffer;
  readonly notify: boolean;
  readonly say: S;
};

/** Returns true when it has taken the request: whether it is answered, and how, is its affair then. */
export type Serve<S> = (asked: Asked<S>) => boolean;

/** Messages of ToGateway, encoded or as fields; `id` is the request's. */
export type LinkSay = {
  readonly id: number;
  send(this: void, message: Buffer | Shape): void;
  end(this: void): void;
};
/** The one answer of a unary call. */
export type UnarySay = {
  reply(bytes: Buffer | Shape, trailer?: Metadata): void;
  status(code: number, details: string, metadata?: Metadata): void;
};
export type MethodSay = MethodAsked;
export type NatsSay = { readonly reply: string; readonly wire: NatsWire };
export type HttpSay = { readonly socket: net.Socket };
export type IpcSay = { readonly seq: number; readonly socket: net.Socket };
/** Text of messages of ToGateway in JSON. */
export type DialSay = { readonly id: number; send(this: void, text: string | Buffer): void };

export type Running = { readonly at: string; close(): void };

const CASE = /"case":(\d+)/;
/** The number in a body by which a case finds its plan, or in the user block of a handshake; -1: none. */
export function caseOf(body: Buffer): number {
  return Number(CASE.exec(body.toString('latin1', 0, 2_000))?.[1] ?? -1);
}

/** What a handshake asks about, under whatever name the transport gives it. */
export const CONNECT = 'pith.connect';
const LET_IN = '{"accept":{}}';

type Stream = ServerDuplexStream<{ frames: Frame[] }, Buffer | Shape>;
type Frame = { id: number; frame?: string; request?: RequestShape; connect?: ConnectShape };

/** The number of its case, as a body of JSON has it. */
function userOf({ user }: ConnectShape): Buffer {
  const number = (user?.fields['case'] as { numberValue?: number } | undefined)?.numberValue;
  return Buffer.from(`{"case":${number ?? -1}}`);
}

/** pith.v1.Backend, with Link or without. */
export async function grpcServer(
  hasLink: boolean,
  serve: Serve<LinkSay & UnarySay>,
  onLink: (send: (message: Buffer | Shape) => void) => void = () => {},
): Promise<Running> {
  const server = new Server({ 'grpc.max_receive_message_length': -1 });
  const Link = (stream: Stream): void => {
    stream.on('error', () => {});
    stream.on('end', () => stream.end());
    stream.on('data', ({ frames }) => onFrames(frames, serve, linkSay(stream)));
    stream.write({ frames: [{ hello: { instance: 'one' } }] });
    onLink((message) => stream.write(message));
  };
  const Handle = (
    call: ServerUnaryCall<RequestShape, Buffer | Shape>,
    done: sendUnaryData<Buffer | Shape>,
  ): void => {
    const { route, body, notify } = call.request;
    const say = unarySay(done);
    if (!serve({ route, body, notify, say })) say.reply({ body: { bytes: body } });
  };
  const Connect = (
    call: ServerUnaryCall<ConnectShape, Buffer | Shape>,
    done: sendUnaryData<Buffer | Shape>,
  ): void => {
    const say = unarySay(done);
    const asked = { route: CONNECT, body: userOf(call.request), notify: false, say };
    if (!serve(asked)) say.reply({ accept: {} });
  };
  server.addService(backendService, hasLink ? { Link, Handle } : { Handle, Connect });
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) => {
      if (error) reject(error);
      else resolve(bound);
    });
  });
  return { at: `127.0.0.1:${port}`, close: () => server.forceShutdown() };
}

function unarySay(done: sendUnaryData<Buffer | Shape>): LinkSay & UnarySay {
  return {
    id: 0,
    send: () => {},
    end: () => {},
    reply: (bytes, trailer) => done(null, bytes, trailer),
    status: (code, details, metadata) => done({ code, details, ...(metadata && { metadata }) }),
  };
}

function linkSay(stream: { write(message: never): unknown; end(): unknown }) {
  return (id: number): LinkSay & UnarySay => ({
    id,
    send: (message) => void stream.write(message as never),
    end: () => void stream.end(),
    reply: () => {},
    status: () => {},
  });
}

function onFrames(
  frames: readonly Frame[],
  serve: Serve<LinkSay & UnarySay>,
  say: (id: number) => LinkSay & UnarySay,
): void {
  for (const { id, request, connect } of frames) {
    const means = say(id);
    if (connect) {
      const asked = { route: CONNECT, body: userOf(connect), notify: false, say: means };
      if (!serve(asked)) means.send({ frames: [{ id, connect: { accept: {} } }] });
    }
    if (!request) continue;
    const { route, body, notify } = request;
    if (serve({ route, body, notify, say: means }) || notify) continue;
    means.send({ frames: [{ id, reply: { body: { bytes: body } } }] });
  }
}

/** Attaches on the control port. */
export function dialGrpc(
  controlPort: number,
  backend: string,
  serve: Serve<LinkSay & UnarySay>,
): Running {
  const { responseSerialize, requestDeserialize } = backendService['Link']!;
  const client = new GrpcClient(`127.0.0.1:${controlPort}`, credentials.createInsecure(), {
    'grpc.max_receive_message_length': -1,
    'grpc.initial_reconnect_backoff_ms': 100,
    'grpc.max_reconnect_backoff_ms': 200,
  });
  let closed = false;
  const attach = (): void => {
    if (closed) return;
    const stream: ClientDuplexStream<Buffer | Shape, { frames: Frame[] }> =
      client.makeBidiStreamRequest(
        '/pith.v1.Gateway/Attach',
        responseSerialize,
        requestDeserialize as (bytes: Buffer) => { frames: Frame[] },
      );
    stream.on('error', () => {
      if (!closed) setTimeout(attach, 50);
    });
    stream.on('data', ({ frames }) => onFrames(frames, serve, linkSay(stream)));
    stream.write({ frames: [{ hello: { backend, instance: 'one' } }] });
  };
  attach();
  return {
    at: '',
    close: () => {
      closed = true;
      client.close();
    },
  };
}

/** Attaches by WebSocket on the admin port. */
export function dialWebSocket(adminPort: number, backend: string, serve: Serve<DialSay>): Running {
  let closed = false;
  let socket: WebSocket;
  const attach = (): void => {
    if (closed) return;
    socket = new WebSocket(`ws://127.0.0.1:${adminPort}/v1/attach`, { perMessageDeflate: false });
    socket.on('error', () => {});
    socket.on('close', () => {
      if (!closed) setTimeout(attach, 50);
    });
    socket.on('open', () => {
      socket.send(JSON.stringify({ frames: [{ hello: { backend, instance: 'one' } }] }));
    });
    const mine = socket;
    mine.on('message', (data: Buffer) => {
      type Said = {
        id: number;
        request?: { route: string; notify?: boolean; body?: string };
        connect?: { user?: unknown };
      };
      for (const { id, request, connect } of (JSON.parse(data.toString()) as { frames: Said[] })
        .frames) {
        const say = { id, send: (words: string | Buffer) => mine.send(words.toString()) };
        if (connect !== undefined) {
          const user = Buffer.from(JSON.stringify(connect.user ?? {}));
          if (!serve({ route: CONNECT, body: user, notify: false, say }))
            say.send(`{"frames":[{"id":${id},"connect":${LET_IN}}]}`);
        }
        if (request === undefined) continue;
        const { route, notify = false, body: text = '' } = request;
        const body = Buffer.from(text, 'base64');
        if (serve({ route, body, notify, say }) || notify) continue;
        say.send(JSON.stringify({ frames: [{ id, reply: { body: { bytes: text } } }] }));
      }
    });
  };
  attach();
  return {
    at: '',
    close: () => {
      closed = true;
      socket.terminate();
    },
  };
}

/** A service of its own, for mode: method. */
export const METHOD_PROTO = `syntax = "proto3"; package border;
import "google/protobuf/struct.proto"; import "google/protobuf/duration.proto";
message Words {
  string text = 1; bytes data = 2; repeated string list = 3; map<string, int64> map = 4;
  google.protobuf.Value any = 5; int64 big = 6; double real = 7; Words inner = 8; repeated Words many = 9;
  google.protobuf.Duration lasts = 10; int32 case = 11;
}
service Say { rpc Echo(Words) returns (Words); }`;

export async function methodServer(serve: Serve<MethodSay>): Promise<Running> {
  const backend = await MethodBackend.start({
    proto: METHOD_PROTO,
    service: 'border.Say',
    reflection: 'v1',
    handler: (asked) => {
      // The double keeps all that came; a long run must not.
      backend.asked.length = 0;
      const body = Buffer.from(`{"case":${Number(asked.request['case'])}}`);
      if (serve({ route: asked.method, body, notify: false, say: asked })) return;
      asked.answerBytes(asked.bytes);
    },
  });
  return { at: backend.address, close: () => void backend[Symbol.asyncDispose]() };
}

export async function natsServer(
  port: number,
  subject: string,
  serve: Serve<NatsSay>,
): Promise<Running & { readonly wire: NatsWire }> {
  const wire = await NatsWire.connect(port);
  const take = ({ subject: route, reply, body }: NatsMessage): void => {
    const notify = reply === '';
    if (serve({ route, body, notify, say: { reply, wire } }) || notify) return;
    wire.publish(reply, '', '', route === CONNECT ? LET_IN : body);
  };
  wire.subscribe(subject, 'border', take);
  wire.subscribe(CONNECT, 'border', take);
  return { at: '', wire, close: () => wire.close() };
}

export async function httpServer(serve: Serve<HttpSay>): Promise<Running> {
  const server = http.createServer((request, response) => {
    const parts: Buffer[] = [];
    request.on('data', (part: Buffer) => parts.push(part));
    request.on('end', () => {
      const body = Buffer.concat(parts);
      const asked = { route: request.url!, body, notify: false, say: { socket: request.socket } };
      if (!serve(asked)) response.end(asked.route === '/pith/connect' ? LET_IN : body);
    });
    request.on('error', () => {});
  });
  // A server that ends idle connections may end one in the moment in which a request is on its way: a 503 by right.
  server.keepAliveTimeout = 0;
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const at = `http://127.0.0.1:${(server.address() as net.AddressInfo).port}`;
  return {
    at,
    close: () => {
      server.close();
      server.closeAllConnections();
    },
  };
}

export async function ipcServer(path: string, serve: Serve<IpcSay>): Promise<Running> {
  const sockets = new Set<net.Socket>();
  const server = net.createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => sockets.delete(socket));
    let parts: string[] = [];
    socket.setEncoding('latin1');
    socket.on('data', (chunk: string) => {
      const [first, ...more] = chunk.split('\n');
      parts.push(first!);
      for (const next of more) {
        onLine(parts.join(''), socket, serve);
        parts = [next];
      }
    });
  });
  server.listen(path);
  await once(server, 'listening');
  return {
    at: `unix://${path}`,
    close: () => {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}

/** Cut out of the line and not parsed: a payload may be as deep as it likes. */
function onLine(line: string, socket: net.Socket, serve: Serve<IpcSay>): void {
  const route = /"cmd":"([^"]*)"/.exec(line)?.[1] ?? '';
  const until = line.lastIndexOf(',"seq_id":');
  const notify = until < 0;
  const seq = notify ? 0 : parseInt(line.slice(until + 10), 10);
  const payload = line.slice(line.indexOf('"payload":') + 10, notify ? undefined : until);
  const body = Buffer.from(payload, 'latin1');
  if (serve({ route, body, notify, say: { seq, socket } }) || notify) return;
  const answer = route === CONNECT ? Buffer.from(LET_IN) : body;
  socket.write(
    Buffer.concat([Buffer.from(`{"seq_id":${seq},"payload":`), answer, Buffer.from('}\n')]),
  );
}
