/** The methods of Control for the whole fleet: the same answers whichever way they are asked. */
import type { NatsConnection } from 'nats';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { admin } from '../support/admin.ts';
import { layCable } from '../support/cable.ts';
import { TestClient } from '../support/client.ts';
import { startGateway, type TestGateway } from '../support/gateway.ts';
import { call } from '../support/grpcurl.ts';
import { startNats, type TestNats } from '../support/nats.ts';
import { eventually, PATIENCE_MS } from '../support/wait.ts';

type Json = Record<string, unknown>;
/** What a call ends with: the answers with their zero values, or the reason of the refusal. */
type Outcome = { answers: Json[] } | { reason: string };

let nats: TestNats;
let nc: NatsConnection;
let one: TestGateway;
let two: TestGateway;
const players: TestClient[] = [];
const sids: string[] = [];

beforeAll(async () => {
  nats = await startNats();
  nc = await nats.connect();
  const start = (id: string) =>
    startGateway(`id: ${id}\nbus: ${nats.url}\nbackends: {}\nroutes: []\nsessions: { groups: 4 }`);
  [one, two] = [await start('one'), await start('two')];
  for (const gateway of [one, two, two]) {
    players.push(await TestClient.connect(gateway.port));
    sids.push([...gateway.gateway.registry.all()].at(-1)!.sid);
  }
  for (const sid of sids.slice(0, 2)) await admin(one, 'Bind', { sid, uid: '42' });
  await admin(one, 'Bind', { sid: sids[2]!, uid: '__proto__' });
  await eventually(async () => {
    const { lines } = await admin(one, 'GetPresence', { uids: ['42'] });
    return lines[0]!['gateways'] === 2;
  }, 'the gateways to know each other');
});

afterAll(async () => {
  for (const player of players) player.close();
  await two[Symbol.asyncDispose]();
  await one[Symbol.asyncDispose]();
  await nats[Symbol.asyncDispose]();
});

async function byJson(method: string, request: Json): Promise<Outcome> {
  const { status, lines } = await admin(one, method, request);
  if (status === 200) return { answers: lines };
  return { reason: (lines[0]!['error'] as { reason: string }).reason };
}

async function byGrpc(method: string, request: Json): Promise<Outcome> {
  const { status, text, answers } = await call(one, method, request, ['-emit-defaults']);
  return status === 'OK'
    ? { answers: inContractNames([...answers]) }
    : { reason: text.split(':', 1)[0]! };
}

/** A page is what the others stream: a message each, and one more if there is more to say. */
async function byNats(method: string, request: Json): Promise<Outcome> {
  const message = await nc.request(`pith.control.${method}`, JSON.stringify(request), {
    timeout: PATIENCE_MS,
  });
  const answer = message.json<Json>();
  const error = answer['error'] as { reason: string } | undefined;
  if (error !== undefined) return { reason: error.reason };
  const { groups, sessions, next_page_token: next, silent_gateways: silent } = answer;
  if (method !== 'ListGroups' && method !== 'ListSessions') return { answers: [answer] };
  const answers = (groups ?? sessions) as Json[];
  if (next === '' && (silent as string[]).length === 0) return { answers };
  const last = {
    name: '',
    sessions: 0,
    gateways: 0,
    next_page_token: next,
    silent_gateways: silent,
  };
  return { answers: [...answers, last] };
}

const WAYS: readonly (readonly [string, (method: string, request: Json) => Promise<Outcome>])[] = [
  ['JSON', byJson],
  ['gRPC', byGrpc],
  ['NATS', byNats],
];

const TIME = expect.stringMatching(/^20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/) as unknown;

