/**
 * Failures caused on purpose: each is explained by one command with the ref of its error answer, or the sid. The ends of
 * sessions are explained in telemetry-logs.test.ts, where each is provoked.
 */
import { status } from '@grpc/grpc-js';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { explainWhy } from '../../src/cli/why.ts';
import { systemClock } from '../../src/clock.ts';
import { admin } from '../support/admin.ts';
import { TestClient } from '../support/client.ts';
import { startGateway, type TestGateway } from '../support/gateway.ts';
import { type Asked, GrpcBackend } from '../support/grpc-backend.ts';
import { HttpBackend } from '../support/http-backend.ts';
import { socketPath } from '../support/ipc-backend.ts';
import { startNats, type TestNats } from '../support/nats.ts';
import { serve as answerOnNats } from '../support/nats-backend.ts';
import { run } from '../support/process.ts';
import { eventually } from '../support/wait.ts';

const { env } = process;

async function why(gateway: TestGateway, about: string, log = ''): Promise<string> {
  const port = { url: `http://127.0.0.1:${gateway.adminPort}`, token: '' };
  const asked = { about, admin: port, log, json: false };
  const { out, err } = await explainWhy(asked, { env, clock: systemClock });
  return out + err;
}

let nats: TestNats;
let game: GrpcBackend;
let broken: GrpcBackend;
let web: HttpBackend;
let gateway: TestGateway;
let crowded: TestGateway;
const folder = socketPath();

function answer(asked: Asked): void {
  const binds = (uid: string): void => {
    asked.answer({}, { patch: { uid } });
  };
  switch (asked.route) {
    case 'game.poor':
      asked.reply({ error: { code: 402, reason: 'TOO_POOR', message: 'you have 3 coins' } });
      return;
    case 'game.bind':
      binds('ann');
      return;
    case 'game.rebind':
      binds('bob');
      return;
    case 'game.much':
      asked.answer({}, { patch: { join: Array.from({ length: 400 }, (_, i) => `g${i}`) } });
      return;
    case 'game.silent':
    case 'game.hold':
      return;
    default:
      asked.answer({ ok: 1 });
  }
}

beforeAll(async () => {
  nats = await startNats();
  game = await GrpcBackend.start({ handler: answer });
  broken = await GrpcBackend.start({
    link: 'unimplemented',
    handler: (asked) => {
      asked.end({ code: status.UNKNOWN, details: 'TypeError: x is not a function' });
    },
  });
  web = await HttpBackend.start(({ path }) => {
    if (path === '/web/boom') return { status: 500, body: 'stack overflow' };
    if (path === '/web/gone') return { status: 404 };
    if (path === '/web/odd') return { headers: { 'Pith-Set': 'no JSON' }, body: '{}' };
    return null;
  });
  gateway = await startGateway(`bus: ${nats.url}
telemetry: { refs: true }
auth: { sessions_per_uid: refuse_new }
backends:
  game: { grpc: "${game.url}" }
  broken: { grpc: "${broken.url}" }
  away: { grpc: "127.0.0.1:1" }
  fused: { grpc: "127.0.0.1:1", breaker: { failures: 1, open: 60s } }
  web: { http: "${web.url}" }
  shut: { http: "http://127.0.0.1:1" }
  line: { ipc: "unix://${folder.path}" }
  bus: { nats: {} }
  hands: { dial_in: { token: "${'t'.repeat(32)}" } }
routes:
  - { match: "game.silent", backend: game, timeout: 50ms }
  - { match: "game.bound", backend: game, bound: true }
  - { match: "game.staff", backend: game, roles: [admin] }
  - { match: "game.rated", backend: game, rate: 1 }
  - { match: "game.closed", backend: game }
  - { match: "game.*", backend: game }
  - { match: "broken.>", backend: broken }
  - { match: "away.>", backend: away }
  - { match: "again.>", backend: away, idempotent: true }
  - { match: "fused.>", backend: fused }
  - { match: "web.late", backend: web, timeout: 60ms }
  - { match: "web.>", backend: web }
  - { match: "shut.>", backend: shut }
  - { match: "line.>", backend: line }
  - { match: "bus.>", backend: bus, timeout: 60ms }
  - { match: "hands.>", backend: hands }`);
  crowded = await startGateway(`telemetry: { refs: true }
limits: { in_flight_per_backend: 1, messages_per_second: 3, burst: 3 }
backends: { game: { grpc: "${game.url}" } }
routes: [{ match: ">", backend: game, order: none }]`);
  await answerOnNats(await nats.connect(), 'pith.rpc.bus.silent', () => null);
});

