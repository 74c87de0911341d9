/** Each dialect the whole way: a client of bytes, the gateway, a backend. */
import { createSign, generateKeyPairSync } from 'node:crypto';
import { once } from 'node:events';
import net from 'node:net';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { deflateSync, inflateSync } from 'node:zlib';
import { afterAll, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';

import { decodeMessage, Message } from '../../src/protocol/message.ts';
import { encodePacket, packetOffset, PacketType } from '../../src/protocol/packet.ts';
import { TestClient } from '../support/client.ts';
import { startGateway, type TestGateway } from '../support/gateway.ts';
import {
  type BackendRequest,
  type LinkBackend,
  startLinkBackend,
} from '../support/link-backend.ts';
import { eventually } from '../support/wait.ts';

const dir = mkdtempSync(join(tmpdir(), 'pith-project-'));
writeFileSync(join(dir, 'dictionary.json'), '["onChat","chat.room.say"]');
writeFileSync(
  join(dir, 'clientProtos.json'),
  '{"chat.room.say":{"optional string text":1,"optional uInt32 n":2}}',
);
writeFileSync(
  join(dir, 'serverProtos.json'),
  '{"chat.room.say":{"optional string text":1,"optional uInt32 code":2},"onChat":{"required string text":1}}',
);
afterAll(() => {
  rmSync(dir, { recursive: true });
});

/** Says back what it was told, and pushes it first; `fail` is refused. */
function echo(request: BackendRequest): void {
  const body = request.body.length === 0 ? {} : (JSON.parse(request.body.toString()) as object);
  if (request.route.endsWith('fail')) {
    request.fail({ code: 409, reason: 'TAKEN', message: 'the name is taken' });
    return;
  }
  if (request.route.endsWith('never')) return;
  const text = JSON.stringify(body);
  request.answer(body, {
    pushes: [{ route: 'onChat', body: { bytes: Buffer.from(text) } }],
  });
}

async function start(listen: string, more = ''): Promise<TestGateway & { backend: LinkBackend }> {
  const backend = await startLinkBackend(echo);
  const gateway = await startGateway(`
listen: [{ url: "auto://127.0.0.1:0", ${listen} }]
heartbeat: 1s
backends: { chat: { grpc: "${backend.address}" } }
routes: [{ match: "chat.>", backend: chat }, { match: "Room.*", backend: chat }]
${more}`);
  const end = gateway[Symbol.asyncDispose].bind(gateway);
  return Object.assign(gateway, {
    backend,
    async [Symbol.asyncDispose]() {
      await end();
      await backend[Symbol.asyncDispose]();
    },
  });
}

/** Text messages, in and out. */
async function connectJson(port: number) {
  const socket = new WebSocket(`ws://127.0.0.1:${port}/`);
  const queue: unknown[] = [];
  const wanting: ((message: unknown) => void)[] = [];
  const closed = once(socket, 'close');
  let pings = 0;
  socket.on('ping', () => pings++);
  socket.on('message', (data: Buffer, isBinary: boolean) => {
    expect(isBinary).toBe(false);
    const message = JSON.parse(data.toString()) as unknown;
    const want = wanting.shift();
    if (want === undefined) queue.push(message);
    else want(message);
  });
  await once(socket, 'open');
  return {
    socket,
    closed,
    pings: () => pings,
    say: (message: unknown) => {
      socket.send(typeof message === 'string' ? message : JSON.stringify(message));
    },
    next: () =>
      new Promise((resolve) => {
        if (queue.length > 0) resolve(queue.shift());
        else wanting.push(resolve);
      }),
    async [Symbol.asyncDispose]() {
      socket.terminate();
      await closed;
    },
  };
}

describe('json', () => {
  test('a request is answered with its id, pushes come, errors are objects', async () => {
    await using gateway = await start('dialect: json');
    await using client = await connectJson(gateway.port);
    client.say({ id: 7, route: 'chat.room.say', body: { text: '😂你' } });
    expect(await client.next()).toEqual({ route: 'onChat', body: { text: '😂你' } });
    expect(await client.next()).toEqual({ id: 7, body: { text: '😂你' } });
    client.say({ id: 8, route: 'chat.room.fail' });
    const error = { code: 409, reason: 'TAKEN', msg: 'the name is taken' };
    expect(await client.next()).toEqual({ id: 8, error });
    client.say({ id: 9, route: 'nobody.knows.it' });
    expect(await client.next()).toMatchObject({ id: 9, error: { code: 404 } });
    client.say('what?');
    expect(await client.next()).toMatchObject({ error: { code: 400, reason: 'BAD_BODY' } });
    client.say({ id: 10 });
    expect(await client.next()).toMatchObject({ id: 10, error: { code: 400 } });
    client.say({ route: 'chat.room.say', body: {} });
    const requests = await gateway.backend.came(3);
    expect(requests.map(({ notify }) => notify)).toEqual([false, false, true]);
  });

  test('a handshake is answered though none is needed, and a kick says why', async () => {
    await using gateway = await start('dialect: json');
    await using client = await connectJson(gateway.port);
    client.say({ handshake: { sys: { type: 'web', version: '3' } } });
    expect(await client.next()).toEqual({ handshake: { code: 200 } });
    const [session] = [...gateway.gateway.registry.all()];
    expect([session!.clientType, session!.state, session!.dialect]).toEqual([
      'web',
      'active',
      'json',
    ]);
    session!.close('kick', { text: 'bye', code: 0, retryAfterMs: 0 });
    expect(await client.next()).toEqual({ kick: { reason: 'bye' } });
    expect((await client.closed)[0]).toBe(1000);
  });

  test('a client that listens and answers pings stays, a dead one goes', async () => {
    await using gateway = await start('dialect: json');
    await using client = await connectJson(gateway.port);
    await using dead = await connectJson(gateway.port);
    dead.socket.pause();
    const { registry } = gateway.gateway;
    await eventually(() => registry.size === 1, 'one to go');
    expect(client.socket.readyState).toBe(WebSocket.OPEN);
    expect(client.pings()).toBeGreaterThan(0);
    expect(gateway.count('pith_sessions_closed_total', 'heartbeat_timeout')).toBe(1);
  });
});

describe('pomelo', () => {
  const pomelo = `pomelo: { config_dir: "${dir}" }`;

  test('dictionary and protobuf of a project: the backend sees JSON', async () => {
    await using gateway = await start('dialect: pomelo', pomelo);
    await using client = await TestClient.open(gateway.port);
    const { sys } = (await client.handshake()) as { sys: Record<string, unknown> };
    expect(sys['dict']).toEqual({ onChat: 1, 'chat.room.say': 2 });
    client.ack();
    // Request 1, route by code 2, {text: "hi", n: 300}.
    client.packet(PacketType.DATA, Buffer.from('010100020a02686910ac02', 'hex'));
    const push = await client.wait(
      () => client.received.find(({ kind }) => kind === 'push' || kind === 'response'),
      'something',
    );
    expect(gateway.backend.requests[0]!.body.toString()).toBe('{"text":"hi","n":300}');
    expect(push).toMatchObject({ kind: 'push', route: 'code 1' });
    const answer = await client.next('response');
    expect(answer.body.toString('hex')).toBe('0a026869');
  });

  test('what cannot be read is answered 400, encoded as the route is', async () => {
    await using gateway = await start('dialect: pomelo', pomelo);
    await using client = await TestClient.connect(gateway.port);
    client.packet(PacketType.DATA, Buffer.from('010100020a7f6869', 'hex'));
    const answer = await client.next('response');
    // code: 400
    expect(answer.body.toString('hex')).toBe('109003');
    expect(gateway.backend.requests).toEqual([]);
  });

  test('only clients of the configured types and versions come in', async () => {
    await using gateway = await start(
      'dialect: pomelo',
      'pomelo: { client_types: ["unity-socket >=0.3.0"] }',
    );
    await using old = await TestClient.open(gateway.port);
    expect(await old.handshake({ type: 'unity-socket', version: '0.2.9' })).toEqual({ code: 501 });
    await old.ended;
    await using other = await TestClient.open(gateway.port);
    expect(await other.handshake({ type: 'c', version: '0.3.4' })).toEqual({ code: 501 });
    await using fine = await TestClient.open(gateway.port);
    const welcome = await fine.handshake({ type: 'unity-socket', version: '0.3.0' });
    expect(welcome['code']).toBe(200);
  });

  test('with use_crypto only what is signed gets through, and is counted', async () => {
    await using gateway = await start('dialect: pomelo', 'pomelo: { use_crypto: true }');
    await using nobody = await TestClient.open(gateway.port);
    expect(await nobody.handshake({ type: 'js-websocket', rsa: {} })).toEqual({ code: 500 });
    const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 1024 });
    const rsa_n = Buffer.from(publicKey.export({ format: 'jwk' }).n!, 'base64url').toString('hex');
    await using client = await TestClient.open(gateway.port);
    await client.handshake({ type: 'js-websocket', rsa: { rsa_n, rsa_e: 65_537 } });
    client.ack();
    client.send('chat.room.say', { text: 'unsigned' });
    const text = JSON.stringify({ text: '你好' });
    const signature = createSign('sha256').update(text).sign(privateKey, 'hex');
    const answer = await client.request('chat.room.say', { text: '你好', __crypto__: signature });
    expect(answer).toEqual({ text: '你好' });
    expect(gateway.backend.requests.map(({ body }) => body.toString())).toEqual([text]);
    expect(gateway.count('pith_messages_dropped_total', 'bad_signature')).toBe(1);
  });
});

