/**
 * A fleet of three gateways with thirty players on a real cluster: what an operator does to it, and what the players
 * notice. NATS and the chat run beside the pods, so that only the gateways change.
 */
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';

import type { Running } from '../support/process.ts';
import { eventually } from '../support/wait.ts';
import { CHART, Cluster, HOST, type KubeObject, merge, type Players } from './cluster.ts';
import { expectOnlyDrains, noticed } from './noticed.ts';

const NAMESPACE = 'fleet';
const PLAYERS = 30;
const values = {
  image: { registry: 'localhost' },
  replicaCount: 3,
  minReadySeconds: 2,
  preStopSeconds: 2,
  terminationGracePeriodSeconds: 30,
  resources: { requests: { cpu: '10m', memory: '64Mi' } },
  config: {
    id: 'one',
    bus: `nats://${HOST}:4222`,
    backends: { chat: { grpc: `ipv4:${HOST}:9000` } },
    routes: [{ match: 'chat.>', backend: 'chat', forward: ['room'] }],
    drain: { budget: '5s', accept_for: '1s' },
  },
};

let cluster: Cluster;
const beside: Running[] = [];
let players: Players;

beforeAll(async () => {
  cluster = new Cluster(inject('cluster'));
  beside.push(
    await cluster.start(['nats-server', '-a', HOST, '-p', '4222'], /Server is ready/),
    await cluster.start(['env', `ADDR=${HOST}:9000`, cluster.chat('grpc')], /9000/),
  );
  cluster.namespace(NAMESPACE);
});

afterAll(async () => {
  await players?.[Symbol.asyncDispose]();
  for (const running of beside) {
    running.kill('SIGTERM');
    await running.exited;
  }
});

function upgrade(more: object, ...args: string[]) {
  return cluster.helm(
    ['upgrade', '--install', 'pith', CHART, '-n', NAMESPACE, ...args],
    merge(values, more),
  );
}

/** Waits until the Deployment is as it should be, and the old pods have gone. */
async function settled(replicas = 3): Promise<KubeObject[]> {
  cluster.kubectl('-n', NAMESPACE, 'rollout', 'status', 'deploy/pith', '--timeout=300s');
  return eventually(
    () => {
      const { items } = cluster.get('pods', '-n', NAMESPACE, '-l', 'app.kubernetes.io/name=pith');
      const isReady = ({ status }: KubeObject) =>
        status.conditions?.some(
          ({ type, status: is }: { type: string; status: string }) =>
            type === 'Ready' && is === 'True',
        );
      return items.length === replicas && items.every(isReady) && (items as KubeObject[]);
    },
    `${replicas} ready pods and no others`,
    300_000,
  );
}

function spec(): KubeObject {
  return cluster.get('deploy', 'pith', '-n', NAMESPACE).spec;
}

/** The last one that helm has carried out. */
function deployedRevision(): number {
  const { out } = cluster.run(['helm', 'history', 'pith', '-n', NAMESPACE, '-o', 'json']);
  const revisions = JSON.parse(out) as { revision: number; status: string }[];
  return revisions.findLast(({ status }) => status === 'deployed')!.revision;
}

/** The names that gateways have given themselves. */
function ids(pods: KubeObject[]): string[] {
  const names = pods.map(({ metadata }) => {
    const log = cluster.kubectl('-n', NAMESPACE, 'logs', metadata.name, '-c', 'pith');
    return /"gateway":"([a-z]+)-/.exec(log)?.[1] ?? 'none';
  });
  return [...new Set(names)];
}

