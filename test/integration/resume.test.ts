/** Clients that lose their connection and come back with a token, on gateways with a real nats-server. */
import type { NatsConnection } from 'nats';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';

import { TestClient } from '../support/client.ts';
import { startGateway, type TestGateway } from '../support/gateway.ts';
import { say } from '../support/handshake.ts';
import { startNats, type TestNats } from '../support/nats.ts';
import { Heard, push, serve, tellJson } from '../support/nats-backend.ts';
import { come, KEYS, nextToken, resumes } from '../support/resuming.ts';
import { eventually } from '../support/wait.ts';

let nats: TestNats;
let nc: NatsConnection;
let logins: Heard;

beforeAll(async () => {
  nats = await startNats();
  nc = await nats.connect();
  logins = await serve(nc, 'pith.rpc.game.>', (msg) => {
    const { uid, level = 1 } = msg.json<{ uid: string; level?: number }>();
    const headers = {
      'Pith-Bind': uid,
      'Pith-Set': `{"level":${level},"exact":1.0,"seat":null}`,
      'Pith-Join': '["room.1"]',
    };
    return { headers, body: '{"code":200}' };
  });
});

afterAll(async () => {
  await nats[Symbol.asyncDispose]();
});

const start = (more = '', resume = resumes()): Promise<TestGateway> =>
  startGateway(
    `bus: ${nats.url}\n${resume}\nbackends: { game: { nats: {} } }\nroutes: [{ match: "game.>", backend: game, forward: ["*"] }]\n${more}`,
  );

const login = (client: TestClient, uid: string): Promise<unknown> =>
  client.request('game.door.enter', { uid });

/** A player who has logged in, and the token of that. */
async function player(port: number, uid: string): Promise<{ client: TestClient; token: string }> {
  const { client } = await come(port);
  expect(await login(client, uid)).toEqual({ code: 200 });
  return { client, token: await nextToken(client) };
}

type Found = { sid: string; uid: string; data: object; groups: string[]; bound_at: string };
const found = async (uid: string): Promise<Found[]> =>
  ((await tellJson(nc, `pith.user.${uid}.get`))['sessions'] as Found[]) ?? [];

