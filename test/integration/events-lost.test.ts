/** Gateways that die without a word, are stopped or cut off for a while: what the others, and they, tell on a real bus. */
import { expect, test } from 'vitest';

import { layCable } from '../support/cable.ts';
import { TestClient } from '../support/client.ts';
import { startGateway } from '../support/gateway.ts';
import { startNats } from '../support/nats.ts';
import { Presence } from '../support/presence.ts';
import { serve } from '../support/serve.ts';
import { eventually } from '../support/wait.ts';

const NO_BACKENDS = 'backends: {}\nroutes: []';

async function connectAll(ports: readonly number[]): Promise<TestClient[]> {
  return Promise.all(ports.map((port) => TestClient.connect(port)));
}

test('a gateway that is stopped for less than 6 s is not lost; killed, it is, by the oldest, once', async () => {
  await using nats = await startNats();
  const presence = await Presence.on(await nats.connect());
  await using one = await startGateway(`id: one\nbus: ${nats.url}\n${NO_BACKENDS}`);
  await using two = await startGateway(`id: two\nbus: ${nats.url}\n${NO_BACKENDS}`);
  await using killed = await serve(`id: killed\nbus: ${nats.url}\n${NO_BACKENDS}`);
  await eventually(
    () => one.gateway.notReady().length === 0 && presence.named('gateway.ready').length === 3,
    'three gateways',
  );
  const three = presence
    .named('gateway.ready')
    .map(({ gateway }) => gateway!)
    .find((id) => id.startsWith('killed-'))!;
  const clients = await connectAll([one.port, two.port, killed.port, killed.port, killed.port]);
  await eventually(() => presence.sids.length === 5, 'five sessions');

  await killed.running.freeze();
  await presence.seconds(5, one.gateway.id);
  killed.running.kill('SIGCONT');
  await presence.seconds(2, three);
  expect([...presence.named('gateway.lost'), ...presence.named('gateway.returned')]).toEqual([]);

  killed.running.kill('SIGKILL');
  await killed.running.exited;
  const sids = [1, 2, 3].map((n) => `${three}.${n}`);
  await eventually(() => sids.every((sid) => presence.ended.has(sid)), 'the end of the sessions');
  await presence.seconds(3, one.gateway.id);
  expect(presence.named('gateway.lost')).toMatchObject([
    { id: `lost.${three}.1`, gateway: three, sessions: 3, by: one.gateway.id, term: 1 },
  ]);
  for (const sid of sids) expect(presence.ended.get(sid)).toMatchObject([{ by: 'lost' }]);
  expect(presence.sids).toEqual([`${one.gateway.id}.1`, `${two.gateway.id}.1`].sort());
  for (const client of clients) client.close();
});

test('a gateway that was cut off for long has returned, with the sessions that it still has', async () => {
  await using nats = await startNats();
  await using cable = await layCable(nats.port);
  const presence = await Presence.on(await nats.connect());
  await using one = await startGateway(`id: one\nbus: ${nats.url}\n${NO_BACKENDS}`);
  await using two = await startGateway(
    `id: two\nbus: nats://127.0.0.1:${cable.port}\n${NO_BACKENDS}`,
  );
  const { id, registry } = two.gateway;
  const [ann, bob, cy] = await connectAll([two.port, two.port, one.port]);
  await eventually(() => presence.sids.length === 3, 'three sessions');
  await presence.seconds(1, id);
  cable.cut();
  bob!.close();
  await eventually(() => registry.size === 1, 'the end of one');
  await eventually(() => presence.named('gateway.lost').length > 0, 'the loss');
  expect(presence.sids).toEqual([`${one.gateway.id}.1`]);
  cable.mend();
  await eventually(() => presence.named('gateway.returned').length > 0, 'the return');
  await presence.seconds(3, id);
  expect(presence.named('gateway.lost')).toMatchObject([{ gateway: id, by: one.gateway.id }]);
  expect(presence.named('gateway.returned')).toMatchObject([{ gateway: id, sessions: 1, term: 2 }]);
  expect(presence.sids).toEqual([`${one.gateway.id}.1`, `${id}.1`].sort());
  for (const client of [ann!, cy!]) client.close();
  await eventually(() => presence.sids.length === 0, 'the end of all');
});

test('without permissions on NATS a `lost` that somebody has forged ends no session, and is taken back once', async () => {
  await using nats = await startNats();
  const nc = await nats.connect();
  const presence = await Presence.on(nc);
  await using one = await startGateway(`id: one\nbus: ${nats.url}\n${NO_BACKENDS}`);
  await using two = await startGateway(`id: two\nbus: ${nats.url}\n${NO_BACKENDS}`);
  const { id } = two.gateway;
  const [ann] = await connectAll([two.port]);
  await presence.seconds(2, id);
  const forged = { gateway: id, term: 500, by: 'nobody', last_heard: '2026-01-01T00:00:00Z' };
  nc.publish('pith.event.gateway.lost', JSON.stringify(forged));
  await eventually(() => presence.named('gateway.returned').length > 0, 'the return');
  await eventually(() => presence.sids.length === 1, 'the session again');
  await presence.seconds(7, one.gateway.id);
  expect(presence.named('gateway.returned')).toMatchObject([{ gateway: id, term: 501 }]);
  expect(presence.named('gateway.lost')).toHaveLength(1);
  expect(presence.named('session.opened').map(({ again }) => again)).toEqual([false, true]);
  expect(ann!.isEnded).toBe(false);
  ann!.close();
});
