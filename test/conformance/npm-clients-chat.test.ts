/** Published clients, a real gateway, the chat in Go: what one end says is what the other hears. */
import { describe, expect, test } from 'vitest';

import { control, NpmClient } from '../support/npm-clients.ts';
import { CHAT_BACKENDS, skipWithout } from './backends.ts';
import { PUBLISHED_CLIENTS } from './published-clients.ts';

const ROOM = 'lobby';
const FAST = `
limits: { messages_per_second: 100000, burst: 100000 }
log: { level: info }
`;

async function join(client: NpmClient, name: string, room = ROOM): Promise<void> {
  expect(await client.request('chat.room.join', { name, room })).toEqual({ code: 200, room });
}

/** Where in the events the first of that name is. */
function at(client: NpmClient, name: string): number {
  return client.events.findIndex(({ event }) => event === name);
}

/** The id bytes of the answers among the frames, each of which must hold one package. */
function answeredIds(frames: readonly string[]): Set<string> {
  const ids = new Set<string>();
  for (const frame of frames) {
    const bytes = Buffer.from(frame, 'hex');
    if (bytes.readUIntBE(1, 3) !== bytes.length - 4) throw new Error(`not one package: ${frame}`);
    if (bytes[0] !== 4 || bytes[4] !== 4) continue;
    const last = bytes.findIndex((byte, i) => i >= 5 && byte < 0x80);
    ids.add(bytes.toString('hex', 5, last + 1));
  }
  return ids;
}

