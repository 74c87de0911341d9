/** What a gRPC backend is told of sessions, and what its replies, pushes and verbs do to them. */
import { describe, expect, test } from 'vitest';

import { TestClient } from '../support/client.ts';
import { startGateway } from '../support/gateway.ts';
import { type Asked, GrpcBackend } from '../support/grpc-backend.ts';
import { Pair } from '../support/grpc-pair.ts';
import { duration, jsonBytes, toStruct, toValue } from '../support/grpc-shapes.ts';

describe('the session', () => {
  test('is told with each message; of its data only what the route forwards', async () => {
    await using pair = await Pair.start({
      handler: (asked) => {
        const set = toStruct({ room: 'r1', rank: 3, deep: { list: [1, null, 'x'] } });
        asked.answer({}, asked.route === 'game.enter' ? { patch: { uid: 'ann', set } } : {});
      },
    });
    await using client = await pair.join('ws');
    for (const route of ['enter', 'room', 'all', 'none']) await client.request(`game.${route}`);
    const [enter, room, all, none] = pair.backend.requests as [Asked, Asked, Asked, Asked];
    expect(enter.request.session).toMatchObject({
      uid: '',
      gateway: pair.gateway.gateway.id,
      remote_ip: '127.0.0.1',
      client_type: 'test',
      transport: 'ws',
      dialect: 'pomelo',
      data: null,
    });
    expect(enter.sid).toMatch(new RegExp(`^${pair.gateway.gateway.id}\\.\\d+$`));
    expect(room.uid).toBe('ann');
    expect(room.request.session.version).toBeGreaterThan(enter.request.session.version);
    expect(room.data).toEqual({ room: 'r1' });
    expect(all.data).toEqual({ room: 'r1', rank: 3, deep: { list: [1, null, 'x'] } });
    expect(none.data).toBeNull();
  });

  test('a change that is refused is the answer, and nothing of it happens', async () => {
    await using pair = await Pair.start({
      handler: (asked) => {
        const patch = { uid: 'ann', if_version: 7 };
        const pushes = [{ route: 'onBound', body: jsonBytes({}) }];
        asked.answer({ ok: true }, asked.body['bind'] ? { patch, pushes } : {});
      },
    });
    await using client = await pair.join();
    expect(await client.request('game.enter', { bind: true })).toMatchObject({
      code: 409,
      reason: 'CONFLICT',
    });
    expect(await client.request('game.enter')).toEqual({ ok: true });
    expect(pair.backend.requests[1]!.uid).toBe('');
    expect(client.pushes()).toEqual([]);
  });
});

describe('an answer', () => {
  const REPLIES: [string, object, unknown][] = [
    ['bytes', { body: jsonBytes({ a: 1 }) }, { a: 1 }],
    ['text', { body: { text: '{"a":"ä"}' } }, { a: 'ä' }],
    [
      'json',
      { body: { json: toValue({ a: [1.5, null, true, {}] }) } },
      { a: [1.5, null, true, {}] },
    ],
    ['nothing', {}, {}],
    ['an empty body', { body: {} }, {}],
    ['a bare error', { error: {} }, { code: 500, reason: 'BACKEND_ERROR', msg: '' }],
    [
      'an error with everything',
      {
        error: {
          code: 422,
          reason: 'NO_GOLD',
          message: 'too poor',
          retry_after: duration(1_500),
          fields: { 'bid.gold': 'more than you have' },
        },
      },
      {
        code: 422,
        reason: 'NO_GOLD',
        msg: 'too poor',
        retry_after_ms: 1_500,
        fields: { 'bid.gold': 'more than you have' },
      },
    ],
    [
      'an error with a body that has a code',
      { error: { code: 422, body: jsonBytes({ code: 7, own: 1 }) } },
      { code: 7, own: 1 },
    ],
    [
      'an error with a body that has none',
      { error: { code: 403, body: jsonBytes({ own: 1, msg: 'no' }) } },
      { code: 403, reason: 'FORBIDDEN', msg: 'no' },
    ],
  ];

  test.for(['link', 'handle'])('is what the reply says (mode: %s)', async (mode) => {
    const handler = (asked: Asked): void => {
      asked.reply(REPLIES[asked.body['n'] as number]![1] as Record<string, unknown>);
    };
    await using pair = await Pair.start({ handler, more: `, mode: ${mode}` });
    await using client = await pair.join();
    for (const [n, [what, , expected]] of REPLIES.entries()) {
      const answer = await client.request('game.any', { n });
      if (what === 'a bare error') answer['msg'] = '';
      expect(answer, what).toEqual(expected);
    }
  });

  test.for(['link', 'handle'])('comes before the close beside it (mode: %s)', async (mode) => {
    const handler = (asked: Asked): void => {
      const { kick } = asked.body;
      asked.answer({ bye: true }, { close: { reason: 'banned', code: 4, kick, ...RETRY } });
    };
    const RETRY = { retry_after: duration(2_000) };
    await using pair = await Pair.start({ handler, more: `, mode: ${mode}` });
    for (const kick of [true, false]) {
      await using client = await pair.join('ws');
      const id = client.send('game.leave', { kick });
      expect(await client.ended).toEqual({ code: 1000, reason: 'banned' });
      const last = client.received.filter(({ kind }) => kind !== 'heartbeat').slice(1);
      expect(last.map(({ kind }) => kind)).toEqual(kick ? ['response', 'kick'] : ['response']);
      expect(await client.answer(id)).toEqual({ bye: true });
      const body = { reason: 'banned', code: 4, retry_after_ms: 2_000 };
      expect(last.slice(1)).toEqual(kick ? [{ kind: 'kick', body }] : []);
    }
    // The backend hears of each, in the same words.
    await pair.backend.wait(() => pair.backend.closed[1], 'two ends');
    const by = mode === 'link' ? 'link' : 'call';
    for (const closed of pair.backend.closed)
      expect(closed).toMatchObject({ reason: 'banned', code: 4, by });
  });
});

