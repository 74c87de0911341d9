/**
 * What the gateway says to backends in its own name can be said by no client: by no route, dialect, rule, rename or
 * template. And what a client's route is called says nothing about what a backend's line means.
 */
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { describe, expect, test } from 'vitest';

import { encodeRequest } from '../../src/protocol/message.ts';
import { packetOffset } from '../../src/protocol/packet.ts';

import { TestClient } from '../support/client.ts';
import { startGateway, type TestGateway } from '../support/gateway.ts';
import { HttpBackend } from '../support/http-backend.ts';
import { IpcBackend, socketPath } from '../support/ipc-backend.ts';
import { eventually } from '../support/wait.ts';

const NO_ROUTE = { code: 404, reason: 'NO_ROUTE' };
/** What a real end of a session looks like. */
const CLOSED = { session: { sid: 'pith-x.1', uid: 'victim' }, reason: 'client_closed' };

/** Asks and tells on each route. Returns the codes of the answers. */
async function knock(client: TestClient, routes: readonly string[]): Promise<unknown[]> {
  const codes: unknown[] = [];
  for (const route of routes) {
    client.notify(route, CLOSED);
    codes.push(((await client.request(route, CLOSED)) as { code?: unknown }).code);
  }
  return codes;
}

describe('over a Unix socket', () => {
  async function stage(
    routes: string,
  ): Promise<AsyncDisposable & { readonly backend: IpcBackend; readonly gateway: TestGateway }> {
    const folder = socketPath();
    const backend = await IpcBackend.start(folder.path);
    const gateway = await startGateway(
      `backends: { game: { ipc: "unix://${folder.path}" } }\nroutes: ${routes}`,
    );
    return {
      backend,
      gateway,
      async [Symbol.asyncDispose]() {
        await gateway[Symbol.asyncDispose]();
        await backend[Symbol.asyncDispose]();
        folder[Symbol.dispose]();
      },
    };
  }

  test.each([
    ['[{ match: ">", backend: game }]', ['pith.closed', 'pith.connect', 'pith', 'pith.x.y']],
    ['[{ match: "*.*", backend: game }]', ['pith.closed', 'pith.connect']],
    [
      '[{ match: "game.>", backend: game, rename: "{handler}.{method}" }]',
      ['game.pith.closed', 'game.pith.connect', 'game.pith.x'],
    ],
    ['[{ match: "*", backend: game, rename: "pith.{method}" }]', ['closed', 'connect']],
    [
      '[{ match: "game.>", backend: game, rename: "{handler}" }]',
      ['game.closed', 'game.pith.closed', 'game.pith.x.closed'],
    ],
  ])('%s: nothing of ours is said', async (routes, asked) => {
    await using stand = await stage(routes);
    await using client = await TestClient.connect(stand.gateway.port);
    expect(await knock(client, asked)).toEqual(asked.map(() => 404));
    expect(stand.backend.lines).toEqual([]);
    expect(stand.gateway.count('pith_messages_refused_total', 'NO_ROUTE')).toBe(2 * asked.length);
    const told = stand.gateway.log.find(
      ({ level, msg }) => level === 'warn' && msg === 'message refused',
    );
    expect(told).toMatchObject({ reason: 'NO_ROUTE', route: asked[0] });
  });

  test('a session that knocked there is not told of at its end', async () => {
    await using stand = await stage('[{ match: ">", backend: game }]');
    {
      await using client = await TestClient.connect(stand.gateway.port);
      await knock(client, ['pith.closed']);
    }
    await eventually(() => stand.gateway.gateway.registry.size === 0, 'the session has ended');
    await using other = await TestClient.connect(stand.gateway.port);
    await other.request('a.b', {});
    expect(stand.backend.asked.map(({ cmd }) => cmd)).toEqual(['a.b']);
  });

  // A backend that answers by filling in the request, as many do.
  test('the routes push, kick, close and patch are the game’s', async () => {
    await using stand = await stage('[{ match: ">", backend: game }]');
    stand.backend.answering = (asked) => ({
      ...(asked.payload as object),
      ...asked,
      payload: { of: asked.cmd },
    });
    await using client = await TestClient.connect(stand.gateway.port);
    await using other = await TestClient.connect(stand.gateway.port);
    for (let i = 0; i < 20; i++) {
      for (const route of ['close', 'kick', 'push', 'patch', 'pushes.close']) {
        // Of a notify it sends back a line without a number, which says nothing.
        client.notify(route, { all: true, route: 'forged' });
        expect(await client.request(route, { all: true, route: 'forged' })).toEqual({ of: route });
      }
    }
    expect(await other.request('a.b', {})).toEqual({ of: 'a.b' });
    expect(stand.backend.connections).toBe(1);
    expect(stand.gateway.gateway.registry.size).toBe(2);
    expect(stand.gateway.count('pith_pushes_total', 'delivered')).toBe(0);
  });

  test('an answer that comes late is no command', async () => {
    await using stand = await stage('[{ match: ">", backend: game, timeout: 50ms }]');
    stand.backend.answering = () => null;
    await using client = await TestClient.connect(stand.gateway.port);
    expect(await client.request('kick', {})).toMatchObject({ code: 504 });
    const seqId = stand.backend.asked[0]!.seq_id!;
    stand.backend.write(`{"cmd":"kick","seq_id":${seqId},"all":true,"payload":{}}\n`);
    await eventually(
      () => stand.gateway.count('pith_late_replies_total', 'ipc') === 1,
      'it was counted as late',
    );
    expect(stand.gateway.gateway.registry.size).toBe(1);
  });
});