describe('a fleet of three', () => {
  test('is installed with --wait, without a warning', async () => {
    const { code, err, out } = upgrade({}, '--wait', '--timeout', '5m');
    expect({ code, err }).toEqual({ code: 0, err: '' });
    expect(out).toContain('STATUS: deployed');
    const pods = await settled();
    expect(ids(pods)).toEqual(['one']);
    players = await cluster.players(NAMESPACE, PLAYERS);
  });

  test('helm test shakes hands with a gateway', () => {
    const [pod] = cluster.pods(NAMESPACE);
    // There is no cluster DNS here, so the test is given an address.
    const args = { helmTest: { args: ['client', `ws://${pod.status.podIP}:3010`] } };
    expect(upgrade(args, '--wait').code).toBe(0);
    const { code, out } = cluster.run(['helm', 'test', 'pith', '-n', NAMESPACE]);
    expect(out).toContain('Phase:          Succeeded');
    expect(code).toBe(0);
  });

  test('a change that pods do not see cuts nobody', async () => {
    const { cuts } = await noticed(players, PLAYERS, () => {
      expect(upgrade({ service: { annotations: { a: 'b' } } }, '--wait').code).toBe(0);
    });
    expect(cuts).toEqual([]);
  });

  test('live settings are followed without a rollout, and checked before', async () => {
    const before = spec().template;
    const { cuts } = await noticed(players, PLAYERS, async () => {
      expect(upgrade({ live: { log: { level: 'debug' } } }, '--wait').code).toBe(0);
      // The kubelet updates the mount when it next looks at the pod, in a minute or so.
      for (const { metadata } of await settled())
        await eventually(
          () =>
            /"why":"\/etc\/pith-live\/live\.yaml has changed","changed":\["log\.level"\]/.test(
              cluster.kubectl('-n', NAMESPACE, 'logs', metadata.name, '-c', 'pith'),
            ),
          `the reload of ${metadata.name}`,
          180_000,
        );
      const routes = [{ match: 'chat.>', backend: 'chatt' }];
      expect(upgrade({ live: { routes } }).err).toContain('pre-upgrade hooks failed');
    });
    expect(cuts).toEqual([]);
    expect(spec().template).toEqual(before);
  });

  test('an upgrade drains each pod: everything is answered, and each player is cut once per pod', async () => {
    const all = await noticed(players, PLAYERS, async () => {
      expect(upgrade({ config: { id: 'two' } }).code).toBe(0);
      expect(ids(await settled())).toEqual(['two']);
    });
    expectOnlyDrains(all);
    const { cuts, grown } = all;
    expect(new Set(cuts.map(({ gateway }) => gateway)).size).toBe(3);
    expect(grown).toBeGreaterThan(PLAYERS);
  });

  test('rollout undo brings the old settings back with the old pods', async () => {
    const all = await noticed(players, PLAYERS, async () => {
      cluster.kubectl('-n', NAMESPACE, 'rollout', 'undo', 'deploy/pith');
      expect(ids(await settled())).toEqual(['one']);
    });
    expectOnlyDrains(all);
    expect(upgrade({ config: { id: 'two' } }).code).toBe(0);
    await settled();
  });

  test('a wrong key is refused before anything changes', async () => {
    const { cuts } = await noticed(players, PLAYERS, () => {
      const { code, err } = upgrade({ config: { id: 'three', limits: { paket: '1KiB' } } });
      expect(code).not.toBe(0);
      expect(err).toContain("additional properties 'paket' not allowed");
    });
    expect(cuts).toEqual([]);
    expect(ids(await settled())).toEqual(['two']);
  });

  test('settings that only the gateway can judge are refused by the check, which says why', async () => {
    const { cuts } = await noticed(players, PLAYERS, () => {
      const routes = [{ match: 'chat.>', backend: 'chatt' }];
      const { code, err } = upgrade({ config: { id: 'three', routes } });
      expect(code).not.toBe(0);
      expect(err).toContain('pre-upgrade hooks failed');
      const log = cluster.kubectl('-n', NAMESPACE, 'logs', 'job/pith-check');
      expect(log).toContain('chatt');
    });
    expect(cuts).toEqual([]);
    expect(ids(await settled())).toEqual(['two']);
  });

  test('without the check, pods of the old ReplicaSet keep the old settings, and a rollback cuts nobody', async () => {
    const routes = [{ match: 'chat.>', backend: 'chatt' }];
    const revision = deployedRevision();
    const broken = await noticed(players, PLAYERS, async () => {
      const { code } = upgrade({ config: { id: 'three', routes }, check: { enabled: false } });
      expect(code).toBe(0);
      // The new pod cannot start; then an old one is lost.
      const crashed = await eventually(
        () =>
          cluster
            .pods(NAMESPACE)
            .find(({ status }) => (status.containerStatuses?.[0]?.restartCount ?? 0) > 0),
        'a new pod that cannot start',
        120_000,
      );
      const old = cluster
        .pods(NAMESPACE)
        .find(({ metadata }) => metadata.name !== crashed.metadata.name);
      // Waits until its players have gone.
      cluster.kubectl('-n', NAMESPACE, 'delete', 'pod', old.metadata.name);
      await eventually(
        () => cluster.get('deploy', 'pith', '-n', NAMESPACE).status.readyReplicas === 3,
        'three old pods',
        120_000,
      );
    });
    expectOnlyDrains(broken);
    expect(new Set(broken.cuts.map(({ gateway }) => gateway)).size).toBeLessThanOrEqual(1);
    const { cuts } = await noticed(players, PLAYERS, async () => {
      // Without a number it would go to the revision that the check refused.
      const back = ['helm', 'rollback', 'pith', String(revision), '-n', NAMESPACE];
      expect(cluster.run(back).code).toBe(0);
      expect(ids(await settled())).toEqual(['two']);
    });
    expect(cuts).toEqual([]);
  });

  test('autoscaling on keeps the replicas, and off with fewer is refused', async () => {
    const autoscaling = { enabled: true, minReplicas: 2, maxReplicas: 6 };
    const { cuts } = await noticed(players, PLAYERS, async () => {
      expect(upgrade({ config: { id: 'two' }, autoscaling }).code).toBe(0);
      expect(spec().replicas).toBe(3);
      expect(upgrade({ config: { id: 'two' }, autoscaling }).code).toBe(0);
      await settled();
      const off = upgrade({ config: { id: 'two' }, replicaCount: 1 });
      expect(off.code).not.toBe(0);
      expect(off.err).toContain(
        'turning autoscaling off with replicaCount 1 would stop 2 of 3 gateways at once',
      );
      expect(upgrade({ config: { id: 'two' } }).code).toBe(0);
      await settled();
    });
    expect(spec().replicas).toBe(3);
    expect(cuts).toEqual([]);
  });

  test('scaling up cuts nobody; scaling down drains the pod that goes', async () => {
    const up = await noticed(players, PLAYERS, async () => {
      expect(upgrade({ config: { id: 'two' }, replicaCount: 4 }).code).toBe(0);
      await settled(4);
    });
    expect(up.cuts).toEqual([]);
    const down = await noticed(players, PLAYERS, async () => {
      expect(upgrade({ config: { id: 'two' } }).code).toBe(0);
      await settled();
    });
    expectOnlyDrains(down);
    expect(new Set(down.cuts.map(({ gateway }) => gateway)).size).toBeLessThanOrEqual(1);
  });

  test('draining the node moves one gateway at a time', async () => {
    const all = await noticed(players, PLAYERS, async () => {
      // The replacement finds no other node that is real, so the budget holds the others back.
      cluster.run(['kubectl', 'drain', 'real', '--ignore-daemonsets', '--timeout=15s', '--force']);
      expect(cluster.get('deploy', 'pith', '-n', NAMESPACE).status.availableReplicas).toBe(2);
      cluster.kubectl('uncordon', 'real');
      await settled();
    });
    expectOnlyDrains(all);
    expect(new Set(all.cuts.map(({ gateway }) => gateway)).size).toBe(1);
  });

  test('uninstall drains everybody and leaves nothing behind', async () => {
    expect(cluster.run(['helm', 'uninstall', 'pith', '-n', NAMESPACE]).code).toBe(0);
    await eventually(() => players.seen().connected === 0, 'the players to be gone', 120_000);
    for (const { reason } of players.seen().ends) expect(reason).toMatch(/draining/);
    const kinds = 'deploy,replicaset,pod,service,configmap,secret,serviceaccount,pdb,hpa,job';
    const left = await eventually(
      () => {
        const { items } = cluster.get(
          kinds,
          '-n',
          NAMESPACE,
          '-l',
          'app.kubernetes.io/instance=pith',
        );
        return items.length === 0 && [];
      },
      'nothing to be left',
      120_000,
    );
    expect(left).toEqual([]);
  });
});