afterAll(async () => {
  for (const one of [gateway, crowded, game, broken, web, nats]) await one[Symbol.asyncDispose]();
  folder[Symbol.dispose]();
});

type Seeded = {
  readonly name: string;
  readonly route: string;
  /** Of the answer. */
  readonly code: number;
  /** Of what is explained, each a part of a line. */
  readonly says: readonly (string | RegExp)[];
  readonly on?: () => TestGateway;
  /** Done before, by the same client. */
  readonly before?: (client: TestClient) => Promise<unknown>;
};

const SEEDED: readonly Seeded[] = [
  {
    name: 'a route that no rule takes',
    route: 'nope.x',
    code: 404,
    says: ['NO_ROUTE', 'no rule in routes matches it', '`pith routes ROUTE`'],
  },
  {
    name: 'a route that cannot be one',
    route: 'no route!',
    code: 400,
    says: ['BAD_ROUTE', 'Correct the route in the client'],
  },
  {
    name: "a route of the gateway's own",
    route: 'pith.closed',
    code: 404,
    says: ['NO_ROUTE', 'reserved'],
  },
  {
    name: 'a session without a uid',
    route: 'game.bound',
    code: 401,
    says: ['rule game.bound', 'NOT_BOUND', 'log in first'],
  },
  {
    name: 'a session without the role',
    route: 'game.staff',
    code: 403,
    says: ['rule game.staff', 'needs a role', 'routes[].roles'],
  },
  {
    name: 'more than the rate of a route',
    route: 'game.rated',
    code: 429,
    says: ['TOO_MANY', 'routes[3].rate is 1', 'The cause names the limit'],
    before: (client) => client.request('game.rated'),
  },
  {
    name: 'a route in maintenance',
    route: 'game.closed',
    code: 503,
    says: ['MAINTENANCE', 'new cards at noon', 'Control.GetMaintenance'],
    before: () =>
      admin(gateway, 'SetMaintenance', {
        ...{ on: true, routes: ['game.closed'], message: 'new cards at noon', scope: 'gateway' },
      }),
  },
  {
    name: 'a backend that refuses',
    route: 'game.poor',
    code: 402,
    says: ['TOO_POOR: you have 3 coins', 'by    the backend', 'for a reason of its own'],
  },
  {
    name: 'a bind of a session that is bound',
    route: 'game.rebind',
    code: 409,
    says: ['CONFLICT', 'is bound to cat', 'uid cat'],
    before: async (client) => {
      const [sid] = await sidsOf(client);
      await admin(gateway, 'Bind', { sid, uid: 'cat' });
    },
  },
  {
    name: 'a uid that is connected elsewhere',
    route: 'game.bind',
    code: 409,
    says: ['UID_IN_USE', 'Control.GetPresence'],
    before: async () => {
      const first = await TestClient.connect(gateway.port);
      expect(await first.request('game.bind')).toEqual({});
    },
  },
  {
    name: 'a change that is over a limit',
    route: 'game.much',
    code: 413,
    says: ['TOO_LARGE', 'sessions.groups allows', 'The message names the limit'],
  },
  {
    name: 'a Link that does not answer',
    route: 'game.silent',
    code: 504,
    says: ['TIMEOUT', '/pith.v1.Backend/Link', /127\.0\.0\.1:\d+/, 'raise routes[].timeout'],
  },
  {
    name: 'a message that waited long for its turn',
    route: 'web.late',
    code: 504,
    says: ['TIMEOUT', /\d+ ms of it in the queue of its session/, 'routes[].order'],
    before: async (client) => {
      client.send('web.late', {});
    },
  },
  {
    name: 'Handle that throws',
    route: 'broken.x',
    code: 500,
    says: ['BACKEND_ERROR', 'UNKNOWN: TypeError: x is not a function', "the backend's own log"],
  },
  {
    name: 'gRPC without a server',
    route: 'away.x',
    code: 503,
    says: ['BACKEND_AWAY', 'nothing listens there', 'backends.away has its address'],
  },
  {
    name: 'the same, and tried again',
    route: 'again.x',
    code: 503,
    says: ['BACKEND_AWAY', 'sent again', 'rule again.>'],
  },
  {
    name: 'an open circuit breaker',
    route: 'fused.x',
    code: 503,
    says: ['its circuit breaker is open', 'backends.fused.breaker', 'The failures before it'],
    before: (client) => client.request('fused.x'),
  },
  {
    name: 'HTTP that fails',
    route: 'web.boom',
    code: 500,
    says: ['BACKEND_ERROR', 'answered 500', '/web/boom'],
  },
  {
    name: 'HTTP without the path',
    route: 'web.gone',
    code: 404,
    says: ['answered 404', '/web/gone'],
  },
  {
    name: 'an answer that cannot be read',
    route: 'web.odd',
    code: 502,
    says: ['BAD_REPLY', 'pith-set is not JSON', 'proto/README.md'],
  },
  {
    name: 'HTTP that does not answer',
    route: 'web.late',
    code: 504,
    says: ['TIMEOUT', 'no answer from http://', 'backend web'],
  },
  {
    name: 'HTTP without a server',
    route: 'shut.x',
    code: 503,
    says: ['BACKEND_AWAY', 'nothing listens at http://127.0.0.1:1', 'backends.shut'],
  },
  {
    name: 'a Unix socket without a server',
    route: 'line.x',
    code: 503,
    says: ['BACKEND_AWAY', 'line.x', 'backends.line'],
  },
  {
    name: 'nobody subscribes on NATS',
    route: 'bus.nobody',
    code: 503,
    says: ['BACKEND_AWAY', 'no subscribers on this subject', 'pith.rpc.bus.nobody'],
  },
  {
    name: 'nobody answers on NATS',
    route: 'bus.silent',
    code: 504,
    says: ['TIMEOUT', 'pith.rpc.bus.silent', 'backend bus'],
  },
  {
    name: 'a backend that has not attached',
    route: 'hands.x',
    code: 503,
    says: ['BACKEND_AWAY', 'backend hands', 'backends.hands'],
  },
  {
    name: 'too much in flight for a backend',
    route: 'game.x',
    code: 503,
    on: () => crowded,
    says: ['OVERLOADED', 'limits.in_flight_per_backend is 1', 'add gateways'],
    before: async (client) => {
      client.send('game.hold', {});
    },
  },
  {
    name: 'more messages than a session may send',
    route: 'game.y',
    code: 429,
    on: () => crowded,
    says: ['TOO_MANY', 'limits.messages_per_second is 3, with a burst of 3'],
    before: (client) => Promise.all(['a', 'b', 'c'].map((one) => client.request(`game.${one}`))),
  },
];

