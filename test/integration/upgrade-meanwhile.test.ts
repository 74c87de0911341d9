/** What operators order and backends do in the middle of `pith upgrade`, through the real command. */
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import {
  type Client,
  credentials,
  type GrpcObject,
  loadPackageDefinition,
  type ServiceClientConstructor,
} from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { describe, expect, test } from 'vitest';

import { admin } from '../support/admin.ts';
import { TestClient } from '../support/client.ts';
import { HttpBackend } from '../support/http-backend.ts';
import { startLinkBackend } from '../support/link-backend.ts';
import { MethodBackend } from '../support/method-backend.ts';
import { ECHO_PROTO } from '../support/method-pair.ts';
import { startNats } from '../support/nats.ts';
import type { Edit } from '../support/releases.ts';
import type { Served } from '../support/serve.ts';
import { serveUpgradable, type Upgradable } from '../support/upgradable.ts';
import { eventually } from '../support/wait.ts';
import { Watching } from '../support/watching.ts';
import { closeAll } from '../support/workers.ts';
import { DialIn, type Transport } from '../unit/upstream/dial-in/dial-in-backend.ts';

/** Goes on a moment after the new process has said so; everybody stands still meanwhile. */
const still = (end: string): Edit => [
  'takeover/take-over.ts',
  "this.#line.say({ say: 'restored', sessions: this.#sessions.length });",
  `log.info({}, 'all are there'); await sleep(clock, 1_500); ${end}`,
];
const GOES_ON = still("this.#line.say({ say: 'restored', sessions: this.#sessions.length });");
const FAILS = still("throw new Error('it cannot go on');");
/** The old process serves, and the new one has not got its sessions. */
const PREPARING: Edit = [
  'takeover/take-over.ts',
  "this.#line.say({ say: 'prepared' });",
  "log.info({}, 'takes its time'); await sleep(clock, 1_500); this.#line.say({ say: 'prepared' });",
];

type Json = Record<string, unknown>;
const UNAVAILABLE = 14;
/** Of Call, Block, and SetMaintenance twice. */
const DONE = [{ body: { text: '{"code":200}' } }, 0, 0, 0];
const definition = loadSync('pith/v1/control.proto', {
  includeDirs: [fileURLToPath(new URL('../../proto', import.meta.url))],
  keepCase: true,
  oneofs: true,
});
const pith = loadPackageDefinition(definition)['pith'] as GrpcObject;
const Control = (pith['v1'] as GrpcObject)['Control'] as ServiceClientConstructor;

const CALLED = `
backends: { echo: { reply: { code: 200 } } }
routes: [{ match: "echo.>", backend: echo }]
`;

