/**
 * The gateway as a sidecar in a namespace that enforces the restricted standard, natively and as an ordinary container:
 * when a pod is deleted, its players keep their backend until they are drained, and a pod without players goes at once.
 */
import { existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { beforeAll, describe, expect, inject, test } from 'vitest';

import { eventually } from '../support/wait.ts';
import { CHART, Cluster, type KubeObject, merge } from './cluster.ts';
import { expectOnlyDrains, noticed } from './noticed.ts';

const PLAYERS = 6;
const sample = parse(readFileSync(join(CHART, 'examples/sidecar.yaml'), 'utf8')) as KubeObject;
const [chat] = sample.sidecar.containers;
/** Longer than anything else that a pod waits for when it goes. */
const BUDGET_S = 30;

const values = merge(sample, {
  image: { registry: 'localhost' },
  minReadySeconds: 1,
  preStopSeconds: 2,
  terminationGracePeriodSeconds: 60,
  resources: { requests: { cpu: '10m', memory: '64Mi' } },
  config: { drain: { budget: `${BUDGET_S}s`, per_second: 1 } },
  sidecar: {
    containers: [
      {
        ...chat,
        image: 'localhost/chat:local',
        // Not on loopback as in the sample, so that it can be asked whether it is ready.
        env: [{ name: 'ADDR', value: '0.0.0.0:9000' }],
        readinessProbe: { tcpSocket: { port: 9000 }, periodSeconds: 1 },
      },
    ],
    stopSeconds: 5,
  },
});

let cluster: Cluster;

beforeAll(() => {
  cluster = new Cluster(inject('cluster'));
});

/** How long after the deletion of a pod its containers ended, in seconds, of which Kubernetes tells whole ones. */
type Ends = { readonly pith: number; readonly chat: number };

/** Deletes a pod, and waits until it has gone. */
async function removed(namespace: string, name: string): Promise<Ends> {
  const file = cluster.file('pod.json');
  const command = `exec kubectl -n ${namespace} get pod ${name} --watch -o json >${file}`;
  const watch = await cluster.start(['sh', '-c', command]);
  await eventually(() => existsSync(file) && statSync(file).size > 0, 'the watch');
  cluster.kubectl('-n', namespace, 'delete', 'pod', name);
  // Each version of the pod is a document of its own.
  const versions = (): KubeObject[] =>
    readFileSync(file, 'utf8')
      .split(/^(?=\{$)/m)
      .filter((text) => text.endsWith('}\n'))
      .map((text) => JSON.parse(text) as KubeObject);
  const ends = await eventually(() => {
    const [first] = versions().filter(({ metadata }) => metadata.deletionTimestamp);
    const last = versions().at(-1);
    const all = [
      ...(last.status.initContainerStatuses ?? []),
      ...(last.status.containerStatuses ?? []),
    ] as KubeObject[];
    if (first === undefined || !all.every(({ state }) => state.terminated)) return null;
    const { deletionTimestamp, deletionGracePeriodSeconds } = first.metadata;
    const began = Date.parse(deletionTimestamp) / 1000 - deletionGracePeriodSeconds;
    const end = (container: string): number =>
      Date.parse(all.find((one) => one.name === container).state.terminated.finishedAt) / 1000;
    return { pith: end('pith') - began, chat: end('chat') - began };
  }, 'the end of both containers');
  watch.kill('SIGTERM');
  await watch.exited;
  return ends;
}

describe.each([
  ['a native sidecar', 'native', true],
  ['an ordinary sidecar', 'plain', false],
])('%s', (_, namespace, native) => {
  const readyPod = (): Promise<KubeObject> =>
    eventually(() => {
      const [pod] = cluster.pods(namespace);
      const ready = pod?.status.conditions?.find(({ type }: KubeObject) => type === 'Ready');
      return ready?.status === 'True' && pod;
    }, 'a ready pod');

  test('is installed from the sample without a warning', async () => {
    cluster.namespace(namespace);
    const { code, err } = cluster.helm(
      ['install', 'pith', CHART, '-n', namespace, '--wait'],
      merge(values, { sidecar: { native } }),
    );
    expect({ code, err }).toEqual({ code: 0, err: '' });
    const { spec, status } = await readyPod();
    const names = (list: KubeObject[] | undefined) => (list ?? []).map(({ name }) => name);
    expect([names(spec.initContainers), names(spec.containers)]).toEqual(
      native ? [['pith'], ['chat']] : [[], ['chat', 'pith']],
    );
    const started = (list: KubeObject[] | undefined, container: string): number =>
      Date.parse(list?.find(({ name }) => name === container).state.running.startedAt);
    const gateways = native ? status.initContainerStatuses : status.containerStatuses;
    // A native one answers before the chat starts; of the other the order is not known.
    const head = native ? started(gateways, 'pith') - started(status.containerStatuses, 'chat') : 0;
    expect(head).toBeLessThanOrEqual(0);
    expect(gateways.map(({ restartCount }: KubeObject) => restartCount)).not.toContain(1);
  });

  test('players are drained before their backend ends, and all that they ask is answered', async () => {
    const pod = await readyPod();
    let ends: Ends;
    {
      await using players = await cluster.players(namespace, PLAYERS);
      const all = await noticed(players, PLAYERS, async () => {
        ends = await removed(namespace, pod.metadata.name);
      });
      expectOnlyDrains(all);
      // Without their backend, each of them would have had several a second.
      expect(all.refused).toBeLessThanOrEqual(PLAYERS);
      expect(all.cuts.filter(({ gateway }) => gateway === pod.status.podIP)).toHaveLength(PLAYERS);
      // The first is closed once preStopSeconds are over, the last one a second for each other later.
      const times = all.cuts.map(({ atMs }) => atMs).sort((a, b) => a - b);
      expect(times.at(-1)! - times[0]!).toBeGreaterThan((PLAYERS - 2) * 1000);
    }
    expect(ends!.pith).toBeGreaterThanOrEqual(PLAYERS);
    expect(ends!.chat).toBeGreaterThanOrEqual(ends!.pith);
  });

  test('a pod without players is gone long before the time of a drain', async () => {
    const pod = await readyPod();
    const ends = await removed(namespace, pod.metadata.name);
    console.log(`${namespace}, without players: ${JSON.stringify(ends)}`);
    for (const seconds of Object.values(ends)) expect(seconds).toBeLessThan(BUDGET_S);
    cluster.kubectl('delete', 'namespace', namespace, '--wait=false');
  });
});
