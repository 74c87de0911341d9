/** Backends on HTTP: what they are sent, and what their answers do. When they fail: http-trouble.test.ts. */
import { describe, expect, test } from 'vitest';

import type { TestGateway } from '../support/gateway.ts';
import { TestClient } from '../support/client.ts';
import { HttpBackend } from '../support/http-backend.ts';
import { httpStage, startHttpGateway } from '../support/http-stage.ts';
import { eventually } from '../support/wait.ts';

describe('what a backend is sent', () => {
  test('a POST with the body as it came, and these headers only', async () => {
    await using stand = await httpStage(undefined, 'headers: { Authorization: "Bearer x" }');
    const { backend, client } = stand;
    expect(await client.request('world.map.look', { at: 1 })).toEqual({ ok: 1 });
    const [first] = backend.asked;
    expect(first).toMatchObject({ method: 'POST', path: '/world/map/look' });
    expect(first!.body.toString()).toBe('{"at":1}');
    expect(first!.headers).toEqual({
      host: `127.0.0.1:${backend.port}`,
      connection: 'keep-alive',
      'content-length': '8',
      'content-type': 'application/json',
      authorization: 'Bearer x',
      'pith-sid': stand.session().sid,
      'pith-client-ip': '127.0.0.1',
      'pith-data': '{}',
      'pith-seq': '1',
      'pith-id': '1',
      'pith-route': 'world.map.look',
      'pith-timeout-ms': expect.stringMatching(/^(60000|[1-5]\d{4})$/) as unknown,
    });
    expect(first!.names).toContain('Pith-Client-Ip');
  });

  test('the uid and forwarded data are encoded as on NATS, and follow every change', async () => {
    await using stand = await httpStage();
    await stand.ask({
      headers: {
        'Pith-Bind': 'zo%C3%AB%205%25',
        'Pith-Set': '{"room":"Größe%201","level":3,"x":1}',
      },
    });
    expect(stand.session()).toMatchObject({
      uid: 'zoë 5%',
      data: { room: 'Größe 1', level: 3, x: 1 },
    });
    await stand.ask({ headers: { 'Pith-Set': '{"level":4}' } });
    await stand.ask({});
    const [, second, third] = stand.backend.asked;
    expect(second!.headers).toMatchObject({
      'pith-uid': 'zo%C3%AB%205%25',
      'pith-data': '{"room":"Gr\\u00f6\\u00dfe%201","level":3}',
      'pith-seq': '2',
    });
    expect(third!.headers['pith-data']).toBe('{"room":"Gr\\u00f6\\u00dfe%201","level":4}');
  });

  test('a notify has no Pith-Id; its body is dropped and its changes apply', async () => {
    await using stand = await httpStage(() => ({
      body: '{"nobody":"hears"}',
      headers: { 'Pith-Bind': 'ann' },
    }));
    stand.client.notify('world.map.step', { x: 1 });
    const first = await stand.backend.nth(0);
    expect(first.headers['pith-id']).toBeUndefined();
    await eventually(() => stand.session().uid === 'ann', 'the bind');
    stand.backend.answering = () => ({ body: '{"ok":1}' });
    expect(await stand.client.request('world.map.look')).toEqual({ ok: 1 });
    expect(stand.client.received.filter(({ kind }) => kind === 'response')).toHaveLength(1);
  });

  test.each([
    ['status.user.get', '/status'],
    ['shop.item.buy', '/v1/shop/buy?in=item'],
    ['shop.a.b.buy', '/v1/shop/buy?in=a/b'],
    ['Room.Join', '/Room/Join'],
    ['single', '/single'],
  ])('route %s goes to %s, behind the path of the URL', async (route, path) => {
    await using backend = await HttpBackend.start(() => ({ body: '{}' }));
    await using gateway = await startHttpGateway(`${backend.url}/game/`);
    await using client = await TestClient.connect(gateway.port);
    await client.request(route);
    expect(backend.asked[0]!.path).toBe(`/game${path}`);
  });

  test('a route with codec: raw is bytes, both ways, whatever they are', async () => {
    await using stand = await httpStage((asked) => ({ body: asked.body }));
    const bytes = Buffer.from([0, 255, 13, 10, 123, 34, 0x80, 0xc3, 1]);
    const id = stand.client.send('raw.in.out', bytes);
    const answer = await stand.client.wait(
      () => stand.client.received.find((item) => item.kind === 'response' && item.id === id),
      'the answer',
    );
    expect(stand.backend.asked[0]!.body).toEqual(bytes);
    expect(stand.backend.asked[0]!.headers['content-type']).toBe('application/octet-stream');
    expect((answer as { body: Buffer }).body).toEqual(bytes);
  });
});

