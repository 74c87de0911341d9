/** What the fleet tells of itself, to any gateway that is asked: for the console, and for whoever has no console. */
import { once } from 'node:events';
import http from 'node:http';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { admin } from '../support/admin.ts';
import { TestClient } from '../support/client.ts';
import { startGateway, type TestGateway } from '../support/gateway.ts';
import { call } from '../support/grpcurl.ts';
import { layCable } from '../support/cable.ts';
import { startNats, type TestNats } from '../support/nats.ts';
import { serve } from '../support/nats-backend.ts';
import { eventually } from '../support/wait.ts';

type Json = Record<string, unknown>;
const LONG_NAME = 'n'.repeat(64);
const BACKENDS = `
backends:
  gate: { reply: { code: 200 } }
  dead: { http: "http://127.0.0.1:9" }
  chat: { nats: {} }
  ${LONG_NAME}: { grpc: "127.0.0.1:9", breaker: { failures: 1, open: 60s } }
routes:
  - { match: "gate.>", backend: gate }
  - { match: "dead.>", backend: dead }
  - { match: "chat.*.*", backend: [{ backend: chat, weight: 1000 }, { backend: gate, weight: 1 }] }
  - { match: "long.>", backend: ${LONG_NAME} }
`;

let nats: TestNats;
let one: TestGateway;
let two: TestGateway;
let ann: TestClient;
let bob: TestClient;

beforeAll(async () => {
  nats = await startNats();
  one = await startGateway(`id: one\nbus: ${nats.url}\ngeneration: blue\n${BACKENDS}`);
  two = await startGateway(`id: two\nbus: ${nats.url}\n${BACKENDS}`);
  ann = await TestClient.connect(one.port);
  bob = await TestClient.connect(two.port, 'ws');
  await eventually(async () => (await gateways()).length === 2, 'both gateways to be known');
});

afterAll(async () => {
  ann.close();
  bob.close();
  await one[Symbol.asyncDispose]();
  await two[Symbol.asyncDispose]();
  await nats[Symbol.asyncDispose]();
});

async function ask(method: string, request: object = {}): Promise<Json> {
  const { status, lines } = await admin(one, method, request);
  expect([method, status]).toEqual([method, 200]);
  return lines[0]!;
}

const gateways = async () => (await ask('ListGateways'))['gateways'] as Json[];

test('the gateways, with their state and load', async () => {
  const [first, second] = await gateways();
  expect(first).toMatchObject({
    ...{ gateway: one.gateway.id, version: '0.0.0-test', state: 'ready', generation: 'blue' },
    ...{ sessions: 1, in_flight: 0, called: true, not_ready: [], maintenance: false },
    ...{ outbox_bytes: '0', uptime: expect.stringMatching(/^[\d.]+s$/) },
  });
  expect(second).toMatchObject({
    gateway: two.gateway.id,
    state: 'ready',
    generation: '',
    called: false,
  });
  expect(Number(first!['sessions_max'])).toBeGreaterThan(100);
});

describe('a backend', () => {
  const backend = async (name: string, of: TestGateway): Promise<Json> => {
    const { backends, silent_gateways, more } = await ask('ListBackends', {
      gateway: of.gateway.id,
    });
    expect([silent_gateways, more]).toEqual([[], false]);
    const found = (backends as Json[]).filter((row) => row['name'] === name);
    expect(found).toHaveLength(1);
    return found[0]!;
  };

  test('that is not there says so in plain words, and what came of its calls', async () => {
    await bob.request('dead.a.b');
    await bob.request('dead.a.b');
    expect(await backend('dead', two)).toMatchObject({
      ...{ gateway: two.gateway.id, kind: 'http', healthy: 0, breaker: '' },
      outcomes: { BACKEND_AWAY: '2' },
      addresses: [
        {
          address: 'http://127.0.0.1:9',
          state: 'away',
          healthy: false,
          why: expect.stringContaining('nothing listens at http://127.0.0.1:9'),
        },
      ],
      last_failure: {
        ...{ reason: 'BACKEND_AWAY', route: 'dead.a.b' },
        why: expect.stringContaining('nothing listens at http://127.0.0.1:9'),
      },
    });
    const { latency } = await backend('dead', two);
    const { counts, bounds } = latency as { counts: string[]; bounds: number[] };
    expect(counts.map(Number).reduce((a, b) => a + b)).toBe(2);
    expect(counts).toHaveLength(bounds.length + 1);
    const there = await backend('dead', one);
    expect([there['outcomes'], 'last_failure' in there]).toEqual([{}, false]);
  });

  test('may have the longest name there is, and a breaker that is open', async () => {
    await bob.request('long.a.b');
    expect(await backend(LONG_NAME, two)).toMatchObject({
      kind: 'grpc',
      breaker: 'open',
      healthy: 0,
    });
    expect(await backend(LONG_NAME, one)).toMatchObject({ breaker: 'closed' });
  });

  test('on NATS is shown by its subject', async () => {
    const nc = await nats.connect();
    await serve(nc, 'pith.rpc.>', () => ({ body: '{"code":200}' }));
    await nc.flush();
    await ann.request('chat.room.say');
    expect(await backend('chat', one)).toMatchObject({
      addresses: [{ address: expect.stringContaining('rpc'), state: 'up', healthy: true }],
    });
    await nc.close();
  });
});

