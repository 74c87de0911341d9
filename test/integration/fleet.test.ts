/** Several gateways on one nats-server: to backends and operators they are one. */
import type { NatsConnection } from 'nats';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { layCable } from '../support/cable.ts';
import { TestClient } from '../support/client.ts';
import { startGateway, type TestGateway } from '../support/gateway.ts';
import { startNatsChat } from '../support/go.ts';
import { call, control } from '../support/grpcurl.ts';
import { startNats, type TestNats } from '../support/nats.ts';
import { headersOf, Heard, push, tell, tellJson } from '../support/nats-backend.ts';
import { eventually } from '../support/wait.ts';

const CONFIG = `
backends: { chat: { nats: {} } }
routes: [{ match: "chat.>", backend: chat, forward: [room] }]
`;

let nats: TestNats;
let nc: NatsConnection;

beforeAll(async () => {
  nats = await startNats();
  nc = await nats.connect();
});

afterAll(async () => {
  await nats[Symbol.asyncDispose]();
});

const start = (id: string, url = nats.url): Promise<TestGateway> =>
  startGateway(`id: ${id}\nbus: ${url}\n${CONFIG}`);

/**
 * All sessions, from `limit` to `limit`. A gateway that does not answer within 250 ms is left out, so on a busy machine
 * they are asked for again.
 */
function listed(gateway: TestGateway, sids: readonly string[], limit = 1_000): Promise<object[]> {
  const all = async (): Promise<Record<string, unknown>[]> => {
    const list: Record<string, unknown>[] = [];
    for (;;) {
      const pageToken = list.at(-1)?.['sid'] ?? '';
      const { answers } = await call(gateway, 'ListSessions', { limit, pageToken });
      if (answers.length === 0) return list;
      expect(answers.length).toBeLessThanOrEqual(limit);
      list.push(...answers);
    }
  };
  return eventually(
    async () => {
      const list = await all();
      return list.map(({ sid }) => sid).join() === sids.join() && list;
    },
    `a list of ${sids.join(', ')}`,
  );
}

type Player = { client: TestClient; sid: string } & AsyncDisposable;

async function player(gateway: TestGateway, patch: Record<string, unknown>): Promise<Player> {
  const known = new Set([...gateway.gateway.registry.all()]);
  const client = await TestClient.connect(gateway.port);
  const { sid } = [...gateway.gateway.registry.all()].find((session) => !known.has(session))!;
  await tellJson(nc, `pith.session.${sid}.patch`, patch);
  return { client, sid, [Symbol.asyncDispose]: () => client[Symbol.asyncDispose]() };
}

/** Patient: on a busy machine an answer may take longer than the usual wait, which ends with the last answer. */
const toAll = { push: { target: { all: true }, route: 'onAll' }, wait: '5s' };
const toAllInHaste = { ...toAll, wait: '0.25s' };

