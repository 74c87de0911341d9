/** Kept pushes in a stream with three replicas, whose leader is killed: each comes once, in order. */
import { expect, test } from 'vitest';

import type { TestClient } from '../support/client.ts';
import {
  come,
  isReady,
  keep,
  login,
  serveLogins,
  startKeeping,
  story,
} from '../support/kept-pushes.ts';
import { NatsCluster } from '../support/nats-cluster.ts';

const STREAM = 'PITH_KEEP';
/** Pushes in each part: while the player is there, while it is away, and after it is back. */
const EACH = 5;

test('who is away while the leader of the stream is killed gets each kept push once, in order', async () => {
  await using cluster = await NatsCluster.start();
  await cluster.makeKeepStream();
  const nc = await cluster.connect();
  await serveLogins(nc);
  await using one = await startKeeping(cluster.urls);
  await using other = await startKeeping(cluster.urls);
  for (const gateway of [one, other]) await isReady(gateway);
  let last = 0;
  const keepSome = async (): Promise<void> => {
    for (let i = 0; i < EACH; i++) await keep(nc, ++last);
  };
  /** The number of the last push that was kept, once it has come. */
  const caughtUp = ({ client }: { client: TestClient }): Promise<number> =>
    client.wait(() => {
      const [n, cursor] = story(client).slice(-2);
      return n === String(last) ? Number(cursor!.slice(1)) : undefined;
    }, `push ${last}`);
  const got: string[] = [];
  let player = await come(one);
  await login(player.client);
  for (const gateway of [other, one, other]) {
    await keepSome();
    const cursor = await caughtUp(player);
    got.push(...story(player.client));
    player.client.close();
    // In the gap the leader dies while pushes come; it is back later.
    const leader = await cluster.leaderOf(nc, STREAM);
    const kept = keepSome();
    await leader.kill();
    await kept;
    player = await come(gateway, { resume: player.token(), cursor });
    await caughtUp(player);
    await leader.restart();
  }
  await keepSome();
  await caughtUp(player);
  got.push(...story(player.client));
  player.client.close();
  const numbers = got.filter((word) => !word.startsWith('#')).map(Number);
  expect(numbers).toEqual(Array.from({ length: 7 * EACH }, (_, i) => i + 1));
});
