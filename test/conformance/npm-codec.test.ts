/** The bytes: what the npm package pomelo-protocol writes over plain TCP is read, and what comes it reads. */
import { describe, expect, test } from 'vitest';

import { startGateway } from '../support/gateway.ts';
import { control } from '../support/npm-clients.ts';
import { CHAT_BACKENDS, skipWithout } from './backends.ts';
import { ack, codec, CodecClient, handshake, heartbeat, notify, request } from './codec-client.ts';

const { Package } = codec;
const GATE = `
backends: { gate: { reply: { code: 200, host: 127.0.0.1, port: 3010 } } }
routes: [{ match: "gate.>", backend: gate }]
`;
const QUERY = 'gate.gateHandler.queryEntry';
const ENTRY = { code: 200, host: '127.0.0.1', port: 3010 };

const TEXT = '你好 안녕 😀';
const OPENING = [
  handshake(),
  ack(),
  request(127, 'chat.room.join', { name: 'bob', room: '大厅' }),
  request(300, 'chat.room.nope', {}),
];
const TALK = [
  notify('chat.room.send', { text: TEXT }),
  request(16_384, 'chat.room.send', { text: 'two' }),
  heartbeat(),
  notify('chat.room.send', { text: 'three' }),
];

const WAYS = [
  { way: 'in one segment', send: async (to: CodecClient, all: Buffer[]) => to.send(...all) },
  {
    way: 'one byte at a time',
    send: async (to: CodecClient, all: Buffer[]) => to.sendByteByByte(...all),
  },
];

describe.each(CHAT_BACKENDS)('the chat on $name', ({ needs, start }) => {
  test.for(WAYS)('reads packages that come $way', async ({ send }, ctx) => {
    skipWithout(ctx, needs);
    await using chat = await start();
    await using ann = await CodecClient.shakeHands(chat.gateway.port);
    await using bob = await CodecClient.connect(chat.gateway.port);
    ann.send(request(1, 'chat.room.join', { name: 'ann', room: '大厅' }));
    expect(await ann.answer(1)).toEqual({ code: 200, room: '大厅' });
    await send(bob, OPENING);
    expect(await bob.answer(127)).toEqual({ code: 200, room: '大厅' });
    const msg = 'no such route: chat.room.nope';
    expect(await bob.answer(300)).toEqual({ code: 404, reason: 'NO_ROUTE', msg });
    expect(bob.packages.map(({ type }) => type)).toEqual([
      Package.TYPE_HANDSHAKE,
      Package.TYPE_HEARTBEAT,
      Package.TYPE_DATA,
      Package.TYPE_DATA,
    ]);
    await send(bob, TALK);
    expect(await bob.answer(16_384)).toEqual({ code: 200 });
    const heard = [TEXT, 'two', 'three'].map((text) => ({ from: 'bob', text }));
    expect(await ann.pushes('onJoin', 1)).toEqual([{ name: 'bob' }]);
    expect(await ann.pushes('onChat', 3)).toEqual(heard);
  });
});

describe('without a backend', () => {
  test('the handshake is answered with the heartbeat, the ack with a heartbeat', async () => {
    await using gateway = await startGateway(`${GATE}\nheartbeat: 9s`);
    await using client = await CodecClient.connect(gateway.port);
    client.send(handshake());
    expect(await client.first(Package.TYPE_HANDSHAKE)).toEqual({
      code: 200,
      sys: { heartbeat: 9 },
    });
    expect(client.packages).toHaveLength(1);
    client.send(ack());
    expect(await client.first(Package.TYPE_HEARTBEAT)).toBeNull();
  });

  test('a heartbeat is answered with one', async () => {
    await using gateway = await startGateway(GATE);
    await using client = await CodecClient.shakeHands(gateway.port);
    client.send(heartbeat(), heartbeat(), request(1, QUERY, {}));
    expect(await client.answer(1)).toEqual(ENTRY);
    const beats = client.packages.filter(({ type }) => type === Package.TYPE_HEARTBEAT);
    expect(beats).toHaveLength(3);
  });

  test('a handshake that is not JSON is answered 500 and the connection closed', async () => {
    await using gateway = await startGateway(GATE);
    await using client = await CodecClient.connect(gateway.port);
    client.send(Package.encode(Package.TYPE_HANDSHAKE, Buffer.from('hello')));
    await client.closed;
    expect(client.packages.map(({ body }) => JSON.parse(body!.toString()) as unknown)).toEqual([
      { code: 500 },
    ]);
  });

  test('routes that no rule may see are answered 400, unknown ones 404', async () => {
    await using gateway = await startGateway(GATE);
    await using client = await CodecClient.shakeHands(gateway.port);
    client.send(request(1, 'constructor', {}), request(2, 'gate..x', {}), request(3, 'a.b.c', {}));
    expect(await client.answer(1)).toMatchObject({ code: 400, reason: 'BAD_ROUTE' });
    expect(await client.answer(2)).toMatchObject({ code: 400, reason: 'BAD_ROUTE' });
    expect(await client.answer(3)).toMatchObject({ code: 404, reason: 'NO_ROUTE' });
  });

  test('a kick is a package with the reason, and then the end', async () => {
    await using gateway = await startGateway(GATE);
    await using client = await CodecClient.shakeHands(gateway.port);
    const close = { reason: '再见' };
    await control(gateway.controlPort, 'Kick', { target: { all: true }, close });
    expect(await client.first(Package.TYPE_KICK)).toEqual(close);
    await client.closed;
    expect(client.packages.at(-1)!.type).toBe(Package.TYPE_KICK);
  });

  test('a drain ends the connection', async () => {
    await using gateway = await startGateway(GATE);
    await using client = await CodecClient.shakeHands(gateway.port);
    expect(await gateway.gateway.drain()).toEqual({ closed: 1, forced: 0 });
    await client.closed;
    expect(client.packages.at(-1)!.type).toBe(Package.TYPE_HEARTBEAT);
  });
});
