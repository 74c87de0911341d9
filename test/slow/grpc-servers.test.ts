/** What stock servers of grpc-go and grpc-java think of our connections: of how they are watched, and as they age. */
import { describe, expect, test } from 'vitest';

import { agingGateway, askAll, asks, startAging, startJavaAging } from '../support/aging.ts';
import { TestClient } from '../support/client.ts';
import { run } from '../support/process.ts';
import { eventually } from '../support/wait.ts';

/** Twice the five minutes that a server by default wants between two pings. */
const WATCHED_MS = 600_000;

async function hasMaven(): Promise<boolean> {
  const maven = await run('mvn', ['-v']).catch(() => null);
  return maven !== null && maven.code === 0;
}

describe('for ten minutes', () => {
  test.concurrent.for([
    ['grpc-go', startAging],
    ['grpc-java', startJavaAging],
  ] as const)(
    '%s keeps an idle Link, a busy one, and one whose call is unanswered',
    { timeout: 1_500_000 },
    async ([name, startBackend], ctx) => {
      if (name === 'grpc-java' && !(await hasMaven())) return ctx.skip('there is no Maven');
      await using backend = await startBackend();
      await using idle = await agingGateway('link', backend.address);
      await using busy = await agingGateway('link', backend.address);
      await using patient = await agingGateway('link', backend.address);
      const isUp = (gateway: typeof idle): boolean =>
        gateway.log.some(({ state }) => state === 'link');
      await eventually(() => [idle, busy, patient].every(isUp), 'three links', 60_000);
      await using client = await TestClient.connect(patient.port);
      await using other = await TestClient.connect(busy.port);
      const slow = client.send(`game.wait.${WATCHED_MS - 5_000}`, { n: 1 });
      const until = performance.now() + WATCHED_MS;
      for (let n = 2; performance.now() < until; n++)
        expect(await asks(other, 'link', n, n % 10 === 0 ? 12_000 : 500)).toBe(true);
      expect(await client.answer(slow)).toEqual({ n: 1 });
      expect(backend.output()).not.toContain('lost');
      expect(backend.output().match(/link opened/g)).toHaveLength(3);
      for (const gateway of [idle, busy, patient])
        expect(gateway.log.filter(({ state }) => state === 'away')).toEqual([]);
    },
  );
});

describe('connections of grpc-java that live for a second, and half a second more', () => {
  test.for(['link', 'handle', 'method'] as const)('%s: no request is lost', async (mode, ctx) => {
    if (!(await hasMaven())) return ctx.skip('there is no Maven');
    await using backend = await startJavaAging({ MAX_AGE_MS: '1000', MAX_GRACE_MS: '2000' });
    await using gateway = await agingGateway(mode, backend.address);
    await eventually(() => gateway.log.find(({ msg }) => msg === 'backend'), 'a connection');
    expect(await askAll(gateway, mode, { count: 110, slowMs: 150 })).toEqual([]);
    const said = gateway.log.filter(({ why }) => /new connection: max_age/.test(String(why)));
    expect(said.length).toBeGreaterThanOrEqual(1);
  });
});
