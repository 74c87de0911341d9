/** The control port, by grpcurl: what people and scripts do with it. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { TestClient } from '../support/client.ts';
import { startGateway, type TestGateway } from '../support/gateway.ts';
import { call, control, grpcurl } from '../support/grpcurl.ts';
import { start } from '../support/process.ts';

const PROTO = fileURLToPath(new URL('../../proto/pith/v1/', import.meta.url));
const SERVICES = [
  'grpc.health.v1.Health',
  'grpc.reflection.v1.ServerReflection',
  'grpc.reflection.v1alpha.ServerReflection',
  'pith.v1.Control',
  'pith.v1.Gateway',
];

let gateway: TestGateway;
let ann: TestClient;
let bob: TestClient;
let annSid: string;
let bobSid: string;

beforeAll(async () => {
  gateway = await startGateway(`
backends: { gate: { reply: { code: 200 } } }
routes: [{ match: "gate.>", backend: gate }]`);
  ann = await TestClient.connect(gateway.port);
  bob = await TestClient.connect(gateway.port, 'ws');
  [annSid, bobSid] = [...gateway.gateway.registry.all()].map(({ sid }) => sid) as [string, string];
  await control(gateway, 'Bind', { sid: annSid, uid: 'ann' });
});

afterAll(async () => {
  ann.close();
  bob.close();
  await gateway[Symbol.asyncDispose]();
});

/** Every message and enum of pith.v1 by its full name. */
function shapes(): string[] {
  return ['session', 'backend', 'control'].flatMap((file) => {
    const names: string[] = [];
    let outer = '';
    for (const line of readFileSync(`${PROTO}${file}.proto`, 'utf8').split('\n')) {
      const [, indent, name] = /^( *)(?:message|enum) (\w+)/.exec(line) ?? [];
      if (name === undefined) continue;
      if (indent === '') outer = name;
      names.push(indent === '' ? `pith.v1.${name}` : `pith.v1.${outer}.${name}`);
    }
    return names;
  });
}

/** Methods of later releases. */
const NOT_SERVED: string[] = [];

describe('reflection', () => {
  test('list names the services', async () => {
    expect((await grpcurl(gateway, ['list'])).trim().split('\n')).toEqual(SERVICES);
    const methods = (await grpcurl(gateway, ['list', 'pith.v1.Control'])).trim().split('\n');
    expect(methods).toContain('pith.v1.Control.ListSessions');
    expect(methods).toHaveLength(33);
  });

  test.each(SERVICES)('describes %s', async (service) => {
    const text = await grpcurl(gateway, ['describe', service]);
    expect(text).toContain(`${service} is a service:`);
    expect(text).toMatch(/^ {2}rpc \w+ /m);
  });

  test('describes the service and its methods with their comments', async () => {
    const text = await grpcurl(gateway, ['describe', 'pith.v1.Control']);
    for (const [, comment] of readFileSync(`${PROTO}control.proto`, 'utf8').matchAll(
      /^ {2}(\/\/ .*)\n {2}(?:rpc|\/\/ Not)/gm,
    ))
      expect(text).toContain(comment!);
    expect(await grpcurl(gateway, ['describe', 'pith.v1.Control.Push'])).toContain(
      'Sends one push and returns its result.',
    );
  });

  test('says of each method that is not served, and of no other, that it is not', async () => {
    const text = await grpcurl(gateway, ['describe', 'pith.v1.Control']);
    const later = [
      ...text.matchAll(/\/\/ Not in this release: answered UNIMPLEMENTED\.\n {2}rpc (\w+) /g),
    ].map((match) => match[1]!);
    expect(later.toSorted()).toEqual(NOT_SERVED.toSorted());
    const first = text.slice(0, text.indexOf('service Control {'));
    expect(first).toContain('This release serves all of them.');
  });

  test('describes every message, with its comments', async () => {
    const names = shapes();
    expect(names.length).toBeGreaterThan(40);
    const describeNext = async (): Promise<void> => {
      for (let name = names.pop(); name !== undefined; name = names.pop()) {
        const text = await grpcurl(gateway, ['describe', name]);
        expect(text).toMatch(new RegExp(`^${name} is an? (message|enum):\n// `));
      }
    };
    await Promise.all([describeNext(), describeNext(), describeNext()]);
  });

  test('what is not there is said so', async () => {
    await expect(grpcurl(gateway, ['describe', 'pith.v1.Nothing'])).rejects.toThrow(/not found/);
  });
});