/** The message in a DATA packet's body, with its flag. */
function messageOf(packet: Buffer): { flag: number; message: Message } {
  const message = new Message();
  expect(decodeMessage(packet, () => undefined, message)).toBeNull();
  return { flag: packet[0]!, message };
}

/** Packets, in and out, and nothing known of what is in them. */
function rawClient(port: number) {
  const socket = net.connect(port, '127.0.0.1');
  let bytes = Buffer.alloc(0);
  const packets: { type: number; body: Buffer }[] = [];
  let look = (): void => {};
  let ended = false;
  socket.on('data', (chunk) => {
    bytes = Buffer.concat([bytes, chunk]);
    while (bytes.length >= 4 && bytes.length >= 4 + bytes.readUIntBE(1, 3)) {
      const end = 4 + bytes.readUIntBE(1, 3);
      packets.push({ type: bytes[0]!, body: bytes.subarray(4, end) });
      bytes = bytes.subarray(end);
    }
    look();
  });
  socket.on('close', () => {
    ended = true;
    look();
  });
  const next = (type: number): Promise<Buffer | null> =>
    new Promise((resolve) => {
      look = () => {
        const at = packets.findIndex((packet) => packet.type === type);
        if (at >= 0) resolve(packets.splice(at, 1)[0]!.body);
        else if (ended) resolve(null);
      };
      look();
    });
  const send = (type: PacketType, body?: Buffer): void => {
    const encoded = encodePacket(type, body)!;
    socket.write(encoded.subarray(packetOffset(encoded)));
  };
  return {
    next,
    send,
    [Symbol.dispose]() {
      socket.destroy();
    },
  };
}

