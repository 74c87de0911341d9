/** Calls that fail: one line now and then for each backend and reason, with what was called, by what, and why. */
import { status } from '@grpc/grpc-js';
import { expect, test } from 'vitest';

import { TestClient } from '../support/client.ts';
import { type LogLine, startGateway, type TestGateway } from '../support/gateway.ts';
import { GrpcBackend } from '../support/grpc-backend.ts';
import { HttpBackend } from '../support/http-backend.ts';
import { IpcBackend, socketPath } from '../support/ipc-backend.ts';
import { startNats } from '../support/nats.ts';
import { serve } from '../support/nats-backend.ts';
import { eventually } from '../support/wait.ts';

/** Lines of one kind in ten seconds. */
const LINES_MAX = 5;

/** Asks so often that lines are left out. Returns those of calls that failed. */
async function failOften(gateway: TestGateway, route: string, code: number): Promise<LogLine[]> {
  await using client = await TestClient.connect(gateway.port);
  for (let i = 0; i < 20; i++) expect(await client.request(route)).toMatchObject({ code });
  return gateway.log.filter(
    ({ level, msg }) => level === 'warn' && ['call failed', 'message refused'].includes(msg),
  );
}

test('a route that no rule takes', async () => {
  await using gateway = await startGateway('');
  const lines = await failOften(gateway, 'a.b', 404);
  expect(lines).toHaveLength(LINES_MAX);
  expect(lines[0]).toMatchObject({
    msg: 'message refused',
    route: 'a.b',
    reason: 'NO_ROUTE',
    why: 'no rule in routes matches it',
  });
});

test('NATS: nobody subscribes, and nobody answers', async () => {
  await using nats = await startNats();
  await using gateway = await startGateway(`bus: ${nats.url}
backends: { game: { nats: {} } }
routes: [{ match: ">", backend: game, timeout: 50ms }]`);
  const nobody = await failOften(gateway, 'a.b', 503);
  expect(nobody).toHaveLength(LINES_MAX);
  expect(nobody[0]).toMatchObject({ backend: 'game', subject: 'pith.rpc.a.b' });
  await serve(await nats.connect(), 'pith.rpc.>', () => null);
  const late = await failOften(gateway, 'c.d', 504);
  expect(late).toHaveLength(2 * LINES_MAX);
  expect(late.at(-1)).toMatchObject({ backend: 'game', subject: 'pith.rpc.c.d' });
});

test('a Unix socket: no backend, and no answer', async () => {
  using folder = socketPath();
  await using gateway = await startGateway(`backends: { game: { ipc: "unix://${folder.path}" } }
routes: [{ match: ">", backend: game, timeout: 50ms }]`);
  const away = await failOften(gateway, 'a.b', 503);
  expect(away).toHaveLength(LINES_MAX);
  expect(away[0]).toMatchObject({ backend: 'game', reason: 'BACKEND_AWAY', path: folder.path });
  await using backend = await IpcBackend.start(folder.path, () => null);
  await eventually(() => backend.connections === 1, 'the gateway has connected');
  await eventually(() => gateway.gateway.info().backends[0]!.healthy === 1, 'it is up');
  const late = await failOften(gateway, 'c.d', 504);
  expect(late).toHaveLength(2 * LINES_MAX);
  expect(late.at(-1)).toMatchObject({ backend: 'game', reason: 'TIMEOUT', cmd: 'c.d' });
});

test('HTTP: no such path, a status without words, and no answer', async () => {
  await using backend = await HttpBackend.start(() => ({ status: 404 }));
  await using gateway = await startGateway(`backends: { web: { http: "${backend.url}" } }
routes: [{ match: ">", backend: web, timeout: 100ms }]`);
  const missing = await failOften(gateway, 'a.b', 404);
  expect(missing).toHaveLength(LINES_MAX);
  expect(missing[0]!['why']).toContain('/a/b answered 404');
  backend.answering = () => ({ status: 503 });
  const away = await failOften(gateway, 'a.b', 503);
  expect(away).toHaveLength(2 * LINES_MAX);
  backend.answering = () => null;
  const late = await failOften(gateway, 'a.b', 504);
  expect(late).toHaveLength(3 * LINES_MAX);
  expect(late.at(-1)!['why']).toContain('no answer from');
});

test('Handle that throws: the status and its words', async () => {
  await using backend = await GrpcBackend.start({
    link: 'unimplemented',
    handler: (asked) => {
      asked.end({ code: status.UNKNOWN, details: 'TypeError: x is not a function' });
    },
  });
  await using gateway = await startGateway(`backends: { game: { grpc: "${backend.url}" } }
routes: [{ match: ">", backend: game }]`);
  const lines = await failOften(gateway, 'a.b', 500);
  expect(lines).toHaveLength(LINES_MAX);
  expect(lines[0]).toMatchObject({
    backend: 'game',
    reason: 'BACKEND_ERROR',
    route: 'a.b',
    method: '/pith.v1.Backend/Handle',
    why: 'UNKNOWN: TypeError: x is not a function',
  });
});

test('a Link that does not answer, and one that is gone', async () => {
  const backend = await GrpcBackend.start({ handler: () => {} });
  await using gateway = await startGateway(`backends: { game: { grpc: "${backend.url}" } }
routes: [{ match: ">", backend: game, timeout: 50ms }]`);
  const late = await failOften(gateway, 'a.b', 504);
  expect(late).toHaveLength(LINES_MAX);
  expect(late[0]).toMatchObject({ reason: 'TIMEOUT', method: '/pith.v1.Backend/Link' });
  await backend[Symbol.asyncDispose]();
  await eventually(() => gateway.gateway.info().backends[0]!.healthy === 0, 'it is away');
  const away = await failOften(gateway, 'a.b', 503);
  expect(away).toHaveLength(2 * LINES_MAX);
});

test('what a backend refuses draws no line', async () => {
  await using backend = await GrpcBackend.start({
    handler: (asked) => {
      asked.reply({ error: { code: 503, reason: 'SOLD_OUT' } });
    },
  });
  await using gateway = await startGateway(`backends: { game: { grpc: "${backend.url}" } }
routes: [{ match: ">", backend: game }]`);
  expect(await failOften(gateway, 'a.b', 503)).toEqual([]);
});

test('lines of a backend that nobody can use are counted, and some logged', async () => {
  using folder = socketPath();
  await using backend = await IpcBackend.start(folder.path);
  await using gateway = await startGateway(`backends: { game: { ipc: "unix://${folder.path}" } }`);
  await eventually(() => backend.connections === 1, 'the gateway has connected');
  for (let i = 0; i < 30; i++) {
    backend.write('{"cmd":"dance"}\n{"cmd":"kick"}\n');
    backend.write(`{"cmd":"push","route":"${'r'.repeat(200)}","all":true}\n`);
  }
  const dropped = (what: string) =>
    gateway.count('pith_backend_messages_dropped_total', 'game', what);
  await eventually(() => dropped('push') === 30, 'all are counted');
  expect(dropped('line')).toBe(60);
  expect(gateway.log.filter(({ msg }) => msg === 'push refused')).toHaveLength(LINES_MAX);
  expect(gateway.log.filter(({ msg }) => msg === 'backend line')).toHaveLength(2 * LINES_MAX);
  expect(backend.connections).toBe(1);
});
