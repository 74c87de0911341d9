/**
 * One table of awkward JSON through every pair of client dialect and backend kind, both directions: a body is what was
 * sent, byte for byte, at the backend and in the answer; only a method that has a message for it may refuse it, with
 * its path. Session data that a backend sets in JSON comes back as it was written, on every way that has JSON.
 */
import { once } from 'node:events';
import net from 'node:net';
import { connect } from 'nats';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';

import { TestClient } from '../support/client.ts';
import { startGateway, type TestGateway } from '../support/gateway.ts';
import { GrpcBackend } from '../support/grpc-backend.ts';
import { HttpBackend } from '../support/http-backend.ts';
import { socketPath } from '../support/ipc-backend.ts';
import { MethodBackend } from '../support/method-backend.ts';
import { startNats } from '../support/nats.ts';
import { headersOf } from '../support/nats-backend.ts';
import { eventually } from '../support/wait.ts';
import { DialIn } from '../unit/upstream/dial-in/dial-in-backend.ts';

const BODIES = [
  '{"n":9007199254740993,"m":-1234567890123456789,"u":18446744073709551615}',
  '{"a":1e400,"b":-0,"c":1.0,"d":1E+2,"e":0.10,"f":1e-400,"g":-0.0}',
  '{"2":1,"1":2,"a":0,"0":3}',
  '{"a":1,"a":2}',
  '{"__proto__":{"x":1},"constructor":2,"toString":null}',
  '{"s":"\\ud800","t":"\\u0000\\/\\u00e9é","k\\n":1}',
  '{ "a" : [ 1 ,\t2 ] }',
  '[1.0,[],{},"x"]',
  '"text"',
  '9007199254740993',
  '-0',
  'null',
  'true',
];
/** What the method's google.protobuf.Value does not hold, by the path that is named; '' for the whole. */
const REFUSED: Readonly<Record<string, string>> = {
  [BODIES[0]!]: 'n',
  [BODIES[1]!]: 'a',
  [BODIES[3]!]: '',
  [BODIES[5]!]: 's',
  '9007199254740993': '',
};
const KINDS = ['link', 'handle', 'nats', 'http', 'ipc', 'game', 'socket'] as const;
const PROTO = `syntax = "proto3"; package t; import "google/protobuf/struct.proto";
  service S { rpc Call(google.protobuf.Value) returns (google.protobuf.Value); }`;

/** Session data as a backend on NATS sets it. */
const DATA =
  '{"guild":1234567890123456789,"big":1e400,"f":1.0,"z":-0,"s":"\\ud800","in":{"2":1E+2}}';

/** What backends got, as text: bodies, and the session data in JSON. */
const heard: string[] = [];
const datas: string[] = [];
const ids: string[] = [];
const stack = new AsyncDisposableStack();
let gateway: TestGateway;

/** A backend on a Unix socket that repeats the bytes of each payload: a JSON parser would be what is tested. */
async function startIpc(path: string): Promise<AsyncDisposable> {
  const server = net.createServer((socket) => {
    let rest = '';
    socket.on('error', () => {});
    socket.on('data', (chunk) => {
      const lines = (rest + chunk.toString()).split('\n');
      rest = lines.pop()!;
      for (const line of lines) {
        const found = /^\{"cmd":"[^"]*","payload":(.*),"seq_id":(\d+),"timeout_ms"/.exec(line);
        // Ended sessions are told too, and not answered.
        if (found === null) continue;
        const [, payload, id] = found;
        heard.push(payload!);
        datas.push(/"data":(\{.*\})\}\}$/.exec(line)![1]!);
        socket.write(`{"seq_id":${id},"payload":${payload}}\n`);
      }
    });
  });
  server.listen(path);
  await once(server, 'listening');
  return {
    async [Symbol.asyncDispose]() {
      server.close();
      await once(server, 'close');
    },
  };
}