describe('over NATS alone', () => {
  const ask = async (subject: string, payload = '') => {
    const message = await nc.request(subject, payload, { timeout: PATIENCE_MS });
    const { error } = message.json<{ error?: { code: number; reason: string; msg: string } }>();
    return [message.headers?.get('Nats-Service-Error-Code') ?? '', error?.reason, error?.msg];
  };

  test.each([
    ['control.PushMany', '', '501', 'UNSUPPORTED', 'PushMany is not served over NATS'],
    ['control.Nope', '', '501', 'UNSUPPORTED', 'no method Nope; there are Push, Kick, Bind, '],
    ['control.__proto__', '', '501', 'UNSUPPORTED', 'no method __proto__; there are Push, '],
    ['control.Watch', '', '501', 'UNSUPPORTED', 'Watch is not served over NATS'],
    [
      'control.GetConfig',
      '',
      '501',
      'UNSUPPORTED',
      'GetConfig acts on one gateway: send it to gateway.<gateway id>.GetConfig',
    ],
    ['gateway.ONE.GetInfo', '', '501', 'UNSUPPORTED', 'set bus_admin: true'],
    ['control.GetSession', '[]', '400', 'BAD_BODY', 'the body is not a JSON object'],
    [
      'control.GetSession',
      '{"sid":"x","si":1}',
      '400',
      'BAD_ARGUMENT',
      'the body is not a pith.v1.GetSessionRequest',
    ],
    [
      'control.GetSession',
      '{"sid":"\\ud800"}',
      '400',
      'BAD_ARGUMENT',
      'the body is not a pith.v1.GetSessionRequest',
    ],
  ])('%s %s is refused with %s', async (method, payload, code, reason, msg) => {
    const subject = `pith.${method.replace('ONE', one.gateway.id)}`;
    expect(await ask(subject, payload)).toEqual([code, reason, expect.stringContaining(msg)]);
  });

  test('one of the gateways carries a call out, whichever it is', async () => {
    const before = await totalOfCalls();
    for (let i = 0; i < 20; i++)
      await nc.request('pith.control.GetPresence', '{"uids":["42"]}', { timeout: PATIENCE_MS });
    expect((await totalOfCalls()) - before).toBe(20);
  });

  test('a call that is published is carried out, and answered nowhere', async () => {
    nc.publish('pith.control.SetData', JSON.stringify({ sid: sids[0], set: { published: 1 } }));
    const data = async () => {
      const { lines } = await admin(one, 'GetSession', { sid: sids[0] });
      return lines[0]!['data'] as Json;
    };
    await eventually(async () => 'published' in (await data()), 'the change');
    expect(await data()).toMatchObject({ published: 1 });
  });

  test('pages of sessions follow each other', async () => {
    const found: string[] = [];
    for (let page_token = ''; ;) {
      const message = await nc.request(
        'pith.control.ListSessions',
        JSON.stringify({ limit: 1, page_token }),
        { timeout: PATIENCE_MS },
      );
      const page = message.json<{ sessions: { sid: string }[]; next_page_token: string }>();
      found.push(...page.sessions.map(({ sid }) => sid));
      page_token = page.next_page_token;
      if (page_token === '') break;
    }
    expect(found).toEqual(sids);
  });

  test('GetConfig and its like are for operators: with bus_admin, on the subject of one gateway', async () => {
    await using four = await startGateway(
      `id: four\nbus: ${nats.url}\nbus_admin: true\nbackends: {}\nroutes: []`,
    );
    const own = async (method: string, request: Json = {}) => {
      const subject = `pith.gateway.${four.gateway.id}.${method}`;
      const message = await nc.request(subject, JSON.stringify(request), { timeout: PATIENCE_MS });
      return message.json<Json>();
    };
    expect(await own('GetInfo')).toMatchObject({ gateway: four.gateway.id, state: 'ready' });
    expect((await own('GetConfig'))['yaml']).toContain('bus_admin: true');
    expect(await own('ExplainRoute', { route: 'a.b' })).toMatchObject({ rule: '', backend: '' });
    expect(await own('SetLogLevel', { level: 'warn' })).toMatchObject({ gateway: four.gateway.id });
    expect(await own('Call', { sid: sids[0] })).toMatchObject({ error: { reason: 'NO_SESSION' } });
    expect(await own('Push', {})).toMatchObject({
      error: {
        reason: 'UNSUPPORTED',
        msg: 'Push reaches the whole fleet: send it to control.Push',
      },
    });
    expect(await own('Drain', { reason: 'test' })).toEqual({
      ...{ state: 'draining', remaining: 0, forced: 0 },
    });
    await four.gateway.stopped();
  });
});

/** How often the two gateways were asked, as NATS tools see it. */
async function totalOfCalls(): Promise<number> {
  let total = 0;
  for (const { gateway } of [one, two]) {
    const message = await nc.request(`$SRV.STATS.pith.${gateway.id}`, '', { timeout: PATIENCE_MS });
    const { endpoints } = message.json<{ endpoints: { name: string; num_requests: number }[] }>();
    total += endpoints.find(({ name }) => name === 'control')!.num_requests;
  }
  return total;
}

