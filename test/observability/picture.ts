/**
 * Draws deploy/pictures/dashboard.svg and trace.svg: a minute of two gateways under a small load, as a real Prometheus
 * has seen it, by the queries of the dashboard itself; and one request as a real collector has passed it on. Grafana and a
 * tracing backend would draw the same data in their own way.   node test/observability/picture.ts
 */
import { writeFileSync } from 'node:fs';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';

import { type Panel, ROWS } from '../../deploy/observability/dashboard.ts';
import { TestClient } from '../support/client.ts';
import { HttpBackend } from '../support/http-backend.ts';
import { serve as serveNats } from '../support/nats-backend.ts';
import { startNats } from '../support/nats.ts';
import { ROOT, serve, type Served } from '../support/serve.ts';
import { type Prometheus, startPrometheus } from './prometheus.ts';
import { graph, label, picture, type Series, stat } from './svg.ts';
import { drawTrace } from './trace-picture.ts';

const SECONDS = 75;
const WIDTH = 1_280;
const GAP = 8;
const TITLE = 30;
const HEIGHT = { stat: 76, timeseries: 176 } as const;

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

const yaml = (bus: string, shop: string): string => `bus: ${bus}
backends: { chat: { reply: { code: 200 } }, game: { nats: {} }, shop: { http: "${shop}" } }
routes:
  - { match: "chat.>", backend: chat }
  - { match: "game.>", backend: game }
  - { match: "shop.>", backend: shop, timeout: 300ms }
`;

/** Sixty players of two gateways, who come, talk, buy and go. */
async function play(gateways: readonly Served[], until: number): Promise<void> {
  let n = 0;
  const one = async (): Promise<void> => {
    while (Date.now() < until) {
      const gateway = gateways[n++ % gateways.length]!;
      const client = await TestClient.connect(gateway.port);
      const leaves = Date.now() + 8_000 + (n % 7) * 3_000;
      for (let i = 0; Date.now() < Math.min(leaves, until); i++) {
        const route = [
          'chat.room.send',
          'game.hall.move',
          'shop.cart.buy',
          'chat.room.send',
          'lost.a.b',
        ][(i * 7 + n) % 29 === 0 ? 4 : i % 4]!;
        await client.request(route, { text: 'hi' }).catch(() => {});
        await pause(180 + ((i * 37 + n * 11) % 120));
      }
      client.close();
    }
  };
  await Promise.all(Array.from({ length: 60 }, one));
}

async function pushes(gateway: Served, until: number): Promise<void> {
  while (Date.now() < until) {
    const push = { target: { all: true }, route: 'onTick', body: { json: { at: 1 } } };
    const url = `http://127.0.0.1:${gateway.adminPort}/v1/Push`;
    await fetch(url, { method: 'POST', body: JSON.stringify({ push }) });
    await pause(700);
  }
}

/** The series of a panel over the last minute. */
async function seriesOf(prometheus: Prometheus, panel: Panel, end: number): Promise<Series[]> {
  const found: Series[] = [];
  for (const { expr, legend } of panel.queries) {
    const query = expr
      .replaceAll('$__rate_interval', '10s')
      .replaceAll(/"\$(?:job|instance|backend)"/g, '".*"');
    const at = { query, start: String(end - 60), end: String(end), step: '1' };
    const url = `${prometheus.url}/api/v1/query_range?${new URLSearchParams(at).toString()}`;
    type Answer = {
      data: { result: { metric: Record<string, string>; values: [number, string][] }[] };
    };
    const { data } = (await (await fetch(url)).json()) as Answer;
    for (const { metric, values } of data.result) {
      const byTime = new Map(values.map(([time, value]) => [Math.round(time), Number(value)]));
      const list = Array.from(
        { length: 61 },
        (_, i) => byTime.get(Math.round(end - 60 + i)) ?? null,
      );
      const name = legend.replace(/\{\{(\w+)\}\}/g, (_, key: string) => metric[key] ?? '');
      found.push({ name, values: list.map((value) => (Number.isNaN(value) ? null : value)) });
    }
  }
  return found;
}

async function drawDashboard(
  prometheus: Prometheus,
  names: ReadonlyMap<string, string>,
): Promise<string> {
  const end = Math.floor(Date.now() / 1_000) - 1;
  const parts = [
    label('Pith', { x: GAP + 4, y: 22, size: 16, bold: true }),
    label('two gateways, the last minute', { x: WIDTH - GAP, y: 21, size: 11, anchor: 'end' }),
  ];
  let y = 34;
  for (const row of ROWS) {
    parts.push(label(row.title, { x: GAP + 4, y: y + 18, size: 13, bold: true }));
    y += TITLE - 4;
    let x = 0;
    const h = Math.max(...row.panels.map(({ kind }) => HEIGHT[kind]));
    for (const panel of row.panels) {
      const w = (WIDTH * panel.width) / 24;
      const box = { x: x + GAP / 2, y, w: w - GAP, h };
      const series = (await seriesOf(prometheus, panel, end)).map(({ name, values }) => ({
        name: [...names].reduce((shown, [from, to]) => shown.replace(from, to), name),
        values,
      }));
      parts.push(panel.kind === 'stat' ? stat(box, panel, series) : graph(box, panel, series));
      x += w;
    }
    y += h + GAP;
  }
  return picture(WIDTH, y + 4, parts);
}

async function dashboard(): Promise<void> {
  await using things = new AsyncDisposableStack();
  const nats = things.use(await startNats());
  const shop = things.use(
    await HttpBackend.start(async ({ body }) => {
      const n = body.length + Math.floor(Math.random() * 40);
      await pause(n > 50 ? 400 : n);
      return { body: '{"code":200}' };
    }),
  );
  await serveNats(await nats.connect(), 'pith.rpc.game.>', () => ({ body: '{"code":200}' }));
  const gateways = [];
  for (let i = 0; i < 2; i++) gateways.push(things.use(await serve(yaml(nats.url, shop.url))));
  const prometheus = things.use(await startPrometheus());
  const instances = gateways.map(({ healthPort }) => `127.0.0.1:${healthPort}`);
  prometheus.scrape(...instances);
  const until = Date.now() + SECONDS * 1_000;
  await Promise.all([play(gateways, until), pushes(gateways[0]!, until)]);
  // As they would be called in a cluster.
  const names = new Map(instances.map((instance, i) => [instance, `gateway-${i + 1}`]));
  writeFileSync(
    join(ROOT, 'deploy/pictures/dashboard.svg'),
    await drawDashboard(prometheus, names),
  );
}

/** Takes OTLP in JSON. */
async function receiver(): Promise<{ url: string; bodies: string[] } & Disposable> {
  const bodies: string[] = [];
  const server = http.createServer((request, response) => {
    void text(request).then((body) => {
      if (request.url === '/v1/traces') bodies.push(body);
      response.setHeader('content-type', 'application/json').end('{}');
    });
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    bodies,
    [Symbol.dispose]() {
      server.closeAllConnections();
      server.close();
    },
  };
}

if (process.argv[2] !== 'trace') await dashboard();
if (process.argv[2] !== 'dashboard') {
  using to = await receiver();
  writeFileSync(join(ROOT, 'deploy/pictures/trace.svg'), await drawTrace(to));
}
process.exit(0);
