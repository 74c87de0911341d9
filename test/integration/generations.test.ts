/**
 * A rollout, on real gateways: while newer ones are there, an older one reports that it is not ready on every probe, and
 * still serves the clients that reach it.
 */
import { describe, expect, test } from 'vitest';

import { TestClient } from '../support/client.ts';
import { JwksServer, jwkOf, keyPairFor } from '../support/jwt.ts';
import { startNats, type TestNats } from '../support/nats.ts';
import { run } from '../support/process.ts';
import { serve, type Served } from '../support/serve.ts';
import { eventually } from '../support/wait.ts';

function start(nats: TestNats, generation: string, more = ''): Promise<Served> {
  return serve(`
bus: ${nats.url}
generation: ${generation}
drain: { generations: true, budget: 5s }
listen: [{ url: "tcp://127.0.0.1:0" }]
backends: { entry: { gate: { advertise: { tcp: "${generation.replaceAll('/', '-')}.test:1" } } }, fixed: { reply: { code: 200 } } }
routes: [{ match: "gate.>", backend: entry }, { match: ">", backend: fixed }]
${more}`);
}

async function get(gateway: Served, path: string): Promise<[number, string]> {
  const answer = await fetch(`http://127.0.0.1:${gateway.healthPort}${path}`);
  return [answer.status, await answer.text()];
}

async function isReady(gateway: Served): Promise<boolean> {
  return (await get(gateway, '/readyz'))[0] === 200;
}

function becomes(gateway: Served, ready: boolean): Promise<unknown> {
  return eventually(async () => (await isReady(gateway)) === ready, `ready to be ${ready}`);
}

async function health({ controlPort }: Served, service: string): Promise<string> {
  const { output } = await run('grpcurl', [
    ...['-plaintext', '-d', JSON.stringify({ service }), `127.0.0.1:${controlPort}`],
    'grpc.health.v1.Health/Check',
  ]);
  return /"status": "(\w+)"/.exec(output)![1]!;
}

/** Where the gate of this gateway sends a client. */
async function entry(gateway: Served): Promise<unknown> {
  await using client = await TestClient.connect(gateway.port, 'tcp');
  return (await client.request('gate.gateHandler.queryEntry'))['host'];
}

async function metric(gateway: Served, name: string): Promise<string | undefined> {
  const [, text] = await get(gateway, '/metrics');
  return text
    .split('\n')
    .find((line) => line.startsWith(name))
    ?.split(' ')
    .at(-1);
}

test('a newer generation that could let no one in, for want of keys, is not waited upon', async () => {
  await using nats = await startNats();
  await using jwks = await JwksServer.start([jwkOf(keyPairFor('ES256').publicKey)]);
  const { body } = jwks.answer!;
  jwks.answer = { status: 500, body };
  await using old = await start(nats, 'game/a');
  await becomes(old, true);
  const jwt = {
    ...{ algorithms: ['ES256'], jwks_url: jwks.url, issuer: 'me' },
    tls: { ca: jwks.authority.cert },
  };
  await using newer = await start(nats, 'game/b', `auth: ${JSON.stringify({ mode: 'jwt', jwt })}`);
  await eventually(async () => (await metric(old, 'pith_generation_newest')) === '0', 'the newer');
  // By then the older one has looked at it, several times.
  await eventually(() => jwks.asked.length > 3, 'three fetches more');
  expect(await Promise.all([isReady(old), isReady(newer)])).toEqual([true, false]);
  jwks.answer = { body };
  await becomes(newer, true);
  await becomes(old, false);
});

