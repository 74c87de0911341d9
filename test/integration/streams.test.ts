/** JetStream beside the gateway: what a stream captures must not pose as an answer, and somebody must hear of it. */
import type { NatsConnection } from 'nats';
import { describe, expect, test } from 'vitest';

import { TestClient } from '../support/client.ts';
import { startGateway, type TestGateway } from '../support/gateway.ts';
import { control } from '../support/grpcurl.ts';
import { startNats } from '../support/nats.ts';
import { Heard, serve } from '../support/nats-backend.ts';
import { eventually } from '../support/wait.ts';

const JETSTREAM = 'jetstream { store_dir: "$DIR/js" }';

function start(url: string): Promise<TestGateway> {
  return startGateway(
    `bus: ${url}
backends: { game: { nats: {} } }
routes: [{ match: "hasty.>", backend: game, timeout: 300ms }, { match: ">", backend: game, timeout: 5s }]`,
  );
}

async function addStream(nc: NatsConnection, name: string, more: object): Promise<void> {
  const config = { name, storage: 'memory', ...more };
  const answer = await nc.request(`$JS.API.STREAM.CREATE.${name}`, JSON.stringify(config));
  const { error } = answer.json<{ error?: { description: string } }>();
  if (error !== undefined) throw new Error(error.description);
}

function complaints(gateway: TestGateway): string[] {
  return gateway.log
    .filter(({ level, what }) => level === 'error' && typeof what === 'string')
    .map(({ what }) => String(what));
}

describe('a stream that captures requests', () => {
  test('its acknowledgement is never taken for an answer, and an error is logged', async () => {
    await using nats = await startNats(JETSTREAM);
    const nc = await nats.connect();
    await using gateway = await start(nats.url);
    await addStream(nc, 'GREEDY', { subjects: ['pith.rpc.>'] });
    await serve(nc, 'pith.rpc.world.>', () => ({ body: '{"ok":1}' }));
    await using client = await TestClient.connect(gateway.port);
    const ids = Array.from({ length: 50 }, () => client.send('world.map.look', {}));
    for (const id of ids) expect(await client.answer(id)).toEqual({ ok: 1 });
    expect(await client.request('hasty.no.one')).toMatchObject({ code: 504, reason: 'TIMEOUT' });
    const line = gateway.log.find(({ msg }) => msg.includes('JetStream'));
    expect(line).toMatchObject({ level: 'error', route: expect.any(String) as unknown });
    expect(ids.map((id) => client.answersTo(id))).toEqual(ids.map(() => 1));
  });

  test('nor is its refusal, when it is full', async () => {
    await using nats = await startNats(JETSTREAM);
    const nc = await nats.connect();
    await using gateway = await start(nats.url);
    await addStream(nc, 'FULL', { subjects: ['pith.rpc.>'], max_msgs: 1, discard: 'new' });
    await nc.request('pith.rpc.fill.it.up', '');
    const refusal = await nc.request('pith.rpc.fill.it.up', '');
    expect(refusal.json()).toHaveProperty('error');
    await using client = await TestClient.connect(gateway.port);
    expect(await client.request('hasty.no.one')).toMatchObject({ code: 504, reason: 'TIMEOUT' });
  });

  test('nor are those of one that captures what gateways ask each other', async () => {
    await using nats = await startNats(JETSTREAM);
    const nc = await nats.connect();
    await addStream(nc, 'GREEDY', { subjects: ['pith.session.>', 'pith.fleet.>'] });
    await using one = await start(nats.url);
    await using two = await start(nats.url);
    await using _client = await TestClient.connect(two.port);
    const { sid } = [...two.gateway.registry.all()][0]!;
    expect(await control(one, 'GetSession', { sid })).toMatchObject({ sid });
    expect(await control(one, 'Bind', { sid, uid: 'ann' })).toMatchObject({ uid: 'ann' });
    expect(
      await control(one, 'Push', { push: { target: { uids: ['ann'] }, route: 'onHi' } }),
    ).toMatchObject({ delivered: 1, gateways: 2 });
  });
});

describe('the look at the start', () => {
  test('names the streams that capture what they must not', async () => {
    await using nats = await startNats(JETSTREAM);
    const nc = await nats.connect();
    await addStream(nc, 'AUDIT', { subjects: ['pith.event.>'] });
    await addStream(nc, 'ONE_ROUTE', { subjects: ['pith.rpc.shop.buy.now'] });
    await addStream(nc, 'ELSE', { subjects: ['other.>'] });
    await addStream(nc, 'KEEP', { subjects: ['pith.keep.>'] });
    await using gateway = await start(nats.url);
    const [text] = await eventually(() => {
      const said = complaints(gateway);
      return said.length > 0 && said;
    }, 'an error about the streams');
    expect(text).toContain('AUDIT');
    expect(text).toContain('pith.event.>');
    expect(text).toContain('ONE_ROUTE');
    expect(text).toContain('pith.rpc.>');
    expect(text).toContain('take these subjects out');
    expect(text).not.toMatch(/ELSE|KEEP|pith\.user/);
    expect(complaints(gateway)).toHaveLength(1);
  });

  test.each([
    ['JetStream is off', ''],
    ['it keeps only what is meant to be kept', JETSTREAM],
    [
      'the gateway may not ask',
      `${JETSTREAM}
authorization { users = [
  { user: tester, password: t }
  { user: gw, password: g, permissions: { publish: { deny: ["$JS.API.>"] } } }
] }`,
    ],
  ])('says nothing where %s', async (_, config) => {
    await using nats = await startNats(config);
    const strict = config.includes('authorization');
    const nc = await nats.connect(strict ? { user: 'tester', pass: 't' } : {});
    if (config !== '') await addStream(nc, 'KEEP', { subjects: ['pith.keep.>'] });
    if (strict) await addStream(nc, 'GREEDY', { subjects: ['pith.rpc.>'] });
    const asked = await Heard.on(nc, '$JS.API.STREAM.NAMES');
    await using gateway = await startGateway(
      `bus: ${nats.url}\nbackends: {}\nroutes: []${strict ? '\nnats: { user: gw, password: g }' : ''}`,
    );
    // The connection answers in order: what the start asked is answered before this verb.
    await using client = await TestClient.connect(gateway.port);
    const { sid } = [...gateway.gateway.registry.all()][0]!;
    await nc.request(`pith.session.${sid}.get`);
    expect(asked.messages.length > 0).toBe(!strict);
    client.close();
    await gateway[Symbol.asyncDispose]();
    expect(complaints(gateway)).toEqual([]);
  });
});
