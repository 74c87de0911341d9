/**
 * The stock browser client of Pomelo, unmodified, in Chromium: a page is a player. Most of it with the chat in
 * Go behind the gateway, by gRPC.
 */
import { afterAll, beforeAll, describe, expect, type TestContext, test } from 'vitest';

import { startGateway } from '../support/gateway.ts';
import { GrpcBackend, type Handler } from '../support/grpc-backend.ts';
import { control } from '../support/npm-clients.ts';
import { CHAT_BACKENDS, type Chat, skipWithout } from './backends.ts';
import { Chromium, findChromium } from './browser/chromium.ts';
import type { Player } from './browser/player.ts';
import { startArena } from './matrix-arena.ts';

const { needs, start } = CHAT_BACKENDS[0]!;

const HANDSHAKE = 1;
const HEARTBEAT = 3;
const DATA = 4;
const KICK = 5;

const ROOM = 'lobby';
const GATE = `
backends: { gate: { reply: { code: 200, host: 127.0.0.1, port: 3010 } } }
routes: [{ match: "gate.>", backend: gate }]
`;
const QUERY = 'gate.gateHandler.queryEntry';
const ENTRY = { code: 200, host: '127.0.0.1', port: 3010 };

const path = findChromium();
let launched: Chromium | undefined;

beforeAll(async () => {
  if (path !== undefined) launched = await Chromium.launch(path);
});

afterAll(async () => {
  await launched?.[Symbol.asyncDispose]();
});

/** Leaves the test out, by name, where there is no Chromium or another program that it needs. */
function chromium(ctx: TestContext, programs: readonly string[] = []): Chromium {
  ctx.skip(path === undefined, 'needs chromium');
  skipWithout(ctx, programs);
  return launched!;
}

async function join(player: Player, name: string, room = ROOM): Promise<void> {
  expect(await player.request('chat.room.join', { name, room })).toEqual({ code: 200, room });
}

/** The JSON of a frame's package, which must be its only one. */
function bodyOf(frame: Buffer): unknown {
  expect(frame.readUIntBE(1, 3)).toBe(frame.length - 4);
  return JSON.parse(frame.toString('utf8', 4));
}

/** What came is no sign of trouble. */
async function expectNoTrouble(player: Player): Promise<void> {
  const names = (await player.events()).map(({ event }) => event);
  expect(names.filter((name) => /close|disconnect|timeout|error|uncaught/.test(name))).toEqual([]);
}

async function expectSessions(chat: Pick<Chat, 'gateway'>, count: number): Promise<void> {
  await expect.poll(() => chat.gateway.gateway.registry.size).toBe(count);
}

