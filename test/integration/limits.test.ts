/** What a client may take in time, and ask for: each limit at its edge, with real clocks set short. */
import { describe, expect, test } from 'vitest';

import { SLABS } from '../../src/held.ts';
import { PacketType } from '../../src/protocol/packet.ts';
import { TestClient } from '../support/client.ts';
import { fetchOnce } from '../support/fetch-once.ts';
import { startGateway, type TestGateway } from '../support/gateway.ts';
import { startLinkBackend } from '../support/link-backend.ts';
import { ACK, ask, frame, HANDSHAKE, OPCODE, pack, RawSocket, UPGRADE } from '../support/raw.ts';
import { eventually } from '../support/wait.ts';

const TRANSPORTS = ['tcp', 'ws'] as const;
/** Fifty of these are more than the kernel buffers between two sockets hold. */
const BIG = 600_000;
const ECHO = `
backends: { echo: { reply: { code: 200 } } }
routes: [{ match: "echo.>", backend: echo }]
`;

function grpc(address: string, rest = ''): string {
  return `backends: { b: { grpc: "${address}" } }\nroutes: [{ match: ">", backend: b }]\n${rest}`;
}

async function expectClosedAs(gateway: TestGateway, reason: string): Promise<void> {
  await eventually(() => gateway.count('pith_sessions_closed_total', reason) === 1, reason);
  expect(gateway.log).toContainEqual(
    expect.objectContaining({ level: 'info', msg: 'session closed', reason }),
  );
}

describe.each(TRANSPORTS)('time limits over %s', { concurrent: true }, (transport) => {
  test('no handshake', async () => {
    await using gateway = await startGateway(`${ECHO}limits: { handshake: 500ms }\n`);
    await using client = await TestClient.open(gateway.port, transport);
    if (transport === 'tcp') client.raw(HANDSHAKE.subarray(0, 10));
    expect((await client.ended).code).toBe(transport === 'ws' ? 1008 : 0);
    await expectClosedAs(gateway, 'handshake_timeout');
  });

  test('no ack', async () => {
    await using gateway = await startGateway(`${ECHO}limits: { ack: 200ms }\n`);
    await using client = await TestClient.open(gateway.port, transport);
    await client.handshake();
    client.packet(PacketType.HEARTBEAT);
    expect((await client.ended).code).toBe(transport === 'ws' ? 1008 : 0);
    await expectClosedAs(gateway, 'ack_timeout');
  });

  test('a packet that is never completed, though heartbeats were sent before', async () => {
    await using gateway = await startGateway(`${ECHO}limits: { assemble: 200ms }\n`);
    await using client = await TestClient.connect(gateway.port, transport);
    expect(await client.request('echo.a')).toEqual({ code: 200 });
    client.raw(Buffer.concat([pack(PacketType.HEARTBEAT), ask(9, 'echo.a').subarray(0, -1)]));
    expect((await client.ended).code).toBe(transport === 'ws' ? 1008 : 0);
    await expectClosedAs(gateway, 'assemble_timeout');
  });

  test('packets that come in time may always end with the beginning of the next', async () => {
    await using gateway = await startGateway(
      `${ECHO}limits: { assemble: 1500ms, messages_per_second: 1000000, burst: 1000000 }\n`,
    );
    await using client = await TestClient.connect(gateway.port, transport);
    const bytes = ask(1, 'echo.a');
    client.raw(bytes.subarray(0, 5));
    const until = performance.now() + 4_000;
    for (let n = 1; performance.now() < until; n++) {
      client.raw(Buffer.concat([bytes.subarray(5), bytes.subarray(0, 5)]));
      await client.wait(() => (client.answersTo(1) === n ? true : undefined), `answer ${n}`);
    }
    expect(client.isEnded).toBe(false);
  });

  test('a silent client is closed after two heartbeat intervals, one that sends data stays', async () => {
    await using gateway = await startGateway(`${ECHO}heartbeat: 1s\n`);
    const since = performance.now();
    await using silent = await TestClient.connect(gateway.port, transport);
    await using busy = await TestClient.connect(gateway.port, transport);
    await using beating = await TestClient.connect(gateway.port, transport);
    beating.heartbeatAfterMs = 500;
    const asking = setInterval(() => busy.send('echo.a', {}), 300);
    expect((await silent.ended).code).toBe(transport === 'ws' ? 1008 : 0);
    expect(performance.now() - since).toBeGreaterThan(1_900);
    await expectClosedAs(gateway, 'heartbeat_timeout');
    await eventually(() => performance.now() - since > 3_500, 'another interval');
    clearInterval(asking);
    expect(await busy.request('echo.a')).toEqual({ code: 200 });
    expect(await beating.request('echo.a')).toEqual({ code: 200 });
  });

  test('every heartbeat of a client is answered', async () => {
    await using gateway = await startGateway(`${ECHO}heartbeat: 1s\n`);
    await using client = await TestClient.open(gateway.port, transport);
    expect(await client.handshake()).toEqual({ code: 200, sys: { heartbeat: 1 } });
    client.ack();
    for (let i = 0; i < 5; i++) client.packet(PacketType.HEARTBEAT);
    await client.request('echo.a');
    // The first is the gateway's own, after the ack.
    expect(client.received.filter(({ kind }) => kind === 'heartbeat')).toHaveLength(6);
  });

  test('heartbeat: 0s turns heartbeats off', async () => {
    await using gateway = await startGateway(
      `${ECHO}heartbeat: 0s\nlimits: { assemble: 800ms, ack: 800ms, handshake: 800ms }\n`,
    );
    await using client = await TestClient.open(gateway.port, transport);
    expect(await client.handshake()).toEqual({ code: 200, sys: {} });
    client.ack();
    client.packet(PacketType.HEARTBEAT);
    const since = performance.now();
    await eventually(() => performance.now() - since > 2_000, 'two seconds of silence');
    expect(await client.request('echo.a')).toEqual({ code: 200 });
    expect(client.received.map(({ kind }) => kind)).toEqual(['handshake', 'response']);
  });
});

