/** Backends on HTTP that are away, hang, break off, speak something else, or say too much. */
import http2 from 'node:http2';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import tls from 'node:tls';
import { describe, expect, test } from 'vitest';

import { TestClient } from '../support/client.ts';
import { HttpBackend, startRawPort } from '../support/http-backend.ts';
import { httpStage, startHttpGateway, whyLogged } from '../support/http-stage.ts';
import { freePort } from '../support/process.ts';
import { Authority } from '../support/tls.ts';
import { eventually } from '../support/wait.ts';

const AWAY = { code: 503, reason: 'BACKEND_AWAY', msg: 'the backend is unavailable; try again' };
const BAD = { code: 502, reason: 'BAD_REPLY' };

/** What a client is answered, and the operator told, where `url` is the backend's. */
async function expectTrouble(
  url: string,
  answer: Record<string, unknown>,
  words: string,
  more = '',
): Promise<void> {
  await using gateway = await startHttpGateway(url, more);
  await using client = await TestClient.connect(gateway.port);
  const said = await client.request('world.map.look', { a: 1 });
  expect(said).toMatchObject(answer);
  expect(JSON.stringify(said)).not.toContain('127.0.0.1');
  const line = await whyLogged(gateway, words);
  expect(line).toMatchObject({ level: 'warn', backend: 'web' });
}

describe('no connection', () => {
  test('nothing listens', async () => {
    const url = `http://127.0.0.1:${await freePort()}`;
    await expectTrouble(
      url,
      AWAY,
      `nothing listens at ${url}: start the backend, or correct backends.web.http`,
    );
  });

  test('the name is unknown', async () => {
    await expectTrouble('http://nobody.invalid:80', AWAY, 'http://nobody.invalid');
  });

  test('https where there is no TLS', async () => {
    await using backend = await HttpBackend.start(() => ({}));
    await expectTrouble(
      backend.url.replace('http:', 'https:'),
      AWAY,
      'does not speak TLS: write http:// in backends.web.http',
    );
  });

  test('a backend that comes is used at once; its coming is logged, and few of many failures', async () => {
    const port = await freePort();
    await using gateway = await startHttpGateway(`http://127.0.0.1:${port}`);
    await using client = await TestClient.connect(gateway.port);
    for (let i = 0; i < 20; i++) expect(await client.request('a.b.c')).toMatchObject(AWAY);
    expect(gateway.gateway.info().backends[0]).toMatchObject({ kind: 'http', healthy: 0 });
    await using _backend = await HttpBackend.start(() => ({ body: '{"ok":1}' }), { port });
    expect(await client.request('a.b.c')).toEqual({ ok: 1 });
    expect(gateway.gateway.info().backends[0]).toMatchObject({ addresses: 1, healthy: 1 });
    const states = gateway.log.filter(({ msg }) => msg === 'backend').map(({ state }) => state);
    expect(states).toEqual(['away', 'connected']);
    expect(gateway.log.filter(({ msg }) => msg === 'call failed')).toHaveLength(5);
  });
});

describe('TLS', () => {
  const authority = new Authority();
  const server = authority.issue('web');
  const pem = (text: string): string => JSON.stringify(text);

  test('https with the authority of the configuration', async () => {
    await using backend = await HttpBackend.start(() => ({ body: '{"ok":1}' }), { tls: server });
    await using gateway = await startHttpGateway(
      backend.url,
      `tls: { ca: ${pem(authority.cert)} }`,
    );
    await using client = await TestClient.connect(gateway.port);
    expect(await client.request('a.b.c')).toEqual({ ok: 1 });
  });

  test('an unknown authority', async () => {
    await using backend = await HttpBackend.start(() => ({}), { tls: server });
    await expectTrouble(backend.url, AWAY, 'unknown authority: name it in backends.web.tls.ca');
  });

  test('our certificate, where the backend asks for one', async () => {
    const own = authority.issue('pith');
    const options = { ...server, ca: authority.cert, requestCert: true, rejectUnauthorized: true };
    await using backend = await HttpBackend.start(() => ({ body: '{"ok":1}' }), { tls: options });
    const ca = `ca: ${pem(authority.cert)}`;
    await using gateway = await startHttpGateway(
      backend.url,
      `tls: { ${ca}, cert: ${pem(own.cert)}, key: ${pem(own.key)} }`,
    );
    await using client = await TestClient.connect(gateway.port);
    expect(await client.request('a.b.c')).toEqual({ ok: 1 });
    await expectTrouble(backend.url, AWAY, backend.url, `tls: { ${ca} }`);
  });

  test('a file that is not there names its key', async () => {
    await expect(
      startHttpGateway('https://127.0.0.1:1', 'tls: { ca: /no/ca.pem }'),
    ).rejects.toThrow(/backends\.web\.tls\.ca: \S+ cannot be read: no such file/);
  });
});