describe('operators', () => {
  /** By one connection, which the process has that serves now: others would wait for the new one. */
  const ordersTo = async (served: Served) => {
    const target = `127.0.0.1:${served.controlPort}`;
    const client = new Control(target, credentials.createInsecure(), { 'grpc.enable_retries': 0 });
    await new Promise<void>((resolve, reject) => {
      const until = Date.now() + 30_000;
      client.waitForReady(until, (error) => (error ? reject(error) : resolve()));
    });
    return {
      client,
      [Symbol.dispose]() {
        client.close();
      },
    };
  };
  /** 0, or the status of gRPC. */
  const orderAll = (client: Client, sid: string): Promise<readonly (number | Json)[]> => {
    const order = (method: string, request: object) =>
      new Promise<number | Json>((resolve) => {
        const call = (client as unknown as Record<string, Function>)[method]!;
        call.call(client, request, (error: { code: number } | null, answer: Json) => {
          if (error !== null) resolve(error.code);
          else resolve(method === 'Call' ? answer : 0);
        });
      });
    return Promise.all([
      order('Call', { sid, route: 'echo.a', body: { text: '{}' } }),
      order('Block', { uid: 'eve' }),
      order('SetMaintenance', { on: true, routes: ['shop.>'] }),
      order('SetMaintenance', { on: true, routes: ['inn.>'], scope: 'gateway' }),
    ]);
  };
  const setUp = async (one: Upgradable) => {
    const clients = [
      await TestClient.connect(one.served.port),
      await TestClient.connect(one.served.port),
    ];
    const { lines } = await admin(one.served, 'ListSessions');
    const sids = lines.map((line) => line['sid'] as string);
    await admin(one.served, 'Bind', { sid: sids[0], uid: 'eve' });
    return { clients, sid: sids[1]! };
  };

  test('are refused while everybody is moved, and nothing of it is done', async () => {
    await using one = await serveUpgradable(CALLED);
    const { served } = one;
    const { clients, sid } = await setUp(one);
    using control = await ordersTo(served);
    const upgrading = one.upgrade([GOES_ON]);
    await served.logged('all are there');
    const [called, ...others] = await orderAll(control.client, sid);
    expect(called).toMatchObject({ error: { code: 503, reason: 'DRAINING' } });
    expect(others).toEqual([UNAVAILABLE, UNAVAILABLE, UNAVAILABLE]);
    expect((await upgrading).code).toBe(0);
    expect((await admin(served, 'ListBlocks')).lines).toEqual([]);
    expect((await admin(served, 'GetMaintenance')).lines[0]).not.toMatchObject({ on: true });
    for (const client of clients) expect(await client.request('echo.a')).toEqual({ code: 200 });
    // Again.
    using again = await ordersTo(served);
    expect(await orderAll(again.client, sid)).toMatchObject(DONE);
    await clients[0]!.ended;
    expect((await admin(served, 'ListBlocks')).lines[0]).toMatchObject({ uid: 'eve' });
    await closeAll(clients);
  });

  test('have to wait where the upgrade fails, and all of it is done', async () => {
    await using one = await serveUpgradable(CALLED);
    const { served } = one;
    const { clients, sid } = await setUp(one);
    using control = await ordersTo(served);
    const upgrading = one.upgrade([FAILS]);
    await served.logged('all are there');
    expect(await orderAll(control.client, sid)).toMatchObject(DONE);
    expect((await upgrading).code).toBe(1);
    await clients[0]!.ended;
    expect((await admin(served, 'ListBlocks')).lines[0]).toMatchObject({ uid: 'eve' });
    expect((await admin(served, 'GetMaintenance')).lines[0]).toMatchObject({ on: true });
    await closeAll(clients);
  });

  test('are obeyed by the new process, too, when they come while it prepares', async () => {
    await using one = await serveUpgradable(CALLED);
    const { served } = one;
    const { clients } = await setUp(one);
    await admin(served, 'SetLogLevel', { level: 'debug' });
    const upgrading = one.upgrade([PREPARING]);
    await served.logged('takes its time');
    await admin(served, 'SetMaintenance', { on: true, routes: ['inn.>'], scope: 'gateway' });
    await admin(served, 'SetLogLevel', { level: '' });
    await admin(served, 'Block', { uid: 'eve' });
    expect((await upgrading).code).toBe(0);
    await clients[0]!.ended;
    expect((await admin(served, 'GetMaintenance')).lines[0]).toMatchObject({ on: true });
    await eventually(
      async () => (await admin(served, 'GetInfo')).lines[0]!['log_level'] === 'info',
      'the level of the configuration',
    );
    expect(await clients[1]!.request('echo.a')).toEqual({ code: 200 });
    await closeAll(clients);
  });

  test('who watch are told that it ends, and watch on in the new process', async () => {
    await using one = await serveUpgradable(CALLED);
    const { served } = one;
    await using client = await TestClient.connect(served.port);
    await using watch = await Watching.begin(served, { target: { all: true } });
    await watch.seen({ kind: 'watching' });
    expect((await one.upgrade()).code).toBe(0);
    await watch.seen({ kind: 'ended' });
    await using again = await Watching.begin(served, { target: { all: true } });
    await again.seen({ kind: 'watching' });
    expect(await client.request('echo.a')).toEqual({ code: 200 });
    await again.seen({ kind: 'response' });
  });
});

describe.each<Transport>(['gRPC', 'WebSocket'])('backends that attach by %s', (transport) => {
  /** Comes again whenever the gateway ends the link, a little later. */
  const attachAlways = async (served: Served, hello: object) => {
    const all: DialIn[] = [];
    let isOver = false;
    const attach = async (): Promise<void> => {
      const backend = await DialIn.attach(transport, served, hello as never);
      all.push(backend);
      void backend.ended.then(async () => {
        await sleep(200);
        if (!isOver) await attach();
      });
    };
    await attach();
    return {
      all,
      async [Symbol.asyncDispose]() {
        isOver = true;
        for (const one of all) await one[Symbol.asyncDispose]();
      },
    };
  };

  test.each([{ instance: 'a' }, {}])('come again as %j, and nobody is refused', async (hello) => {
    await using one = await serveUpgradable(`
backends: { game: { dial_in: { token: "secret" } } }
routes: [{ match: "game.>", backend: game, timeout: 10s }]
limits: { messages_per_second: 1000000, burst: 1000000 }
`);
    const { served } = one;
    await using backend = await attachAlways(served, hello);
    const clients: TestClient[] = [];
    for (let i = 0; i < 4; i++) clients.push(await TestClient.connect(served.port));
    let isOver = false;
    const asking = clients.map(async (client) => {
      for (let n = 0; !isOver; n++) expect(await client.request('game.a', { n })).toEqual({ n });
    });
    const idle = await TestClient.connect(served.port);
    expect(await idle.request('game.a', {})).toEqual({});
    const { code, output } = await one.upgrade();
    expect(output).toMatch(/: 5 clients moved, paused for/);
    expect(code).toBe(0);
    isOver = true;
    await Promise.all(asking);
    expect(backend.all.length).toBe(2);
    // The backend hears of the end of one that it has had nothing of since.
    idle.close();
    expect(await backend.all[1]!.got('closed')).toHaveLength(1);
    await closeAll(clients);
  });
});

