/** A new process takes over the clients of an old one, under way. */
import { describe, expect, test } from 'vitest';

import { STATE_VERSION } from '../../src/takeover/session-state.ts';
import { TestClient } from '../support/client.ts';
import { startNats } from '../support/nats.ts';
import { Heard, headersOf, serve } from '../support/nats-backend.ts';
import { frame, OPCODE, RawSocket } from '../support/raw.ts';
import { moved, startOld, takeOver } from '../support/takeover.ts';

const ECHO = `
backends: { echo: { reply: { code: 200 } } }
routes: [{ match: "echo.>", backend: echo }]
`;

describe.each(['tcp', 'ws'] as const)('%s', (transport) => {
  test('clients ask on, and none notices', async () => {
    await using old = await startOld(ECHO);
    const clients = await Promise.all(
      Array.from({ length: 20 }, () => TestClient.connect(old.port, transport)),
    );
    let isOver = false;
    let answers = 0;
    const asking = clients.map(async (client) => {
      while (!isOver) {
        expect(await client.request('echo.a')).toEqual({ code: 200 });
        answers++;
      }
    });
    await using next = takeOver(old, ECHO);
    const outcome = await moved(old);
    expect(outcome).toMatchObject({ moved: 20, drained: 0 });
    const { id } = await next.hears('serving');
    expect(id).toBe(old.id);
    await old.exited;
    const before = answers;
    for (const client of clients) expect(await client.request('echo.b')).toEqual({ code: 200 });
    isOver = true;
    await Promise.all(asking);
    expect(answers).toBeGreaterThan(before);
    expect(clients.filter(({ isEnded }) => isEnded)).toEqual([]);
    for (const client of clients) await client[Symbol.asyncDispose]();
  });
});

/** Numbers of the pushes on this route, as they came. */
function numbersOf(client: TestClient, route: string): number[] {
  return client.received
    .filter((one) => one.kind === 'push' && one.route === route)
    .map((one) => (JSON.parse((one as { body: Buffer }).body.toString()) as { n: number }).n);
}

const upTo = (n: number): number[] => Array.from({ length: n }, (_, i) => i);

describe('with NATS', () => {
  const CLIENTS = 30;

  test('requests, pushes to users, to groups and to all, and events: each once, in order, and no end is told', async () => {
    await using nats = await startNats();
    const backend = await nats.connect();
    await serve(backend, 'pith.rpc.chat.login', (msg) => {
      const { n } = msg.json<{ n: number }>();
      const words = { 'Pith-Bind': `u${n}`, 'Pith-Set': `{"n":${n}}`, 'Pith-Join': '["room"]' };
      return { body: '{}', headers: words };
    });
    await serve(backend, 'pith.rpc.chat.echo', (msg) => ({
      body: JSON.stringify({ ...msg.json<object>(), uid: msg.headers!.get('Pith-Uid') }),
    }));
    const events = await Heard.on(backend, 'pith.event.>');
    const config = `
bus: ${nats.url}
backends: { chat: { nats: {} } }
routes: [{ match: "chat.>", backend: chat }]`;
    await using old = await startOld(config);
    const clients = await Promise.all(
      upTo(CLIENTS).map((i) => TestClient.connect(old.port, i % 2 === 0 ? 'ws' : 'tcp')),
    );
    await Promise.all(clients.map((client, n) => client.request('chat.login', { n })));
    let isOver = false;
    const asking = clients.map(async (client, i) => {
      for (let n = 0; !isOver; n++)
        expect(await client.request('chat.echo', { n })).toEqual({ n, uid: `u${i}` });
    });
    let pushed = 0;
    const pushing = (async () => {
      for (; !isOver; pushed++) {
        const body = JSON.stringify({ n: pushed });
        for (let i = 0; i < CLIENTS; i += 7)
          backend.publish(`pith.user.u${i}.push`, body, {
            headers: headersOf({ 'Pith-Route': 'own' }),
          });
        backend.publish('pith.group.room.push', body, {
          headers: headersOf({ 'Pith-Route': 'room' }),
        });
        backend.publish('pith.all.push', '{"same":1}', {
          headers: headersOf({ 'Pith-Route': 'same' }),
        });
        await backend.flush();
        await new Promise((resolve) => setTimeout(resolve, 7));
      }
    })();
    await using next = takeOver(old, config);
    expect(await moved(old)).toMatchObject({ moved: CLIENTS, drained: 0 });
    expect((await next.hears('serving')).id).toBe(old.id);
    await old.exited;
    isOver = true;
    await Promise.all([...asking, pushing]);
    // What was published before it has come before it.
    const last = headersOf({ 'Pith-Route': 'last' });
    for (const name of ['group.room', ...upTo(CLIENTS).map((i) => `user.u${i}`)])
      backend.publish(`pith.${name}.push`, '{"n":0}', { headers: last });
    for (const client of clients) await client.push('last', 1);
    for (const [i, client] of clients.entries()) {
      expect(numbersOf(client, 'room')).toEqual(upTo(pushed));
      expect(numbersOf(client, 'own')).toEqual(i % 7 === 0 ? upTo(pushed) : []);
      const same = client.received.filter((one) => one.kind === 'push' && one.route === 'same');
      expect(same.length).toBe(pushed);
      expect(client.isEnded).toBe(false);
    }
    const told = events.messages.map(({ subject }) => subject.replace('pith.event.', ''));
    expect(told.filter((name) => name === 'session.opened').length).toBe(CLIENTS);
    expect(told.filter((name) => !/alive|opened|bound|ready/.test(name))).toEqual([]);
    expect(told.filter((name) => name === 'gateway.ready').length).toBe(1);
    await clients[0]![Symbol.asyncDispose]();
    await events.until((all) => all.at(-1)!.subject === 'pith.event.session.closed', 'the end');
    const seqs = events.messages
      .filter(({ subject }) => !subject.endsWith('alive'))
      .map((msg) => Number(msg.json<{ seq: string }>().seq));
    expect(seqs).toEqual(upTo(seqs.length).map((n) => n + 1));
    for (const client of clients) await client[Symbol.asyncDispose]();
  });
});

