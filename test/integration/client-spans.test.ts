/**
 * How a traced message is seen on its way to each kind of backend, and that the backend can continue the trace. With
 * TEST_PRINT=1 in the environment the traces are printed as the receiver got them.
 */
import { expect, test } from 'vitest';

import { TestClient } from '../support/client.ts';
import { startGateway } from '../support/gateway.ts';
import { HttpBackend } from '../support/http-backend.ts';
import { IpcBackend, socketPath } from '../support/ipc-backend.ts';
import { ECHO_PROTO, echo } from '../support/method-pair.ts';
import { MethodBackend } from '../support/method-backend.ts';
import { type Collector, type SeenSpan, startCollector, treesOf } from '../support/otlp.ts';
import { DialIn } from '../unit/upstream/dial-in/dial-in-backend.ts';

const SERVER = 2;
const CLIENT = 3;

process.env['OTEL_BSP_SCHEDULE_DELAY'] = '20';

const traced = ({ url }: Collector): string => `telemetry: { otlp: "${url}", sample: 1 }\n`;

/** The CLIENT span of each message; `traceparents` are what the backend was told, in the same order. */
async function spansOf(collector: Collector, traceparents: unknown[]): Promise<SeenSpan[]> {
  const count = traceparents.length;
  await collector.wait(2 * count, () => true, 'two spans for each message');
  if (process.env['TEST_PRINT'] === '1') console.log(treesOf(collector.spans));
  const client = collector.spans.filter(({ kind }) => kind === CLIENT);
  const server = collector.spans.filter(({ kind }) => kind === SERVER);
  expect([client.length, server.length]).toEqual([count, count]);
  return traceparents.map((told) => {
    const span = client.find(({ traceId, spanId }) => told === `00-${traceId}-${spanId}-01`)!;
    expect(span, `a span for ${String(told)}`).toMatchObject({ kind: CLIENT });
    const parent = server.find(({ spanId }) => spanId === span.parentId);
    expect(parent?.traceId).toBe(span.traceId);
    return span;
  });
}

test('over HTTP', async () => {
  await using collector = await startCollector();
  await using backend = await HttpBackend.start(() => ({ body: '{}' }));
  await using gateway = await startGateway(`${traced(collector)}
backends: { shop: { http: "${backend.url}/api" } }
routes:
  - { match: shop.item.*, backend: shop, path: "/items/{method}" }
  - { match: "shop.>", backend: shop }
`);
  await using client = await TestClient.connect(gateway.port);
  await client.request('shop.cart.add', {});
  await client.request('shop.item.sword', {});
  const told = backend.asked.map(({ headers }) => headers['traceparent']);
  const [plain, templated] = await spansOf(collector, told);
  expect([plain!.name, plain!.attributes]).toEqual([
    'POST',
    {
      'http.request.method': 'POST',
      'url.full': `${backend.url}/api/shop/cart/add`,
      'server.address': '127.0.0.1',
      'server.port': backend.port,
      'http.response.status_code': 200,
      'pith.outcome': 'ok',
    },
  ]);
  expect([templated!.name, templated!.attributes]).toEqual([
    'POST /api/items/{method}',
    {
      'http.request.method': 'POST',
      'url.full': `${backend.url}/api/items/sword`,
      'url.template': '/api/items/{method}',
      'server.address': '127.0.0.1',
      'server.port': backend.port,
      'http.response.status_code': 200,
      'pith.outcome': 'ok',
    },
  ]);
});

test('over a Unix socket', async () => {
  using socket = socketPath();
  await using collector = await startCollector();
  await using backend = await IpcBackend.start(socket.path);
  await using gateway = await startGateway(`${traced(collector)}
backends: { game: { ipc: "unix://${socket.path}" } }
routes: [{ match: ">", backend: game }]
`);
  await using client = await TestClient.connect(gateway.port);
  client.notify('game.say', {});
  await client.request('game.join', {});
  const told = backend.lines.map(
    (line) => (JSON.parse(line) as { traceparent: string }).traceparent,
  );
  const [notify, request] = await spansOf(collector, told);
  const attributes = {
    'rpc.system.name': 'pith.ipc',
    'network.transport': 'unix',
    'server.address': socket.path,
    'pith.outcome': 'ok',
  };
  expect([notify!.name, notify!.attributes]).toEqual([
    'notify {cmd}',
    { ...attributes, 'rpc.method': 'game.say' },
  ]);
  expect([request!.name, request!.attributes]).toEqual([
    'request {cmd}',
    { ...attributes, 'rpc.method': 'game.join' },
  ]);
});

test('to a method of a gRPC service', async () => {
  await using collector = await startCollector();
  await using backend = await MethodBackend.start({
    proto: ECHO_PROTO,
    service: 't.Echo',
    handler: echo,
    reflection: 'v1',
  });
  await using gateway = await startGateway(`${traced(collector)}
backends: { echo: { grpc: "${backend.address}", mode: method, services: [t.Echo], reflection: true } }
routes: [{ match: "t.>", backend: echo, method: "/t.Echo/{method}" }]
`);
  await using client = await TestClient.connect(gateway.port);
  expect(await client.request('t.say', { text: 'hi' })).toMatchObject({ text: 'hi' });
  const [span] = await spansOf(collector, [backend.asked[0]!.meta('traceparent')]);
  expect([span!.name, span!.attributes]).toEqual([
    't.Echo/Say',
    {
      'rpc.system.name': 'grpc',
      'rpc.method': 't.Echo/Say',
      'server.address': '127.0.0.1',
      'server.port': Number(backend.address.split(':')[1]),
      'rpc.status_code': 'OK',
      'pith.outcome': 'ok',
    },
  ]);
});

test('to a backend that dialled in', async () => {
  await using collector = await startCollector();
  await using gateway = await startGateway(`${traced(collector)}
backends: { game: { dial_in: { token: "secret" } } }
routes: [{ match: "game.>", backend: game }]
`);
  await using backend = await DialIn.attach('gRPC', gateway);
  await using client = await TestClient.connect(gateway.port);
  await client.request('game.join', {});
  const [request] = await backend.got('request');
  const { headers } = request as { headers: Record<string, string> };
  const [span] = await spansOf(collector, [headers['traceparent']]);
  expect([span!.name, span!.attributes]).toEqual([
    'pith.v1.Gateway/Attach',
    {
      'rpc.system.name': 'grpc',
      'rpc.method': 'pith.v1.Gateway/Attach',
      'rpc.status_code': 'OK',
      'pith.outcome': 'ok',
    },
  ]);
});
