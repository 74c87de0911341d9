/** Resume tokens that must not count: whoever has one comes in as anybody does, and learns no more. */
import type { NatsConnection } from 'nats';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import type { TestClient } from '../support/client.ts';
import { startGateway, type TestGateway } from '../support/gateway.ts';
import { control } from '../support/grpcurl.ts';
import { startNats, type TestNats } from '../support/nats.ts';
import { serve, tellJson } from '../support/nats-backend.ts';
import { type Come, come, KEYS, nextToken, resumes } from '../support/resuming.ts';
import { eventually } from '../support/wait.ts';

let nats: TestNats;
let nc: NatsConnection;

beforeAll(async () => {
  nats = await startNats();
  nc = await nats.connect();
  await serve(nc, 'pith.rpc.game.>', (msg) => {
    const { uid, set = {} } = msg.json<{ uid: string; set?: object }>();
    const headers = { 'Pith-Bind': uid, 'Pith-Set': JSON.stringify(set) };
    return { headers, body: '{"code":200}' };
  });
});

afterAll(async () => {
  await nats[Symbol.asyncDispose]();
});

const start = (resume = resumes(), more = ''): Promise<TestGateway> =>
  startGateway(
    `bus: ${nats.url}\n${resume}\nbackends: { game: { nats: {} } }\nroutes: [{ match: "game.>", backend: game }]\n${more}`,
  );

async function player(
  port: number,
  uid: string,
  set = {},
): Promise<{ client: TestClient; token: string }> {
  const { client } = await come(port);
  expect(await client.request('game.door.enter', { uid, set })).toEqual({ code: 200 });
  return { client, token: await nextToken(client) };
}

/** It is a new session without a uid, with a token of its own; and the answer is that of anyone who asks for one. */
function expectNew({ pith, answer }: Come, gateway: TestGateway): void {
  expect(pith).toEqual({ resume: expect.stringMatching(/^[A-Za-z0-9_-]{60,}$/) as string });
  expect(Object.keys(answer)).toEqual(['code', 'sys', 'user']);
  const session = [...gateway.gateway.registry.all()].at(-1)!;
  expect([session.uid, { ...session.data }, session.groups.size]).toEqual(['', {}, 0]);
}

const refused = (gateway: TestGateway, reason: string): number =>
  gateway.count('pith_resumes_refused_total', reason);