test('a method in flight is awaited, and so is the answer to a notify, with what it changes', async () => {
  await using method = await MethodBackend.start({
    proto: ECHO_PROTO,
    service: 't.Echo',
    reflection: 'v1',
    handler: (asked) => {
      void sleep(3_000).then(() => asked.answer({ text: 'late' }));
    },
  });
  await using http = await HttpBackend.start(async ({ headers }) => {
    await sleep(3_000);
    return { headers: { 'Pith-Set': JSON.stringify({ by: headers['pith-route'] }) } };
  });
  await using one = await serveUpgradable(`
backends:
  m: { grpc: "${method.address}", mode: method, services: [t.Echo], reflection: true }
  h: { http: "${http.url}" }
routes: [{ match: "t.say", backend: m, method: /t.Echo/Say }, { match: "h.>", backend: h }]
`);
  const { served } = one;
  await using asker = await TestClient.connect(served.port);
  await using teller = await TestClient.connect(served.port);
  const answer = asker.request('t.say', { text: 'a' });
  teller.notify('h.note', {});
  await eventually(() => method.asked.length + http.asked.length === 2, 'both');
  const { output } = await one.upgrade();
  expect(output).toMatch(/: 2 clients moved, paused for/);
  expect(await answer).toEqual({ text: 'late' });
  const { lines } = await admin(served, 'ListSessions');
  expect(lines.map(({ data }) => data)).toContainEqual({ by: 'h.note' });
});

test('Control.Reload meanwhile waits for the end, or its caller is cut off, and it is applied', async () => {
  await using one = await serveUpgradable(CALLED);
  const { served } = one;
  await using client = await TestClient.connect(served.port);
  const upgrading = one.upgrade([PREPARING]);
  await served.logged('takes its time');
  served.rewrite(CALLED.replace('code: 200', 'code: 201'));
  const reload = admin(served, 'Reload').catch(() => 'cut off');
  expect((await upgrading).code).toBe(0);
  expect(await reload).toBe('cut off');
  await eventually(
    async () => ((await client.request('echo.a')) as { code: number }).code === 201,
    'the new configuration',
  );
});

test('two workers: what backends and operators push under load comes once', async () => {
  await using nats = await startNats();
  await using link = await startLinkBackend((request) => {
    request.answer({ by: 'link' });
  });
  await using one = await serveUpgradable(`workers: 2
bus: ${nats.url}
backends: { l: { grpc: "${link.address}" } }
routes: [{ match: "l.>", backend: l }]
limits: { messages_per_second: 1000000, burst: 1000000 }
`);
  const { served } = one;
  const clients: TestClient[] = [];
  for (let n = 0; n < 8; n++) clients.push(await TestClient.connect(served.port));
  await admin(served, 'Join', { target: { all: true }, groups: ['lobby'] });
  let isOver = false;
  const asking = clients.map(async (client) => {
    while (!isOver) expect(await client.request('l.a')).toEqual({ by: 'link' });
  });
  let byLink = 0;
  const pushing = (async () => {
    for (; !isOver; byLink++) {
      const body = { bytes: Buffer.from(`{"n":${byLink}}`) };
      link.pushAll([{ target: { groups: ['lobby'] }, route: 'onLink', body }]);
      await sleep(1);
    }
  })();
  const accepted: number[] = [];
  const cutOff = new Set<number>();
  const refused: Json[] = [];
  const ordering = (async () => {
    for (let n = 0; !isOver; n++) {
      const push = { target: { groups: ['lobby'] }, route: 'onControl', body: { json: { n } } };
      // A connection that ends before the answer leaves open what became of it.
      const answer = await admin(served, 'Push', { push }).catch(() => null);
      if (answer === null) cutOff.add(n);
      else if (answer.status === 200) accepted.push(n);
      else refused.push(answer.lines[0]!['error'] as Json);
    }
  })();
  const { output } = await one.upgrade();
  expect(output).toMatch(/upgraded: 2 of 2 workers\n$/);
  isOver = true;
  await Promise.all([...asking, pushing, ordering]);
  for (const error of refused) expect(error).toMatchObject({ reason: 'DRAINING' });
  await admin(served, 'Push', { push: { target: { all: true }, route: 'onEnd' } });
  for (const client of clients) {
    await client.push('onEnd');
    const got = (route: string): number[] =>
      client.received
        .flatMap((item) =>
          item.kind === 'push' && item.route === route
            ? [(JSON.parse(item.body.toString()) as { n: number }).n]
            : [],
        )
        .toSorted((a, b) => a - b);
    expect(got('onLink')).toEqual(Array.from({ length: byLink }, (_, n) => n));
    expect(got('onControl').filter((n) => !cutOff.has(n))).toEqual(accepted);
  }
  await closeAll(clients);
});
