/** Every port has the same lock: who says nothing, or half of something, or something else, is sent away and counted. */
import { once } from 'node:events';
import net from 'node:net';
import { expect, describe, test } from 'vitest';

import { fetchOnce } from '../support/fetch-once.ts';
import { call } from '../support/grpcurl.ts';
import { startGateway, type TestGateway } from '../support/gateway.ts';
import { RawSocket, UPGRADE } from '../support/raw.ts';
import { expectRefusedAs } from '../support/refused.ts';
import { eventually } from '../support/wait.ts';

const ECHO = `
backends: { echo: { reply: { code: 200 } } }
routes: [{ match: "echo.>", backend: echo }]
`;
const PREFACE = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n';
const ASKING = 'GET /livez HTTP/1.1\r\nHost: x\r\n\r\n';
type Port = 'health' | 'admin' | 'control';

function portOf(gateway: TestGateway, name: Port): number {
  return gateway[`${name}Port`];
}

function refused(gateway: TestGateway, name: Port, why: string): number {
  return gateway.count('pith_port_connections_refused_total', name, why);
}

/** The status of a harmless question. */
async function ask(gateway: TestGateway, name: Port): Promise<string> {
  if (name === 'control') return (await call(gateway, 'GetInfo')).status;
  return String((await fetchOnce(portOf(gateway, name), '/livez')).status);
}