test('routes are counted on all gateways once somebody asks', async () => {
  await ask('ListRoutes');
  await ann.request('gate.a.b');
  await bob.request('gate.a.b');
  await bob.request('dead.a.b');
  await bob.request('nobody.knows.it');
  const { routes, silent_gateways } = await ask('ListRoutes');
  expect(silent_gateways).toEqual([]);
  expect(
    (routes as Json[]).map(({ match, backends, outcomes }) => [match, backends, outcomes]),
  ).toEqual([
    ['gate.>', ['gate'], { ok: '2' }],
    ['dead.>', ['dead'], { BACKEND_AWAY: '1' }],
    ['chat.*.*', ['chat', 'gate'], {}],
    ['long.>', [LONG_NAME], {}],
    ['', [], { NO_ROUTE: '1' }],
  ]);
});

test('the last hour has what happened on all of them', async () => {
  await using eve = await TestClient.connect(two.port);
  await ask('Kick', { target: { uids: [], sids: [sidOf(two)] }, close: { reason: 'test' } });
  await eve.ended;
  const { series, step, silent_gateways } = await ask('GetHistory');
  expect([step, silent_gateways]).toEqual(['10s', []]);
  const sums = Object.fromEntries(
    (series as Json[]).map(({ kind, name, values }) => [
      `${String(kind)} ${String(name)}`.trim(),
      (values as string[]).map(Number).reduce((a, b) => a + b),
    ]),
  );
  expect(sums).toMatchObject({ opened: 3, 'closed kick': 1, 'refused NO_ROUTE': 1 });
  expect(sums['failed BACKEND_AWAY']).toBeGreaterThanOrEqual(3);
  expect((series as Json[]).every(({ values }) => (values as string[]).length === 360)).toBe(true);
});

function sidOf({ gateway }: TestGateway): string {
  return [...gateway.registry.all()].at(-1)!.sid;
}

describe('sessions', () => {
  const found = async (request: object): Promise<unknown[]> => {
    const { lines } = await admin(one, 'ListSessions', request);
    return lines.map(({ sid }) => sid).filter((sid) => sid !== '');
  };

  test('are found by sid, uid and address, on all gateways', async () => {
    const [ofAnn, ofBob] = [
      [...one.gateway.registry.all()][0]!.sid,
      [...two.gateway.registry.all()][0]!.sid,
    ];
    await ask('Bind', { sid: ofBob, uid: 'Player-4711' });
    expect(await found({ search: 'player-47' })).toEqual([ofBob]);
    expect(await found({ search: ofAnn.toUpperCase() })).toEqual([ofAnn]);
    expect(await found({ search: '127.0.0.' })).toEqual([ofAnn, ofBob]);
    expect(await found({ search: '7.0.0.1' })).toEqual([]);
    expect(await found({ search: '127.0.0.', limit: 1 })).toEqual([ofAnn]);
    expect(await found({ search: 'player', target: { sids: [ofAnn] } })).toEqual([]);
    expect(await admin(one, 'ListSessions', { search: 'x'.repeat(257) })).toMatchObject({
      status: 400,
    });
  });

  test('say what they are doing when asked, and else do not', async () => {
    const { lines } = await admin(one, 'ListSessions', { stats: true });
    for (const { stats } of lines)
      expect(stats).toMatchObject({
        state: 'active',
        in_flight: 0,
        outbox_bytes: '0',
        silent_for: expect.any(String),
      });
    const sid = [...two.gateway.registry.all()][0]!.sid;
    expect(await ask('GetSession', { sid, stats: true })).toMatchObject({
      sid,
      stats: { state: 'active' },
    });
    expect(await ask('GetSession', { sid })).not.toHaveProperty('stats');
    const { lines: plain } = await admin(one, 'ListSessions');
    expect(plain.map((one) => 'stats' in one)).toEqual([false, false]);
  });
});

