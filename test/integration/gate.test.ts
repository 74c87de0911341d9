/** A gate in front of real gateways on a real nats-server: where it sends clients, and where it never does. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { TestClient } from '../support/client.ts';
import { startGateway } from '../support/gateway.ts';
import { gatedYaml, gates, portsTold, QUERY, startGated } from '../support/gated.ts';
import { layCable } from '../support/cable.ts';
import { startNats, type TestNats } from '../support/nats.ts';
import { freePort } from '../support/process.ts';
import { configFile, pith, serve } from '../support/serve.ts';
import { eventually } from '../support/wait.ts';

let nats: TestNats;
beforeAll(async () => {
  nats = await startNats();
});
afterAll(async () => {
  await nats[Symbol.asyncDispose]();
});

const NO_GATEWAY = {
  code: 503,
  reason: 'BACKEND_AWAY',
  msg: 'no gateway is ready for new clients; try again',
  retry_after_ms: 1_000,
};

/** A prefix of its own: the gates of other tests are not heard. */
const apart = (prefix: string): string => `nats: { prefix: ${prefix} }\n`;

describe('a lone gateway', () => {
  test('on the embedded bus answers its own address, by the transport of the client', async () => {
    await using gateway = await startGated('solo', 'embedded');
    await using ann = await TestClient.connect(gateway.port, 'ws');
    await using bob = await TestClient.connect(gateway.port, 'tcp');
    const { port } = gateway;
    expect(await ann.request(QUERY, { uid: 'ann' })).toEqual({
      code: 200,
      host: '127.0.0.1',
      port,
    });
    expect(await bob.request(QUERY)).toEqual({ code: 200, host: 'solo.example.com', port });
    expect(gates(gateway)).toBe('1 of 1');
  });

  test('that is full, or draining, answers 503', async () => {
    await using gateway = await startGated(
      'full',
      'embedded',
      'limits: { connections: 2 }\ndrain: { accept_for: 30s, budget: 2s }\n',
    );
    await using ann = await TestClient.connect(gateway.port, 'ws');
    expect(await ann.request(QUERY)).toMatchObject({ code: 200 });
    const bob = await TestClient.connect(gateway.port, 'ws');
    await eventually(() => gates(gateway) === '0 of 1', 'the last place taken');
    expect(await ann.request(QUERY)).toEqual(NO_GATEWAY);
    bob.close();
    await eventually(() => gates(gateway) === '1 of 1', 'a place again');
    expect(await ann.request(QUERY)).toMatchObject({ code: 200 });
    let hurry = false;
    const drained = gateway.gateway.drain(() => hurry);
    await eventually(() => gates(gateway) === '0 of 1', 'the drain');
    expect(await ann.request(QUERY)).toEqual(NO_GATEWAY);
    hurry = true;
    await drained;
  });

  test('on a bus that it has never reached is ready for nobody', async () => {
    const bus = `nats://127.0.0.1:${await freePort()}`;
    await using gateway = await startGated('early', bus);
    await using ann = await TestClient.connect(gateway.port, 'ws');
    expect(await ann.request(QUERY)).toEqual(NO_GATEWAY);
  });
});

test('of two gateways the one with fewer clients; a client that goes there is counted', async () => {
  const prefix = apart('two');
  await using a = await startGated('a', nats.url, prefix);
  await using b = await startGated('b', nats.url, prefix);
  const clients = await Promise.all(
    Array.from({ length: 12 }, () => TestClient.connect(a.port, 'tcp')),
  );
  const [ann] = clients;
  // Each learns within a second how many clients a has.
  for (const asked of [a, b])
    await eventually(async () => {
      const told = await portsTold(asked, 5);
      return told.size === 1 && told.has(b.port);
    }, 'the load of a');
  expect(await ann!.request(QUERY)).toEqual({ code: 200, host: 'b.example.com', port: b.port });
  for (const client of clients) client.close();
});