describe('answers', () => {
  test.each([
    ['204', 204, ''],
    ['200 without a body', 200, ''],
  ])('%s is an empty object', async (_name, status, body) => {
    await using stand = await httpStage();
    expect(await stand.ask({ status, body })).toEqual({});
  });

  test.each([200, 201, 202, 299])('the body of %i is the answer', async (status) => {
    await using stand = await httpStage();
    expect(await stand.ask({ status, body: '{"n":1}' })).toEqual({ n: 1 });
  });

  test('in pieces, in chunks or ended by the connection: the body is whole', async () => {
    await using stand = await httpStage();
    const { backend, client } = stand;
    backend.answering = (_asked, response) => {
      response.write('{"a":');
      setImmediate(() => response.end('"zoë"}'));
      return null;
    };
    expect(await client.request('world.map.look')).toEqual({ a: 'zoë' });
    backend.answering = (_asked, response) => {
      response.useChunkedEncodingByDefault = false;
      response.removeHeader('transfer-encoding');
      response.setHeader('Connection', 'close');
      response.write('{"b":');
      setImmediate(() => response.end('2}'));
      return null;
    };
    expect(await client.request('world.map.look')).toEqual({ b: 2 });
    expect(backend.asked.map(({ connection }) => connection)).toEqual([1, 1]);
    expect(await stand.ask({ body: '{"c":3}' })).toEqual({ c: 3 });
    expect(backend.asked[2]!.connection).toBe(2);
  });

  test('bind, set, join and leave take effect before the answer; close after it', async () => {
    await using stand = await httpStage();
    const { client } = stand;
    const answer = await stand.ask({
      body: '{"ok":1}',
      headers: { 'Pith-Bind': 'ann', 'pith-join': '["a","b c"]', 'PITH-SET': '{"level":3}' },
    });
    expect(answer).toEqual({ ok: 1 });
    expect(stand.session()).toMatchObject({ uid: 'ann', data: { level: 3 } });
    expect([...stand.session().groups]).toEqual(['a', 'b c']);
    await stand.ask({ headers: { 'Pith-Leave': '["a"]', 'Pith-If-Version': '1' } });
    expect([...stand.session().groups]).toEqual(['b c']);
    expect(
      await stand.ask({ headers: { 'Pith-Bind': 'x', 'Pith-If-Version': '1' } }),
    ).toMatchObject({
      code: 409,
    });
    expect(await stand.ask({ headers: { 'Pith-Bind': '' } })).toEqual({});
    expect(stand.session().uid).toBe('');
    expect(await stand.ask({ body: '{"bye":1}', headers: { 'Pith-Close': 'banned' } })).toEqual({
      bye: 1,
    });
    await client.ended;
    expect(stand.gateway.log.find(({ msg }) => msg === 'session closed')).toMatchObject({
      words: 'banned',
    });
  });

  test('raw UTF-8 in a header is read as such; other headers are not looked at', async () => {
    await using stand = await httpStage();
    await stand.ask({
      headers: {
        'Pith-Bind': Buffer.from('zoë 5%').toString('latin1'),
        'Pith-Route': 'x',
        'Set-Cookie': ['a=1', 'b=2'],
        'Pith-New': '{',
      },
    });
    expect(stand.session().uid).toBe('zoë 5%');
  });

  test('a header that cannot be read is a 502 that names it, and nothing of it applies', async () => {
    await using stand = await httpStage();
    const answer = await stand.ask({
      body: '{"ok":1}',
      headers: { 'Pith-Bind': 'ann', 'Pith-Set': '{"level":' },
    });
    expect(answer).toMatchObject({
      code: 502,
      reason: 'BAD_REPLY',
      msg: 'header pith-set is not JSON',
    });
    expect(stand.session().uid).toBe('');
    await stand.logged('header pith-set is not JSON');
  });
});

