/** How a connection is kept, lost, ended on purpose and taken up again. */
import { describe, expect, test } from 'vitest';

import { type ClientOptions, PithClient } from '../../../src/client/client.ts';
import { failure, openRig, type Rig, rig } from './support.ts';

const HEARTBEAT = 3;

/** Heartbeats that came on the newest connection. */
const beats = ({ server }: Rig): number =>
  server.last.packets.filter(([type]) => type === HEARTBEAT).length;

describe('heartbeats', () => {
  test('follow the server as Pomelo means it: an interval after each, and never first', async () => {
    const all = await openRig({}, { heartbeat: 3 });
    all.clock.advance(5_000);
    expect(beats(all)).toBe(0);
    all.server.last.packet(HEARTBEAT);
    all.server.last.packet(HEARTBEAT);
    all.clock.advance(2_999);
    expect(beats(all)).toBe(0);
    all.clock.advance(1);
    expect(beats(all)).toBe(1);
    all.clock.advance(3_000);
    expect(beats(all)).toBe(1);
    all.server.last.packet(HEARTBEAT);
    all.clock.advance(3_000);
    expect(beats(all)).toBe(2);
  });

  test.each(['pitaya', 'nano'] as const)('go by the own clock with %s', async (dialect) => {
    const all = await openRig({ dialect }, { heartbeat: 30 });
    for (const expected of [1, 2, 3]) {
      all.clock.advance(29_999);
      all.server.last.packet(HEARTBEAT);
      all.clock.advance(1);
      expect(beats(all)).toBe(expected);
    }
  });

  test('are none where the server wants none', async () => {
    for (const sys of [{}, { heartbeat: 0 }, { heartbeat: '3' }]) {
      const all = await openRig({ dialect: 'nano' }, sys);
      expect(all.clock.timerCount).toBe(0);
      all.server.last.packet(HEARTBEAT);
      expect(all.clock.timerCount).toBe(0);
    }
  });

  test('are missed: the connection is given up after twice the interval and a gap', async () => {
    const all = await openRig({ reconnect: false }, { heartbeat: 1 });
    all.clock.advance(1_500);
    all.server.last.push('onChat', '{}');
    all.clock.advance(2_099);
    expect(all.client.state).toBe('open');
    const failed = failure(all.client.request('a.b'));
    all.clock.advance(1);
    expect(await failed).toMatchObject({
      reason: 'LOST',
      message: 'nothing came from the server for 2100 ms',
    });
    expect(all.server.last.isDestroyed).toBe(true);
    expect(all.clock.timerCount).toBe(0);
  });

  test('that come in the gap are in time, be it after a sleep of the machine', async () => {
    const all = await openRig({}, { heartbeat: 1 });
    all.clock.jump(3_600_000);
    expect(all.client.state).toBe('open');
    all.server.last.packet(HEARTBEAT);
    all.clock.advance(2_099);
    expect(all.client.state).toBe('open');
    all.clock.advance(1);
    expect(all.client.state).toBe('reconnecting');
  });
});