describe('pitaya', () => {
  test('bodies are inflated and deflated, errors are flagged, heartbeats tick, the kick is empty', async () => {
    await using gateway = await start('dialect: pitaya');
    using client = rawClient(gateway.port);
    client.send(
      PacketType.HANDSHAKE,
      Buffer.from('{"sys":{"platform":"mac","libVersion":"0.3.5"}}'),
    );
    expect((await client.next(PacketType.HANDSHAKE))!.toString()).toBe(
      '{"code":200,"sys":{"heartbeat":1,"serializer":"json"}}',
    );
    client.send(PacketType.HANDSHAKE_ACK);
    const said = JSON.stringify({ text: 'x'.repeat(500) });
    const head = Buffer.from('\x10\x01\x0dchat.room.say', 'latin1');
    client.send(PacketType.DATA, Buffer.concat([head, deflateSync(said)]));
    const push = messageOf((await client.next(PacketType.DATA))!);
    expect([push.flag, inflateSync(push.message.body).toString()]).toEqual([0x16, said]);
    const answer = messageOf((await client.next(PacketType.DATA))!);
    expect([answer.flag, inflateSync(answer.message.body).toString()]).toEqual([0x14, said]);
    client.send(PacketType.DATA, Buffer.from('\x00\x02\x0echat.room.fail', 'latin1'));
    const error = messageOf((await client.next(PacketType.DATA))!);
    expect([error.flag, JSON.parse(error.message.body.toString())]).toEqual([
      0x24,
      { code: 'PIT-409', msg: 'the name is taken', metadata: { reason: 'TAKEN' } },
    ]);
    expect(await client.next(PacketType.HEARTBEAT)).toHaveLength(0);
    const [session] = [...gateway.gateway.registry.all()].filter(({ state }) => state === 'active');
    session!.close('kick');
    expect(await client.next(PacketType.KICK)).toHaveLength(0);
  });

  test('data before the ack ends the connection, and no handshake is answered 400', async () => {
    await using gateway = await start('dialect: pitaya');
    using early = rawClient(gateway.port);
    early.send(PacketType.DATA, Buffer.from('\x00\x02\x0echat.room.fail', 'latin1'));
    expect(await early.next(PacketType.DATA)).toBeNull();
    using wrong = rawClient(gateway.port);
    wrong.send(PacketType.HANDSHAKE, Buffer.from('no'));
    expect((await wrong.next(PacketType.HANDSHAKE))!.toString()).toContain('"code":400');
  });

  test('a bomb is refused, and the next client is served', async () => {
    await using gateway = await start('dialect: pitaya', 'limits: { inflate: 64KiB }');
    using client = rawClient(gateway.port);
    client.send(PacketType.HANDSHAKE, Buffer.from('{}'));
    client.send(PacketType.HANDSHAKE_ACK);
    const bomb = deflateSync(Buffer.alloc(40_000_000));
    const route = Buffer.from('\x10\x01\x0dchat.room.say', 'latin1');
    client.send(PacketType.DATA, Buffer.concat([route, bomb]));
    const { flag, message } = messageOf((await client.next(PacketType.DATA))!);
    expect([flag, message.body.toString()]).toEqual([0x24, expect.stringContaining('PIT-400')]);
    expect(gateway.backend.requests).toEqual([]);
  });
});

