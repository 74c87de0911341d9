/** The example chats in Go on HTTP and on a Unix socket: what every example does, and what only these do. */
import { describe, expect, test } from 'vitest';

import { CHAT_ROUTES, expectChat, expectCorners, expectLeave } from '../support/chat.ts';
import { TestClient } from '../support/client.ts';
import { startGateway, type TestGateway } from '../support/gateway.ts';
import { buildExample } from '../support/go.ts';
import { socketPath } from '../support/ipc-backend.ts';
import { freePort, type Running, start } from '../support/process.ts';
import { eventually } from '../support/wait.ts';

async function expectWholeChat(gateway: TestGateway): Promise<void> {
  await using ann = await TestClient.connect(gateway.port, 'tcp');
  await using bob = await TestClient.connect(gateway.port, 'ws');
  await expectChat(ann, bob);
  await using zoe = await TestClient.connect(gateway.port, 'ws');
  await using ben = await TestClient.connect(gateway.port, 'tcp');
  await expectCorners(zoe, ben);
  await expectLeave(ann, bob);
}

describe('on a Unix socket', () => {
  const startChat = async (path: string): Promise<Running> =>
    start(await buildExample('chat-ipc-go'), [], { env: { SOCKET: path }, ready: /listening/ });
  const startFront = (path: string): Promise<TestGateway> =>
    startGateway(`backends: { chat: { ipc: "unix://${path}" } }\n${CHAT_ROUTES}`);

  test('the chat; SIGTERM ends it with 0', async () => {
    using folder = socketPath();
    await using backend = await startChat(folder.path);
    await using gateway = await startFront(folder.path);
    await expectWholeChat(gateway);
    backend.kill('SIGTERM');
    expect(await backend.exited).toBe(0);
  });

  test('killed and started again: the gateway comes back to it', async () => {
    using folder = socketPath();
    await using first = await startChat(folder.path);
    await using gateway = await startFront(folder.path);
    await using ann = await TestClient.connect(gateway.port);
    const join = { name: 'ann', room: 'lobby' };
    expect(await ann.request('chat.room.join', join)).toMatchObject({ code: 200 });
    await first.freeze();
    const ids = Array.from({ length: 10 }, () => ann.send('chat.room.send', { text: 'x' }));
    first.kill('SIGKILL');
    for (const id of ids) expect(await ann.answer(id)).toMatchObject({ reason: 'BACKEND_AWAY' });
    expect(await ann.request('chat.room.send', {})).toMatchObject({ reason: 'BACKEND_AWAY' });
    await using _second = await startChat(folder.path);
    await eventually(() => gateway.gateway.info().backends[0]!.healthy === 1, 'the connection');
    expect(await ann.request('chat.room.send', { text: 'hi' })).toEqual({ code: 200 });
  });
});

describe('on HTTP', () => {
  const ROUTES = `
routes:
  - { match: "status.user.get", backend: chat, path: "/status" }
  - { match: "chat.>", backend: chat, forward: [room] }
`;

  async function startChat(env: Record<string, string>): Promise<Running & { url: string }> {
    const running = await start(await buildExample('chat-http-go'), [], {
      env: { ADDR: '127.0.0.1:0', ...env },
    });
    const match = await running.waitFor(/listening on (\S+)/);
    return Object.assign(running, { url: `http://${match[1]}` });
  }

  test('the chat, and who is where; SIGTERM ends it with 0', async () => {
    const adminPort = await freePort();
    await using backend = await startChat({ GATEWAY: `http://127.0.0.1:${adminPort}` });
    await using gateway = await startGateway(
      `admin: { listen: "127.0.0.1:${adminPort}" }
backends: { chat: { http: "${backend.url}" } }\n${ROUTES}`,
    );
    await expectWholeChat(gateway);

    await using ann = await TestClient.connect(gateway.port);
    const at = async (): Promise<unknown> => ann.request('status.user.get', { uid: 'ann' });
    // Until the gateway has seen the first ann leave.
    await expect.poll(at).toEqual({ code: 200, uid: 'ann', online: false, room: null });
    await ann.request('chat.room.join', { name: 'ann', room: 'lobby' });
    expect(await at()).toEqual({ code: 200, uid: 'ann', online: true, room: 'lobby' });
    const seen = await fetch(`${backend.url}/status?uid=ann`);
    expect(await seen.json()).toMatchObject({ online: true });
    ann.close();
    await eventually(async () => {
      const answer = await fetch(`${backend.url}/status?uid=ann`);
      return ((await answer.json()) as { online: boolean }).online === false;
    }, 'the end of the session');

    backend.kill('SIGTERM');
    expect(await backend.exited).toBe(0);
  });

  test('stopped, killed, started again', async () => {
    const port = await freePort();
    const env = { ADDR: `127.0.0.1:${port}` };
    await using first = await startChat(env);
    await using gateway = await startGateway(
      `backends: { chat: { http: "http://127.0.0.1:${port}" } }
routes: [{ match: "status.user.get", backend: chat, path: "/status", timeout: 500ms, order: none }]`,
    );
    await using ann = await TestClient.connect(gateway.port);
    const ask = () => ann.request('status.user.get', { uid: 'x' });
    expect(await ask()).toMatchObject({ code: 200 });
    await first.freeze();
    expect(await ask()).toMatchObject({ code: 504, reason: 'TIMEOUT' });
    const ids = Array.from({ length: 10 }, () => ann.send('status.user.get', {}));
    first.kill('SIGKILL');
    await first.exited;
    for (const id of ids) expect((await ann.answer(id))['code']).toBeGreaterThanOrEqual(503);
    expect(await ask()).toMatchObject({ code: 503, reason: 'BACKEND_AWAY' });
    await using _second = await startChat(env);
    expect(await ask()).toMatchObject({ code: 200 });
    expect(ids.map((id) => ann.answersTo(id))).toEqual(ids.map(() => 1));
  });
});
