/** What is larger than NATS takes: refused before anything is delivered anywhere, or answered in parts. */
import type { NatsConnection } from 'nats';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { admin } from '../support/admin.ts';
import { TestClient } from '../support/client.ts';
import { startGateway, type TestGateway } from '../support/gateway.ts';
import { call } from '../support/grpcurl.ts';
import { IpcBackend, socketPath } from '../support/ipc-backend.ts';
import { startLinkBackend } from '../support/link-backend.ts';
import { startNats, type TestNats } from '../support/nats.ts';
import { serve as answer, tell, tellJson } from '../support/nats-backend.ts';
import { serve } from '../support/serve.ts';
import { eventually } from '../support/wait.ts';
import { DialIn } from '../unit/upstream/dial-in/dial-in-backend.ts';

const MAX = 16_384;
const BIG = 'x'.repeat(20_000);
const NAMES = Array.from({ length: 2_000 }, (_, i) => `nobody-${i}`);
const PLAIN = `
backends: { game: { nats: {} } }
routes: [{ match: ">", backend: game, timeout: 60s, forward: ["*"] }]
sessions: { data: 32KiB }
`;

let nats: TestNats;
let nc: NatsConnection;

beforeAll(async () => {
  nats = await startNats(`max_payload: ${MAX}`);
  nc = await nats.connect();
});

afterAll(async () => {
  await nats[Symbol.asyncDispose]();
});

const gatewayWith = (id: string, more = PLAIN): Promise<TestGateway> =>
  startGateway(`id: ${id}\nbus: ${nats.url}\n${more}`);

function sids(gateway: TestGateway): string[] {
  return [...gateway.gateway.registry.all()].map(({ sid }) => sid);
}

/** Proves that nothing was pushed before: this comes behind it. */
async function nothingCame(clients: readonly TestClient[], gateway: TestGateway): Promise<void> {
  await admin(gateway, 'Push', { push: { target: { all: true }, route: 'onEnd' }, wait: '5s' });
  for (const client of clients) {
    await client.push('onEnd');
    expect(client.pushes().map(({ route }) => route)).toEqual(['onEnd']);
    expect(client.isEnded).toBe(false);
  }
}

