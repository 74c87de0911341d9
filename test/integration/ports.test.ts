/** What each port takes, and what it says to those who speak something else. */
import { describe, expect, test } from 'vitest';

import { systemClock } from '../../src/clock.ts';
import { encodePacket, PacketType } from '../../src/protocol/packet.ts';
import { Metrics } from '../../src/telemetry/metrics.ts';
import { makeLog } from '../../src/telemetry/log.ts';
import { TimerWheel } from '../../src/timer-wheel.ts';
import { AcceptPace } from '../../src/transport/accept-pace.ts';
import { AddressLimit } from '../../src/transport/address-limit.ts';
import { Listener } from '../../src/transport/listener.ts';
import type { Connection } from '../../src/transport/transport.ts';
import { TestClient } from '../support/client.ts';
import { startGateway, type TestGateway } from '../support/gateway.ts';
import { fetchOnce } from '../support/fetch-once.ts';
import { ACK, ask, frame, HANDSHAKE, OPCODE, RawSocket, UPGRADE } from '../support/raw.ts';
import { expectRefusedAs } from '../support/refused.ts';
import { eventually } from '../support/wait.ts';

const ECHO = `
backends: { echo: { reply: { code: 200 } } }
routes: [{ match: "echo.>", backend: echo }]
`;
/** The beginning of a TLS ClientHello. */
const TLS_HELLO = Buffer.from([0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3]);
const SCHEMES = ['auto', 'ws', 'tcp'] as const;

function listening(scheme: string, rest = ''): Promise<TestGateway> {
  return startGateway(`${ECHO}listen: [{ url: "${scheme}://127.0.0.1:0" }]\n${rest}`);
}