describe('a loss', () => {
  test('fails what waits at once, and nothing is sent again', async () => {
    const all = await openRig();
    const failed = [failure(all.client.request('a.b')), failure(all.client.request('a.c'))];
    all.server.last.end('connection lost');
    for (const one of failed) {
      expect(await one).toMatchObject({ reason: 'LOST', code: 0, message: 'connection lost' });
    }
    all.clock.advance(250);
    all.server.last.accept();
    expect(all.server.connections.length).toBe(2);
    expect(all.server.last.asked).toEqual([]);
    const answer = all.client.request('a.b');
    // Ids go on: a late answer of another connection is never taken for this one's.
    expect(all.server.last.asked[0]!.id).toBe(3);
    all.server.last.answer(3, '1');
    expect(await answer).toBe(1);
  });

  test('is followed by waits that double up to their cap, and are anything below it', async () => {
    const all = await openRig();
    const waits = [250, 500, 1_000, 2_000, 4_000, 8_000, 15_000, 15_000];
    all.server.last.end();
    for (const [at, waitMs] of waits.entries()) {
      expect(all.told.at(-1)).toBe(`reconnecting ${at === 0 ? 'LOST' : 'UNREACHABLE'} ${waitMs}`);
      all.clock.advance(waitMs - 1);
      expect(all.server.connections.length).toBe(at + 1);
      all.clock.advance(1);
      expect(all.server.connections.length).toBe(at + 2);
      all.server.last.end('connection refused');
    }
  });

  test.each([
    [0, 0],
    [0.999_999, 499],
  ])('waits from nothing to all of it: a random %d', async (random, waitMs) => {
    const all = await openRig({ reconnect: { random: () => random } });
    all.server.last.end();
    expect(all.told.at(-1)).toBe(`reconnecting LOST ${waitMs}`);
  });

  test('soon after the opening counts as one more failure, and a stable connection begins anew', async () => {
    const all = await openRig();
    for (const waitMs of [250, 500, 1_000]) {
      all.server.last.end();
      expect(all.told.at(-1)).toBe(`reconnecting LOST ${waitMs}`);
      all.clock.advance(waitMs);
      all.server.last.accept();
      all.clock.advance(9_999);
    }
    all.clock.advance(1);
    all.server.last.end();
    expect(all.told.at(-1)).toBe('reconnecting LOST 250');
  });

  test('ends it where it may not come back, or has tried often enough', async () => {
    const never = await openRig({ reconnect: false });
    never.server.last.end();
    expect(never.told.at(-1)).toBe('closed LOST');
    const twice = await openRig({ reconnect: { attemptsMax: 2, baseMs: 10, random: () => 0 } });
    for (const state of [
      'reconnecting LOST 0',
      'reconnecting UNREACHABLE 0',
      'closed UNREACHABLE',
    ]) {
      twice.server.last.end();
      expect(twice.told.at(-1)).toBe(state);
      twice.clock.advance(0);
    }
    expect(twice.clock.timerCount).toBe(0);
    const opened = twice.client.connect();
    twice.server.last.accept();
    await opened;
  });

  test('before the first opening is no loss: the caller decides', async () => {
    const all = rig();
    const failed = failure(all.client.connect());
    all.server.last.end('connection refused');
    await failed;
    expect(all.told).toEqual(['connecting', 'closed UNREACHABLE']);
    expect(all.clock.timerCount).toBe(0);
  });

  test('can be ended early: connect tries at once, close stops it', async () => {
    const all = await openRig();
    all.server.last.end();
    const failed = failure(all.client.connect());
    expect(all.server.connections.length).toBe(2);
    all.server.last.end('connection refused');
    expect((await failed).reason).toBe('UNREACHABLE');
    expect(all.client.state).toBe('reconnecting');
    // A try that is under way is waited for.
    all.clock.advance(500);
    expect(all.server.connections.length).toBe(3);
    const opened = all.client.connect();
    expect(all.server.connections.length).toBe(3);
    all.server.last.accept();
    await opened;
    all.server.last.end();
    await all.client.close();
    expect(all.client.state).toBe('closed');
    expect(all.clock.timerCount).toBe(0);
  });

  test('is followed by a refusal: that ends it, but for one that says come again', async () => {
    for (const [answer, state] of [
      [{ code: 501 }, 'closed REFUSED'],
      [{ code: 503 }, 'reconnecting REFUSED 500'],
      [{ code: 500, retry_after_ms: 9_000 }, 'reconnecting REFUSED 9500'],
    ] as const) {
      const all = await openRig();
      all.server.last.end();
      all.clock.advance(250);
      all.server.last.open();
      all.server.last.packet(1, JSON.stringify(answer));
      expect(all.told.at(-1)).toBe(state);
    }
  });
});

describe('a kick', () => {
  async function kicked(body: string, options: ClientOptions = {}): Promise<Rig> {
    const all = await openRig(options);
    all.server.last.packet(5, body);
    return all;
  }

  test('is told with its reason, and is for good', async () => {
    const all = await openRig();
    const failed = failure(all.client.request('a.b'));
    all.server.last.packet(5, '{"reason":"again elsewhere","code":4001}');
    expect(all.told.at(-1)).toBe('kick again elsewhere');
    expect((await failure(all.client.request('a.b'))).message).toBe('not connected: closing');
    all.server.last.push('onChat', '{');
    all.server.last.end('closed by the server, 1000');
    expect(await failed).toMatchObject({
      reason: 'KICKED',
      message: 'closed by the server, 1000',
      body: { reason: 'again elsewhere', code: 4001 },
    });
    expect(all.told.slice(2)).toEqual(['kick again elsewhere', 'closed KICKED']);
    expect(all.clock.timerCount).toBe(0);
  });

  test.each(['', '[]', '{"reason":7}', 'x'])('may say nothing: %s', async (body) => {
    const all = await kicked(body);
    expect(all.told.at(-1)).toBe('kick ');
  });

  test('is followed by our own close where the server does not close', async () => {
    const all = await kicked('{}');
    all.clock.advance(999);
    expect(all.server.last.closes).toBe(0);
    all.clock.advance(1);
    expect(all.server.last.closes).toBe(1);
    all.clock.advance(1_000);
    expect(all.server.last.isDestroyed).toBe(true);
    expect(all.told.at(-1)).toBe('closed KICKED');
    expect(all.clock.timerCount).toBe(0);
  });

  test.each([
    ['{"reason":"x","retry_after_ms":2000}', 'reconnecting KICKED 2250'],
    ['{"reason":"draining"}', 'reconnecting KICKED 250'],
  ])('that says come again, or that its gateway is going, is no end: %s', async (body, state) => {
    const all = await kicked(body);
    all.server.last.end();
    expect(all.told.at(-1)).toBe(state);
  });

  test('is for good where reconnecting is off', async () => {
    const all = await kicked('{"reason":"draining"}', { reconnect: false });
    all.server.last.end();
    expect(all.told.at(-1)).toBe('closed KICKED');
  });

  test('can be closed upon', async () => {
    const all = await kicked('{}');
    const closed = all.client.close();
    expect(all.server.last.closes).toBe(1);
    all.server.last.end();
    await closed;
    expect(all.client.state).toBe('closed');
  });
});