describe('a connection to another port than the clients’', () => {
  test.each<{ name: Port; what: string; bytes: string; why: string }>([
    { name: 'health', what: 'that says nothing', bytes: '', why: 'silent' },
    { name: 'admin', what: 'that says nothing', bytes: '', why: 'silent' },
    { name: 'control', what: 'that says nothing', bytes: '', why: 'silent' },
    { name: 'health', what: 'with half a request', bytes: 'GET /livez HTT', why: 'slow_handshake' },
    {
      name: 'admin',
      what: 'with half a head',
      bytes: 'POST /v1/GetInfo HTTP/1.1\r\nHost: x\r\n',
      why: 'slow_handshake',
    },
    {
      name: 'control',
      what: 'with half a preface',
      bytes: PREFACE.slice(0, 10),
      why: 'slow_handshake',
    },
  ])('$name: $what is closed after limits.handshake', async ({ name, bytes, why }) => {
    await using gateway = await startGateway(`${ECHO}limits: { handshake: 200ms }\n`);
    await using raw = await RawSocket.connect(portOf(gateway, name));
    if (bytes !== '') raw.send(bytes);
    await raw.ended;
    expect(refused(gateway, name, why)).toBe(1);
    expect(gateway.log).toContainEqual(
      expect.objectContaining({
        msg: 'connection refused',
        level: 'info',
        why,
        remoteAddress: '127.0.0.1',
        listener: `${name}.listen 127.0.0.1:0`,
      }),
    );
  });

  test.each<Port>(['health', 'admin'])(
    '%s: a trickle of bytes does not put its end off, nor does having asked before',
    async (name) => {
      await using gateway = await startGateway(`${ECHO}limits: { handshake: 300ms }\n`);
      await using raw = await RawSocket.connect(portOf(gateway, name));
      raw.send(ASKING);
      await raw.waitFor(/200 OK[^]*ok\n/);
      const trickle = setInterval(() => raw.send('G'), 50);
      await raw.ended;
      clearInterval(trickle);
      // It was served: nobody was turned away.
      expect(refused(gateway, name, 'silent') + refused(gateway, name, 'slow_handshake')).toBe(0);
    },
  );

  test('admin: an upgrade that is refused and stays is cut', async () => {
    // Long enough for a busy machine to answer before the cut.
    await using gateway = await startGateway(`${ECHO}limits: { handshake: 3s }\n`);
    const socket = net.connect({ port: gateway.adminPort, host: '127.0.0.1', allowHalfOpen: true });
    socket.on('error', () => {});
    const closed = new Promise((resolve) => {
      socket.on('close', resolve);
    });
    let answer = '';
    socket.on('data', (chunk) => (answer += chunk.toString()));
    const answered = once(socket, 'end');
    socket.write(UPGRADE);
    await answered;
    expect(answer).toMatch(/^HTTP\/1\.1 404 /);
    // It leaves its side open, and notices the cut when it writes: not before it has read the answer, which the cut may
    // take away.
    const writing = setInterval(() => socket.write('x'), 20);
    await closed;
    clearInterval(writing);
  });

  test('that is kept open may ask again', async () => {
    await using gateway = await startGateway(ECHO);
    await using raw = await RawSocket.connect(gateway.healthPort);
    for (let n = 1; n <= 3; n++) {
      raw.send(ASKING);
      await raw.waitFor(new RegExp(`(?:200 OK[^]*?\\nok\\n[^]*?){${n}}`));
    }
    expect(raw.isEnded).toBe(false);
  });

  test('control: what is not gRPC is told apart at once', async () => {
    await using gateway = await startGateway(ECHO);
    await using raw = await RawSocket.connect(gateway.controlPort);
    raw.send(ASKING);
    await raw.ended;
    expect(refused(gateway, 'control', 'not_grpc')).toBe(1);
    expect(gateway.log).toContainEqual(
      expect.objectContaining({ detail: 'it begins with: GET /livez HTTP/1.1..Hos' }),
    );
  });

  test('control: a preface that comes byte by byte is one', async () => {
    await using gateway = await startGateway(ECHO);
    await using raw = await RawSocket.connect(gateway.controlPort);
    // An empty SETTINGS frame behind it.
    for (const byte of Buffer.from(`${PREFACE}\0\0\0\x04\0\0\0\0\0`, 'latin1')) {
      raw.send(Buffer.from([byte]));
      await new Promise((resolve) => setImmediate(resolve));
    }
    // SETTINGS of the server's.
    expect(await raw.waitFor(/^\0\0[^]\x04\0/)).not.toBeNull();
    expect(refused(gateway, 'control', 'not_grpc')).toBe(0);
  });

  test.each<Port>(['health', 'admin', 'control'])(
    '%s: when the port is full of silent ones, the next one finds a place',
    async (name) => {
      await using gateway = await startGateway(ECHO, { resources: { descriptors: 120 } });
      const port = portOf(gateway, name);
      const silent = await Promise.all(Array.from({ length: 19 }, () => RawSocket.connect(port)));
      for (let i = 0; i < 5; i++) {
        expect(await ask(gateway, name)).toMatch(/^(200|OK)$/);
      }
      expect(refused(gateway, name, 'crowded_out')).toBeGreaterThan(0);
      expect(silent.filter(({ isEnded }) => isEnded).length).toBeGreaterThan(0);
      for (const one of silent) one.socket.destroy();
    },
  );
});

