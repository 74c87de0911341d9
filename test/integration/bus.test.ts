/** The verbs of the reply bus, as any NATS client sees them: payloads, answers, refusals. */
import type { NatsConnection } from 'nats';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { TestClient } from '../support/client.ts';
import { startGateway, type TestGateway } from '../support/gateway.ts';
import { startNats, type TestNats } from '../support/nats.ts';
import { Heard, push, tell, tellJson, type Words } from '../support/nats-backend.ts';

const CONFIG = `
backends: { game: { nats: {} } }
routes: [{ match: ">", backend: game, timeout: 60s }]
sessions: { data: 1KiB, groups: 8 }
limits: { messages_per_second: 100000, burst: 100000, outbox: 64KiB, slow: { drop_after: 1ms, close_after: 30s } }
`;

let nats: TestNats;
let nc: NatsConnection;
let gateway: TestGateway;

beforeAll(async () => {
  nats = await startNats();
  nc = await nats.connect();
  gateway = await startGateway(`bus: ${nats.url}\n${CONFIG}`);
});

afterAll(async () => {
  await gateway[Symbol.asyncDispose]();
  await nats[Symbol.asyncDispose]();
});

type Player = { client: TestClient; sid: string; at: string } & AsyncDisposable;

/** A client and the subject of its session, bound and in groups as told. */
async function player(patch: Record<string, unknown> = {}): Promise<Player> {
  const known = new Set([...gateway.gateway.registry.all()].map(({ sid }) => sid));
  const client = await TestClient.connect(gateway.port);
  const { sid } = [...gateway.gateway.registry.all()].find((session) => !known.has(session.sid))!;
  const at = `pith.session.${sid}`;
  await tellJson(nc, `${at}.patch`, patch);
  return { client, sid, at, [Symbol.asyncDispose]: () => client[Symbol.asyncDispose]() };
}

const refusal = (code: number, reason: string): object => ({
  headers: { 'Nats-Service-Error-Code': String(code), 'Nats-Service-Error': expect.any(String) },
  json: { error: { code, reason, msg: expect.any(String) } },
});

