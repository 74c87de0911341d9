/** A planned pause: what is answered, who is served anyway, and what goes on; by configuration and by Control. */
import { describe, expect, test } from 'vitest';

import { admin } from '../support/admin.ts';
import { TestClient } from '../support/client.ts';
import { startGateway, type TestGateway } from '../support/gateway.ts';
import { GrpcBackend } from '../support/grpc-backend.ts';
import { control } from '../support/grpcurl.ts';
import { shake } from '../support/handshake.ts';
import { serve } from '../support/serve.ts';
import { eventually } from '../support/wait.ts';

const ROUTES = `
heartbeat: 1s
backends: { echo: { reply: { code: 200 } } }
routes: [{ match: "shop.>", backend: echo }, { match: "echo.>", backend: echo, rename: "shop.x" }]
`;
const CLOSED = { code: 503, reason: 'MAINTENANCE', msg: 'Back at noon.' };
const STANDARD = { ...CLOSED, msg: 'closed for maintenance; try again later' };

async function set(gateway: { adminPort: number }, request: object): Promise<unknown> {
  return (await admin(gateway, 'SetMaintenance', request)).lines[0];
}

async function ready(gateway: TestGateway): Promise<number> {
  return (await fetch(`http://127.0.0.1:${gateway.healthPort}/readyz`)).status;
}

async function sidOf(gateway: TestGateway): Promise<string> {
  return eventually(() => [...gateway.gateway.registry.all()][0]?.sid, 'the session');
}

describe('the whole gateway', () => {
  test('answers requests and handshakes with the message; pushes and heartbeats go on, and sessions stay', async () => {
    await using gateway = await startGateway(ROUTES);
    await using ann = await TestClient.connect(gateway.port);
    expect(await ann.request('echo.a')).toEqual({ code: 200 });
    expect(await set(gateway, { on: true, message: 'Back at noon.' })).toMatchObject({
      ...{ on: true, durable: false, gateways: 1, silent_gateways: [] },
      active: [
        {
          source: 'fleet',
          routes: [],
          message: 'Back at noon.',
          handshake_code: 503,
          gateway: gateway.gateway.id,
        },
      ],
    });
    expect(await ann.request('echo.a')).toEqual(CLOSED);
    expect(await ann.request('nowhere.at.all')).toMatchObject({ code: 404 });
    const { client, answer } = await shake(gateway.port);
    expect(answer).toEqual(CLOSED);
    await client.ended;
    await control(gateway, 'Push', { push: { target: { all: true }, route: 'onHi' } });
    expect(await ann.push('onHi')).toEqual({});
    ann.packet(3);
    await ann.next('heartbeat');
    // It must serve the message.
    expect(await ready(gateway)).toBe(200);
    expect((await control(gateway, 'GetInfo'))['maintenance']).toBe(true);
    expect(gateway.count('pith_messages_refused_total', 'MAINTENANCE')).toBe(1);
    const metrics = await (await fetch(`http://127.0.0.1:${gateway.healthPort}/metrics`)).text();
    expect(metrics).toContain('\npith_maintenance_state 1\n');
    expect(await set(gateway, { on: false })).toMatchObject({ on: false, active: [] });
    expect(await ann.request('echo.a')).toEqual({ code: 200 });
    await using _bob = await TestClient.connect(gateway.port);
    const said = gateway.log.filter(({ msg }) => msg.startsWith('maintenance'));
    expect(said).toMatchObject([
      { msg: 'maintenance has begun', source: 'fleet', message: 'Back at noon.' },
      { msg: 'maintenance has ended', source: 'fleet', stillOn: false },
    ]);
  });

  test('serves those of allow_uids who are bound already', async () => {
    await using gateway = await startGateway(ROUTES);
    await using ann = await TestClient.connect(gateway.port);
    await control(gateway, 'Bind', { sid: await sidOf(gateway), uid: 'ann' });
    await using bob = await TestClient.connect(gateway.port);
    await set(gateway, { on: true, allow_uids: ['carl', 'ann'], handshake_code: 500 });
    expect(await ann.request('echo.a')).toEqual({ code: 200 });
    expect(await bob.request('echo.a')).toEqual(STANDARD);
    // Nobody asks who this is, so it cannot be one of them.
    const { answer } = await shake(gateway.port);
    expect(answer).toEqual({ ...STANDARD, code: 500 });
  });

  test('lets the uids of allow_uids in when a backend authenticates; with an empty list it does not ask the backend', async () => {
    await using backend = await GrpcBackend.start({
      connect: (asked) => {
        asked.accept({}, { patch: { uid: asked.user['name'] as string } });
      },
    });
    await using gateway = await startGateway(`
auth: { mode: connect, backend: game }
backends: { game: { grpc: "${backend.url}" } }
routes: [{ match: ">", backend: game }]
`);
    await set(gateway, { on: true, message: 'Back at noon.', allow_uids: ['ann'] });
    const { client: ann, answer } = await shake(gateway.port, { name: 'ann' });
    expect(answer).toMatchObject({ code: 200 });
    ann.ack();
    expect(await ann.request('game.play')).toMatchObject({ instance: 'test-1' });
    const bob = await shake(gateway.port, { name: 'bob' });
    expect(bob.answer).toEqual(CLOSED);
    await bob.client.ended;
    expect([...gateway.gateway.registry.byUid('bob')]).toEqual([]);
    await set(gateway, { on: true, message: 'Back at noon.' });
    const asked = gateway.count('pith_requests_total', 'game', 'ok');
    expect((await shake(gateway.port, { name: 'ann' })).answer).toEqual(CLOSED);
    expect(gateway.count('pith_requests_total', 'game', 'ok')).toBe(asked);
    ann.close();
  });

  test('tells clients of Pitaya the code, which is all that they read', async () => {
    await using gateway = await startGateway(
      `listen: [{ url: "auto://127.0.0.1:0", dialect: pitaya }]\n${ROUTES}`,
    );
    await set(gateway, { on: true, message: 'Back at noon.' });
    expect((await shake(gateway.port)).answer).toMatchObject({ code: 503 });
  });

  test('tells clients of the JSON dialect all of it', async () => {
    await using gateway = await startGateway(
      `listen: [{ url: "auto://127.0.0.1:0", dialect: json }]\n${ROUTES}`,
    );
    await set(gateway, { on: true, message: 'Back at noon.' });
    const socket = new WebSocket(`ws://127.0.0.1:${gateway.port}`);
    const first = await new Promise((resolve, reject) => {
      socket.onmessage = ({ data }) => {
        resolve(JSON.parse(String(data)));
      };
      socket.onerror = reject;
      socket.onopen = () => {
        socket.send('{"handshake":{"sys":{"type":"t","version":"1"}}}');
      };
    });
    expect(first).toEqual({ handshake: CLOSED });
  });
});

