/**
 * OpenTelemetry's SDK, and nothing else: loaded only if traces are wanted, since loading takes half a second. Which
 * messages are traced is decided elsewhere.
 */
import type { Attributes, Link, Span, Tracer } from '@opentelemetry/api';
import type { NodeSDK } from '@opentelemetry/sdk-node';

import { type Clock, within } from '../clock.ts';
import type { OtelExport } from '../config/otel-variables.ts';
import { ExportReport } from './export-report.ts';
import type { Log } from './log.ts';
import type { Metrics, Series } from './metrics.ts';

/** How long a stop waits for the collector to take the rest. */
const FLUSH_MS = 3_000;

export type TracingParts = {
  /** `http://collector:4318`, with or without the path `/v1/traces`. */
  readonly otlp: string;
  readonly otel: OtelExport;
  readonly gatewayId: string;
  readonly version: string;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
};

type SdkOptions = NonNullable<ConstructorParameters<typeof NodeSDK>[0]>;
type Exporter = NonNullable<SdkOptions['traceExporter']>;
type Api = typeof import('@opentelemetry/api');
type Live = { readonly api: Api; readonly sdk: NodeSDK; readonly tracer: Tracer };

export type { Attributes, Span };

export type SpanStart = {
  readonly name: string;
  readonly kind: keyof typeof KINDS;
  /** Milliseconds since the epoch, with fractions. */
  readonly at: number;
  readonly attributes: Attributes;
  /** null: the first of its trace. */
  readonly parent: Span | null;
  /** A span of another process, for one without a parent here: its parent, or linked to it. Default: none. */
  readonly remote?: { readonly traceparent: string; readonly isParent: boolean };
};

/** server: a message · client: its call to a backend · consumer: a push. As `SpanKind` numbers them. */
const KINDS = { server: 1, client: 2, consumer: 4 } as const;

export class Tracing {
  readonly #parts: TracingParts;
  readonly #made: Series;
  /** null before the start and after the stop. */
  #live: Live | null = null;

  constructor(parts: TracingParts) {
    this.#parts = parts;
    this.#made = parts.metrics.series('pith_spans_total', ['made']);
  }

  async start(): Promise<void> {
    const { otlp, otel, gatewayId, version } = this.#parts;
    const url = signalUrl(otlp, 'traces', otel.tracesEndpoint);
    const [api, { NodeSDK }, { OTLPTraceExporter }, resources] = await Promise.all([
      import('@opentelemetry/api'),
      import('@opentelemetry/sdk-node'),
      otel.isTracesProtobuf
        ? import('@opentelemetry/exporter-trace-otlp-proto')
        : import('@opentelemetry/exporter-trace-otlp-http'),
      import('@opentelemetry/resources'),
    ]);
    // Headers, certificates, compression and the time limit are as OTEL_EXPORTER_OTLP_… say.
    const exporter = new OTLPTraceExporter({ url: url.href });
    const sdk = new NodeSDK({
      // Only these: the SDK's other detectors include the command line, which may hold secrets.
      resourceDetectors: [
        { detect: () => ({ attributes: ownResource(gatewayId, version) }) },
        resources.resourceAttributesEnvDetector,
        resources.serviceNameEnvDetector,
      ],
      sampler: {
        shouldSample: () => ({ decision: api.SamplingDecision.RECORD_AND_SAMPLED }),
        toString: () => 'decided by the gateway',
      },
      traceExporter: this.#watched(exporter, url),
      metricReaders: [],
      logRecordProcessors: [],
      instrumentations: [],
    });
    sdk.start();
    // Keep the SDK's tracer; the other globals that it has set are not used, and are removed again.
    this.#live = { api, sdk, tracer: api.trace.getTracer('pith', version) };
    for (const one of [api.trace, api.context, api.propagation, api.logs]) one.disable();
  }

  /** Exports what is left. All spans must have ended before. */
  async stop(): Promise<void> {
    const live = this.#live;
    this.#live = null;
    if (live === null) return;
    const flushed = live.sdk.shutdown().then(
      () => true,
      () => false,
    );
    if (!(await within(this.#parts.clock, FLUSH_MS, flushed, false)))
      this.#parts.log.warn('the last traces could not be sent');
  }

  /** null: tracing is not on. */
  begin({ name, kind, at, attributes, parent, remote }: SpanStart): Span | null {
    if (this.#live === null) return null;
    const { api, tracer } = this.#live;
    let context = api.ROOT_CONTEXT;
    let links: Link[] = [];
    if (parent !== null) context = api.trace.setSpan(context, parent);
    else if (remote !== undefined) {
      const [, traceId = '', spanId = ''] = remote.traceparent.split('-');
      const there = { traceId, spanId, traceFlags: 1, isRemote: true };
      if (remote.isParent) context = api.trace.setSpanContext(context, there);
      else links = [{ context: there }];
    }
    const options = { kind: KINDS[kind], startTime: at, attributes, links };
    const span = tracer.startSpan(name, options, context);
    // Switched off by OTEL_SDK_DISABLED.
    if (!span.isRecording()) return null;
    this.#made.add();
    return span;
  }

  /** `error` is '' where there was none. */
  end(span: Span, at: number, error: string): void {
    if (error !== '' && this.#live !== null) {
      span.setAttribute('error.type', error);
      span.setStatus({ code: this.#live.api.SpanStatusCode.ERROR });
    }
    span.end(at);
  }

  /** The exporter, with what is counted and logged of it. */
  #watched(exporter: Exporter, url: URL): Exporter {
    const report = new ExportReport('traces', 'pith_spans_total', url, this.#parts);
    return {
      export: (spans, done) => {
        exporter.export(spans, (result) => {
          report.done(result, spans.length);
          done(result);
        });
      },
      forceFlush: () => exporter.forceFlush?.() ?? Promise.resolve(),
      shutdown: () => exporter.shutdown(),
    };
  }
}

/** What a collector is told of where it all comes from; the variables may say it better. */
export function ownResource(gatewayId: string, version: string): Record<string, string> {
  return {
    'service.name': 'pith',
    'service.version': version,
    'service.instance.id': gatewayId,
    'pith.gateway': gatewayId,
  };
}

/**
 * [opentelemetry.io/docs/specs/otel/protocol/exporter] A base gets `v1/traces` appended; the endpoint of one signal is
 * used as it is.
 */
export function signalUrl(otlp: string, signal: 'traces' | 'metrics', exact: string): URL {
  const url = new URL(otlp);
  if (otlp === exact) return url;
  const base = url.pathname.replace(/(\/v1\/(traces|metrics))?\/?$/, '');
  url.pathname = `${base}/v1/${signal}`;
  return url;
}
