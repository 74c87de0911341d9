/** `nats.split`: what backends answer does not wait behind what they push. */
import { expect, test } from 'vitest';

import { TestClient } from '../support/client.ts';
import { startGateway, type TestGateway } from '../support/gateway.ts';
import { push } from '../support/nats-backend.ts';
import { startNats, type TestNats } from '../support/nats.ts';
import { eventually } from '../support/wait.ts';

const PUSHES = 3_000;

async function gatewayOn(nats: TestNats, split: boolean): Promise<TestGateway> {
  const gateway = await startGateway(`
bus: ${nats.url}
nats: { split: ${split} }
backends: { game: { nats: {} } }
routes: [{ match: "game.>", backend: game }]
limits: { fanout: { per_turn: 1 }, outbox: 16MiB }`);
  await eventually(() => gateway.gateway.notReady().length === 0, 'the bus');
  return gateway;
}

/** A backend that pushes a lot to its caller before it answers: how many of the pushes came before the answer. */
async function pushesBeforeAnswer(split: boolean): Promise<number> {
  await using nats = await startNats();
  await using gateway = await gatewayOn(nats, split);
  const nc = await nats.connect();
  nc.subscribe('pith.rpc.game.flood', {
    callback: (_, message) => {
      const sid = message.headers!.get('Pith-Sid');
      for (let n = 0; n < PUSHES; n++) push(nc, `pith.session.${sid}.push`, 'onFlood', { n });
      message.respond('{"ok":true}');
    },
  });
  await nc.flush();
  await using client = await TestClient.connect(gateway.port);
  expect(await client.request('game.flood', {})).toEqual({ ok: true });
  const before = client.received.filter(({ kind }) => kind === 'push').length;
  await eventually(
    () => client.received.filter(({ kind }) => kind === 'push').length === PUSHES,
    'all pushes',
  );
  // Among themselves they stay in order, either way.
  const pushes = client.received.filter(({ kind }) => kind === 'push');
  expect(pushes.map((item) => (item.kind === 'push' ? String(item.body) : ''))).toEqual(
    Array.from({ length: PUSHES }, (_, n) => `{"n":${n}}`),
  );
  return before;
}

test('an answer waits behind the pushes before it without split, and not with it', async () => {
  expect(await pushesBeforeAnswer(false)).toBe(PUSHES);
  expect(await pushesBeforeAnswer(true)).toBeLessThan(PUSHES);
});

test('the gateway has two connections, and is ready with both; what breaks with one is told', async () => {
  await using nats = await startNats('http: "127.0.0.1:0"');
  await using gateway = await gatewayOn(nats, true);
  const names = (): string => gateway.gateway.metrics.render();
  expect(names()).toContain('\npith_bus_up 1\n');
  expect(names()).toContain('\npith_bus_requests_up 1\n');
  expect(gateway.count('pith_bus_connects_total', 'connected')).toBe(2);
  await nats.kill();
  await eventually(
    () => names().includes('\npith_bus_up 0\n') && names().includes('\npith_bus_requests_up 0\n'),
    'the loss of both',
  );
  await nats.restart();
  await eventually(
    () => names().includes('\npith_bus_up 1\n') && names().includes('\npith_bus_requests_up 1\n'),
    'both again',
  );
  const again = gateway.log.filter(({ msg }) => msg === 'bus reconnected');
  expect(new Set(again.map(({ connection }) => connection))).toEqual(
    new Set(['requests', undefined]),
  );
});

test('another log level holds for the lines of both connections', async () => {
  await using nats = await startNats();
  await using gateway = await gatewayOn(nats, true);
  const level = { method: 'POST', body: '{"level":"error"}' };
  const url = `http://127.0.0.1:${gateway.adminPort}/v1/SetLogLevel`;
  expect((await fetch(url, level)).status).toBe(200);
  const before = gateway.log.length;
  await nats.kill();
  await nats.restart();
  await eventually(() => gateway.count('pith_bus_connects_total', 'connected') === 4, 'both again');
  const later = gateway.log.slice(before);
  expect(later.filter((line) => line['level'] !== 'error')).toEqual([]);
});