describe('a client that comes back', () => {
  test('has its uid, data and groups on another gateway; the old session is over at once', async () => {
    await using one = await start('events: { groups: true }');
    await using other = await start('events: { groups: true }');
    const opened = await Heard.on(nc, 'pith.event.session.opened');
    const closed = await Heard.on(nc, 'pith.event.session.closed');
    const { client, token } = await player(one.port, '42');
    const [before] = await found('42');
    const asked = logins.messages.length;
    const next = await come(other.port, token);
    expect(next.pith).toEqual({ resume: expect.any(String) as string, resumed: true });
    expect(await found('42')).toEqual([
      { ...before, sid: `${other.gateway.id}.1`, gateway: other.gateway.id, version: '1', opened_at: expect.anything() as string }, // prettier-ignore
    ]);
    expect(await client.ended).toEqual({ code: 0, reason: '' });
    expect(client.received.filter(({ kind }) => kind === 'kick')).toEqual([]);
    expect((await closed.nth(0)).json()).toMatchObject({
      session: { sid: before!.sid },
      reason: 'resumed',
    });
    const [first, second] = await opened.until((all) => all.length === 2, 'both');
    expect(first!.json()).toMatchObject({ resumed_from: '' });
    expect(second!.json()).toMatchObject({
      session: { uid: '42', groups: ['room.1'] },
      resumed_from: before!.sid,
      again: false,
    });
    push(nc, 'pith.user.42.push', 'onUser', { a: 1 });
    push(nc, 'pith.group.room=2E1.push'.replace('room=2E1', '=cm9vbS4x'), 'onRoom', { b: 2 });
    expect(await next.client.push('onUser')).toEqual({ a: 1 });
    expect(await next.client.push('onRoom')).toEqual({ b: 2 });
    expect(logins.messages.length).toBe(asked);
    expect(other.count('pith_resumes_total')).toBe(1);
    expect(one.count('pith_sessions_closed_total', 'resumed')).toBe(1);
    await next.client[Symbol.asyncDispose]();
  });

  test('comes back again and again, also to where its old session still is', async () => {
    await using one = await start();
    let { token } = await player(one.port, '43');
    for (let i = 0; i < 3; i++) {
      const { pith } = await come(one.port, token);
      expect(pith.resumed).toBe(true);
      token = pith.resume;
      expect(await found('43')).toMatchObject([{ uid: '43', data: { level: 1, exact: 1 } }]);
    }
    expect(one.gateway.registry.size).toBe(1);
  });

  test('has its numbers as they were written', async () => {
    await using one = await start();
    const { token } = await player(one.port, '44');
    const { client } = await come(one.port, token);
    await login(client, '44');
    const { headers } = logins.messages.at(-1)!;
    expect(headers!.get('Pith-Data')).toBe('{"level":1,"exact":1.0}');
  });

  test('stays in its groups for what is left of their time', async () => {
    await using one = await start();
    const { client, token } = await player(one.port, '45');
    const [{ sid }] = (await found('45')) as [Found];
    await tellJson(nc, `pith.session.${sid}.join`, { groups: ['short'], ttl: '30s' });
    await tellJson(nc, `pith.session.${sid}.join`, { groups: ['over'], ttl: '1.2s' });
    const last = await nextToken(client, 1);
    expect(last).not.toBe(token);
    await eventually(() => one.gateway.registry.byGroup('over').size === 0, 'its end');
    await client[Symbol.asyncDispose]();
    await come(one.port, last);
    expect((await found('45'))[0]!.groups).toEqual(expect.arrayContaining(['room.1', 'short']));
    const [session] = [...one.gateway.registry.byUid('45')];
    expect(session!.groupEnds!.size).toBe(1);
    expect(session!.groupEnds!.leftMs('short')).toBeLessThan(30_000);
    expect(session!.groups.has('over')).toBe(false);
  });

  test('is told a newer token after a change, at most one a second', async () => {
    await using one = await start();
    const { client } = await player(one.port, '46');
    const [{ sid }] = (await found('46')) as [Found];
    for (let level = 1; level <= 20; level++)
      await tellJson(nc, `pith.session.${sid}.set`, { set: { level: level + 100 } });
    const token = await nextToken(client, 1);
    expect(client.pushes('pith.resume')).toHaveLength(2);
    expect(client.pushes('pith.resume')[1]!.body).toEqual({ token, expires_in: 60 });
    const next = await come(one.port, token);
    expect((await found('46'))[0]!.data).toMatchObject({ level: 120 });
    await next.client[Symbol.asyncDispose]();
  });

  test('has a token that is renewed in time, though nothing changes', async () => {
    await using one = await start('', resumes('4s'));
    const { client } = await player(one.port, '47');
    const token = await nextToken(client, 2);
    expect(client.pushes('pith.resume')[2]!.body['expires_in']).toBe(4);
    expect((await come(one.port, token)).pith.resumed).toBe(true);
  });
});

describe('a gateway that drains', () => {
  test.each(['close', 'kick'])('gives a token right before it ends by %s', async (signal) => {
    await using other = await start();
    const one = await start(`drain: { budget: 2s, per_second: 1000, signal: ${signal} }`);
    const { client } = await player(one.port, '50');
    const [{ sid }] = (await found('50')) as [Found];
    await tellJson(nc, `pith.session.${sid}.set`, { set: { level: 99 } });
    const drained = one.gateway.drain();
    await client.ended;
    await drained;
    // The change of a moment ago is in it.
    const { token } = client.pushes('pith.resume').at(-1)!.body as { token: string };
    expect(client.received.filter(({ kind }) => kind !== 'heartbeat').at(-1)!.kind).toBe(
      signal === 'kick' ? 'kick' : 'push',
    );
    const next = await come(other.port, token);
    expect(next.pith.resumed).toBe(true);
    expect((await found('50'))[0]!.data).toMatchObject({ level: 99 });
    await next.client[Symbol.asyncDispose]();
  });
});