describe('the end of a session', () => {
  test('is told to every instance that has seen it, with the reason', async () => {
    await using other = await GrpcBackend.start({ instance: 'test-2' });
    await using backend = await GrpcBackend.start();
    await using gateway = await startGateway(`
backends: { game: { grpc: "ipv4:${backend.address},${other.address}" } }
routes:
  - { match: game.one, backend: game, to: test-1 }
  - { match: game.two, backend: game, to: test-2 }
  - { match: "game.>", backend: game }`);
    await using client = await TestClient.connect(gateway.port);
    await using stranger = await TestClient.connect(gateway.port);
    await client.request('game.one');
    await client.request('game.two');
    await stranger.request('game.any');
    client.close();
    for (const { closed, requests } of [await heard(backend), await heard(other)]) {
      expect(closed).toHaveLength(1);
      expect(closed[0]!.session).toMatchObject({ sid: requests[0]!.sid });
      expect(closed[0]!.reason).toMatch(/^(client_closed|connection_lost)$/);
    }
  });

  test.for(['link', 'handle'])('is told when the gateway stops too (mode: %s)', async (mode) => {
    await using pair = await Pair.start({ more: `, mode: ${mode}` });
    await using client = await pair.join();
    await client.request('game.enter');
    await pair.gateway.gateway.drain();
    expect((await heard(pair.backend)).closed[0]).toMatchObject({ reason: 'draining' });
  });

  const heard = (backend: GrpcBackend): Promise<GrpcBackend> =>
    backend.wait(() => (backend.closed.length > 0 ? backend : undefined), 'the end');
});

describe('over a Link a backend may', () => {
  test('push and be told what became of it; a push to a closed session reaches nobody', async () => {
    await using pair = await Pair.start({
      handler: (asked) => {
        asked.answer({}, { patch: { uid: asked.body['uid'] } });
      },
    });
    await using ann = await pair.join();
    await using bob = await pair.join();
    await ann.request('game.enter', { uid: 'ann' });
    await bob.request('game.enter', { uid: 'bob' });
    const link = pair.backend.current;
    const push = (id: number, target: object): Promise<object> => {
      link.send({ id, push: { target, route: 'on', body: jsonBytes({ id }) } });
      return pair.backend.frame('pushed', id);
    };
    const none = { delivered: 0, dropped: 0, refused: 0, unknown_uids: [], unknown_sids: [] };
    expect(await push(7, { uids: ['ann', 'bob', 'eve'] })).toMatchObject({
      ...none,
      delivered: 2,
      gateways: 1,
      unknown_uids: ['eve'],
    });
    expect(await ann.push('on')).toEqual({ id: 7 });
    expect(await push(8, { all: true, except_uids: ['ann'] })).toMatchObject({ delivered: 1 });
    expect(await push(9, {})).toMatchObject(none);
    bob.close();
    const { session } = await pair.backend.wait(() => pair.backend.closed[0], 'the end of bob');
    expect(await push(10, { sids: [session.sid] })).toMatchObject({
      ...none,
      unknown_sids: [session.sid],
    });
    // A push that does not ask is not answered.
    link.send({ push: { target: { all: true }, route: 'on', body: jsonBytes({}) } });
    await push(11, { all: true });
    expect(link.got('pushed').map(({ id }) => id)).toEqual([7, 8, 9, 10, 11]);
    expect(ann.pushes('on').map(({ body }) => body['id'])).toEqual([7, undefined, 11]);
  });

  test('change and close sessions, and be told what became of it', async () => {
    await using pair = await Pair.start();
    await using client = await pair.join();
    await client.request('game.enter');
    const [{ sid, request }] = pair.backend.requests as [Asked];
    const { version } = request.session;
    const verb = (id: number, what: object, sids = [sid]): Promise<object> => {
      pair.backend.current.send({ id, verb: { target: { sids }, ...what } });
      return pair.backend.frame('done', id);
    };
    const set = toStruct({ room: 'r2' });
    expect(await verb(1, { patch: { uid: 'ann', set } })).toMatchObject({
      changed: 1,
      error: null,
    });
    await client.request('game.room');
    expect(pair.backend.requests[1]).toMatchObject({ uid: 'ann', data: { room: 'r2' } });
    expect(await verb(2, { patch: { set, if_version: version + 9 } })).toMatchObject({
      changed: 0,
      error: { code: 409, reason: 'CONFLICT' },
    });
    const gone = [`${sid}0`];
    expect(await verb(3, { patch: { set } }, gone)).toMatchObject({
      error: { reason: 'NO_SESSION' },
    });
    expect(await verb(4, { close: { reason: 'over', kick: true } })).toMatchObject({ changed: 1 });
    await client.ended;
    expect((await client.next('kick')).body).toEqual({ reason: 'over' });
  });
});
