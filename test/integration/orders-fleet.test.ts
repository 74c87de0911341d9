/** What operators order for the whole fleet, on three gateways and a real nats-server: at once, for newcomers, after a cut. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { admin } from '../support/admin.ts';
import { layCable } from '../support/cable.ts';
import { TestClient } from '../support/client.ts';
import { startGateway, type TestGateway } from '../support/gateway.ts';
import { call, control } from '../support/grpcurl.ts';
import { startNats, type TestNats } from '../support/nats.ts';
import { serve } from '../support/serve.ts';
import { eventually } from '../support/wait.ts';

const ROUTES = `
backends: { echo: { reply: { code: 200 } } }
routes: [{ match: "echo.>", backend: echo }]
`;
const OTHER = '127.0.0.9';

let nats: TestNats;

beforeAll(async () => {
  nats = await startNats();
});

afterAll(async () => {
  await nats[Symbol.asyncDispose]();
});

const start = (id: string, url = nats.url, rest = ''): Promise<TestGateway> =>
  startGateway(`id: ${id}\nbus: ${url}\n${ROUTES}${rest}`);

/** What Control lists on this gateway, each in one word. */
async function blocksOf(gateway: { adminPort: number }): Promise<string[]> {
  const { lines } = await admin(gateway, 'ListBlocks');
  return lines.map(({ network, uid, client }) => String(network || uid || client));
}

/** All are known to each other, so that a call waits for all of them. */
async function acquainted(...gateways: readonly TestGateway[]): Promise<void> {
  for (const gateway of gateways)
    await eventually(async () => {
      const { lines } = await admin(gateway, 'GetPresence', { uids: ['nobody'] });
      return lines[0]!['gateways'] === gateways.length;
    }, 'a fleet that knows itself');
}

describe('three gateways', () => {
  test('block at once everywhere, count what all of them closed, and forget it at once', async () => {
    await using one = await start('one');
    await using two = await start('two');
    await using three = await start('three');
    await acquainted(one, two, three);
    const players = await Promise.all(
      [one, two, two, three].map(({ port }) => TestClient.connect(port, 'tcp', { from: OTHER })),
    );
    await using near = await TestClient.connect(three.port);
    const { lines } = await admin(two, 'Block', { network: OTHER, reason: 'bots' });
    // One that was slow to answer has heard it anyway.
    const silent = (lines[0]!['silent_gateways'] as string[]).length;
    expect(lines[0]).toMatchObject({ durable: false, gateways: 3 - silent });
    for (const player of players)
      expect((await player.next('kick')).body).toEqual({ reason: 'blocked' });
    const closed = lines[0]!['closed'];
    expect(silent > 0 || closed === 4).toBe(true);
    for (const gateway of [one, two, three]) {
      await eventually(
        async () => (await blocksOf(gateway)).join() === OTHER,
        'the block everywhere',
      );
      await expect(TestClient.open(gateway.port, 'ws', { from: OTHER })).rejects.toThrow(
        'socket hang up',
      );
    }
    expect(await near.request('echo.a')).toEqual({ code: 200 });
    await admin(three, 'Unblock', { network: OTHER });
    for (const gateway of [one, two, three]) {
      await eventually(async () => (await blocksOf(gateway)).length === 0, 'no block anywhere');
      await using _back = await TestClient.connect(gateway.port, 'ws', { from: OTHER });
    }
  });

  test('a gateway that starts has the list before it is ready, and the fleet keeps it while one is left', async () => {
    await using one = await start('one');
    await admin(one, 'Block', { uid: 'eve' });
    await control(one, 'SetMaintenance', {
      on: true,
      routes: ['echo.b'],
      message: 'Back at noon.',
    });
    await using two = await start('two');
    expect(two.gateway.notReady()).toEqual([]);
    expect(await blocksOf(two)).toEqual(['eve']);
    expect((await admin(two, 'GetMaintenance')).lines[0]).toMatchObject({
      on: true,
      durable: false,
      active: [
        { source: 'fleet', routes: ['echo.b'], message: 'Back at noon.', gateway: one.gateway.id },
      ],
    });
    await one[Symbol.asyncDispose]();
    await using three = await start('three');
    expect(await blocksOf(three)).toEqual(['eve']);
    await using client = await TestClient.connect(three.port);
    expect(await client.request('echo.b')).toEqual({
      ...{ code: 503, reason: 'MAINTENANCE', msg: 'Back at noon.' },
    });
    expect(await client.request('echo.a')).toEqual({ code: 200 });
  });

  test('one that was cut off hears what was ordered meanwhile, and tells what it was told', async () => {
    await using cable = await layCable(nats.port);
    await using one = await start('one');
    await using two = await start('two', `nats://127.0.0.1:${cable.port}`);
    await using far = await TestClient.connect(two.port, 'tcp', { from: OTHER });
    await admin(one, 'Block', { uid: 'old' });
    await eventually(async () => (await blocksOf(two)).length === 1, 'the first block');
    cable.cut();
    await eventually(() => two.log.some(({ msg }) => msg === 'bus connection lost'), 'the loss');
    await admin(one, 'Unblock', { uid: 'old' });
    await admin(one, 'Block', { network: OTHER });
    await admin(two, 'Block', { uid: 'told-apart' });
    cable.mend();
    for (const gateway of [one, two])
      await eventually(
        async () => (await blocksOf(gateway)).join() === `${OTHER},told-apart`,
        'the same list on both',
      );
    expect((await far.next('kick')).body).toEqual({ reason: 'blocked' });
  });
});

describe('real processes', () => {
  test('one that is stopped for a while closes whom it should have, once it goes on', async () => {
    const config = `bus: ${nats.url}\n${ROUTES}`;
    await using one = await serve(`id: one\n${config}`);
    await using two = await serve(`id: two\n${config}`);
    await using player = await TestClient.connect(two.port, 'tcp', { from: OTHER });
    two.running.kill('SIGSTOP');
    const { lines } = await admin(one, 'Block', { network: OTHER });
    expect(lines[0]).toMatchObject({ closed: 0, gateways: 1 });
    two.running.kill('SIGCONT');
    expect((await player.next('kick')).body).toEqual({ reason: 'blocked' });
    expect(await blocksOf(two)).toEqual([OTHER]);
  });
});

test('over NATS: Block for the fleet, and SetMaintenance where the gateway is named', async () => {
  await using one = await start('one', nats.url, 'bus_admin: true\n');
  const nc = await nats.connect();
  const ask = async (subject: string, request: object): Promise<Record<string, unknown>> =>
    (await nc.request(subject, JSON.stringify(request), { timeout: 60_000 })).json();
  expect(await ask('pith.control.Block', { uid: 'eve', expires_in: '60s' })).toMatchObject({
    closed: 0,
  });
  expect(await ask('pith.control.ListBlocks', {})).toMatchObject({
    blocks: [{ uid: 'eve' }],
    next_page_token: '',
  });
  const set = { on: true, scope: 'gateway' };
  expect(await ask(`pith.gateway.${one.gateway.id}.SetMaintenance`, set)).toMatchObject({
    on: true,
    active: [{ source: 'gateway' }],
  });
  expect(await ask('pith.control.SetMaintenance', set)).toMatchObject({ error: { code: 501 } });
  expect((await call(one, 'GetInfo')).answers[0]).toMatchObject({ maintenance: true });
});
