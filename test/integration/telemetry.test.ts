/** One trace from the client's message to the backend's own span, with OpenTelemetry's SDK for Go at the far end. */
import { beforeAll, describe, expect, test } from 'vitest';

import { TestClient } from '../support/client.ts';
import { startGateway, type TestGateway } from '../support/gateway.ts';
import { startNats } from '../support/nats.ts';
import {
  buildTraced,
  type Collector,
  type SeenSpan,
  startCollector,
  startTraced,
} from '../support/otlp.ts';
import { freePort } from '../support/process.ts';
import { serve } from '../support/serve.ts';
import { eventually } from '../support/wait.ts';

const SERVER = 2;
const CLIENT = 3;
const ERROR = 2;

let program = '';

beforeAll(async () => {
  // The SDK's own setting: batches leave soon, or every test would wait 5 s.
  process.env['OTEL_BSP_SCHEDULE_DELAY'] = '20';
  program = await buildTraced();
});

function telemetry(otlp: string, more = 'sample: 1'): string {
  return `telemetry: { otlp: "${otlp}", ${more} }\n`;
}

function grpc(address: string): string {
  return `backends: { work: { grpc: "${address}" } }\nroutes: [{ match: "work.>", backend: work }]\n`;
}

const ofGateway = (span: SeenSpan): boolean => span.service === 'pith';
const spans = (gateway: TestGateway, state: string): number =>
  gateway.count('pith_spans_total', state);

/** The three spans of the one message that there was: gateway's, to the backend, in the backend. */
async function chain(collector: Collector): Promise<[SeenSpan, SeenSpan, SeenSpan]> {
  await collector.wait(2, ofGateway, 'the spans of the gateway');
  const [there] = await collector.wait(
    1,
    ({ service }) => service === 'traced-go',
    'the span of the backend',
  );
  const server = collector.spans.filter((span) => ofGateway(span) && span.kind === SERVER);
  const client = collector.spans.filter((span) => ofGateway(span) && span.kind === CLIENT);
  expect([server.length, client.length, collector.spans.length]).toEqual([1, 1, 3]);
  return [server[0]!, client[0]!, there!];
}

function expectChain([server, client, backend]: [SeenSpan, SeenSpan, SeenSpan]): void {
  expect(server.traceId).toMatch(/^[0-9a-f]{32}$/);
  expect([client.traceId, backend.traceId]).toEqual([server.traceId, server.traceId]);
  expect(server.parentId).toBe('');
  expect(client.parentId).toBe(server.spanId);
  expect(backend.parentId).toBe(client.spanId);
  expect(client.startMs).toBeGreaterThanOrEqual(server.startMs);
  expect(client.endMs).toBeLessThanOrEqual(server.endMs);
  expect(Math.abs(Date.now() - server.endMs)).toBeLessThan(20_000);
}