describe('a WebSocket message left unfinished', () => {
  test.each([
    { name: 'a fragment and no more', bytes: frame(OPCODE.BINARY, HANDSHAKE, { fin: false }) },
    { name: 'a frame head alone', bytes: frame(OPCODE.BINARY, Buffer.alloc(0), { announced: 99 }) },
    {
      name: 'half a frame',
      bytes: frame(OPCODE.BINARY, ask(1, 'echo.a').subarray(0, 8), { announced: 21 }),
    },
  ])('$name', async ({ bytes }) => {
    await using gateway = await startGateway(`${ECHO}limits: { assemble: 200ms }\n`);
    await using raw = await RawSocket.open(gateway.port, 'ws');
    await raw.shakeHands('ws');
    await eventually(() => gateway.log.some(({ msg }) => msg === 'session active'), 'the session');
    raw.send(bytes);
    await raw.waitFor(/assemble_timeout/);
    await expectClosedAs(gateway, 'assemble_timeout');
  });

  test.each([
    { name: 'a fragment and no more', bytes: frame(OPCODE.BINARY, HANDSHAKE, { fin: false }) },
    {
      name: 'half a packet in a whole message',
      bytes: frame(OPCODE.BINARY, ask(1, 'echo.a').subarray(0, 8)),
    },
  ])('$name, though pings come all the time', async ({ bytes }) => {
    await using gateway = await startGateway(`${ECHO}limits: { assemble: 300ms }\n`);
    await using raw = await RawSocket.open(gateway.port, 'ws');
    await raw.shakeHands('ws');
    await eventually(() => gateway.log.some(({ msg }) => msg === 'session active'), 'the session');
    raw.send(bytes);
    const pinging = setInterval(() => raw.send(frame(OPCODE.PING, Buffer.from('p'))), 50);
    await raw.waitFor(/assemble_timeout/);
    clearInterval(pinging);
    await expectClosedAs(gateway, 'assemble_timeout');
  });
});

