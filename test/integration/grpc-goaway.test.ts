/** A stock server that ends connections by their age says so in HTTP/2's words alone, and nobody notices. */
import { describe, expect, test } from 'vitest';

import { agingGateway, askAll, asks, startAging } from '../support/aging.ts';
import { TestClient } from '../support/client.ts';

describe('connections of grpc-go that live for a second, and two seconds more', () => {
  test.each(['link', 'handle', 'method'] as const)('%s: no request is lost', async (mode) => {
    await using backend = await startAging({ MAX_AGE: '1s', MAX_GRACE: '2s' });
    await using gateway = await agingGateway(mode, backend.address);
    expect(await askAll(gateway, mode, { count: 110, slowMs: 150 })).toEqual([]);
    const said = gateway.log.filter(({ why }) => /new connection: max_age/.test(String(why)));
    expect(said.length).toBeGreaterThanOrEqual(1);
  });
});

test('a call that nobody answers for long costs no server of grpc-go its patience', async () => {
  await using backend = await startAging();
  // It is asked for a sign of life three times a second; more than three PINGs would end the connection.
  await using gateway = await agingGateway('link', backend.address, ', dead_after: 1s');
  await using client = await TestClient.connect(gateway.port);
  expect(await asks(client, 'link', 1, 4_000)).toBe(true);
  expect(backend.output()).not.toContain('lost');
  expect(backend.output().match(/link opened/g)).toHaveLength(1);
});