describe.each(CHAT_BACKENDS)('the chat on $name', ({ needs, start }) => {
  describe.each(PUBLISHED_CLIENTS)('with $name', ({ name, callbackArgs, idBytes, limits }) => {
    test('answers requests, also with its own errors', async (ctx) => {
      skipWithout(ctx, needs);
      await using chat = await start();
      await using client = await NpmClient.connect(name, chat.gateway.port);
      expect(await client.callback('chat.room.send', { text: 'early' })).toEqual(
        callbackArgs({ code: 400, reason: 'NOT_IN_ROOM', msg: 'join a room first' }),
      );
      expect(await client.callback('chat.room.join', { name: 'ann', room: ROOM })).toEqual(
        callbackArgs({ code: 200, room: ROOM }),
      );
      expect(await client.callback('chat.room.nope', {})).toEqual(
        callbackArgs({ code: 404, reason: 'NO_ROUTE', msg: 'no such route: chat.room.nope' }),
      );
    });

    test('takes notifies and pushes to the others', async (ctx) => {
      skipWithout(ctx, needs);
      await using chat = await start();
      await using ann = await NpmClient.connect(name, chat.gateway.port);
      await using bob = await NpmClient.connect(name, chat.gateway.port);
      await join(ann, 'ann');
      await join(bob, 'bob');
      expect(await ann.event('onJoin')).toEqual([{ name: 'bob' }]);
      bob.notify('chat.room.send', { text: 'by notify' });
      expect(await ann.event('onChat')).toEqual([{ from: 'bob', text: 'by notify' }]);
      expect(await bob.request('chat.room.send', { text: 'by request' })).toEqual({ code: 200 });
      expect(await ann.event('onChat', 1)).toEqual([{ from: 'bob', text: 'by request' }]);
      expect(await bob.request('chat.room.leave')).toEqual({ code: 200 });
      expect(await ann.event('onLeave')).toEqual([{ name: 'bob' }]);
      expect(bob.events.filter(({ event }) => event === 'onChat')).toEqual([]);
    });

    test('pushes before its answer, and so it arrives', async (ctx) => {
      skipWithout(ctx, needs);
      await using chat = await start();
      await using client = await NpmClient.connect(name, chat.gateway.port);
      await join(client, 'ann');
      const before = client.events.length;
      expect(await client.request('chat.room.whisper', { to: 'ann', text: 'me' })).toEqual({
        code: 200,
      });
      const since = client.events.slice(before).map(({ event }) => event);
      expect(since).toEqual(['onWhisper', 'answer']);
      expect(client.events[at(client, 'onWhisper')]!.args).toEqual([{ from: 'ann', text: 'me' }]);
    });

    test('hears Chinese, Korean and emoji in bodies, users and rooms, and says them', async (ctx) => {
      skipWithout(ctx, needs);
      await using chat = await start();
      await using ann = await NpmClient.connect(name, chat.gateway.port);
      await using bob = await NpmClient.connect(name, chat.gateway.port);
      const text = '你好，世界 — 안녕하세요 こんにちは 𠮷 😀';
      await join(ann, '小明', '大厅 一');
      await join(bob, '철수 😀', '大厅 一');
      expect(await ann.event('onJoin')).toEqual([{ name: '철수 😀' }]);
      await bob.request('chat.room.send', { text });
      expect(await ann.event('onChat')).toEqual([{ from: '철수 😀', text }]);
      expect(await ann.request('chat.room.whisper', { to: '철수 😀', text })).toEqual({
        code: 200,
      });
      expect(await bob.event('onWhisper')).toEqual([{ from: '小明', text }]);
    });

    test('answers 300 requests sent at once, each under its own id', async (ctx) => {
      skipWithout(ctx, needs);
      // Many joins are on their way before the first has told the chat which room is left.
      await using chat = await start('sessions: { groups: 300 }');
      await using client = await NpmClient.connect(name, chat.gateway.port, true);
      const body = { name: 'ann', room: 'room-{n}' };
      const answers = await client.requests(300, 'chat.room.join', body);
      for (let n = 1; n <= 300; n++)
        expect(answers.get(n)).toEqual({ code: 200, room: `room-${n}` });
      await client.framesOf('04', 300);
      const ids = answeredIds(client.frames());
      expect(ids.size).toBe(300);
      for (const n of [127, 128, 255, 256]) expect(ids).toContain(idBytes[n]);
    });

    test('is told by the gateway to kick a user, with the reason', async (ctx) => {
      skipWithout(ctx, needs);
      await using chat = await start();
      await using ann = await NpmClient.connect(name, chat.gateway.port, true);
      await using bob = await NpmClient.connect(name, chat.gateway.port);
      await join(ann, 'ann');
      await join(bob, 'bob');
      const request = { target: { uids: ['ann'] }, close: { reason: 'second login' } };
      const { closed } = await control(chat.gateway.controlPort, 'Kick', request);
      expect(closed).toBe(1);
      expect(await ann.event('onKick')).toEqual(limits.kickWithoutReason ? [] : [request.close]);
      const [kick] = await ann.framesOf('05');
      expect(JSON.parse(Buffer.from(kick!, 'hex').toString('utf8', 4))).toEqual(request.close);
      expect(await ann.event('close')).toEqual([{ code: 1000, reason: 'second login' }]);
      expect(await bob.request('chat.room.send', { text: 'still here' })).toEqual({ code: 200 });
    });

    test('no longer reaches a client that disconnected', async (ctx) => {
      skipWithout(ctx, needs);
      await using chat = await start();
      await using ann = await NpmClient.connect(name, chat.gateway.port);
      await using bob = await NpmClient.connect(name, chat.gateway.port);
      await join(ann, 'ann');
      await join(bob, 'bob');
      bob.disconnect();
      await bob.event('close');
      await expect.poll(() => chat.gateway.gateway.registry.size).toBe(1);
      const push = {
        target: { groups: [`room.${ROOM}`] },
        route: 'onChat',
        body: { text: '"bye"' },
      };
      expect(await control(chat.gateway.controlPort, 'Push', { push })).toMatchObject({
        delivered: 1,
      });
      expect(await ann.event('onChat')).toEqual(['bye']);
      expect(bob.events.filter(({ event }) => event === 'onChat')).toEqual([]);
    });
  });
});

describe.each(PUBLISHED_CLIENTS)('$name', ({ name, idBytes }) => {
  test('gets each of over 16384 answers under its own id', async (ctx) => {
    const { needs, start } = CHAT_BACKENDS[0]!;
    skipWithout(ctx, needs);
    await using chat = await start(FAST);
    await using client = await NpmClient.connect(name, chat.gateway.port, true);
    const answers = await client.requests(16_400, 'chat.no.n{n}', {});
    const expected = Array.from({ length: 16_400 }, (_, i) => {
      return [i + 1, `no such route: chat.no.n${i + 1}`];
    });
    const received = [...answers].map(([n, body]) => [n, (body as { msg: string }).msg]);
    expect(received.sort((a, b) => Number(a[0]) - Number(b[0]))).toEqual(expected);
    const ids = answeredIds(await client.framesOf('04', 16_400));
    expect(ids.size).toBe(16_400);
    for (const n of [127, 128, 16_383, 16_384]) expect(ids).toContain(idBytes[n]);
  });
});
