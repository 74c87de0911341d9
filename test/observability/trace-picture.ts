/** One request as a real collector has passed it on: the gateway's spans, and those of a backend in Go behind it. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { TestClient } from '../support/client.ts';
import { startNats } from '../support/nats.ts';
import { buildTraced } from '../support/otlp.ts';
import { freePort, start } from '../support/process.ts';
import { serve } from '../support/serve.ts';
import { eventually } from '../support/wait.ts';
import { colourOf, DIM, escapeXml, GRID, label, picture, TEXT } from './svg.ts';

type Attribute = { readonly key: string; readonly value: Readonly<Record<string, string>> };

type Span = {
  readonly service: string;
  readonly name: string;
  readonly spanId: string;
  readonly parentSpanId: string;
  readonly traceId: string;
  /** Nanoseconds. */
  readonly from: bigint;
  readonly to: bigint;
  readonly attributes: readonly Attribute[];
};

/** Takes what the collector sends on, as JSON. */
export type Receiver = { readonly url: string; readonly bodies: readonly string[] };

export async function drawTrace(to: Receiver): Promise<string> {
  await using things = new AsyncDisposableStack();
  const folder = mkdtempSync(join(tmpdir(), 'pith-trace-'));
  things.defer(() => {
    rmSync(folder, { recursive: true });
  });
  const port = await freePort();
  const config = join(folder, 'collector.yaml');
  writeFileSync(
    config,
    `receivers: { otlp: { protocols: { http: { endpoint: "127.0.0.1:${port}" } } } }
exporters: { otlp_http: { endpoint: "${to.url}", encoding: json, compression: none } }
service:
  telemetry: { metrics: { level: none } }
  pipelines: { traces: { receivers: [otlp], exporters: [otlp_http] } }
`,
  );
  things.use(await start('otelcol', [`--config=${config}`], { ready: /Everything is ready/ }));
  const otlp = `http://127.0.0.1:${port}`;
  const nats = things.use(await startNats());
  const env = { OTEL_EXPORTER_OTLP_ENDPOINT: otlp, NATS_URL: nats.url };
  things.use(await start(await buildTraced(), [], { env, ready: /listening on/ }));
  const gateway = things.use(
    await serve(`bus: ${nats.url}
backends: { rooms: { nats: {} } }
routes: [{ match: "rooms.>", backend: rooms }]
telemetry: { otlp: "${otlp}", sample: 1 }`),
  );
  const client = things.use(await TestClient.connect(gateway.port));
  await client.request('rooms.lobby.hello', {});
  await client.request('rooms.lobby.slow', {});
  const spans = await eventually(() => {
    const traces = Map.groupBy(spansOf(to.bodies), ({ traceId }) => traceId);
    return [...traces.values()].find(
      (trace) =>
        trace.some(({ name }) => name.includes('slow')) &&
        new Set(trace.map(({ service }) => service)).size > 1,
    );
  }, 'a trace of both');
  return drawn(spans);
}

function spansOf(bodies: readonly string[]): Span[] {
  type Sent = {
    resourceSpans: {
      resource: { attributes: Attribute[] };
      scopeSpans: {
        spans: (Span & { startTimeUnixNano: string; endTimeUnixNano: string })[];
      }[];
    }[];
  };
  return bodies.flatMap((body) =>
    (JSON.parse(body) as Sent).resourceSpans.flatMap(({ resource, scopeSpans }) => {
      const service = resource.attributes.find(({ key }) => key === 'service.name');
      return scopeSpans.flatMap(({ spans }) =>
        spans.map((span) => ({
          ...span,
          parentSpanId: span.parentSpanId ?? '',
          service: String(service?.value['stringValue'] ?? ''),
          from: BigInt(span.startTimeUnixNano),
          to: BigInt(span.endTimeUnixNano),
          attributes: span.attributes ?? [],
        })),
      );
    }),
  );
}

const WIDTH = 1_100;
const NAMES = 330;
const ROW = 46;
/** Attributes that a row shows. */
const SHOWN = /^(rpc|messaging|pith|network|server)\./;
const SHOWN_CHARS = 150;

function drawn(spans: readonly Span[]): string {
  const ordered = inOrder(spans);
  const from = Math.min(...ordered.map(({ span }) => Number(span.from)));
  const whole = Math.max(...ordered.map(({ span }) => Number(span.to))) - from;
  const services = [...new Set(ordered.map(({ span }) => span.service))];
  const height = 66 + ordered.length * ROW;
  const scale = (WIDTH - NAMES - 90) / whole;
  const rows = ordered.map(({ span, depth }, i) => {
    const y = 58 + i * ROW;
    const x = NAMES + (Number(span.from) - from) * scale;
    const w = Math.max(2, Number(span.to - span.from) * scale);
    const colour = colourOf(services.indexOf(span.service));
    const ms = Number(span.to - span.from) / 1e6;
    const facts = span.attributes
      .filter(({ key }) => SHOWN.test(key))
      .map(({ key, value }) => `${key}=${String(Object.values(value)[0])}`)
      .reduce(
        (text, one) => (text.length + one.length < SHOWN_CHARS ? `${text}${one}   ` : text),
        '',
      );
    return [
      `<path d="M0 ${y - 6}h${WIDTH}" stroke="${GRID}"/>`,
      label(span.name, { x: 14 + depth * 16, y: y + 12, size: 13, bold: true }),
      label(span.service, { x: 14 + depth * 16, y: y + 28, size: 10, colour }),
      `<rect x="${x.toFixed(1)}" y="${y + 2}" width="${w.toFixed(1)}" height="13" rx="2" fill="${colour}"><title>${escapeXml(span.name)}</title></rect>`,
      label(`${ms.toFixed(ms < 10 ? 2 : 0)} ms`, {
        x: Math.min(x + w + 6, WIDTH - 60),
        y: y + 13,
        size: 10,
      }),
      label(facts, { x: NAMES, y: y + 30, size: 9, colour: DIM }),
    ].join('');
  });
  const title = `${(whole / 1e6).toFixed(0)} ms, ${ordered.length} spans, ${services.length} services`;
  return picture(WIDTH, height, [
    label('One request, from the client’s message to the backend and back', {
      x: 14,
      y: 24,
      size: 15,
      bold: true,
    }),
    label(`trace ${spans[0]!.traceId} · ${title}`, { x: 14, y: 42, size: 11, colour: TEXT }),
    ...rows,
  ]);
}

/** Parents before children, and those by their time. */
function inOrder(spans: readonly Span[]): { span: Span; depth: number }[] {
  const ids = new Set(spans.map(({ spanId }) => spanId));
  const below = (parent: string, depth: number): { span: Span; depth: number }[] =>
    spans
      .filter(({ parentSpanId }) => (ids.has(parentSpanId) ? parentSpanId : '') === parent)
      .toSorted((a, b) => Number(a.from - b.from))
      .flatMap((span) => [{ span, depth }, ...below(span.spanId, depth + 1)]);
  return below('', 0);
}