describe('what a server has told', () => {
  const DICT = { dict: { 'a.b': 1, onChat: 2 }, dictVersion: 'd1', useDict: true };
  const PROTOS = {
    server: {
      onChat: { text: { option: 'required', type: 'string', tag: 1 }, __tags: { 1: 'text' } },
    },
    client: { 'a.c': { n: { option: 'required', type: 'uInt32', tag: 1 }, __tags: { 1: 'n' } } },
    version: 'p1',
  };
  const SYS = { ...DICT, routeToCode: DICT.dict, protos: PROTOS, useProto: true };
  const CACHED = { useDict: true, useProto: true };

  async function expectUsed({ client, server }: Rig): Promise<void> {
    const heard: unknown[] = [];
    const off = client.onPush(
      'onChat',
      (body, { isProtobuf }) => void heard.push([body, isProtobuf]),
    );
    expect(client.encodesProtobuf('a.c')).toBe(true);
    expect(client.encodesProtobuf('a.b')).toBe(false);
    client.notify('a.b', { n: 1 });
    client.notify('a.c', { n: 300 });
    server.last.push(2, Buffer.from('0a026869', 'hex'));
    server.last.push('onChat', Buffer.from('0a0459c3b620', 'hex'));
    off();
    expect(server.last.asked.map(({ route, body }) => [route, Buffer.from(body)])).toEqual([
      ['code 1', Buffer.from('{"n":1}')],
      ['a.c', Buffer.from('\b\ufffd\u0002')],
    ]);
    expect(heard).toEqual([
      [{ text: 'hi' }, true],
      [{ text: 'Yö ' }, true],
    ]);
  }

  test('is used: codes for routes, protobuf for bodies', async () => {
    await expectUsed(await openRig({}, SYS));
  });

  test('is remembered over connections, and its versions are said', async () => {
    const all = await openRig({}, SYS);
    expect(all.server.last.hello.sys).not.toHaveProperty('dictVersion');
    all.server.last.end();
    all.clock.advance(250);
    all.server.last.accept(CACHED);
    expect(all.server.last.hello.sys).toMatchObject({ dictVersion: 'd1', protoVersion: 'p1' });
    await expectUsed(all);
  });

  test('is remembered between runs, for each server', async () => {
    const cache = new Map<string, string>();
    await openRig({ cache }, SYS);
    const again = await openRig({ cache }, CACHED);
    expect(again.server.last.hello.sys).toMatchObject({ dictVersion: 'd1', protoVersion: 'p1' });
    await expectUsed(again);
    const { server } = again;
    const elsewhere = new PithClient('ws://elsewhere?token=secret', { cache, dial: server.dial });
    const opened = elsewhere.connect();
    server.last.accept();
    await opened;
    expect(server.last.hello.sys).not.toHaveProperty('dictVersion');
    expect([...cache.keys()]).toEqual(['pith-client ws://server', 'pith-client ws://elsewhere']);
    const closed = elsewhere.close();
    server.last.end();
    await closed;
  });

  test('is forgotten when the server has none any more', async () => {
    const all = await openRig({}, SYS);
    for (const sys of [{}, CACHED]) {
      all.server.last.end();
      all.clock.advance(1_000);
      all.server.last.accept(sys);
    }
    expect(all.server.last.hello.sys).not.toHaveProperty('dictVersion');
    all.client.notify('a.b', 1);
    expect(all.server.last.asked[0]!.route).toBe('a.b');
  });

  test('may be kept in a cache that fails, or holds nonsense', async () => {
    const broken = {
      get: (): string => {
        throw new Error('forbidden');
      },
      set: (): void => {
        throw new Error('full');
      },
    };
    await expectUsed(await openRig({ cache: broken }, SYS));
    for (const text of ['', '{', '7', '{"dict":7,"dictVersion":"d","protos":[1]}']) {
      const all = await openRig({ cache: { get: () => text, set: () => {} } }, SYS);
      expect(all.server.last.hello.sys).not.toHaveProperty('dictVersion');
      expect(all.server.last.hello.sys).not.toHaveProperty('protoVersion');
    }
  });

  test('in an answer is read by the route of its request', async () => {
    const { client, server } = await openRig(
      {},
      { ...SYS, protos: { ...PROTOS, server: { 'a.b': PROTOS.server.onChat } } },
    );
    const answer = client.request('a.b');
    server.last.answer(1, Buffer.from('0a026869', 'hex'));
    expect(await answer).toEqual({ text: 'hi' });
    const empty = client.request('a.b');
    server.last.answer(2, '');
    expect(await empty).toEqual({});
    const bad = failure(client.request('a.b'));
    server.last.answer(3, Buffer.from('0a09', 'hex'));
    expect((await bad).message).toBe('the body of a.b.text: 9 bytes expected, but 0 are left');
    expect((await failure(client.request('a.c', { n: 'x' }))).message).toBe(
      'the body of a.c.n: expected a number',
    );
    expect(server.last.asked.length).toBe(3);
  });
});
