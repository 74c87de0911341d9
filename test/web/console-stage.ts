/** A fleet for the console: two real processes on NATS, players who chat, a backend that is away, routes that fail. */
import { TestClient } from '../support/client.ts';
import { startNats } from '../support/nats.ts';
import { serve as answer } from '../support/nats-backend.ts';
import { serve, type Served } from '../support/serve.ts';

/** The longest name that a backend may have. */
export const LONG_NAME = `leaderboards-${'of-all-worlds-'.repeat(4)}`.slice(0, 64);
/** The name that its process gives: nothing bounds it but what fits. */
const TABLE = `
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

export type Stage = AsyncDisposable & {
  readonly one: Served;
  readonly two: Served;
  readonly players: readonly TestClient[];
  /** Each player says something, and some ask for what fails. */
  play(rounds: number): Promise<void>;
};

export async function startStage(more = ''): Promise<Stage> {
  await using stack = new AsyncDisposableStack();
  const nats = stack.use(await startNats());
  const nc = await nats.connect();
  stack.defer(() => nc.close());
  let said = 0;
  await answer(nc, 'pith.rpc.>', ({ subject }) => {
    said++;
    return subject.endsWith('enter') && said % 7 === 0
      ? { headers: { 'Pith-Code': '403' }, body: '' }
      : { body: '{"code":200}' };
  });
  const config = (id: string): string => `id: ${id}\nbus: ${nats.url}\n${TABLE}${more}`;
  const one = stack.use(await serve(config('eu-1')));
  const two = stack.use(await serve(config('eu-2')));
  const players: TestClient[] = [];
  for (let i = 0; i < 12; i++)
    players.push(
      stack.use(
        await TestClient.connect((i % 3 === 0 ? two : one).port, i % 2 === 0 ? 'ws' : 'tcp'),
      ),
    );
  const stage = { one, two, players, play: (rounds: number) => play(players, rounds) };
  const owned = stack.move();
  return { ...stage, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

async function play(players: readonly TestClient[], rounds: number): Promise<void> {
  for (let round = 0; round < rounds; round++) {
    for (const [i, player] of players.entries()) {
      const route = ['chat.room.say', 'chat.room.enter', 'gate.gateHandler.queryEntry'][
        (i + round) % 3
      ]!;
      await player.request(route, { text: `hello ${round}` });
    }
    await players[0]!.request('shop.cart.buy', { item: 7 });
    await players[1]!.request('leaderboard.top.all', {});
    await players[2]!.request('no.such.route', {});
  }
}