describe('refusals', () => {
  test.each([
    [400, 400, 'BAD_BODY'],
    [401, 401, 'NOT_BOUND'],
    [403, 403, 'FORBIDDEN'],
    [404, 404, 'NO_ROUTE'],
    [408, 504, 'TIMEOUT'],
    [409, 409, 'CONFLICT'],
    [413, 413, 'TOO_LARGE'],
    [429, 429, 'TOO_MANY'],
    [402, 500, 'BACKEND_ERROR'],
    [418, 500, 'BACKEND_ERROR'],
    [500, 500, 'BACKEND_ERROR'],
    [501, 500, 'BACKEND_ERROR'],
    [502, 503, 'BACKEND_AWAY'],
    [503, 503, 'BACKEND_AWAY'],
    [504, 504, 'TIMEOUT'],
    [507, 500, 'BACKEND_ERROR'],
  ])('status %i is %i %s, and nothing of a foreign body passes', async (status, code, reason) => {
    await using stand = await httpStage();
    const answer = await stand.ask({ status, body: '<h1>panic at 10.0.0.3:5432</h1>' });
    expect(answer).toEqual({ code, reason, msg: expect.any(String) as unknown });
    expect(JSON.stringify(answer)).not.toContain('10.0.0.3');
    expect(stand.gateway.count('pith_requests_total', 'web', reason)).toBe(1);
  });

  test('words in the body are the words of the error', async () => {
    await using stand = await httpStage();
    const own = { code: 1001, reason: 'TOO_POOR', msg: '100 gold needed', need: 100 };
    expect(await stand.ask({ status: 409, body: JSON.stringify(own) })).toEqual(own);
    const nested = {
      error: { reason: 'TOO_POOR', message: 'no', fields: { gold: 'too few' } },
      trace: 'x',
    };
    expect(await stand.ask({ status: 409, body: JSON.stringify(nested) })).toEqual({
      code: 409,
      reason: 'TOO_POOR',
      msg: 'no',
      fields: { gold: 'too few' },
    });
    expect(await stand.ask({ status: 500, body: '{"msg":"sold out"}' })).toEqual({
      code: 500,
      reason: 'BACKEND_ERROR',
      msg: 'sold out',
    });
    const reasons = { 'Pith-Error-Reason': 'SOLD_OUT' };
    expect(await stand.ask({ status: 403, headers: reasons })).toMatchObject({
      code: 403,
      reason: 'SOLD_OUT',
    });
    for (const body of ['{"error":"at db.go:17"}', '{"detail":"x"}', '[1]', '{', 'null']) {
      expect(await stand.ask({ status: 500, body })).toEqual({
        code: 500,
        reason: 'BACKEND_ERROR',
        msg: 'the backend failed',
      });
    }
  });

  test('Retry-After is retry_after_ms, in seconds or as a date', async () => {
    await using stand = await httpStage();
    expect(await stand.ask({ status: 503, headers: { 'Retry-After': '2' } })).toMatchObject({
      reason: 'BACKEND_AWAY',
      retry_after_ms: 2_000,
    });
    const date = new Date(Date.now() + 60_000).toUTCString();
    const { retry_after_ms: ms } = await stand.ask({
      status: 429,
      headers: { 'Retry-After': date },
    });
    expect(ms).toBeGreaterThan(50_000);
    expect(ms).toBeLessThanOrEqual(60_000);
    expect(await stand.ask({ status: 503, headers: { 'Retry-After': 'soon' } })).not.toHaveProperty(
      'retry_after_ms',
    );
  });

  test('changes to the session ride on a refusal too', async () => {
    await using stand = await httpStage();
    await stand.ask({ status: 403, headers: { 'Pith-Set': '{"tries":1}' } });
    expect(stand.session().data).toEqual({ tries: 1 });
  });

  test('what is probably a mistake is logged with what to do, and answers of the game are not', async () => {
    await using stand = await httpStage();
    await stand.ask({ status: 404 });
    const line = await stand.logged('/world/map/look answered 404: it serves no such path');
    expect(line).toMatchObject({ level: 'warn', backend: 'web', route: 'world.map.look' });
    await stand.ask({ status: 404, body: '{"reason":"NO_SUCH_PLAYER","msg":"x"}' }, 'a.b.c');
    await stand.ask({ status: 500 });
    await stand.logged('answered 500');
    expect(stand.gateway.log.filter(({ msg }) => msg === 'call failed')).toHaveLength(2);
  });
});