describe('a token', () => {
  test('that is forged, cut, changed, of another key, or huge is of no use', async () => {
    await using one = await start();
    await using other = await start(resumes('60s', [KEYS[2]!]));
    const { client, token } = await player(one.port, '1');
    client.close();
    const foreign = (await player(other.port, '1')).token;
    const flipped = (at: number): string => {
      const bytes = Buffer.from(token, 'base64url');
      bytes[at < 0 ? bytes.length + at : at]! ^= 1;
      return bytes.toString('base64url');
    };
    const wrong = [
      ...[
        token.slice(0, -1),
        token.slice(1),
        token.slice(0, 40),
        `${token}A`,
        `${token}=`,
        ` ${token}`,
      ],
      ...[0, 1, 2, 20, 27, 40, -17, -1].map(flipped),
      ...[
        foreign,
        'null',
        '{}',
        'A'.repeat(4_096),
        'A'.repeat(40_000),
        '\u0000',
        '😀',
        token + token,
      ],
    ];
    for (const text of wrong) expectNew(await come(one.port, text), one);
    expect(refused(one, 'unreadable')).toBe(wrong.length);
    // What is no text does not ask.
    for (const value of [null, 0, true, [], {}, [token]])
      expect((await come(one.port, value)).pith).toBeUndefined();
    expect((await come(one.port, token)).pith.resumed).toBe(true);
    const lines = one.log.filter(({ msg }) => msg === 'resume token refused');
    expect(lines).toHaveLength(5);
    expect(JSON.stringify(one.log)).not.toContain(token.slice(60, 100));
  });

  test('that has expired is of no use', async () => {
    await using one = await start(resumes('1s'));
    const { client, token } = await player(one.port, '2');
    client.close();
    await eventually(() => one.gateway.registry.size === 0, 'the loss');
    const until = Date.now() + 1_100;
    await eventually(() => Date.now() > until, 'its end');
    expectNew(await come(one.port, token), one);
    expect(refused(one, 'expired')).toBe(1);
  });

  test('counts once while its session is there, and an older one not at all', async () => {
    await using one = await start();
    await using other = await start();
    const { client, pith } = await come(one.port);
    await client.request('game.door.enter', { uid: '3' });
    const token = await nextToken(client);
    const back = await come(other.port, token);
    expect(back.pith.resumed).toBe(true);
    await client.ended;
    for (const gateway of [one, other]) {
      for (const used of [token, pith.resume]) expectNew(await come(gateway.port, used), gateway);
      expect(refused(gateway, 'older')).toBe(2);
    }
    expect((await tellJson(nc, 'pith.user.3.get'))['sessions']).toHaveLength(1);
    expect(back.client.isEnded).toBe(false);
    await back.client[Symbol.asyncDispose]();
  });

  test('that comes to many gateways at once lets one session go on', async () => {
    const all = [await start(), await start(), await start()];
    const { client, token } = await player(all[0]!.port, '4');
    const came = await Promise.all(
      Array.from({ length: 12 }, (_, i) => come(all[i % 3]!.port, token)),
    );
    expect(came.filter(({ pith }) => pith.resumed)).toHaveLength(1);
    await client.ended;
    expect((await tellJson(nc, 'pith.user.4.get'))['sessions']).toHaveLength(1);
    for (const one of all) await one[Symbol.asyncDispose]();
  });

  test('of more than 4 KiB is not made, and those before it are void', async () => {
    await using one = await start();
    const { client, token } = await player(one.port, '5', { small: 1 });
    await tellJson(nc, 'pith.user.5.patch', { set: { large: 'x'.repeat(3_900) } });
    await eventually(() => one.count('pith_resume_tokens_total', 'too_large') === 1, 'none');
    expect(client.pushes('pith.resume')).toHaveLength(1);
    expectNew(await come(one.port, token), one);
    expect(refused(one, 'ended')).toBe(1);
    await tellJson(nc, 'pith.user.5.patch', { set: { large: null } });
    expect((await come(one.port, await nextToken(client, 1))).pith.resumed).toBe(true);
    expect(one.log.filter(({ msg }) => msg.startsWith('no resume token for'))).toHaveLength(1);
  });

  test('of a user who was blocked meanwhile is of no use, and the log says so', async () => {
    await using one = await start();
    await using other = await start();
    const { client, token } = await player(one.port, '7', { small: 1 });
    client.close();
    await eventually(() => one.gateway.registry.size === 0, 'the end of the session');
    await control(other, 'Block', { uid: '7' });
    expectNew(await come(other.port, token), other);
    expect(refused(other, 'blocked')).toBe(1);
    expect(other.log).toContainEqual(
      expect.objectContaining({ msg: 'resume token refused', reason: 'blocked' }),
    );
    await control(other, 'Unblock', { uid: '7' });
    expect((await come(one.port, token)).pith.resumed).toBe(true);
  });

  test('holds more than is allowed here: the session is new', async () => {
    await using one = await start();
    await using other = await start(resumes().replace('{ resume', '{ data: 16, resume'));
    const { client, token } = await player(one.port, '6', { text: 'x'.repeat(40) });
    client.close();
    expectNew(await come(other.port, token), other);
    expect(refused(other, 'limits')).toBe(1);
  });
});

