/** `auth.mode: connect` with gRPC backends: who comes in is what the backend says, over a Link and by the call. */
import { status } from '@grpc/grpc-js';
import { describe, expect, test } from 'vitest';

import { PacketType } from '../../src/protocol/packet.ts';
import type { JsonObject } from '../../src/contract/commands.ts';
import { TestClient } from '../support/client.ts';
import type { ConnectAsked } from '../support/connect-asked.ts';
import { startGateway, type TestGateway } from '../support/gateway.ts';
import { type BackendOptions, GrpcBackend } from '../support/grpc-backend.ts';
import { duration, fromStruct, jsonBytes, toStruct } from '../support/grpc-shapes.ts';
import { say, shake } from '../support/handshake.ts';
import { NpmClient } from '../support/npm-clients.ts';
import { eventually } from '../support/wait.ts';

/** The two ways to be asked. */
const MODES = ['link', 'handle'] as const;
type Mode = (typeof MODES)[number];

/** A backend, and a gateway that asks it about every handshake. */
async function stage(
  options: BackendOptions & {
    mode?: Mode;
    url?: string;
    handshake?: string;
    jsonDepth?: number;
  } = {},
): Promise<AsyncDisposable & { backend: GrpcBackend; gateway: TestGateway }> {
  const backend = await GrpcBackend.start(options);
  const { mode = 'link', url = backend.url, handshake = '15s', jsonDepth = 32 } = options;
  const gateway = await startGateway(`
auth: { mode: connect, backend: game }
backends: { game: { grpc: "${url}", mode: ${mode} } }
routes: [{ match: ">", backend: game, forward: ["*"] }]
limits: { handshake: ${handshake}, json_depth: ${jsonDepth} }
`);
  return {
    backend,
    gateway,
    async [Symbol.asyncDispose]() {
      await gateway[Symbol.asyncDispose]();
      await backend[Symbol.asyncDispose]();
    },
  };
}

/** Why clients were not let in, as logged. */
function refusals({ log }: TestGateway): unknown[] {
  return log.filter(({ msg }) => msg === 'handshake rejected').map(({ reason }) => reason);
}

const nameOf = (asked: ConnectAsked): string => asked.user['name'] as string;
const hello = (name: string): JsonObject => ({ hello: name, deep: { list: [1, null, 'ä'] } });

/** Binds everybody to the name that they say. */
const byName = (asked: ConnectAsked): void => {
  const name = nameOf(asked);
  const patch = { uid: name, set: toStruct({ level: 3 }), join: ['lobby'] };
  asked.accept(hello(name), { patch });
};

/** What both clients get whose backend says no. */
const noBody = (asked: ConnectAsked): void => {
  asked.refuse({ code: 403, reason: 'BANNED', message: 'until Monday' });
};

