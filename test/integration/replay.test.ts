/** Kept pushes, on gateways with a real JetStream: whoever comes back gets what it has missed, once and in order. */
import { join } from 'node:path';
import type { NatsConnection } from 'nats';
import { describe, expect, test } from 'vitest';

import { admin } from '../support/admin.ts';
import type { TestGateway } from '../support/gateway.ts';
import {
  come,
  isReady,
  keep,
  login,
  readiness,
  serveLogins,
  startKeeping,
  story,
} from '../support/kept-pushes.ts';
import { startNats, type TestNats } from '../support/nats.ts';
import { headersOf } from '../support/nats-backend.ts';
import { run } from '../support/process.ts';
import { ROOT } from '../support/serve.ts';
import { eventually } from '../support/wait.ts';

const JETSTREAM = 'jetstream { store_dir: "$DIR/js" }';

async function makeStream(nats: TestNats, env: Record<string, string> = {}): Promise<void> {
  const tool = join(ROOT, 'deploy/nats/keep-stream.ts');
  const { code } = await run(process.execPath, [tool], { env: { NATS_URL: nats.url, ...env } });
  expect(code).toBe(0);
}

type Stage = AsyncDisposable & {
  readonly nats: TestNats;
  readonly nc: NatsConnection;
  readonly one: TestGateway;
  readonly other: TestGateway;
  keep(n: number, uid?: string): Promise<void>;
};

async function stage(): Promise<Stage> {
  const nats = await startNats(JETSTREAM);
  await makeStream(nats);
  const nc = await nats.connect({ maxReconnectAttempts: -1, reconnectTimeWait: 50 });
  await serveLogins(nc);
  const [one, other] = await Promise.all([startKeeping(nats.url), startKeeping(nats.url)]);
  for (const gateway of [one, other]) await isReady(gateway);
  return {
    ...{ nats, nc, one, other },
    keep: (n, uid) => keep(nc, n, uid),
    async [Symbol.asyncDispose]() {
      await one[Symbol.asyncDispose]();
      await other[Symbol.asyncDispose]();
      await nats[Symbol.asyncDispose]();
    },
  };
}

describe('who comes back', () => {
  test('on another gateway gets what it has missed before anything newer, once', async () => {
    await using all = await stage();
    const first = await come(all.one);
    await login(first.client);
    await all.keep(1);
    await first.client.push('pith.cursor');
    const token = first.token();
    first.client.close();
    await eventually(() => all.one.gateway.registry.size === 0, 'the session to end');
    await all.keep(9, 'bob');
    for (const n of [2, 3]) await all.keep(n);
    const second = await come(all.other, { resume: token, cursor: 1 });
    all.nc.publish('pith.user.ann.push', '{}', { headers: headersOf({ 'Pith-Route': 'onNews' }) });
    await second.client.push('onNews');
    await all.keep(4);
    await second.client.push('pith.cursor', 2);
    expect(story(second.client)).toEqual(['2', '#3', '3', '#4', 'onNews', '4', '#5']);
    expect(all.other.count('pith_replayed_pushes_total')).toBe(2);
    second.client.close();
  });

  test('without a number of its own gets what came after its token', async () => {
    await using all = await stage();
    const first = await come(all.one, { resume: '' });
    await login(first.client);
    await all.keep(1);
    // The token follows the pushes, within a second.
    await first.client.push('onMail');
    await first.client.push('pith.resume', 1);
    await all.keep(2);
    const token = first.token();
    first.client.close();
    await all.keep(3);
    const second = await come(all.other, { resume: token });
    await second.client.push('onMail', 1);
    expect(story(second.client).slice(-2)).toEqual(['2', '3']);
    expect(story(second.client)).not.toContain('1');
    second.client.close();
  });
});

describe('who is there', () => {
  test('misses nothing when NATS restarts, and gets nothing twice', async () => {
    await using all = await stage();
    const { client } = await come(all.one);
    await login(client);
    await all.keep(1);
    await all.nats.kill();
    await all.nats.restart();
    for (let n = 2; n <= 6; n++) await all.keep(n);
    await client.push('pith.cursor', 5);
    expect(story(client).filter((item) => !item.startsWith('#'))).toEqual([
      ...['1', '2', '3', '4', '5', '6'],
    ]);
    client.close();
  });

  test('gets what an operator wants kept', async () => {
    await using all = await stage();
    const { client } = await come(all.one);
    await login(client);
    const push = { target: { uids: ['ann', 'eve'] }, route: 'onMail', body: { json: { n: 1 } } };
    expect(await admin(all.other, 'Push', { push: { ...push, keep: true } })).toMatchObject({
      status: 200,
      lines: [{ kept: 2, delivered: 0 }],
    });
    await client.push('pith.cursor');
    expect(story(client)[0]).toBe('1');
    client.close();
  });
});

describe('a gateway', () => {
  test('is not ready without JetStream, nor without the stream, and says why', async () => {
    await using nats = await startNats();
    await using gateway = await startKeeping(nats.url);
    await eventually(
      async () => (await readiness(gateway)).includes('JetStream'),
      'the gateway to say what it needs',
    );
    expect(await readiness(gateway)).toMatch(
      /^503 .*sessions\.resume\.replay needs JetStream, which does not answer: enable it in nats-server, and allow gateways the lines \$JS\.API\.… of deploy\/nats\/permissions\.conf/,
    );
    await nats.kill();
    await nats.restart(JETSTREAM);
    await eventually(
      async () => (await readiness(gateway)).includes('there is none: run `make keep-stream`'),
      'the gateway to miss the stream',
    );
    await makeStream(nats);
    await eventually(async () => (await readiness(gateway)).startsWith('200'), 'the stream');
    expect(
      gateway.log.filter(({ msg }) => msg === 'the stream of kept pushes was found'),
    ).toHaveLength(1);
  });
});