describe('a port that speaks something else', () => {
  test('TLS', async () => {
    const options = new Authority().issue('web');
    const server = tls.createServer(options).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    await expectTrouble(
      `http://127.0.0.1:${port}`,
      {},
      'does this port speak HTTP/1.1 without TLS?',
    );
    server.close();
  });

  test('TLS, as Go and nginx answer it', async () => {
    await using port = await startRawPort(
      'HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n',
    );
    await expectTrouble(port.url, BAD, 'speaks TLS: write https:// in backends.web.http');
  });

  test('a TLS alert', async () => {
    await using port = await startRawPort(Buffer.from([0x15, 3, 1, 0, 2, 2, 70]));
    await expectTrouble(port.url, BAD, 'speaks TLS: write https://');
  });

  test('HTTP/2 only', async () => {
    const server = http2.createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    await expectTrouble(`http://127.0.0.1:${port}`, BAD, 'speaks HTTP/2 only, as gRPC does');
    server.close();
  });

  test('anything', async () => {
    await using port = await startRawPort('+OK hello\r\n');
    await expectTrouble(port.url, BAD, 'is not HTTP/1.1');
  });

  test('nothing: it hangs up', async () => {
    await using port = await startRawPort('');
    await expectTrouble(port.url, AWAY, 'closed the connection before it answered');
  });
});