describe('the connection', () => {
  test('is opened with a handshake, which tells the heartbeat interval', async (ctx) => {
    const browser = chromium(ctx);
    await using gateway = await startGateway(`${GATE}\nheartbeat: 7s`);
    await using player = await browser.open();
    await player.init(gateway.port, { user: { token: 't' } });
    const [handshake] = await player.frames(HANDSHAKE);
    expect(bodyOf(handshake!)).toEqual({ code: 200, sys: { heartbeat: 7 } });
    const [heartbeat] = await player.frames(HEARTBEAT);
    expect(heartbeat!.toString('hex')).toBe('03000000');
    expect(player.sent.map((frame) => frame[0])).toEqual([1, 2]);
    expect(bodyOf(player.sent[0]!)).toEqual({
      sys: { type: 'js-websocket', version: '0.0.1', rsa: {}, protoVersion: 0 },
      user: { token: 't' },
    });
    expect(await player.events()).toEqual([
      { event: 'handshakeCallback', args: [null] },
      { event: 'ready', args: [true] },
    ]);
    expect(gateway.log.find(({ msg }) => msg === 'session active')).toMatchObject({
      transport: 'ws',
      clientType: 'js-websocket',
      clientVersion: '0.0.1',
    });
    expect(await player.request(QUERY)).toEqual(ENTRY);
  });

  test('is kept over heartbeats in both directions', async (ctx) => {
    const browser = chromium(ctx);
    await using gateway = await startGateway(`${GATE}\nheartbeat: 1s`);
    await using player = await browser.connect(gateway.port);
    // The gateway's first is its own; each later one answers one of the page's, a second apart: both have let
    // their two seconds go by twice.
    await player.frames(HEARTBEAT, 6);
    expect(player.sent.filter((frame) => frame[0] === HEARTBEAT).length).toBeGreaterThanOrEqual(5);
    expect(await player.request(QUERY)).toEqual(ENTRY);
    await expectNoTrouble(player);
    expect(gateway.gateway.registry.size).toBe(1);
  });

  test('has no heartbeats where the gateway has none', async (ctx) => {
    const browser = chromium(ctx);
    await using gateway = await startGateway(`${GATE}\nheartbeat: 0s`);
    await using player = await browser.connect(gateway.port);
    expect(await player.request(QUERY)).toEqual(ENTRY);
    expect(player.received.map((frame) => frame[0])).toEqual([HANDSHAKE, DATA]);
  });

  test('is ended by the page, and the gateway sees it', async (ctx) => {
    const browser = chromium(ctx);
    await using gateway = await startGateway(GATE);
    await using player = await browser.connect(gateway.port);
    await player.disconnect();
    await player.event('close');
    await expectSessions({ gateway }, 0);
    expect(gateway.log.find(({ msg }) => msg === 'session closed')).toMatchObject({
      reason: 'client_closed',
    });
  });

  test('ends with its page, and the gateway sees it', async (ctx) => {
    const browser = chromium(ctx);
    await using gateway = await startGateway(GATE);
    await using player = await browser.connect(gateway.port);
    await using other = await browser.connect(gateway.port);
    await player.close();
    await expectSessions({ gateway }, 1);
    expect(await other.request(QUERY)).toEqual(ENTRY);
  });

  test('comes back by itself to the next gateway on that port', async (ctx) => {
    const browser = chromium(ctx);
    await using first = await startGateway(GATE);
    await using player = await browser.open();
    await player.init(first.port, { reconnect: true });
    expect(await player.request(QUERY)).toEqual(ENTRY);
    expect(await first.gateway.drain()).toEqual({ closed: 1, forced: 0 });
    expect(await player.event('close')).toEqual([{ code: 1001, reason: 'draining' }]);
    await using second = await startGateway(
      `${GATE}\nlisten: [{ url: "auto://127.0.0.1:${first.port}" }]`,
    );
    // The client waits five seconds, and no parameter shortens that.
    expect(await player.event('ready', 1)).toEqual([true]);
    expect(await player.all('reconnect')).toHaveLength(1);
    expect(await player.request(QUERY)).toEqual(ENTRY);
    expect(second.gateway.registry.size).toBe(1);
  });
});

