/** Our own client against a real gateway and a real backend: every transport, every dialect, losses and returns. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';

import {
  ClientError,
  type ClientOptions,
  type Dial,
  PithClient,
  type StateChange,
  webSocket,
} from '../../src/client/client.ts';
import { tcp } from '../../src/client/tcp.ts';
import { startGateway, type TestGateway } from '../support/gateway.ts';
import {
  type BackendRequest,
  type LinkBackend,
  startLinkBackend,
} from '../support/link-backend.ts';
import { freePort } from '../support/process.ts';
import { Authority } from '../support/tls.ts';

const authority = new Authority();
const ca = authority.cert;
const project = mkdtempSync(join(tmpdir(), 'pith-client-'));
const FILES = {
  dictionary: ['onChat', 'chat.room.say'],
  clientProtos: { 'chat.room.say': { 'required string text': 1, 'optional uInt32 n': 2 } },
  serverProtos: {
    'chat.room.say': { 'optional string text': 1, 'optional uInt32 n': 2 },
    onChat: { 'required string text': 1 },
  },
};
for (const [name, value] of Object.entries(FILES))
  writeFileSync(join(project, `${name}.json`), JSON.stringify(value));

/** Says back what it was told, and pushes it first. */
function echo(request: BackendRequest): void {
  const way = request.route.split('.').pop();
  if (way === 'never') return;
  if (way === 'fail') {
    request.fail({ code: 409, reason: 'TAKEN', message: 'the name is taken' });
    return;
  }
  const bytes = way === 'reverse' ? request.body.toReversed() : request.body;
  const pushes = way === 'say' ? [{ route: 'onChat', body: { bytes } }] : [];
  request.answer(null, { body: { bytes }, pushes });
}

let backend: LinkBackend;
let gateway: TestGateway;
/** By dialect, and `project` with a dictionary and protobuf. */
let ports: Readonly<Record<string, number>>;

function config(listen: readonly object[]): string {
  return `
listen: ${JSON.stringify(listen)}
heartbeat: 2s
backends: { chat: { grpc: "${backend.address}" } }
routes: [{ match: "chat.>", backend: chat }, { match: "Room.*", backend: chat }]
`;
}

beforeAll(async () => {
  backend = await startLinkBackend(echo);
  const { cert, key } = authority.issue('localhost');
  const url = 'auto://127.0.0.1:0';
  gateway = await startGateway(
    config([
      { url, tls: { cert, key } },
      { url, dialect: 'pitaya' },
      { url, dialect: 'nano' },
      { url: 'ws://127.0.0.1:0', dialect: 'json' },
      { url, pomelo: { config_dir: project } },
    ]),
  );
  const names = ['pomelo', 'pitaya', 'nano', 'json', 'project'];
  ports = Object.fromEntries(
    gateway.gateway.addresses.clients.map((at, n) => [names[n]!, Number(at.split(':').pop())]),
  );
});

afterAll(async () => {
  await gateway[Symbol.asyncDispose]();
  await backend[Symbol.asyncDispose]();
  rmSync(project, { recursive: true });
});

type Opened = AsyncDisposable & {
  readonly client: PithClient;
  readonly states: readonly StateChange[];
  /** The next push that nobody has taken yet. */
  push(): Promise<[route: string, body: unknown]>;
  reaches(state: string): Promise<StateChange>;
};

function make(url: string, options: ClientOptions = {}): Opened {
  const client = new PithClient(url, options);
  const states: StateChange[] = [];
  const pushes: [string, unknown][] = [];
  const watchers = new Set<() => void>();
  const look = (): void => {
    for (const one of watchers) one();
  };
  const until = <T>(find: () => T | undefined): Promise<T> =>
    new Promise((resolve) => {
      const check = (): void => {
        const found = find();
        if (found === undefined) return;
        watchers.delete(check);
        resolve(found);
      };
      watchers.add(check);
      check();
    });
  client.onState((change) => {
    states.push(change);
    look();
  });
  client.onPush('*', (body, { route }) => {
    pushes.push([route, body]);
    look();
  });
  return {
    client,
    states,
    push: () => until(() => pushes.shift()),
    reaches: (state) => until(() => states.find((change) => change.state === state)),
    [Symbol.asyncDispose]: () => client.close(),
  };
}