describe('invalid answers', () => {
  test.each([
    ['its body', 'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{"a"'],
    ['a chunk', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{"a'],
    ['its head', 'HTTP/1.1 20'],
  ])('cut off in %s', async (_where, bytes) => {
    await using port = await startRawPort(bytes);
    await expectTrouble(port.url, AWAY, 'in the middle of its answer');
  });

  test('a redirect is not followed', async () => {
    await using stand = await httpStage();
    const answer = await stand.ask({ status: 302, headers: { Location: 'http://10.0.0.3/login' } });
    expect(answer).toEqual({ ...BAD, msg: 'the backend answered with a redirect' });
    await stand.logged('answered 302, a redirect to http://10.0.0.3/login; none is followed');
    expect(stand.backend.asked).toHaveLength(1);
  });

  test('an event stream, and an answer that is compressed', async () => {
    await using stand = await httpStage();
    stand.backend.answering = (_asked, response) => {
      response.writeHead(200, { 'Content-Type': 'text/event-stream' });
      response.write('data: 1\n\n');
      return null;
    };
    expect(await stand.client.request('a.b.c')).toEqual({
      ...BAD,
      msg: 'the backend answered with an event stream',
    });
    await stand.logged('answered with an event stream: one body is needed');
    expect(await stand.ask({ headers: { 'Content-Encoding': 'gzip' }, body: 'x' })).toMatchObject(
      BAD,
    );
    await stand.logged('compressed its answer (gzip)');
    expect(await stand.ask({ body: '{"ok":1}' })).toEqual({ ok: 1 });
  });

  test('a stream that does not end is a timeout whose log line says so', async () => {
    await using stand = await httpStage();
    stand.backend.answering = (_asked, response) => {
      response.writeHead(200, { 'Content-Type': 'application/json' });
      response.write('{"part":');
      return null;
    };
    expect(await stand.client.request('hasty.a.b')).toMatchObject({ code: 504, reason: 'TIMEOUT' });
    await stand.logged('in 300 ms: it began and did not end: one body is needed, no stream');
    await eventually(() => stand.backend.asked[0]!.aborted, 'the end of the connection');
  });

  test('more than a packet holds, said beforehand and not', async () => {
    await using stand = await httpStage();
    const tooLong = { ...BAD, msg: "the backend's answer does not fit into a packet" };
    stand.backend.answering = (_asked, response) => {
      response.writeHead(200, { 'Content-Length': String(17 * 1024 * 1024) });
      response.write('{');
      return null;
    };
    expect(await stand.client.request('a.b.c')).toEqual(tooLong);
    const piece = Buffer.alloc(1024 * 1024, ' ');
    stand.backend.answering = (_asked, response) => {
      const more = (): void => {
        while (!response.destroyed && response.write(piece));
        if (!response.destroyed) response.once('drain', more);
      };
      more();
      return null;
    };
    expect(await stand.client.request('a.b.c')).toEqual(tooLong);
    await stand.logged('answered with more than the');
    expect(await stand.ask({ body: '{"ok":1}' })).toEqual({ ok: 1 });
  });

  test('headers without end', async () => {
    await using stand = await httpStage();
    const { reason } = await stand.ask({ headers: { 'X-Long': 'x'.repeat(70_000) } });
    expect(reason).toBe('BAD_REPLY');
    await stand.logged('more headers than are read');
  });
});

describe('time', () => {
  test('a silent backend is a 504, and is told that nobody waits', async () => {
    await using stand = await httpStage(() => null);
    const id = stand.client.send('hasty.slow.one', {});
    const asked = await stand.backend.nth(0);
    expect(asked.headers['pith-timeout-ms']).toMatch(/^(300|2\d\d)$/);
    expect(await stand.client.answer(id)).toMatchObject({ code: 504, reason: 'TIMEOUT' });
    await eventually(() => asked.aborted, 'the end of its connection');
    await stand.logged('in 300 ms: nothing came');
    expect(await stand.ask({ body: '{"ok":1}' })).toEqual({ ok: 1 });
    expect(stand.client.answersTo(id)).toBe(1);
  });

  test('a client that leaves ends its requests', async () => {
    await using stand = await httpStage(() => null);
    stand.client.send('world.map.look', {});
    const asked = await stand.backend.nth(0);
    stand.client.close();
    await eventually(() => asked.aborted, 'the end of its connection');
    expect(stand.gateway.count('pith_requests_total', 'web', 'client_gone')).toBe(1);
  });

  test('what waits for a connection keeps its time: it is late, and never sent', async () => {
    await using stand = await httpStage(() => null);
    const { gateway, backend } = stand;
    const clients = await Promise.all(
      Array.from({ length: 9 }, () => TestClient.connect(gateway.port)),
    );
    // Nine clients fill all connections, and more waits behind.
    const ids = clients.map((client) =>
      Array.from({ length: 30 }, (_, i) => client.send('free.move.step', { i })),
    );
    await eventually(() => backend.asked.length === 256, 'full connections');
    clients[8]!.send('hasty.a.b', {}, 99);
    expect(await clients[8]!.answer(99)).toMatchObject({ reason: 'TIMEOUT' });
    await stand.logged('all 256 connections were busy');
    backend.answering = () => ({ body: '{"ok":1}' });
    backend.cut();
    const answers = await Promise.all(
      clients.flatMap((client, at) => ids[at]!.map((id) => client.answer(id))),
    );
    expect(answers.filter(({ ok }) => ok === 1)).toHaveLength(9 * 30 - 256);
    expect(answers.filter(({ reason }) => reason === 'BACKEND_AWAY')).toHaveLength(256);
    expect(backend.asked.some(({ path }) => path.startsWith('/hasty'))).toBe(false);
    for (const client of clients) client.close();
  });
});

describe('at most once', () => {
  test('a backend that is killed: what is in flight is answered at once, and nothing is sent twice', async () => {
    const port = await freePort();
    const first = await HttpBackend.start(() => null, { port });
    await using gateway = await startHttpGateway(first.url);
    await using client = await TestClient.connect(gateway.port);
    const ids = Array.from({ length: 10 }, (_, i) => client.send('free.move.step', { i }));
    await first.nth(9);
    await first.stop();
    await using second = await HttpBackend.start(({ body }) => ({ body }), { port });
    const answers = await Promise.all(ids.map((id) => client.answer(id)));
    expect(answers).toEqual(ids.map(() => AWAY));
    expect(await client.request('free.move.step', { i: 11 })).toEqual({ i: 11 });
    expect(second.asked).toHaveLength(1);
  });

  test('a kept connection that closes as the next request comes: answered, not sent again', async () => {
    let cutNext = false;
    await using stand = await httpStage((_asked, response) => {
      if (!cutNext) return { body: '{"ok":1}' };
      cutNext = false;
      response.socket!.destroy();
      return null;
    });
    const { client, backend } = stand;
    expect(await client.request('a.b.c')).toEqual({ ok: 1 });
    cutNext = true;
    expect(await client.request('a.b.c')).toMatchObject(AWAY);
    expect(await client.request('a.b.c')).toEqual({ ok: 1 });
    expect(backend.asked.map(({ headers }) => headers['pith-seq'])).toEqual(['1', '2', '3']);
    expect(backend.asked[1]!.connection).toBe(1);
  });

  test('a server that closes each connection after its answer: every request once, answered once', async () => {
    await using stand = await httpStage((_asked, response) => {
      const { socket } = response;
      response.on('finish', () => setImmediate(() => socket?.destroy()));
      return { body: '{"ok":1}' };
    });
    const { client, backend } = stand;
    // It says nothing of that in a Keep-Alive header.
    backend.keepAliveMs = 0;
    const ids = Array.from({ length: 200 }, () => client.send('a.b.c', {}));
    const answers = await Promise.all(ids.map((id) => client.answer(id)));
    for (const { ok, reason } of answers) expect(ok === 1 || reason === 'BACKEND_AWAY').toBe(true);
    const seqs = backend.asked.map(({ headers }) => headers['pith-seq']);
    expect(new Set(seqs).size).toBe(seqs.length);
    expect(ids.map((id) => client.answersTo(id))).toEqual(ids.map(() => 1));
  });
});

describe('idempotent', () => {
  test('is sent again when the connection broke, with the same number and body', async () => {
    let broken = 0;
    await using stand = await httpStage((_asked, response) => {
      if (broken++ > 0) return { body: '{"ok":1}' };
      response.socket!.destroy();
      return null;
    });
    const { backend, client } = stand;
    expect(await client.request('again.b.c', { x: 1 })).toEqual({ ok: 1 });
    expect(backend.asked.map(({ headers }) => headers['pith-seq'])).toEqual(['1', '1']);
    expect(backend.asked.map(({ body }) => body.toString())).toEqual(['{"x":1}', '{"x":1}']);
    // A refusal is an answer.
    backend.answering = () => ({ status: 409 });
    expect(await client.request('again.b.c')).toMatchObject({ code: 409 });
    expect(backend.asked).toHaveLength(3);
  });
});