describe('refused with 413, and nothing is done on any gateway', () => {
  test('whatever Control is asked, over gRPC and over HTTP', async () => {
    await using one = await gatewayWith('one');
    await using two = await gatewayWith('two');
    await using ann = await TestClient.connect(one.port);
    await using bob = await TestClient.connect(two.port);
    const [far] = sids(two);
    const text = { text: `{"b":"${BIG}"}` };
    const push = { target: { all: true }, route: 'onBig', body: text };
    const many = { all: true, exceptUids: NAMES };
    const cases: [string, object][] = [
      ['Push', { push }],
      ['Push', { push, wait: '0s' }],
      ['Push', { push: { ...push, target: many, body: { text: '{}' } } }],
      ['Push', { push: { ...push, target: { all: true, where: { k: BIG } } } }],
      ['Kick', { target: { uids: NAMES, all: true } }],
      ['Kick', { target: many, close: { reason: 'r' } }],
      ['SetData', { sid: far, set: { k: BIG } }],
      ['ListSessions', { target: many }],
    ];
    for (const [method, request] of cases) {
      const told = JSON.stringify([method, request]).slice(0, 60);
      const { status, lines } = await admin(one, method, request);
      expect([status, lines[0]?.['error']], told).toEqual([
        413,
        {
          code: 413,
          reason: 'TOO_LARGE',
          msg: expect.stringMatching(/max_payload|in one message/) as string,
        },
      ]);
    }
    expect(await call(one, 'Push', { push })).toMatchObject({ status: 'ResourceExhausted' });
    await nothingCame([ann, bob], one);
    expect([...one.log, ...two.log].filter(({ level }) => level === 'error')).toEqual([]);
  });

  test('a push, a change or a kick on a line of a Unix socket', async () => {
    using socket = socketPath();
    await using game = await IpcBackend.start(socket.path);
    await using one = await gatewayWith(
      'one',
      `backends: { game: { ipc: "unix://${socket.path}" } }\nroutes: [{ match: ">", backend: game }]`,
    );
    await using two = await gatewayWith('two');
    await using ann = await TestClient.connect(one.port);
    await using bob = await TestClient.connect(two.port);
    await ann.request('a.b.c');
    const gone = 'pith-AAAAAAAAAA.1';
    game.say({ cmd: 'push', all: true, route: 'onBig', payload: { b: BIG } });
    game.say({ cmd: 'patch', sid: gone, patch: { set: { k: BIG } } });
    game.say({ cmd: 'patch', sid: sids(two)[0], patch: { set: { k: BIG } } });
    game.say({ cmd: 'kick', all: true, except_uids: NAMES, reason: 'r' });
    const refused = (): number =>
      one.log.filter(
        (line) => line.msg.endsWith('refused') && /max_payload/.test(String(line['why'])),
      ).length;
    await eventually(() => refused() === 4, 'four refusals');
    expect(ann.isEnded || bob.isEnded).toBe(false);
    await nothingCame([ann, bob], one);
  });

  test('a push or a verb on a Link, counted or not', async () => {
    await using game = await startLinkBackend((request) => {
      request.answer({ ok: 1 });
    });
    await using one = await gatewayWith(
      'one',
      `backends: { game: { grpc: "${game.address}" } }\nroutes: [{ match: ">", backend: game }]`,
    );
    await using two = await gatewayWith('two');
    await using ann = await TestClient.connect(one.port);
    await using bob = await TestClient.connect(two.port);
    await ann.request('a.b.c');
    const push = { target: { all: true }, route: 'onBig', body: { text: BIG } };
    game.pushAll([push]);
    expect(await game.push(push)).toMatchObject({
      delivered: 0,
      gateways: 0,
      error: { code: 413, reason: 'TOO_LARGE' },
    });
    await nothingCame([ann, bob], one);
  });

  test.each(['gRPC', 'WebSocket'] as const)('by a backend that dials in by %s', async (way) => {
    await using one = await gatewayWith(
      'one',
      'backends: { game: { dial_in: { token: "secret" } } }\nroutes: [{ match: ">", backend: game }]',
    );
    await using two = await gatewayWith('two');
    await using ann = await TestClient.connect(one.port);
    await using bob = await TestClient.connect(two.port);
    await using game = await DialIn.attach(way, one);
    const near = sids(one)[0]!;
    const far = sids(two)[0]!;
    const set = { k: BIG };
    const patch =
      way === 'gRPC'
        ? { set: { fields: { k: { stringValue: BIG } } }, uid: 'x' }
        : { set, uid: 'x' };
    game.send({ id: 1, verb: { target: { sids: [near, far] }, patch } });
    game.send({ id: 2, verb: { target: { sids: ['pith-AAAAAAAAAA.1'] }, patch } });
    game.send({
      id: 3,
      verb: { target: { all: true, except_uids: NAMES }, close: { kick: true } },
    });
    const results = await game.got('done', 3);
    for (const { error } of results)
      expect(error).toMatchObject({ code: 413, reason: 'TOO_LARGE' });
    expect([...one.gateway.registry.all()][0]).toMatchObject({ uid: '', version: 0 });
    await nothingCame([ann, bob], one);
  });

  test('a request of a client, whose text says what NATS takes', async () => {
    await answer(nc, 'pith.rpc.>', () => ({ body: '{"ok":1}' }));
    await using one = await gatewayWith('one');
    await using ann = await TestClient.connect(one.port);
    expect(await ann.request('a.b.c', { b: BIG })).toMatchObject({
      code: 413,
      reason: 'TOO_LARGE',
      msg: expect.stringContaining('max_payload') as string,
    });
    expect(await ann.request('a.b.c')).toEqual({ ok: 1 });
  });
});

test('the process lives, whatever it is told to send that is too large', async () => {
  using socket = socketPath();
  await using game = await IpcBackend.start(socket.path);
  await using one = await serve(
    `bus: ${nats.url}\nbackends: { game: { ipc: "unix://${socket.path}" } }\nroutes: [{ match: ">", backend: game }]`,
  );
  await using client = await TestClient.connect(one.port);
  await client.request('a.b.c');
  game.say({ cmd: 'patch', sid: 'pith-AAAAAAAAAA.1', patch: { set: { k: BIG } } });
  game.say({ cmd: 'kick', uid: BIG });
  game.say({ cmd: 'push', uid: 'u', route: 'r', payload: BIG });
  expect(await client.request('a.b.c', { alive: 1 })).toEqual({ alive: 1 });
  expect(one.running.output()).not.toContain('nhandled');
});