describe('the chat', () => {
  test('answers requests, also with its own errors and the gateway’s', async (ctx) => {
    const browser = chromium(ctx, needs);
    await using chat = await start();
    await using player = await browser.connect(chat.gateway.port);
    expect(await player.callback('chat.room.send', { text: 'early' })).toEqual([
      { code: 400, reason: 'NOT_IN_ROOM', msg: 'join a room first' },
    ]);
    expect(await player.callback('chat.room.join', { name: 'ann', room: ROOM })).toEqual([
      { code: 200, room: ROOM },
    ]);
    expect(await player.callback('chat.room.nope', {})).toEqual([
      { code: 404, reason: 'NO_ROUTE', msg: 'no such route: chat.room.nope' },
    ]);
    expect(await player.callback('shop.itemHandler.buy', {})).toEqual([
      { code: 404, reason: 'NO_ROUTE', msg: 'no such route' },
    ]);
    expect(await player.request('not a route')).toMatchObject({ code: 400, reason: 'BAD_ROUTE' });
    await expectNoTrouble(player);
  });

  test('takes notifies and pushes to other pages', async (ctx) => {
    const browser = chromium(ctx, needs);
    await using chat = await start();
    await using ann = await browser.connect(chat.gateway.port);
    await using bob = await browser.connect(chat.gateway.port);
    await join(ann, 'ann');
    await join(bob, 'bob');
    expect(await ann.event('onJoin')).toEqual([{ name: 'bob' }]);
    await bob.notify('chat.room.send', { text: 'by notify' });
    expect(await ann.event('onChat')).toEqual([{ from: 'bob', text: 'by notify' }]);
    expect(await bob.request('chat.room.send', { text: 'by request' })).toEqual({ code: 200 });
    expect(await ann.event('onChat', 1)).toEqual([{ from: 'bob', text: 'by request' }]);
    expect(await bob.request('chat.room.leave')).toEqual({ code: 200 });
    expect(await ann.event('onLeave')).toEqual([{ name: 'bob' }]);
    expect(await bob.all('onChat')).toEqual([]);
    await expectNoTrouble(ann);
  });

  test('pushes before its answer, and so it arrives', async (ctx) => {
    const browser = chromium(ctx, needs);
    await using chat = await start();
    await using player = await browser.connect(chat.gateway.port);
    await join(player, 'ann');
    const before = (await player.events()).length;
    expect(await player.request('chat.room.whisper', { to: 'ann', text: 'me' })).toEqual({
      code: 200,
    });
    const [push, answer, ...rest] = (await player.events()).slice(before);
    expect(push).toEqual({ event: 'onWhisper', args: [{ from: 'ann', text: 'me' }] });
    expect(answer).toMatchObject({ event: 'answer' });
    expect(rest).toEqual([]);
  });

  test('hears Chinese, Korean and Japanese in bodies, users and rooms, and says them', async (ctx) => {
    const browser = chromium(ctx, needs);
    await using chat = await start();
    await using ann = await browser.connect(chat.gateway.port);
    await using bob = await browser.connect(chat.gateway.port);
    const text = '你好，世界 — 안녕하세요 こんにちは é';
    await join(ann, '小明', '大厅 一');
    await join(bob, '철수', '大厅 一');
    expect(await ann.event('onJoin')).toEqual([{ name: '철수' }]);
    await bob.request('chat.room.send', { text });
    expect(await ann.event('onChat')).toEqual([{ from: '철수', text }]);
    expect(await ann.request('chat.room.whisper', { to: '철수', text })).toEqual({ code: 200 });
    expect(await bob.event('onWhisper')).toEqual([{ from: '小明', text }]);
  });

  test('answers 300 requests sent at once, each under its own id', async (ctx) => {
    const browser = chromium(ctx, needs);
    // Many joins are on their way before the first has told the chat which room is left.
    await using chat = await start('sessions: { groups: 300 }');
    await using player = await browser.connect(chat.gateway.port);
    const body = { name: 'ann', room: 'room-{n}' };
    const answers = await player.requests(300, 'chat.room.join', body);
    expect(answers.size).toBe(300);
    for (const [n, answer] of answers) expect(answer).toEqual({ code: 200, room: `room-${n}` });
    await expectNoTrouble(player);
  });

  test('loses a user whom the gateway is told to kick, and the page hears why', async (ctx) => {
    const browser = chromium(ctx, needs);
    await using chat = await start();
    await using ann = await browser.connect(chat.gateway.port);
    await using bob = await browser.connect(chat.gateway.port);
    await join(ann, 'ann');
    await join(bob, 'bob');
    const close = { reason: '违规 😀', code: 4_003 };
    const request = { target: { uids: ['ann'] }, close };
    expect(await control(chat.gateway.controlPort, 'Kick', request)).toMatchObject({ closed: 1 });
    expect(await ann.event('onKick')).toEqual([close]);
    expect(bodyOf((await ann.frames(KICK))[0]!)).toEqual(close);
    expect(await ann.event('close')).toEqual([{ code: 1000, reason: close.reason }]);
    expect(await ann.all('io-error')).toEqual([]);
    expect(await bob.request('chat.room.send', { text: 'still here' })).toEqual({ code: 200 });
  });
});

