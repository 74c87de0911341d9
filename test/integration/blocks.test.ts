/** Clients that are blocked by network, uid and kind of client, on every listener of one gateway. */
import { once } from 'node:events';
import net from 'node:net';
import { describe, expect, test } from 'vitest';

import { admin } from '../support/admin.ts';
import { TestClient } from '../support/client.ts';
import { startGateway, type TestGateway } from '../support/gateway.ts';
import { GrpcBackend } from '../support/grpc-backend.ts';
import { call, control } from '../support/grpcurl.ts';
import { RawSocket } from '../support/raw.ts';
import { configFile, pith, serve } from '../support/serve.ts';
import { eventually } from '../support/wait.ts';

const ROUTES = `
backends: { echo: { reply: { code: 200 } } }
routes: [{ match: "echo.>", backend: echo }]
`;
/** Of this machine, and of no other client of a test. */
const OTHER = '127.0.0.9';

const kinds = { network: 0, uid: 0, client: 0 };
function counts(gateway: TestGateway): typeof kinds {
  const count = (kind: string): number => gateway.count('pith_blocked_total', kind);
  return { network: count('network'), uid: count('uid'), client: count('client') };
}

/** What a connection from there gets before it is closed. */
async function heardFrom(port: number, from: string, bytes: string): Promise<string> {
  const socket = net.connect({ port, host: '127.0.0.1', localAddress: from });
  let heard = '';
  socket.on('data', (chunk: Buffer) => (heard += chunk.toString('latin1')));
  socket.on('error', () => {});
  socket.write(bytes);
  await once(socket, 'close');
  return heard;
}

describe('a network', () => {
  test('is closed at once, and nothing more comes from it; others stay', async () => {
    await using gateway = await startGateway(ROUTES);
    await using near = await TestClient.connect(gateway.port);
    await using tcp = await TestClient.connect(gateway.port, 'tcp', { from: OTHER });
    await using ws = await TestClient.connect(gateway.port, 'ws', { from: OTHER });
    const { lines } = await admin(gateway, 'Block', {
      network: '::ffff:127.0.0.9/125',
      reason: 'scraping',
      expires_in: '3600s',
    });
    expect(lines[0]).toMatchObject({
      block: { network: '127.0.0.8/29', reason: 'scraping', source: 'control' },
      ...{ closed: 2, gateways: 1, silent_gateways: [], durable: false },
    });
    // Which a page has, and one block has not.
    expect(lines[0]!['block']).not.toHaveProperty('next_page_token');
    expect((await tcp.next('kick')).body).toEqual({ reason: 'blocked' });
    expect((await ws.next('kick')).body).toEqual({ reason: 'blocked' });
    expect(await ws.ended).toEqual({ code: 1008, reason: 'blocked' });
    await tcp.ended;
    expect(await near.request('echo.a')).toEqual({ code: 200 });
    expect(gateway.count('pith_sessions_closed_total', 'blocked')).toBe(2);

    // Not even a TLS alert or an HTTP answer.
    for (const bytes of ['GET / HTTP/1.1\r\n\r\n', '\x16\x03\x01', ''])
      expect(await heardFrom(gateway.port, OTHER, bytes)).toBe('');
    expect(gateway.count('pith_connections_refused_total', 'blocked')).toBe(3);
    expect(counts(gateway)).toEqual({ network: 5, uid: 0, client: 0 });
    await using _still = await TestClient.connect(gateway.port);

    const unblocked = await admin(gateway, 'Unblock', { network: '127.0.0.8/29' });
    expect(unblocked.lines).toMatchObject([{ found: true, in_file: false, durable: false }]);
    await using back = await TestClient.connect(gateway.port, 'ws', { from: OTHER });
    expect(await back.request('echo.a')).toEqual({ code: 200 });
    const lines2 = gateway.log.filter(({ msg }) => msg === 'blocked' || msg === 'unblocked');
    expect(lines2).toMatchObject([
      { msg: 'blocked', network: '127.0.0.8/29', why: 'scraping', closed: 2, gateways: 1 },
      { msg: 'unblocked', network: '127.0.0.8/29', gateways: 1 },
    ]);
  });

  test('behind a trusted proxy it is the client that counts, by PROXY header or HTTP header; the proxy stays', async () => {
    const proxies = `trusted_proxies: [127.0.0.2], proxy_protocol: optional`;
    await using gateway = await startGateway(
      `listen: [{ url: "auto://127.0.0.1:0", ${proxies} }]\n${ROUTES}`,
    );
    const way = { from: '127.0.0.2', headers: { 'X-Forwarded-For': '203.0.113.7' } };
    await using ws = await TestClient.connect(gateway.port, 'ws', way);
    for (const network of ['203.0.113.0/24', '127.0.0.2'])
      await control(gateway, 'Block', { network });
    expect((await ws.next('kick')).body).toEqual({ reason: 'blocked' });

    await expect(TestClient.open(gateway.port, 'ws', way)).rejects.toThrow('403');
    const header = 'PROXY TCP4 203.0.113.7 198.51.100.1 56324 443\r\n';
    expect(await heardFrom(gateway.port, '127.0.0.2', header)).toBe('');
    expect(gateway.count('pith_connections_refused_total', 'blocked')).toBe(2);
    const other = { from: '127.0.0.2', headers: { 'X-Forwarded-For': '203.0.112.7' } };
    await using client = await TestClient.connect(gateway.port, 'ws', other);
    expect(await client.request('echo.a')).toEqual({ code: 200 });
    // From itself it is a client like any other, once it says so.
    expect(
      await heardFrom(
        gateway.port,
        '127.0.0.2',
        'PROXY TCP4 127.0.0.1 127.0.0.1 1 2\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n',
      ),
    ).toMatch(/^HTTP\/1\.1 426/);
  });

  test('what was let in and says nothing yet is turned away at its first byte', async () => {
    await using gateway = await startGateway(ROUTES);
    await using raw = await RawSocket.open(gateway.port, 'tcp');
    await eventually(() => gateway.gateway.addresses.clients.length > 0, 'the listener');
    await using other = await TestClient.open(gateway.port, 'tcp', { from: OTHER });
    // Behind it in the kernel's queue, so it was taken too.
    await using _later = await TestClient.connect(gateway.port);
    await control(gateway, 'Block', { network: OTHER });
    other.ack();
    await other.ended;
    expect(gateway.count('pith_connections_refused_total', 'blocked')).toBe(1);
    expect(raw).toBeInstanceOf(RawSocket);
  });
});