describe.each(WAYS)('over %s', (way, ask) => {
  test('GetPresence', async () => {
    const { answers } = (await ask('GetPresence', { uids: ['gone', '42', '__proto__'] })) as {
      answers: Json[];
    };
    const gateways = [one, two].map(({ gateway }) => gateway.id);
    const entry = (sid: string) => ({
      ...{ sid, gateway: sid.slice(0, sid.indexOf('.')) },
      bound_at: TIME,
    });
    expect(gateways).toContain(entry(sids[0]!).gateway);
    const presence = JSON.parse(`{
      "42": ${JSON.stringify({ sessions: 2, sids: sids.slice(0, 2) })},
      "__proto__": ${JSON.stringify({ sessions: 1, sids: [sids[2]!] })}
    }`) as Record<string, Json>;
    for (const user of Object.values(presence))
      user['entries'] = (user['sids'] as string[]).map(entry);
    expect(answers).toEqual([{ presence, silent_gateways: [], gateways: 2 }]);
  });

  test('GetPresence of nobody, and of too many', async () => {
    expect(await ask('GetPresence', {})).toEqual({
      answers: [{ presence: {}, silent_gateways: [], gateways: 1 }],
    });
    const uids = Array.from({ length: 10_001 }, (_, i) => `${i}`);
    expect(await ask('GetPresence', { uids })).toEqual({ reason: 'TOO_LARGE' });
  });

  test('Join, ListGroups and Leave', async () => {
    const result = (changed: number, refused = 0) => ({
      answers: [{ changed, gateways: 2, silent_gateways: [], refused }],
    });
    const target = { uids: ['42'] };
    expect(await ask('Join', { target, groups: ['room.1', 'x'] })).toEqual(result(2));
    expect(await ask('Join', { target, groups: ['room.1'] })).toEqual(result(0));
    expect(
      await ask('Join', { target: { uids: ['__proto__'] }, groups: ['room.1', 'room.2'] }),
    ).toEqual(result(1));
    const group = (name: string, sessions: number, gateways: number) => ({
      name,
      sessions,
      gateways,
      next_page_token: '',
      silent_gateways: [],
    });
    expect(await ask('ListGroups', { prefix: 'room.' })).toEqual({
      answers: [group('room.1', 3, 2), group('room.2', 1, 1)],
    });
    const more = {
      ...{ name: '', sessions: 0, gateways: 0, next_page_token: 'room.1', silent_gateways: [] },
    };
    expect(await ask('ListGroups', { limit: 1 })).toEqual({
      answers: [group('room.1', 3, 2), more],
    });
    expect(await ask('ListGroups', { limit: 2, page_token: 'room.1' })).toEqual({
      answers: [group('room.2', 1, 1), group('x', 2, 2)],
    });
    // Four are allowed; only the third session has room for three more.
    const many = ['a', 'b', 'c'];
    expect(await ask('Join', { target, groups: many })).toEqual({ reason: 'TOO_LARGE' });
    expect(
      await ask('Leave', { target: { groups: ['room.1'] }, groups: ['room.1', 'room.2', 'x'] }),
    ).toEqual(result(3));
    expect(await ask('ListGroups', {})).toEqual({ answers: [] });
  });

  test('Push, GetSession, ListSessions, Bind, Unbind and SetData', async () => {
    const push = { target: { uids: ['42', 'gone'] }, route: `on${way}`, body: { json: { way } } };
    expect(await ask('Push', { push, wait: '5s' })).toEqual({
      answers: [
        {
          ...{ delivered: 2, dropped: 0, refused: 0, gateways: 2, unknown_uids: ['gone'] },
          ...{ unknown_sids: [], silent_gateways: [], kept: 0 },
        },
      ],
    });
    for (const player of players.slice(0, 2))
      expect(await player.push(`on${way}`)).toEqual({ way });
    const sid = sids[2]!;
    const set = { way, list: [1, null] };
    const done = async (method: string, request: Json) =>
      ((await ask(method, { sid, ...request })) as { answers: Json[] }).answers[0]!;
    expect(await done('SetData', { set })).toMatchObject({ sid, uid: '__proto__', data: set });
    const unbound = await done('Unbind', {});
    expect(unbound).toMatchObject({ sid, uid: '' });
    expect(unbound).not.toHaveProperty('bound_at');
    expect(await done('Bind', { uid: '__proto__' })).toMatchObject({
      uid: '__proto__',
      bound_at: TIME,
    });
    const session = await done('GetSession', {});
    expect(session).toMatchObject({ sid, data: set, bound_at: TIME, opened_at: TIME });
    expect(await ask('ListSessions', { target: { sids: [sid, sids[0]] }, limit: 2 })).toMatchObject(
      {
        answers: [{ sid: sids[0], uid: '42' }, session],
      },
    );
    expect(await ask('Bind', { sid, uid: 'other' })).toEqual({ reason: 'CONFLICT' });
    expect(await ask('GetSession', { sid: `${two.gateway.id}.99` })).toEqual({
      reason: 'NO_SESSION',
    });
  });

  test('Kick', async () => {
    await using eve = await TestClient.connect(two.port);
    const { sid } = [...two.gateway.registry.all()].at(-1)!;
    const close = { reason: 'out', retry_after: '1.5s' };
    expect(await ask('Kick', { target: { sids: [sid] }, close })).toMatchObject({
      answers: [{ closed: 1, silent_gateways: [] }],
    });
    await eve.ended;
    expect(eve.received.at(-1)).toEqual({
      kind: 'kick',
      body: { reason: 'out', retry_after_ms: 1_500 },
    });
  });

  test.each([
    ['Join', { groups: ['x'] }],
    ['Leave', { target: {}, groups: ['x'] }],
    ['Join', { target: { all: true } }],
    ['Join', { target: { all: true }, groups: [''] }],
  ])('%s %j is refused', async (method, request) => {
    expect(await ask(method, request)).toEqual({ reason: 'BAD_ARGUMENT' });
  });
});

