/** What `pith upgrade` keeps, and what it refuses, through the real command. */
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';

import { admin } from '../support/admin.ts';
import { TestClient } from '../support/client.ts';
import { HttpBackend } from '../support/http-backend.ts';
import { IpcBackend, socketPath } from '../support/ipc-backend.ts';
import { startLinkBackend } from '../support/link-backend.ts';
import { startNats } from '../support/nats.ts';
import { push, serve as answer } from '../support/nats-backend.ts';
import { come, resumes } from '../support/resuming.ts';
import { Authority, SecretFolder, TlsPipe } from '../support/tls.ts';
import { eventually } from '../support/wait.ts';
import { serveUpgradable } from '../support/upgradable.ts';
import { closeAll, metricsOf } from '../support/workers.ts';

const ECHO = `
backends: { echo: { reply: { code: 200 } } }
routes: [{ match: "echo.>", backend: echo }]
`;

describe.each(['false', 'true'])('two workers on NATS, with nats.split: %s', (split) => {
  test('both follow, with uids, groups and data; what is published meanwhile comes once', async () => {
    await using nats = await startNats();
    const backend = await nats.connect();
    await answer(backend, 'pith.rpc.room.login', (msg) => {
      const { n } = msg.json<{ n: number }>();
      const headers = {
        'Pith-Bind': `u${n}`,
        'Pith-Join': '["lobby"]',
        'Pith-Set': `{"rank":${n}}`,
      };
      return { body: '{"code":200}', headers };
    });
    await using one = await serveUpgradable(`workers: 2
bus: ${nats.url}
nats: { split: ${split} }
backends: { room: { nats: {} } }
routes: [{ match: "room.>", backend: room }]
`);
    const { served } = one;
    const clients: TestClient[] = [];
    for (let n = 0; n < 8; n++) {
      const client = await TestClient.connect(served.port, n % 2 === 0 ? 'ws' : 'tcp');
      expect(await client.request('room.login', { n })).toEqual({ code: 200 });
      clients.push(client);
    }
    let sent = 0;
    let isOver = false;
    const publishing = (async () => {
      for (; !isOver; sent++) {
        push(backend, 'pith.group.lobby.push', 'onN', { n: sent });
        await sleep(5);
      }
    })();
    const { code, output } = await one.upgrade();
    expect(output).toMatch(/upgraded: 2 of 2 workers\n$/);
    expect(code).toBe(0);
    isOver = true;
    await publishing;
    push(backend, 'pith.group.lobby.push', 'onEnd', {});
    for (const [n, client] of clients.entries()) {
      await client.push('onEnd');
      const got = client.received.flatMap((item) =>
        item.kind === 'push' && item.route === 'onN'
          ? [(JSON.parse(item.body.toString()) as { n: number }).n]
          : [],
      );
      expect(got).toEqual(Array.from({ length: sent }, (_, i) => i));
      push(backend, `pith.user.u${n}.push`, 'onOwn', { n });
      expect(await client.push('onOwn')).toEqual({ n });
    }
    const { lines } = await admin(served, 'ListSessions');
    const sessions = lines as { uid: string; data: { rank: number } }[];
    expect(sessions.map(({ uid, data }) => `${uid} ${data.rank}`).toSorted()).toEqual(
      Array.from({ length: 8 }, (_, n) => `u${n} ${n}`),
    );
    const metrics = await metricsOf(served);
    expect(metrics.get('pith_worker_upgrades_total{outcome="upgraded"}')).toBe(2);
    expect(metrics.get('pith_worker_upgrade_sessions_total{outcome="moved"}')).toBe(8);
    expect(metrics.get('pith_worker_upgrade_pause_seconds_count')).toBe(2);
    await closeAll(clients);
    await backend.close();
  });
});

test('the second of two workers cannot follow: the first stays upgraded, and all are served', async () => {
  await using nats = await startNats();
  await using one = await serveUpgradable(`workers: 2\nbus: ${nats.url}\n${ECHO}`);
  const { served } = one;
  const clients: TestClient[] = [];
  for (let n = 0; n < 4; n++) clients.push(await TestClient.connect(served.port));
  const { code, output } = await one.upgrade([
    [
      'serve-worker.ts',
      'if (from !== null) beQuietUntilTaken(signals, worker);',
      "if (from !== null && n === 2) giveUp(['no second one'], from);\n if (from !== null) beQuietUntilTaken(signals, worker);",
    ],
  ]);
  expect(output).toMatch(
    /not upgraded: worker 2: no second one.*; 1 were upgraded before it, and the others serve as they did\n$/,
  );
  expect(code).toBe(1);
  for (const client of clients) expect(await client.request('echo.a')).toEqual({ code: 200 });
  const metrics = await metricsOf(served);
  expect(metrics.get('pith_worker_upgrades_total{outcome="upgraded"}')).toBe(1);
  expect(metrics.get('pith_worker_upgrades_total{outcome="refused"}')).toBe(1);
  expect((await one.upgrade()).output).toMatch(/upgraded: 2 of 2 workers\n$/);
  await closeAll(clients);
});