describe('a kind of client', () => {
  test('is refused in the handshake with 501, and closed where it is connected', async () => {
    await using gateway = await startGateway(ROUTES);
    const open = async (type: string, version: string) => {
      const client = await TestClient.open(gateway.port);
      const answer = await client.handshake({ type, version });
      if (answer['code'] === 200) client.ack();
      return { client, code: answer['code'] };
    };
    const old = await open('unity-socket', '0.2.9');
    const good = await open('unity-socket', '0.3.1');
    const { lines } = await admin(gateway, 'Block', { client: 'unity-socket  <0.3' });
    expect(lines).toMatchObject([{ closed: 1, block: { client: 'unity-socket <0.3' } }]);
    expect((await old.client.next('kick')).body).toEqual({ reason: 'blocked' });
    expect((await open('unity-socket', '0.2.0')).code).toBe(501);
    expect((await open('unity-socket', '0.3.0')).code).toBe(200);
    expect(good.client.isEnded).toBe(false);
    expect(counts(gateway)).toEqual({ network: 0, uid: 0, client: 2 });
  });
});

describe('a uid', () => {
  test('cannot be bound, at the handshake, by an answer or by Control; its sessions are closed', async () => {
    await using backend = await GrpcBackend.start();
    backend.handler = (asked) => {
      asked.answer({ code: 200 }, { patch: { uid: 'eve' } });
    };
    await using gateway = await startGateway(
      `backends: { login: { grpc: "${backend.url}" } }\nroutes: [{ match: "login.>", backend: login }]`,
    );
    await using eve = await TestClient.connect(gateway.port);
    expect(await eve.request('login.in')).toMatchObject({ code: 200 });
    await using other = await TestClient.connect(gateway.port);
    expect(await control(gateway, 'Block', { uid: 'eve' })).toMatchObject({ closed: 1 });
    expect((await eve.next('kick')).body).toEqual({ reason: 'blocked' });
    expect(await other.request('login.in')).toMatchObject({ code: 403, reason: 'FORBIDDEN' });
    const [session] = [...gateway.gateway.registry.all()];
    expect(session!.uid).toBe('');
    const bound = await call(gateway, 'Bind', { sid: session!.sid, uid: 'eve' });
    expect([bound.status, bound.text]).toEqual([
      'PermissionDenied',
      'FORBIDDEN: this user is blocked',
    ]);
    await control(gateway, 'Unblock', { uid: 'eve' });
    expect(await other.request('login.in')).toMatchObject({ code: 200 });
  });
});