test.each([
  ['JSON', byJson],
  ['gRPC', byGrpc],
])('the last session of a page says by %s that there are more', async (_, ask) => {
  const pages: unknown[] = [];
  for (let page_token: unknown = ''; page_token !== undefined;) {
    const { answers } = (await ask('ListSessions', { limit: 2, page_token })) as {
      answers: Json[];
    };
    pages.push(answers.map(({ sid, rest }) => [sid, rest]));
    page_token = (answers.at(-1)!['rest'] as Json | undefined)?.['next_page_token'];
  }
  expect(pages).toEqual([
    [
      [sids[0], undefined],
      [sids[1], { next_page_token: sids[1], silent_gateways: [] }],
    ],
    [[sids[2], undefined]],
  ]);
});

test('a gateway that is silent is named, and the others answer', async () => {
  await using cable = await layCable(nats.port);
  await using three = await startGateway(
    `id: three\nbus: nats://127.0.0.1:${cable.port}\nbackends: {}\nroutes: []`,
  );
  await using _far = await TestClient.connect(three.port);
  await eventually(async () => {
    const { lines } = await admin(one, 'GetPresence', { uids: ['42'] });
    return lines[0]!['gateways'] === 3;
  }, 'the third gateway to be known');
  cable.freeze();
  const silent_gateways = [three.gateway.id];
  const target = { all: true };
  for (const [method, request, answer] of [
    ['GetPresence', { uids: ['gone'] }, { presence: {}, gateways: 2, silent_gateways }],
    ['Join', { target, groups: ['x'] }, { changed: 3, gateways: 2, silent_gateways }],
    ['Leave', { target, groups: ['x'] }, { changed: 3, gateways: 2, silent_gateways }],
    ['ListGroups', {}, { name: '', silent_gateways }],
    [
      'ListSessions',
      { limit: 2 },
      { sid: sids[1], rest: { next_page_token: sids[1], silent_gateways } },
    ],
    [
      'ListSessions',
      { target: { uids: ['gone'] } },
      { sid: '', rest: { next_page_token: '', silent_gateways } },
    ],
  ] as const) {
    const { lines } = await admin(one, method, request);
    expect(lines.at(-1), method).toMatchObject(answer);
  }
});

/** The names of the .proto, instead of grpcurl's, and without the messages that it prints as null. */
function inContractNames<T>(value: T): T {
  const names = /"[a-z]+[A-Z][A-Za-z]*":/g;
  const text = JSON.stringify(value).replace(names, (name) =>
    name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`),
  );
  return JSON.parse(text.replace(/,?"(error|bound_at|rest)":null/g, '')) as T;
}