describe("clients' ports", () => {
  test.each([
    { scheme: 'auto', transport: 'tcp' },
    { scheme: 'auto', transport: 'ws' },
    { scheme: 'ws', transport: 'ws' },
    { scheme: 'tcp', transport: 'tcp' },
  ] as const)('$scheme takes $transport', async ({ scheme, transport }) => {
    await using gateway = await listening(scheme);
    await using client = await TestClient.connect(gateway.port, transport);
    expect(await client.request('echo.a')).toEqual({ code: 200 });
    expect(gateway.count('pith_connections_accepted_total', transport)).toBe(1);
  });

  test('several listeners serve the same gateway', async () => {
    await using gateway = await startGateway(
      `${ECHO}listen: [{ url: "ws://127.0.0.1:0" }, { url: "tcp://127.0.0.1:0" }]\n`,
    );
    const [ws, tcp] = gateway.gateway.addresses.clients.map((url) => Number(url.split(':').pop()));
    await using first = await TestClient.connect(ws!, 'ws');
    await using second = await TestClient.connect(tcp!, 'tcp');
    expect(await first.request('echo.a')).toEqual({ code: 200 });
    expect(await second.request('echo.a')).toEqual({ code: 200 });
    expect(gateway.gateway.registry.size).toBe(2);
  });

  test.each(['auto', 'ws'])('a browser that opens %s is told to use ws://', async (scheme) => {
    await using gateway = await listening(scheme);
    const answer = await fetchOnce(gateway.port, '/');
    expect(answer.status).toBe(426);
    expect(answer.headers['upgrade']).toBe('websocket');
    expect(answer.body).toContain('ws://');
    expect((await fetchOnce(gateway.port, '/x', 'POST')).status).toBe(426);
  });

  test('an upgrade to something else is refused', async () => {
    await using gateway = await listening('auto');
    await using raw = await RawSocket.connect(gateway.port);
    raw.send('GET / HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n');
    await raw.ended;
    expect(raw.received).toMatch(/^HTTP\/1\.1 4\d\d /);
  });

  test('HTTP on a TCP port is closed, and the log says so', async () => {
    await using gateway = await listening('tcp');
    await using raw = await RawSocket.connect(gateway.port);
    raw.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    await raw.ended;
    expect(raw.received).toBe('');
    await expectRefusedAs(gateway, 'http_on_tcp_port');
  });

  test.each(SCHEMES)('TLS on a plain %s port is closed, and the log says so', async (scheme) => {
    await using gateway = await listening(scheme);
    await using raw = await RawSocket.connect(gateway.port);
    raw.send(TLS_HELLO);
    await raw.ended;
    expect(raw.received).toBe('');
    await expectRefusedAs(gateway, 'tls_on_plain_port');
  });

  test('raw TCP on a WebSocket port is closed, and the log says so', async () => {
    await using gateway = await listening('ws');
    await using raw = await RawSocket.connect(gateway.port);
    raw.send(HANDSHAKE);
    await raw.ended;
    await expectRefusedAs(gateway, 'tcp_on_ws_port');
  });

  test('HTTP that is none gets 400', async () => {
    await using gateway = await listening('auto');
    await using raw = await RawSocket.connect(gateway.port);
    raw.send('GARBAGE\r\n\r\n');
    await raw.ended;
    expect(raw.received).toMatch(/^HTTP\/1\.1 400 /);
  });

  test.each([
    { name: 'that never end', bytes: 'GET / HTTP/1.1\r\nHost: a\r\n' },
    { name: 'of one letter', bytes: 'G' },
  ])('slow headers $name are cut', async ({ bytes }) => {
    await using gateway = await listening('auto', 'limits: { handshake: 300ms }\n');
    await using raw = await RawSocket.connect(gateway.port);
    raw.send(bytes);
    await raw.ended;
    await using client = await TestClient.connect(gateway.port, 'ws');
    expect(await client.request('echo.a')).toEqual({ code: 200 });
  });

  test.each(SCHEMES)('a silent connection on %s is cut', async (scheme) => {
    await using gateway = await listening(scheme, 'limits: { handshake: 200ms }\n');
    await using raw = await RawSocket.connect(gateway.port);
    await raw.ended;
    await expectRefusedAs(gateway, 'silent');
    expect(gateway.gateway.registry.size).toBe(0);
  });

  test('the first byte may come alone', async () => {
    await using gateway = await listening('auto');
    await using ws = await RawSocket.connect(gateway.port);
    await using tcp = await RawSocket.connect(gateway.port);
    ws.send(UPGRADE.slice(0, 1));
    tcp.send(HANDSHAKE.subarray(0, 1));
    await eventually(() => gateway.gateway.registry.size === 1, 'the TCP session');
    ws.send(UPGRADE.slice(1));
    tcp.send(Buffer.concat([HANDSHAKE.subarray(1), ACK, ask(1, 'echo.a')]));
    expect((await ws.waitFor(/^HTTP\/1\.1 (\d+)/))[1]).toBe('101');
    expect((await tcp.waitFor(/\{"code":(\d+)\}$/))[1]).toBe('200');
  });

  test('an upgrade may be followed by frames in the same segment', async () => {
    await using gateway = await listening('auto');
    await using raw = await RawSocket.connect(gateway.port);
    const frames = [HANDSHAKE, ACK, ask(1, 'echo.a')].map((bytes) => frame(OPCODE.BINARY, bytes));
    raw.send(Buffer.concat([Buffer.from(UPGRADE), ...frames]));
    expect((await raw.waitFor(/\{"code":(\d+)\}$/))[1]).toBe('200');
  });

  test('200 clients that connect at once are all served', async () => {
    await using gateway = await listening('auto');
    const clients = await Promise.all(
      Array.from({ length: 200 }, (_, i) =>
        TestClient.connect(gateway.port, i % 2 === 0 ? 'tcp' : 'ws'),
      ),
    );
    const answers = await Promise.all(clients.map((client) => client.request('echo.a')));
    expect(answers.every((answer) => answer['code'] === 200)).toBe(true);
    expect(gateway.gateway.registry.size).toBe(200);
    for (const client of clients) client.close();
    await eventually(() => gateway.gateway.registry.size === 0, 'all of them to be gone');
  });
});