describe('verbs for one session', () => {
  test('bind, set, join, leave, unbind and patch answer what changed, and the version', async () => {
    await using ann = await player();
    const steps: [string, object | string, number, number][] = [
      ['bind', { uid: 'ann' }, 1, 1],
      ['bind', { uid: 'ann' }, 0, 1],
      ['set', { set: { level: 3, gone: true } }, 1, 2],
      ['set', { set: { gone: null }, if_version: 2 }, 1, 3],
      ['set', { set: { late: 1 }, ifVersion: '3' }, 1, 4],
      ['join', { groups: ['red', 'blue'] }, 1, 5],
      ['join', { groups: ['red'] }, 0, 5],
      ['leave', { groups: ['blue', 'none'] }, 1, 6],
      ['unbind', '', 1, 7],
      ['unbind', '', 0, 7],
      ['patch', { uid: 'bob', set: { late: null }, join: ['g'], leave: ['red'] }, 1, 8],
      ['patch', '', 0, 8],
    ];
    for (const [verb, payload, changed, version] of steps)
      expect(await tell(nc, `${ann.at}.${verb}`, payload), verb).toEqual({
        headers: {},
        json: { changed, version },
      });
    const { sessions } = await tellJson(nc, `${ann.at}.get`);
    expect(sessions).toEqual([
      {
        sid: ann.sid,
        uid: 'bob',
        gateway: gateway.gateway.id,
        remote_ip: '127.0.0.1',
        client_type: 'test',
        client_version: '1',
        opened_at: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/),
        bound_at: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/),
        data: { level: 3 },
        version: '8',
        groups: ['g'],
        transport: 'tcp',
        dialect: 'pomelo',
      },
    ]);
  });

  test('push answers what became of it, and its body arrives byte for byte', async () => {
    await using ann = await player();
    const bytes = Buffer.from([0, 1, 0x7b, 0xff]);
    expect(await tell(nc, `${ann.at}.push`, bytes, { 'Pith-Route': 'onB%C3%BCtes' })).toEqual({
      headers: {},
      json: { delivered: 1, dropped: 0, refused: 0 },
    });
    const got = await ann.client.next('push');
    expect(got).toMatchObject({ route: 'onBütes', body: bytes });
  });

  test.each([
    [
      'kick',
      { reason: 'cheat', code: 7, retry_after: '1.5s' },
      { reason: 'cheat', code: 7, retry_after_ms: 1500 },
    ],
    ['kick', '', { reason: 'kick' }],
    ['close', { reason: 'night', kick: true }, { reason: 'night' }],
    ['close', { reason: 'night' }, null],
    ['close', '', null],
  ])('%s with %j closes, with the kick packet %j', async (verb, payload, kick) => {
    await using ann = await player();
    expect(await tellJson(nc, `${ann.at}.${verb}`, payload)).toEqual({ closed: 1 });
    await ann.client.ended;
    const kicks = ann.client.received.filter((item) => item.kind === 'kick');
    expect(kicks).toEqual(kick === null ? [] : [{ kind: 'kick', body: kick }]);
    expect(await tell(nc, `${ann.at}.get`)).toEqual(refusal(404, 'NO_SESSION'));
  });

  test('a verb for a session that is gone is refused; for a gateway that is gone nobody answers', async () => {
    const ann = await player();
    ann.client.close();
    await ann.client.ended;
    await expect
      .poll(() => [...gateway.gateway.registry.all()].some(({ sid }) => sid === ann.sid))
      .toBe(false);
    for (const verb of [
      'push',
      'patch',
      'bind',
      'unbind',
      'set',
      'join',
      'leave',
      'kick',
      'close',
      'get',
    ])
      expect(await tell(nc, `${ann.at}.${verb}`), verb).toEqual(refusal(404, 'NO_SESSION'));
    expect(await tell(nc, `pith.session.${gateway.gateway.id}.007.get`)).toEqual(
      refusal(404, 'NO_SESSION'),
    );
    expect(await tell(nc, 'pith.session.pith-0123456789.1.get')).toBeNull();
  });

  test('refusals say why', async () => {
    await using ann = await player({ uid: 'ann-refused' });
    const cases: [string, unknown, number, string][] = [
      ['bind', { uid: 'other' }, 409, 'CONFLICT'],
      ['bind', {}, 400, 'BAD_ARGUMENT'],
      ['bind', { uid: 7 }, 400, 'BAD_ARGUMENT'],
      ['bind', '{"uid":', 400, 'BAD_ARGUMENT'],
      ['set', {}, 400, 'BAD_ARGUMENT'],
      ['set', { set: [] }, 400, 'BAD_ARGUMENT'],
      ['set', { set: { a: 1 }, if_version: 99 }, 409, 'CONFLICT'],
      ['set', { set: { a: 'x'.repeat(2000) } }, 413, 'TOO_LARGE'],
      ['join', { groups: 'red' }, 400, 'BAD_ARGUMENT'],
      ['join', { groups: [] }, 400, 'BAD_ARGUMENT'],
      ['join', { groups: [''] }, 400, 'BAD_ARGUMENT'],
      ['join', { groups: '123456789'.split('') }, 413, 'TOO_LARGE'],
      ['leave', '', 400, 'BAD_ARGUMENT'],
      ['kick', { reason: 1 }, 400, 'BAD_ARGUMENT'],
      ['close', { retry_after: '1 minute' }, 400, 'BAD_ARGUMENT'],
      ['push', 'no route', 400, 'BAD_ARGUMENT'],
      ['dance', '', 501, 'UNSUPPORTED'],
      ['constructor', '', 501, 'UNSUPPORTED'],
      ['__proto__', '', 501, 'UNSUPPORTED'],
    ];
    for (const [verb, payload, code, reason] of cases)
      expect(
        await tell(nc, `${ann.at}.${verb}`, payload),
        `${verb} ${JSON.stringify(payload)}`,
      ).toEqual(refusal(code, reason));
    expect(await tellJson(nc, `${ann.at}.get`)).toMatchObject({
      sessions: [{ uid: 'ann-refused', version: '1' }],
    });
  });
});

