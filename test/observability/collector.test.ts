/** deploy/observability/otel-collector.yaml in a real collector: traces of a real gateway, and its log on the way to Loki. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { gunzipSync } from 'node:zlib';
import { expect, test } from 'vitest';

import { TestClient } from '../support/client.ts';
import { freePort, start } from '../support/process.ts';
import { serve } from '../support/serve.ts';
import { eventually } from '../support/wait.ts';
import { OBSERVABILITY } from './prometheus.ts';

test('takes what gateways send, and passes it on', async () => {
  await using things = new AsyncDisposableStack();
  const folder = mkdtempSync(join(tmpdir(), 'pith-otel-'));
  things.defer(() => {
    rmSync(folder, { recursive: true });
  });
  /** Bodies by path. */
  const came: { path: string; body: string }[] = [];
  const backend = http.createServer((request, response) => {
    void buffer(request).then((body) => {
      came.push({ path: request.url!, body: gunzipSync(body).toString() });
      response.setHeader('content-type', 'application/json').end('{}');
    });
  });
  backend.listen(0, '127.0.0.1');
  things.defer(() => {
    backend.closeAllConnections();
    backend.close();
  });
  await eventually(() => backend.listening, 'the backend');
  const url = `http://127.0.0.1:${(backend.address() as { port: number }).port}`;

  const log = join(folder, '0.log');
  writeFileSync(log, '');
  const shipped = readFileSync(join(OBSERVABILITY, 'otel-collector.yaml'), 'utf8');
  const config = join(folder, 'collector.yaml');
  // As JSON, so that it can be read here.
  writeFileSync(
    config,
    shipped
      .replaceAll(
        '{ endpoint: "${env:OTLP_BACKEND}"',
        '{ encoding: json, endpoint: "${env:OTLP_BACKEND}"',
      )
      .replaceAll('{ endpoint: "${env:LOKI}', '{ encoding: json, endpoint: "${env:LOKI}'),
  );
  const port = await freePort();
  const env = { OTLP_LISTEN: `127.0.0.1:${port}`, OTLP_BACKEND: url, LOKI: url, LOGS: log };
  things.use(await start('otelcol', [`--config=${config}`], { env, ready: /Everything is ready/ }));

  const gateway = things.use(
    await serve(`
backends: { echo: { reply: { code: 200 } } }
routes: [{ match: "echo.>", backend: echo }]
telemetry: { otlp: "http://127.0.0.1:${port}", sample: 1 }`),
  );
  const client = things.use(await TestClient.connect(gateway.port));
  await client.request('echo.a.b', {});
  const trace = await eventually(() => came.find(({ path }) => path === '/v1/traces'), 'a trace');
  const spans = JSON.stringify(JSON.parse(trace.body));
  expect(spans).toContain('"name":"echo.>"');

  // As containerd writes what the gateway has written.
  const [line] = gateway.running.output().split('\n');
  writeFileSync(log, `2026-01-31T12:00:00.000000000Z stdout F ${line}\n`);
  const logs = await eventually(() => came.find(({ path }) => path === '/otlp/v1/logs'), 'a log');
  const { resourceLogs } = JSON.parse(logs.body) as {
    resourceLogs: {
      resource: { attributes: { key: string; value: { stringValue: string } }[] };
      scopeLogs: { logRecords: { severityText: string; timeUnixNano: string }[] }[];
    }[];
  };
  const { time } = JSON.parse(line!) as { time: string };
  const [record] = resourceLogs[0]!.scopeLogs[0]!.logRecords;
  expect(record).toMatchObject({ severityText: 'info' });
  expect(BigInt(record!.timeUnixNano) / 1_000_000n).toBe(BigInt(Date.parse(time)));
  expect(resourceLogs[0]!.resource.attributes).toContainEqual({
    key: 'service.name',
    value: { stringValue: 'pith' },
  });
});