async function open(url: string, options: ClientOptions = {}): Promise<Opened> {
  const made = make(url, options);
  await made.client.connect();
  return made;
}

async function failure(promise: Promise<unknown>): Promise<ClientError> {
  return promise.then(
    (value) => {
      throw new Error(`it did not fail: ${JSON.stringify(value)}`);
    },
    (error: ClientError) => error,
  );
}

/** The session that the gateway has for the client that came last. */
function session() {
  return [...gateway.gateway.registry.all()].at(-1)!;
}

const secure: Dial = webSocket((url) => new WebSocket(url, { ca }));
const TRANSPORTS: readonly [scheme: string, dial: Dial][] = [
  ['ws', webSocket()],
  ['wss', secure],
  ['tcp', tcp()],
  ['tls', tcp({ ca })],
];

describe.each(TRANSPORTS)('over %s', (scheme, dial) => {
  const connect = (options: ClientOptions = {}): Promise<Opened> =>
    open(`${scheme}://localhost:${ports['pomelo']}`, { dial, ...options });

  test('a request is answered, a notify and a push arrive', async () => {
    await using one = await connect();
    expect(one.client.handshake).toEqual({ code: 200, sys: { heartbeat: 2 } });
    const body = { text: '你好 😂', n: 1.5 };
    expect(await one.client.request('chat.room.say', body)).toEqual(body);
    expect(await one.push()).toEqual(['onChat', body]);
    const before = backend.requests.length;
    one.client.notify('chat.room.hint', [1, null]);
    const hint = (await backend.came(before + 1))[before]!;
    expect([hint.route, hint.notify, hint.body.toString()]).toEqual([
      'chat.room.hint',
      true,
      '[1,null]',
    ]);
    expect(session().connection.transport).toBe(scheme);
  });

  test('binary bodies come and go as they are, small and large', async () => {
    await using one = await connect({ raw: true });
    for (const size of [1, 300, 60_000]) {
      const bytes = Uint8Array.from({ length: size }, (_, n) => (n * 7) % 256);
      const answer = await one.client.request<Uint8Array>('chat.room.reverse', bytes);
      expect(Buffer.from(answer).equals(Buffer.from(bytes.toReversed()))).toBe(true);
    }
  });

  test('many requests at once are each answered', async () => {
    await using one = await connect();
    const numbers = Array.from({ length: 200 }, (_, n) => n);
    const answers = numbers.map((n) => one.client.request('chat.room.echo', { n }));
    expect(await Promise.all(answers)).toEqual(numbers.map((n) => ({ n })));
  });

  test('a kick is told, and it is over', async () => {
    await using one = await connect();
    const kicked = new Promise((resolve) => {
      one.client.onKick(({ reason }) => {
        resolve(reason);
      });
    });
    const failed = failure(one.client.request('chat.room.never'));
    await backend.came(backend.requests.length + 1);
    session().close('kick', { text: 'elsewhere', code: 0, retryAfterMs: 0 });
    expect(await kicked).toBe('elsewhere');
    expect(await failed).toMatchObject({ reason: 'KICKED', body: { reason: 'elsewhere' } });
    expect((await one.reaches('closed')).error?.reason).toBe('KICKED');
  });
});