describe('verbs for users, groups and all', () => {
  test('a user is all sessions with the uid: push, get, patch, kick', async () => {
    await using one = await player({ uid: 'zoë.5 *' });
    await using two = await player({ uid: 'zoë.5 *' });
    await using other = await player({ uid: 'other' });
    const user = `pith.user.=${Buffer.from('zoë.5 *').toString('base64url')}`;
    expect(await tellJson(nc, `${user}.push`, '{}', { 'Pith-Route': 'onHi' })).toEqual({
      delivered: 2,
      dropped: 0,
      refused: 0,
    });
    const { sessions } = await tellJson(nc, `${user}.get`);
    expect((sessions as { sid: string }[]).map(({ sid }) => sid)).toEqual([one.sid, two.sid]);
    expect(await tellJson(nc, `${user}.patch`, { set: { a: 1 } })).toEqual({
      changed: 2,
      version: 2,
    });
    expect(await tell(nc, `${user}.bind`, { uid: 'x' })).toEqual(refusal(501, 'UNSUPPORTED'));
    expect(await tellJson(nc, `${user}.kick`, { reason: 'twice' })).toEqual({ closed: 2 });
    await Promise.all([one.client.ended, two.client.ended]);
    expect(one.client.received.at(-1)).toEqual({ kind: 'kick', body: { reason: 'twice' } });
    expect(await tell(nc, `${user}.push`, '{}', { 'Pith-Route': 'onHi' })).toBeNull();
    expect(other.client.pushes()).toEqual([]);
  });

  test('a group and all: push, get, kick, and no more', async () => {
    await using one = await player({ join: ['room.1'] });
    await using two = await player({ join: ['room.1'] });
    await using other = await player();
    const group = 'pith.group.=cm9vbS4x';
    expect(await tellJson(nc, `${group}.push`, '{"g":1}', { 'Pith-Route': 'onG' })).toMatchObject({
      delivered: 2,
    });
    expect((await tellJson(nc, `${group}.get`))['sessions']).toHaveLength(2);
    expect(await tell(nc, `${group}.patch`, {})).toEqual(refusal(501, 'UNSUPPORTED'));
    expect(await tellJson(nc, 'pith.all.push', '', { 'Pith-Route': 'onAll' })).toMatchObject({
      delivered: 3,
    });
    expect(await tell(nc, 'pith.all.get')).toEqual({ headers: {}, json: { sessions: 3 } });
    expect(await tell(nc, 'pith.all.close')).toEqual(refusal(501, 'UNSUPPORTED'));
    for (const { client } of [one, two, other]) expect(await client.push('onAll')).toEqual({});
    expect(other.client.pushes('onG')).toEqual([]);
    expect(await tellJson(nc, `${group}.kick`)).toEqual({ closed: 2 });
    await Promise.all([one.client.ended, two.client.ended]);
    expect(await tell(nc, `${group}.get`)).toBeNull();
    expect(await tellJson(nc, 'pith.all.kick')).toEqual({ closed: 1 });
    await other.client.ended;
    expect(await tellJson(nc, 'pith.all.get')).toEqual({ sessions: 0 });
  });

  test('a name of more than 96 bytes works by its hash', async () => {
    await using ann = await player({ uid: 'x'.repeat(97) });
    const user = 'pith.user.=hGajwfut_PQwLc3fjfXLszeFEzv60S-rJwyJxMaUmaI0';
    expect(await tellJson(nc, `${user}.get`)).toMatchObject({ sessions: [{ sid: ann.sid }] });
  });

  test('someone who is not online has no responders, nor has one who has left', async () => {
    const ann = await player({ uid: 'brief', join: ['few'] });
    expect(await tell(nc, 'pith.user.brief.get')).not.toBeNull();
    await tellJson(nc, `${ann.at}.patch`, { uid: '', leave: ['few'] });
    expect(await tell(nc, 'pith.user.brief.get')).toBeNull();
    expect(await tell(nc, 'pith.group.few.get')).toBeNull();
    expect(await tell(nc, 'pith.user.never.push', '{}', { 'Pith-Route': 'onHi' })).toBeNull();
    await ann[Symbol.asyncDispose]();
  });

  test('a verb without a reply subject is not answered, but done', async () => {
    await using ann = await player({ uid: 'quiet' });
    const everything = await Heard.on(nc, '>');
    nc.publish(`${ann.at}.set`, '{"set":{"a":1}}');
    nc.publish(`${ann.at}.dance`, '');
    push(nc, 'pith.user.quiet.push', 'onQuiet', { n: 1 });
    push(nc, 'pith.all.push', 'onAll', { n: 2 });
    expect(await ann.client.push('onQuiet')).toEqual({ n: 1 });
    expect(await ann.client.push('onAll')).toEqual({ n: 2 });
    expect(await tellJson(nc, `${ann.at}.get`)).toMatchObject({ sessions: [{ data: { a: 1 } }] });
    everything.stop();
    const answers = everything.subjects.filter((subject) => subject.startsWith('_INBOX.'));
    expect(answers).toHaveLength(1);
  });
});