describe('a client that is let in', () => {
  test.for(MODES)('is asked about with everything that is known of it (%s)', async (mode) => {
    await using stand = await stage({ mode });
    const { backend, gateway } = stand;
    const { client } = await shake(gateway.port, { token: 'tök', n: [1, { a: null }] }, 'ws');
    const { request, deadlineMs } = await backend.asked(0);
    expect(fromStruct(request.user)).toEqual({ token: 'tök', n: [1, { a: null }] });
    expect(fromStruct(request.sys)).toEqual({ type: 'test', version: '1.2', rsa: {} });
    expect(request).toMatchObject({ resumed: false, refresh: false });
    expect(request.session).toMatchObject({
      uid: '',
      gateway: gateway.gateway.id,
      remote_ip: '127.0.0.1',
      client_type: 'test',
      client_version: '1.2',
      transport: 'ws',
      dialect: 'pomelo',
    });
    expect(Number((request.session['opened_at'] as { seconds: number }).seconds)).toBeGreaterThan(
      1_700_000_000,
    );
    // On a Link the gateway keeps the time.
    expect(deadlineMs > 0 && deadlineMs <= 15_000).toBe(mode === 'handle');
    client.close();
  });

  test.for(MODES)(
    'has the block, the uid, the data and the groups it was given (%s)',
    async (mode) => {
      await using stand = await stage({ mode, connect: byName });
      const { backend, gateway } = stand;
      const { client, answer } = await shake(gateway.port, { name: 'ann' });
      expect(answer).toMatchObject({
        code: 200,
        user: hello('ann'),
      });
      client.ack();
      expect(await client.request('game.play')).toMatchObject({ instance: 'test-1' });
      expect(backend.requests[0]!.uid).toBe('ann');
      expect(backend.requests[0]!.data).toEqual({ level: 3 });
      client.close();
      // It hears of the end, though it may have had nothing but the handshake.
      await backend.wait(() => backend.closed[0], 'the end of the session');
      expect(backend.closed[0]).toMatchObject({ by: mode === 'link' ? 'link' : 'call' });
    },
  );

  test('is reached by its uid and its groups from the first moment', async () => {
    await using stand = await stage({ connect: byName });
    const { client } = await shake(stand.gateway.port, { name: 'ann' });
    const body = jsonBytes({ hi: 1 });
    stand.backend.current.send(
      { push: { target: { uids: ['ann'] }, route: 'onUser', body } },
      { push: { target: { groups: ['lobby'] }, route: 'onGroup', body } },
    );
    client.ack();
    expect(await client.push('onUser')).toEqual({ hi: 1 });
    expect(await client.push('onGroup')).toEqual({ hi: 1 });
    client.close();
  });

  test('gets no block when the backend gives none, and may have said none', async () => {
    await using stand = await stage();
    for (const user of [undefined, null, 'token', ['token']]) {
      const { client, answer } = await shake(stand.gateway.port, user);
      expect(answer).toMatchObject({ code: 200 });
      expect(answer).not.toHaveProperty('user');
      client.close();
    }
    expect(stand.backend.connects.map(({ user }) => user)).toEqual([{}, {}, {}, {}]);
  });

  test.for(MODES)('is told to the backend at its end, without any message (%s)', async (mode) => {
    await using stand = await stage({ mode });
    const { client } = await shake(stand.gateway.port);
    client.close();
    await stand.backend.wait(() => stand.backend.closed[0], 'the end of the session');
    const [closed] = stand.backend.closed;
    expect(closed!.session.sid).toBe(stand.backend.connects[0]!.sid);
  });

  test.for(MODES)('keeps to the address that has let it in (%s)', async (mode) => {
    await using two = await GrpcBackend.start({ instance: 'test-2' });
    const one = await GrpcBackend.start();
    await one.kill();
    const url = `ipv4:${one.address},${two.address}`;
    await using stand = await stage({ mode, url, address: one.address });
    const backends = [stand.backend, two];
    const { gateway } = stand.gateway;
    await eventually(() => gateway.info().backends[0]!.healthy === 2, 'both addresses');
    for (let i = 0; i < 4; i++) {
      await using client = await TestClient.connect(stand.gateway.port);
      await client.request('game.play');
    }
    for (const backend of backends) {
      const asked = backend.connects.map(({ sid }) => sid);
      expect(asked).toHaveLength(2);
      expect(backend.requests.map(({ sid }) => sid)).toEqual(asked);
    }
  });

  test('is asked about again before the word expires, as who it has become', async () => {
    await using stand = await stage({
      connect: (asked) => {
        const patch = { uid: 'ann', set: toStruct({ seen: asked.request.refresh }), join: ['g'] };
        asked.accept(null, { patch, expires_in: duration(1_500) });
      },
    });
    await using client = await TestClient.connect(stand.gateway.port);
    const { request } = await stand.backend.asked(1);
    expect(request).toMatchObject({ refresh: true, session: { uid: 'ann', groups: ['g'] } });
    expect(fromStruct(request.session.data!)).toEqual({ seen: false });
    const play = async (): Promise<boolean> => {
      await client.request('game.play');
      return stand.backend.requests.at(-1)!.data!['seen'] === true;
    };
    await eventually(play, 'what the backend has said the second time');
  });
});

test('a client that is not let in again is told so, and its end is', async () => {
  await using stand = await stage({
    connect: (asked) => {
      if (asked.request.refresh) noBody(asked);
      else asked.accept(null, { expires_in: duration(1_000) });
    },
  });
  await using client = await TestClient.connect(stand.gateway.port);
  expect((await client.next('kick')).body).toMatchObject({ reason: 'auth_expired' });
  await stand.backend.wait(() => stand.backend.closed[0], 'the end of the session');
  expect(stand.backend.closed[0]!.reason).toBe('auth_expired');
});

