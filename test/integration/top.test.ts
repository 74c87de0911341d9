/** `pith top`: the sessions of two gateways that are worst off, by each measure. */
import { expect, test } from 'vitest';

import { type AskedTop, showTop } from '../../src/cli/top.ts';
import { systemClock } from '../../src/clock.ts';
import { TestClient } from '../support/client.ts';
import { startGateway, type TestGateway } from '../support/gateway.ts';
import { GrpcBackend } from '../support/grpc-backend.ts';
import { startNats } from '../support/nats.ts';
import { tellJson } from '../support/nats-backend.ts';
import { pith } from '../support/serve.ts';
import { eventually } from '../support/wait.ts';

type Shown = { sessions: number; worst: { sid: string; uid: string; [field: string]: unknown }[] };

async function table(gateway: TestGateway, by: AskedTop['by']): Promise<string> {
  const admin = { url: `http://127.0.0.1:${gateway.adminPort}`, token: '' };
  const { out } = await showTop(
    { by, count: 10, admin, json: false },
    { env: {}, clock: systemClock },
  );
  return out;
}

async function top(gateway: TestGateway, by: AskedTop['by'], count = 10): Promise<Shown> {
  const admin = { url: `http://127.0.0.1:${gateway.adminPort}`, token: '' };
  const { code, out, err } = await showTop(
    { by, count, admin, json: true },
    { env: {}, clock: systemClock },
  );
  expect([code, err]).toEqual([0, '']);
  return JSON.parse(out) as Shown;
}

test('who is slow, far away, or comes and goes, on all gateways', async () => {
  await using nats = await startNats();
  const nc = await nats.connect();
  await using backend = await GrpcBackend.start({
    handler: (asked) => {
      asked.answer('x'.repeat(3_000_000));
    },
  });
  const yaml = `bus: ${nats.url}
backends: { work: { grpc: "${backend.url}" } }
routes: [{ match: "work.>", backend: work }]
limits: { outbox: 64MiB }`;
  await using one = await startGateway(yaml);
  await using other = await startGateway(yaml);
  await using slow = await TestClient.connect(one.port);
  await using _quick = await TestClient.connect(other.port, 'ws');
  slow.pauseReading(true);
  for (let i = 0; i < 8; i++) slow.send('work.much', {});
  const slowSid = `${one.gateway.id}.1`;
  await eventually(async () => (await top(other, 'outbox')).worst.length === 1, 'a backlog');
  const byOutbox = await top(other, 'outbox');
  expect(byOutbox).toMatchObject({ sessions: 2, worst: [{ sid: slowSid }] });
  expect(Number(byOutbox.worst[0]!['outbox_bytes'])).toBeGreaterThan(3_000_000);
  await eventually(async () => (await top(other, 'outbox-age')).worst.length === 1, 'an age');
  expect((await top(other, 'outbox-age')).worst[0]!.sid).toBe(slowSid);
  expect((await top(one, 'round-trip')).worst).toHaveLength(2);
  expect((await top(one, 'round-trip', 1)).worst).toHaveLength(1);
  const durations = String.raw`\d+(?:\.\d)? (?:ms|s|min)`;
  expect(await table(one, 'round-trip')).toMatch(new RegExp(`127\\.0\\.0\\.1 .* B +${durations} +${durations} +0 +${durations}\n`)); // prettier-ignore

  // Somebody comes and goes three times, and is there now.
  for (let n = 2; n <= 5; n++) {
    const sid = `${one.gateway.id}.${n}`;
    const client = await TestClient.connect(one.port);
    await eventually(() => one.gateway.registry.bySid(sid) !== undefined, sid);
    await tellJson(nc, `pith.session.${sid}.bind`, { uid: 'ann' });
    await eventually(() => one.gateway.registry.byUid('ann').size === 1, 'ann');
    if (n === 5) break;
    client.close();
    await eventually(() => one.gateway.registry.byUid('ann').size === 0, 'ann to be gone');
  }
  expect((await top(other, 'reconnects')).worst).toMatchObject([{ uid: 'ann', reconnects: 3 }]);

  const { code, output } = await pith(
    ...['top', '--by', 'reconnects', '--admin', `127.0.0.1:${other.adminPort}`],
  );
  expect([code, output]).toEqual([0, expect.stringMatching(/^SID .*\n\S+ +ann .* 3 .*\n/)]);
  expect(output).toMatch(/the worst 1 of 3 sessions by reconnects\n$/);
});