describe('what a push may say', () => {
  const pushed = (subject: string, words: Words): Promise<Record<string, unknown>> =>
    tellJson(nc, subject, '{}', { 'Pith-Route': 'onHi', ...words });

  test('except these sids or uids, and only where the data is so', async () => {
    await using ann = await player({
      uid: 'ann',
      join: ['g'],
      set: { level: 3, pos: { x: 1, y: 2 } },
    });
    await using bob = await player({ uid: 'bob', join: ['g'], set: { level: 4 } });
    await using eve = await player({ join: ['g'] });
    const group = 'pith.group.g.push';
    const cases: [Words, Player[]][] = [
      [{}, [ann, bob, eve]],
      [{ 'Pith-Except-Sids': JSON.stringify([ann.sid, 'x.1']) }, [bob, eve]],
      [{ 'Pith-Except-Uids': '["bob","nobody"]' }, [ann, eve]],
      [{ 'Pith-Except-Uids': '[""]' }, [ann, bob, eve]],
      [{ 'Pith-Where': '{"level":3}' }, [ann]],
      [{ 'Pith-Where': '{"pos":{"y":2,"x":1}}' }, [ann]],
      [{ 'pith-where': '{"level":%203}', 'Pith-Except-Uids': '["ann"]' }, []],
      [{ 'Pith-Where': '{}' }, [ann, bob, eve]],
    ];
    for (const [words, to] of cases) {
      expect(await pushed(group, words), JSON.stringify(words)).toMatchObject({
        delivered: to.length,
      });
    }
    // The last one that each is to get; with it all are there.
    await Promise.all([
      ann.client.push('onHi', 5),
      bob.client.push('onHi', 3),
      eve.client.push('onHi', 4),
    ]);
    expect([ann, bob, eve].map(({ client }) => client.pushes().length)).toEqual([6, 4, 5]);
  });

  test.each([
    [{ 'Pith-Except-Sids': '"x"' }],
    [{ 'Pith-Except-Uids': '[1]' }],
    [{ 'Pith-Where': '[]' }],
    [{ 'Pith-Where': '{' }],
    [{ 'Pith-Delivery': 'perhaps' }],
    [{ 'Pith-Expires-Ms': 'soon' }],
    [{ 'Pith-Route': 'x'.repeat(128) }],
    [{ 'Pith-Latest-Key': 'x'.repeat(257), 'Pith-Delivery': 'latest' }],
    [{ 'Pith-Route': '' }],
  ] as Words[][])('%j is refused', async (words) => {
    await using ann = await player({ uid: 'strict' });
    const told = await tell(nc, 'pith.user.strict.push', '{}', { 'Pith-Route': 'onHi', ...words });
    expect(told).toEqual(refusal(400, 'BAD_ARGUMENT'));
    expect(ann.client.pushes()).toEqual([]);
  });
});