describe('a sampled request', () => {
  test('over a Link', async () => {
    await using collector = await startCollector();
    await using backend = await startTraced(program, collector);
    await using gateway = await startGateway(`${telemetry(collector.url)}${grpc(backend.address)}`);
    await using client = await TestClient.connect(gateway.port, 'ws');
    const answer = await client.request('work.room.join');
    const [server, toBackend, there] = await chain(collector);
    expectChain([server, toBackend, there]);
    expect(answer).toEqual({ trace: server.traceId });
    expect(server).toMatchObject({
      name: 'work.>',
      status: 0,
      attributes: {
        'network.protocol.name': 'pomelo',
        'network.transport': 'tcp',
        'session.id': `${gateway.gateway.id}.1`,
        'pith.connection': 'ws',
        'pith.backend': 'work',
        'pith.route': 'work.room.join',
        'pith.seq': 1,
        'pith.notify': false,
        'pith.outcome': 'ok',
      },
      resource: { 'service.instance.id': gateway.gateway.id, 'service.version': '0.0.0-test' },
    });
    // Nothing of the machine, and above all not its command lines.
    expect(Object.keys(server.resource).sort()).toEqual([
      'pith.gateway',
      'service.instance.id',
      'service.name',
      'service.version',
      'telemetry.sdk.language',
      'telemetry.sdk.name',
      'telemetry.sdk.version',
    ]);
    expect(toBackend).toMatchObject({
      name: 'pith.v1.Backend/Link',
      attributes: {
        'rpc.system.name': 'grpc',
        'rpc.method': 'pith.v1.Backend/Link',
        'server.address': '127.0.0.1',
        'server.port': Number(backend.address.split(':')[1]),
      },
    });
    expect(there).toMatchObject({ name: 'work work.room.join', attributes: { by: 'link' } });
    expect([...collector.types].sort()).toEqual(['application/json', 'application/x-protobuf']);
    const line = gateway.log.find(({ msg }) => msg === 'message');
    expect(line?.['trace_id']).toBe(server.traceId);
    await eventually(() => spans(gateway, 'exported') === 2, 'both to be counted');
    expect(spans(gateway, 'made')).toBe(2);
  });

  test('over Handle', async () => {
    await using collector = await startCollector();
    await using backend = await startTraced(program, collector, { LINK: 'off' });
    await using gateway = await startGateway(
      `${telemetry(`${collector.url}/v1/traces`)}${grpc(backend.address)}`,
    );
    await using client = await TestClient.connect(gateway.port);
    await client.request('work.room.join');
    const all = await chain(collector);
    expectChain(all);
    expect(all[1].name).toBe('pith.v1.Backend/Handle');
    expect(all[2].attributes).toEqual({ by: 'handle' });
  });

  test('over NATS', async () => {
    await using nats = await startNats();
    await using collector = await startCollector();
    await using _backend = await startTraced(program, collector, { NATS_URL: nats.url });
    await using gateway = await startGateway(
      `bus: ${nats.url}\n${telemetry(collector.url)}
backends: { work: { nats: {} } }
routes: [{ match: "work.>", backend: work }]`,
    );
    await using client = await TestClient.connect(gateway.port);
    await client.request('work.room.join');
    const all = await chain(collector);
    expectChain(all);
    expect(all[1]).toMatchObject({
      name: 'request pith.rpc.{route}',
      attributes: {
        'messaging.system.name': 'nats',
        'messaging.operation.name': 'request',
        'messaging.operation.type': 'send',
        'messaging.destination.template': 'pith.rpc.{route}',
      },
    });
    expect(all[2].attributes).toEqual({ by: 'nats' });
  });

  test('a notify is traced too, and a trace that a client brings along is not gone on with', async () => {
    await using collector = await startCollector();
    await using backend = await startTraced(program, collector);
    await using gateway = await startGateway(`${telemetry(collector.url)}${grpc(backend.address)}`);
    await using client = await TestClient.connect(gateway.port);
    const theirs = '0af7651916cd43dd8448eb211c80319c';
    client.notify('work.room.say', { traceparent: `00-${theirs}-b7ad6b7169203331-01` });
    const all = await chain(collector);
    expectChain(all);
    expect(all[0].traceId).not.toBe(theirs);
    expect(all[0].attributes['pith.notify']).toBe(true);
    expect(all[1].name).toBe('pith.v1.Backend/Link');
  });

  test('one that reaches no backend has no span to one', async () => {
    await using collector = await startCollector();
    await using gateway = await startGateway(
      `${telemetry(collector.url)}${grpc(`127.0.0.1:${await freePort()}`)}`,
    );
    await using client = await TestClient.connect(gateway.port);
    expect(await client.request('work.room.join')).toMatchObject({ reason: 'BACKEND_AWAY' });
    const [span] = await collector.wait(1, ofGateway, 'the span of the gateway');
    expect(span).toMatchObject({
      kind: SERVER,
      status: ERROR,
      attributes: { 'error.type': 'BACKEND_AWAY', 'pith.outcome': 'BACKEND_AWAY' },
    });
    expect(collector.spans).toHaveLength(1);
  });
});