describe('nothing changes hands', () => {
  test.each([
    [
      'a version that the old one does not write',
      (one: Record<string, unknown>) => ({ ...one, version: STATE_VERSION + 1 }),
      /version/,
    ],
    [
      'listeners that speak another dialect',
      (one: Record<string, unknown>) => ({ ...one, listeners: ['other'] }),
      /listen\[0\]/,
    ],
  ])('%s', async (_what, change, why) => {
    await using old = await startOld(ECHO);
    await using client = await TestClient.connect(old.port);
    await using next = takeOver(old, ECHO);
    next.mayPass = (message) => {
      if (message.say === 'hello') Object.assign(message, change(message));
      return true;
    };
    expect(await next.hears('failed')).toMatch(why);
    expect(await old.hears('handedOver')).toMatchObject({
      why: expect.stringMatching(why) as string,
    });
    expect(await client.request('echo.a')).toEqual({ code: 200 });
  });

  test.each(['sessions', 'rest'])('the new one dies when it is told %s', async (say) => {
    await using old = await startOld(ECHO);
    const clients = await Promise.all(
      upTo(10).map((i) => TestClient.connect(old.port, i % 2 === 0 ? 'ws' : 'tcp')),
    );
    let isOver = false;
    const asking = clients.map(async (client) => {
      while (!isOver) expect(await client.request('echo.a')).toEqual({ code: 200 });
    });
    await using next = takeOver(old, ECHO);
    old.mayPass = (message) => {
      if (message.say === say) next.child.kill('SIGKILL');
      return true;
    };
    expect(await old.hears('handedOver')).toHaveProperty('why');
    isOver = true;
    await Promise.all(asking);
    for (const client of clients) expect(await client.request('echo.b')).toEqual({ code: 200 });
    expect(clients.filter(({ isEnded }) => isEnded)).toEqual([]);
    for (const client of clients) await client[Symbol.asyncDispose]();
  });
});

test('who is in the middle of a frame is closed as in a drain, and the others move', async () => {
  await using old = await startOld(ECHO);
  await using half = await RawSocket.open(old.port, 'ws');
  await half.shakeHands('ws');
  half.send(frame(OPCODE.BINARY, Buffer.alloc(50)).subarray(0, 20));
  await using open = await RawSocket.open(old.port, 'ws');
  await open.shakeHands('ws');
  open.send(frame(OPCODE.BINARY, Buffer.alloc(5), { fin: false }));
  await using client = await TestClient.connect(old.port);
  await using next = takeOver(old, ECHO);
  expect(await moved(old)).toMatchObject({ moved: 1, drained: 2 });
  await next.hears('serving');
  expect(await client.request('echo.a')).toEqual({ code: 200 });
  await Promise.all([half.ended, open.ended]);
  expect(half.received + open.received).toMatch(/draining[^]*draining/);
});
