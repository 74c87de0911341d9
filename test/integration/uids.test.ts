/** How many sessions a uid may have, on several gateways and a real nats-server. */
import type { NatsConnection } from 'nats';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { TestClient } from '../support/client.ts';
import { startGateway, type TestGateway } from '../support/gateway.ts';
import { say } from '../support/handshake.ts';
import { HttpBackend } from '../support/http-backend.ts';
import { startNats, type TestNats } from '../support/nats.ts';
import { headersOf, Heard, serve, tellJson } from '../support/nats-backend.ts';
import { eventually } from '../support/wait.ts';

let nats: TestNats;
let nc: NatsConnection;

beforeAll(async () => {
  nats = await startNats();
  nc = await nats.connect();
  // Binds whoever asks.
  await serve(nc, 'pith.rpc.game.>', (msg) => {
    const { uid } = msg.json<{ uid: string }>();
    return { headers: { 'Pith-Bind': uid, 'Pith-Set': '{"seat":1}' }, body: '{"code":200}' };
  });
});

afterAll(async () => {
  await nats[Symbol.asyncDispose]();
});

const start = (id: string, auth: string): Promise<TestGateway> =>
  startGateway(
    `id: ${id}\nbus: ${nats.url}\nauth: { ${auth} }\nbackends: { game: { nats: {} } }\nroutes: [{ match: "game.>", backend: game }]`,
  );

const holders = (uid: string, ...gateways: TestGateway[]): string[] =>
  gateways.flatMap(({ gateway }) => [...gateway.registry.byUid(uid)].map(({ sid }) => sid));

const login = (client: TestClient, uid: string): Promise<unknown> =>
  client.request('game.door.enter', { uid });

describe.each([1, 2, 3])('on %i gateways', (count) => {
  const startAll = async (auth: string) => {
    const all: TestGateway[] = [];
    for (let i = 0; i < count; i++) all.push(await start(`g${i}`, auth));
    return {
      all,
      first: all[0]!,
      last: all.at(-1)!,
      async [Symbol.asyncDispose]() {
        for (const one of all) await one[Symbol.asyncDispose]();
      },
    };
  };

  test('kick_old: the new session has the uid, the old one is kicked', async () => {
    await using fleet = await startAll('sessions_per_uid: kick_old');
    const closed = await Heard.on(nc, 'pith.event.session.closed');
    await using old = await TestClient.connect(fleet.first.port);
    await using next = await TestClient.connect(fleet.last.port, 'ws');
    expect(await login(old, '7')).toEqual({ code: 200 });
    expect(await login(next, '7')).toEqual({ code: 200 });
    expect((await old.next('kick')).body).toEqual({ reason: 'logged_in_elsewhere' });
    expect((await closed.nth(0)).json()).toMatchObject({
      session: { uid: '7' },
      reason: 'logged_in_elsewhere',
    });
    expect(holders('7', ...fleet.all)).toHaveLength(1);
    // The end of the old one has left the new one its binding.
    nc.publish('pith.user.7.push', '{"a":1}', { headers: pushTo('onHi') });
    expect(await next.push('onHi')).toEqual({ a: 1 });
  });

  test('refuse_new: while the old client is there the new one is refused; then not', async () => {
    await using fleet = await startAll('sessions_per_uid: refuse_new');
    const old = await TestClient.connect(fleet.first.port, 'ws');
    await using next = await TestClient.connect(fleet.last.port);
    expect(await login(old, '8')).toEqual({ code: 200 });
    expect(await login(next, '8')).toMatchObject({ code: 409, reason: 'UID_IN_USE' });
    expect(
      [...fleet.last.gateway.registry.all()].map(({ uid, data }) => [uid, { ...data }]),
    ).toContainEqual(['', {}]);
    old.pauseReading(true);
    // It answers no ping now.
    expect(await login(next, '8')).toEqual({ code: 200 });
    await eventually(() => holders('8', ...fleet.all).length === 1, 'the silent one to be closed');
    await old[Symbol.asyncDispose]();
    expect(await tellJson(nc, 'pith.user.8.get')).toMatchObject({ sessions: [{ uid: '8' }] });
  });

  test('max_sessions_per_uid: the oldest is closed', async () => {
    await using fleet = await startAll('max_sessions_per_uid: 2');
    const clients: TestClient[] = [];
    for (const gateway of [fleet.first, fleet.last, fleet.first]) {
      const client = await TestClient.connect(gateway.port);
      clients.push(client);
      await login(client, '9');
    }
    expect((await clients[0]!.next('kick')).body).toEqual({ reason: 'logged_in_elsewhere' });
    await eventually(() => holders('9', ...fleet.all).length === 2, 'two to be left');
    for (const client of clients) await client[Symbol.asyncDispose]();
  });
});

