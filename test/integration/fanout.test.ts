/** Pushes to many sessions of two gateways that take several turns: who gets what, in which order, and what is counted. */
import type { NatsConnection } from 'nats';
import { afterAll, beforeAll, expect, test } from 'vitest';

import { admin } from '../support/admin.ts';
import { TestClient } from '../support/client.ts';
import { startGateway, type TestGateway } from '../support/gateway.ts';
import { startNats, type TestNats } from '../support/nats.ts';
import { push, tellJson } from '../support/nats-backend.ts';

/** Eight outboxes and one write in a turn, so that thirty take four turns and thirty. */
const SLICES = 'limits: { fanout: { per_turn: 1 } }\nbackends: {}\nroutes: []';
const EACH = 30;

let nats: TestNats;
let nc: NatsConnection;
const gateways: TestGateway[] = [];
const clients: TestClient[] = [];

beforeAll(async () => {
  nats = await startNats();
  nc = await nats.connect();
  for (const id of ['one', 'two']) {
    const gateway = await startGateway(`id: ${id}\nbus: ${nats.url}\n${SLICES}`);
    gateways.push(gateway);
    for (let i = 0; i < EACH; i++) clients.push(await TestClient.connect(gateway.port));
    for (const { sid, n } of gateway.gateway.registry.all()) {
      await tellJson(nc, `pith.session.${sid}.bind`, { uid: `${id}${n}` });
      await tellJson(nc, `pith.session.${sid}.set`, {
        set: { team: n % 2 === 0 ? 'red' : 'blue' },
      });
    }
  }
  await admin(gateways[0]!, 'Join', { target: { all: true }, groups: ['g', 'h'] });
});

afterAll(async () => {
  for (const client of clients) client.close();
  for (const gateway of gateways) await gateway[Symbol.asyncDispose]();
  await nats[Symbol.asyncDispose]();
});

const routes = (client: TestClient): string[] => client.pushes().map(({ route }) => route);

test('each of several large pushes and small ones behind them arrives once, in order', async () => {
  push(nc, 'pith.group.g.push', 'first', {});
  push(nc, 'pith.all.push', 'second', {});
  push(nc, 'pith.user.two30.push', 'own', {});
  push(nc, 'pith.group.h.push', 'last', {});
  for (const client of clients) await client.push('last');
  for (const [i, client] of clients.entries())
    expect(routes(client)).toEqual(
      i === 59 ? ['first', 'second', 'own', 'last'] : ['first', 'second', 'last'],
    );
});

test('a union with `except_uids` and `where` reaches each session once, and is counted', async () => {
  const target = {
    ...{ groups: ['g', 'h'], uids: ['one2', 'two1', 'zed'] },
    ...{ except_uids: ['one2', 'two2'], where: { team: 'red' } },
  };
  const body = { json: {} };
  const { lines } = await admin(gateways[0]!, 'Push', { push: { route: 'union', target, body } });
  expect(lines).toMatchObject([
    { delivered: 28, dropped: 0, refused: 0, gateways: 2, unknown_uids: ['zed'] },
  ]);
  push(nc, 'pith.all.push', 'end', {});
  for (const client of clients) await client.push('end');
  const got = clients.map((client) => routes(client).filter((route) => route === 'union').length);
  expect(got.filter((count) => count === 1)).toHaveLength(28);
  expect(Math.max(...got)).toBe(1);
});

test('a kick of all follows what was pushed before it', async () => {
  push(nc, 'pith.group.g.push', 'bye', {});
  nc.publish('pith.all.kick', '{"reason":"over"}');
  for (const client of clients) {
    await client.ended;
    expect(routes(client).at(-1)).toBe('bye');
  }
});