describe('auth.mode: connect', () => {
  const stage = (answer: (asked: Record<string, unknown>) => object) => {
    const asked: Record<string, unknown>[] = [];
    const served = serve(nc, 'pith.connect', (msg) => {
      asked.push(msg.json());
      return { body: JSON.stringify(answer(asked.at(-1)!)) };
    });
    return { asked, served };
  };
  const connects = 'auth: { mode: connect, backend: game }';

  test('the backend is asked with resumed: true and the session as it will be', async () => {
    const { asked, served } = stage(({ resumed }) =>
      resumed
        ? { accept: { patch: { set: { back: true } }, user: { hi: 'again' } } }
        : { accept: { patch: { uid: '60', join: ['g'] }, expires_in: '30s', user: { hi: 'you' } } },
    );
    (await served).stop.bind(null);
    await using one = await start(connects);
    await using other = await start(connects);
    const first = await come(one.port, '', { ticket: 't' });
    expect(first.answer['user']).toEqual({ hi: 'you', pith: { resume: expect.any(String) } });
    const next = await come(other.port, first.pith.resume, { ticket: 'old' });
    expect(next.answer['user']).toEqual({
      hi: 'again',
      pith: { resume: expect.any(String), resumed: true },
    });
    expect(asked).toMatchObject([
      { session: { uid: '' }, resumed: false, user: { ticket: 't' } },
      { session: { uid: '60', groups: ['g'] }, resumed: true, user: { ticket: 'old' } },
    ]);
    // What is for the gateway is taken out.
    for (const { user } of asked) expect(user).not.toHaveProperty('pith');
    expect(await found('60')).toMatchObject([{ groups: ['g'], data: { back: true } }]);
    (await served).stop();
    await next.client[Symbol.asyncDispose]();
  });

  test('it may still refuse, and give another uid', async () => {
    let answer: object = { accept: { patch: { uid: '61' } } };
    const { served } = stage(() => answer);
    await served;
    await using one = await start(connects);
    const first = await come(one.port);
    answer = { accept: { patch: { uid: '62' } } };
    const next = await come(one.port, first.pith.resume);
    expect(next.pith.resumed).toBe(true);
    expect(await found('62')).toHaveLength(1);
    answer = { error: { code: 403, reason: 'BANNED', message: 'no more' } };
    const last = await come(one.port, next.pith.resume);
    expect(last.answer).toMatchObject({ code: 500, reason: 'BANNED' });
    await eventually(() => one.gateway.registry.size <= 1, 'the refused one to be gone');
    (await served).stop();
  });

  test('a token ends no later than what the backend has granted', async () => {
    const { served } = stage(() => ({ accept: { patch: { uid: '63' }, expires_in: '5s' } }));
    await served;
    await using one = await start(connects);
    const { client } = await come(one.port);
    await tellJson(nc, 'pith.user.63.patch', { set: { a: 1 } });
    const { expires_in: seconds } = await client.push('pith.resume');
    expect(seconds).toBeLessThanOrEqual(5);
    (await served).stop();
  });
});

describe('sessions per uid', () => {
  test('who comes back does not take the place of a later login', async () => {
    const auth = 'auth: { sessions_per_uid: kick_old }';
    await using one = await start(auth);
    await using other = await start(auth);
    const { client, token } = await player(one.port, '70');
    // Its gateway stays unaware of what happens: the session is cut off, and another device logs in.
    client.close();
    await eventually(() => one.gateway.registry.size === 0, 'the loss');
    const device = await player(other.port, '70');
    const back = await TestClient.open(one.port);
    say(back, { pith: { resume: token } });
    // Before it is answered or after.
    await back.ended;
    expect(await found('70')).toMatchObject([{ sid: `${other.gateway.id}.1` }]);
    expect(device.client.isEnded).toBe(false);
    await device.client[Symbol.asyncDispose]();
  });

  test.each(['kick_old', 'refuse_new'])('with %s it is the same session', async (policy) => {
    const auth = `auth: { sessions_per_uid: ${policy} }`;
    await using one = await start(auth);
    await using other = await start(auth);
    const { client, token } = await player(one.port, '71');
    const back = await come(other.port, token);
    expect(back.pith.resumed).toBe(true);
    await client.ended;
    expect(await found('71')).toHaveLength(1);
    expect(one.count('pith_sessions_closed_total', 'logged_in_elsewhere')).toBe(0);
    // And once more, with the token that it has now.
    expect((await come(one.port, back.pith.resume)).pith.resumed).toBe(true);
    await eventually(async () => (await found('71')).length === 1, 'one session');
  });
});