/** This client writes and reads characters in up to three bytes; the gateway makes of it what backends expect. */
describe('an emoji', () => {
  const RAW = '{"text":"😀"}';
  const ESCAPED = String.raw`{"text":"\ud83d\ude00"}`;
  const TEXT = '你好 안녕 こんにちは 😀 👨‍👩‍👧';

  async function withBackend(handler: Handler) {
    await using stack = new AsyncDisposableStack();
    const backend = stack.use(await GrpcBackend.start({ handler }));
    const gateway = stack.use(
      await startGateway(`
backends: { game: { grpc: "${backend.url}" } }
routes: [{ match: "game.>", backend: game }]
`),
    );
    const all = stack.move();
    return { backend, gateway, [Symbol.asyncDispose]: () => all.disposeAsync() };
  }

  /** Pushes and answers with these bytes. */
  const saying = (text: string): Handler => {
    const body = { bytes: Buffer.from(text) };
    return (asked) => {
      const push = { target: { sids: [asked.sid] }, route: 'onText', body };
      asked.reply({ body, pushes: [push] });
    };
  };

  test.for([
    ['escapes', ESCAPED],
    ['writes as UTF-8', RAW],
  ] as const)('that the backend %s goes out escaped, and arrives', async ([, text], ctx) => {
    const browser = chromium(ctx);
    await using game = await withBackend(saying(text));
    await using player = await browser.connect(game.gateway.port);
    expect(await player.request('game.say')).toEqual({ text: '😀' });
    expect(await player.event('onText')).toEqual([{ text: '😀' }]);
    const [push, answer] = await player.frames(DATA, 2);
    for (const frame of [push!, answer!]) expect(frame.toString()).toContain(ESCAPED);
  });

  test('that the page sends as two halves of three bytes reaches the backend as UTF-8', async (ctx) => {
    const browser = chromium(ctx);
    await using game = await withBackend(saying('{}'));
    await using player = await browser.connect(game.gateway.port);
    await player.request('game.say', { text: '😀' });
    const { request } = await game.backend.request(0);
    expect(request.body.toString('hex')).toBe(Buffer.from(RAW).toString('hex'));
    const [frame] = player.sent.filter((one) => one[0] === DATA);
    expect(frame!.toString('hex')).toContain('eda0bdedb880');
  });

  test.for([
    ['JSON', 'plain'],
    ['protobuf', 'protobuf'],
  ] as const)(
    'and Chinese go from a page through Go to another page, by %s',
    async ([, kind], ctx) => {
      const browser = chromium(ctx, needs);
      await using arena = await startArena();
      const port = arena.port('pomelo', kind);
      await using ann = await browser.connect(port);
      await using bob = await browser.connect(port);
      await join(ann, '小明 😀');
      await join(bob, '철수');
      expect(await bob.request('chat.room.send', { text: TEXT })).toEqual({ code: 200 });
      expect(await ann.event('onChat')).toEqual([{ from: '철수', text: TEXT }]);
      expect(await ann.request('chat.room.send', { text: TEXT })).toEqual({ code: 200 });
      expect(await bob.event('onChat')).toEqual([{ from: '小明 😀', text: TEXT }]);
      // Protobuf begins with the first field's tag, JSON with a brace.
      const body = (frame: Buffer): string =>
        frame.toString('latin1', frame.indexOf('onChat') + 6)[0]!;
      const pushes = [...ann.received, ...bob.received].filter(
        (frame) => frame[0] === DATA && frame.includes('onChat'),
      );
      expect(pushes.map(body)).toEqual(Array(2).fill(kind === 'plain' ? '{' : '\n'));
      await expectNoTrouble(ann);
      await expectNoTrouble(bob);
    },
  );
});