describe('two gateways', () => {
  test('are one chat: what is said on one is heard on the other', async () => {
    await using _chat = await startNatsChat(nats.url);
    await using one = await start('one');
    await using two = await start('two');
    await using ann = await TestClient.connect(one.port);
    await using bob = await TestClient.connect(two.port, 'ws');
    await ann.request('chat.room.join', { name: 'ann', room: 'lobby' });
    await bob.request('chat.room.join', { name: 'bob', room: 'lobby' });
    expect(await ann.push('onJoin')).toEqual({ name: 'bob' });
    await bob.request('chat.room.send', { text: 'hi' });
    expect(await ann.push('onChat')).toEqual({ from: 'bob', text: 'hi' });
    await ann.request('chat.room.whisper', { to: 'bob', text: 'psst' });
    expect(await bob.push('onWhisper')).toEqual({ from: 'ann', text: 'psst' });
    await bob.request('chat.room.leave');
    expect(await ann.push('onLeave')).toEqual({ name: 'bob' });
    expect(bob.pushes('onChat')).toEqual([]);
  });

  test('a push to a user arrives whichever gateway holds it, and nobody answers when it is away', async () => {
    await using one = await start('one');
    await using two = await start('two');
    for (const [i, gateway] of [one, two, one].entries()) {
      {
        await using ann = await player(gateway, { uid: 'ann' });
        expect(
          await tellJson(nc, 'pith.user.ann.push', `{"i":${i}}`, { 'Pith-Route': 'onHi' }),
        ).toEqual({ delivered: 1, dropped: 0, refused: 0 });
        expect(await ann.client.push('onHi')).toEqual({ i });
      }
      await eventually(() => gateway.gateway.registry.size === 0, 'the session to end');
      // The gateway's answer to this comes behind its end of interest in ann.
      await tellJson(nc, `pith.session.${gateway.gateway.id}.1.get`);
      expect(await tell(nc, 'pith.user.ann.push', '{}', { 'Pith-Route': 'onHi' })).toBeNull();
    }
  });

  test('each that holds a session of the user answers', async () => {
    await using one = await start('one');
    await using two = await start('two');
    await using three = await start('three');
    await using a = await player(one, { uid: 'ann' });
    await using b = await player(two, { uid: 'ann' });
    await using _c = await player(three, { uid: 'carl' });
    const inbox = await Heard.on(nc, '_INBOX.answers.here');
    nc.publish('pith.user.ann.get', '', { reply: '_INBOX.answers.here' });
    await inbox.nth(1);
    // Answers of the third would be here before those of a later question.
    expect(await tellJson(nc, 'pith.user.carl.get')).toMatchObject({ sessions: [{ uid: 'carl' }] });
    const sids = inbox.messages.flatMap((msg) =>
      msg.json<{ sessions: { sid: string }[] }>().sessions.map(({ sid }) => sid),
    );
    expect(sids.sort()).toEqual([a.sid, b.sid].sort());
  });

  test('Control on one lists, shows, pushes to, changes and kicks sessions of the other', async () => {
    await using one = await start('one');
    await using two = await start('two');
    await using near = await player(one, { uid: 'near' });
    await using far = await player(two, { uid: 'far' });
    const [, listedFar] = await listed(one, [near.sid, far.sid]);
    // As above: what has not answered in time is asked again.
    const got = await eventually(async () => {
      const { status, answers } = await call(one, 'GetSession', { sid: far.sid });
      return status !== 'DeadlineExceeded' && answers[0];
    }, 'the session on the other gateway');
    expect(got).toEqual(listedFar);
    expect(
      await control(one, 'Push', {
        push: {
          target: { uids: ['far', 'gone'], sids: [far.sid, 'one-0123456789.1'] },
          route: 'onHi',
          body: { text: '{"from":"one"}' },
        },
        wait: '5s',
      }),
    ).toEqual({
      delivered: 1,
      gateways: 2,
      unknownUids: ['gone'],
      unknownSids: ['one-0123456789.1'],
      // It might be there: this gateway has just connected.
      silentGateways: ['one-0123456789'],
    });
    expect(await far.client.push('onHi')).toEqual({ from: 'one' });
    const set = { deep: { list: [1, null] } };
    expect(await control(one, 'SetData', { sid: far.sid, set })).toMatchObject({ data: set });
    expect(await control(one, 'Unbind', { sid: far.sid })).not.toHaveProperty('uid');
    expect(await control(one, 'Bind', { sid: far.sid, uid: 'new' })).toMatchObject({ uid: 'new' });
    expect(await call(one, 'Bind', { sid: far.sid, uid: 'other' })).toMatchObject({
      status: 'FailedPrecondition',
    });
    expect(await call(one, 'GetSession', { sid: `${two.gateway.id}.99` })).toMatchObject({
      status: 'NotFound',
    });
    expect(await call(one, 'GetSession', { sid: 'no sid.>' })).toMatchObject({
      status: 'InvalidArgument',
    });
    const kick = { target: { uids: ['new'] }, close: { reason: 'out' } };
    const kicked = await control(one, 'Kick', kick);
    await far.client.ended;
    expect(far.client.received.at(-1)).toEqual({ kind: 'kick', body: { reason: 'out' } });
    expect(near.client.isEnded).toBe(false);
    // If the other did not answer in time, it is named.
    const silent = { gateways: 1, silentGateways: [two.gateway.id] };
    expect(kicked).toEqual('closed' in kicked ? { closed: 1, gateways: 2 } : silent);
  });

  test('a target of several kinds reaches each session once; except and where hold on all gateways', async () => {
    await using one = await start('one');
    await using two = await start('two');
    await using a = await player(one, { uid: 'ann', join: ['red', 'blue'], set: { lvl: 1 } });
    await using b = await player(two, { uid: 'ann', join: ['red'], set: { lvl: 2 } });
    await using c = await player(two, { uid: 'bob', join: ['red', 'blue'], set: { lvl: 2 } });
    const everybody = [a, b, c];
    const cases: [object, Player[]][] = [
      [{ uids: ['ann'], groups: ['red', 'blue'], sids: [a.sid, b.sid] }, everybody],
      [{ uids: ['ann', 'bob'], groups: ['red'], all: true }, everybody],
      [{ groups: ['red'], exceptSids: [b.sid] }, [a, c]],
      [{ groups: ['red', 'blue'], exceptUids: ['ann'] }, [c]],
      [{ all: true, where: { lvl: 2 } }, [b, c]],
      [{ groups: ['red'], where: { lvl: 2 }, exceptUids: ['bob'] }, [b]],
      [{ groups: ['red'], scope: 'SCOPE_LOCAL' }, [a]],
    ];
    for (const [i, [target, to]] of cases.entries()) {
      const result = await control(one, 'Push', { push: { target, route: `on${i}` }, wait: '5s' });
      expect(result, JSON.stringify(target)).toMatchObject({ delivered: to.length });
      await Promise.all(to.map(({ client }) => client.push(`on${i}`)));
    }
    const got = everybody.map(({ client }) => client.pushes().map(({ route }) => route));
    expect(got).toEqual(
      everybody.map((who) => cases.flatMap(([, to], i) => (to.includes(who) ? [`on${i}`] : []))),
    );
  });

  test('ListSessions goes on over all gateways, page by page', async () => {
    await using one = await start('one');
    await using two = await start('two');
    await using three = await start('three');
    const gateways = [one, two, three];
    const clients = await Promise.all(
      gateways.flatMap(({ port }) => Array.from({ length: 5 }, () => TestClient.connect(port))),
    );
    const expected = gateways
      .map(({ gateway }) => gateway.id)
      .sort()
      .flatMap((id) => [1, 2, 3, 4, 5].map((n) => `${id}.${n}`));
    expect(await listed(two, expected, 4)).toHaveLength(15);
    for (const client of clients) client.close();
  });
});