describe('nano', () => {
  test('two parts of a route, no word about errors, no kick', async () => {
    await using gateway = await start('dialect: nano');
    using client = rawClient(gateway.port);
    client.send(PacketType.HANDSHAKE, Buffer.from('{"sys":{"type":"js-websocket"}}'));
    const welcome = JSON.parse((await client.next(PacketType.HANDSHAKE))!.toString()) as {
      sys: object;
    };
    expect(Object.keys(welcome.sys)).toEqual(['heartbeat', 'servertime']);
    client.send(PacketType.HANDSHAKE_ACK);
    client.send(PacketType.DATA, Buffer.from('\x00\x01\x09Room.fail', 'latin1'));
    client.send(PacketType.DATA, Buffer.from('\x00\x02\x09Room.Join{"a":1}', 'latin1'));
    const push = messageOf((await client.next(PacketType.DATA))!);
    expect(push.message.route).toBe('onChat');
    const answer = messageOf((await client.next(PacketType.DATA))!);
    expect([answer.message.rawId, answer.message.body.toString()]).toEqual([2, '{"a":1}']);
    const [session] = [...gateway.gateway.registry.all()].filter(({ state }) => state === 'active');
    session!.close('kick');
    expect(await client.next(PacketType.KICK)).toBeNull();
  });

  test('answer_errors: errors are answered, too', async () => {
    await using gateway = await start('dialect: nano, answer_errors: true');
    using client = rawClient(gateway.port);
    client.send(PacketType.HANDSHAKE, Buffer.from('{}'));
    client.send(PacketType.HANDSHAKE_ACK);
    client.send(PacketType.DATA, Buffer.from('\x00\x01\x09Room.fail', 'latin1'));
    const { message } = messageOf((await client.next(PacketType.DATA))!);
    expect(JSON.parse(message.body.toString())).toMatchObject({ code: 409, reason: 'TAKEN' });
  });
});
