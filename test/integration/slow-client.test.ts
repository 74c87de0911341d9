/** A client that does not read: what waits for it is bounded, what may be dropped is, and in the end it is closed. */
import { describe, expect, test } from 'vitest';

import { TestClient } from '../support/client.ts';
import { startGateway, type TestGateway } from '../support/gateway.ts';
import { watchHeld } from '../support/held.ts';
import { type LinkBackend, startLinkBackend } from '../support/link-backend.ts';
import { eventually } from '../support/wait.ts';

const PADDING = 'x'.repeat(60_000);
const MEBIBYTE = 1024 * 1024;
/** Well beyond what the kernel buffers between two sockets. */
const PUSHES_MAX = 2_000;

function config(backend: LinkBackend, limits: string): string {
  return (
    `backends: { b: { grpc: "${backend.address}" } }\nroutes: [{ match: ">", backend: b }]\n` +
    `heartbeat: 0s\nlimits: ${limits}\n`
  );
}

/** Connects a client, learns its sid by a request, and lets it read no more. */
async function deafClient(
  gateway: TestGateway,
  backend: LinkBackend,
  transport: 'tcp' | 'ws',
): Promise<{ client: TestClient; sid: string }> {
  const client = await TestClient.connect(gateway.port, transport);
  const id = client.send('a.b', {});
  const [request] = await backend.came(1);
  request!.answer({ code: 200 });
  await client.answer(id);
  client.pauseReading(true);
  return { client, sid: request!.sid };
}

function push(sid: string, n: number, more: Record<string, unknown> = {}): Record<string, unknown> {
  const body = { bytes: Buffer.from(JSON.stringify({ n, padding: PADDING })) };
  return { target: { sids: [sid] }, route: 'onTest', body, ...more };
}

function unsentBytes(gateway: TestGateway): number {
  let bytes = 0;
  for (const session of gateway.gateway.registry.all()) bytes += session.outbox.unsentBytes;
  return bytes;
}

describe.each(['tcp', 'ws'] as const)('over %s', (transport) => {
  test('under a flood of pushes it is closed as slow_consumer, and memory stays bounded', async () => {
    await using backend = await startLinkBackend();
    await using gateway = await startGateway(config(backend, '{ outbox: 1MiB }'));
    const { client, sid } = await deafClient(gateway, backend, transport);
    await using _client = client;
    const memory = await watchHeld();
    let n = 0;
    let isMeasured = false;
    for (; n < PUSHES_MAX; n++) {
      const { delivered } = await backend.push(push(sid, n));
      expect(unsentBytes(gateway)).toBeLessThanOrEqual(MEBIBYTE);
      if (delivered === 0) break;
      if (isMeasured || unsentBytes(gateway) < MEBIBYTE / 2) continue;
      await memory.expectGrownLess(4 * MEBIBYTE);
      isMeasured = true;
    }
    expect(n).toBeLessThan(PUSHES_MAX);
    expect(isMeasured).toBe(true);
    expect(gateway.count('pith_sessions_closed_total', 'slow_consumer')).toBe(1);
    expect(gateway.log).toContainEqual(
      expect.objectContaining({ level: 'warn', msg: 'session closed', reason: 'slow_consumer' }),
    );
    expect(gateway.gateway.registry.size).toBe(0);
    client.pauseReading(false);
    await client.ended;
  });

  test('left alone with a backlog it is closed after slow.close_after', async () => {
    await using backend = await startLinkBackend();
    await using gateway = await startGateway(
      config(
        backend,
        '{ outbox: 64MiB, assemble: 300ms, slow: { drop_after: 100ms, close_after: 300ms } }',
      ),
    );
    const { client, sid } = await deafClient(gateway, backend, transport);
    await using _client = client;
    const closes = (): number => gateway.count('pith_sessions_closed_total', 'slow_consumer');
    // On a busy machine the time is over before so much waits.
    for (let n = 0; unsentBytes(gateway) < MEBIBYTE && closes() === 0; n++) {
      expect(n).toBeLessThan(PUSHES_MAX);
      await backend.push(push(sid, n));
    }
    await eventually(() => closes() === 1, 'the close');
  });

  test('droppable pushes are dropped, and those that were delivered arrive', async () => {
    await using backend = await startLinkBackend();
    await using gateway = await startGateway(
      config(backend, '{ outbox: 4MiB, slow: { drop_after: 200ms, close_after: 60s } }'),
    );
    const { client, sid } = await deafClient(gateway, backend, transport);
    await using _client = client;
    const delivered: number[] = [];
    let dropped = 0;
    for (let n = 0; n < PUSHES_MAX && dropped < 3; n++) {
      const pushed = await backend.push(push(sid, n, { delivery: 'DELIVERY_DROPPABLE' }));
      if (pushed.delivered === 1) delivered.push(n);
      dropped += pushed.dropped;
    }
    expect(dropped).toBe(3);
    expect(gateway.count('pith_pushes_total', 'dropped')).toBe(3);
    expect(unsentBytes(gateway)).toBeLessThanOrEqual(4 * MEBIBYTE);
    client.pauseReading(false);
    await client.push('onTest', delivered.length - 1);
    expect(client.pushes('onTest').map(({ body }) => body['n'])).toEqual(delivered);
    // It reads again: nothing is dropped any more.
    await eventually(() => unsentBytes(gateway) === 0, 'an empty outbox');
    const last = await backend.push(push(sid, -1, { delivery: 'DELIVERY_DROPPABLE' }));
    expect(last).toMatchObject({ delivered: 1, dropped: 0 });
    expect(await client.push('onTest', delivered.length)).toMatchObject({ n: -1 });
  });

  test('of pushes with one latest_key only the newest waits', async () => {
    await using backend = await startLinkBackend();
    await using gateway = await startGateway(config(backend, '{ outbox: 1MiB }'));
    const { client, sid } = await deafClient(gateway, backend, transport);
    await using _client = client;
    const latest = { delivery: 'DELIVERY_LATEST', latest_key: 'position' };
    let n = 0;
    let waiting = 0;
    // Once the socket takes no more, pushes replace each other and the backlog stops growing.
    for (; n < PUSHES_MAX && waiting < 20; n++) {
      expect(await backend.push(push(sid, n, latest))).toMatchObject({ delivered: 1 });
      waiting = unsentBytes(gateway) > 0 ? waiting + 1 : 0;
    }
    expect(waiting).toBe(20);
    expect(unsentBytes(gateway)).toBeLessThan(4 * PADDING.length);
    const other = await backend.push(push(sid, n, { ...latest, latest_key: 'other' }));
    expect(other).toMatchObject({ delivered: 1 });
    client.pauseReading(false);
    await client.wait(() => client.pushes().find(({ body }) => body['n'] === n), 'the other key');
    const numbers = client.pushes().map(({ body }) => body['n'] as number);
    expect(numbers.slice(-2)).toEqual([n - 1, n]);
    expect(numbers).toEqual([...numbers].sort((a, b) => a - b));
    const replaced = n + 1 - numbers.length;
    expect(replaced).toBeGreaterThanOrEqual(15);
    // While the session goes on.
    expect(gateway.count('pith_pushes_skipped_total', 'replaced')).toBe(replaced);
  });
});