/** The sessions of a gateway, the newest first. */
async function sidsOf(client: TestClient): Promise<string[]> {
  await client.request('nope.first');
  return [...gateway.gateway.registry.all()].map(({ sid }) => sid).toReversed();
}

describe('explained by the ref of the answer', () => {
  test.each(SEEDED)('$name', async ({ route, code, says, before, on = () => gateway }) => {
    await using client = await TestClient.connect(on().port);
    await before?.(client);
    const failed = await client.request(route);
    expect(failed).toMatchObject({ code, ref: expect.stringMatching(/\.\d+-\d+$/) as string });
    const text = await why(on(), String(failed['ref']));
    for (const part of says) expect(text).toMatch(part);
    expect(text).toMatch(/^ {2}do {4}\S.{10}/m);
  });

  test('a notify, by the sid: nobody was told', async () => {
    await using client = await TestClient.connect(gateway.port);
    client.notify('away.n', {});
    const [sid] = await sidsOf(client);
    const text = await why(gateway, sid!);
    expect(text).toMatch(/notify away\.n: BACKEND_AWAY/);
    expect(text).toContain('told  nothing');
  });

  test('a request with an id that still waits, by the sid', async () => {
    await using client = await TestClient.connect(gateway.port);
    for (let i = 0; i < 2; i++) client.send('game.hold', {}, 7);
    const [sid] = await sidsOf(client);
    expect(await why(gateway, sid!)).toMatch(
      /a message was dropped: duplicate_id[^]*count its ids/,
    );
  });
});

