/** OpenTelemetry's own variables in the real process; and that its SDK is loaded only where it is wanted. */
import { expect, test } from 'vitest';

import { TestClient } from '../support/client.ts';
import { HttpBackend } from '../support/http-backend.ts';
import { startCollector } from '../support/otlp.ts';
import { serveWith } from '../support/serve.ts';

/** Prints each module of OpenTelemetry when it is loaded, whoever asks for it. */
const HOOK = `
import { registerHooks } from 'node:module';
registerHooks({
  load(url, context, next) {
    const [name] = /@opentelemetry\\/[a-z-]+/.exec(url) ?? [];
    if (name !== undefined) console.error('loaded ' + name);
    return next(url, context);
  },
});`;
const NODE_OPTIONS = `--import=data:text/javascript,${encodeURIComponent(HOOK)}`;

const loaded = (output: string): string[] => [
  ...new Set([...output.matchAll(/^loaded (.+)$/gm)].map(([, name]) => name!)),
];

const routes = (url: string): string =>
  `backends: { shop: { http: "${url}" } }\nroutes: [{ match: "shop.>", backend: shop }]\n`;

test('they say where, how, what of, and how many; what is not said is as it was', async () => {
  await using collector = await startCollector();
  await using backend = await HttpBackend.start(() => ({ body: '{}' }));
  await using gateway = await serveWith(
    {
      OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: `${collector.url}/custom/traces`,
      OTEL_EXPORTER_OTLP_PROTOCOL: 'http/protobuf',
      OTEL_EXPORTER_OTLP_HEADERS: 'x-tenant=blue,x-key=s3cret',
      OTEL_TRACES_SAMPLER: 'always_on',
      OTEL_SERVICE_NAME: 'chess-gateway',
      OTEL_RESOURCE_ATTRIBUTES: 'deployment.environment.name=test,service.name=not-this',
      OTEL_BSP_SCHEDULE_DELAY: '20',
      NODE_OPTIONS,
    },
    routes(backend.url),
  );
  await using client = await TestClient.connect(gateway.port);
  await client.request('shop.cart.add', {});
  const spans = await collector.wait(2, () => true, 'both spans');
  expect(spans.map(({ name }) => name).toSorted()).toEqual(['POST', 'shop.>']);
  expect(spans[0]!.resource).toMatchObject({
    'service.name': 'chess-gateway',
    'deployment.environment.name': 'test',
    'pith.gateway': spans[0]!.resource['service.instance.id'],
  });
  expect(collector.requests[0]).toMatchObject({
    ':path': '/custom/traces',
    'content-type': 'application/x-protobuf',
    'x-tenant': 'blue',
    'x-key': 's3cret',
  });
  expect(loaded(gateway.running.output())).toContain('@opentelemetry/sdk-node');
  expect(gateway.running.output()).not.toContain('s3cret');
});

test.each([
  ['nothing asks for traces', {}],
  ['OTEL_SDK_DISABLED says so', { OTEL_SDK_DISABLED: 'true', PITH_TELEMETRY__OTLP: 'http://c:1' }],
])('nothing of OpenTelemetry is loaded where %s', async (_, env) => {
  await using backend = await HttpBackend.start(() => ({ body: '{}' }));
  await using gateway = await serveWith({ ...env, NODE_OPTIONS }, routes(backend.url));
  await using client = await TestClient.connect(gateway.port);
  await client.request('shop.cart.add', {});
  await (await fetch(`http://127.0.0.1:${gateway.adminPort}/metrics`)).text();
  expect(loaded(gateway.running.output())).toEqual([]);
});
