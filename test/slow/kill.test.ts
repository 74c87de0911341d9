/** kill -9 of one of three gateways, five times: each of its sessions is told to be over within 10 s, and no other. */
import { expect, test } from 'vitest';

import { TestClient } from '../support/client.ts';
import { startNats } from '../support/nats.ts';
import { Presence } from '../support/presence.ts';
import { serve, type Served } from '../support/serve.ts';
import { eventually } from '../support/wait.ts';

const ROUNDS = 5;
const SESSIONS = 500;
/** What is promised. */
const TOLD_MS = 10_000;

test('every session of a gateway that is killed is told to be over', async () => {
  await using nats = await startNats();
  const presence = await Presence.on(await nats.connect());
  const start = (): Promise<Served> => serve(`bus: ${nats.url}\nbackends: {}\nroutes: []`);
  const served = [await start(), await start(), await start()];
  let clients: TestClient[] = [];
  try {
    for (let round = 0; round < ROUNDS; round++) {
      while (clients.length < SESSIONS)
        clients.push(await TestClient.connect(served[clients.length % 3]!.port));
      await eventually(() => presence.sids.length === SESSIONS, 'all sessions');
      const victim = served[round % 3]!;
      const { gateway } = (await victim.logged('listening')) as unknown as { gateway: string };
      const sids = presence.sids.filter((sid) => sid.startsWith(`${gateway}.`));
      expect(sids.length).toBeGreaterThan(0);
      const others = presence.sids.length - sids.length;
      victim.running.kill('SIGKILL');
      const killedAt = performance.now();
      await victim.running.exited;
      await eventually(() => sids.every((sid) => presence.ended.has(sid)), 'the end of all');
      for (const sid of sids) {
        const ends = presence.ended.get(sid)!;
        expect(ends).toHaveLength(1);
        expect(ends[0]!.at - killedAt).toBeLessThan(TOLD_MS);
      }
      expect(presence.sids).toHaveLength(others);
      expect(presence.named('gateway.lost').filter((one) => one.gateway === gateway)).toHaveLength(
        1,
      );
      clients = clients.filter(({ isEnded }) => !isEnded);
      served[round % 3] = await start();
    }
    expect(presence.named('gateway.returned')).toEqual([]);
  } finally {
    for (const client of clients) client.close();
    await Promise.all(served.map((one) => one[Symbol.asyncDispose]()));
  }
});