describe('limits of numbers', () => {
  test('connections: one more is turned away until one has gone', async () => {
    await using gateway = await startGateway(`${ECHO}limits: { connections: 2 }\n`);
    await using first = await TestClient.connect(gateway.port, 'tcp');
    await using second = await TestClient.connect(gateway.port, 'ws');
    await using third = await RawSocket.connect(gateway.port);
    await third.ended;
    expect(third.received).toBe('');
    expect(gateway.count('pith_connections_refused_total', 'connection_limit')).toBe(1);
    expect(gateway.log).toContainEqual(
      expect.objectContaining({ msg: 'connection refused', why: 'connection_limit' }),
    );
    expect(await second.request('echo.a')).toEqual({ code: 200 });
    first.close();
    await eventually(() => gateway.gateway.registry.size === 1, 'the end of the first');
    await using fourth = await TestClient.connect(gateway.port, 'ws');
    expect(await fourth.request('echo.a')).toEqual({ code: 200 });
  });

  test('connections: more than there are descriptors for are not allowed, and it is said', async () => {
    await using gateway = await startGateway(`${ECHO}limits: { connections: 5000 }\n`, {
      resources: { descriptors: 400 },
    });
    expect(gateway.log).toContainEqual(
      expect.objectContaining({ level: 'warn', connections: 5000, allowed: 144 }),
    );
    const metrics = await fetchOnce(gateway.healthPort, '/metrics');
    expect(metrics.body).toContain('\npith_connections_limit 144\n');
  });

  test('connections: those that say nothing at first do not get past the limit', async () => {
    await using gateway = await startGateway(`${ECHO}limits: { connections: 2 }\n`);
    const silent = await Promise.all(
      Array.from({ length: 6 }, () => RawSocket.connect(gateway.port)),
    );
    for (const [i, raw] of silent.entries()) raw.send(i % 2 === 0 ? HANDSHAKE : UPGRADE);
    await eventually(
      () => gateway.count('pith_connections_refused_total', 'connection_limit') === 4,
      'four refusals',
    );
    expect(gateway.gateway.registry.size).toBe(2);
    await Promise.all(silent.map((raw) => raw[Symbol.asyncDispose]()));
  });

  test('messages beyond the burst: requests are answered 429, notifies dropped', async () => {
    await using backend = await startLinkBackend((request) => {
      if (!request.notify) request.answer({ code: 200 });
    });
    await using gateway = await startGateway(
      grpc(backend.address, 'limits: { messages_per_second: 1, burst: 5 }'),
    );
    await using client = await TestClient.connect(gateway.port);
    const ids = Array.from({ length: 25 }, () => client.send('a.b', {}));
    client.notify('a.b', {});
    const bodies = await Promise.all(ids.map((id) => client.answer(id)));
    expect(bodies.slice(0, 5)).toEqual(Array.from({ length: 5 }, () => ({ code: 200 })));
    expect(bodies[24]).toEqual({
      ...{ code: 429, reason: 'TOO_MANY', msg: expect.any(String) },
      retry_after_ms: expect.any(Number),
    });
    expect(Number(bodies[24]!['retry_after_ms'])).toBeLessThanOrEqual(1_000);
    expect(gateway.log).toContainEqual(
      expect.objectContaining({
        ...{ level: 'warn', msg: 'message refused', reason: 'TOO_MANY', route: 'a.b' },
        why: 'limits.messages_per_second is 1, with a burst of 5',
      }),
    );
    const refused = bodies.filter(({ code }) => code === 429).length;
    await eventually(
      () => gateway.count('pith_messages_refused_total', 'TOO_MANY') === refused + 1,
      'the refusal of the notify',
    );
    expect(backend.requests.filter(({ notify }) => notify)).toEqual([]);
    await using other = await TestClient.connect(gateway.port);
    expect(await other.request('a.b')).toEqual({ code: 200 });
  });

  test('routes[].rate: beyond it 429, a notify counts, and who waits as long as it is told is served', async () => {
    await using gateway = await startGateway(
      `backends: { echo: { reply: { code: 200 } } }
limits: { messages_per_second: 10, burst: 20 }
routes: [{ match: "rare.>", backend: echo, rate: 2 }, { match: ">", backend: echo }]`,
    );
    await using flood = await TestClient.connect(gateway.port);
    const last = Array.from({ length: 60 }, () => flood.send('any.thing', {})).at(-1)!;
    expect(await flood.answer(last)).toMatchObject({ code: 429 });

    await using client = await TestClient.connect(gateway.port);
    client.notify('rare.a', {});
    expect(await client.request('rare.b')).toEqual({ code: 200 });
    const refused = await client.request('rare.a');
    expect(refused).toMatchObject({ code: 429, reason: 'TOO_MANY' });
    const waitMs = Number(refused['retry_after_ms']);
    expect(waitMs).toBeGreaterThan(0);
    expect(waitMs).toBeLessThanOrEqual(500);
    // The flood beyond another limit has not used up the lines about this one.
    expect(gateway.log).toContainEqual(
      expect.objectContaining({
        ...{ level: 'warn', msg: 'message refused', reason: 'TOO_MANY', route: 'rare.a' },
        why: 'routes[0].rate is 2',
      }),
    );
    await new Promise((resolve) => setTimeout(resolve, waitMs + 1));
    expect(await client.request('rare.a')).toEqual({ code: 200 });
    expect(await client.request('any.thing')).toEqual({ code: 200 });
  });

  test('in_flight_per_backend: beyond it 503, and room again when one is answered', async () => {
    await using backend = await startLinkBackend();
    await using gateway = await startGateway(
      grpc(backend.address, 'limits: { in_flight_per_backend: 3 }'),
    );
    await using client = await TestClient.connect(gateway.port);
    await using other = await TestClient.connect(gateway.port, 'ws');
    const ids = [client.send('a.b', {}), client.send('a.b', {}), client.send('a.b', {})];
    await backend.came(3);
    expect(await other.request('a.b')).toMatchObject({ code: 503, reason: 'OVERLOADED' });
    backend.requests[0]!.answer({ code: 200 });
    expect(await client.answer(ids[0]!)).toEqual({ code: 200 });
    const late = other.send('a.b', {});
    await backend.came(4);
    for (const request of backend.requests.slice(1)) request.answer({ code: 200 });
    expect(await other.answer(late)).toEqual({ code: 200 });
    expect(await client.answer(ids[2]!)).toEqual({ code: 200 });
  });

  test('in_flight_bytes: bodies beyond it are answered 503, and there is room again when one is answered', async () => {
    await using backend = await startLinkBackend();
    await using gateway = await startGateway(
      grpc(backend.address, 'limits: { packet: 64KiB, inflate: 64KiB, in_flight_bytes: 100KiB }'),
    );
    const held = (): string =>
      /^pith_in_flight_bytes (.*)$/m.exec(gateway.gateway.metrics.render())![1]!;
    const body = { padding: 'x'.repeat(40_000 - '{"padding":""}'.length) };
    await using client = await TestClient.connect(gateway.port);
    await using other = await TestClient.connect(gateway.port, 'ws');
    const id = client.send('a.b', body);
    client.send('a.b', body);
    await backend.came(2);
    expect(held()).toBe('80000');
    expect(await other.request('a.b', body)).toMatchObject({ code: 503, reason: 'OVERLOADED' });
    expect(held()).toBe('80000');
    expect(gateway.log).toContainEqual(
      expect.objectContaining({
        ...{ level: 'warn', msg: 'message refused', backend: 'b', route: 'a.b' },
        why: 'limits.in_flight_bytes is 102400 bytes',
      }),
    );
    // A notify counts until it is sent.
    other.notify('a.b', body);
    const small = other.send('a.b', {});
    await backend.came(3);
    expect(held()).toBe('80002');
    backend.requests[0]!.answer({ code: 200 });
    expect(await client.answer(id)).toEqual({ code: 200 });
    expect(held()).toBe('40002');
    // Whatever ends a request: here its client is gone.
    client.close();
    await eventually(() => held() === '2', 'the bodies of who has gone to be let go');
    backend.requests.at(-1)!.answer({ code: 200 });
    expect(await other.answer(small)).toEqual({ code: 200 });
    expect(held()).toBe('0');
  });

  test('a route of more bytes than limits.route is answered 400', async () => {
    await using gateway = await startGateway(`${ECHO}limits: { route: 16 }\n`);
    await using client = await TestClient.connect(gateway.port);
    expect(await client.request(`echo.${'a'.repeat(11)}`)).toEqual({ code: 200 });
    expect(await client.request(`echo.${'a'.repeat(12)}`)).toMatchObject({
      code: 400,
      reason: 'BAD_ROUTE',
    });
    expect(await client.request(`echo.${'a'.repeat(200)}`)).toMatchObject({ code: 400 });
  });
});

