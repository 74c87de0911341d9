/** Input that breaks the protocol costs its own connection at most: neighbours see nothing, the gateway lives on. */
import { describe, expect, test } from 'vitest';

import { PacketType } from '../../src/protocol/packet.ts';
import { TestClient } from '../support/client.ts';
import { startGateway, type TestGateway } from '../support/gateway.ts';
import { watchHeld } from '../support/held.ts';
import { startLinkBackend } from '../support/link-backend.ts';
import { ACK, ask, data, frame, HANDSHAKE, OPCODE, pack, RawSocket } from '../support/raw.ts';
import { eventually } from '../support/wait.ts';

const TRANSPORTS = ['tcp', 'ws'] as const;
const ECHO = `
backends: { echo: { reply: { code: 200 } } }
routes: [{ match: "echo.>", backend: echo }]
`;
const ROUTE = [6, ...Buffer.from('echo.a')];
const DEEP = `{"sys":{},"user":${'['.repeat(30_000)}${']'.repeat(30_000)}}`;

/** Asks before and after, so that whatever came meanwhile would show between the two answers. */
async function expectNothingSeenOf(
  gateway: TestGateway,
  attack: (port: number) => Promise<void>,
): Promise<void> {
  const bystanders = await Promise.all(
    TRANSPORTS.map((transport) => TestClient.connect(gateway.port, transport)),
  );
  for (const bystander of bystanders) await bystander.request('echo.before');
  const before = bystanders.map(({ received }) => received.length);
  await attack(gateway.port);
  for (const [i, bystander] of bystanders.entries()) {
    expect(await bystander.request('echo.after')).toEqual({ code: 200 });
    expect(bystander.received.length).toBe(before[i]! + 1);
    await bystander[Symbol.asyncDispose]();
  }
  await using fresh = await TestClient.connect(gateway.port);
  expect(await fresh.request('echo.fresh')).toEqual({ code: 200 });
}

function closeLine(gateway: TestGateway, reason: string): unknown {
  return gateway.log.find((line) => line.msg === 'session closed' && line['reason'] === reason);
}