describe('health', () => {
  test('is serving while the gateway is ready, by Check and by Watch, and then is not', async () => {
    await using stopping = await startGateway('backends: {}\nroutes: []');
    expect(await control(stopping, 'grpc.health.v1.Health/Check')).toEqual({ status: 'SERVING' });
    expect(
      await control(stopping, 'grpc.health.v1.Health/Check', { service: 'pith.v1.Control' }),
    ).toEqual({ status: 'SERVING' });
    expect(await call(stopping, 'grpc.health.v1.Health/Check', { service: 'x.Y' })).toMatchObject({
      status: 'NotFound',
    });
    await using watch = await start('grpcurl', [
      '-plaintext',
      `127.0.0.1:${stopping.controlPort}`,
      'grpc.health.v1.Health/Watch',
    ]);
    await watch.waitFor(/"SERVING"/);
    const drained = stopping.gateway.drain();
    await watch.waitFor(/"NOT_SERVING"/);
    await drained;
  });
});

describe('sessions', () => {
  test('are listed and shown with what is known of them', async () => {
    const { answers } = await call(gateway, 'ListSessions');
    expect(answers.map(({ sid }) => sid)).toEqual([annSid, bobSid]);
    expect(answers[0]).toEqual({
      sid: annSid,
      uid: 'ann',
      gateway: gateway.gateway.id,
      remoteIp: '127.0.0.1',
      clientType: 'test',
      clientVersion: '1',
      openedAt: expect.stringMatching(/^20\d\d-\d\d-\d\dT/) as unknown,
      boundAt: expect.stringMatching(/^20\d\d-\d\d-\d\dT/) as unknown,
      data: {},
      version: '1',
      transport: 'tcp',
      dialect: 'pomelo',
    });
    expect(answers[1]).toMatchObject({ sid: bobSid, transport: 'ws' });
    expect(await control(gateway, 'GetSession', { sid: bobSid })).toEqual(answers[1]);
  });

  test('are bound, unbound and given data, and the answer shows it', async () => {
    const set = { level: 3, name: 'zoë', tags: ['a', { b: null }], on: true };
    expect(await control(gateway, 'SetData', { sid: bobSid, set })).toMatchObject({
      data: set,
      version: '1',
    });
    expect(
      await control(gateway, 'SetData', { sid: bobSid, set: { level: null }, ifVersion: 1 }),
    ).toMatchObject({ data: { name: 'zoë', tags: ['a', { b: null }], on: true }, version: '2' });
    expect(await control(gateway, 'Bind', { sid: bobSid, uid: 'bob' })).toMatchObject({
      uid: 'bob',
      version: '3',
    });
    const unbound = await control(gateway, 'Unbind', { sid: bobSid });
    expect(unbound).not.toHaveProperty('uid');
    expect(unbound).toMatchObject({ sid: bobSid, version: '4' });
  });

  test('are pushed to with json, text and bytes, and the unknown are named', async () => {
    const bodies = [
      { json: { msg: 'zoë', n: 1.5, list: [null, true] } },
      { text: '{"raw":"zoë"}' },
      { bytes: Buffer.from([0, 255, 1]).toString('base64') },
      undefined,
    ];
    for (const [i, body] of bodies.entries())
      expect(
        await control(gateway, 'Push', {
          push: {
            target: { uids: ['ann', 'carl', 'dora'], sids: [bobSid, `${gateway.gateway.id}.99`] },
            route: `onBody${i}`,
            body,
          },
        }),
      ).toEqual({
        delivered: 2,
        gateways: 1,
        unknownUids: ['carl', 'dora'],
        unknownSids: [`${gateway.gateway.id}.99`],
      });
    for (const client of [ann, bob]) {
      await client.wait(
        () => client.received.find((item) => item.kind === 'push' && item.route === 'onBody3'),
        'the last push',
      );
      const got = client.received.filter((item) => item.kind === 'push').map(({ body }) => body);
      expect(JSON.parse(got[0]!.toString())).toEqual({ msg: 'zoë', n: 1.5, list: [null, true] });
      expect(got.slice(1)).toEqual([
        Buffer.from('{"raw":"zoë"}'),
        Buffer.from([0, 255, 1]),
        Buffer.from('{}'),
      ]);
    }
  });

  test('are kicked with the words that the call says', async () => {
    await using eve = await TestClient.connect(gateway.port);
    const { sid } = [...gateway.gateway.registry.all()].at(-1)!;
    expect(
      await control(gateway, 'Kick', {
        target: { sids: [sid] },
        close: { reason: 'cheating', code: 7, retryAfter: '60s' },
      }),
    ).toEqual({ closed: 1, gateways: 1 });
    await eve.ended;
    expect(eve.received.at(-1)).toEqual({
      kind: 'kick',
      body: { reason: 'cheating', code: 7, retry_after_ms: 60_000 },
    });
    expect(await call(gateway, 'GetSession', { sid })).toMatchObject({ status: 'NotFound' });
  });

  test('come in pages, each once, and filtered', async () => {
    await using paged = await startGateway('backends: {}\nroutes: []');
    const clients = await Promise.all(
      Array.from({ length: 25 }, () => TestClient.connect(paged.port)),
    );
    const sids: unknown[] = [];
    const sizes: number[] = [];
    for (let pageToken = ''; ; pageToken = String(sids.at(-1))) {
      const { answers } = await call(paged, 'ListSessions', { limit: 10, pageToken });
      sizes.push(answers.length);
      if (answers.length === 0) break;
      sids.push(...answers.map(({ sid }) => sid));
    }
    expect(sizes).toEqual([10, 10, 5, 0]);
    const all = Array.from({ length: 25 }, (_, i) => `${paged.gateway.id}.${i + 1}`);
    expect(sids).toEqual(all);
    expect((await call(paged, 'ListSessions')).answers).toHaveLength(25);
    await control(paged, 'SetData', { sid: all[6], set: { team: 'red' } });
    const { answers } = await call(paged, 'ListSessions', { target: { where: { team: 'red' } } });
    expect(answers.map(({ sid }) => sid)).toEqual([all[6]]);
    for (const client of clients) client.close();
  });
});

