/** `POST /v1/<Method>` on the admin port: Control for people and programs that have HTTP and nothing else. */
import http from 'node:http';
import net from 'node:net';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { API_BODY_BYTES_MAX, API_REQUESTS_MAX } from '../../src/control/json-api.ts';
import { TestClient } from '../support/client.ts';
import { startGateway, type TestGateway } from '../support/gateway.ts';
import { call, grpcurl } from '../support/grpcurl.ts';
import { startNats } from '../support/nats.ts';
import { eventually } from '../support/wait.ts';

const NO_BACKENDS = 'backends: {}\nroutes: []';
const SERVED = [
  ...['Push', 'PushMany', 'Kick', 'Bind', 'Unbind', 'SetData', 'Join', 'Leave', 'GetSession'],
  ...['ListSessions', 'GetPresence', 'ListGroups', 'Why', 'Block', 'Unblock', 'ListBlocks'],
  ...['ListGateways', 'ListBackends', 'ListRoutes', 'GetHistory', 'WatchLog', 'Watch'],
  ...['Call', 'ExplainRoute', 'Drain', 'SetLogLevel', 'Reload', 'GetConfig', 'GetInfo'],
  'GetPlayground',
  ...['SetMaintenance', 'GetMaintenance', 'Profile'],
];
const NOT_SERVED: string[] = [];

let gateway: TestGateway;
let ann: TestClient;
let bob: TestClient;
let annSid: string;
let bobSid: string;

beforeAll(async () => {
  gateway = await startGateway(`
backends: { gate: { reply: { code: 200 } } }
routes: [{ match: "gate.>", backend: gate }]`);
  ann = await TestClient.connect(gateway.port);
  bob = await TestClient.connect(gateway.port, 'ws');
  [annSid, bobSid] = [...gateway.gateway.registry.all()].map(({ sid }) => sid) as [string, string];
  await post('Bind', { sid: annSid, uid: 'ann' });
});

afterAll(async () => {
  ann.close();
  bob.close();
  await gateway[Symbol.asyncDispose]();
});

type Json = Record<string, unknown>;
type Answer = { status: number; headers: http.IncomingHttpHeaders; lines: Json[] };

type Ask = {
  body?: string | Buffer;
  method?: string;
  headers?: Record<string, string>;
  at?: { readonly adminPort: number };
};

/** One request on a connection of its own; the lines of its answer. */
async function ask(path: string, { body = '', method = 'POST', headers, at }: Ask = {}) {
  const answer = await new Promise<http.IncomingMessage>((resolve, reject) => {
    const port = (at ?? gateway).adminPort;
    const options = { host: '127.0.0.1', port, path, method, agent: false };
    const request = http.request({ ...options, ...(headers && { headers }) }, resolve);
    request.on('error', reject);
    request.end(body);
  });
  const lines = (await text(answer)).split('\n');
  expect(lines.pop()).toBe('');
  const { statusCode: status, headers: got } = answer;
  return {
    status: status!,
    headers: got,
    lines: lines.map((line) => JSON.parse(line) as Json),
  } satisfies Answer;
}

/** The answer of a call that goes well. */
async function post(method: string, request: object = {}, at = gateway): Promise<Json> {
  const { status, lines } = await ask(`/v1/${method}`, { body: JSON.stringify(request), at });
  expect({ status, lines }).toEqual({ status: 200, lines: [expect.anything()] });
  return lines[0]!;
}

