/** Published clients find their connector as with Pomelo: they ask a gate, disconnect, and connect where they are told. */
import { afterAll, beforeAll, expect, test } from 'vitest';

import { QUERY, portsTold, startGated } from '../support/gated.ts';
import type { TestGateway } from '../support/gateway.ts';
import { startNats, type TestNats } from '../support/nats.ts';
import { NpmClient } from '../support/npm-clients.ts';
import { eventually } from '../support/wait.ts';
import { TestClient } from '../support/client.ts';
import { PUBLISHED_CLIENTS } from './published-clients.ts';

let nats: TestNats;
let asked: TestGateway;
let other: TestGateway;
/** They make the first gateway the more loaded one. */
let players: TestClient[];

beforeAll(async () => {
  nats = await startNats();
  asked = await startGated('asked', nats.url);
  other = await startGated('other', nats.url);
  players = await Promise.all(
    Array.from({ length: 20 }, () => TestClient.connect(asked.port, 'tcp')),
  );
  await eventually(async () => {
    const told = await portsTold(asked, 3);
    return told.size === 1 && told.has(other.port);
  }, 'the load of both');
});

afterAll(async () => {
  for (const player of players) player.close();
  await asked[Symbol.asyncDispose]();
  await other[Symbol.asyncDispose]();
  await nats[Symbol.asyncDispose]();
});

test.each(PUBLISHED_CLIENTS)('$name', async ({ name, callbackArgs }) => {
  const entry = { code: 200, host: '127.0.0.1', port: other.port };
  await using asking = await NpmClient.connect(name, asked.port);
  expect(await asking.callback(QUERY, { uid: 'ann' })).toEqual(callbackArgs(entry));
  asking.disconnect();
  await using client = await NpmClient.start(name);
  expect(await client.init(entry.port, { host: entry.host })).toBe(30_000);
  expect(other.gateway.registry.size).toBe(1);
  expect(await client.request(QUERY, { uid: 'ann' })).toEqual(entry);
  client.disconnect();
  await eventually(() => other.gateway.registry.size === 0, 'the end');
});