test('in the json dialect, and in those without an answer of their own, it is the same', async () => {
  await using one = await start(
    'listen: [{ url: "ws://127.0.0.1:0", dialect: json }, { url: "tcp://127.0.0.1:0", dialect: pitaya, compress: false }, { url: "tcp://127.0.0.1:0", dialect: nano }]',
  );
  const opened = await Heard.on(nc, 'pith.event.session.opened');
  const texts: Record<string, unknown>[] = [];
  const open = (pith: object): WebSocket => {
    const socket = new WebSocket(`ws://127.0.0.1:${one.port}`);
    socket.on(
      'message',
      (data: Buffer) => void texts.push(JSON.parse(data.toString()) as Record<string, unknown>),
    );
    socket.on('open', () => {
      socket.send(JSON.stringify({ handshake: { user: { pith } } }));
    });
    return socket;
  };
  const first = open({ resume: '' });
  await eventually(() => texts.length === 1, 'the answer');
  const { resume } = (texts[0]!['handshake'] as { user: { pith: { resume: string } } }).user.pith;
  first.terminate();
  const second = open({ resume });
  await eventually(() => texts.length === 2, 'the second answer');
  expect(texts[1]).toMatchObject({ handshake: { user: { pith: { resumed: true } } } });
  // Such a session is open before its handshake, so it is told a second time.
  const events = await opened.until((all) => all.length >= 3, 'three');
  expect(events[2]!.json()).toMatchObject({ again: true, resumed_from: `${one.gateway.id}.1` });
  second.terminate();
  for (const listener of one.gateway.addresses.clients.slice(1)) {
    const port = Number(new URL(listener.replace('tcp', 'http')).port);
    const before = await come(port);
    before.client.close();
    expect((await come(port, before.pith.resume)).pith.resumed).toBe(true);
  }
});

test('without a server, on the one gateway that there is', async () => {
  await using one = await startGateway(`${resumes()}\nbackends: {}\nroutes: []`);
  const first = await come(one.port);
  const next = await come(one.port, first.pith.resume);
  expect(next.pith.resumed).toBe(true);
  await first.client.ended;
  expect(one.gateway.registry.size).toBe(1);
});

test('our own answers to clients that do not ask are the same to the byte', async () => {
  const bytes = async (yaml: string, user: object): Promise<string> => {
    await using one = await start('', yaml);
    const client = await TestClient.open(one.port);
    say(client, user);
    const { body } = await client.next('handshake');
    client.ack();
    await login(client, '80');
    await tellJson(nc, 'pith.user.80.patch', { set: { a: 1 } });
    push(nc, 'pith.user.80.push', 'onEnd', {});
    await client.push('onEnd');
    await one.gateway.drain();
    await client.ended;
    return JSON.stringify([body, client.received.filter(({ kind }) => kind !== 'heartbeat')]);
  };
  const off = await bytes(resumes('0s'), { token: 't' });
  expect(await bytes(resumes(), { token: 't' })).toBe(off);
  expect(await bytes(resumes(), { token: 't', pith: { gap: false, resume: 5 } })).toBe(off);
  expect(off).not.toContain('pith');
  // Where it is off, who asks gets nothing.
  expect(await bytes(resumes('0s'), { token: 't', pith: { resume: '' } })).toBe(off);
});

test('our own client is back by itself, without a login', async () => {
  const { PithClient } = await import('../../src/client/client.ts');
  const { webSocket } = await import('../../src/client/websocket.ts');
  await using one = await start();
  const dial = webSocket((url) => new WebSocket(url));
  const client = new PithClient(`ws://127.0.0.1:${one.port}`, { dial, reconnect: { baseMs: 10 } });
  await client.connect();
  await client.request('game.door.enter', { uid: '90' });
  const resumed = new Promise((resolve) => {
    client.onState(({ state, resumed: isResumed }) => {
      if (state === 'open') resolve(isResumed);
    });
  });
  const [session] = [...one.gateway.registry.byUid('90')];
  await eventually(() => one.count('pith_resume_tokens_total', 'made') > 1, 'a token of it');
  session!.close('internal');
  expect(await resumed).toBe(true);
  expect((await found('90'))[0]!.data).toMatchObject({ level: 1 });
  await client.close();
  expect(KEYS).toHaveLength(3);
});