describe('a client that is not let in', () => {
  test.for(MODES)('because the backend says no: 500, and no word of its end (%s)', async (mode) => {
    await using stand = await stage({ mode, connect: noBody });
    const { client, answer } = await shake(stand.gateway.port, { name: 'eve' });
    expect(answer).toMatchObject({ code: 500 });
    expect(await client.ended).toMatchObject({ code: 0 });
    expect(refusals(stand.gateway)).toEqual(['BANNED']);
    // The next one is let in, and its end is the first that is told.
    stand.backend.connect = byName;
    const next = await shake(stand.gateway.port, { name: 'ann' });
    next.client.close();
    await stand.backend.wait(() => stand.backend.closed[0], 'the end of the session');
    expect(stand.backend.closed.map(({ session }) => session.uid)).toEqual(['ann']);
  });

  test.for(['pomelo-nodejsclient-websocket', 'pomelo-client-websocket'])(
    '%s is told, and is let in with its block',
    async (name) => {
      await using stand = await stage({
        connect: (asked) => (nameOf(asked) === 'eve' ? noBody(asked) : byName(asked)),
      });
      await using eve = await NpmClient.start(name);
      void eve.init(stand.gateway.port, { user: { name: 'eve' } }).catch(() => {});
      expect(await eve.event('error')).toEqual(['handshake fail']);
      await using ann = await NpmClient.start(name);
      await ann.init(stand.gateway.port, { user: { name: 'ann' } });
      await ann.request('game.play');
      expect(stand.backend.requests[0]!.uid).toBe('ann');
    },
  );

  test.for(MODES)('because no backend is there: 503 (%s)', async (mode) => {
    await using stand = await stage({ mode });
    await stand.backend.kill();
    await eventually(
      () => stand.gateway.gateway.info().backends[0]!.healthy === 0 || mode === 'handle',
      'the backend to be away',
    );
    const { client, answer } = await shake(stand.gateway.port);
    expect(answer).toMatchObject({ code: 503 });
    await client.ended;
    expect(refusals(stand.gateway)).toEqual(['BACKEND_AWAY']);
  });

  test.for(MODES)(
    'because the backend dies over it: 503, and is asked no more (%s)',
    async (mode) => {
      await using stand = await stage({ mode, connect: () => {} });
      const client = await TestClient.open(stand.gateway.port);
      say(client, {});
      await stand.backend.asked(0);
      await stand.backend.kill();
      expect((await client.next('handshake')).body).toMatchObject({ code: 503 });
      await client.ended;
      await stand.backend.listen();
      await eventually(() => stand.gateway.gateway.info().backends[0]!.healthy === 1, 'it again');
      expect(stand.backend.connects).toHaveLength(1);
    },
  );

  test.for(MODES)(
    'because the backend is too slow, which is told that nobody waits (%s)',
    async (mode) => {
      await using stand = await stage({ mode, handshake: '1s', connect: () => {} });
      const client = await TestClient.open(stand.gateway.port);
      say(client, {});
      const asked = await stand.backend.asked(0);
      await stand.backend.wait(() => asked.cancelled || undefined, 'the cancel');
      expect((await client.next('handshake')).body).toMatchObject({ code: 503 });
      await client.ended;
      expect(refusals(stand.gateway)).toEqual(['TIMEOUT']);
    },
  );

  test.for(MODES)('because it left while it was asked about (%s)', async (mode) => {
    await using stand = await stage({ mode, connect: () => {} });
    const client = await TestClient.open(stand.gateway.port);
    say(client, {});
    const asked = await stand.backend.asked(0);
    client.close();
    await stand.backend.wait(() => asked.cancelled || undefined, 'the cancel');
    // It may have meant to accept, so it hears of the end.
    await stand.backend.wait(() => stand.backend.closed[0], 'the end of the session');
    asked.accept();
    stand.backend.connect = byName;
    const { answer, client: next } = await shake(stand.gateway.port, { name: 'ann' });
    expect(answer).toMatchObject({ code: 200 });
    next.close();
    // A call that was cancelled has nowhere to be answered.
    const late = stand.gateway.count('pith_late_replies_total', 'grpc');
    expect(late).toBe(mode === 'link' ? 1 : 0);
  });

  test.for([
    ['neither accept nor error', (asked: ConnectAsked) => asked.answer({})],
    ['bytes that are no answer', (asked: ConnectAsked) => asked.answer(Buffer.from('nonsense'))],
    [
      'a time that is over',
      (asked: ConnectAsked) => asked.accept(null, { expires_in: { seconds: -5, nanos: 0 } }),
    ],
  ] as const)('because the answer cannot be read: %s', async ([, connect]) => {
    await using stand = await stage({ mode: 'handle', connect });
    const { answer } = await shake(stand.gateway.port);
    expect(answer).toMatchObject({ code: 500 });
    expect(refusals(stand.gateway)).toEqual(['BAD_REPLY']);
  });

  test.for([
    [status.PERMISSION_DENIED, 500, 'FORBIDDEN'],
    [status.UNAUTHENTICATED, 500, 'NOT_BOUND'],
    [status.INTERNAL, 500, 'BACKEND_ERROR'],
    [status.RESOURCE_EXHAUSTED, 503, 'OVERLOADED'],
  ] as const)('because of the status %s: %s', async ([code, handshake, reason]) => {
    await using stand = await stage({ mode: 'handle', connect: (asked) => asked.end(code) });
    const { answer } = await shake(stand.gateway.port);
    expect(answer).toMatchObject({ code: handshake });
    expect(refusals(stand.gateway)).toEqual([reason]);
  });

  test('because the backend has no Connect, and the log says what to serve, once', async () => {
    await using stand = await stage({ mode: 'handle', connect: null });
    for (let i = 0; i < 3; i++)
      expect((await shake(stand.gateway.port)).answer).toMatchObject({ code: 500 });
    const told = stand.gateway.log.filter(({ why }) => String(why).includes('UNIMPLEMENTED'));
    expect(told).toHaveLength(1);
    expect(told[0]!['why']).toContain('pith.v1.Backend/Connect');
    // Started again, it may have one.
    await stand.backend.kill();
    stand.backend.connect = byName;
    await stand.backend.listen();
    const again = async (): Promise<boolean> =>
      (await shake(stand.gateway.port, { name: 'ann' })).answer['code'] === 200;
    await eventually(again, 'the backend to be asked again');
  });

  test('because what it says is nested deeper than backends can read; the others stay', async () => {
    await using stand = await stage({ connect: byName, jsonDepth: 1_000 });
    const { client } = await shake(stand.gateway.port, { name: 'ann' });
    client.ack();
    const eve = await TestClient.open(stand.gateway.port);
    const deep = `${'{"a":'.repeat(500)}{}${'}'.repeat(500)}`;
    eve.packet(PacketType.HANDSHAKE, Buffer.from(`{"sys":{},"user":${deep}}`));
    expect((await eve.next('handshake')).body).toMatchObject({ code: 500 });
    expect(refusals(stand.gateway)).toEqual(['BAD_BODY']);
    expect(await client.request('game.play')).toMatchObject({ instance: 'test-1' });
    expect(stand.backend.links).toHaveLength(1);
    expect(stand.backend.connects).toHaveLength(1);
    client.close();
  });

  test('because the answer is to something else: neither of them is let down', async () => {
    await using stand = await stage({
      connect: (asked) => asked.link!.send({ id: asked.id, reply: { body: jsonBytes({}) } }),
      handler: (asked) => asked.link!.send({ id: asked.id, connect: { accept: {} } }),
    });
    expect((await shake(stand.gateway.port)).answer).toMatchObject({ code: 500 });
    expect(refusals(stand.gateway)).toEqual(['BAD_REPLY']);
    stand.backend.connect = byName;
    const { client } = await shake(stand.gateway.port, { name: 'ann' });
    client.ack();
    expect(await client.request('game.play')).toMatchObject({ code: 502, reason: 'BAD_REPLY' });
    client.close();
  });
});