test('GetInfo tells what the gateway is', async () => {
  expect(await control(gateway, 'GetInfo')).toEqual({
    gateway: gateway.gateway.id,
    logLevel: 'debug',
    version: '0.0.0-test',
    state: 'ready',
    sessions: 2,
    bus: 'embedded',
    backends: [{ name: 'gate', kind: 'reply', addresses: 1, healthy: 1 }],
    uptime: expect.stringMatching(/^[0-9.]+s$/) as unknown,
  });
});

describe('errors', () => {
  test.each([
    ['Push', {}, 'InvalidArgument', /push is missing/],
    ['Push', { push: { route: 'onHi' } }, 'InvalidArgument', /target/],
    ['Push', { push: { route: 'onHi', target: {} } }, 'InvalidArgument', /is empty/],
    ['Push', { push: { target: { all: true } } }, 'InvalidArgument', /route is 0 bytes/],
    ['Push', { push: { target: { all: true }, route: 'x'.repeat(128) } }, 'InvalidArgument', /128/],
    ['Kick', {}, 'InvalidArgument', /is empty/],
    ['Bind', { sid: 'S' }, 'InvalidArgument', /uid is missing/],
    ['SetData', { sid: 'S' }, 'InvalidArgument', /set is missing/],
    ['GetSession', { sid: 'nobody.1' }, 'NotFound', /no such session/],
    ['GetSession', {}, 'NotFound', /no such session/],
    ['Bind', { sid: 'nobody.1', uid: 'x' }, 'NotFound', /no such session/],
    ['Bind', { sid: 'S', uid: 'other' }, 'FailedPrecondition', /bound to ann/],
    [
      'SetData',
      { sid: 'S', set: { a: 1 }, ifVersion: 99 },
      'FailedPrecondition',
      /at version 1, not 99/,
    ],
    ['SetData', { sid: 'S', set: { a: 'x'.repeat(5000) } }, 'ResourceExhausted', /sessions\.data/],
  ])('%s %j is %s', async (method, request, status, text) => {
    const named = 'sid' in request && request.sid === 'S' ? { ...request, sid: annSid } : request;
    const called = await call(gateway, method, named);
    expect(called).toEqual({ status, text: expect.stringMatching(text), answers: [] });
  });

  test.each(NOT_SERVED)('%s is not there yet, and says so', async (method) => {
    expect(await call(gateway, method)).toEqual({
      status: 'Unimplemented',
      text:
        `UNSUPPORTED: ${method} is not in this release, which serves ` +
        'Push, PushMany, Kick, Bind, Unbind, SetData, Join, Leave, GetSession, ListSessions, GetPresence, ListGroups, Why, ' +
        'Block, Unblock, ListBlocks, ListGateways, ListBackends, ListRoutes, GetHistory, WatchLog, Watch, Call, ExplainRoute, Drain, SetLogLevel, Reload, GetConfig, GetInfo, SetMaintenance, ' +
        'GetMaintenance, Profile',
      answers: [],
    });
  });
});

test('the control port may be a Unix socket', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'pith-'));
  const path = join(dir, 'control.sock');
  {
    await using local = await startGateway(
      `control: { listen: "unix:${path}" }\nbackends: {}\nroutes: []`,
    );
    expect(await control(`unix://${path}`, 'GetInfo')).toMatchObject({ gateway: local.gateway.id });
  }
  rmSync(dir, { recursive: true });
});