describe.each(TRANSPORTS)('over %s', (transport) => {
  test.each([
    { input: 'packet type 0', bytes: pack(0), reason: 'bad_packet_type', code: 1002 },
    { input: 'packet type 6', bytes: pack(6), reason: 'bad_packet_type', code: 1002 },
    { input: 'packet type 255', bytes: pack(255), reason: 'bad_packet_type', code: 1002 },
    { input: 'a kick', bytes: pack(5, '{"reason":"x"}'), reason: 'bad_packet_type', code: 1002 },
    {
      input: 'a packet that is longer than the limit',
      bytes: pack(4, Buffer.alloc(65_537)),
      reason: 'packet_too_long',
      code: 1009,
    },
    {
      input: 'a length of 16 MiB with nothing behind it',
      bytes: pack(4, '', 0xffffff),
      reason: 'packet_too_long',
      code: 1009,
    },
    {
      input: 'a packet with other bytes behind it',
      bytes: Buffer.concat([ask(1, 'echo.a'), Buffer.from('leaked from the buffer')]),
      reason: 'bad_packet_type',
      code: 1002,
    },
    {
      input: 'sixteen malformed messages',
      bytes: Buffer.concat(Array.from({ length: 16 }, () => data(0x08))),
      reason: 'malformed',
      code: 1002,
    },
  ])('$input closes that connection alone', async ({ bytes, reason, code }) => {
    await using gateway = await startGateway(ECHO);
    await expectNothingSeenOf(gateway, async (port) => {
      await using client = await TestClient.connect(port, transport);
      client.raw(bytes);
      expect(await client.ended).toEqual(
        transport === 'ws' ? { code, reason } : { code: 0, reason: '' },
      );
    });
    expect(gateway.count('pith_sessions_closed_total', reason)).toBe(1);
    expect(closeLine(gateway, reason)).toMatchObject({ level: 'info', sid: expect.any(String) });
  });

  test.each([
    { input: 'DATA of no bytes', bytes: data(), why: 'empty' },
    { input: 'a request cut off before its id', bytes: data(0x00), why: 'truncated' },
    { input: 'a request cut off in its id', bytes: data(0x00, 0x80), why: 'truncated' },
    { input: 'an id of six bytes', bytes: data(0, 129, 130, 131, 132, 133, 1), why: 'bad_id' },
    { input: 'an endless id', bytes: data(0, ...Buffer.alloc(40, 0xff)), why: 'bad_id' },
    { input: 'a notify cut off in its route', bytes: data(0x02, 9, 0x61), why: 'truncated' },
    { input: 'a notify without a route', bytes: data(0x02), why: 'truncated' },
    { input: 'a notify with half a code', bytes: data(0x03, 0), why: 'truncated' },
    { input: 'a notify with an unknown code', bytes: data(3, 0, 9), why: 'unknown_route_code' },
    { input: 'kind 4', bytes: data(0x08, 1, ...ROUTE), why: 'bad_kind' },
    { input: 'kind 5', bytes: data(0x0a, 1, ...ROUTE), why: 'bad_kind' },
    { input: 'kind 6', bytes: data(0x0c, 1, ...ROUTE), why: 'bad_kind' },
    { input: 'kind 7', bytes: data(0x0e, 1, ...ROUTE), why: 'bad_kind' },
    { input: 'a RESPONSE', bytes: data(0x04, 1, 0x7b, 0x7d), why: 'unexpected_kind' },
  ])('$input is dropped and counted', async ({ bytes, why }) => {
    await using gateway = await startGateway(ECHO);
    await expectNothingSeenOf(gateway, async (port) => {
      await using client = await TestClient.connect(port, transport);
      client.raw(bytes);
      expect(await client.request('echo.a')).toEqual({ code: 200 });
      expect(client.received.filter(({ kind }) => kind === 'response')).toHaveLength(1);
    });
    expect(gateway.count('pith_messages_dropped_total', why)).toBe(1);
    expect(gateway.log).toContainEqual(expect.objectContaining({ msg: 'message dropped', why }));
  });

  test.each([
    { input: 'a route cut off', bytes: data(0x00, 7, 9, 0x61, 0x62) },
    { input: 'no route', bytes: data(0x00, 7) },
    { input: 'half a dictionary code', bytes: data(0x01, 7, 0) },
    { input: 'an unknown dictionary code', bytes: data(0x01, 7, 0, 9) },
    { input: 'an empty route', bytes: data(0x00, 7, 0, 0x7b, 0x7d) },
    { input: 'a route with a space', bytes: ask(7, 'echo.a b') },
    { input: 'a route that ends with a dot', bytes: ask(7, 'echo.') },
    { input: 'a route of wildcards', bytes: ask(7, 'echo.>') },
    { input: 'a route of bytes that are no UTF-8', bytes: data(0, 7, 3, 0xff, 0xfe, 0x80) },
    { input: 'the method constructor', bytes: ask(7, 'echo.constructor') },
  ])('a request with $input is answered 400', async ({ bytes }) => {
    await using gateway = await startGateway(ECHO);
    await expectNothingSeenOf(gateway, async (port) => {
      await using client = await TestClient.connect(port, transport);
      client.raw(bytes);
      expect(await client.answer(7)).toMatchObject({ code: 400, reason: 'BAD_ROUTE' });
      expect(await client.request('echo.a')).toEqual({ code: 200 });
      expect(client.answersTo(7)).toBe(1);
    });
    expect(gateway.count('pith_messages_refused_total', 'BAD_ROUTE')).toBe(1);
  });

  test('an id of five bytes comes back byte for byte', async () => {
    await using gateway = await startGateway(ECHO);
    await using client = await TestClient.connect(gateway.port, transport);
    client.raw(data(0x00, 0x81, 0x82, 0x83, 0x84, 0x05, ...ROUTE, 0x7b, 0x7d));
    expect((await client.next('response')).rawId).toBe(0x0584838281);
  });

  test('a PUSH from a client is a notify', async () => {
    await using backend = await startLinkBackend();
    await using gateway = await startGateway(
      `backends: { b: { grpc: "${backend.address}" } }\nroutes: [{ match: ">", backend: b }]`,
    );
    await using client = await TestClient.connect(gateway.port, transport);
    client.raw(data(0x06, ...ROUTE, 0x7b, 0x7d));
    const [request] = await backend.came(1);
    expect(request).toMatchObject({ route: 'echo.a', notify: true });
  });

  test('a malformed request with the id of one in flight takes nothing from that', async () => {
    await using backend = await startLinkBackend();
    await using gateway = await startGateway(
      `backends: { b: { grpc: "${backend.address}" } }\nroutes: [{ match: ">", backend: b }]`,
    );
    await using client = await TestClient.connect(gateway.port, transport);
    const id = client.send('echo.a', {});
    const [request] = await backend.came(1);
    client.raw(data(0x00, id, 9, 0x61));
    await eventually(
      () => gateway.count('pith_messages_dropped_total', 'truncated') === 1,
      'the drop',
    );
    request!.answer({ code: 200, late: true });
    expect(await client.answer(id)).toEqual({ code: 200, late: true });
    expect(client.answersTo(id)).toBe(1);
  });

  test('two packages at once are two packages', async () => {
    await using gateway = await startGateway(ECHO);
    await using client = await TestClient.connect(gateway.port, transport);
    client.raw(Buffer.concat([ask(1, 'echo.a'), pack(PacketType.HEARTBEAT), ask(2, 'echo.b')]));
    expect(await client.answer(1)).toEqual({ code: 200 });
    expect(await client.answer(2)).toEqual({ code: 200 });
  });

  test('a package may be cut anywhere', async () => {
    await using gateway = await startGateway(
      `${ECHO}limits: { messages_per_second: 1000000, burst: 1000000 }\n`,
    );
    const opening = Buffer.concat([HANDSHAKE, ACK, ask(1, 'echo.a')]);
    for (let cut = 1; cut < opening.length; cut++) {
      await using client = await TestClient.open(gateway.port, transport);
      client.raw(opening.subarray(0, cut));
      client.raw(opening.subarray(cut));
      expect(await client.answer(1), `cut at ${cut}`).toEqual({ code: 200 });
    }
    await using client = await TestClient.open(gateway.port, transport);
    for (const byte of opening) client.raw(Buffer.from([byte]));
    expect(await client.answer(1), 'byte by byte').toEqual({ code: 200 });
  });

  test.each([
    { input: 'no JSON', body: 'hello' },
    { input: 'null', body: 'null' },
    { input: 'nothing', body: '' },
    { input: 'an array', body: '[{"sys":{}}]' },
    { input: 'a string', body: '"sys"' },
    { input: 'no sys', body: '{"user":{}}' },
    { input: 'a sys that is no object', body: '{"sys":1}' },
    { input: 'half of it', body: '{"sys":{' },
  ])('a handshake of $input is refused with 500', async ({ body }) => {
    await using gateway = await startGateway(ECHO);
    await expectNothingSeenOf(gateway, async (port) => {
      await using client = await TestClient.open(port, transport);
      client.raw(pack(PacketType.HANDSHAKE, body));
      expect((await client.next('handshake')).body).toEqual({ code: 500 });
      expect((await client.ended).code).toBe(transport === 'ws' ? 1000 : 0);
      expect(client.received).toHaveLength(1);
    });
    expect(gateway.count('pith_sessions_closed_total', 'handshake_refused')).toBe(1);
    expect(closeLine(gateway, 'handshake_refused')).toMatchObject({ reason: 'handshake_refused' });
  });

  test('a handshake of 60 KiB of nested JSON is refused', async () => {
    await using gateway = await startGateway(ECHO);
    await using client = await TestClient.open(gateway.port, transport);
    client.raw(pack(PacketType.HANDSHAKE, DEEP));
    expect((await client.next('handshake')).body).toEqual({ code: 500 });
  });

  test('only the first handshake is answered', async () => {
    await using gateway = await startGateway(ECHO);
    await using client = await TestClient.open(gateway.port, transport);
    client.raw(Buffer.concat([HANDSHAKE, HANDSHAKE, ACK, HANDSHAKE, ACK, ask(1, 'echo.a')]));
    expect(await client.answer(1)).toEqual({ code: 200 });
    expect(client.received.map(({ kind }) => kind)).toEqual(['handshake', 'heartbeat', 'response']);
  });

  test('messages before the ack are dropped', async () => {
    await using gateway = await startGateway(ECHO);
    await using client = await TestClient.open(gateway.port, transport);
    client.raw(Buffer.concat([ask(1, 'echo.a'), HANDSHAKE, ask(2, 'echo.a'), ACK]));
    client.raw(ask(3, 'echo.a'));
    expect(await client.answer(3)).toEqual({ code: 200 });
    expect([client.answersTo(1), client.answersTo(2)]).toEqual([0, 0]);
    expect(gateway.count('pith_messages_dropped_total', 'before_ack')).toBe(2);
  });

  test('handshake, ack and a request in one piece are served', async () => {
    await using gateway = await startGateway(ECHO);
    await using client = await TestClient.open(gateway.port, transport);
    client.raw(Buffer.concat([HANDSHAKE, ACK, ask(1, 'echo.a')]));
    expect(await client.answer(1)).toEqual({ code: 200 });
  });

  test('50 connections that announce 16 MiB each cost next to nothing', async () => {
    await using gateway = await startGateway(`${ECHO}limits: { packet: 16777215, assemble: 1h }\n`);
    const opened = await Promise.all(
      Array.from({ length: 50 }, () => RawSocket.open(gateway.port, transport)),
    );
    await Promise.all(opened.map((raw) => raw.shakeHands(transport)));
    const memory = await watchHeld();
    const begun = Buffer.concat([pack(4, '', 0xffffff), Buffer.alloc(1_000)]);
    for (const raw of opened)
      raw.send(
        transport === 'tcp' ? begun : frame(OPCODE.BINARY, begun, { announced: 16_777_215 }),
      );
    await using fresh = await TestClient.connect(gateway.port, transport);
    expect(await fresh.request('echo.a')).toEqual({ code: 200 });
    await memory.expectGrownLess(32 * 1024 * 1024);
    expect(opened.filter(({ isEnded }) => isEnded)).toEqual([]);
    await Promise.all(opened.map((raw) => raw[Symbol.asyncDispose]()));
  });
});