describe('gateways come and go', () => {
  test('a call on a gateway that has just started reaches those that were there', async () => {
    await using one = await start('one');
    await using _ann = await player(one, { uid: 'ann' });
    await using two = await start('two');
    expect(await control(two, 'Push', toAll)).toEqual({ delivered: 1, gateways: 2 });
  });

  test('one that is cut off is named as silent, then not waited for, and found again', async () => {
    await using cable = await layCable(nats.port);
    await using one = await start('one');
    await using two = await start('two', `nats://127.0.0.1:${cable.port}`);
    await using _ann = await player(one, { uid: 'ann' });
    await using _bob = await player(two, { uid: 'bob' });
    expect(await control(one, 'Push', toAll)).toEqual({ delivered: 2, gateways: 2 });
    cable.cut();
    await eventually(() => two.log.some(({ msg }) => msg === 'bus connection lost'), 'the loss');
    const silent = { delivered: 1, gateways: 1, silentGateways: [two.gateway.id] };
    for (let i = 0; i < 3; i++) expect(await control(one, 'Push', toAllInHaste)).toEqual(silent);
    expect(await control(one, 'Push', toAll)).toEqual(silent);
    expect(await call(one, 'ListSessions')).toMatchObject({ answers: [{ uid: 'ann' }] });
    // Cut off, it serves its own sessions.
    expect(await control(two, 'Push', toAll)).toMatchObject({ delivered: 1, gateways: 1 });
    cable.mend();
    await eventually(
      async () => (await control(one, 'Push', toAll))['gateways'] === 2,
      'the gateway to be found again',
    );
    expect(await tell(nc, 'pith.user.bob.get')).not.toBeNull();
  });

  test('one that hangs is named, and what the others did is told', async () => {
    await using cable = await layCable(nats.port);
    await using one = await start('one');
    await using two = await start('two', `nats://127.0.0.1:${cable.port}`);
    await using three = await start('three');
    await using _ann = await player(one, { uid: 'ann' });
    await using bob = await player(two, { uid: 'bob' });
    await using _carl = await player(three, { uid: 'carl' });
    cable.freeze();
    expect(await control(one, 'Push', { ...toAll, wait: '2s' })).toEqual({
      delivered: 2,
      gateways: 2,
      silentGateways: [two.gateway.id],
    });
    const kicked = await control(one, 'Kick', { target: { uids: ['bob'] } });
    expect(kicked['silentGateways']).toContain(two.gateway.id);
    expect(await call(one, 'GetSession', { sid: bob.sid })).toMatchObject({
      status: 'DeadlineExceeded',
    });
    cable.cut();
  });

  test('one that stops says goodbye and is not waited for', async () => {
    await using one = await start('one');
    const two = await start('two');
    await using _ann = await player(one, { uid: 'ann' });
    expect(await control(one, 'Push', toAll)).toMatchObject({ gateways: 2 });
    await two[Symbol.asyncDispose]();
    expect(await control(one, 'Push', toAll)).toEqual({ delivered: 1, gateways: 1 });
  });
});