/** A backend that attaches by WebSocket, and puts each body as it is where JSON stands. */
async function attachSocket(): Promise<AsyncDisposable> {
  const socket = new WebSocket(`ws://127.0.0.1:${gateway.adminPort}/v1/attach`);
  await once(socket, 'open');
  const hello = once(socket, 'message');
  socket.send('{"frames":[{"hello":{"backend":"socket"}}]}');
  await hello;
  socket.on('message', (data: Buffer) => {
    const { frames } = JSON.parse(data.toString()) as {
      frames: { id: number; request?: { body: string } }[];
    };
    for (const { id, request } of frames) {
      if (request === undefined) continue;
      const body = Buffer.from(request.body, 'base64').toString();
      heard.push(body);
      socket.send(`{"frames":[{"id":${id},"reply":{"body":{"json":${body}}}}]}`);
    }
  });
  return {
    async [Symbol.asyncDispose]() {
      socket.close();
      await once(socket, 'close');
    },
  };
}

beforeAll(async () => {
  const nats = stack.use(await startNats());
  const nc = await connect({ servers: nats.url });
  stack.defer(() => nc.close());
  nc.subscribe('pith.rpc.nats.>', {
    callback: (_, message) => {
      heard.push(message.string());
      datas.push(message.headers?.get('Pith-Data') ?? '');
      ids.push(message.headers?.get('Pith-Id') ?? '');
      const sets = message.subject.endsWith('.set');
      nc.publish(message.reply!, message.data, {
        ...(sets && { headers: headersOf({ 'Pith-Set': DATA }) }),
      });
    },
  });
  const byGrpc = (options: object) =>
    GrpcBackend.start({
      ...options,
      handler: (asked) => {
        heard.push(asked.request.body.toString());
        asked.reply({ body: { bytes: asked.request.body } });
      },
    });
  const link = stack.use(await byGrpc({}));
  const handle = stack.use(await byGrpc({ link: 'unimplemented' }));
  const http = stack.use(
    await HttpBackend.start(({ body, headers }) => {
      heard.push(body.toString());
      datas.push(String(headers['pith-data']));
      ids.push(String(headers['pith-id']));
      return { body };
    }),
  );
  const folder = stack.use(socketPath());
  stack.use(await startIpc(folder.path));
  const method = stack.use(
    await MethodBackend.start({
      proto: PROTO,
      service: 't.S',
      reflection: 'v1',
      handler: (asked) => {
        datas.push(asked.meta('x-pith-data'));
        ids.push(asked.meta('x-pith-id'));
        asked.answerBytes(asked.bytes);
      },
    }),
  );
  gateway = stack.use(
    await startGateway(`
bus: ${nats.url}
listen:
  - { url: "tcp://127.0.0.1:0" }
  - { url: "tcp://127.0.0.1:0", dialect: pitaya }
  - { url: "tcp://127.0.0.1:0", dialect: nano, answer_errors: true }
  - { url: "ws://127.0.0.1:0", dialect: json }
backends:
  link: { grpc: "${link.url}" }
  handle: { grpc: "${handle.url}", mode: handle }
  nats: { nats: {} }
  http: { http: "${http.url}" }
  ipc: { ipc: "unix://${folder.path}" }
  game: { dial_in: { token: secret } }
  socket: { dial_in: {} }
  method: { grpc: "${method.address}", mode: method, services: [t.S], reflection: true }
routes:
  - { match: "method.>", backend: method, method: /t.S/Call, forward: ["*"] }
${KINDS.map((kind) => `  - { match: "${kind}.>", backend: ${kind}, forward: ["*"] }`).join('\n')}`),
  );
  const dialIn = stack.use(await DialIn.attach('gRPC', gateway));
  dialIn.handle = (_, _body, frame) => {
    const { body } = frame['request'] as { body: Buffer };
    heard.push(body.toString());
    return { body: { bytes: body } };
  };
  stack.use(await attachSocket());
});