describe('with sample: 0', () => {
  const KEEP = 'sample: 0, always: { errors: true, slower_than: 200ms }';

  test('an error and a slow request are kept, after the fact; a quick one is not', async () => {
    await using collector = await startCollector();
    await using backend = await startTraced(program, collector);
    await using gateway = await startGateway(
      `${telemetry(collector.url, KEEP)}${grpc(backend.address)}`,
    );
    await using client = await TestClient.connect(gateway.port);
    // Its backend saw no trace.
    expect(await client.request('work.room.join')).toEqual({ trace: '' });
    expect(await client.request('work.room.fail')).toMatchObject({ reason: 'BROKEN' });
    await client.request('work.room.slow');
    await collector.wait(2, () => true, 'both');
    const [failed, slow] = collector.spans as [SeenSpan, SeenSpan];
    expect(failed).toMatchObject({
      name: 'work.>',
      kind: SERVER,
      status: ERROR,
      parentId: '',
      attributes: { 'pith.kept_for': 'error', 'pith.outcome': 'BACKEND', 'error.type': 'BACKEND' },
    });
    expect(slow).toMatchObject({
      kind: SERVER,
      status: 0,
      attributes: { 'pith.kept_for': 'slow', 'pith.outcome': 'ok' },
    });
    expect(slow.endMs - slow.startMs).toBeGreaterThan(290);
    expect(slow.endMs - slow.startMs).toBeLessThan(5_000);
    expect(spans(gateway, 'made')).toBe(2);
    const lines = gateway.log.filter(({ msg }) => msg === 'message');
    expect(lines.map((line) => line['trace_id'])).toEqual([
      undefined,
      failed.traceId,
      slow.traceId,
    ]);
  });

  test('and nothing to be kept, no span is made', async () => {
    await using collector = await startCollector();
    await using backend = await startTraced(program, collector);
    await using gateway = await startGateway(
      `${telemetry(collector.url, 'sample: 0, always: { errors: false, slower_than: 0s }')}${grpc(backend.address)}`,
    );
    await using client = await TestClient.connect(gateway.port);
    await client.request('work.room.join');
    await client.request('work.room.fail');
    await client.request('work.room.slow');
    await gateway.gateway.drain(() => true);
    expect(spans(gateway, 'made')).toBe(0);
    expect(collector.spans).toEqual([]);
  });

  test('a flood of errors is kept in part', async () => {
    await using collector = await startCollector();
    await using gateway = await startGateway(
      `${telemetry(collector.url, KEEP)}${grpc(`127.0.0.1:${await freePort()}`)}limits: { messages_per_second: 10000, burst: 10000 }\n`,
    );
    await using client = await TestClient.connect(gateway.port);
    const ids = Array.from({ length: 300 }, () => client.send('work.room.join', {}));
    await client.answer(ids.at(-1)!);
    expect(gateway.count('pith_requests_total', 'work', 'BACKEND_AWAY')).toBe(300);
    expect(spans(gateway, 'made')).toBeGreaterThanOrEqual(100);
    expect(spans(gateway, 'made')).toBeLessThanOrEqual(200);
  });
});

test('a stop sends what is left', async () => {
  await using collector = await startCollector();
  await using backend = await startTraced(program, collector);
  process.env['OTEL_BSP_SCHEDULE_DELAY'] = '60000';
  const gateway = await startGateway(`${telemetry(collector.url)}${grpc(backend.address)}`);
  process.env['OTEL_BSP_SCHEDULE_DELAY'] = '20';
  await using client = await TestClient.connect(gateway.port);
  await client.request('work.room.join');
  expect(collector.spans.filter(ofGateway)).toEqual([]);
  await gateway.gateway.drain();
  expect(collector.spans.filter(ofGateway)).toHaveLength(2);
});

test('a collector that refuses is said once, and so is its return', async () => {
  await using collector = await startCollector();
  await using backend = await startTraced(program, collector);
  await using gateway = await startGateway(`${telemetry(collector.url)}${grpc(backend.address)}`);
  await using client = await TestClient.connect(gateway.port);
  collector.refuse(true);
  for (let lost = 2; lost <= 6; lost += 2) {
    await client.request('work.room.join');
    await eventually(() => spans(gateway, 'failed') === lost, `${lost} spans to be lost`);
  }
  collector.refuse(false);
  await client.request('work.room.join');
  await eventually(() => spans(gateway, 'exported') === 2, 'spans to arrive again');
  const told = gateway.log.filter(({ msg }) => /traces/.test(msg));
  expect(told).toMatchObject([
    {
      level: 'warn',
      msg: 'traces cannot be exported',
      lost: 2,
      collector: new URL(collector.url).host,
    },
    { level: 'info', msg: 'traces exported again', lost: 6 },
  ]);
});

test('a collector that is away hinders nothing, and a stop by 3 s at most', async () => {
  await using collector = await startCollector();
  await using backend = await startTraced(program, collector);
  const away = `http://127.0.0.1:${await freePort()}`;
  await using gateway = await serve(`${telemetry(away)}${grpc(backend.address)}`);
  await using client = await TestClient.connect(gateway.port);
  for (let i = 0; i < 50; i++)
    expect(await client.request('work.room.join')).toHaveProperty('trace');
  const before = performance.now();
  gateway.running.kill('SIGTERM');
  expect(await gateway.running.exited).toBe(0);
  expect(performance.now() - before).toBeLessThan(6_000);
  const told = gateway.log().filter(({ msg }) => /traces/.test(msg));
  expect(told.map(({ msg }) => msg)).toEqual(['the last traces could not be sent']);
});