describe('while a newer generation is there', () => {
  test('the older is not ready, by all signs, and serves', async () => {
    await using nats = await startNats();
    await using old = await start(nats, 'game/a');
    await using other = await start(nats, 'game/a');
    await using elsewhere = await start(nats, 'shop/x');
    await Promise.all([old, other, elsewhere].map((one) => becomes(one, true)));
    await using newer = await start(nats, 'game/b');
    await Promise.all([old, other].map((one) => becomes(one, false)));

    expect(await get(old, '/readyz')).toEqual([503, 'gateways of a newer generation take new clients\n']); // prettier-ignore
    expect((await get(old, '/readyz?warn'))[0]).toBe(429);
    expect((await get(old, '/livez'))[0]).toBe(200);
    expect([await health(old, ''), await health(old, 'pith.v1.Control')]).toEqual(['NOT_SERVING', 'SERVING']); // prettier-ignore
    expect([await isReady(newer), await isReady(elsewhere)]).toEqual([true, true]);
    expect([await health(newer, ''), (await get(newer, '/readyz?warn'))[0]]).toEqual(['SERVING', 200]); // prettier-ignore
    await eventually(async () => (await entry(old)) === 'game-b.test', 'the gate to follow');
    const signs = ['pith_newcomers_elsewhere{reason="generation"}', 'pith_generation_newest'];
    expect(await Promise.all(signs.map((name) => metric(old, name)))).toEqual(['1', '0']);
    expect(await Promise.all(signs.map((name) => metric(newer, name)))).toEqual(['0', '1']);
    expect(old.log().find(({ msg }) => msg.startsWith('new clients'))).toMatchObject({
      ...{ generation: 'game/a', newest: 'game/b' },
    });
    await using client = await TestClient.connect(old.port, 'tcp');
    expect(await client.request('a.b')).toEqual({ code: 200 });

    // One more of the older label, as after a crash: nothing changes.
    await using again = await start(nats, 'game/a');
    await becomes(again, false);
    expect([await isReady(newer), await isReady(old)]).toEqual([true, false]);
    expect(newer.log().filter(({ msg }) => /new clients/.test(msg))).toEqual([]);
  });

  test.each(['SIGKILL', 'SIGTERM'] as const)(
    'and is ready again when that ends by %s',
    async (signal) => {
      await using nats = await startNats();
      await using old = await start(nats, 'a');
      await using newer = await start(nats, 'b');
      await becomes(old, false);
      newer.running.kill(signal);
      await newer.running.exited;
      await becomes(old, true);
      expect([await health(old, ''), await metric(old, 'pith_generation_newest')]).toEqual(['SERVING', '1']); // prettier-ignore
      expect(old.log().some(({ msg }) => msg === 'taking new clients again')).toBe(true);
    },
  );

  test('and is ready again when the bus is away', async () => {
    await using nats = await startNats();
    await using old = await start(nats, 'a');
    await using newer = await start(nats, 'b');
    await becomes(old, false);
    await nats.kill();
    await becomes(old, true);
    await nats.restart();
    await becomes(old, false);
    expect(await isReady(newer)).toBe(true);
  });

  test('only if that has room for all', async () => {
    await using nats = await startNats();
    await using old = await start(nats, 'a');
    await using one = await TestClient.connect(old.port, 'tcp');
    await using two = await TestClient.connect(old.port, 'tcp');
    await using small = await start(nats, 'b', 'limits: { connections: 1 }');
    // It has heard it, and is ready.
    await eventually(async () => (await metric(old, 'pith_generation_newest')) === '0', 'b');
    expect(await isReady(old)).toBe(true);
    await Promise.all([one, two].map((client) => client.request('a.b')));
    two.close();
    await becomes(old, false);
    expect(await isReady(small)).toBe(true);
  });
});

test('a reload switches it on and off', async () => {
  await using nats = await startNats();
  const yaml = `bus: ${nats.url}\ngeneration: a\nbackends: {}\nroutes: []\n`;
  await using old = await serve(yaml);
  await using newer = await start(nats, 'b');
  await eventually(async () => (await metric(old, 'pith_generation_newest')) === '0', 'b');
  expect([await isReady(old), await isReady(newer)]).toEqual([true, true]);
  old.rewrite(`${yaml}drain: { generations: true }\n`);
  old.running.kill('SIGHUP');
  await becomes(old, false);
  old.rewrite(yaml);
  old.running.kill('SIGHUP');
  await becomes(old, true);
});