describe('what a client may do without', () => {
  test('an answer: after its timeout, or when it is aborted', async () => {
    await using one = await open(`ws://127.0.0.1:${ports['pomelo']}`);
    const late = one.client.request('chat.room.never', {}, { timeoutMs: 50 });
    expect(await failure(late)).toMatchObject({
      reason: 'TIMEOUT',
      message: 'chat.room.never was not answered in 50 ms',
    });
    const { signal } = new AbortController();
    const aborted = AbortSignal.any([signal, AbortSignal.timeout(50)]);
    const failed = failure(one.client.request('chat.room.never', {}, { signal: aborted }));
    expect(await failed).toMatchObject({ name: 'TimeoutError' });
    expect(await one.client.request('chat.room.echo', { n: 1 })).toEqual({ n: 1 });
  });

  test('errors as exceptions, unless it wants them', async () => {
    await using one = await open(`ws://127.0.0.1:${ports['pomelo']}`);
    expect(await one.client.request('nobody.knows.it')).toMatchObject({ code: 404 });
    const thrown = one.client.request('chat.room.fail', {}, { throwOnError: true });
    expect(await failure(thrown)).toMatchObject({
      code: 409,
      reason: 'TAKEN',
      message: 'the name is taken',
    });
  });

  test('a server: it says which', async () => {
    const url = `127.0.0.1:${await freePort()}`;
    for (const [scheme, dial] of TRANSPORTS) {
      const error = await failure(new PithClient(`${scheme}://${url}`, { dial }).connect());
      expect(error).toMatchObject({ reason: 'UNREACHABLE', code: 0 });
      // The WebSocket of Node, as that of a browser, does not say why.
      const code = scheme === 'ws' ? undefined : 'ECONNREFUSED';
      expect((error.cause as { code?: string }).code).toBe(code);
    }
  });

  test('a certificate that it cannot trust: no', async () => {
    for (const [scheme, dial] of [
      ['wss', webSocket()],
      ['tls', tcp()],
    ] as const) {
      const client = new PithClient(`${scheme}://localhost:${ports['pomelo']}`, { dial });
      expect(await failure(client.connect())).toMatchObject({ reason: 'UNREACHABLE' });
    }
  });
});

describe('a gateway that goes away and comes back', () => {
  test.each(['ws', 'tcp'])('is found again over %s, and nothing is sent twice', async (scheme) => {
    const port = await freePort();
    const yaml = config([{ url: `auto://127.0.0.1:${port}` }]);
    const dial = scheme === 'ws' ? webSocket() : tcp();
    const first = await startGateway(yaml);
    await using one = await open(`${scheme}://127.0.0.1:${port}`, {
      dial,
      reconnect: { baseMs: 20, capMs: 50 },
    });
    const before = backend.requests.length;
    const failed = failure(one.client.request('chat.room.never', { n: 1 }));
    await backend.came(before + 1);
    for (const session of first.gateway.registry.all()) session.close('internal');
    expect(await failed).toMatchObject({ reason: 'LOST' });
    await first[Symbol.asyncDispose]();
    expect((await one.reaches('reconnecting')).error?.reason).toBe('LOST');
    expect(await failure(one.client.request('chat.room.echo'))).toMatchObject({
      reason: 'NOT_OPEN',
    });

    await using _second = await startGateway(yaml);
    await expect.poll(() => one.client.state).toBe('open');
    expect(await one.client.request('chat.room.say', { text: 'again' })).toEqual({ text: 'again' });
    expect(await one.push()).toEqual(['onChat', { text: 'again' }]);
    expect(backend.requests.slice(before).map(({ route }) => route)).toEqual([
      'chat.room.never',
      'chat.room.say',
    ]);
  });

  test('by a drain with a kick is come back to, as by a drain without', async () => {
    for (const signal of ['kick', 'close']) {
      const port = await freePort();
      const yaml = `${config([{ url: `auto://127.0.0.1:${port}` }])}drain: { signal: ${signal}, budget: 1s }`;
      const first = await startGateway(yaml);
      await using one = await open(`ws://127.0.0.1:${port}`, {
        reconnect: { baseMs: 20, capMs: 50 },
      });
      // Before the ack has come a gateway sends no kick.
      await one.client.request('chat.room.echo');
      await first.gateway.drain();
      const { error } = await one.reaches('reconnecting');
      expect(error?.reason).toBe(signal === 'kick' ? 'KICKED' : 'LOST');
      await using _second = await startGateway(yaml);
      await expect.poll(() => one.client.state).toBe('open');
    }
  });
});