describe('what the HTTP parser refuses', () => {
  const cookies = (bytes: number): string =>
    UPGRADE.replace('\r\n\r\n', `\r\nCookie: ${'c'.repeat(bytes)}\r\n\r\n`);

  test('is not a request with 9 KiB of cookies', async () => {
    await using gateway = await startGateway(ECHO);
    await using raw = await RawSocket.connect(gateway.port);
    raw.send(cookies(9 * 1024));
    await raw.waitFor(/^HTTP\/1\.1 101 /);
    expect(gateway.gateway.registry.size).toBe(1);
  });

  test.each([
    {
      what: '17 KiB of cookies',
      bytes: cookies(17 * 1024),
      status: 431,
      why: 'http_head_too_large',
      detail: /^over 16384 bytes$/,
    },
    { what: 'HTTP/2', bytes: PREFACE, status: 400, why: 'bad_http', detail: /HTTP\/2/ },
    {
      what: 'no method',
      bytes: 'HELO mail.example.com\r\n',
      status: 400,
      why: 'bad_http',
      detail: /^Invalid method encountered.*begins with: HELO mail\.example\.com/,
    },
    {
      what: 'a header with a line break in it',
      bytes: 'GET / HTTP/1.1\r\nHost: a\r\nX: a\nb\r\n\r\n',
      status: 400,
      why: 'bad_http',
      detail: /header/i,
    },
    {
      what: 'two lengths',
      bytes: 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n',
      status: 400,
      why: 'bad_http',
      detail: /Content-Length/i,
    },
    {
      what: 'an upgrade without a key',
      bytes: UPGRADE.replace(/Sec-WebSocket-Key: .*\r\n/, ''),
      status: 400,
      why: 'bad_upgrade',
      detail: /^Missing or invalid Sec-WebSocket-Key header$/,
    },
    {
      what: 'an upgrade of another version',
      bytes: UPGRADE.replace('Version: 13', 'Version: 7'),
      status: 400,
      why: 'bad_upgrade',
      detail: /^Missing or invalid Sec-WebSocket-Version header$/,
    },
    {
      what: 'an upgrade by POST',
      bytes: UPGRADE.replace('GET', 'POST'),
      status: 405,
      why: 'bad_upgrade',
      detail: /^Invalid HTTP method$/,
    },
  ] as const)('is answered, counted and logged: $what', async ({ bytes, status, why, detail }) => {
    await using gateway = await startGateway(ECHO);
    await using raw = await RawSocket.connect(gateway.port);
    raw.send(bytes);
    await raw.waitFor(new RegExp(`^HTTP/1\\.1 ${status} [^]*\\r\\n\\r\\n.+\\n$`));
    await raw.ended;
    await expectRefusedAs(gateway, why, { detail: expect.stringMatching(detail) as string });
    expect(gateway.gateway.registry.size).toBe(0);
  });

  test('is counted on the other ports too', async () => {
    await using gateway = await startGateway(ECHO);
    for (const name of ['health', 'admin'] as const) {
      await using raw = await RawSocket.connect(portOf(gateway, name));
      raw.send('BREW / HTTP/1.1\r\n\r\n');
      await raw.waitFor(/^HTTP\/1\.1 400 /);
      await raw.ended;
      expect(refused(gateway, name, 'bad_http')).toBe(1);
    }
  });

  test('is not a client that leaves in the middle of its request', async () => {
    await using gateway = await startGateway(ECHO);
    const raw = await RawSocket.connect(gateway.port);
    raw.send('GET / HTTP/1.1\r\nHo');
    await eventually(() => raw.socket.bytesWritten > 0, 'the half of it');
    raw.socket.resetAndDestroy();
    expect((await fetchOnce(gateway.healthPort, '/livez')).status).toBe(200);
    expect(gateway.count('pith_connections_refused_total', 'bad_http')).toBe(0);
  });
});

describe('a client of IPv4 on a port of IPv6', () => {
  test('is known by its plain address', async () => {
    await using gateway = await startGateway(
      `${ECHO}listen: [{ url: "auto://[::]:0", path: /game }]\n`,
    );
    await using raw = await RawSocket.open(gateway.port, 'tcp');
    await raw.shakeHands('tcp');
    const [session] = gateway.gateway.registry.all();
    expect(session!.remoteIp).toBe('127.0.0.1');
    await using other = await RawSocket.connect(gateway.port);
    other.send(UPGRADE);
    await other.ended;
    await expectRefusedAs(gateway, 'wrong_path', { remoteAddress: '127.0.0.1' });
    const six = net.connect({ port: gateway.port, host: '::1' });
    six.on('error', () => {});
    six.write(UPGRADE.replace('GET /', 'GET /game'));
    const second = await eventually(() => [...gateway.gateway.registry.all()][1], 'the second');
    expect(second.remoteIp).toBe('::1');
    six.destroy();
  });
});
