/** Where the scheduler puts gateways: over nodes and zones, also after an upgrade. On nodes that only pretend. */
import { beforeAll, expect, inject, test } from 'vitest';

import { eventually } from '../support/wait.ts';
import { CHART, Cluster, merge } from './cluster.ts';

const NAMESPACE = 'spread';
const values = {
  replicaCount: 3,
  minReadySeconds: 0,
  config: { bus: 'nats://nats:4222' },
  // No container runs on these nodes, so none says that settings are right.
  check: { enabled: false },
  nodeSelector: { type: 'fake' },
  tolerations: [{ key: 'fake', operator: 'Exists' }],
};

let cluster: Cluster;

beforeAll(() => {
  cluster = new Cluster(inject('cluster'));
  cluster.namespace(NAMESPACE);
});

/** The zones of the pods after an upgrade with `more` values. */
async function zones(more: object): Promise<string[]> {
  const { code, err } = cluster.helm(
    ['upgrade', '--install', 'pith', CHART, '-n', NAMESPACE],
    merge(values, more),
  );
  expect({ code, err }).toEqual({ code: 0, err: '' });
  cluster.kubectl('-n', NAMESPACE, 'rollout', 'status', 'deploy/pith', '--timeout=120s');
  const pods = await eventually(() => {
    const all = cluster.pods(NAMESPACE);
    return all.length === 3 && all;
  }, 'three pods');
  return pods
    .map(({ spec }) => cluster.get('node', spec.nodeName).metadata.labels)
    .map((labels) => labels['topology.kubernetes.io/zone'] as string)
    .sort();
}

// Four of the six nodes are in zone-1.
test('three gateways are in three zones, and still are after upgrades', async () => {
  for (const id of ['one', 'two', 'three', 'four'])
    expect(await zones({ config: { id } })).toEqual(['zone-1', 'zone-2', 'zone-3']);
  cluster.kubectl('delete', 'namespace', NAMESPACE, '--wait=false');
});