describe("a Pomelo project's files", () => {
  test('are used: codes and protobuf on the wire, JSON at the backend', async () => {
    const cache = new Map<string, string>();
    const url = `ws://127.0.0.1:${ports['project']}`;
    await using one = await open(url, { cache });
    expect(one.client.handshake?.sys).toMatchObject({ useDict: true, useProto: true });
    const body = { text: '勇者 😂', n: 300 };
    const before = backend.requests.length;
    const answer = await one.client.ask('chat.room.say', body);
    expect(answer).toMatchObject({ isProtobuf: true, body });
    expect(answer.bytes.length).toBeLessThan(20);
    expect(await one.push()).toEqual(['onChat', { text: body.text }]);
    expect(JSON.parse(backend.requests[before]!.body.toString())).toEqual(body);
    expect(await failure(one.client.request('chat.room.say', {}))).toMatchObject({
      reason: 'BAD_BODY',
    });

    await using again = await open(url, { cache });
    expect(again.client.handshake?.sys).toEqual({ heartbeat: 2, useDict: true, useProto: true });
    expect(await again.client.request('chat.room.say', body)).toEqual(body);
    expect(await again.push()).toEqual(['onChat', { text: body.text }]);
    expect(await again.client.request('chat.room.echo', { plain: '😂' })).toEqual({ plain: '😂' });
  });
});

describe('in the dialect', () => {
  test('pitaya errors reject with their code, and large answers come compressed', async () => {
    await using one = await open(`tcp://127.0.0.1:${ports['pitaya']}`, {
      dialect: 'pitaya',
      dial: tcp(),
    });
    expect(one.client.handshake?.sys).toMatchObject({ heartbeat: 2, serializer: 'json' });
    const body = { text: '😂'.repeat(500) };
    expect(await one.client.request('chat.room.say', body)).toEqual(body);
    expect(await one.push()).toEqual(['onChat', body]);
    const error = await failure(one.client.request('chat.room.fail'));
    expect(error).toMatchObject({ code: 'PIT-409', message: 'the name is taken' });
  });

  test('nano nothing answers an error, so it is the timeout that does', async () => {
    await using one = await open(`ws://127.0.0.1:${ports['nano']}`, { dialect: 'nano' });
    expect(await one.client.request('Room.say', { n: 1 })).toEqual({ n: 1 });
    expect(await one.push()).toEqual(['onChat', { n: 1 }]);
    const failed = one.client.request('Room.fail', {}, { timeoutMs: 100 });
    expect(await failure(failed)).toMatchObject({ reason: 'TIMEOUT', code: 0 });
  });

  test('json errors reject, pushes and kicks come', async () => {
    await using one = await open(`ws://127.0.0.1:${ports['json']}`, { dialect: 'json' });
    const body = { text: '你好 😂', big: 2 ** 53 };
    expect(await one.client.request('chat.room.say', body)).toEqual(body);
    expect(await one.push()).toEqual(['onChat', body]);
    expect(await failure(one.client.request('chat.room.fail'))).toMatchObject({
      code: 409,
      reason: 'TAKEN',
    });
    session().close('kick', { text: 'bye', code: 0, retryAfterMs: 20 });
    expect((await one.reaches('reconnecting')).error).toMatchObject({
      reason: 'KICKED',
      retryAfterMs: 20,
    });
    await expect.poll(() => one.client.state).toBe('open');
  });

  test('of another server is noticed', async () => {
    const text = new PithClient(`ws://127.0.0.1:${ports['json']}`);
    expect(await failure(text.connect())).toMatchObject({ reason: 'BAD_SERVER' });
    const packets = new PithClient(`ws://127.0.0.1:${ports['pomelo']}`, {
      dialect: 'json',
      connectTimeoutMs: 2_000,
    });
    expect(await failure(packets.connect())).toBeInstanceOf(ClientError);
  });
});