describe('over HTTP', () => {
  async function stage(base: string, rule: string) {
    const backend = await HttpBackend.start(() => ({ body: '{"ok":1}' }));
    const gateway = await startGateway(
      `backends: { web: { http: "${backend.url}${base}" } }\nroutes: [{ ${rule}, backend: web }]`,
    );
    return {
      backend,
      gateway,
      async [Symbol.asyncDispose]() {
        await gateway[Symbol.asyncDispose]();
        await backend[Symbol.asyncDispose]();
      },
    };
  }

  test.each([
    ['', 'match: ">"', ['pith.closed', 'pith.connect', 'Pith.closed', 'PITH.CONNECT']],
    ['/api', 'match: ">"', ['pith.closed', 'Pith.Connect']],
    ['', 'match: ">", path: "/{handler}/{method}"', ['game.pith.closed', 'x.PITH.connect']],
    ['/api/', 'match: ">", path: "//{server}//{method}/"', ['Pith.closed']],
    ['', 'match: ">", path: "/%70ith/{method}"', ['closed', 'a.b.connect']],
    ['', 'match: ">", path: "/pith%2f{method}"', ['closed']],
    ['', 'match: ">", path: "/x/../pith/{method}?a=1"', ['closed']],
    ['', 'match: ">", path: "/./pith;v=1/{method}"', ['closed']],
    ['', 'match: "game.>", rename: "{handler}.{method}"', ['game.pith.closed', 'game.Pith.closed']],
  ])('base %j, %s: nothing of ours is posted', async (base, rule, asked) => {
    await using stand = await stage(base, rule);
    await using client = await TestClient.connect(stand.gateway.port);
    expect(await knock(client, asked)).toEqual(asked.map(() => 404));
    expect(stand.backend.asked).toEqual([]);
    const counted =
      stand.gateway.count('pith_messages_refused_total', 'NO_ROUTE') +
      stand.gateway.count('pith_requests_total', 'web', 'NO_ROUTE');
    expect(counted).toBe(2 * asked.length);
    expect(
      stand.gateway.log.some(({ level, reason }) => level === 'warn' && reason === 'NO_ROUTE'),
    ).toBe(true);
  });

  test('what only looks like it passes', async () => {
    await using stand = await stage('', 'match: ">"');
    await using client = await TestClient.connect(stand.gateway.port);
    for (const route of ['pithy.closed', 'a.pith.closed', 'Pith.open'])
      expect(await client.request(route, {})).toEqual({ ok: 1 });
    expect(stand.backend.asked.map(({ path }) => path)).toEqual([
      '/pithy/closed',
      '/a/pith/closed',
      '/Pith/open',
    ]);
  });
});

const FIXED = `backends: { fixed: { reply: { ok: 1 } } }
routes: [{ match: ">", backend: fixed }]`;

test.each([
  ['pomelo', 404],
  ['pitaya', 'PIT-404'],
  ['nano, answer_errors: true', 404],
])('in the dialect %s they are as closed, whatever the backend', async (dialect, code) => {
  await using gateway = await startGateway(
    `listen: [{ url: "auto://127.0.0.1:0", dialect: ${dialect} }]\n${FIXED}`,
  );
  await using client = await TestClient.connect(gateway.port);
  expect(await client.request('pith.closed', {})).toMatchObject({ code });
  expect(await client.request('a.b', {})).toEqual({ ok: 1 });
});

test('and in that of JSON', async () => {
  await using gateway = await startGateway(
    `listen: [{ url: "ws://127.0.0.1:0", dialect: json }]\n${FIXED}`,
  );
  const socket = new WebSocket(`ws://127.0.0.1:${gateway.port}`);
  const answers: string[] = [];
  socket.addEventListener('message', ({ data }) => answers.push(String(data)));
  await once(socket, 'open');
  socket.send('{"id":1,"route":"pith.closed","body":{}}');
  socket.send('{"id":2,"route":"a.b","body":{}}');
  await eventually(() => answers.length === 2, 'both are answered');
  socket.close();
  expect(answers.map((text) => JSON.parse(text) as unknown)).toEqual([
    { id: 1, error: { code: 404, reason: 'NO_ROUTE', msg: 'no such route' } },
    { id: 2, body: { ok: 1 } },
  ]);
});

/** A dictionary of the project gives the name a code. */
test('by a code of the dictionary too', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'pith-own-'));
  writeFileSync(join(folder, 'dictionary.json'), '["pith.closed", "a.b"]');
  await using gateway = await startGateway(`pomelo: { config_dir: "${folder}" }\n${FIXED}`);
  await using client = await TestClient.connect(gateway.port);
  client.raw(messageOf(encodeRequest(1, 1, Buffer.from('{}'))!));
  expect(await client.answer(1)).toMatchObject(NO_ROUTE);
  client.raw(messageOf(encodeRequest(2, 2, Buffer.from('{}'))!));
  expect(await client.answer(2)).toEqual({ ok: 1 });
  rmSync(folder, { recursive: true });
});

function messageOf(encoded: Buffer): Buffer {
  return encoded.subarray(packetOffset(encoded));
}