describe('without NATS', () => {
  test('blocks, maintenance and counts of addresses stay; a session is resumed later', async () => {
    await using one = await serveUpgradable(
      `${ECHO}limits: { connections_per_address: 2 }\n${resumes()}\n`,
    );
    const { served } = one;
    const { client, pith } = await come(served.port);
    expect(pith.resume).not.toBe('');
    await using second = await TestClient.connect(served.port);
    await admin(served, 'Block', { uid: 'eve', reason: 'scraping' });
    expect((await one.upgrade()).code).toBe(0);
    const { lines } = await admin(served, 'ListBlocks');
    expect(lines[0]).toMatchObject({ uid: 'eve', reason: 'scraping', source: 'control' });
    // Two of two places of this address are taken.
    const third = await TestClient.open(served.port);
    await third.ended;
    await second[Symbol.asyncDispose]();
    client.close();
    await client.ended;
    // Its address has room again once the gateway has seen one of them go.
    const again = await eventually(
      () => come(served.port, pith.resume).catch(() => null),
      'room for another',
    );
    expect(again.pith.resumed).toBe(true);
    expect(await again.client.request('echo.a')).toEqual({ code: 200 });
    await admin(served, 'SetMaintenance', { on: true });
    expect((await one.upgrade()).code).toBe(0);
    expect((await admin(served, 'GetMaintenance')).lines[0]).toMatchObject({ on: true });
    await again.client[Symbol.asyncDispose]();
  });

  test('more clients over TLS than may be closed at once: nobody moves, and it is said why', async () => {
    const authority = new Authority();
    using files = new SecretFolder(authority.issue('localhost'));
    await using one = await serveUpgradable(`${ECHO}
listen: [{ url: "wss://127.0.0.1:0", tls: { cert: ${files.cert}, key: ${files.key} } }]
drain: { per_second: 1 }
`);
    const { served } = one;
    await using pipe = await TlsPipe.open(served.port, { ca: authority.cert });
    const clients = [await TestClient.connect(pipe.port, 'ws'), await TestClient.connect(pipe.port, 'ws')]; // prettier-ignore
    const { code, output } = await one.upgrade();
    expect(output).toMatch(
      /not upgraded: worker 1: 2 clients cannot move, and would be closed at once, which is more than drain\.per_second \(1\); nothing has changed\n$/,
    );
    expect(code).toBe(1);
    for (const client of clients) expect(await client.request('echo.a')).toEqual({ code: 200 });
    await closeAll(clients);
  });

  test('a reload that comes meanwhile waits for the end, and is applied to the new version', async () => {
    await using one = await serveUpgradable(ECHO);
    const { served } = one;
    await using client = await TestClient.connect(served.port);
    const upgrading = one.upgrade([
      [
        'takeover/take-over.ts',
        "this.#line.say({ say: 'prepared' });",
        "log.info({}, 'takes its time'); await sleep(clock, 1_000); this.#line.say({ say: 'prepared' });",
      ],
    ]);
    await served.logged('takes its time');
    served.rewrite(ECHO.replace('code: 200', 'code: 201'));
    served.running.kill('SIGHUP');
    expect((await upgrading).code).toBe(0);
    await served.logged('configuration reloaded');
    expect(await client.request('echo.a')).toEqual({ code: 201 });
  });
});

test('requests in flight are answered, by a backend of each kind, and so are those after', async () => {
  /** Longer than a successor takes to begin and a settled pause lasts; less than slow requests are waited for. */
  const slow = <T>(value: T): Promise<T> => sleep(4_500, value);
  await using nats = await startNats();
  const nc = await nats.connect();
  await answer(nc, 'pith.rpc.n.>', (msg) => {
    void slow(null).then(() => nc.publish(msg.reply!, '{"by":"nats"}'));
    return null;
  });
  await using http = await HttpBackend.start(() => slow({ body: '{"by":"http"}' }));
  await using link = await startLinkBackend((request) => {
    void slow(null).then(() => request.answer({ by: 'link' }));
  });
  using socket = socketPath();
  await using ipc = await IpcBackend.start(socket.path, ({ seq_id: id }, backend) => {
    const to = [...backend.sockets].at(-1)!;
    void slow(null).then(() => to.write(`${JSON.stringify({ seq_id: id, payload: { by: 'ipc' } })}\n`)); // prettier-ignore
    return null;
  });
  await using one = await serveUpgradable(`bus: ${nats.url}
backends:
  n: { nats: {} }
  h: { http: "${http.url}" }
  l: { grpc: "${link.address}" }
  i: { ipc: "unix://${ipc.path}" }
routes: [{ match: "n.>", backend: n }, { match: "h.>", backend: h }, { match: "l.>", backend: l }, { match: "i.>", backend: i }]
`);
  const { served } = one;
  const by = { n: 'nats', h: 'http', l: 'link', i: 'ipc' };
  const clients = new Map<string, TestClient>();
  for (const key of Object.keys(by)) clients.set(key, await TestClient.connect(served.port));
  const askAll = (): Promise<unknown>[] =>
    [...clients].map(([key, client]) => client.request(`${key}.a.b`));
  const inFlight = askAll();
  const { output } = await one.upgrade();
  expect(output).toMatch(/ 4 clients moved, paused for/);
  const answers = Object.values(by).map((name) => ({ by: name }));
  expect(await Promise.all(inFlight)).toEqual(answers);
  expect(await Promise.all(askAll())).toEqual(answers);
  await closeAll([...clients.values()]);
  await nc.close();
});