describe('many at once', () => {
  test('each get their own answer, in whatever order these come', async () => {
    const asked: ConnectAsked[] = [];
    await using stand = await stage({ connect: (one) => void asked.push(one) });
    const shaking = Array.from({ length: 50 }, (_, i) =>
      shake(stand.gateway.port, { name: `u${i}` }),
    );
    await stand.backend.asked(49);
    for (const one of asked.toReversed()) {
      if (Number(nameOf(one).slice(1)) % 5 === 0) noBody(one);
      else byName(one);
    }
    for (const [i, { client, answer }] of (await Promise.all(shaking)).entries()) {
      const isIn = i % 5 !== 0;
      expect(answer['code']).toBe(isIn ? 200 : 500);
      expect(answer['user']).toEqual(isIn ? hello(`u${i}`) : undefined);
      client.close();
    }
  });

  test('with all that a packet holds go out in messages that servers take', async () => {
    await using stand = await stage({ connect: (asked) => asked.accept() });
    const token = 'x'.repeat(60_000);
    const shaken = await Promise.all(
      Array.from({ length: 120 }, () => shake(stand.gateway.port, { token })),
    );
    for (const { client, answer } of shaken) {
      expect(answer).toMatchObject({ code: 200 });
      client.close();
    }
    expect(stand.backend.links).toHaveLength(1);
  });
});