describe('order', () => {
  test('keep: one message of a session is in flight, in the order sent, on one connection', async () => {
    let inFlight = 0;
    let most = 0;
    await using stand = await httpStage(async () => {
      most = Math.max(most, ++inFlight);
      await new Promise(setImmediate);
      inFlight--;
      return { body: '{}' };
    });
    const { client, backend } = stand;
    const ids = Array.from({ length: 40 }, (_, i) => client.send('world.move.step', i));
    await Promise.all(ids.map((id) => client.answer(id)));
    expect(backend.asked.map(({ body }) => Number(body))).toEqual(ids.map((_, i) => i));
    expect(most).toBe(1);
    expect(backend.connections).toBeLessThanOrEqual(2);
  });

  test('none: they overlap, and each gets its own answer', async () => {
    const release: (() => void)[] = [];
    await using stand = await httpStage(async ({ body }) => {
      await new Promise<void>((resolve) => release.push(resolve));
      return { body };
    });
    const { client } = stand;
    const ids = Array.from({ length: 20 }, (_, i) => client.send('free.move.step', { i }));
    await eventually(() => release.length === 20, 'all of them');
    for (const go of release.toReversed()) go();
    const answers = await Promise.all(ids.map((id) => client.answer(id)));
    expect(answers).toEqual(ids.map((_, i) => ({ i })));
  });
});

describe('the end of a session', () => {
  async function leave(gateway: TestGateway, client: TestClient): Promise<void> {
    client.close();
    await eventually(() => gateway.gateway.registry.size === 0, 'the end of the session');
  }

  test('is told to a backend that had messages of it, once', async () => {
    await using stand = await httpStage();
    const { backend, gateway, client } = stand;
    await using _stranger = await TestClient.connect(gateway.port);
    await stand.ask({ headers: { 'Pith-Bind': 'ann', 'Pith-Set': '{"secret":1}' } });
    const { sid } = stand.session();
    client.close();
    const told = await backend.nth(0, '/pith/closed');
    expect(told.headers['content-type']).toBe('application/json');
    expect(JSON.parse(told.body.toString())).toEqual({
      session: {
        sid,
        uid: 'ann',
        gateway: gateway.gateway.id,
        remote_ip: '127.0.0.1',
        client_type: 'test',
        client_version: '1',
        opened_at: expect.stringMatching(/^\d{4}-.*Z$/) as unknown,
        bound_at: expect.stringMatching(/^\d{4}-.*Z$/) as unknown,
        data: {},
        version: '1',
        groups: [],
        transport: 'tcp',
        dialect: 'pomelo',
      },
      reason: 'client_closed',
      close_reason: 'client_closed',
      code: 0,
      lasted: expect.stringMatching(/^\d+(\.\d+)?s$/) as unknown,
      seq: '0',
    });
    await using other = await TestClient.connect(gateway.port);
    await other.request('world.map.look');
    other.close();
    await backend.nth(1, '/pith/closed');
    expect(backend.asked.filter(({ path }) => path === '/pith/closed')).toHaveLength(2);
  });

  test.each([404, 405, 501])('a backend that answers %i is not told again', async (status) => {
    await using stand = await httpStage(({ path }) =>
      path === '/pith/closed' ? { status } : { body: '{}' },
    );
    await stand.client.request('world.map.look');
    await leave(stand.gateway, stand.client);
    const line = await stand.logged(`/pith/closed answered ${status}: it is not served`);
    expect(line).toMatchObject({ msg: 'could not report ended sessions', notAgainForMs: 60_000 });
    await using other = await TestClient.connect(stand.gateway.port);
    await other.request('world.map.look');
    await leave(stand.gateway, other);
    await using third = await TestClient.connect(stand.gateway.port);
    await third.request('world.map.look');
    expect(stand.backend.asked.map(({ path }) => path)).toEqual([
      '/world/map/look',
      '/pith/closed',
      '/world/map/look',
      '/world/map/look',
    ]);
  });

  test('is still told when the gateway stops', async () => {
    await using backend = await HttpBackend.start(() => ({ body: '{}' }));
    const gateway = await startHttpGateway(backend.url);
    const clients = await Promise.all(
      Array.from({ length: 30 }, () => TestClient.connect(gateway.port)),
    );
    await Promise.all(clients.map((client) => client.request('world.map.look')));
    await gateway[Symbol.asyncDispose]();
    const told = backend.asked.filter(({ path }) => path === '/pith/closed');
    expect(told).toHaveLength(30);
    expect(new Set(told.map(({ body }) => body.toString())).size).toBe(30);
  });
});