describe('WebSocket pings and text', () => {
  test('a ping is answered, and so is one between the fragments of a message', async () => {
    await using gateway = await listening('ws');
    await using raw = await RawSocket.open(gateway.port, 'ws');
    await raw.shakeHands('ws');
    const message = ask(1, 'echo.a');
    raw.send(frame(OPCODE.BINARY, message.subarray(0, 6), { fin: false }));
    raw.send(frame(OPCODE.PING, Buffer.from('are you there')));
    await raw.waitFor(/\x8a\x0dare you there/);
    raw.send(frame(OPCODE.CONTINUATION, message.subarray(6)));
    expect((await raw.waitFor(/\{"code":(\d+)\}$/))[1]).toBe('200');
  });

  test('sixty pings at once are answered, each in its turn, before what came behind them', async () => {
    await using gateway = await listening('ws');
    await using raw = await RawSocket.open(gateway.port, 'ws');
    await raw.shakeHands('ws');
    const names = Array.from({ length: 60 }, (_, i) => `p${i + 10}`);
    const pings = names.map((name) => frame(OPCODE.PING, Buffer.from(name)));
    const before = raw.received.length;
    raw.send(Buffer.concat([...pings, frame(OPCODE.BINARY, ask(1, 'echo.a'))]));
    await raw.waitFor(/"code":200\}$/);
    const came = raw.received.slice(before);
    expect(came.split('\x8a\x03').slice(1, 60)).toEqual(names.slice(0, 59));
    expect(came).toMatch(/\x8a\x03p69[^]{1,20}\{"code":200\}$/);
  });

  test('more at once are a flood: what follows is not answered, but a close is', async () => {
    await using gateway = await listening('ws');
    await using raw = await RawSocket.open(gateway.port, 'ws');
    await raw.shakeHands('ws');
    const before = raw.received.length;
    const pings = Array.from({ length: 500 }, () => frame(OPCODE.PING, Buffer.from('p')));
    raw.send(Buffer.concat([...pings, frame(OPCODE.CLOSE, Buffer.from([3, 232]))]));
    await raw.ended;
    const came = raw.received.slice(before);
    expect(came.match(/\x8a\x01p/g)).toHaveLength(60);
    expect(came).toMatch(/\x8a\x01p\x88[^]{1,125}$/);
    expect(gateway.count('pith_sessions_closed_total', 'ping_flood')).toBe(1);
  });

  test('a WebSocket connection sends pings, and reports pings and pongs; TCP has neither', async () => {
    const wheel = new TimerWheel(systemClock);
    const log = makeLog({ clock: systemClock, level: 'error', format: 'json', write() {} });
    const connections: Connection[] = [];
    let pongs = 0;
    const listener = new Listener(
      {
        scheme: 'auto',
        host: '127.0.0.1',
        port: 0,
        packetBytesMax: 1_024,
        handshakeMs: 5_000,
        webSocketOnly: false,
        path: '*',
        origins: [],
        proxies: { header: 'none', trusted: [] },
        tls: null,
      },
      {
        clock: systemClock,
        wheel,
        log,
        metrics: new Metrics(),
        mayAccept: () => true,
        addressLimit: new AddressLimit(0),
        pace: new AcceptPace({ wheel, log }, 1_000),
        isBlocked: () => false,
        accept(connection) {
          connections.push(connection);
          return {
            onBytes(chunk) {
              // Behind the ping, so that who has this has the ping as well.
              connection.ping();
              connection.send([encodePacket(PacketType.DATA, chunk)!]);
            },
            onDrain() {},
            onFault() {},
            onClosed() {},
            onPong() {
              pongs++;
            },
          };
        },
      },
    );
    await listener.listen();
    await using ws = await RawSocket.open(listener.port, 'ws');
    await using tcp = await RawSocket.connect(listener.port);
    ws.send(frame(OPCODE.BINARY, Buffer.from('hello')));
    tcp.send(Buffer.from('\x01hello'));
    const overWs = await ws.waitFor(/\r\n\r\n([^]*)hello$/);
    expect(overWs[1]).toBe('\x89\0\x82\x09\x04\0\0\x05');
    expect((await tcp.waitFor(/^([^]*)hello$/))[1]).toBe('\x04\0\0\x06\x01');
    ws.send(Buffer.concat([frame(10, Buffer.alloc(0)), frame(OPCODE.PING, Buffer.from('x'))]));
    await ws.waitFor(/\x8a\x01x$/);
    expect(pongs).toBe(2);
    expect(connections.map(({ transport }) => transport)).toEqual(['ws', 'tcp']);
    expect(listener.waiting).toBe(0);
    for (const connection of connections) connection.destroy();
    listener.close();
    wheel.stop();
  });

  test('a message in a text frame is read like any other', async () => {
    await using gateway = await listening('ws');
    await using raw = await RawSocket.open(gateway.port, 'ws');
    await raw.shakeHands('ws');
    raw.send(frame(OPCODE.TEXT, ask(1, 'echo.a')));
    expect((await raw.waitFor(/\{"code":(\d+)\}$/))[1]).toBe('200');
  });
});

