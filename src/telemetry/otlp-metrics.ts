/**
 * Sends the metrics to a collector with OpenTelemetry's own exporter, which reads what is counted anyway: nothing is
 * counted twice, and nothing of OpenTelemetry is loaded unless they are wanted.
 */
import type { Attributes, HrTime } from '@opentelemetry/api';
import type { MetricData, PeriodicExportingMetricReader } from '@opentelemetry/sdk-metrics';

import { within } from '../clock.ts';
import type { OtelExport } from '../config/otel-variables.ts';
import { ExportReport, type ExportReportParts } from './export-report.ts';
import type { Histogram } from './histogram.ts';
import { type Instrument, type InstrumentName, INSTRUMENTS } from './instruments.ts';
import type { Metrics } from './metrics.ts';
import { ownResource, signalUrl } from './tracing.ts';

/** How long a stop waits for the collector to take the last numbers. */
const FLUSH_MS = 3_000;

export type OtlpMetricsParts = ExportReportParts & {
  /** `telemetry.otlp` */
  readonly otlp: string;
  /** `telemetry.otlp_metrics`, in milliseconds. */
  readonly everyMs: number;
  readonly otel: OtelExport;
  readonly gatewayId: string;
  readonly version: string;
};

export class OtlpMetrics {
  readonly #parts: OtlpMetricsParts;
  /** null before the start and after the stop. */
  #reader: PeriodicExportingMetricReader | null = null;

  constructor(parts: OtlpMetricsParts) {
    this.#parts = parts;
  }

  async start(): Promise<void> {
    const { otlp, otel, everyMs, gatewayId, version, metrics, clock } = this.#parts;
    const url = signalUrl(otlp, 'metrics', otel.metricsEndpoint);
    const [sdk, resources, { OTLPMetricExporter }] = await Promise.all([
      import('@opentelemetry/sdk-metrics'),
      import('@opentelemetry/resources'),
      otel.isMetricsProtobuf
        ? import('@opentelemetry/exporter-metrics-otlp-proto')
        : import('@opentelemetry/exporter-metrics-otlp-http'),
    ]);
    const exporter = new OTLPMetricExporter({ url: url.href });
    const report = new ExportReport('metrics', 'pith_metric_exports_total', url, this.#parts);
    const send = exporter.export.bind(exporter);
    exporter.export = (batch, done) => {
      send(batch, (result) => {
        report.done(result, 1);
        done(result);
      });
    };
    const detectors = [resources.resourceAttributesEnvDetector, resources.serviceNameEnvDetector];
    const resource = resources
      .defaultResource()
      .merge(resources.resourceFromAttributes(ownResource(gatewayId, version)))
      .merge(resources.detectResources({ detectors }));
    const since = hrTime(clock.wallNow());
    const reader = new sdk.PeriodicExportingMetricReader({
      exporter,
      exportIntervalMillis: everyMs,
      exportTimeoutMillis: everyMs,
    });
    // Ours, in the place of the SDK's: it is read, and its numbers are exported as they are.
    reader.setMetricProducer({
      collect: () => {
        const all = metricData(metrics, since, hrTime(clock.wallNow()));
        const scope = { name: 'pith', version };
        return Promise.resolve({
          resourceMetrics: { resource, scopeMetrics: [{ scope, metrics: all }] },
          errors: [],
        });
      },
    });
    this.#reader = reader;
  }

  /** Sends the last numbers. */
  async stop(): Promise<void> {
    const reader = this.#reader;
    this.#reader = null;
    if (reader === null) return;
    const flushed = reader.shutdown().then(
      () => true,
      () => true,
    );
    if (!(await within(this.#parts.clock, FLUSH_MS, flushed, false)))
      this.#parts.log.warn('the last metrics could not be sent');
  }
}

/** Seconds and nanoseconds. @param ms Since the epoch. */
function hrTime(ms: number): HrTime {
  const seconds = Math.floor(ms / 1_000);
  return [seconds, Math.round((ms - seconds * 1_000) * 1e6)];
}

/** As sdk-metrics numbers them; as constants, so that it need not be loaded for them. */
const CUMULATIVE = 1;
const DATA_POINTS = { histogram: 0, gauge: 2, counter: 3 } as const;
/** [UCUM, as OpenTelemetry writes units] By how a name ends, but for `_total`. */
const UNITS: readonly (readonly [end: string, unit: string])[] = [
  ['_seconds', 's'],
  ['_bytes', 'By'],
  ['_ratio', '1'],
];

/** All of them, as OpenTelemetry's exporters take them. */
export function metricData(metrics: Metrics, startTime: HrTime, endTime: HrTime): MetricData[] {
  return (Object.keys(INSTRUMENTS) as InstrumentName[]).map((name) => {
    const { help: description, kind, labels } = INSTRUMENTS[name] as Instrument;
    const base = name.replace(/_total$/, '');
    const unit = UNITS.find(([end]) => base.endsWith(end))?.[1] ?? '';
    const point = <T>([values, value]: readonly [readonly string[], T]) => ({
      ...{ startTime, endTime, value },
      attributes: Object.fromEntries(
        labels.map((label, i) => [label, values[i] ?? '']),
      ) as Attributes,
    });
    const dataPoints =
      kind === 'histogram'
        ? [...metrics.histograms(name)].map(([values, one]) => point([values, pointOf(one)]))
        : [...metrics.values(name)].map(point);
    return {
      descriptor: { name, description, unit, valueType: 1 },
      aggregationTemporality: CUMULATIVE,
      dataPointType: DATA_POINTS[kind],
      dataPoints,
      ...(kind === 'counter' && { isMonotonic: true }),
    } as MetricData;
  });
}

function pointOf({ bounds, counts, sum, count }: Histogram) {
  return { buckets: { boundaries: [...bounds], counts: [...counts] }, sum, count };
}