test('by a uid, what failed before it was bound, too, and which of its sessions are open', async () => {
  await using client = await TestClient.connect(gateway.port);
  await client.request('web.gone');
  const [sid] = await sidsOf(client);
  await admin(gateway, 'Bind', { sid, uid: 'dora' });
  const text = await why(gateway, 'dora');
  expect(text).toMatch(/request web\.gone: NO_ROUTE/);
  expect(text).toContain(`${sid} is open`);
});

test('of one session the last eight are kept, and of another all', async () => {
  await using quiet = await TestClient.connect(gateway.port);
  const kept = await quiet.request('nope.kept');
  await using loud = await TestClient.connect(gateway.port);
  for (let i = 1; i <= 20; i++) await loud.request(`nope.n${i}`);
  const [sid] = await sidsOf(loud);
  const text = await why(gateway, sid!);
  expect([...text.matchAll(/request (nope\.\w+)/g)].map(([, route]) => route)).toEqual([
    ...['n14', 'n15', 'n16', 'n17', 'n18', 'n19', 'n20'].map((n) => `nope.${n}`),
    'nope.first',
  ]);
  // Refusals have numbers of their own, so each has its own ref.
  const seqs = [...text.matchAll(/-(\d+) {2}request/g)].map(([, seq]) => Number(seq));
  expect(seqs).toEqual([14, 15, 16, 17, 18, 19, 20, 21]);
  expect(await why(gateway, String(kept['ref']))).toContain('request nope.kept');
});

test('an operator who kicks, through another gateway; asked there, the whole fleet answers', async () => {
  await using other = await startGateway(`bus: ${nats.url}`);
  await using client = await TestClient.connect(gateway.port);
  const [sid] = await sidsOf(client);
  await eventually(async () => {
    const { lines } = await admin(other, 'GetSession', { sid });
    return lines[0]!['sid'] === sid;
  }, 'the gateways know of each other');
  await admin(other, 'Kick', { target: { sids: [sid] }, close: { reason: 'cheating' } });
  await client.ended;
  const text = await why(other, sid!);
  for (const part of ['request nope.first: NO_ROUTE', ': kick\n', 'told  cheating', 'an operator'])
    expect(text).toContain(part);
});

test('what nobody knows: exit code 1, and where to look', async () => {
  const args = ['why', 'nobody', '--admin', `127.0.0.1:${gateway.adminPort}`];
  const { code, output } = await run(process.execPath, ['src/main.ts', ...args]);
  expect(code).toBe(1);
  expect(output).toContain('nothing is known of nobody\n');
  expect(output).toContain('--log FILE');
});

test('once the gateway is gone, its log has the answer', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'pith-why-'));
  try {
    const log = join(dir, 'gateway.log');
    await using short = await startGateway(`telemetry: { refs: true }
backends: { shut: { http: "http://127.0.0.1:1" } }
routes: [{ match: "shut.>", backend: shut }]`);
    await using client = await TestClient.connect(short.port);
    const { ref } = await client.request('shut.x');
    await short.gateway.drain(() => true);
    await eventually(() => short.log.some(({ msg }) => msg === 'session closed'), 'the end');
    writeFileSync(log, short.log.map((line) => `web-1 | ${JSON.stringify(line)}\n`).join(''));
    expect(await why(short, String(ref))).toMatch(/nothing listens there\nif the gateway is gone/);
    const text = await why(short, String(ref), log);
    for (const part of [
      'request shut.x: BACKEND_AWAY',
      'told  503',
      'rule shut.>',
      '//127.0.0.1:1',
    ])
      expect(text).toContain(part);
    const sid = String(ref).replace(/-\d+$/, '');
    expect(await why(short, sid, log)).toMatch(/the end of .*: drain_forced[^]*drain\.budget/);
  } finally {
    rmSync(dir, { recursive: true });
  }
});
