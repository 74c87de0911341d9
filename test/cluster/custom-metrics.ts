/**
 * What prometheus-adapter is in a real cluster: an aggregated API server that answers custom.metrics.k8s.io. It asks the
 * pods themselves for `pith_sessions`, where the adapter asks Prometheus.
 * Runs inside the cluster's network:   node custom-metrics.ts ADDRESS PORT
 */
import { createServer } from 'node:https';

import { apiGet, certificate } from './api.ts';

const [address, port] = process.argv.slice(2) as [string, string];
const GROUP = 'custom.metrics.k8s.io/v1beta1';
const METRIC = 'pith_sessions';
const METRICS_PORT = 7072;

type Pod = {
  metadata: { name: string; namespace: string };
  status: { podIP?: string; phase: string };
};

createServer(certificate, (request, response) => {
  const { pathname, searchParams } = new URL(request.url!, 'https://localhost');
  // The autoscaler writes the asterisk as %2A.
  answerTo(decodeURIComponent(pathname), searchParams).then(
    (body) => {
      response.writeHead(body === undefined ? 404 : 200, { 'content-type': 'application/json' });
      response.end(JSON.stringify(body ?? {}));
    },
    (error: unknown) => {
      console.error(error);
      response.writeHead(500).end();
    },
  );
}).listen(Number(port), address, () => {
  console.log('custom-metrics: ready');
});

async function answerTo(
  pathname: string,
  searchParams: URLSearchParams,
): Promise<object | undefined> {
  if (pathname === `/apis/${GROUP}`) {
    const resource = { name: `pods/${METRIC}`, namespaced: true, kind: 'MetricValueList' };
    return {
      kind: 'APIResourceList',
      apiVersion: 'v1',
      groupVersion: GROUP,
      resources: [{ ...resource, singularName: '', verbs: ['get'] }],
    };
  }
  const asked = new RegExp(`^/apis/${GROUP}/namespaces/([^/]+)/pods/\\*/${METRIC}$`).exec(pathname);
  if (asked === null) return undefined;
  const selector = encodeURIComponent(searchParams.get('labelSelector') ?? '');
  const { items } = await apiGet<{ items: Pod[] }>(
    `/api/v1/namespaces/${asked[1]}/pods?labelSelector=${selector}`,
  );
  const running = items.filter(({ status }) => status.phase === 'Running');
  const values = await Promise.all(running.map(valueOf));
  return {
    kind: 'MetricValueList',
    apiVersion: GROUP,
    metadata: {},
    items: values.flatMap((value) => value ?? []),
  };
}

/** Without a value for a pod that does not answer, as one that Prometheus has not scraped. */
async function valueOf({ metadata, status }: Pod): Promise<object | undefined> {
  const url = `http://${status.podIP}:${METRICS_PORT}/metrics`;
  const text = await fetch(url).then(
    (response) => response.text(),
    () => '',
  );
  const samples = [...text.matchAll(new RegExp(`^${METRIC}(?:\\{[^}]*\\})? (\\S+)$`, 'gm'))];
  if (samples.length === 0) return undefined;
  return {
    describedObject: { kind: 'Pod', apiVersion: '/v1', ...metadata },
    metric: { name: METRIC },
    timestamp: new Date().toISOString(),
    value: String(samples.reduce((sum, [, value]) => sum + Number(value), 0)),
  };
}
