/** A JetStream stream of events, as `make event-stream` makes it: nothing is missed, and nothing is kept twice. */
import { join } from 'node:path';
import { expect, test } from 'vitest';

import { TestClient } from '../support/client.ts';
import { startGateway } from '../support/gateway.ts';
import { startNats } from '../support/nats.ts';
import { tellJson } from '../support/nats-backend.ts';
import { run } from '../support/process.ts';
import { ROOT } from '../support/serve.ts';
import { eventually } from '../support/wait.ts';

const MAKE = join(ROOT, 'deploy/nats/event-stream.ts');

test('keeps every event but the signs of life, once, for those who were not there', async () => {
  await using nats = await startNats('jetstream { store_dir: "$DIR/js" }');
  const make = (env: Record<string, string> = {}) =>
    run(process.execPath, [MAKE], { env: { NATS_URL: nats.url, ...env } });
  expect(await make()).toMatchObject({ code: 0, output: 'stream PITH_EVENTS: created\n' });
  expect(await make({ MAX_AGE: '7d' })).toMatchObject({
    code: 0,
    output: 'stream PITH_EVENTS: updated\n',
  });
  expect(await make({ MAX_AGE: 'long' })).toMatchObject({
    code: 1,
    output: 'event-stream: MAX_AGE is long: expected a time like 24h or 7d\n',
  });
  let id = '';
  {
    await using gateway = await startGateway(`bus: ${nats.url}\nbackends: {}\nroutes: []`);
    id = gateway.gateway.id;
    await using client = await TestClient.connect(gateway.port);
    await eventually(
      () => gateway.count('pith_events_total', 'gateway.alive') > 1,
      'a sign of life',
    );
    client.close();
    await client.ended;
    await eventually(() => gateway.gateway.registry.size === 0, 'the end of the session');
    // No stream answers anyone in place of a backend.
    expect(gateway.log.filter(({ what }) => String(what).includes('JetStream'))).toEqual([]);
  }
  const nc = await nats.connect();
  // As if the gateway had lost its connection before the confirmation.
  const { headers } = await import('nats');
  const again = headers();
  again.set('Nats-Msg-Id', `${id}.2`);
  nc.publish('pith.event.session.opened', '{}', { headers: again });
  await nc.flush();
  const kept: string[] = [];
  for (let seq = 1; ; seq++) {
    const answer = await tellJson(nc, '$JS.API.STREAM.MSG.GET.PITH_EVENTS', { seq });
    if (answer['error'] !== undefined) break;
    kept.push((answer['message'] as { subject: string }).subject);
  }
  expect(kept).toEqual([
    'pith.event.gateway.ready',
    'pith.event.session.opened',
    'pith.event.session.closed',
    'pith.event.gateway.draining',
    'pith.event.gateway.stopped',
  ]);
});