describe('some routes', () => {
  test('are paused as the client names them, and the rest and handshakes are not', async () => {
    await using gateway = await startGateway(ROUTES);
    await using ann = await TestClient.connect(gateway.port);
    await set(gateway, { on: true, routes: ['shop.*', 'other.>'], message: 'Back at noon.' });
    expect(await ann.request('shop.buy')).toEqual(CLOSED);
    expect(await ann.request('shop.buy.now')).toEqual({ code: 200 });
    expect(await ann.request('echo.a')).toEqual({ code: 200 });
    await using bob = await TestClient.connect(gateway.port);
    bob.notify('shop.buy', {});
    expect(await bob.request('echo.a')).toEqual({ code: 200 });
    expect(gateway.count('pith_messages_refused_total', 'MAINTENANCE')).toBe(2);
  });

  test('what the configuration, the fleet and the gateway say holds together', async () => {
    await using gateway = await startGateway(
      `${ROUTES}maintenance: { enabled: true, routes: [shop.conf], message: by the file }`,
    );
    await using ann = await TestClient.connect(gateway.port);
    await set(gateway, { on: true, routes: ['shop.fleet'], message: 'by the fleet' });
    await set(gateway, { on: true, routes: ['shop.own'], message: 'by itself', scope: 'gateway' });
    const messages = async (): Promise<unknown[]> =>
      Promise.all(
        ['shop.conf', 'shop.fleet', 'shop.own'].map(
          async (route) => (await ann.request(route))['msg'],
        ),
      );
    expect(await messages()).toEqual(['by the file', 'by the fleet', 'by itself']);
    await set(gateway, { on: false });
    expect(await messages()).toEqual(['by the file', undefined, 'by itself']);
    expect(await set(gateway, { on: false, scope: 'gateway' })).toMatchObject({
      on: true,
      active: [{ source: 'configuration', routes: ['shop.conf'] }],
    });
  });
});

test('a reload begins and ends it, and touches no session', async () => {
  await using served = await serve(ROUTES);
  await using ann = await TestClient.connect(served.port);
  served.rewrite(`${ROUTES}maintenance: { enabled: true, message: Back at noon. }\n`);
  expect((await admin(served, 'Reload')).lines[0]).toMatchObject({
    changed: ['maintenance.enabled', 'maintenance.message'],
    ...{ needs_restart: [], errors: [] },
  });
  expect(await ann.request('echo.a')).toEqual(CLOSED);
  served.rewrite(ROUTES);
  await admin(served, 'Reload');
  expect(await ann.request('echo.a')).toEqual({ code: 200 });
});

test.each([
  [{ on: true, scope: 'world' }, 'scope is not fleet or gateway'],
  [
    { on: true, routes: ['shop..x'] },
    'routes: a segment is empty; segments are joined by single dots',
  ],
  [{ on: true, routes: Array<string>(101).fill('a') }, 'routes: more than 100'],
  [{ on: true, allow_uids: Array<string>(1_001).fill('a') }, 'allow_uids: more than 1000'],
  // Whoever is not bound has it; somebody's template may have found no name.
  [
    { on: true, allow_uids: ['ann', ''] },
    'allow_uids: an empty uid would stand for all who are not bound',
  ],
  [{ on: true, message: 'x'.repeat(513) }, 'message: longer than 512 characters'],
  [{ on: true, handshake_code: 200 }, 'handshake_code: expected 400 to 599'],
  [{ on: true, scope: 'gateway', handshake_code: 600 }, 'handshake_code: expected 400 to 599'],
])('SetMaintenance refuses %#', async (request, why) => {
  await using gateway = await startGateway(ROUTES);
  const { status, lines } = await admin(gateway, 'SetMaintenance', request);
  expect([status, (lines[0]!['error'] as { msg: string }).msg]).toEqual([400, why]);
  expect((await admin(gateway, 'GetMaintenance')).lines[0]).toMatchObject({ on: false });
});