describe('a session that has ended for good', () => {
  test.each(['kick', 'close', 'unbind'])('by a %s does not come back', async (verb) => {
    await using one = await start();
    await using other = await start();
    const { client, token } = await player(one.port, '10');
    const [{ sid }] = (await tellJson(nc, 'pith.user.10.get'))['sessions'] as [{ sid: string }];
    await tellJson(nc, `pith.session.${sid}.${verb}`);
    if (verb !== 'unbind') await client.ended;
    // A gateway that starts later asks for it.
    await using late = await start();
    for (const gateway of [one, other, late]) {
      expectNew(await come(gateway.port, token), gateway);
      expect(refused(gateway, 'ended')).toBe(1);
    }
    // There is none before a kick; a session that goes on gets a newer one.
    const tokens = verb === 'unbind' ? 2 : 1;
    await eventually(() => client.pushes('pith.resume').length >= tokens, 'the last token');
    expect(client.pushes('pith.resume')).toHaveLength(tokens);
  });

  test('by an unbind goes on as it is now: with its newer token, and without its uid', async () => {
    await using one = await start();
    const { client } = await player(one.port, '13', { level: 3 });
    await tellJson(nc, 'pith.user.13.patch', { uid: '' });
    const back = await come(one.port, await nextToken(client, 1));
    expect(back.pith.resumed).toBe(true);
    const [session] = [...one.gateway.registry.all()];
    expect([session!.uid, { ...session!.data }]).toEqual(['', { level: 3 }]);
  });

  test('is known to a gateway that starts when the one that ended it is gone', async () => {
    const one = await start();
    await using other = await start();
    const { client, token } = await player(one.port, '14');
    await tellJson(nc, 'pith.user.14.kick');
    await client.ended;
    await eventually(() => other.gateway.metrics.count('pith_resume_ended', []) === 1, 'the news');
    await one.gateway.drain(() => true);
    await using late = await start();
    expectNew(await come(late.port, token), late);
    expect(refused(late, 'ended')).toBe(1);
  });

  test('by a login elsewhere does not come back', async () => {
    const auth = 'auth: { sessions_per_uid: kick_old }';
    await using one = await start(resumes(), auth);
    const { client, token } = await player(one.port, '11');
    const device = await player(one.port, '11');
    await client.ended;
    expectNew(await come(one.port, token), one);
    expect(device.client.isEnded).toBe(false);
  });

  test('in a drain, or by a fault, does come back', async () => {
    await using one = await start();
    const { client, token } = await player(one.port, '12');
    const [session] = [...one.gateway.registry.byUid('12')];
    session!.close('heartbeat_timeout');
    await client.ended;
    expect((await come(one.port, token)).pith.resumed).toBe(true);
  });
});

test('keys are replaced one by one', async () => {
  const [old, next] = KEYS as [string, string];
  await using first = await start(resumes('60s', [old]));
  const { client, token } = await player(first.port, '20');
  client.close();
  await using second = await start(resumes('60s', [old, next]));
  const appended = await come(second.port, token);
  expect(appended.pith.resumed).toBe(true);
  appended.client.close();
  await using third = await start(resumes('60s', [next, old]));
  const moved = await come(third.port, appended.pith.resume);
  expect(moved.pith.resumed).toBe(true);
  moved.client.close();
  // Sealed with the first: whoever has only the old key cannot read it.
  expectNew(await come(first.port, moved.pith.resume), first);
  await using fourth = await start(resumes('60s', [next]));
  expect((await come(fourth.port, moved.pith.resume)).pith.resumed).toBe(true);
});

test('what gateways say to each other cannot be believed blindly', async () => {
  await using one = await start();
  const { client } = await player(one.port, '30');
  const said = [
    'no json',
    '[]',
    '{}',
    '{"live":5,"ended":{}}',
    '{"live":[[1,2,3],["x"],null],"ended":[["a.b",1,2],[],["g-1.1",-1,5],["g-1.1",1,-5]]}',
    '{"gateway":"x-0123456789","lineage":"a","counter":"b","sid":3}',
  ];
  for (const verb of ['lineages', 'resume', 'ended'])
    for (const text of said) nc.publish(`pith.fleet.${verb}`, text);
  await nc.flush();
  expect(await client.request('game.door.enter', { uid: '30' })).toEqual({ code: 200 });
  expect(one.count('pith_internal_errors_total')).toBe(0);
});

test('a gateway that cannot reach the bus is not ready, and lets nobody come back', async () => {
  await using one = await start();
  const { client, token } = await player(one.port, '40');
  client.close();
  await using away = await startGateway(
    `bus: nats://127.0.0.1:1\n${resumes()}\nbackends: {}\nroutes: []`,
  );
  expect(away.gateway.notReady()).toEqual(['not connected to the bus yet']);
  expectNew(await come(away.port, token), away);
  expect(refused(away, 'not_ready')).toBe(1);
});

test('a fleet that was cut off learns what has ended', async () => {
  const apart = await startNats();
  const its = await apart.connect();
  const alone = (): Promise<TestGateway> =>
    startGateway(`bus: ${apart.url}\n${resumes()}\nbackends: {}\nroutes: []`);
  await using one = await alone();
  await using other = await alone();
  const { pith, client } = await come(one.port);
  await apart.kill();
  await eventually(() => one.log.some(({ msg }) => msg === 'bus connection lost'), 'the loss');
  const [session] = [...one.gateway.registry.all()];
  session!.close('kick');
  await client.ended;
  const back = await come(other.port, pith.resume);
  // Nobody can tell yet.
  expect(back.pith.resumed).toBe(true);
  await apart.restart();
  await back.client.ended;
  expect(back.client.received.at(-1)).toMatchObject({ kind: 'kick' });
  await its.close();
  await apart[Symbol.asyncDispose]();
});