describe('beside a newer version', () => {
  test('unknown verbs, fields and headers are refused politely, or ignored', async () => {
    await using one = await start('one');
    await using ann = await player(one, { uid: 'ann' });
    const newer = `{"gateway":"newer-0123456789","future":{"x":1}}`;
    const ask = async (verb: string, payload: string, words = {}): Promise<unknown> =>
      (
        await nc.request(`pith.fleet.${verb}`, payload, {
          timeout: 5_000,
          headers: headersOf(words),
        })
      ).json();
    const here = { gateway: one.gateway.id };
    expect(await ask('hello', newer)).toEqual({ ...here, knows: ['newer-0123456789'] });
    expect(await ask('dance', '{"any":[1]}')).toEqual(here);
    expect(
      await ask('list', '{"target":{"tribes":["x"],"uids":["ann"]},"limit":9,"sort":1}'),
    ).toMatchObject({
      sessions: [{ sid: ann.sid }],
    });
    const target = '{"uids":["ann"],"tribes":["x"]}';
    expect(
      await ask('push', '{}', { 'Pith-Route': 'onNew', 'Pith-Target': target, 'Pith-Future': '{' }),
    ).toEqual({ ...here, delivered: 1, dropped: 0, refused: 0, uids: ['ann'], sids: [] });
    for (const words of [
      { 'Pith-Route': 'onNew', 'Pith-Target': target, 'Pith-Delivery': 'someday' },
      { 'Pith-Route': 'onNew', 'Pith-Target': '{"uids":' },
      { 'Pith-Target': target },
    ])
      expect(await ask('push', '{}', words)).toEqual(here);
    expect(await ask('kick', '{"target":7}')).toEqual(here);
    await ann.client.push('onNew');
    nc.publish('pith.user.ann.claim', '{"sid":"x.1","uid":"ann","bound_at":1}');
    push(nc, 'pith.user.ann.push', 'onAfter', {}, { 'Pith-Future': 'x', 'Pith-Ttl': '{' });
    await ann.client.push('onAfter');
    expect(await tellJson(nc, `pith.session.${ann.sid}.patch`, { tribe: 'x' })).toMatchObject({
      changed: 0,
    });
    expect(ann.client.pushes('onNew')).toHaveLength(1);
    expect(one.log.filter(({ level }) => level === 'error')).toEqual([]);
  });

  test('its answers may hold more than we know', async () => {
    await using one = await start('one');
    await using _ann = await player(one, { uid: 'ann' });
    const newer = { gateway: 'newer-0123456789', future: 1 };
    const answer = { ...newer, delivered: 3, dropped: 1, refused: 0, uids: ['zoe'], mood: 'good' };
    await Heard.on(nc, 'pith.fleet.push', ({ reply }) =>
      nc.publish(reply!, JSON.stringify(answer)),
    );
    await nc.request('pith.fleet.hello', JSON.stringify(newer));
    const target = { uids: ['ann', 'zoe', 'gone'] };
    expect(await control(one, 'Push', { push: { target, route: 'onHi' }, wait: '5s' })).toEqual({
      delivered: 4,
      dropped: 1,
      gateways: 2,
      unknownUids: ['gone'],
    });
  });
});
