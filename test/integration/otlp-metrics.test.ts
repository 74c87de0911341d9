/** The metrics as a collector gets them, by OpenTelemetry's own exporter, and that they are those of Prometheus. */
import { expect, test } from 'vitest';

import { TestClient } from '../support/client.ts';
import { startGateway } from '../support/gateway.ts';
import { type Collector, type OtlpMetrics, startCollector } from '../support/otlp.ts';
import { eventually } from '../support/wait.ts';

const yaml = ({ url }: Collector): string => `
telemetry: { otlp: "${url}", otlp_metrics: 1s, sample: 0 }
backends: { work: { reply: {} } }
routes: [{ match: "work.>", backend: work }]
`;

type Metric = OtlpMetrics['resourceMetrics'][0]['scopeMetrics'][0]['metrics'][0];

const metricsOf = (body: OtlpMetrics): Metric[] =>
  body.resourceMetrics.flatMap(({ scopeMetrics }) =>
    scopeMetrics.flatMap(({ metrics }) => metrics),
  );
const labelsOf = (point: { attributes: { key: string; value: { stringValue?: string } }[] }) =>
  Object.fromEntries(point.attributes.map(({ key, value }) => [key, value.stringValue]));

test('counters, gauges and histograms go to the collector, and the last of them at the end', async () => {
  await using collector = await startCollector();
  const gateway = await startGateway(yaml(collector));
  await using client = await TestClient.connect(gateway.port, 'ws');
  for (let i = 0; i < 3; i++) await client.request('work.a');
  await eventually(() => collector.metrics.length > 0, 'metrics');
  await client.request('work.a');
  const text = await (await fetch(`http://127.0.0.1:${gateway.healthPort}/metrics`)).text();
  await gateway.gateway.drain(() => true);
  const last = collector.metrics.at(-1)!;
  const all = metricsOf(last);

  // The same names as in the text of the same gateway, each once.
  const named = [...text.matchAll(/^# TYPE (\S+)/gm)].map(([, name]) => name);
  expect(all.map(({ name }) => name)).toEqual(named);
  const of = (name: string): Metric => all.find((one) => one.name === name)!;

  const { sum, unit } = of('pith_requests_total');
  expect([unit, sum!.isMonotonic, sum!.aggregationTemporality]).toEqual(['', true, 2]);
  expect(sum!.dataPoints.map((point) => [labelsOf(point), point.asDouble])).toEqual([
    [{ backend: 'work', outcome: 'ok' }, 4],
  ]);
  const [point] = sum!.dataPoints;
  expect(BigInt(point!.timeUnixNano)).toBeGreaterThan(BigInt(point!.startTimeUnixNano));
  expect(Math.abs(Date.now() - Number(BigInt(point!.timeUnixNano) / 1_000_000n))).toBeLessThan(
    60_000,
  );

  const { histogram } = of('pith_request_duration_seconds');
  expect(of('pith_request_duration_seconds').unit).toBe('s');
  const [durations] = histogram!.dataPoints;
  expect(Number(durations!.count)).toBe(4);
  expect(durations!.explicitBounds).toEqual([
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10,
  ]);
  expect(durations!.bucketCounts.reduce<number>((total, n) => total + Number(n), 0)).toBe(4);

  expect(of('pith_outbox_bytes')).toMatchObject({ unit: 'By', gauge: { dataPoints: [{}] } });
  expect(of('pith_sessions').gauge!.dataPoints[0]!.asDouble).toBe(0);
  const [{ resource }] = last.resourceMetrics as [OtlpMetrics['resourceMetrics'][0]];
  expect(labelsOf(resource)).toMatchObject({
    'service.name': 'pith',
    'service.instance.id': gateway.gateway.id,
  });
  expect(gateway.count('pith_metric_exports_total', 'exported')).toBe(collector.metrics.length);
});

test('a collector that refuses is logged once, and so is its return', async () => {
  await using collector = await startCollector();
  collector.refuse(true);
  await using gateway = await startGateway(yaml(collector));
  const failed = () => gateway.count('pith_metric_exports_total', 'failed');
  await eventually(() => failed() >= 2, 'two failures');
  collector.refuse(false);
  await eventually(() => collector.metrics.length > 0, 'metrics');
  await eventually(
    () => gateway.log.some(({ msg }) => msg === 'metrics exported again'),
    'it said',
  );
  const told = gateway.log.filter(({ msg }) => msg.startsWith('metrics ')).map(({ msg }) => msg);
  expect(told).toEqual(['metrics cannot be exported', 'metrics exported again']);
});