afterAll(() => stack.disposeAsync());

type Client = AsyncDisposable & { ask(route: string, body: string): Promise<string> };

/** Of a dialect with packets. */
async function packets(listener: number): Promise<Client> {
  const port = Number(
    new URL(gateway.gateway.addresses.clients[listener]!.replace('tcp', 'http')).port,
  );
  const client = await TestClient.connect(port);
  return {
    async ask(route, body) {
      const id = client.send(route, Buffer.from(body));
      const found = await eventually(
        () => client.received.find((item) => item.kind === 'response' && item.id === id),
        `the answer to ${route} ${body}`,
      );
      return (found as { body: Buffer }).body.toString();
    },
    [Symbol.asyncDispose]: () => client[Symbol.asyncDispose](),
  };
}

async function json(): Promise<Client> {
  const { port } = new URL(gateway.gateway.addresses.clients[3]!.replace('ws', 'http'));
  const socket = new WebSocket(`ws://127.0.0.1:${port}`);
  await once(socket, 'open');
  let id = 300;
  return {
    async ask(route, body) {
      const answer = once(socket, 'message');
      socket.send(`{"id":${++id},"route":"${route}","body":${body}}`);
      const [data] = (await answer) as [Buffer];
      const [, said] = /^\{"id":\d+,"(?:body|error)":(.*)\}$/s.exec(data.toString())!;
      return said!;
    },
    async [Symbol.asyncDispose]() {
      socket.close();
      await once(socket, 'close');
    },
  };
}

const DIALECTS: [string, () => Promise<Client>][] = [
  ['pomelo', () => packets(0)],
  ['pitaya', () => packets(1)],
  ['nano', () => packets(2)],
  ['json', json],
];

describe.each(DIALECTS)('a client of %s', (_, open) => {
  test.each(KINDS)('and a backend on %s: each body is what was sent, both ways', async (kind) => {
    await using client = await open();
    heard.length = 0;
    for (const body of BODIES) {
      // On a Unix socket null stands for no payload.
      const expected = kind === 'ipc' && body === 'null' ? '{}' : body;
      expect(await client.ask(`${kind}.a.b`, body)).toBe(expected);
    }
    expect(heard).toEqual(BODIES);
  });

  test('and a method: the same value, or refused with its path', async () => {
    await using client = await open();
    const taken = BODIES.filter((body) => REFUSED[body] === undefined);
    for (const body of taken)
      expect(JSON.parse(await client.ask('method.a.b', body))).toEqual(JSON.parse(body));
    for (const [body, path] of Object.entries(REFUSED)) {
      const where = path === '' ? 'the body does not fit: ' : `the body does not fit: ${path}: `;
      expect(await client.ask('method.a.b', body)).toContain(where);
    }
  });
});

test('session data comes back as it was set, wherever it is JSON, and is refused where it is a Struct', async () => {
  await using client = await packets(0);
  expect(await client.ask('nats.a.set', '{}')).toBe('{}');
  datas.length = 0;
  for (const kind of ['nats', 'http', 'ipc', 'method']) await client.ask(`${kind}.a.b`, '{}');
  expect(datas).toEqual([DATA, DATA, DATA, DATA]);
  for (const kind of ['link', 'handle', 'game', 'socket']) {
    const answer = JSON.parse(await client.ask(`${kind}.a.b`, '{}')) as { msg: string };
    expect(answer).toMatchObject({ code: 501, reason: 'UNSUPPORTED' });
    expect(answer.msg).toContain(
      "data.guild is 1234567890123456789, which a Struct's double cannot",
    );
  }
});

test('the id that backends are told is the number that the client knows', async () => {
  await using client = await json();
  ids.length = 0;
  await client.ask('nats.a.b', '1');
  await client.ask('http.a.b', '1');
  await client.ask('method.a.b', '1');
  expect(ids).toEqual(['301', '302', '303']);
});
