/** TLS on the clients' ports: every scheme, what a port does not take, and how long it waits. */
import { createHook } from 'node:async_hooks';
import { once } from 'node:events';
import net from 'node:net';
import { afterAll, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';

import { SLABS } from '../../src/held.ts';
import { TestClient } from '../support/client.ts';
import { startGateway, type TestGateway } from '../support/gateway.ts';
import {
  ACK,
  ask,
  frame,
  HANDSHAKE,
  OPCODE,
  RawSocket,
  type Transport,
  UPGRADE,
} from '../support/raw.ts';
import { expectRefusedAs } from '../support/refused.ts';
import { Authority, connectTls, SecretFolder, TlsPipe } from '../support/tls.ts';
import { ECHO, startTlsGateway } from '../support/tls-gateway.ts';
import { eventually } from '../support/wait.ts';

const authority = new Authority();
const stranger = new Authority('Nobody knows it');
const secret = new SecretFolder(authority.issue('server'));
const TRUSTING = { ca: authority.cert };
const listening = (scheme: string, rest = ''): Promise<TestGateway> =>
  startTlsGateway(scheme, secret, { rest });

afterAll(() => {
  secret[Symbol.dispose]();
});

/** A way to a port for what goes below TLS: it comes there byte by byte, and more can be put in between. */
async function meddle(
  port: number,
): Promise<AsyncDisposable & { readonly port: number; readonly towards: ReadonlySet<net.Socket> }> {
  const towards = new Set<net.Socket>();
  const near = net.createServer((socket) => {
    const far = net.connect({ port, host: '127.0.0.1', noDelay: true });
    towards.add(far);
    for (const end of [socket, far]) end.on('error', () => {});
    far.on('close', () => socket.destroySoon());
    socket.on('close', () => far.destroy());
    far.pipe(socket);
    socket.on('data', (chunk) => {
      for (const byte of chunk) far.write(Buffer.from([byte]));
    });
  });
  near.listen(0, '127.0.0.1');
  await once(near, 'listening');
  return {
    port: (near.address() as net.AddressInfo).port,
    towards,
    async [Symbol.asyncDispose]() {
      for (const socket of towards) socket.destroy();
      near.close();
      await once(near, 'close');
    },
  };
}

const TAKEN = [
  { scheme: 'wss', secure: true, transport: 'ws', name: 'wss' },
  { scheme: 'tls', secure: true, transport: 'tcp', name: 'tls' },
  { scheme: 'auto', secure: true, transport: 'ws', name: 'wss' },
  { scheme: 'auto', secure: true, transport: 'tcp', name: 'tls' },
  { scheme: 'auto', secure: false, transport: 'ws', name: 'ws' },
  { scheme: 'auto', secure: false, transport: 'tcp', name: 'tcp' },
] as const;

describe('schemes', () => {
  test.each(TAKEN)(
    '$scheme takes $transport, TLS: $secure',
    async ({ scheme, secure, transport, name }) => {
      await using gateway = await listening(scheme);
      await using pipe = await TlsPipe.open(gateway.port, TRUSTING);
      const port = secure ? pipe.port : gateway.port;
      await using client = await TestClient.connect(port, transport);
      expect(await client.request('echo.a')).toEqual({ code: 200 });
      expect(gateway.count('pith_connections_accepted_total', name)).toBe(1);
      const [session] = gateway.gateway.registry.all();
      expect(session!.connection).toMatchObject({ transport: name, remoteAddress: '127.0.0.1' });
      expect(gateway.gateway.addresses.clients[0]).toBe(`${scheme}://127.0.0.1:${gateway.port}`);
      client.close();
      await eventually(() => gateway.gateway.registry.size === 0, 'the end of the session');
    },
  );

  test('a stock WebSocket client connects with wss://, and is told goodbye', async () => {
    await using gateway = await listening('wss');
    const socket = new WebSocket(`wss://localhost:${gateway.port}/any`, TRUSTING);
    socket.on('error', () => {});
    let received = '';
    socket.on('message', (data: Buffer) => (received += data.toString('latin1')));
    await once(socket, 'open');
    socket.send(HANDSHAKE);
    await eventually(() => received.includes('"code":200'), 'the handshake');
    socket.send(Buffer.concat([ACK, ask(1, 'echo.a')]));
    await eventually(() => received.endsWith('{"code":200}'), 'the answer');
    const closed = once(socket, 'close') as Promise<[number, Buffer]>;
    await gateway.gateway.drain(() => true);
    const [code, reason] = await closed;
    expect(code).toBe(1_001);
    expect(reason.toString()).toMatch(/^drain/);
  });

  test.each(['TLSv1.3', 'TLSv1.2'] as const)(
    '%s is spoken, and HTTP/1.1 is what ALPN finds',
    async (version) => {
      await using gateway = await listening('auto');
      const options = { ...TRUSTING, minVersion: version, maxVersion: version };
      const socket = await connectTls(gateway.port, {
        ...options,
        ALPNProtocols: ['h2', 'http/1.1'],
      });
      expect(socket.getProtocol()).toBe(version);
      expect(socket.alpnProtocol).toBe('http/1.1');
      socket.destroy();
    },
  );

  test('TLS 1.1 is refused, and the log says why', async () => {
    await using gateway = await listening('auto');
    await using pipe = await TlsPipe.open(gateway.port, {
      ...TRUSTING,
      minVersion: 'TLSv1',
      maxVersion: 'TLSv1.1',
      ciphers: 'DEFAULT@SECLEVEL=0',
    });
    await using raw = await RawSocket.connect(pipe.port);
    await raw.ended;
    await expectRefusedAs(gateway, 'tls_failed', { detail: 'unsupported protocol' });
  });

  test('a browser that opens the port is told to use wss://', async () => {
    await using gateway = await listening('auto');
    const socket = await connectTls(gateway.port, TRUSTING);
    socket.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    const parts: Buffer[] = [];
    for await (const part of socket) parts.push(part as Buffer);
    expect(Buffer.concat(parts).toString()).toMatch(/^HTTP\/1\.1 426 [^]*connect with wss:\/\//);
  });

  test('200 clients at once, of every kind, are all served', async () => {
    await using gateway = await listening('auto');
    await using pipe = await TlsPipe.open(gateway.port, TRUSTING);
    const clients = await Promise.all(
      Array.from({ length: 200 }, (_, i) =>
        TestClient.connect(i % 4 < 2 ? pipe.port : gateway.port, i % 2 === 0 ? 'tcp' : 'ws'),
      ),
    );
    const answers = await Promise.all(clients.map((client) => client.request('echo.a')));
    expect(answers.every(({ code }) => code === 200)).toBe(true);
    for (const name of ['ws', 'wss', 'tcp', 'tls'])
      expect(gateway.count('pith_connections_accepted_total', name)).toBe(50);
    for (const client of clients) client.close();
    await eventually(() => gateway.gateway.registry.size === 0, 'all of them to be gone');
  });
});

describe('what a port does not take', () => {
  test.each(['wss', 'tls'])(
    'a plain client on %s is closed, and the log says so',
    async (scheme) => {
      for (const bytes of [HANDSHAKE, UPGRADE]) {
        await using gateway = await listening(scheme);
        await using raw = await RawSocket.connect(gateway.port);
        raw.send(bytes);
        await raw.ended;
        expect(raw.received).toBe('');
        await expectRefusedAs(gateway, 'plain_on_tls_port');
      }
    },
  );

  test.each([
    { scheme: 'tls', bytes: UPGRADE, why: 'http_on_tcp_port' },
    { scheme: 'wss', bytes: HANDSHAKE, why: 'tcp_on_ws_port' },
  ] as const)('inside TLS on $scheme: $why', async ({ scheme, bytes, why }) => {
    await using gateway = await listening(scheme);
    await using pipe = await TlsPipe.open(gateway.port, TRUSTING);
    await using raw = await RawSocket.connect(pipe.port);
    raw.send(bytes);
    await raw.ended;
    expect(raw.received).toBe('');
    await expectRefusedAs(gateway, why, { listener: `${scheme}://127.0.0.1:${gateway.port}` });
  });

  test('raw TCP on auto for the json dialect, plain or over TLS', async () => {
    const { cert, key } = secret;
    await using gateway = await startGateway(
      `${ECHO}listen: [{ url: "auto://127.0.0.1:0", dialect: json, tls: { cert: ${cert}, key: ${key} } }]\n`,
    );
    await using pipe = await TlsPipe.open(gateway.port, TRUSTING);
    for (const port of [gateway.port, pipe.port]) {
      await using raw = await RawSocket.connect(port);
      raw.send(HANDSHAKE);
      await raw.ended;
    }
    expect(gateway.count('pith_connections_refused_total', 'tcp_on_ws_port')).toBe(2);
  });

  test('garbage in the place of a hello', async () => {
    await using gateway = await listening('auto');
    await using raw = await RawSocket.connect(gateway.port);
    raw.send(Buffer.concat([Buffer.from([0x16, 3, 1, 0, 40]), Buffer.alloc(400, 7)]));
    await raw.ended;
    await expectRefusedAs(gateway, 'tls_failed', { detail: expect.stringMatching(/./) });
  });

  test('bytes in clear after the handshake end that session and no other', async () => {
    await using gateway = await listening('auto');
    await using meddler = await meddle(gateway.port);
    await using meddled = await TlsPipe.open(meddler.port, TRUSTING);
    await using pipe = await TlsPipe.open(gateway.port, TRUSTING);
    await using client = await TestClient.connect(pipe.port, 'tcp');
    await using victim = await TestClient.connect(meddled.port, 'ws');
    expect(await victim.request('echo.a')).toEqual({ code: 200 });
    for (const socket of meddler.towards) socket.write(HANDSHAKE);
    await victim.ended;
    await eventually(() => gateway.gateway.registry.size === 1, 'the end of the session');
    expect(await client.request('echo.a')).toEqual({ code: 200 });
  });

  test.each([
    { what: 'what is no packet', bytes: Buffer.alloc(100, 0x99) },
    { what: 'TLS once more', bytes: Buffer.from([0x16, 3, 1, 0, 40, 1]) },
  ])('$what inside TLS ends the session', async ({ bytes }) => {
    await using gateway = await listening('auto');
    await using pipe = await TlsPipe.open(gateway.port, TRUSTING);
    await using raw = await RawSocket.connect(pipe.port);
    raw.send(bytes);
    await raw.ended;
    await eventually(() => gateway.gateway.registry.size === 0, 'the end of the session');
    expect(gateway.count('pith_sessions_closed_total', 'bad_packet_type')).toBe(1);
  });

  test('a client that does not trust the certificate', async () => {
    await using gateway = await listening('wss');
    await using pipe = await TlsPipe.open(gateway.port, { ca: stranger.cert });
    await using raw = await RawSocket.connect(pipe.port);
    await raw.ended;
    await expectRefusedAs(gateway, 'tls_failed');
  });
});

describe('deadlines', () => {
  const rest = 'limits: { handshake: 300ms }\n';

  test.each([
    { what: 'one byte of a hello', bytes: Buffer.from([0x16]) },
    { what: 'half a hello', bytes: Buffer.from([0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3]) },
  ])('$what, and then nothing', async ({ bytes }) => {
    await using gateway = await listening('auto', rest);
    await using raw = await RawSocket.connect(gateway.port);
    raw.send(bytes);
    await raw.ended;
    await expectRefusedAs(gateway, 'slow_handshake');
  });

  test('half a hello costs its bytes, and no TLS', async () => {
    await using gateway = await listening('auto', 'limits: { handshake: 10m }\n');
    let begun = 0;
    const hook = createHook({ init: (_, type) => (begun += Number(type === 'TLSWRAP')) }).enable();
    // The record announces 8,192 bytes; of what has come, each holds two blocks of 4 KiB.
    const half = Buffer.concat([Buffer.from([0x16, 3, 1, 0x20, 0]), Buffer.alloc(5_000)]);
    const raws = await Promise.all(
      Array.from({ length: 20 }, () => RawSocket.connect(gateway.port)),
    );
    for (const raw of raws) raw.send(half);
    await eventually(() => SLABS.blocks === 40, 'all of it to be held');
    expect(begun).toBe(0);
    raws[0]!.send(Buffer.alloc(8_192 - 5_000));
    await raws[0]!.ended;
    expect(begun).toBe(1);
    hook.disable();
    await expectRefusedAs(gateway, 'tls_failed');
    await eventually(() => SLABS.blocks === 38, 'what it held to be given back');
    for (const raw of raws) raw.socket.destroy();
    await eventually(() => SLABS.blocks === 0, 'nothing to be held');
  });

  test.each([
    { what: 'of another version', bytes: Buffer.from([0x16, 9, 9, 0, 200, 1]) },
    { what: 'too long for one', bytes: Buffer.from([0x16, 3, 1, 0x60, 0, 1]) },
  ])('a record $what is not waited for', async ({ bytes }) => {
    await using gateway = await listening('auto');
    await using raw = await RawSocket.connect(gateway.port);
    raw.send(bytes);
    await raw.ended;
    await expectRefusedAs(gateway, 'tls_failed');
  });

  test('half a hello, and the client goes away', async () => {
    await using gateway = await listening('auto');
    await using raw = await RawSocket.connect(gateway.port);
    raw.send(Buffer.from([0x16, 3, 1]));
    raw.socket.end();
    await expectRefusedAs(gateway, 'tls_failed', { detail: 'the connection ended' });
  });

  test('the handshake of TLS is done, and then nothing', async () => {
    await using gateway = await listening('auto', rest);
    const socket = await connectTls(gateway.port, TRUSTING);
    socket.resume();
    await once(socket, 'close');
    await expectRefusedAs(gateway, 'silent');
  });

  test('headers inside TLS that never end', async () => {
    await using gateway = await listening('auto', rest);
    await using pipe = await TlsPipe.open(gateway.port, TRUSTING);
    await using raw = await RawSocket.connect(pipe.port);
    raw.send('GET / HTTP/1.1\r\nHost: a\r\n');
    await raw.ended;
    await expectRefusedAs(gateway, 'slow_handshake');
  });

  test.each(['ws', 'tcp'] as const)(
    'a %s client whose bytes come one by one',
    async (transport) => {
      await using gateway = await listening('auto');
      await using meddler = await meddle(gateway.port);
      await using pipe = await TlsPipe.open(meddler.port, TRUSTING);
      await using client = await TestClient.connect(pipe.port, transport);
      expect(await client.request('echo.a')).toEqual({ code: 200 });
    },
  );

  test.each(['ws', 'tcp'] as const)(
    'over TLS and %s what is begun behind a whole message must be completed in time',
    async (transport: Transport) => {
      await using gateway = await listening('auto', 'heartbeat: 0s\nlimits: { assemble: 300ms }\n');
      await using pipe = await TlsPipe.open(gateway.port, TRUSTING);
      await using raw = await RawSocket.open(pipe.port, transport);
      await raw.shakeHands(transport);
      const message = ask(1, 'echo.a');
      const bytes = transport === 'ws' ? frame(OPCODE.BINARY, message) : message;
      raw.send(Buffer.concat([bytes, bytes.subarray(0, 5)]));
      await raw.waitFor(/\{"code":200\}/);
      await raw.ended;
      expect(gateway.count('pith_sessions_closed_total', 'assemble_timeout')).toBe(1);
    },
  );
});
