/** A collector of traces, and a backend in Go that traces itself. */
import { once } from 'node:events';
import { mkdirSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';

import { WireReader } from '../../src/contract/protobuf-wire.ts';
import { run, type Running, start } from './process.ts';
import { eventually } from './wait.ts';

type Value = string | number | boolean;

export type SeenSpan = {
  /** The service that it comes from. */
  readonly service: string;
  readonly resource: Readonly<Record<string, Value>>;
  readonly traceId: string;
  readonly spanId: string;
  /** '' for the first of a trace. */
  readonly parentId: string;
  readonly name: string;
  /** [opentelemetry-proto: 2 is server, 3 client] */
  readonly kind: number;
  readonly startMs: number;
  readonly endMs: number;
  readonly attributes: Readonly<Record<string, Value>>;
  /** 2 is error. */
  readonly status: number;
  /** Spans that it is linked to. */
  readonly links: readonly { readonly traceId: string; readonly spanId: string }[];
};

type NumberPoint = { asDouble?: number; asInt?: number | string };
type HistogramPoint = {
  count: number | string;
  sum: number;
  bucketCounts: (number | string)[];
  explicitBounds: number[];
};
type MetricPoint = { attributes: JsonAttribute[]; startTimeUnixNano: string; timeUnixNano: string };

/** [opentelemetry-proto: metrics.proto, in JSON] */
export type OtlpMetrics = {
  resourceMetrics: {
    resource: { attributes: JsonAttribute[] };
    scopeMetrics: {
      scope: { name: string };
      metrics: {
        name: string;
        unit: string;
        description: string;
        sum?: {
          isMonotonic: boolean;
          aggregationTemporality: number;
          dataPoints: (MetricPoint & NumberPoint)[];
        };
        gauge?: { dataPoints: (MetricPoint & NumberPoint)[] };
        histogram?: {
          aggregationTemporality: number;
          dataPoints: (MetricPoint & HistogramPoint)[];
        };
      }[];
    }[];
  }[];
};

export type Collector = AsyncDisposable & {
  /** For `telemetry.otlp`. */
  readonly url: string;
  readonly spans: readonly SeenSpan[];
  /** The headers of each request, and its path in `:path`. */
  readonly requests: readonly Readonly<Record<string, string | string[] | undefined>>[];
  /** Bodies of `/v1/metrics` in JSON, as they came. */
  readonly metrics: readonly OtlpMetrics[];
  /** Content types that came. */
  readonly types: ReadonlySet<string>;
  /** Answers a gateway with 400 from now on, which says not to try again. */
  refuse(refuse: boolean): void;
  /** The spans for which `look` holds, once there are `count`. */
  wait(count: number, look: (span: SeenSpan) => boolean, what: string): Promise<SeenSpan[]>;
};

/** Takes OTLP over HTTP at `/v1/traces`, in JSON and in protobuf. */
export async function startCollector(): Promise<Collector> {
  const spans: SeenSpan[] = [];
  const metrics: OtlpMetrics[] = [];
  const types = new Set<string>();
  const requests: Record<string, string | string[] | undefined>[] = [];
  let refusing = false;
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => void chunks.push(chunk));
    request.on('end', () => {
      const type = request.headers['content-type'] ?? '';
      requests.push({ ...request.headers, ':path': request.url ?? '' });
      if (request.url?.endsWith('/v1/metrics') === true && !refusing) {
        metrics.push(JSON.parse(Buffer.concat(chunks).toString()) as OtlpMetrics);
        response.writeHead(200, { 'content-type': 'application/json' }).end('{}');
        return;
      }
      if (!request.url?.endsWith('/traces')) {
        response.writeHead(404).end();
        return;
      }
      if (refusing && type.includes('json')) {
        response.writeHead(400).end();
        return;
      }
      types.add(type);
      const body = Buffer.concat(chunks);
      spans.push(...(type.includes('json') ? spansOfJson(body) : spansOfProtobuf(body)));
      response.writeHead(200, { 'content-type': type }).end(type.includes('json') ? '{}' : '');
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    spans,
    metrics,
    requests,
    types,
    refuse(refuse) {
      refusing = refuse;
    },
    wait: (count, look, what) =>
      eventually(() => {
        const found = spans.filter(look);
        return found.length >= count && found;
      }, what),
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

// ---- JSON -------------------------------------------------------------------------------------------------

export type JsonAttribute = {
  key: string;
  value: { stringValue?: string; boolValue?: boolean; intValue?: number | string };
};
type JsonSpan = {
  traceId: string;
  spanId: string;
  parentSpanId?: string;
  name: string;
  kind: number;
  startTimeUnixNano: string;
  endTimeUnixNano: string;
  attributes: JsonAttribute[];
  status?: { code?: number };
  links?: { traceId: string; spanId: string }[];
};
type JsonRequest = {
  resourceSpans: {
    resource: { attributes: JsonAttribute[] };
    scopeSpans: { spans: JsonSpan[] }[];
  }[];
};

function spansOfJson(body: Buffer): SeenSpan[] {
  const { resourceSpans } = JSON.parse(body.toString()) as JsonRequest;
  return resourceSpans.flatMap(({ resource, scopeSpans }) => {
    const about = attributesOfJson(resource.attributes);
    return scopeSpans.flatMap((scope) =>
      scope.spans.map((span) => ({
        service: String(about['service.name']),
        resource: about,
        traceId: span.traceId,
        spanId: span.spanId,
        parentId: span.parentSpanId ?? '',
        name: span.name,
        kind: span.kind,
        startMs: Number(BigInt(span.startTimeUnixNano) / 1_000n) / 1e3,
        endMs: Number(BigInt(span.endTimeUnixNano) / 1_000n) / 1e3,
        attributes: attributesOfJson(span.attributes),
        status: span.status?.code ?? 0,
        links: (span.links ?? []).map(({ traceId, spanId }) => ({ traceId, spanId })),
      })),
    );
  });
}

function attributesOfJson(list: readonly JsonAttribute[]): Record<string, Value> {
  return Object.fromEntries(
    list.map(({ key, value }) => [
      key,
      value.stringValue ?? value.boolValue ?? Number(value.intValue),
    ]),
  );
}

// ---- protobuf: opentelemetry/proto/trace/v1/trace.proto -----------------------------------------------------

/** The messages in field `field` of `reader`'s message. */
function* messages(reader: WireReader, field: number): Generator<WireReader> {
  while (reader.next()) {
    if (reader.field === field) yield reader.message();
    else reader.skip();
  }
}

function spansOfProtobuf(body: Buffer): SeenSpan[] {
  const spans: SeenSpan[] = [];
  for (const resourceSpans of messages(new WireReader(body), 1)) {
    let resource: Record<string, Value> = {};
    while (resourceSpans.next()) {
      if (resourceSpans.field === 1) {
        resource = Object.fromEntries(
          [...messages(resourceSpans.message(), 1)].map(attributeOfProtobuf),
        );
      } else if (resourceSpans.field === 2) {
        for (const span of messages(resourceSpans.message(), 2))
          spans.push(spanOfProtobuf(span, resource));
      } else {
        resourceSpans.skip();
      }
    }
  }
  return spans;
}

function spanOfProtobuf(reader: WireReader, resource: Record<string, Value>): SeenSpan {
  const attributes: Record<string, Value> = {};
  const bytes: Record<number, string> = {};
  let name = '';
  let kind = 0;
  let status = 0;
  while (reader.next()) {
    if (reader.field === 1 || reader.field === 2 || reader.field === 4)
      bytes[reader.field] = reader.bytes().toString('hex');
    else if (reader.field === 5) name = reader.string();
    else if (reader.field === 6) kind = reader.uint();
    else if (reader.field === 9) {
      const [key, value] = attributeOfProtobuf(reader.message());
      attributes[key] = value;
    } else if (reader.field === 15) {
      const inner = reader.message();
      while (inner.next()) {
        if (inner.field === 3) status = inner.uint();
        else inner.skip();
      }
    } else reader.skip();
  }
  return {
    service: String(resource['service.name']),
    resource,
    traceId: bytes[1] ?? '',
    spanId: bytes[2] ?? '',
    parentId: bytes[4] ?? '',
    name,
    kind,
    // Not looked at: the tests look at the gateway's times.
    startMs: 0,
    endMs: 0,
    attributes,
    status,
    // Not looked at either.
    links: [],
  };
}

function attributeOfProtobuf(reader: WireReader): [string, Value] {
  let key = '';
  let value: Value = '';
  while (reader.next()) {
    if (reader.field === 1) key = reader.string();
    else value = textOf(reader.message());
  }
  return [key, value];
}

/** An AnyValue that is text; '' for any other. */
function textOf(any: WireReader): string {
  let text = '';
  while (any.next()) {
    if (any.field === 1) text = any.string();
    else any.skip();
  }
  return text;
}

// ---- the backend ------------------------------------------------------------------------------------------

const SOURCE = fileURLToPath(new URL('../backends/traced-go', import.meta.url));
const BUILT = fileURLToPath(new URL('../../.cache/go/', import.meta.url));

/** Builds test/backends/traced-go, and gives the path of the program. */
export async function buildTraced(): Promise<string> {
  mkdirSync(BUILT, { recursive: true });
  const program = `${BUILT}traced-go-${process.pid}`;
  const { code, output } = await run('go', ['build', '-o', program, '.'], { cwd: SOURCE });
  if (code !== 0) throw new Error(`go build of traced-go failed:\n${output}`);
  return program;
}

export async function startTraced(
  program: string,
  collector: Collector,
  env: Record<string, string> = {},
): Promise<Running & { readonly address: string }> {
  const running = await start(program, [], {
    env: { OTEL_EXPORTER_OTLP_ENDPOINT: collector.url, ...env },
  });
  const match = await running.waitFor(/listening on (\S+)/);
  return Object.assign(running, { address: match[1]! });
}

/** In the order of OpenTelemetry's numbers. */
const KINDS = ['', 'internal', 'server', 'client', 'producer', 'consumer'];

/** The traces as trees, a line for each span: its kind, name, service, time and status. */
export function treesOf(spans: readonly SeenSpan[]): string {
  const lines = (parentId: string, depth: number): string[] =>
    spans
      .filter((span) => span.parentId === parentId)
      .toSorted((a, b) => a.startMs - b.startMs)
      .flatMap(({ spanId, kind, name, service, startMs, endMs, status, attributes }) => [
        `${'  '.repeat(depth)}${KINDS[kind]} ${name} (${service}, ${(endMs - startMs).toFixed(1)} ms${status === 2 ? ', error' : ''})` +
          Object.entries(attributes)
            .map(([key, value]) => `\n${'  '.repeat(depth)}    ${key}: ${value}`)
            .join(''),
        ...lines(spanId, depth + 1),
      ]);
  const known = new Set(spans.map(({ spanId }) => spanId));
  const roots = new Set(spans.map(({ parentId }) => parentId).filter((id) => !known.has(id)));
  return [...roots].flatMap((root) => lines(root, 0)).join('\n');
}