describe('probes and metrics', () => {
  test('the health port and the admin port answer alike', async () => {
    await using gateway = await startGateway(ECHO);
    for (const port of [gateway.healthPort, gateway.adminPort]) {
      expect(await fetchOnce(port, '/livez')).toMatchObject({ status: 200, body: 'ok\n' });
      expect(await fetchOnce(port, '/readyz?verbose')).toMatchObject({ status: 200, body: 'ok\n' });
      expect((await fetchOnce(port, '/metrics')).headers['content-type']).toMatch(
        /^text\/plain; version=0\.0\.4/,
      );
      expect((await fetchOnce(port, '/elsewhere')).status).toBe(404);
      const posted = await fetchOnce(port, '/livez', 'POST');
      expect(posted.status).toBe(405);
      expect(posted.headers['allow']).toBe('GET, HEAD');
      for (const path of ['/livez', '/readyz', '/metrics', '/elsewhere']) {
        const head = await fetchOnce(port, path, 'HEAD');
        expect(head.status).toBe(path === '/elsewhere' ? 404 : 200);
        expect(head.body).toBe('');
        expect(Number(head.headers['content-length'])).toBeGreaterThan(0);
      }
    }
  });

  test('without the bus it lives, but is not ready, and says why', async () => {
    await using gateway = await startGateway(
      'bus: nats://127.0.0.1:1\nbackends: { b: { nats: {} } }\nroutes: [{ match: ">", backend: b }]',
    );
    expect((await fetchOnce(gateway.healthPort, '/livez')).status).toBe(200);
    const ready = await fetchOnce(gateway.healthPort, '/readyz');
    expect(ready.status).toBe(503);
    expect(ready.body).toContain('bus');
    await using client = await TestClient.connect(gateway.port);
    expect(await client.request('a.b')).toMatchObject({ code: 503, reason: 'BUS_AWAY' });
  });

  test('every line of the metrics is Prometheus text, and the counters are there', async () => {
    await using gateway = await startGateway(ECHO);
    await using client = await TestClient.connect(gateway.port, 'ws');
    await client.request('echo.a');
    await client.request('nowhere.a');
    client.notify('echo.a', {});
    client.raw(Buffer.from([4, 0, 0, 1, 8]));
    await client.request('echo.a');
    const { body } = await fetchOnce(gateway.healthPort, '/metrics');
    expect(body.endsWith('\n')).toBe(true);
    const types = new Map<string, string>();
    const samples = new Map<string, number>();
    for (const line of body.trimEnd().split('\n')) {
      const comment = /^# (HELP|TYPE) ([a-zA-Z_:][a-zA-Z0-9_:]*) (.+)$/.exec(line);
      if (comment !== null) {
        if (comment[1] === 'TYPE') types.set(comment[2]!, comment[3]!);
        continue;
      }
      const sample =
        /^([a-zA-Z_:][a-zA-Z0-9_:]*)(\{(?:[a-zA-Z_]\w*="(?:[^"\\\n]|\\["\\n])*",?)*\})? (\S+)$/.exec(
          line,
        );
      expect(sample, line).not.toBeNull();
      const base = sample![1]!.replace(/_(bucket|sum|count)$/, '');
      expect(types.has(sample![1]!) || types.get(base) === 'histogram', line).toBe(true);
      expect(Number(sample![3]), line).not.toBeNaN();
      const series = `${sample![1]}${sample![2] ?? ''}`;
      expect(samples.has(series), `${series} once`).toBe(false);
      samples.set(series, Number(sample![3]));
    }
    for (const [name, type] of types)
      expect(type === 'counter', name).toBe(name.endsWith('_total'));
    expect(Object.fromEntries(samples)).toMatchObject({
      pith_sessions: 1,
      pith_bus_up: 1,
      'pith_connections_accepted_total{transport="ws"}': 1,
      'pith_messages_dropped_total{reason="bad_kind"}': 1,
      'pith_messages_refused_total{reason="NO_ROUTE"}': 1,
      'pith_requests_total{backend="echo",outcome="ok"}': 3,
      'pith_requests_in_flight{backend="echo"}': 0,
    });
  });

  test('telemetry.metrics: false turns /metrics off', async () => {
    await using gateway = await startGateway(`${ECHO}telemetry: { metrics: false }\n`);
    expect((await fetchOnce(gateway.healthPort, '/metrics')).status).toBe(404);
  });
});
