/**
 * The game servers of Pomelo's tutorial behind real gateways, beyond what its page does (conformance/tutorial.test.ts):
 * other bodies, several instances, one that is started later, and the NATS permissions.
 */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';

import { TestClient } from '../support/client.ts';
import { installPython, startPomeloChat } from '../support/examples.ts';
import { startPomeloChatGo } from '../support/go.ts';
import { startNats } from '../support/nats.ts';
import { freePort } from '../support/process.ts';
import { serve, type Served } from '../support/serve.ts';
import { eventually } from '../support/wait.ts';

const NO_PYTHON = 'there is no Python 3.9 with venv and pip';
const ENTER = 'connector.entryHandler.enter';
const SEND = 'chat.chatHandler.send';
const ROUTES = `
auth: { sessions_per_uid: refuse_new }
routes:
  - { match: ${ENTER}, backend: chat }
  - { match: ${SEND}, backend: chat, forward: [rid], bound: true }
`;
const REFUSED = { code: 500, error: true };

const onNats = (url: string): string => `bus: ${url}\nbackends: { chat: { nats: {} } }\n${ROUTES}`;

async function enter({ port }: Served, username: string, rid: string): Promise<TestClient> {
  const client = await TestClient.connect(port, 'ws');
  const answer = await client.request(ENTER, { username, rid });
  expect(answer['users']).toContain(username);
  return client;
}

/** What the page never sends, and names that need encoding. */
async function expectCorners(gateway: Served): Promise<void> {
  const rid = '大厅 1.%41 ✓';
  await using ann = await TestClient.connect(gateway.port, 'tcp');
  for (const body of [
    {},
    [],
    { username: 1, rid },
    { username: 'ann', rid: ['x'] },
    { username: '', rid },
    { username: 'a*b', rid },
    { username: 'ann', rid: 'a*b' },
    Buffer.from('{'),
  ])
    expect(await ann.request(ENTER, body)).toMatchObject({ code: 400 });
  expect(await ann.request(SEND, { content: 'hi', target: '*' })).toMatchObject({ code: 401 });

  expect(await ann.request(ENTER, { username: 'ann', rid })).toEqual({ users: ['ann'] });
  expect(await ann.request(ENTER, { username: 'ann', rid })).toEqual(REFUSED);
  expect(await ann.request(ENTER, { username: 'other', rid: 'x' })).toEqual(REFUSED);
  await using bob = await TestClient.connect(gateway.port, 'ws');
  expect(await bob.request(ENTER, { username: 'ann', rid })).toEqual(REFUSED);
  const { users } = await bob.request(ENTER, { username: '小明', rid });
  expect((users as string[]).sort()).toEqual(['ann', '小明']);
  expect(await ann.push('onAdd')).toEqual({ user: '小明' });

  for (const body of [{}, { content: 'x', target: 1 }, Buffer.from('x')])
    expect(await ann.request(SEND, body)).toMatchObject({ code: 400 });
  expect(await ann.request(SEND, { content: 'psst', target: '小明' })).toEqual({});
  expect(await ann.request(SEND, { content: 'psst', target: 'nobody' })).toEqual({});
  expect(await ann.request(SEND, { content: '你好', target: '*' })).toEqual({});
  const said = { from: 'ann', msg: '你好', target: '*' };
  expect(await ann.push('onChat')).toEqual(said);
  expect(await bob.push('onChat')).toEqual({ from: 'ann', msg: 'psst', target: '小明' });
  expect(await bob.push('onChat', 1)).toEqual(said);
  bob.close();
  expect(await ann.push('onLeave')).toEqual({ user: '小明' });
}

describe('in Go on gRPC', () => {
  test('with other bodies, and no bus; SIGTERM ends it with 0', async () => {
    const control = await freePort();
    await using chat = await startPomeloChatGo([`127.0.0.1:${control}`]);
    await using gateway = await serve(
      `backends: { chat: { grpc: "${chat.address}" } }\n${ROUTES}`,
      ...['--set', `control.listen=127.0.0.1:${control}`],
    );
    await expectCorners(gateway);
    chat.kill('SIGTERM');
    expect(await chat.exited).toBe(0);
  });
});

describe('in Python on NATS', () => {
  test('with other bodies; SIGTERM ends it with 0', async (ctx) => {
    const python = await installPython();
    if (python === null) return ctx.skip(NO_PYTHON);
    await using nats = await startNats();
    await using chat = await startPomeloChat(python, nats.url);
    await using gateway = await serve(onNats(nats.url));
    await expectCorners(gateway);
    chat.kill('SIGTERM');
    expect(await chat.exited).toBe(0);
    expect(chat.output()).toBe('chat of Pomelo: ready\n');
  });

  test('of two instances one tells each end, also where both were started after the players came', async (ctx) => {
    const python = await installPython();
    if (python === null) return ctx.skip(NO_PYTHON);
    await using nats = await startNats();
    await using first = await startPomeloChat(python, nats.url);
    await using second = await startPomeloChat(python, nats.url);
    await using one = await serve(onNats(nats.url));
    await using two = await serve(onNats(nats.url));
    await using bob = await enter(two, 'bob', 'lobby');
    for (const user of ['ann', 'carl', 'dan']) await enter(one, user, 'lobby');
    await using eve = await enter(two, 'eve', 'lobby');
    await eventually(() => bob.pushes('onAdd').length === 4, 'everybody');
    eve.close();
    expect(await bob.push('onLeave')).toEqual({ user: 'eve' });
    for (const instance of [first, second]) {
      instance.kill('SIGKILL');
      await instance.exited;
    }
    await using _third = await startPomeloChat(python, nats.url);
    await using _fourth = await startPomeloChat(python, nats.url);
    one.running.kill('SIGKILL');
    await bob.push('onLeave', 3);
    // What was told twice would come before this.
    await bob.request(SEND, { content: 'alone', target: '*' });
    await bob.push('onChat');
    const left = bob.pushes('onLeave').map(({ body }) => body['user'] as string);
    expect(left.sort()).toEqual(['ann', 'carl', 'dan', 'eve']);
  });

  test('under the NATS permissions, with a line for each of its routes', async (ctx) => {
    const python = await installPython();
    if (python === null) return ctx.skip(NO_PYTHON);
    const file = new URL('../../deploy/nats/permissions.conf', import.meta.url);
    const own = '"pith.rpc.chat.>"';
    const text = readFileSync(fileURLToPath(file), 'utf8');
    expect(text.split(own)).toHaveLength(2);
    const config = text
      .replace(own, `${own}, "pith.rpc.connector.>"`)
      .replaceAll(/\$NATS_(\w+)_PASSWORD/g, (_, user: string) => `"${user.toLowerCase()}-secret"`);
    await using nats = await startNats(config);
    const login = { NATS_USER: 'chat', NATS_PASSWORD: 'chat-secret' };
    await using chat = await startPomeloChat(python, nats.url, login);
    await using gateway = await serve(
      `${onNats(nats.url)}\nnats: { user: gateway, password: gateway-secret }`,
    );
    await expectCorners(gateway);
    expect(chat.output()).toBe('chat of Pomelo: ready\n');
    const trouble = gateway
      .log()
      .filter(({ level, msg }) => level === 'error' || msg === 'bus message refused');
    expect(trouble).toEqual([]);
  });
});