describe('sessions', () => {
  test('are pushed to, and the answer has every field', async () => {
    const json = { msg: 'zoë 🎈', n: 1.5, list: [null, true] };
    const target = { uids: ['ann', 'carl'], sids: [bobSid] };
    expect(await post('Push', { push: { target, route: 'onJson', body: { json } } })).toEqual({
      ...{ delivered: 2, dropped: 0, refused: 0, gateways: 1, kept: 0 },
      ...{ unknown_uids: ['carl'], unknown_sids: [], silent_gateways: [] },
    });
    for (const client of [ann, bob]) expect(await client.push('onJson')).toEqual(json);
  });

  test('are bound, unbound and given data, and the answer shows it', async () => {
    await using eve = await TestClient.connect(gateway.port);
    const { sid } = [...gateway.gateway.registry.all()].at(-1)!;
    const set = { room_id: 3, name: 'zoë', tags: ['a', { b: null }], on: true };
    expect(await post('SetData', { sid, set })).toMatchObject({ data: set, version: '1', uid: '' });
    expect(
      await post('SetData', { sid, set: { name: null, tags: null }, if_version: '1' }),
    ).toMatchObject({ data: { room_id: 3, on: true }, version: '2' });
    expect(await post('Bind', { sid, uid: 'eve' })).toMatchObject({ uid: 'eve', version: '3' });
    expect(await post('Unbind', { sid })).toMatchObject({ uid: '', version: '4' });
    expect(await post('GetSession', { sid })).toEqual({
      ...{ sid, uid: '', gateway: gateway.gateway.id, remote_ip: '127.0.0.1', client_type: 'test' },
      ...{ client_version: '1', transport: 'tcp', dialect: 'pomelo', version: '4', groups: [] },
      opened_at: expect.stringMatching(/^20\d\d-\d\d-\d\dT.*Z$/) as unknown,
      data: { room_id: 3, on: true },
    });
    eve.close();
    await eve.ended;
  });

  test('are kicked with the words that the call says, here as well in camelCase', async () => {
    for (const retry of [{ retry_after: '60s' }, { retryAfter: '60s' }]) {
      await using eve = await TestClient.connect(gateway.port);
      const { sid } = [...gateway.gateway.registry.all()].at(-1)!;
      expect(
        await post('Kick', { target: { sids: [sid] }, close: { reason: 'cheating', ...retry } }),
      ).toEqual({ closed: 1, gateways: 1, silent_gateways: [] });
      await eve.ended;
      expect(eve.received.at(-1)).toMatchObject({
        kind: 'kick',
        body: { reason: 'cheating', retry_after_ms: 60_000 },
      });
    }
  });

  test('are listed, a line each, and in pages', async () => {
    const all = await ask('/v1/ListSessions');
    expect(all.headers['content-type']).toBe('application/x-ndjson');
    expect(all.lines.map(({ sid }) => sid)).toEqual([annSid, bobSid]);
    expect(all.lines[0]).toEqual(await post('GetSession', { sid: annSid }));
    const page = JSON.stringify({ limit: 1, page_token: annSid });
    expect((await ask('/v1/ListSessions', { body: page })).lines).toEqual([all.lines[1]]);
    const nobody = JSON.stringify({ target: { uids: ['nobody'] } });
    expect(await ask('/v1/ListSessions', { body: nobody })).toMatchObject({
      status: 200,
      lines: [],
    });
  });

  test('of every gateway on the bus are reached', async () => {
    await using nats = await startNats();
    await using one = await startGateway(`id: one\nbus: ${nats.url}\n${NO_BACKENDS}`);
    await using two = await startGateway(`id: two\nbus: ${nats.url}\n${NO_BACKENDS}`);
    await using zoe = await TestClient.connect(two.port);
    const { sid } = [...two.gateway.registry.all()][0]!;
    expect(await post('Bind', { sid, uid: 'zoe' }, one)).toMatchObject({ uid: 'zoe' });
    const push = { target: { uids: ['zoe'] }, route: 'onHi', body: { text: '{"hi":1}' } };
    expect(await post('Push', { push, wait: '5s' }, one)).toMatchObject({ delivered: 1 });
    expect(await zoe.push('onHi')).toEqual({ hi: 1 });
    // A gateway that does not answer within 250 ms is left out.
    const lines = await eventually(async () => {
      const list = await ask('/v1/ListSessions', { at: one });
      return list.lines.length > 0 && list.lines;
    }, 'a list');
    expect(lines).toMatchObject([{ sid, uid: 'zoe' }]);
  });
});