describe('an answer that does not fit', () => {
  type Page = { sessions: { sid: string }[]; more?: boolean };

  /** Five players with so much data each that three fit in an answer. */
  async function crowd(gateway: TestGateway): Promise<TestClient[]> {
    const clients: TestClient[] = [];
    for (let i = 0; i < 5; i++) clients.push(await TestClient.connect(gateway.port));
    for (const sid of sids(gateway))
      await tellJson(nc, `pith.session.${sid}.patch`, {
        uid: 'ann',
        join: ['room'],
        set: { k: 'ü'.repeat(2_400) },
      });
    return clients;
  }

  test.each(['group.room', 'user.ann'])('of get for %s comes in pages', async (whom) => {
    await using one = await gatewayWith('one');
    const clients = await crowd(one);
    const first = (await tellJson(nc, `pith.${whom}.get`)) as Page;
    expect(first.sessions.map(({ sid }) => sid)).toEqual(sids(one).slice(0, 3));
    expect(first.more).toBe(true);
    const last = (await tellJson(nc, `pith.${whom}.get`, {
      page_token: first.sessions.at(-1)!.sid,
    })) as Page;
    expect(last.sessions.map(({ sid }) => sid)).toEqual(sids(one).slice(3));
    expect(last).not.toHaveProperty('more');
    const two = (await tellJson(nc, `pith.${whom}.get`, { limit: 2 })) as Page;
    expect(two).toMatchObject({ more: true, sessions: [{}, {}] });
    for (const [payload, why] of [
      [{ limit: -1 }, 'limit'],
      [{ limit: '2' }, 'limit'],
      [{ page_token: 7 }, 'page token'],
    ] as const)
      expect((await tell(nc, `pith.${whom}.get`, payload))!.json).toMatchObject({
        error: { code: 400, msg: expect.stringContaining(why) as string },
      });
    for (const client of clients) client.close();
  });

  test('of ListSessions comes page by page from the other gateway too', async () => {
    await using one = await gatewayWith('one');
    await using two = await gatewayWith('two');
    const clients = await crowd(two);
    // A gateway that does not answer within 250 ms is left out.
    const all = await eventually(async () => {
      const found: unknown[] = [];
      for (;;) {
        const pageToken = found.at(-1) ?? '';
        const { status, lines } = await admin(one, 'ListSessions', { limit: 100, pageToken });
        expect(status).toBe(200);
        if (lines.length === 0) return found.length === clients.length && found;
        found.push(...lines.map(({ sid }) => sid));
      }
    }, 'the whole list');
    expect(all).toEqual(sids(two));
    for (const client of clients) client.close();
  });

  test('not even in part is an error that says so', async () => {
    await using one = await gatewayWith('one');
    await using two = await gatewayWith('two');
    await using _fat = await TestClient.connect(two.port);
    const [sid] = sids(two);
    for (const key of ['a', 'b'])
      await tellJson(nc, `pith.session.${sid}.set`, { set: { [key]: 'y'.repeat(9_000) } });
    await tellJson(nc, `pith.session.${sid}.bind`, { uid: 'fat' });
    const tooLarge = { code: 413, reason: 'TOO_LARGE' };
    for (const subject of [`pith.session.${sid}.get`, 'pith.user.fat.get'])
      expect((await tell(nc, subject))!.json, subject).toMatchObject({ error: tooLarge });
    // A gateway that does not answer in time is asked again.
    for (const [method, request] of [
      ['GetSession', { sid }],
      ['ListSessions', {}],
    ] as const) {
      const error = await eventually(async () => {
        const { status, lines } = await admin(one, method, request);
        return status === 413 && lines[0]!['error'];
      }, `${method} to be refused`);
      expect(error).toMatchObject(tooLarge);
    }
  });
});