describe.each(TRANSPORTS)('a client with too much in flight, over %s', (transport) => {
  test('is not read from, loses nothing, and its heartbeat deadline rests', async () => {
    await using backend = await startLinkBackend();
    await using gateway = await startGateway(
      grpc(
        backend.address,
        `heartbeat: 1s\nlimits: { packet: 1MiB, in_flight_per_session: 4, messages_per_second: 100000, burst: 100000 }`,
      ),
    );
    await using raw = await RawSocket.open(gateway.port, transport);
    await raw.shakeHands(transport);
    const since = performance.now();
    const body = Buffer.alloc(BIG, 0x20);
    const wrap = (bytes: Buffer): Buffer =>
      transport === 'ws' ? frame(OPCODE.BINARY, bytes) : bytes;
    for (let id = 1; id <= 50; id++) raw.send(wrap(ask(id, 'a.b', body)));
    await backend.came(4);
    // Longer than two intervals: what the kernels do not hold stays here.
    await eventually(() => performance.now() - since > 2_500, 'the deadline to pass');
    expect(backend.requests).toHaveLength(4);
    expect(raw.socket.writableLength).toBeGreaterThan(0);
    expect(raw.isEnded).toBe(false);
    for (let done = 0; done < 50; done++) {
      const requests = await backend.came(done + 1);
      requests[done]!.answer({ done });
    }
    await raw.waitFor(/\{"done":49\}/);
    for (let done = 0; done < 50; done++) expect(raw.received).toContain(`{"done":${done}}`);
    expect(raw.isEnded).toBe(false);
  });

  test('is not read from though all of it came with the handshake', async () => {
    await using backend = await startLinkBackend();
    await using gateway = await startGateway(
      grpc(backend.address, 'limits: { packet: 1MiB, in_flight_per_session: 2 }'),
    );
    await using raw = await RawSocket.open(gateway.port, transport);
    const wrap = (bytes: Buffer): Buffer =>
      transport === 'ws' ? frame(OPCODE.BINARY, bytes) : bytes;
    raw.send(wrap(Buffer.concat([HANDSHAKE, ACK, ask(1, 'a.b'), ask(2, 'a.b')])));
    await backend.came(2);
    const body = Buffer.alloc(BIG, 0x20);
    for (let id = 3; id <= 50; id++) raw.send(wrap(ask(id, 'a.b', body)));
    const since = performance.now();
    await eventually(() => performance.now() - since > 500, 'time to read it all');
    expect(raw.socket.writableLength).toBeGreaterThan(0);
    expect(backend.requests).toHaveLength(2);
  });

  test.each(['ends its side', 'resets the connection'])('%s, and is noticed', async (how) => {
    await using backend = await startLinkBackend();
    await using gateway = await startGateway(
      grpc(backend.address, 'limits: { in_flight_per_session: 2 }'),
    );
    await using raw = await RawSocket.open(gateway.port, transport);
    await raw.shakeHands(transport);
    const wrap = (bytes: Buffer): Buffer =>
      transport === 'ws' ? frame(OPCODE.BINARY, bytes) : bytes;
    for (const id of [1, 2]) raw.send(wrap(ask(id, 'a.b')));
    await backend.came(2);
    if (how === 'ends its side') raw.socket.end();
    else raw.socket.resetAndDestroy();
    // Neither of the requests is answered.
    const { metrics } = gateway.gateway;
    await eventually(() => /^pith_sessions 0$/m.test(metrics.render()), 'the session to end');
    expect(metrics.render()).not.toMatch(/"TIMEOUT".*\} [1-9]/);
  });
});

