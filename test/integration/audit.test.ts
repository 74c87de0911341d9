/** The audit log: who has changed what through Control, over each of its transports. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { admin } from '../support/admin.ts';
import { TestClient } from '../support/client.ts';
import { type LogLine, startGateway, type TestGateway } from '../support/gateway.ts';
import { call } from '../support/grpcurl.ts';
import { startNats } from '../support/nats.ts';
import { serve } from '../support/serve.ts';

const WRITE = 'w3Jz8Qk1vT6pYb0RxN5mUe2H';
const ANN = 'r9Lc4Fd7sGh1ZaOiK3wPq6Xv';

const audited = ({ log }: Pick<TestGateway, 'log'>, method: string): LogLine[] =>
  log.filter((line) => line['audit'] === true && line['method'] === method);

describe('over gRPC and HTTP', () => {
  let gateway: TestGateway;
  let client: TestClient;
  let sid: string;

  beforeAll(async () => {
    gateway = await startGateway(`
backends: {}
routes: []
control: { listen: 127.0.0.1:0, token: ${WRITE}, tokens: [{ token: ${ANN}, name: ann }] }`);
    client = await TestClient.connect(gateway.port);
    sid = [...gateway.gateway.registry.all()][0]!.sid;
  });
  afterAll(async () => {
    client.close();
    await gateway[Symbol.asyncDispose]();
  });

  const flags = ['-proto', 'pith/v1/control.proto', '-import-path', 'proto'];
  const as = (token: string): string[] => [...flags, '-H', `authorization: Bearer ${token}`];

  test('a line says who, what and how many, and nothing of what is secret', async () => {
    const set = { password: 'hunter2' };
    expect(await call(gateway, 'Bind', { sid, uid: 'bob' }, as(ANN))).toMatchObject({
      status: 'OK',
    });
    expect(await call(gateway, 'SetData', { sid, set }, as(WRITE))).toMatchObject({ status: 'OK' });
    const from = expect.stringMatching(/^127\.0\.0\.1:\d+$/) as string;
    const line = {
      level: 'info',
      time: expect.anything() as unknown,
      audit: true,
      msg: 'control call',
    };
    expect(audited(gateway, 'Bind')).toEqual([
      {
        ...line,
        method: 'Bind',
        via: 'grpc',
        by: 'ann',
        address: from,
        request: { sid, uid: 'bob' },
        sessions: 1,
        outcome: 'OK',
      },
    ]);
    expect(audited(gateway, 'SetData')).toEqual([
      {
        ...line,
        method: 'SetData',
        via: 'grpc',
        by: 'control.token',
        address: from,
        request: { sid, set: ['password'] },
        sessions: 1,
        outcome: 'OK',
      },
    ]);
    expect(JSON.stringify(audited(gateway, 'SetData'))).not.toContain('hunter2');
  });

  test('maintenance that is ended says so, though off is not on the wire', async () => {
    expect(await call(gateway, 'SetMaintenance', { scope: 'gateway' }, as(WRITE))).toMatchObject({
      status: 'OK',
    });
    expect(audited(gateway, 'SetMaintenance')).toMatchObject([
      { request: { on: false, scope: 'gateway' }, outcome: 'OK' },
    ]);
  });

  test('what fails is there too, with its reason; what only looks is not', async () => {
    expect((await admin(gateway, 'Unbind', { sid: 'gw-x.1' })).status).toBe(404);
    expect((await admin(gateway, 'GetInfo')).status).toBe(200);
    expect((await admin(gateway, 'SetLogLevel', { level: 'loud' })).status).toBe(400);
    expect(audited(gateway, 'Unbind')).toEqual([
      expect.objectContaining({ via: 'http', request: { sid: 'gw-x.1' }, outcome: 'NO_SESSION' }),
    ]);
    expect(audited(gateway, 'SetLogLevel')).toEqual([
      expect.objectContaining({
        via: 'http',
        level: 'info',
        request: { level: 'loud' },
        outcome: 'BAD_ARGUMENT',
      }),
    ]);
    expect(audited(gateway, 'GetInfo')).toEqual([]);
    expect(gateway.count('pith_control_calls_total', 'http', 'GetInfo', 'OK')).toBe(1);
    expect(gateway.count('pith_control_calls_total', 'http', 'Unbind', 'NO_SESSION')).toBe(1);
  });

  test('of many pushes there are a few lines, and all are counted', async () => {
    const push = {
      target: { uids: Array.from({ length: 30 }, (_, i) => `u${i}`) },
      route: 'onChat',
      body: { json: { secret: 1 } },
    };
    for (let i = 0; i < 40; i++) expect((await admin(gateway, 'Push', { push })).status).toBe(200);
    const lines = audited(gateway, 'Push');
    expect(lines.length).toBeGreaterThan(0);
    expect(lines.length).toBeLessThanOrEqual(20);
    expect(lines[0]).toMatchObject({
      request: {
        route: 'onChat',
        target: { uids: [...push.target.uids.slice(0, 10), 'and 20 more'] },
      },
      sessions: 0,
    });
    expect(JSON.stringify(lines)).not.toContain('secret');
    expect(gateway.count('pith_control_calls_total', 'http', 'Push', 'OK')).toBe(40);
  });

  test('no kick is left out, however many there are', async () => {
    for (let i = 0; i < 40; i++)
      await admin(gateway, 'Kick', { target: { uids: [`n${i}`] }, close: { reason: 'cheating' } });
    expect(
      audited(gateway, 'Kick').map(({ request }) => (request as { target: object }).target),
    ).toEqual(Array.from({ length: 40 }, (_, i) => ({ uids: [`n${i}`] })));
    expect(audited(gateway, 'Kick')[0]).toMatchObject({
      request: { reason: 'cheating' },
      sessions: 0,
      outcome: 'OK',
    });
  });

  test('whoever turns the log off is seen, and what comes after it', async () => {
    await admin(gateway, 'SetLogLevel', { level: 'error' });
    await admin(gateway, 'Reload');
    await admin(gateway, 'SetLogLevel', { level: 'debug' });
    expect(audited(gateway, 'Reload')).toHaveLength(1);
    expect(audited(gateway, 'SetLogLevel').map(({ outcome }) => outcome)).toEqual([
      'BAD_ARGUMENT',
      'OK',
      'OK',
    ]);
  });
});

test('over NATS every call of one gateway, and of what backends do a few', async () => {
  await using nats = await startNats();
  await using gateway = await startGateway(
    `backends: {}\nroutes: []\nbus: ${nats.url}\nbus_admin: true`,
  );
  const { id } = gateway.gateway;
  const connection = await nats.connect();
  const ask = async (subject: string, request: object): Promise<void> => {
    await connection.request(`pith.${subject}`, JSON.stringify(request), { timeout: 10_000 });
  };
  for (let i = 0; i < 8; i++) {
    await ask(`gateway.${id}.SetLogLevel`, { level: 'debug' });
    await ask('control.Join', { target: { uids: [`u${i}`] }, groups: ['room'] });
    await ask('control.Kick', { target: { uids: [`u${i}`] } });
  }
  expect(audited(gateway, 'SetLogLevel')).toHaveLength(8);
  expect(audited(gateway, 'Kick')).toHaveLength(8);
  expect(audited(gateway, 'Join').length).toBeLessThan(8);
  expect(audited(gateway, 'Kick')[0]).toMatchObject({
    via: 'nats',
    address: expect.stringContaining('_INBOX') as unknown,
  });
  expect(gateway.count('pith_control_calls_total', 'nats', 'Join', 'OK')).toBe(8);
  await connection.close();
});

test('the line of a drain is written before the process ends', async () => {
  await using served = await serve('backends: {}\nroutes: []\n', '--set', 'drain.budget=1s');
  await admin(served, 'Drain', { reason: 'new hardware' });
  await served.running.exited;
  expect(served.log().filter((line) => line['audit'] === true)).toEqual([
    expect.objectContaining({
      method: 'Drain',
      via: 'http',
      request: { reason: 'new hardware' },
      sessions: 0,
      outcome: 'OK',
    }),
  ]);
});
