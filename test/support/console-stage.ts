/** What the console is looked at with: two real processes on one NATS, players, and backends of which some do not answer. */
import type { Page } from 'playwright-core';

import { admin } from './admin.ts';
import { type Cable, layCable } from './cable.ts';
import { TestClient } from './client.ts';
import { startNats } from './nats.ts';
import { serve as answer } from './nats-backend.ts';
import { serve, type Served } from './serve.ts';

/** The longest name that a backend may have. */
export const LONG_NAME = `leaderboards-${'of-all-worlds-'.repeat(4)}`.slice(0, 64);

/** Where in the console there is something to see; with one backend of its own. */
export const PARTS = [
  'fleet',
  'sessions',
  'backends',
  `backends/${LONG_NAME}`,
  'routes',
  'groups',
  'log',
];

/** Goes to a part, and waits until it shows something. */
export async function goTo(page: Page, part: string): Promise<void> {
  await page.evaluate(`location.hash = '#/${part}'`);
  await page.locator('.part :is(table, .facts, .log)').first().waitFor();
}

const TABLE = `
# Nobody beats for the players here.
heartbeat: 10m
backends:
  gate: { reply: { code: 200, host: 127.0.0.1, port: 3010 } }
  chat: { nats: {} }
  shop: { http: "http://127.0.0.1:9/shop" }
  ${LONG_NAME}: { grpc: "dns:///localhost:9", breaker: { failures: 2, open: 60s } }
routes:
  - { match: "gate.>", backend: gate }
  - { match: "chat.>", backend: chat }
  - { match: "shop.>", backend: shop }
  - { match: "leaderboard.top.>", backend: ${LONG_NAME} }
`;

export type ConsoleStage = AsyncDisposable & {
  /** The gateway whose console is looked at; the other one hears it through a cable. */
  readonly one: Served;
  readonly two: Served;
  readonly cable: Cable;
  readonly players: readonly TestClient[];
  readonly sids: readonly string[];
  /** Each player says something, and some ask for what fails. */
  play(rounds: number): Promise<void>;
};

/** @param count Players, with the uids player-0, player-1, …; every third is on the second gateway. */
export async function startConsoleStage(count: number): Promise<ConsoleStage> {
  await using stack = new AsyncDisposableStack();
  const nats = stack.use(await startNats());
  const cable = stack.use(await layCable(nats.port));
  const nc = await nats.connect();
  stack.defer(() => nc.close());
  await answer(nc, 'pith.rpc.>', () => ({ body: '{"code":200}' }));
  const config = (id: string, port: number): string =>
    `id: ${id}\nbus: nats://127.0.0.1:${port}\n${TABLE}\nadmin: { listen: "127.0.0.1:0", watch_bodies: true }\n`;
  const [one, two] = await Promise.all([
    serve(config('eu-1', nats.port)),
    serve(config('eu-2', cable.port)),
  ]);
  stack.use(one);
  stack.use(two);
  const players: TestClient[] = [];
  const sids: string[] = [];
  const known = new Set<string>();
  for (let i = 0; i < count; i++) {
    const at = i % 3 === 2 ? two : one;
    players.push(stack.use(await TestClient.connect(at.port, i % 2 === 0 ? 'ws' : 'tcp')));
    const { lines } = await admin(at, 'ListSessions', {
      target: { all: true, scope: 'SCOPE_LOCAL' },
    });
    const sid = lines
      .map((line) => String(line['sid']))
      .find((name) => name !== '' && !known.has(name))!;
    known.add(sid);
    sids.push(sid);
    await admin(at, 'Bind', { sid, uid: `player-${i}` });
    await admin(at, 'Join', { target: { sids: [sid] }, groups: ['room.lobby', `guild.${i % 3}`] });
    await admin(at, 'SetData', { sid, set: { level: i, roles: ['player'] } });
  }
  const owned = stack.move();
  return {
    ...{ one, two, cable, players, sids },
    play: (rounds) => play(players, rounds),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

const ROUTES = ['chat.room.say', 'chat.room.enter', 'gate.gateHandler.queryEntry'];

async function play(players: readonly TestClient[], rounds: number): Promise<void> {
  for (let round = 0; round < rounds; round++) {
    for (const [i, player] of players.entries())
      await say(player, ROUTES[(i + round) % 3]!, { text: `hello ${round}` });
    await say(players[0]!, 'shop.cart.buy', { item: 7 });
    await say(players[1]!, 'leaderboard.top.all', {});
    await say(players[0]!, 'no.such.route', {});
  }
}

/** One that was kicked says nothing any more. */
async function say(player: TestClient, route: string, body: object): Promise<void> {
  await player.request(route, body).catch(() => null);
}