test('the log of both gateways is followed', async () => {
  const stop = new AbortController();
  const answer = await fetch(`http://127.0.0.1:${one.adminPort}/v1/WatchLog`, {
    ...{ method: 'POST', body: '{}', signal: stop.signal },
  });
  const lines: Json[] = [];
  const reading = (async () => {
    let rest = '';
    for await (const chunk of answer.body!.pipeThrough(new TextDecoderStream())) {
      const parts = (rest + chunk).split('\n');
      rest = parts.pop()!;
      for (const part of parts) lines.push(JSON.parse(part) as Json);
    }
  })().catch(() => {});
  const has = (gateway: TestGateway, text: string) =>
    eventually(
      () =>
        lines.some(
          (line) => line['gateway'] === gateway.gateway.id && String(line['fields']).includes(text),
        ),
      `${text} in the log of ${gateway.gateway.id}`,
    );
  // What was logged before, and what comes.
  await has(two, 'http://127.0.0.1:9');
  await ann.request('dead.later.on');
  await has(one, 'dead.later.on');
  expect(lines.filter(({ message }) => message !== '').every(({ level }) => level === 'warn')).toBe(
    true,
  );
  const seen = lines
    .filter(({ seq }) => seq !== '0')
    .map(({ gateway, seq }) => `${String(gateway)} ${String(seq)}`);
  expect(new Set(seen).size).toBe(seen.length);
  stop.abort();
  await reading;
});

test('whoever follows logs takes none of the places of other calls', async () => {
  const stop = new AbortController();
  const follow = (): Promise<Response> =>
    fetch(`http://127.0.0.1:${one.adminPort}/v1/WatchLog`, {
      ...{ method: 'POST', body: '{}', signal: stop.signal },
    });
  const followed: Response[] = [];
  // All 16, once those before have ended, and one too many.
  await eventually(async () => {
    const answer = await follow();
    if (answer.ok) followed.push(answer);
    return followed.length === 16;
  }, '16 logs that are followed');
  expect(await (await follow()).text()).toContain('16 logs are followed already');
  // Of 64 places 60 are taken by requests whose bodies have not come.
  const begun = Array.from({ length: 60 }, () => {
    const request = http.request({
      ...{ host: '127.0.0.1', port: one.adminPort, path: '/v1/GetInfo' },
      ...{ method: 'POST', agent: false },
      headers: { 'content-length': 2 },
    });
    request.flushHeaders();
    return request.on('error', () => {});
  });
  await Promise.all(begun.map((request) => once(request, 'socket')));
  for (let n = 0; n < 20; n++) expect(await ask('GetInfo')).toHaveProperty('version');
  for (const request of begun) request.destroy();
  stop.abort();
  await Promise.allSettled(followed.map((answer) => answer.text()));
});

test.each(['ListGateways', 'ListBackends', 'ListRoutes', 'GetHistory'])(
  '%s over gRPC and over NATS says the same as over HTTP',
  async (method) => {
    const { status } = await call(one, method);
    expect(status).toBe('OK');
    const nc = await nats.connect();
    const { data } = await nc.request(`pith.control.${method}`, '{}');
    expect(Object.keys(JSON.parse(new TextDecoder().decode(data)) as Json)).toEqual(
      Object.keys(await ask(method)),
    );
    await nc.close();
  },
);

test('the log over NATS is the lines that are kept', async () => {
  const nc = await nats.connect();
  const { data } = await nc.request('pith.control.WatchLog', '{"level":"warn"}');
  const { lines } = JSON.parse(new TextDecoder().decode(data)) as { lines: Json[] };
  expect(lines.map(({ gateway }) => gateway)).toContain(two.gateway.id);
  await nc.close();
});

test('a gateway that is silent is named, and the others answer', async () => {
  await using cable = await layCable(nats.port);
  await using three = await startGateway(
    `id: three\nbus: nats://127.0.0.1:${cable.port}\nbackends: {}\nroutes: []`,
  );
  await eventually(async () => (await gateways()).length === 3, 'the third gateway to be known');
  cable.freeze();
  const silent_gateways = [three.gateway.id];
  expect((await gateways()).map(({ gateway, state }) => [gateway, state])).toEqual([
    [one.gateway.id, 'ready'],
    [three.gateway.id, 'silent'],
    [two.gateway.id, 'ready'],
  ]);
  for (const method of ['ListBackends', 'ListRoutes', 'GetHistory'])
    expect(await ask(method), method).toMatchObject({ silent_gateways });
  const { lines } = await admin(one, 'ListSessions', { search: '127.' });
  expect(lines.at(-1)).toMatchObject({ rest: { silent_gateways } });
});
