// OpenTelemetry's own variables: what they set where nothing of ours does, and what is said of wrong ones.
import { describe, expect, test } from 'vitest';
import { otelExport } from '../../../src/config/otel-variables.ts';
import { load, problemsOf, warningsOf } from './support.ts';

const BASE = 'http://collector:4318';

const rows: [env: Record<string, string>, otlp: string, sample: number][] = [
  [{}, '', 0.01],
  [{ OTEL_EXPORTER_OTLP_ENDPOINT: BASE }, BASE, 0.01],
  [{ OTEL_EXPORTER_OTLP_ENDPOINT: ` ${BASE} ` }, BASE, 0.01],
  [{ OTEL_EXPORTER_OTLP_ENDPOINT: '' }, '', 0.01],
  [
    { OTEL_EXPORTER_OTLP_ENDPOINT: BASE, OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: 'http://t:1/in' },
    'http://t:1/in',
    0.01,
  ],
  [{ OTEL_EXPORTER_OTLP_ENDPOINT: BASE, OTEL_TRACES_EXPORTER: 'none' }, '', 0.01],
  [{ OTEL_EXPORTER_OTLP_ENDPOINT: BASE, OTEL_TRACES_EXPORTER: 'otlp' }, BASE, 0.01],
  [{ OTEL_EXPORTER_OTLP_ENDPOINT: BASE, OTEL_EXPORTER_OTLP_PROTOCOL: 'http/protobuf' }, BASE, 0.01],
  [{ OTEL_TRACES_SAMPLER: 'always_on' }, '', 1],
  [{ OTEL_TRACES_SAMPLER: 'parentbased_always_on' }, '', 1],
  [{ OTEL_TRACES_SAMPLER: 'always_off' }, '', 0],
  [{ OTEL_TRACES_SAMPLER: 'parentbased_always_off' }, '', 0],
  [{ OTEL_TRACES_SAMPLER: 'traceidratio', OTEL_TRACES_SAMPLER_ARG: '0.25' }, '', 0.25],
  [{ OTEL_TRACES_SAMPLER: 'parentbased_traceidratio', OTEL_TRACES_SAMPLER_ARG: '0' }, '', 0],
  // [specification: the default of the argument is 1]
  [{ OTEL_TRACES_SAMPLER: 'traceidratio' }, '', 1],
  [{ OTEL_TRACES_SAMPLER_ARG: '0.5' }, '', 0.01],
  [{ OTEL_SDK_DISABLED: 'TRUE', OTEL_EXPORTER_OTLP_ENDPOINT: BASE }, '', 0.01],
  [{ OTEL_SDK_DISABLED: 'false', OTEL_EXPORTER_OTLP_ENDPOINT: BASE }, BASE, 0.01],
];

test.each(rows)('%j', (env, otlp, sample) => {
  expect(load('', { env }).telemetry).toMatchObject({ otlp, sample });
  expect(warningsOf('', { env })).toEqual([]);
});

test('the file and our own variables beat them; only OTEL_SDK_DISABLED beats all', () => {
  const yaml = 'telemetry: { otlp: "http://mine:4318", sample: 0.5 }';
  const env = { OTEL_EXPORTER_OTLP_ENDPOINT: BASE, OTEL_TRACES_SAMPLER: 'always_on' };
  expect(load(yaml, { env }).telemetry).toMatchObject({ otlp: 'http://mine:4318', sample: 0.5 });
  const both = { ...env, PITH_TELEMETRY__SAMPLE: '0.2' };
  expect(load('', { env: both }).telemetry).toMatchObject({ otlp: BASE, sample: 0.2 });
  const off = { ...env, OTEL_SDK_DISABLED: 'true' };
  expect(load(yaml, { env: off }).telemetry).toMatchObject({ otlp: '', sample: 0.5 });
});

test.each([
  [{ OTEL_METRICS_EXPORTER: 'otlp' }, 60_000],
  [{ OTEL_METRICS_EXPORTER: 'otlp', OTEL_METRIC_EXPORT_INTERVAL: '5000' }, 5_000],
  [{ OTEL_METRICS_EXPORTER: 'none' }, 0],
  [{}, 0],
  [{ OTEL_METRICS_EXPORTER: 'otlp', OTEL_SDK_DISABLED: 'true' }, 0],
  [{ OTEL_METRICS_EXPORTER: 'otlp', PITH_TELEMETRY__OTLP_METRICS: '15s' }, 15_000],
])('metrics: %j', (more, everyMs) => {
  const env = { OTEL_EXPORTER_OTLP_ENDPOINT: BASE, ...more };
  expect(load('', { env }).telemetry.otlp_metrics).toBe(everyMs);
});

