/** A push in its publisher's trace: a part of it for one session, linked to it for many, wherever the sessions are. */
import { beforeAll, describe, expect, test } from 'vitest';

import { TestClient } from '../support/client.ts';
import { startGateway } from '../support/gateway.ts';
import { GrpcBackend } from '../support/grpc-backend.ts';
import { startNats } from '../support/nats.ts';
import { push, tellJson } from '../support/nats-backend.ts';
import { type Collector, type SeenSpan, startCollector } from '../support/otlp.ts';
import { eventually } from '../support/wait.ts';

const CLIENT = 3;
const CONSUMER = 5;
const TRACE = '0af7651916cd43dd8448eb211c80319c';
const SPAN = 'b7ad6b7169203331';
const SAMPLED = `00-${TRACE}-${SPAN}-01`;

beforeAll(() => {
  process.env['OTEL_BSP_SCHEDULE_DELAY'] = '20';
});

const config = ({ url }: Collector, bus: string, sample = 0): string =>
  `bus: ${bus}\ntelemetry: { otlp: "${url}", sample: ${sample} }\n`;
const delivered = (span: SeenSpan): boolean => span.kind === CONSUMER;
const sidOf = (gateway: { gateway: { id: string } }, n = 1): string => `${gateway.gateway.id}.${n}`;

describe('published on NATS', () => {
  test('to one session it is in the trace of its publisher; to a group it is linked to it, once a gateway', async () => {
    await using nats = await startNats();
    const nc = await nats.connect();
    await using collector = await startCollector();
    await using one = await startGateway(config(collector, nats.url));
    await using other = await startGateway(config(collector, nats.url));
    await using ann = await TestClient.connect(one.port);
    await using bob = await TestClient.connect(one.port);
    await using eve = await TestClient.connect(other.port);
    const sids = [sidOf(one), sidOf(one, 2), sidOf(other)];
    await eventually(() => one.gateway.registry.size + other.gateway.registry.size === 3, 'all');
    for (const sid of sids) await tellJson(nc, `pith.session.${sid}.join`, { groups: ['room'] });

    const trace = { traceparent: SAMPLED };
    push(nc, `pith.session.${sids[0]}.push`, 'onOne', '{}', trace);
    push(nc, 'pith.group.room.push', 'onAll', '{}', trace);
    for (const client of [ann, bob, eve]) await client.push('onAll', 0);
    const spans = await collector.wait(3, delivered, 'the deliveries');

    const toOne = spans.find(({ attributes }) => attributes['pith.route'] === 'onOne')!;
    expect(toOne).toMatchObject({
      name: 'deliver push',
      traceId: TRACE,
      parentId: SPAN,
      links: [],
      attributes: {
        'messaging.system.name': 'pith',
        'messaging.operation.name': 'deliver',
        'messaging.operation.type': 'process',
        'pith.sessions': 1,
        'pith.delivered': 1,
        'pith.dropped': 0,
        'pith.refused': 0,
      },
    });
    const toAll = spans.filter(({ attributes }) => attributes['pith.route'] === 'onAll');
    expect(toAll).toHaveLength(2);
    const [few, many] = toAll.toSorted(
      (a, b) => Number(a.attributes['pith.sessions']) - Number(b.attributes['pith.sessions']),
    );
    expect(many).toMatchObject({
      parentId: '',
      links: [{ traceId: TRACE, spanId: SPAN }],
      attributes: { 'pith.sessions': 2, 'pith.delivered': 2 },
      resource: { 'pith.gateway': one.gateway.id },
    });
    expect(many!.traceId).not.toBe(TRACE);
    expect(few).toMatchObject({ traceId: TRACE, resource: { 'pith.gateway': other.gateway.id } });
  });

  test('with a trace that is not recorded, or that is none, it has no span, and is delivered', async () => {
    await using nats = await startNats();
    const nc = await nats.connect();
    await using collector = await startCollector();
    await using gateway = await startGateway(config(collector, nats.url));
    await using client = await TestClient.connect(gateway.port);
    await eventually(() => gateway.gateway.registry.size === 1, 'the session');
    const to = `pith.session.${sidOf(gateway)}.push`;
    const bad = [
      `00-${TRACE}-${SPAN}-00`,
      `00-${'0'.repeat(32)}-${SPAN}-01`,
      `00-${TRACE}-${'0'.repeat(16)}-01`,
      `01-${TRACE}-${SPAN}-01`,
      `00-${TRACE.toUpperCase()}-${SPAN}-01`,
      'nonsense',
      '',
    ];
    for (const traceparent of bad) push(nc, to, 'onOne', '{}', { traceparent });
    push(nc, to, 'onLast', '{}', { traceparent: SAMPLED });
    await client.push('onLast', 0);
    await client.push('onOne', bad.length - 1);
    await collector.wait(1, delivered, 'the one');
    await gateway.gateway.drain(() => true);
    expect(collector.spans).toHaveLength(1);
  });

  test('a publisher that traces everything is traced in part', async () => {
    await using nats = await startNats();
    const nc = await nats.connect();
    await using collector = await startCollector();
    await using gateway = await startGateway(config(collector, nats.url));
    await using client = await TestClient.connect(gateway.port);
    await eventually(() => gateway.gateway.registry.size === 1, 'the session');
    const to = `pith.session.${sidOf(gateway)}.push`;
    for (let i = 0; i < 400; i++) push(nc, to, 'onOne', '{}', { traceparent: SAMPLED });
    await client.push('onOne', 399);
    const made = gateway.count('pith_spans_total', 'made');
    expect(made).toBeGreaterThanOrEqual(100);
    expect(made).toBeLessThan(400);
  });
});

test('that comes with an answer is in the trace of the message, also on another gateway', async () => {
  await using nats = await startNats();
  const nc = await nats.connect();
  await using collector = await startCollector();
  await using backend = await GrpcBackend.start({
    handler: (asked) => {
      const pushTo = {
        target: { groups: ['room'] },
        route: 'onAll',
        body: { bytes: Buffer.from('{}') },
      };
      asked.answer({}, { pushes: [pushTo] });
    },
  });
  await using one = await startGateway(
    `${config(collector, nats.url, 1)}backends: { work: { grpc: "${backend.url}" } }
routes: [{ match: "work.>", backend: work }]`,
  );
  await using other = await startGateway(config(collector, nats.url, 0));
  await using ann = await TestClient.connect(one.port);
  await using eve = await TestClient.connect(other.port);
  await eventually(() => other.gateway.registry.size === 1, 'the other session');
  for (const sid of [sidOf(one), sidOf(other)])
    await tellJson(nc, `pith.session.${sid}.join`, { groups: ['room'] });
  await ann.request('work.say');
  for (const client of [ann, eve]) await client.push('onAll', 0);
  const spans = await collector.wait(2, delivered, 'both deliveries');
  const call = collector.spans.find(({ kind }) => kind === CLIENT)!;
  expect(new Set(spans.map(({ resource }) => resource['pith.gateway']))).toEqual(
    new Set([one.gateway.id, other.gateway.id]),
  );
  for (const span of spans)
    expect(span).toMatchObject({ traceId: call.traceId, parentId: call.spanId, links: [] });
});