describe('WebSocket frames', () => {
  test('text frames are read like binary ones', async () => {
    await using gateway = await startGateway(ECHO);
    await using raw = await RawSocket.open(gateway.port, 'ws');
    raw.send(frame(OPCODE.TEXT, HANDSHAKE));
    await raw.waitFor(/"code":200,"sys"/);
    raw.send(Buffer.concat([frame(OPCODE.TEXT, ACK), frame(OPCODE.TEXT, ask(1, 'echo.a'))]));
    expect((await raw.waitFor(/\{"code":(\d+)\}/))[1]).toBe('200');
  });

  test('text that is no packet closes that connection alone', async () => {
    await using gateway = await startGateway(ECHO);
    await expectNothingSeenOf(gateway, async (port) => {
      await using raw = await RawSocket.open(port, 'ws');
      raw.send(frame(OPCODE.TEXT, Buffer.from('hello')));
      await raw.waitFor(/bad_packet_type/);
      await eventually(() => closeLine(gateway, 'bad_packet_type'), 'the log line');
    });
  });

  test('empty frames are nothing', async () => {
    await using gateway = await startGateway(ECHO);
    await using client = await TestClient.connect(gateway.port, 'ws');
    for (let i = 0; i < 50; i++) client.raw(Buffer.alloc(0));
    expect(await client.request('echo.a')).toEqual({ code: 200 });
  });

  test('up to three zero bytes behind the packets of a message are nothing', async () => {
    await using gateway = await startGateway(ECHO);
    await using client = await TestClient.connect(gateway.port, 'ws');
    for (const padding of [1, 2, 3]) {
      client.raw(Buffer.concat([ask(padding, 'echo.a'), Buffer.alloc(padding)]));
      expect(await client.answer(padding)).toEqual({ code: 200 });
    }
  });

  test.each([
    {
      input: 'a message beyond the limit',
      bytes: frame(OPCODE.BINARY, Buffer.alloc(0), { announced: 1_000_000 }),
      reason: 'packet_too_long',
    },
    { input: 'a reserved opcode', bytes: frame(3, Buffer.alloc(1)), reason: 'malformed' },
    { input: 'an unmasked frame', bytes: Buffer.from([0x82, 1, 3]), reason: 'malformed' },
    { input: 'a continuation of nothing', bytes: frame(0, Buffer.alloc(1)), reason: 'malformed' },
    {
      input: 'a message of 200 fragments',
      bytes: Buffer.concat([
        frame(OPCODE.BINARY, Buffer.alloc(1, 3), { fin: false }),
        ...Array.from({ length: 199 }, () => frame(0, Buffer.alloc(1), { fin: false })),
      ]),
      reason: 'malformed',
    },
  ])('$input closes that connection with its reason', async ({ bytes, reason }) => {
    await using gateway = await startGateway(ECHO);
    await expectNothingSeenOf(gateway, async (port) => {
      await using raw = await RawSocket.open(port, 'ws');
      await raw.shakeHands('ws');
      raw.send(bytes);
      await raw.ended;
      await eventually(() => closeLine(gateway, reason), 'the log line');
    });
    expect(gateway.count('pith_sessions_closed_total', reason)).toBe(1);
  });
});