test('without an endpoint there is nowhere to send metrics', () => {
  const env = { OTEL_METRICS_EXPORTER: 'otlp' };
  expect(load('', { env }).telemetry.otlp_metrics).toBe(0);
});

test('metrics need a place to go', () => {
  expect(problemsOf('telemetry: { otlp_metrics: 10s }')).toEqual([
    'pith.yaml:1: telemetry.otlp_metrics: needs telemetry.otlp, which says where they go',
  ]);
});

describe('a wrong value is ignored, with a warning', () => {
  const wrong: [env: Record<string, string>, warning: string][] = [
    [
      { OTEL_EXPORTER_OTLP_ENDPOINT: 'collector:4317' },
      'OTEL_EXPORTER_OTLP_ENDPOINT: ignored: expected an http or https URL, as http://collector:4318',
    ],
    [
      { OTEL_EXPORTER_OTLP_ENDPOINT: BASE, OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc' },
      'OTEL_EXPORTER_OTLP_ENDPOINT: ignored: OTEL_EXPORTER_OTLP_PROTOCOL is grpc, and only OTLP over HTTP is spoken here',
    ],
    [
      { OTEL_EXPORTER_OTLP_ENDPOINT: BASE, OTEL_TRACES_EXPORTER: 'zipkin' },
      'OTEL_TRACES_EXPORTER: ignored: expected otlp or none',
    ],
    [
      { OTEL_TRACES_SAMPLER: 'jaeger_remote' },
      'OTEL_TRACES_SAMPLER: ignored: expected always_on, always_off, traceidratio, parentbased_always_on, parentbased_always_off, parentbased_traceidratio',
    ],
    [
      { OTEL_TRACES_SAMPLER: 'toString' },
      'OTEL_TRACES_SAMPLER: ignored: expected always_on, always_off, traceidratio, parentbased_always_on, parentbased_always_off, parentbased_traceidratio',
    ],
    [{ OTEL_SDK_DISABLED: 'yes' }, 'OTEL_SDK_DISABLED: ignored: expected true or false'],
  ];
  test.each(wrong)('%j', (env, warning) => {
    expect(load('', { env }).telemetry).toMatchObject({ otlp: '', sample: 0.01 });
    expect(warningsOf('', { env })).toEqual([warning]);
  });

  test.each(['2', '-1', 'half', 'NaN'])('OTEL_TRACES_SAMPLER_ARG: %s', (arg) => {
    const env = { OTEL_TRACES_SAMPLER: 'traceidratio', OTEL_TRACES_SAMPLER_ARG: arg };
    expect(load('', { env }).telemetry.sample).toBe(1);
    expect(warningsOf('', { env })).toEqual([
      'OTEL_TRACES_SAMPLER_ARG: ignored: expected a number from 0 to 1',
    ]);
  });
});

test('they cover up nothing that is wrong in the file', () => {
  const env = { OTEL_EXPORTER_OTLP_ENDPOINT: BASE, OTEL_SDK_DISABLED: 'true' };
  expect(problemsOf('telemetry: 5', { env })).toEqual(problemsOf('telemetry: 5'));
  expect(problemsOf('telemetry: 5')).toHaveLength(1);
});

test('how to export', () => {
  expect(otelExport({})).toEqual({
    tracesEndpoint: '',
    metricsEndpoint: '',
    isTracesProtobuf: false,
    isMetricsProtobuf: false,
  });
  const env = {
    OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: 'http://t:1/in',
    OTEL_EXPORTER_OTLP_METRICS_ENDPOINT: 'http://m:1/in',
    OTEL_EXPORTER_OTLP_PROTOCOL: 'http/protobuf',
    OTEL_EXPORTER_OTLP_TRACES_PROTOCOL: 'http/json',
  };
  expect(otelExport(env)).toEqual({
    tracesEndpoint: 'http://t:1/in',
    metricsEndpoint: 'http://m:1/in',
    isTracesProtobuf: false,
    isMetricsProtobuf: true,
  });
});