describe('limits.json_depth', () => {
  const nested = (depth: number): string => '['.repeat(depth) + ']'.repeat(depth);
  const handshake = (depth: number): Buffer =>
    pack(PacketType.HANDSHAKE, `{"sys":{"type":"raw","version":"1"},"user":${nested(depth - 1)}}`);

  test('is that of handshakes, and the log says so', async () => {
    await using gateway = await startGateway(`${ECHO}limits: { json_depth: 40 }\n`);
    await using fits = await RawSocket.open(gateway.port, 'tcp');
    fits.send(handshake(40));
    await fits.waitFor(/"code":200/);
    await using refused = await RawSocket.open(gateway.port, 'tcp');
    refused.send(handshake(41));
    await refused.waitFor(/\{"code":500\}/);
    await eventually(
      () => gateway.count('pith_sessions_closed_total', 'handshake_refused') === 1,
      'the count',
    );
    expect(gateway.log).toContainEqual(
      expect.objectContaining({
        msg: 'session closed',
        error: expect.stringMatching(
          /^not a valid handshake: .* within limits\.packet \(65536 bytes\) and limits\.json_depth \(40\)$/,
        ) as string,
      }),
    );
  });

  test('is not that of what passes', async () => {
    const came: string[] = [];
    await using backend = await startLinkBackend((request) => {
      came.push(request.body.toString());
      request.answer({ code: 200 });
    });
    await using gateway = await startGateway(grpc(backend.address, 'limits: { json_depth: 3 }'));
    await using client = await TestClient.connect(gateway.port);
    client.raw(ask(9, 'a.b', nested(20_000)));
    expect(await client.answer(9)).toEqual({ code: 200 });
    expect(came).toEqual([nested(20_000)]);
  });
});