describe('Control', () => {
  test('lists blocks sorted, page by page, and as lines that blocks.file may hold', async () => {
    using file = configFile('{"uid":"filed"}\n');
    await using gateway = await startGateway(`${ROUTES}blocks: { file: ${file.path} }`);
    for (const block of [
      { uid: 'ann' },
      { network: '10.0.0.0/8' },
      { client: 'js <1', expires_in: '60s' },
    ])
      await control(gateway, 'Block', block);
    const { lines } = await admin(gateway, 'ListBlocks');
    const short = lines.map(({ network, uid, client, source }) => [
      network || uid || client,
      source,
    ]);
    expect(short).toEqual([
      ['js <1', 'control'],
      ['10.0.0.0/8', 'control'],
      ['ann', 'control'],
      ['filed', 'file'],
    ]);
    expect(Object.keys(lines[0]!)).toContain('until');
    const pages: unknown[] = [];
    for (let token = ''; ;) {
      const { answers } = await call(gateway, 'ListBlocks', { limit: 3, page_token: token });
      pages.push(answers.length);
      token = (answers.at(-1)?.['nextPageToken'] as string | undefined) ?? '';
      if (token === '') break;
    }
    expect(pages).toEqual([4, 1]);
    const saved = lines.map((line) => JSON.stringify(line)).join('\n');
    using next = configFile(saved);
    await using other = await startGateway(`${ROUTES}blocks: { file: ${next.path} }`);
    expect((await admin(other, 'ListBlocks')).lines.map(({ source }) => source)).toEqual(
      Array(4).fill('file'),
    );
    expect((await admin(gateway, 'Unblock', { uid: 'filed' })).lines).toMatchObject([
      { found: false, in_file: true },
    ]);
  });

  test('a block that lasts longer than times can be told is listed, and may stand in blocks.file', async () => {
    await using gateway = await startGateway(ROUTES);
    const block = { uid: 'eve', expires_in: '315576000000s' };
    const until = '9999-12-31T23:59:59.999Z';
    const { status, lines } = await admin(gateway, 'Block', block);
    expect([status, lines]).toMatchObject([200, [{ block: { uid: 'eve', until } }]]);
    const listed = (await admin(gateway, 'ListBlocks')).lines;
    expect(listed).toMatchObject([{ uid: 'eve', until }]);
    using file = configFile(JSON.stringify(listed[0]));
    await using other = await startGateway(`${ROUTES}blocks: { file: ${file.path} }`);
    expect((await admin(other, 'ListBlocks')).lines).toMatchObject([{ uid: 'eve', until }]);
  });

  test('a block that ends lets in whom it kept out', async () => {
    await using gateway = await startGateway(ROUTES);
    await control(gateway, 'Block', { network: OTHER, expires_in: '0.2s' });
    await eventually(async () => {
      const client = await TestClient.open(gateway.port, 'ws', { from: OTHER }).catch(() => null);
      await client?.[Symbol.asyncDispose]();
      return client !== null;
    }, 'the end of the block');
    expect((await admin(gateway, 'ListBlocks')).lines).toEqual([]);
  });

  test.each([
    [{}, 'expected one of network, uid and client'],
    [
      { network: '10.0.0.0/99' },
      'network: expected 203.0.113.0/24, 2001:db8::/32 or one address, not "10.0.0.0/99"',
    ],
    [{ uid: '1', expires_in: '0s' }, 'expires_in is 0; leave it out for a block without end'],
    [{ uid: '1', expires_in: '-5s' }, 'the request cannot be read: expires_in is negative'],
    [{ uid: '1', reason: 'x'.repeat(257) }, 'reason: longer than 256 characters'],
  ])('refuses %j', async (request, why) => {
    await using gateway = await startGateway(ROUTES);
    const { status, lines } = await admin(gateway, 'Block', request);
    expect([status, lines[0]!['msg'] ?? (lines[0]!['error'] as { msg: string }).msg]).toEqual([
      400,
      why,
    ]);
  });
});

describe('blocks.file', () => {
  test('is read again when it changes, all of it or nothing, without a restart', async () => {
    using file = configFile('# nobody yet\n');
    const { writeFileSync } = await import('node:fs');
    await using served = await serve(`${ROUTES}blocks: { file: ${file.path} }`);
    await using client = await TestClient.connect(served.port, 'tcp', { from: OTHER });
    writeFileSync(file.path, `{"network":"${OTHER}","reason":"x"}\n`);
    expect((await client.next('kick')).body).toEqual({ reason: 'blocked' });
    expect(await served.logged('configuration reloaded')).toMatchObject({
      changed: ['blocks.file'],
    });

    writeFileSync(file.path, '{"uid":"1"}\nnonsense\n');
    const refused = await admin(served, 'Reload');
    expect(refused.lines[0]!['errors']).toEqual([
      expect.stringMatching(/blocks\.file: .*pith\.yaml:2: not JSON/),
    ]);
    expect(await heardFrom(served.port, OTHER, '')).toBe('');
    writeFileSync(file.path, '');
    expect((await admin(served, 'Reload')).lines[0]).toMatchObject({
      changed: ['blocks.file'],
      errors: [],
    });
    await using _back = await TestClient.connect(served.port, 'tcp', { from: OTHER });
  });

  test('that is wrong is refused before anything listens, by line', async () => {
    using blocks = configFile('{"uid":"1"}\n{"network":"10.0.0.0/99"}\n');
    using config = configFile(`${ROUTES}blocks: { file: ${blocks.path} }\n`);
    for (const command of ['check', 'serve']) {
      const { code, output } = await pith(command, '--config', config.path);
      expect(code).toBe(78);
      expect(output).toContain(`${blocks.path}:2: network: expected 203.0.113.0/24`);
    }
  });
});
