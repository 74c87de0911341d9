/** The methods of Control that act on the called gateway: over gRPC and in JSON; and PushMany. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import http from 'node:http';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { admin } from '../support/admin.ts';
import { TestClient } from '../support/client.ts';
import { startGateway, type TestGateway } from '../support/gateway.ts';
import { call } from '../support/grpcurl.ts';
import { HttpBackend } from '../support/http-backend.ts';
import { serve } from '../support/serve.ts';
import { eventually } from '../support/wait.ts';

type Json = Record<string, unknown>;

let backend: HttpBackend;
let gateway: TestGateway;
let ann: TestClient;
let sid: string;

beforeAll(async () => {
  backend = await HttpBackend.start(({ path, body }) => {
    if (path === '/shop/buy')
      return { headers: { 'Pith-Set': '{"gold":7}', 'Pith-Join': '["buyers"]' }, body };
    if (path === '/shop/raw') return { body: Buffer.from([0xff, 0x00]) };
    if (path === '/shop/poor')
      return {
        status: 402,
        headers: { 'Retry-After': '2' },
        body: '{"reason":"TOO_POOR","fields":{"gold":"too little"}}',
      };
    if (path === '/shop/code') return { status: 409, body: '{"code":7,"why":"mine"}' };
    return null;
  });
  gateway = await startGateway(`
backends:
  shop: { http: "${backend.url}" }
  gone: { http: "http://127.0.0.1:1" }
nats: { user: me, password: hunter2 }
routes:
  - { match: "shop.>", backend: shop, forward: [gold] }
  - { match: "gone.>", backend: gone }
  - { match: "bound.>", backend: shop, bound: true, rename: "shop.{method}" }
`);
  ann = await TestClient.connect(gateway.port);
  sid = [...gateway.gateway.registry.all()][0]!.sid;
});

afterAll(async () => {
  ann.close();
  await gateway[Symbol.asyncDispose]();
  await backend.stop();
});

type Outcome = Json;

async function byJson(method: string, request: Json): Promise<Outcome> {
  const { status, lines } = await admin(gateway, method, request);
  return status === 200 ? lines[0]! : { refused: (lines[0]!['error'] as Json)['reason'] };
}

async function byGrpc(method: string, request: Json): Promise<Outcome> {
  const called = await call(gateway, method, request, ['-emit-defaults']);
  return called.status === 'OK' ? called.answers[0]! : { refused: called.text.split(':', 1)[0] };
}

const WAYS: readonly (readonly [string, (method: string, request: Json) => Promise<Outcome>])[] = [
  ['JSON', byJson],
  ['gRPC', byGrpc],
];

describe.each(WAYS)('over %s', (_, ask) => {
  const ofShop = (request: Json) => ask('Call', { sid, ...request });

  test('Call relays a request as the session would, and the client hears nothing of it', async () => {
    const before = ann.received.length;
    // One key: grpcurl writes several in any order.
    const body = { json: { item: 'sword' } };
    expect(await ofShop({ route: 'shop.buy', body })).toMatchObject({
      body: { text: '{"item":"sword"}' },
    });
    const asked = backend.asked.at(-1)!;
    expect(asked.headers).toMatchObject({ 'pith-sid': sid, 'pith-route': 'shop.buy' });
    const { lines } = await admin(gateway, 'GetSession', { sid });
    expect(lines[0]).toMatchObject({ data: { gold: 7 }, groups: ['buyers'] });
    expect(await ofShop({ route: 'shop.raw' })).toMatchObject({ body: { bytes: '/wA=' } });
    // An answer to the client's own request would be behind anything that the calls had sent.
    await ann.request('shop.buy', { own: 1 });
    const heard = ann.received.slice(before).map(({ kind }) => kind);
    expect(heard.filter((kind) => kind !== 'heartbeat')).toEqual(['response']);
  });

  test('Call says why there is no answer, as the client would be told', async () => {
    expect(await ofShop({ route: 'shop.poor' })).toMatchObject({
      error: { code: 500, reason: 'TOO_POOR', fields: { gold: 'too little' } },
    });
    expect(await ofShop({ route: 'shop.code' })).toMatchObject({
      error: { code: 7, body: { text: '{"code":7,"why":"mine"}' } },
    });
    expect(await ofShop({ route: 'no.such' })).toMatchObject({ error: { reason: 'NO_ROUTE' } });
    expect(await ofShop({ route: 'a..b' })).toMatchObject({ error: { reason: 'BAD_ROUTE' } });
    expect(await ofShop({ route: 'pith.closed' })).toMatchObject({ error: { reason: 'NO_ROUTE' } });
    expect(await ofShop({ route: 'bound.buy' })).toMatchObject({ error: { reason: 'NOT_BOUND' } });
    expect(await ofShop({ route: 'gone.x' })).toMatchObject({ error: { reason: 'BACKEND_AWAY' } });
    expect(await ofShop({ route: 'shop.never', timeout: '0.1s' })).toMatchObject({
      error: { code: 504, reason: 'TIMEOUT' },
    });
    expect(await ask('Call', { sid: `${gateway.gateway.id}.99`, route: 'shop.buy' })).toEqual({
      refused: 'NO_SESSION',
    });
  });

  test('Call of a notify is answered when it has been sent', async () => {
    const before = backend.asked.length;
    const answer = await ofShop({ route: 'shop.buy', notify: true });
    expect([answer['body'] ?? null, answer['error'] ?? null]).toEqual([null, null]);
    await eventually(() => backend.asked.length > before, 'the notify');
  });

  test('Call ends when the session does', async () => {
    const bob = await TestClient.connect(gateway.port);
    const { sid: his } = [...gateway.gateway.registry.all()].at(-1)!;
    const asked = backend.asked.length;
    const answer = ask('Call', { sid: his, route: 'shop.never' });
    await eventually(() => backend.asked.length > asked, 'the request');
    bob.close();
    expect(await answer).toMatchObject({ error: { reason: 'CLOSING' } });
  });

  test('ExplainRoute', async () => {
    expect(await ask('ExplainRoute', { route: 'shop.buy' })).toEqual({
      ...{ rule: 'shop.>', backend: 'shop', address: `${backend.url}/shop/buy` },
      why: [
        'routes[0] shop.>: matches',
        `backend shop: http, POST ${backend.url}/shop/buy`,
        '10s for the answer, order keep',
      ],
    });
    expect(await ask('ExplainRoute', { route: 'bound.buy', uid: '42' })).toMatchObject({
      ...{ rule: 'bound.>', backend: 'shop', address: `${backend.url}/shop/buy` },
    });
    expect(await ask('ExplainRoute', { route: 'bound.buy' })).toMatchObject({
      ...{ rule: 'bound.>', backend: '', address: '' },
    });
    expect(await ask('ExplainRoute', { route: 'x' })).toMatchObject({ rule: '', backend: '' });
  });

  test('GetConfig shows what is in effect, and no secret', async () => {
    const yaml = String((await ask('GetConfig', {}))['yaml']);
    expect(yaml).toContain('heartbeat: 30s');
    expect(yaml).toContain('password: "***"');
    expect(yaml).not.toContain('hunter2');
  });

  test('SetLogLevel changes what is logged from then on', async () => {
    const messages = () => gateway.log.filter(({ msg }) => msg === 'message').length;
    expect(await ask('SetLogLevel', { level: 'warn' })).toMatchObject({
      gateway: gateway.gateway.id,
    });
    const quiet = messages();
    await ann.request('shop.buy', {});
    expect(messages()).toBe(quiet);
    await ask('SetLogLevel', { level: 'debug' });
    await ann.request('shop.buy', {});
    expect(messages()).toBe(quiet + 1);
    expect(gateway.log.filter(({ msg }) => msg === 'log level changed').slice(-2)).toMatchObject([
      { level: 'error', from: 'debug', to: 'warn' },
      { level: 'error', from: 'warn', to: 'debug' },
    ]);
    expect(await ask('SetLogLevel', { level: 'loud' })).toEqual({ refused: 'BAD_ARGUMENT' });
    const tooLong = { level: 'debug', expires_in: '86401s' };
    expect(await ask('SetLogLevel', tooLong)).toEqual({ refused: 'BAD_ARGUMENT' });
  });

  test('SetLogLevel for a time says until when, and without a level goes back at once', async () => {
    const set = async (request: Json) => {
      const answer = await ask('SetLogLevel', request);
      const until = answer['log_level_until'] ?? answer['logLevelUntil'];
      return [answer['log_level'] ?? answer['logLevel'], typeof (until ?? undefined)];
    };
    expect(await set({ level: 'warn', expires_in: '600s' })).toEqual(['warn', 'string']);
    expect(await set({})).toEqual(['debug', 'undefined']);
  });
});

test('SetLogLevel to debug shows each message, where it was not shown from the start', async () => {
  await using quiet = await startGateway(`
backends: { gate: { reply: { code: 200 } } }
routes: [{ match: ">", backend: gate }]
log: { level: info }`);
  await using client = await TestClient.connect(quiet.port);
  const messages = () => quiet.log.filter(({ msg }) => msg === 'message').length;
  await client.request('a.b');
  expect(messages()).toBe(0);
  await admin(quiet, 'SetLogLevel', { level: 'debug' });
  await client.request('a.b');
  expect(messages()).toBe(1);
});

test('Profile gives a file in pieces, to one caller at a time, and needs no debugger', async () => {
  const first = admin(gateway, 'Profile', { duration: '1s' });
  const second = await eventually(async () => {
    const { status, lines } = await admin(gateway, 'Profile', { kind: 'heap' });
    return status === 503 && lines;
  }, 'a refusal');
  expect(second[0]).toMatchObject({ error: { reason: 'OVERLOADED' } });
  const { lines } = await first;
  expect(lines[0]!['name']).toMatch(/^[\w-]+-\d{8}T\d{6}Z\.cpuprofile$/);
  expect(lines[0]!['data']).toBe('');
  const data = lines.map((line) => Buffer.from(String(line['data']), 'base64'));
  const profile = JSON.parse(Buffer.concat(data).toString()) as Json;
  expect(Object.keys(profile)).toEqual(expect.arrayContaining(['nodes', 'samples']));
  for (const [request, text] of [
    [{ kind: 'wall' }, 'kind is not cpu or heap'],
    [{ duration: '61s' }, 'duration is not 1s to 60s'],
  ] as const) {
    const refused = await admin(gateway, 'Profile', request);
    expect([refused.status, JSON.stringify(refused.lines)]).toEqual([
      400,
      expect.stringContaining(text),
    ]);
  }
});

describe('Drain', () => {
  test('reports until no session is left, and then the process ends', async () => {
    await using served = await serve('backends: {}\nroutes: []\ndrain: { per_second: 1 }\n');
    await using one = await TestClient.connect(served.port);
    await using two = await TestClient.connect(served.port);
    const { status, lines } = await admin(served, 'Drain', {
      reason: 'new hardware',
      budget: '30s',
    });
    expect(status).toBe(200);
    expect(lines[0]).toEqual({ state: 'draining', remaining: 2, forced: 0 });
    expect(lines.at(-1)).toEqual({ state: 'drained', remaining: 0, forced: 0 });
    await Promise.all([one.ended, two.ended]);
    expect(await served.running.exited).toBe(0);
    expect(served.log().find(({ msg }) => msg === 'draining')).toMatchObject({
      ...{ sessions: 2, reason: 'new hardware' },
    });
  });

  test.each([
    ['-5s', 'the request cannot be read: budget is negative'],
    ['86401s', 'budget is more than 24h'],
    // More than the timers of Node can wait for.
    ['2147484s', 'budget is more than 24h'],
  ])('with a budget of %s is refused, and closes nobody', async (budget, msg) => {
    await using served = await serve('backends: {}\nroutes: []\n');
    await using client = await TestClient.connect(served.port);
    const { status, lines } = await admin(served, 'Drain', { budget });
    expect(status).toBe(400);
    expect(lines).toEqual([{ error: { code: 400, reason: 'BAD_ARGUMENT', msg } }]);
    const [info] = (await admin(served, 'GetInfo')).lines;
    expect(info).toMatchObject({ state: 'ready', sessions: 1 });
    expect(client.isEnded).toBe(false);
  });

  test('with no time closes all by force; SIGTERM meanwhile does not end the process early', async () => {
    await using served = await serve('backends: {}\nroutes: []\ndrain: { accept_for: 2s }\n');
    await using client = await TestClient.connect(served.port);
    const drained = call(served, 'Drain', { budget: '0s' }, ['-emit-defaults']);
    await served.logged('draining');
    served.running.kill('SIGTERM');
    const { status, answers } = await drained;
    expect(status).toBe('OK');
    expect(answers.at(-1)).toEqual({ state: 'drained', remaining: 0, forced: 1 });
    await client.ended;
    expect(await served.running.exited).toBe(0);
  });
});

describe('PushMany', () => {
  const push = (n: number, target: Json = { sids: [sid] }) => ({
    push: { target, route: 'onMany', body: { json: { n } } },
  });
  const got = () => ann.pushes('onMany').map(({ body }) => body['n']);
  const lines = (requests: readonly Json[]) =>
    requests.map((request) => `${JSON.stringify(request)}\n`).join('');

  async function post(body: string | Buffer): Promise<{ status: number; answer: Json }> {
    const request = http.request({
      ...{ host: '127.0.0.1', port: gateway.adminPort, path: '/v1/PushMany', method: 'POST' },
    });
    request.end(body);
    const [answer] = (await once(request, 'response')) as [http.IncomingMessage];
    return { status: answer.statusCode!, answer: JSON.parse(await text(answer)) as Json };
  }

  test('sends a push for each line, in their order, and answers with the total', async () => {
    const before = got().length;
    const requests = Array.from({ length: 300 }, (_, n) =>
      push(n, n % 3 === 0 ? { sids: [sid], uids: [`gone${n % 2}`] } : { sids: [sid] }),
    );
    // Blank lines count for nothing, and the last one needs no end.
    const body = `\n${lines(requests)}\n\n${JSON.stringify(push(300))}`;
    expect(await post(body)).toEqual({
      status: 200,
      answer: {
        ...{ delivered: 301, dropped: 0, refused: 0, gateways: 1, kept: 0 },
        ...{ unknown_uids: ['gone0', 'gone1'], unknown_sids: [], silent_gateways: [] },
      },
    });
    await eventually(() => got().length === before + 301, 'the pushes');
    expect(got().slice(before)).toEqual(Array.from({ length: 301 }, (_, n) => n));
  });

  test.each([
    [
      '{"push":{"target":{"all":true}}}',
      'BAD_ARGUMENT',
      'request 3: push.route is 0 bytes; 1 to 127 are allowed; those before it were carried out',
    ],
    ['{}', 'BAD_ARGUMENT', 'request 3: push is missing; '],
    ['{"psh":1}', 'BAD_ARGUMENT', 'request 3: the body is not a pith.v1.PushRequest'],
    ['[', 'BAD_BODY', 'request 3: the body is not JSON'],
    ['\xff', 'BAD_BODY', 'request 3: the body is not UTF-8'],
  ])('a line %s ends it, and the answer says which it is', async (line, reason, msg) => {
    const before = got().length;
    const body = Buffer.from(`${lines([push(1), push(2)])}${line}\n${lines([push(4)])}`, 'latin1');
    const { answer } = await post(body);
    expect(answer['error']).toMatchObject({ reason, msg: expect.stringContaining(msg) as string });
    await eventually(() => got().length >= before + 2, 'the pushes before it');
    expect(got().slice(before, before + 2)).toEqual([1, 2]);
  });

  test('a line that is too long is refused', async () => {
    const { status, answer } = await post(`${' '.repeat(4 * 1_048_576 + 1)}{}`);
    expect([status, (answer['error'] as Json)['reason']]).toEqual([413, 'TOO_LARGE']);
  });

  test('a caller that leaves in the middle of a line has sent the lines before it', async () => {
    const before = got().length;
    const request = http.request({
      ...{ host: '127.0.0.1', port: gateway.adminPort, path: '/v1/PushMany', method: 'POST' },
    });
    request.on('error', () => {});
    request.write(`${lines([push(7)])}${JSON.stringify(push(9))}`);
    await eventually(() => got().length === before + 1, 'the first push');
    request.destroy();
    const { answer } = await post(lines([push(8)]));
    expect(answer['delivered']).toBe(1);
    await eventually(() => got().length === before + 2, 'the push of another');
    expect(got().slice(before)).toEqual([7, 8]);
    expect(gateway.log.filter(({ msg }) => msg === 'control call failed')).toEqual([]);
  });

  test('over gRPC takes a stream of requests', async () => {
    const stream = async (requests: readonly Json[]) => {
      const child = spawn('grpcurl', [
        ...['-plaintext', '-emit-defaults', '-max-time', '60', '-d', '@'],
        ...[`127.0.0.1:${gateway.controlPort}`, 'pith.v1.Control/PushMany'],
      ]);
      child.stdin.end(lines(requests));
      return `${await text(child.stdout)}${await text(child.stderr)}`;
    };
    const before = got().length;
    const answer = await stream([push(1), push(2), push(3)]);
    expect(JSON.parse(answer)).toMatchObject({ delivered: 3, gateways: 1 });
    await eventually(() => got().length === before + 3, 'the pushes');
    expect(await stream([push(4), {}, push(5)])).toMatch(
      /InvalidArgument[^]*BAD_ARGUMENT: request 2: push is missing; those before it were carried out/,
    );
  });
});
