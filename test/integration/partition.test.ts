/** Two nats-servers in a cluster, the route between them cut and healed: what gateways know of each other meanwhile. */
import type { NatsConnection } from 'nats';
import { expect, test } from 'vitest';

import { admin } from '../support/admin.ts';
import { layCable } from '../support/cable.ts';
import { TestClient } from '../support/client.ts';
import { startGateway } from '../support/gateway.ts';
import { startNats } from '../support/nats.ts';
import { eventually } from '../support/wait.ts';
import { freePort } from '../support/process.ts';

const NO_BACKENDS = 'backends: {}\nroutes: []';

/** True when what is published on one side is heard on the other. */
async function isWhole(here: NatsConnection, there: NatsConnection): Promise<boolean> {
  const found = new Promise<boolean>((resolve) => {
    const subscription = there.subscribe('probe', {
      timeout: 100,
      callback: (late) => {
        if (late === null) subscription.unsubscribe();
        resolve(late === null);
      },
    });
  });
  await there.flush();
  here.publish('probe', '');
  await here.flush();
  return found;
}

test('counted pushes reach, and count, a gateway in the moment in which the cluster is whole again', async () => {
  const clusterPort = await freePort();
  const cluster = `cluster { name: c, listen: 127.0.0.1:${clusterPort}, no_advertise: true }`;
  await using a = await startNats(`server_name: a\n${cluster}`);
  await using cable = await layCable(clusterPort);
  await using b = await startNats(
    `server_name: b\ncluster { name: c, listen: 127.0.0.1:${await freePort()}, no_advertise: true, routes: [nats://127.0.0.1:${cable.port}] }`,
  );
  const here = await a.connect();
  const there = await b.connect();
  await eventually(() => isWhole(here, there), 'the cluster');
  await using one = await startGateway(`id: one\nbus: ${a.url}\n${NO_BACKENDS}`);
  await using two = await startGateway(`id: two\nbus: ${b.url}\n${NO_BACKENDS}`);
  await using three = await startGateway(`id: three\nbus: ${a.url}\n${NO_BACKENDS}`);
  await using ann = await TestClient.connect(one.port);
  await using bob = await TestClient.connect(two.port);
  let n = 0;
  const push = async (wait: string): Promise<Record<string, unknown>> => {
    const request = { push: { target: { all: true }, route: `on${++n}` }, wait };
    const { lines } = await admin(one, 'Push', request);
    const { delivered, gateways, silent_gateways: silent } = lines[0]!;
    return { delivered, gateways, silent };
  };
  const all = { delivered: 2, gateways: 3, silent: [] };
  await eventually(async () => (await push('5s'))['gateways'] === 3, 'three gateways');
  expect(await push('5s')).toEqual(all);

  cable.cut();
  await eventually(async () => !(await isWhole(here, there)), 'the cut');
  const without = { delivered: 1, gateways: 2, silent: [two.gateway.id] };
  for (let i = 0; i < 3; i++) expect(await push('0.3s')).toEqual(without);
  // Still named, but not waited for longer than a moment.
  expect(await push('5s')).toEqual(without);

  cable.mend();
  await eventually(() => isWhole(here, there), 'the cluster again');
  for (let i = 0; i < 3; i++) expect(await push('5s')).toEqual(all);
  await bob.push(`on${n}`);
  await ann.push(`on${n}`);
  expect(bob.pushes().map(({ route }) => route)).toEqual(
    expect.arrayContaining([`on${n - 2}`, `on${n - 1}`, `on${n}`]),
  );
  expect(three.gateway.registry.size).toBe(0);
});
