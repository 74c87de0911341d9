/**
 * Rollouts of a fleet with `drain.generations` on a real cluster: each player is cut once, also where something else happens
 * in the middle of it. NATS and the chat run beside the pods, so that only the gateways change.
 */
import { afterAll, beforeAll, expect, inject, test } from 'vitest';

import type { Running } from '../support/process.ts';
import { eventually } from '../support/wait.ts';
import { CHART, Cluster, HOST, type KubeObject, merge, type Players } from './cluster.ts';
import { expectOnlyDrains, type Noticed, noticed } from './noticed.ts';

const NAMESPACE = 'generations';
const PLAYERS = 30;
const [NATS_PORT, CHAT_PORT] = [4223, 9001];
const autoscaling = { enabled: true, minReplicas: 3, maxReplicas: 6 };
const values = {
  image: { registry: 'localhost' },
  autoscaling,
  preStopSeconds: 2,
  terminationGracePeriodSeconds: 30,
  resources: { requests: { cpu: '10m', memory: '64Mi' } },
  config: {
    id: 'one',
    bus: `nats://${HOST}:${NATS_PORT}`,
    backends: { chat: { grpc: `ipv4:${HOST}:${CHAT_PORT}` } },
    routes: [{ match: 'chat.>', backend: 'chat', forward: ['room'] }],
    drain: { generations: true, budget: '5s', accept_for: '1s' },
  },
};
/** After the step of the autoscaler. */
const REPLICAS = 5;
/**
 * The older label is the newest again two minutes after one of its gateways had the last start; where there is no place for
 * that start, all are ready after three.
 */
const BACK_MS = 400_000;

let cluster: Cluster;
const beside: Running[] = [];
let players: Players;

beforeAll(async () => {
  cluster = new Cluster(inject('cluster'));
  const nats = ['nats-server', '-a', HOST, '-p', String(NATS_PORT)];
  beside.push(await cluster.start(nats, /Server is ready/));
  const chat = ['env', `ADDR=${HOST}:${CHAT_PORT}`, cluster.chat('grpc')];
  beside.push(await cluster.start(chat, new RegExp(String(CHAT_PORT))));
  cluster.namespace(NAMESPACE);
});

afterAll(async () => {
  await players?.[Symbol.asyncDispose]();
  cluster.run(['helm', 'uninstall', 'pith', '-n', NAMESPACE]);
  for (const running of beside) {
    running.kill('SIGTERM');
    await running.exited;
  }
});

function upgrade(more: object): void {
  const args = ['upgrade', '--install', 'pith', CHART, '-n', NAMESPACE];
  const { code, err } = cluster.helm(args, merge(values, more));
  expect({ code, err }).toEqual({ code: 0, err: '' });
}

const isReady = ({ status }: KubeObject): boolean =>
  status.conditions?.some(
    ({ type, status: is }: { type: string; status: string }) => type === 'Ready' && is === 'True',
  );

/** What `kubectl rollout status` waits for, and that the old pods have gone. */
async function settled(replicas: number, ms = 300_000): Promise<void> {
  await eventually(
    () => {
      const { items } = cluster.get('pods', '-n', NAMESPACE, '-l', 'app.kubernetes.io/name=pith');
      const labels = (items as KubeObject[]).map(({ metadata }) => hashOf(metadata));
      return items.length === replicas && new Set(labels).size === 1 && items.every(isReady);
    },
    `${replicas} ready pods of one generation`,
    ms,
  );
}

const hashOf = ({ labels }: KubeObject): string => labels['pod-template-hash'] as string;

/** Until a pod of the next generation takes players, and those of the one before send them there. */
async function begun(): Promise<void> {
  await eventually(
    () => {
      const pods = cluster.pods(NAMESPACE);
      const createdAt = ({ metadata }: KubeObject): string => metadata.creationTimestamp as string;
      const newest = pods.reduce((one, other) => (createdAt(one) < createdAt(other) ? other : one));
      const labels = (some: KubeObject[]): Set<string> =>
        new Set(some.map(({ metadata }) => hashOf(metadata)));
      const ready = labels(pods.filter(isReady));
      return labels(pods).size === 2 && ready.size === 1 && ready.has(hashOf(newest.metadata));
    },
    'the rollout to have begun',
    120_000,
  );
}

/** How often the player was cut that was cut most. */
function most({ cuts }: Noticed): number {
  const counts = Object.values(Object.groupBy(cuts, ({ player }) => player));
  return Math.max(0, ...counts.map((all) => all!.length));
}

/** All but those who were not served by a pod that has gone. */
function expectOnce(all: Noticed): void {
  expectOnlyDrains(all);
  expect(most(all)).toBe(1);
  expect(all.cuts).toHaveLength(PLAYERS);
}

test('a rollout cuts each player once', async () => {
  upgrade({});
  await settled(3);
  players = await cluster.players(NAMESPACE, PLAYERS);
  expectOnce(
    await noticed(players, PLAYERS, async () => {
      upgrade({ config: { id: 'two' } });
      await settled(3);
    }),
  );
});

test('a step of the autoscaler changes nobody’s readiness: nobody is cut', async () => {
  const all = await noticed(players, PLAYERS, async () => {
    upgrade({ config: { id: 'two' }, autoscaling: { minReplicas: 4 } });
    await settled(4);
  });
  expect(all).toMatchObject({ cuts: [], others: [], unanswered: [] });
});

test('nor does one in the middle of a rollout: each is cut once', async () => {
  expectOnce(
    await noticed(players, PLAYERS, async () => {
      upgrade({ config: { id: 'three' }, autoscaling: { minReplicas: 4 } });
      await begun();
      const patch = JSON.stringify({ spec: { minReplicas: REPLICAS } });
      cluster.kubectl('-n', NAMESPACE, 'patch', 'hpa', 'pith', '-p', patch);
      await settled(REPLICAS);
    }),
  );
});

test('a node that is drained in the middle of a rollout does not keep it from its end', async () => {
  const all = await noticed(players, PLAYERS, async () => {
    upgrade({ config: { id: 'four' }, autoscaling: { minReplicas: REPLICAS } });
    await begun();
    // The replacement finds no other node that is real, so the budget holds the others back.
    cluster.run(['kubectl', 'drain', 'real', '--ignore-daemonsets', '--timeout=15s', '--force']);
    expect(cluster.pods(NAMESPACE).some(isReady)).toBe(true);
    cluster.kubectl('uncordon', 'real');
    await settled(REPLICAS);
  });
  expectOnlyDrains(all);
  // Who was on the gateway of the next generation that the drain took is cut a second time.
  expect(most(all)).toBeLessThanOrEqual(2);
});

test('a rollback in the middle of a rollout comes to its end, and nobody is cut more than twice', async () => {
  const all = await noticed(players, PLAYERS, async () => {
    upgrade({ config: { id: 'five' }, autoscaling: { minReplicas: REPLICAS } });
    await begun();
    // One of the old ones is gone: its place is taken by one that starts, whose label is the newest two minutes later.
    await eventually(
      () => cluster.pods(NAMESPACE).filter((pod) => !isReady(pod)).length < REPLICAS,
      'an older gateway to be gone',
      120_000,
    );
    cluster.kubectl('-n', NAMESPACE, 'rollout', 'undo', 'deploy/pith');
    await settled(REPLICAS, BACK_MS);
  });
  expectOnlyDrains(all);
  expect(most(all)).toBeLessThanOrEqual(2);
  const { template } = cluster.get('deploy', 'pith', '-n', NAMESPACE).spec;
  expect(JSON.stringify(template)).not.toContain('five');
}, 900_000);
