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
routes: [{ match: "hasty.>", backend: game, timeout: 300ms }, { match: ">", backend: game, timeout: 60s }]`,
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

describe('an answer that looks like an acknowledgement', () => {
  const exact = [
    '{"stream":"live1","seq":17}',
    '{"stream":"live1", "domain":"eu", "seq": 17}',
    '{"seq":17,"stream":"x","duplicate":true}',
    '{"error":{"code":503,"err_code":10077,"description":"full"},"stream":"x","seq":0}',
  ];
  const alike = [
    '{"stream":"lobby-tv","seq":17,"viewers":3}',
    '{"stream":"live1", "domain":"eu","ok":true}',
    '{"stream":"x","duplicate":false}',
    '{"stream":"x","seq":"17"}',
    '{"stream":7,"seq":17}',
    '{"stream":"x","seq":1.5}',
    '{"error":{"code":402},"stream":"x","seq":0}',
    '{"stream":"x","seq":1',
    `{"stream":"${'x'.repeat(2_000)}","seq":1}`,
  ];
  /** What the client gets when the backend answers so, without the spaces. */
  const through = async (client: TestClient, answer: string): Promise<string> => {
    const id = client.send('game.say.it', answer);
    const find = () => client.received.find((item) => item.kind === 'response' && item.id === id);
    const { body } = (await client.wait(find, answer.slice(0, 60))) as { body: unknown };
    const text = body instanceof Uint8Array ? Buffer.from(body).toString() : JSON.stringify(body);
    return text.replaceAll(' ', '');
  };
  const same = (answer: string): string => answer.replaceAll(' ', '');

  test.each([
    ['JetStream is off', ''],
    ['no stream captures the subject', JETSTREAM],
  ])('is the answer where %s', async (_, config) => {
    await using nats = await startNats(config);
    const nc = await nats.connect();
    await using gateway = await start(nats.url);
    if (config !== '') await addStream(nc, 'ELSE', { subjects: ['other.>'] });
    await serve(nc, 'pith.rpc.game.>', (msg) => ({ body: JSON.parse(msg.string()) as string }));
    await using client = await TestClient.connect(gateway.port);
    for (const answer of [...exact, ...alike])
      expect(await through(client, answer), answer).toBe(same(answer));
    expect(gateway.count('pith_bus_refused_total', 'PUB_ACK')).toBe(0);
  });

  test('is the answer with a header, and when it is not exactly one, whatever a stream captures', async () => {
    await using nats = await startNats(JETSTREAM);
    const nc = await nats.connect();
    await using gateway = await start(nats.url);
    await addStream(nc, 'GREEDY', { subjects: ['pith.rpc.>'] });
    await serve(nc, 'pith.rpc.game.>', (msg) => ({ body: JSON.parse(msg.string()) as string }));
    await using client = await TestClient.connect(gateway.port);
    for (const answer of alike) expect(await through(client, answer), answer).toBe(same(answer));
    await serve(
      nc,
      'pith.rpc.hasty.>',
      () => ({ body: exact[0]!, headers: { 'Pith-Join': '["g"]' } }),
      'other',
    );
    expect(await client.request('hasty.with.header')).toEqual({ stream: 'live1', seq: 17 });
    expect(gateway.count('pith_bus_refused_total', 'PUB_ACK')).toBeGreaterThan(0);
  });

  test('is none while nobody may ask which streams there are', async () => {
    await using nats = await startNats(`${JETSTREAM}
authorization { users = [
  { user: tester, password: t }
  { user: gw, password: g, permissions: { publish: { deny: ["$JS.API.>"] } } }
] }`);
    const nc = await nats.connect({ user: 'tester', pass: 't' });
    await using gateway = await startGateway(
      `bus: ${nats.url}
nats: { user: gw, password: g }
backends: { game: { nats: {} } }
routes: [{ match: ">", backend: game, timeout: 300ms }]`,
    );
    await serve(nc, 'pith.rpc.game.>', (msg) => ({ body: JSON.parse(msg.string()) as string }));
    await using client = await TestClient.connect(gateway.port);
    expect(JSON.parse(await through(client, exact[0]!))).toMatchObject({ reason: 'TIMEOUT' });
    expect(await through(client, alike[0]!)).toBe(alike[0]!);
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
    expect(text).toContain('ONE_ROUTE');
    expect(text).toContain('pith.rpc.>');
    expect(text).toContain('remove these subjects from the stream');
    expect(text).not.toMatch(/AUDIT|pith\.event|ELSE|KEEP|pith\.user/);
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