test('nine clients that come at once on three gateways: one is let in', async () => {
  await using one = await start('a', 'sessions_per_uid: refuse_new');
  await using two = await start('b', 'sessions_per_uid: refuse_new');
  await using three = await start('c', 'sessions_per_uid: refuse_new');
  const gateways = [one, two, three];
  const clients = await Promise.all(
    Array.from({ length: 9 }, (_, i) => TestClient.connect(gateways[i % 3]!.port, 'ws')),
  );
  const answers = await Promise.all(clients.map((client) => login(client, '10')));
  const letIn = answers.filter((answer) => (answer as { code: number }).code === 200);
  expect(letIn).toHaveLength(1);
  expect(holders('10', ...gateways)).toHaveLength(1);
  for (const client of clients) await client[Symbol.asyncDispose]();
});

test('at Connect a uid that is taken refuses the handshake, and the log says why', async () => {
  const auth = 'mode: connect, backend: game, sessions_per_uid: refuse_new';
  const doorman = await serve(nc, 'pith.connect', () => ({
    body: '{"accept":{"patch":{"uid":"11","set":{"a":1}}}}',
  }));
  await using one = await start('a', auth);
  await using two = await start('b', auth);
  await using _old = await TestClient.connect(one.port, 'ws');
  await using next = await TestClient.open(two.port, 'ws');
  say(next, {});
  expect((await next.next('handshake')).body).toMatchObject({ code: 500 });
  await eventually(
    () =>
      two.log.some(({ msg, reason }) => msg === 'handshake rejected' && reason === 'UID_IN_USE'),
    'the line',
  );
  expect(holders('11', one, two)).toHaveLength(1);
  doorman.stop();
  await nc.flush();
});

test('by Control and by a verb it is the same rule', async () => {
  await using one = await start('a', 'sessions_per_uid: refuse_new');
  await using two = await start('b', 'sessions_per_uid: refuse_new');
  await using old = await TestClient.connect(one.port, 'ws');
  await using _next = await TestClient.connect(two.port, 'ws');
  await login(old, '12');
  const { sid } = [...two.gateway.registry.all()][0]!;
  expect(await tellJson(nc, `pith.session.${sid}.bind`, { uid: '12' })).toMatchObject({
    error: { code: 409, reason: 'UID_IN_USE' },
  });
  expect(await tellJson(nc, 'pith.control.Bind', { sid, uid: '12' })).toMatchObject({
    error: { code: 409, reason: 'UID_IN_USE' },
  });
});

test('while the server is away both are there, and the newer stays when it is back', async () => {
  await using own = await startNats();
  await using door = await HttpBackend.start(() => ({
    body: '{"accept":{"patch":{"uid":"13"}}}',
  }));
  const config = (id: string): string =>
    `id: ${id}\nbus: ${own.url}\nauth: { sessions_per_uid: kick_old, mode: connect, backend: door }\nbackends: { door: { http: "${door.url}" } }\nroutes: [{ match: ">", backend: door }]`;
  await using one = await startGateway(config('a'));
  await using two = await startGateway(config('b'));
  await own.kill();
  await using old = await TestClient.connect(one.port);
  await using _next = await TestClient.connect(two.port);
  expect(holders('13', one, two)).toHaveLength(2);
  await own.restart();
  expect((await old.next('kick')).body).toEqual({ reason: 'logged_in_elsewhere' });
  expect(holders('13', one, two)).toHaveLength(1);
});

function pushTo(route: string) {
  return headersOf({ 'Pith-Route': route });
}