test('of three gateways, and clients that connect where they are told, each gets its share', async () => {
  const prefix = apart('three');
  await using a = await startGated('a', nats.url, prefix);
  await using b = await startGated('b', nats.url, prefix);
  await using c = await startGated('c', nats.url, prefix);
  const fleet = [a, b, c];
  await eventually(() => fleet.every((one) => gates(one) === '3 of 3'), 'all three');
  await using asking = await TestClient.connect(a.port, 'ws');
  const players: TestClient[] = [];
  for (let i = 0; i < 90; i++) {
    const { code, port } = await asking.request(QUERY);
    expect(code).toBe(200);
    players.push(await TestClient.connect(port as number, 'ws'));
  }
  const sizes = fleet.map(({ gateway }) => gateway.registry.size);
  expect(sizes.reduce((sum, size) => sum + size)).toBe(91);
  for (const size of sizes) expect(size).toBeGreaterThan(20);
  for (const player of players) player.close();
});

test('never one that drains, from the moment in which it begins, though it still accepts', async () => {
  const prefix = apart('drains');
  await using a = await startGated('a', nats.url, prefix);
  await using b = await startGated(
    'b',
    nats.url,
    `${prefix}drain: { accept_for: 30s, budget: 2s }\n`,
  );
  await using bob = await TestClient.connect(b.port, 'ws');
  await eventually(() => gates(a) === '2 of 2' && gates(b) === '2 of 2', 'each other');
  let hurry = false;
  const drained = b.gateway.drain(() => hurry);
  await eventually(() => gates(b) === '1 of 2', 'the drain');
  // It sends its own clients to the other one, and new ones too.
  for (let i = 0; i < 10; i++) expect((await bob.request(QUERY))['port']).toBe(a.port);
  expect(await portsTold(b, 10)).toEqual(new Set([a.port]));
  await eventually(() => gates(a) !== '2 of 2', 'the word of it');
  expect(await portsTold(a, 10)).toEqual(new Set([a.port]));
  hurry = true;
  await drained;
  await eventually(() => gates(a) === '1 of 1', 'the goodbye');
});

test('never one that was killed, once it was silent for 4 s', async () => {
  const prefix = apart('killed');
  const port = await freePort();
  await using a = await startGated('a', nats.url, prefix);
  await using b = await serve(
    `${gatedYaml('b', nats.url, port)}${prefix}`,
    '--set',
    `listen.0.url=auto://127.0.0.1:${port}`,
  );
  await using _ann = await TestClient.connect(a.port, 'ws');
  await using _bob = await TestClient.connect(a.port, 'ws');
  await eventually(async () => (await portsTold(a, 1)).has(port), 'the other one');
  b.running.kill('SIGKILL');
  await b.running.exited;
  await eventually(() => gates(a) === '1 of 1', 'the silence');
  expect(await portsTold(a, 10)).toEqual(new Set([a.port]));
});

test('cut off from the bus each sends clients to itself; once it is back, to both again', async () => {
  const prefix = apart('cut');
  await using cable = await layCable(nats.port);
  await using a = await startGated('a', nats.url, prefix);
  await using b = await startGated('b', `nats://127.0.0.1:${cable.port}`, prefix);
  await eventually(() => gates(a) === '2 of 2' && gates(b) === '2 of 2', 'each other');
  cable.cut();
  await eventually(() => gates(a) === '1 of 1' && gates(b) === '1 of 1', 'the cut');
  expect(await portsTold(a, 5)).toEqual(new Set([a.port]));
  expect(await portsTold(b, 5)).toEqual(new Set([b.port]));
  cable.mend();
  await eventually(() => gates(a) === '2 of 2' && gates(b) === '2 of 2', 'each other again');
});

test('a gateway without a gate is told of nowhere, and does not mind the others', async () => {
  const prefix = apart('without');
  await using a = await startGated('a', nats.url, prefix);
  await using b = await startGated('b', nats.url, prefix);
  await using none = await startGateway(`id: none\nbus: ${nats.url}\n${prefix}`);
  await eventually(() => gates(a) === '2 of 2' && gates(b) === '2 of 2', 'each other');
  expect(none.count('pith_bus_refused_total', 'BAD_ARGUMENT')).toBe(0);
  expect((await portsTold(a, 20)).has(none.port)).toBe(false);
});

test('`pith check` refuses a gate without the address of a listener', async () => {
  using file = configFile('listen: [{ url: "ws://0.0.0.0:3010" }]\nbackends: { g: { gate: } }\n');
  const { code, output } = await pith('check', file.path);
  expect(output).toContain(
    'backends.g.gate.advertise: needs ws: host:port, for clients of listen[0] (ws://0.0.0.0:3010)',
  );
  expect(code).toBe(78);
});