describe('the answer is that of gRPC', () => {
  /** Fields that have a name of two words, so that both forms of JSON can be compared. */
  const camel = (name: string): string =>
    name.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
  const inCamel = (answer: Json): Json =>
    Object.fromEntries(
      Object.entries(answer).map(([name, value]) => [
        camel(name),
        name === 'backends'
          ? (value as Json[]).map(inCamel)
          : name === 'rest'
            ? inCamel(value as Json)
            : value,
      ]),
    );

  /** The time goes on between two calls: only its form can be compared. */
  const timeless = (answer: Json): Json =>
    typeof answer['uptime'] === 'string'
      ? { ...answer, uptime: answer['uptime'].replace(/^[0-9]+(\.[0-9]+)?s$/, 'ns') }
      : answer;

  /** A message that is not set is null in the objects of this gRPC client, and no member in JSON. */
  const withoutUnset = (answer: Json): Json =>
    Object.fromEntries(Object.entries(answer).filter(([, value]) => value !== null));

  test.each<[string, object]>([
    ['Push', { push: { target: { all: true }, route: 'onX', body: { json: [1, null] } } }],
    ['Push', { push: { target: { uids: ['ann', 'x'], sids: ['g.1'] }, route: 'onX' }, wait: '0s' }],
    ['Push', { push: { target: { groups: ['none'] }, route: 'onX', delivery: 'DELIVERY_LATEST' } }],
    ['Push', { push: { target: { all: true, where: { room_id: 3 } }, route: 'onX' } }],
    ['Kick', { target: { uids: ['nobody'] }, close: { reason: 'x', retry_after: '1.5s' } }],
    ['GetSession', { sid: 'ANN' }],
    ['ListSessions', {}],
    ['ListSessions', { limit: 1 }],
    ['ListSessions', { target: { all: true, except_uids: ['ann'], scope: 'SCOPE_LOCAL' } }],
    ['GetInfo', {}],
  ])('%s %j', async (method, request) => {
    const body = JSON.stringify(request).replace('"ANN"', `"${annSid}"`);
    const words = ['-d', body, '-emit-defaults'];
    const output = await grpcurl(gateway, [`pith.v1.Control/${method}`], words);
    const theirs = output
      .split(/^(?=\{)/m)
      .filter((part) => part.trim() !== '')
      .map((part) => JSON.parse(part) as Json);
    const { status, lines } = await ask(`/v1/${method}`, { body });
    expect(status).toBe(200);
    expect(theirs.length).toBeGreaterThan(0);
    expect(lines.map(inCamel).map(timeless)).toEqual(theirs.map(withoutUnset).map(timeless));
  });

  test.each<[string, object, number]>([
    ['Push', {}, 400],
    ['Push', { push: { route: 'onHi' } }, 400],
    ['Push', { push: { route: 'onHi', target: {} } }, 400],
    ['Push', { push: { target: { all: true }, route: 'x'.repeat(128) } }, 400],
    ['Kick', {}, 400],
    ['Bind', { sid: 'ANN' }, 400],
    ['Bind', { sid: 'ANN', uid: 'other' }, 409],
    ['Bind', { sid: 'nobody.1', uid: 'x' }, 404],
    ['SetData', { sid: 'ANN' }, 400],
    ['SetData', { sid: 'ANN', set: { a: 1 }, if_version: 99 }, 409],
    ['SetData', { sid: 'ANN', set: { a: 'x'.repeat(5000) } }, 413],
    ['GetSession', {}, 404],
  ])('also where it is a refusal: %s %j', async (method, request, code) => {
    const named = 'sid' in request && request.sid === 'ANN' ? { ...request, sid: annSid } : request;
    const { text: details } = await call(gateway, method, named);
    const { status, lines } = await ask(`/v1/${method}`, { body: JSON.stringify(named) });
    expect(status).toBe(code);
    const [, reason, msg] = /^([A-Z_]+): (.*)$/.exec(details)!;
    expect(lines).toEqual([{ error: { code, reason, msg } }]);
  });
});

describe('refused', () => {
  /** A refusal's status and body. */
  async function expectRefused(
    path: string,
    options: Ask,
    code: number,
    reason: string,
    msg: RegExp,
  ) {
    const answer = await ask(path, options);
    expect(answer.lines).toEqual([
      { error: { code, reason, msg: expect.stringMatching(msg) as unknown } },
    ]);
    expect(answer.status).toBe(code);
    expect(answer.headers['content-type']).toBe('application/json');
    return answer;
  }

  test.each<[string, string | Buffer, string, RegExp]>([
    ['not JSON', 'hello', 'BAD_BODY', /^the body is not JSON: .*hello/],
    ['a form', 'sid=g.1', 'BAD_BODY', /not JSON/],
    ['no object', '[]', 'BAD_BODY', /not a JSON object/],
    ['not UTF-8', Buffer.from([0x7b, 0xff, 0x7d]), 'BAD_BODY', /not UTF-8/],
    ['an unknown field', '{"push":{"taget":1}}', 'BAD_ARGUMENT', /push\.taget: unknown field; did/],
    [
      'a wrong field',
      '{"wait":"soon"}',
      'BAD_ARGUMENT',
      /Request: wait: "soon" is not a duration such as "1\.5s"/,
    ],
    ['too deep', `${'{"push":'.repeat(99)}{}${'}'.repeat(99)}`, 'BAD_BODY', /deeper than 32/],
  ])('%s', async (_what, body, reason, msg) => {
    await expectRefused('/v1/Push', { body }, 400, reason, msg);
  });

  test('a body that is too large; one that just fits is taken', async () => {
    const push = { target: { all: true }, route: 'onX', body: { text: '' } };
    const rest = JSON.stringify({ push }).length;
    push.body.text = 'x'.repeat(API_BODY_BYTES_MAX - rest);
    const fits = JSON.stringify({ push });
    expect(fits).toHaveLength(API_BODY_BYTES_MAX);
    expect((await ask('/v1/Push', { body: fits })).lines[0]).not.toMatchObject({
      error: { msg: expect.stringContaining('bytes: split the request') as unknown },
    });
    await expectRefused('/v1/Push', { body: `${fits} ` }, 413, 'TOO_LARGE', /over 4194304 bytes/);
    const far = Buffer.alloc(5 * API_BODY_BYTES_MAX, 0x20);
    await expectRefused('/v1/Push', { body: far }, 413, 'TOO_LARGE', /over 4194304 bytes/);
  });

  test.each(['GET', 'PUT', 'DELETE', 'OPTIONS', 'PATCH'])('%s', async (method) => {
    const why = /use POST: \/v1\/GetInfo is a method/;
    const { headers } = await expectRefused('/v1/GetInfo', { method }, 405, 'UNSUPPORTED', why);
    expect(headers.allow).toBe('POST');
  });

  test.each(['Psh', '', 'push', 'Push/', 'toString', '__proto__', 'Push%20', '../livez', 'a/b'])(
    'no such method: %j',
    async (method) => {
      const names = new RegExp(SERVED.join(', '));
      await expectRefused(`/v1/${method}`, { body: '{}' }, 404, 'NO_ROUTE', names);
    },
  );

  test.each(NOT_SERVED)('%s is not there, and says so', async (method) => {
    const options = { body: '{}' };
    await expectRefused(
      `/v1/${method}`,
      options,
      501,
      'UNSUPPORTED',
      /not in this release, which serves Push, /,
    );
  });

  test.each([
    [{ origin: 'https://evil.example' }, /the header Origin is "https:\/\/evil.example"/],
    [{ origin: 'null' }, /the header Origin is "null"/],
    [{ host: 'evil.example' }, /the header Host is "evil.example": use an address/],
    [{ host: 'evil.example', origin: 'http://evil.example' }, /the header Host/],
  ])('a page of another site: %j', async (headers, msg) => {
    const push = { target: { all: true }, route: 'onEvil' };
    const pushes = gateway.count('pith_pushes_total', 'delivered');
    const body = JSON.stringify({ push });
    await expectRefused('/v1/Push', { body, headers }, 403, 'FORBIDDEN', msg);
    const plain = { ...headers, 'content-type': 'text/plain' };
    await expectRefused('/v1/Push', { body, headers: plain }, 403, 'FORBIDDEN', msg);
    expect(gateway.count('pith_pushes_total', 'delivered')).toBe(pushes);
  });
});

test('a page of the port itself may call, and any content type is taken', async () => {
  const origin = `http://127.0.0.1:${gateway.adminPort}`;
  for (const headers of [
    { origin },
    { host: 'localhost', 'content-type': 'text/plain' },
    { 'content-type': 'application/x-www-form-urlencoded' },
  ])
    expect(await ask('/v1/GetInfo?pretty', { headers })).toMatchObject({ status: 200 });
});

test('the health port has no methods', async () => {
  const answer = await fetch(`http://127.0.0.1:${gateway.healthPort}/v1/GetInfo`, {
    method: 'POST',
  });
  expect(answer.status).toBe(405);
});

test('the admin port still has its probes', async () => {
  const answer = await fetch(`http://127.0.0.1:${gateway.adminPort}/readyz`);
  expect([answer.status, await answer.text()]).toEqual([200, 'ok\n']);
});

describe('trouble', () => {
  const head = (length: number): string =>
    `POST /v1/ListSessions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: ${length}\r\n\r\n`;

  test('more requests at once than may be are refused, and those that leave make room', async () => {
    await using crowded = await startGateway(NO_BACKENDS);
    const sockets = Array.from({ length: API_REQUESTS_MAX }, () =>
      net.connect({ port: crowded.adminPort, host: '127.0.0.1' }),
    );
    for (const socket of sockets) socket.on('error', () => {}).write(`${head(10)}{`);
    const refusal = await eventually(async () => {
      const answer = await ask('/v1/GetInfo', { at: crowded });
      return answer.status === 503 && answer;
    }, 'a refusal');
    expect(refusal.lines).toMatchObject([{ error: { code: 503, reason: 'OVERLOADED' } }]);
    for (const socket of sockets) socket.destroy();
    await eventually(
      async () => (await ask('/v1/GetInfo', { at: crowded })).status === 200,
      'room for another',
    );
  });

  test('a client that leaves in the middle of its body does no harm', async () => {
    const socket = net.connect({ port: gateway.adminPort, host: '127.0.0.1' });
    socket.write(`${head(100)}{"target`);
    socket.destroySoon();
    await new Promise((resolve) => socket.once('close', resolve));
    expect(await post('GetInfo')).toMatchObject({ state: 'ready' });
    expect(gateway.log.filter(({ level }) => level === 'error')).toEqual([]);
  });

  test('a call that is under way does not keep the gateway from stopping', async () => {
    const stopping = await startGateway(NO_BACKENDS);
    const socket = net.connect({ port: stopping.adminPort, host: '127.0.0.1' });
    const closed = new Promise((resolve) => socket.on('error', () => {}).once('close', resolve));
    socket.write(`${head(10)}{`);
    expect(await post('GetInfo', {}, stopping)).toMatchObject({ state: 'ready' });
    await stopping[Symbol.asyncDispose]();
    await closed;
    expect(stopping.gateway.state).toBe('stopped');
  });
});
