/**
 * Snapshots of rooms and what follows them, on real gateways: ten thousand joins under a thousand pushes a second, of
 * backends on NATS, HTTP and gRPC, counted at the clients.
 */
import { randomInt } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import type { NatsConnection } from 'nats';
import { afterAll, beforeAll, expect, test } from 'vitest';

import { startGateway, type TestGateway } from '../support/gateway.ts';
import { startNats, type TestNats } from '../support/nats.ts';
import { freePort, type Running, start } from '../support/process.ts';
import { seededRandom } from '../support/random.ts';
import { RoomClient } from '../support/room-client.ts';
import { eventually } from '../support/wait.ts';

const PROGRAM = fileURLToPath(new URL('../support/room-process.ts', import.meta.url));
const OF_EACH_KIND = 4;
const ROOMS = ['nats', 'http', 'grpc'].flatMap((kind) =>
  Array.from({ length: OF_EACH_KIND }, (_, i) => `${kind}.${i}`),
);

let nats: TestNats;
let nc: NatsConnection;
let gateways: TestGateway[];
let ports: number[];
let program: Running;

const open = () =>
  start(process.execPath, [PROGRAM, ...[...ports, OF_EACH_KIND].map(String)], {
    ready: /rooms are open/,
  });

const tell = async (what: string): Promise<string> => {
  const answer = await nc.request(`rooms.${what}`, '', { timeout: 30_000 });
  return answer.string();
};

beforeAll(async () => {
  nats = await startNats();
  nc = await nats.connect();
  ports = [nats.port, await freePort(), await freePort()];
  program = await open();
  const route = (kind: string) =>
    `  - { match: "${kind}.>", backend: ${kind}, join: "{data.room}", timeout: 2s }\n`;
  const yaml = `
bus: ${nats.url}
limits: { messages_per_second: 100000, burst: 100000 }
log: { level: warn }
backends:
  nats: { nats: {} }
  http: { http: "http://127.0.0.1:${ports[1]}" }
  grpc: { grpc: "127.0.0.1:${ports[2]}" }
routes:
${route('nats')}${route('http')}${route('grpc')}`;
  gateways = await Promise.all(['one', 'two'].map((id) => startGateway(`id: ${id}\n${yaml}`)));
});

afterAll(async () => {
  for (const gateway of gateways) await gateway[Symbol.asyncDispose]();
  await program[Symbol.asyncDispose]();
  await nats[Symbol.asyncDispose]();
});

/** Every second asks to be told of gaps. */
async function clients(count: number): Promise<RoomClient[]> {
  const seed = Number(process.env['TEST_SEED'] ?? randomInt(1e9));
  console.log(`deltas: TEST_SEED=${seed}`);
  return Promise.all(
    Array.from({ length: count }, (_, i) => {
      const user = i % 2 === 0 ? {} : { pith: { gap: true } };
      const { port } = gateways[Math.floor(i / 2) % gateways.length]!;
      return RoomClient.connect(port, user, ROOMS, seededRandom(seed + i));
    }),
  );
}

/** Nobody changes anything any more: everybody has it all. */
async function settled(all: readonly RoomClient[]): Promise<void> {
  const last = JSON.parse(await tell('stop')) as { epoch: string; counts: Record<string, number> };
  const lacks = (): string[] =>
    all.flatMap(({ views }, i) =>
      [...views]
        .filter(([room, { epoch, n }]) => epoch === last.epoch && n !== last.counts[room])
        .map(([room, { n }]) => `client ${i} has ${n} of ${last.counts[room]} of ${room}`),
    );
  // What is lacking says more than that it was waited for.
  await eventually(() => lacks().length === 0, 'the last changes', 20_000).catch(() => {});
  expect(lacks()).toEqual([]);
}

const sum = (counts: readonly number[]): number => counts.reduce((a, b) => a + b, 0);

test('ten thousand joins under a thousand pushes a second: no gap, and nothing twice', async () => {
  const all = await clients(20);
  await tell('go');
  await Promise.all(
    all.map(async (client) => {
      for (let i = 0; i < 500; i++) await client.joinOne();
    }),
  );
  await settled(all);
  expect(all.flatMap(({ wrong }) => wrong)).toEqual([]);
  expect(all.flatMap(({ gaps }) => gaps)).toEqual([]);
  // The first of each client is for no room.
  expect(sum(all.map(({ snapshots }) => snapshots))).toBeGreaterThanOrEqual(10_000 - all.length);
  expect(sum(all.map(({ refused, restarts }) => refused + restarts))).toBe(0);
  const held = sum(gateways.map((gateway) => gateway.count('pith_deltas_total', 'held')));
  const known = sum(gateways.map((gateway) => gateway.count('pith_deltas_total', 'in_snapshot')));
  const changes = sum(all.map((client) => client.changes));
  console.log(`deltas: ${changes} changes, ${held} held, ${known} in a snapshot already`);
  // Otherwise nothing of it was tried.
  expect(held).toBeGreaterThan(100);
  expect(known).toBeGreaterThan(10);
  for (const client of all) client.close();
  await eventually(() => gateways.every(({ gateway }) => gateway.registry.size === 0), 'the end');
  for (const { gateway } of gateways) expect([...gateway.registry.groups()]).toEqual([]);
});

test('a publisher that is killed begins anew: no gap within what it counts, and who asked is told', async () => {
  const all = await clients(12);
  await tell('go');
  let goesOn = true;
  const playing = all.map(async (client) => {
    while (goesOn) await client.joinOne();
  });
  for (let i = 0; i < 3; i++) {
    const before = sum(all.map(({ snapshots }) => snapshots));
    await eventually(() => sum(all.map(({ snapshots }) => snapshots)) > before + 200, 'joins');
    program.kill('SIGKILL');
    await program.exited;
    program = await open();
    await tell('go');
  }
  const before = sum(all.map(({ snapshots }) => snapshots));
  await eventually(() => sum(all.map(({ snapshots }) => snapshots)) > before + 200, 'joins');
  goesOn = false;
  await Promise.all(playing);
  await settled(all);
  expect(all.flatMap(({ wrong }) => wrong)).toEqual([]);
  const asked = all.filter((_, i) => i % 2 === 1);
  expect(sum(asked.map(({ restarts }) => restarts))).toBeGreaterThan(0);
  expect(asked.map(({ announced }) => announced)).toEqual(asked.map(({ restarts }) => restarts));
  expect(all.filter((_, i) => i % 2 === 0).flatMap(({ gaps }) => gaps)).toEqual([]);
  for (const client of all) client.close();
});
