/** `auth.mode: connect` with backends on HTTP and on a Unix socket: they are asked in JSON, and answer in it. */
import { describe, expect, test } from 'vitest';

import { startGateway, type TestGateway } from '../support/gateway.ts';
import { shake } from '../support/handshake.ts';
import { HttpBackend } from '../support/http-backend.ts';
import { IpcBackend, socketPath } from '../support/ipc-backend.ts';
import { eventually } from '../support/wait.ts';

/** One thing that the backend was asked or told. */
type Heard = { readonly cmd: string; readonly body: Record<string, unknown> };

/** What it says to a handshake: a ConnectResponse; null: nothing at all. */
type Deciding = (body: Record<string, unknown>) => object | null;

type Stage = AsyncDisposable & { readonly gateway: TestGateway; readonly heard: Heard[] };

function startBoth(backend: string): Promise<TestGateway> {
  return startGateway(`
auth: { mode: connect, backend: game }
backends: { game: { ${backend} } }
routes: [{ match: ">", backend: game, forward: ["*"] }]
limits: { handshake: 2s }
`);
}

async function httpStage(deciding: Deciding): Promise<Stage> {
  const heard: Heard[] = [];
  const backend = await HttpBackend.start(({ path, body }) => {
    const said = JSON.parse(body.toString()) as Record<string, unknown>;
    heard.push({ cmd: path.slice(1).replaceAll('/', '.'), body: said });
    if (path !== '/pith/connect') return { body: '{}' };
    const decision = deciding(said);
    return decision === null ? null : { body: JSON.stringify(decision) };
  });
  const gateway = await startBoth(`http: "${backend.url}"`);
  return {
    gateway,
    heard,
    async [Symbol.asyncDispose]() {
      await gateway[Symbol.asyncDispose]();
      await backend.stop();
    },
  };
}

async function ipcStage(deciding: Deciding): Promise<Stage> {
  const heard: Heard[] = [];
  const folder = socketPath();
  const backend = await IpcBackend.start(folder.path, ({ cmd, payload }) => {
    heard.push({ cmd, body: payload as Record<string, unknown> });
    if (cmd !== 'pith.connect') return {};
    const decision = deciding(payload as Record<string, unknown>);
    return decision === null ? null : { payload: decision };
  });
  const gateway = await startBoth(`ipc: "unix:${folder.path}"`);
  return {
    gateway,
    heard,
    async [Symbol.asyncDispose]() {
      await gateway[Symbol.asyncDispose]();
      await backend.stop();
      folder[Symbol.dispose]();
    },
  };
}

describe.each([
  ['http', httpStage],
  ['ipc', ipcStage],
] as const)('%s', (kind, stage) => {
  test('a client that is let in has the block, the uid and the data it was given', async () => {
    await using stand = await stage(({ user }) => ({
      accept: {
        patch: { uid: (user as { name: string }).name, set: { level: 3 }, join: ['lobby'] },
        user: { hello: 'zoë 😀' },
      },
    }));
    const { client, answer } = await shake(stand.gateway.port, { name: 'ann' }, 'ws');
    expect(answer).toMatchObject({ code: 200, user: { hello: 'zoë 😀' } });
    expect(stand.heard).toEqual([
      {
        cmd: 'pith.connect',
        body: {
          session: expect.objectContaining({
            gateway: stand.gateway.gateway.id,
            uid: '',
            remote_ip: '127.0.0.1',
            transport: 'ws',
            client_type: 'test',
          }) as unknown,
          user: { name: 'ann' },
          sys: { type: 'test', version: '1.2', rsa: {} },
          headers: {},
          resumed: false,
          refresh: false,
        },
      },
    ]);
    const [session] = [...stand.gateway.gateway.registry.all()];
    expect(session).toMatchObject({ uid: 'ann', data: { level: 3 } });
    client.close();
    // It hears of the end, though it may have had nothing but the handshake.
    const closed = await eventually(() => stand.heard[1], 'the end of the session');
    expect(closed).toMatchObject({ cmd: 'pith.closed', body: { session: { uid: 'ann' } } });
  });

  test('one that is refused hears why, and the backend nothing of its end', async () => {
    await using stand = await stage(() => ({
      error: { code: 403, reason: 'BANNED', message: 'until Monday' },
    }));
    const { client, answer } = await shake(stand.gateway.port);
    expect(answer).toMatchObject({ code: 500 });
    await client.ended;
    expect(stand.gateway.log.find(({ msg }) => msg === 'handshake rejected')).toMatchObject({
      reason: 'BANNED',
    });
    await stand.gateway[Symbol.asyncDispose]();
    expect(stand.heard.map(({ cmd }) => cmd)).toEqual(['pith.connect']);
  });

  test.each([
    ['neither yes nor no', {}, 500],
    ['not a ConnectResponse', { accept: 7 }, 500],
  ])('an answer that is %s lets nobody in', async (_what, decision, code) => {
    await using stand = await stage(() => decision);
    const { client, answer } = await shake(stand.gateway.port);
    expect(answer).toMatchObject({ code });
    await client.ended;
  });

  test('no answer in time: 503', async () => {
    await using stand = await stage(() => null);
    const { client, answer } = await shake(stand.gateway.port);
    expect(answer).toMatchObject({ code: 503 });
    await client.ended;
  });

  test('a backend that is away: 503 at once', async () => {
    await using gateway = await startBoth(
      kind === 'http' ? 'http: "http://127.0.0.1:1"' : 'ipc: "unix:///no/such.sock"',
    );
    const { client, answer } = await shake(gateway.port);
    expect(answer).toMatchObject({ code: 503 });
    await client.ended;
    expect(gateway.log.find(({ msg }) => msg === 'handshake rejected')).toMatchObject({
      reason: 'BACKEND_AWAY',
    });
  });
});

describe('http statuses', () => {
  test.each([
    [401, '{"reason":"NO_TOKEN","msg":"x"}', 500, 'NO_TOKEN'],
    [404, '', 500, 'BACKEND_ERROR'],
    [503, '', 503, 'BACKEND_AWAY'],
    [302, '', 500, 'BAD_REPLY'],
    [204, '', 500, 'BAD_REPLY'],
  ])('%i %s', async (status, body, code, reason) => {
    await using backend = await HttpBackend.start(() => ({ status, body }));
    await using gateway = await startBoth(`http: "${backend.url}"`);
    const { client, answer } = await shake(gateway.port);
    expect(answer).toMatchObject({ code });
    await client.ended;
    expect(gateway.log.find(({ msg }) => msg === 'handshake rejected')).toMatchObject({ reason });
  });
});