describe('what is not whole yet', () => {
  /** Each piece arrives alone, or nearly. */
  async function sendIn(raw: RawSocket, bytes: Buffer, pieceBytes: number): Promise<void> {
    for (let at = 0; at < bytes.length && !raw.isEnded; at += pieceBytes) {
      raw.send(bytes.subarray(at, at + pieceBytes));
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  test('of a WebSocket message comes in pieces of a size that a network makes', async () => {
    await using gateway = await startGateway(ECHO);
    await using raw = await RawSocket.open(gateway.port, 'ws');
    await raw.shakeHands('ws');
    const message = frame(OPCODE.BINARY, ask(7, 'echo.a', Buffer.alloc(65_000, 0x20)));
    await sendIn(raw, message, 512);
    await raw.waitFor(/"code":200[^]*"code":200/);
    expect(raw.isEnded).toBe(false);
  });

  test('may come byte by byte: its pieces cost no more than their bytes', async () => {
    await using gateway = await startGateway(ECHO);
    await using raw = await RawSocket.open(gateway.port, 'ws');
    await raw.shakeHands('ws');
    const message = frame(OPCODE.BINARY, ask(7, 'echo.a', Buffer.alloc(65_000, 0x20)));
    await sendIn(raw, message.subarray(0, 8_000), 1);
    await eventually(() => SLABS.blocks === 2, 'two blocks of 4 KiB to be held');
    raw.send(message.subarray(8_000));
    await raw.waitFor(/"code":200[^]*"code":200/);
    expect(SLABS.blocks).toBe(0);
  });

  test.each(TRANSPORTS)(
    'is given back to the system when its clients go, over %s',
    async (transport) => {
      const bytes = 256 * 1024;
      await using gateway = await startGateway(`${ECHO}limits: { packet: 1MiB, handshake: 10m }\n`);
      const open = Array.from({ length: 20 }, () => RawSocket.open(gateway.port, transport));
      const clients = await Promise.all(open);
      const packet = pack(PacketType.HANDSHAKE, Buffer.alloc(bytes, 0x20), bytes + 1);
      const message = frame(OPCODE.BINARY, packet, { announced: packet.length + 1 });
      for (const client of clients) client.send(transport === 'ws' ? message : packet);
      // 256 KiB and the heads.
      await eventually(() => SLABS.blocks === 20 * 65, 'all of it to be held');
      expect(SLABS.bytes).toBe(6 * 1_048_576);
      for (const client of clients.slice(0, 10)) await client[Symbol.asyncDispose]();
      await eventually(() => SLABS.blocks === 10 * 65, 'that of the others to be held');
      for (const client of clients) await client[Symbol.asyncDispose]();
      await eventually(() => SLABS.blocks === 0, 'nothing to be held');
      // Kept for the next.
      expect(SLABS.bytes).toBeLessThanOrEqual(1_048_576);
    },
  );

  test('is a handshake that takes more than a packet once it is parsed: it is refused', async () => {
    await using gateway = await startGateway(ECHO);
    const handshake = (lists: number): Buffer =>
      pack(PacketType.HANDSHAKE, `{"sys":{},"user":[${'[],'.repeat(lists)}[]]}`);
    await using fits = await RawSocket.open(gateway.port, 'tcp');
    // A list counts as 32 bytes.
    fits.send(handshake(2_000));
    await fits.waitFor(/"code":200/);
    await using refused = await RawSocket.open(gateway.port, 'tcp');
    refused.send(handshake(2_100));
    await refused.waitFor(/\{"code":500\}/);
    await expectClosedAs(gateway, 'handshake_refused');
  });
});
