/**
 * What stands beside a fleet: NATS in the cluster, as deploy/nats makes it; a Secret with a certificate, which is
 * renewed; and an adapter that serves sessions as a metric, by which the fleet scales.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { parse } from 'yaml';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';

import type { Running } from '../support/process.ts';
import { eventually } from '../support/wait.ts';
import { CHART, Cluster, HOST, type KubeObject, merge, type Players, ROOT } from './cluster.ts';
import { expectOnlyDrains, noticed } from './noticed.ts';

const NAMESPACE = 'beside';
const PLAYERS = 12;
const SERVERS = 3;
const example = (name: string): object =>
  parse(readFileSync(join(CHART, 'examples', name), 'utf8')) as object;

const values = merge(example('nats.yaml'), {
  image: { registry: 'localhost' },
  replicaCount: 2,
  minReadySeconds: 2,
  preStopSeconds: 2,
  terminationGracePeriodSeconds: 30,
  resources: { requests: { cpu: '10m', memory: '64Mi' } },
  existingSecret: 'certificate',
  config: {
    listen: [
      {
        url: 'auto://0.0.0.0:3010',
        tls: { cert: '/etc/pith-secret/tls.crt', key: '/etc/pith-secret/tls.key' },
      },
    ],
    backends: { chat: { nats: {} } },
    routes: [{ match: 'chat.>', backend: 'chat', forward: ['room'] }],
    drain: { budget: '5s', accept_for: '1s' },
  },
});

/** The chat on NATS, in a pod of its own. */
const chat = {
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name: 'chat' },
  spec: {
    selector: { matchLabels: { app: 'chat' } },
    template: {
      metadata: { labels: { app: 'chat' } },
      spec: {
        securityContext: { runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } },
        containers: [
          {
            name: 'chat',
            image: 'localhost/chat-nats:local',
            env: [
              { name: 'NATS_URL', value: 'nats://nats:4222' },
              { name: 'NATS_USER', value: 'chat' },
              {
                name: 'NATS_PASSWORD',
                valueFrom: { secretKeyRef: { name: 'nats-users', key: 'NATS_CHAT_PASSWORD' } },
              },
            ],
            securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] } },
          },
        ],
      },
    },
  },
};

let cluster: Cluster;
const running: Running[] = [];
let players: Players;

beforeAll(() => {
  cluster = new Cluster(inject('cluster'));
  cluster.namespace(NAMESPACE);
  renewCertificate('first.example');
});

afterAll(async () => {
  await players?.[Symbol.asyncDispose]();
  for (const program of running) {
    program.kill('SIGTERM');
    await program.exited;
  }
  // A namespace is not deleted while an API of the cluster does not answer.
  cluster.kubectl('delete', 'apiservice', 'v1beta1.custom.metrics.k8s.io', '--ignore-not-found');
  cluster.kubectl('delete', 'namespace', NAMESPACE, '--wait=false');
});

/** Puts a new certificate for `name` into the Secret. */
function renewCertificate(name: string): void {
  const key = cluster.file('tls.key');
  const cert = cluster.file('tls.crt');
  const made = cluster.run([
    ...['openssl', 'req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '30'],
    ...['-subj', `/CN=${name}`, '-keyout', key, '-out', cert],
  ]);
  expect(made.code).toBe(0);
  cluster.apply(
    cluster.kubectl(
      ...['-n', NAMESPACE, 'create', 'secret', 'tls', 'certificate', `--cert=${cert}`],
      ...[`--key=${key}`, '--dry-run=client', '-o', 'yaml'],
    ),
  );
}

function upgrade(more: object = {}) {
  return cluster.helm(
    ['upgrade', '--install', 'pith', CHART, '-n', NAMESPACE],
    merge(values, more),
  );
}

async function settled(replicas = 2): Promise<KubeObject[]> {
  cluster.kubectl('-n', NAMESPACE, 'rollout', 'status', 'deploy/pith', '--timeout=300s');
  return eventually(
    () => {
      const { items } = cluster.get('pods', '-n', NAMESPACE, '-l', 'app.kubernetes.io/name=pith');
      return items.length === replicas && (items as KubeObject[]);
    },
    `${replicas} pods and no others`,
    300_000,
  );
}

const uids = (pods: KubeObject[]): Set<string> => new Set(pods.map(({ metadata }) => metadata.uid));

describe('NATS by kubectl apply -k deploy/nats', () => {
  test('three servers become one cluster, in a restricted namespace, without a warning', () => {
    const users = ['GATEWAY', 'OPERATOR', 'CHAT', 'WORLD', 'ROUTE'].map(
      (user) => `--from-literal=NATS_${user}_PASSWORD=p${Math.random().toString(16).slice(2)}`,
    );
    cluster.kubectl('-n', NAMESPACE, 'create', 'secret', 'generic', 'nats-users', ...users);
    const own = cluster.file('kustomization.yaml');
    writeFileSync(
      own,
      JSON.stringify({
        resources: [join('../'.repeat(dirname(own).split('/').length - 1), ROOT, 'deploy/nats')],
        images: [{ name: 'nats', newName: 'localhost/nats-server', newTag: 'local' }],
      }),
    );
    const applied = cluster.run(['kubectl', '-n', NAMESPACE, 'apply', '-k', dirname(own)]);
    expect({ code: applied.code, err: applied.err }).toEqual({ code: 0, err: '' });
    cluster.kubectl('-n', NAMESPACE, 'rollout', 'status', 'statefulset/nats', '--timeout=120s');
    const [pod] = cluster.get('pods', '-n', NAMESPACE, '-l', 'app.kubernetes.io/name=nats').items;
    const asked = cluster.run(['curl', '-sf', `http://${pod.status.podIP}:8222/routez`]);
    const routes = JSON.parse(asked.out) as { routes: { remote_name: string }[] };
    expect(new Set(routes.routes.map(({ remote_name: name }) => name)).size).toBe(2);
  });

  test('no one without the password becomes a route', () => {
    const [pod] = cluster.get('pods', '-n', NAMESPACE, '-l', 'app.kubernetes.io/name=nats').items;
    const route = `nats://${pod.status.podIP}:6222`;
    const port = ['--addr', HOST, '--port', '4300', '--cluster', `nats://${HOST}:4301`];
    const stranger = cluster.run(['timeout', '2', 'nats-server', ...port, '--routes', route]);
    expect(stranger.err).toMatch(/Authorization Violation/i);
  });

  test('the fleet and a chat in the cluster use it by name', async () => {
    cluster.run(['kubectl', '-n', NAMESPACE, 'apply', '-f', '-'], JSON.stringify(chat));
    const { code, err } = upgrade();
    expect({ code, err }).toEqual({ code: 0, err: '' });
    await settled();
    cluster.kubectl('-n', NAMESPACE, 'rollout', 'status', 'deploy/chat', '--timeout=120s');
    const tried = cluster.run(['helm', 'test', 'pith', '-n', NAMESPACE]);
    expect(tried.out).toContain('Phase:          Succeeded');
    players = await cluster.players(NAMESPACE, PLAYERS);
  });

  test('a rolling restart of NATS cuts nobody', async () => {
    const all = await noticed(players, PLAYERS, () => {
      cluster.kubectl('-n', NAMESPACE, 'rollout', 'restart', 'statefulset/nats');
      cluster.kubectl('-n', NAMESPACE, 'rollout', 'status', 'statefulset/nats', '--timeout=300s');
    });
    console.log(`NATS restarted: ${all.refused} of ${all.grown + all.refused} answered with 503`);
    expect(all.cuts).toEqual([]);
    expect(all.unanswered).toEqual([]);
    expect(all.others.filter((code) => code !== '503')).toEqual([]);
    // Each server that stops costs its clients one connection, and players what they ask meanwhile: a second at most.
    expect(all.refused).toBeLessThan(SERVERS * PLAYERS * 4);
    expect(all.grown).toBeGreaterThan(PLAYERS);
  });
});

describe('a certificate in existingSecret', () => {
  const served = (pod: KubeObject): string => {
    const at = `${pod.status.podIP}:3010`;
    const { out } = cluster.run(['openssl', 's_client', '-connect', at], '');
    return /^subject=CN ?= ?(.*)$/m.exec(out)?.[1] ?? out;
  };

  test('is taken over by running gateways when it is renewed; nobody is cut', async () => {
    const pods = await settled();
    for (const pod of pods) expect(served(pod)).toBe('first.example');
    const { cuts } = await noticed(players, PLAYERS, async () => {
      renewCertificate('second.example');
      for (const pod of pods)
        await eventually(() => served(pod) === 'second.example', 'the new certificate', 180_000);
    });
    expect(cuts).toEqual([]);
    expect(uids(await settled())).toEqual(uids(pods));
  });

  test('the next helm upgrade rolls the pods, and the one after it does not', async () => {
    const before = uids(await settled());
    const all = await noticed(players, PLAYERS, async () => {
      expect(upgrade().code).toBe(0);
      await settled();
    });
    expectOnlyDrains(all);
    const after = uids(await settled());
    expect([...before].filter((uid) => after.has(uid))).toEqual([]);
    expect(upgrade().code).toBe(0);
    expect(uids(await settled())).toEqual(after);
  });
});

describe('examples/autoscale-by-sessions.yaml', () => {
  const scaling = merge(example('autoscale-by-sessions.yaml'), {
    autoscaling: {
      metrics: [
        {
          type: 'Pods',
          pods: {
            metric: { name: 'pith_sessions' },
            target: { type: 'AverageValue', averageValue: '8' },
          },
        },
      ],
      // The chart's takes ten minutes to begin.
      behavior: {
        scaleDown: {
          stabilizationWindowSeconds: 5,
          policies: [{ type: 'Pods', value: 1, periodSeconds: 10 }],
        },
      },
    },
  });
  const replicas = (): number => cluster.get('deploy', 'pith', '-n', NAMESPACE).spec.replicas;

  test('the sample asks for the metric that gateways have', () => {
    const { autoscaling } = example('autoscale-by-sessions.yaml') as KubeObject;
    expect(autoscaling.metrics[0].pods.metric.name).toBe('pith_sessions');
  });

  test('more players bring more gateways, and nobody is cut', async () => {
    const port = 41_595;
    const adapter = [process.execPath, join(ROOT, 'test/cluster/custom-metrics.ts')];
    running.push(await cluster.start([...adapter, HOST, String(port)], /ready/));
    cluster.apply(adapterService(port));
    const crowd = await noticed(players, PLAYERS, async () => {
      expect(upgrade(scaling).code).toBe(0);
      // Twelve players on two are six each: it stays at two until there are more.
      await eventually(
        () => {
          const { status } = cluster.get('hpa', 'pith', '-n', NAMESPACE);
          return status.currentMetrics?.[0]?.pods?.current.averageValue === '6';
        },
        'the autoscaler to know of the players',
        120_000,
      );
      expect(replicas()).toBe(2);
      await using more = await cluster.players(NAMESPACE, 18);
      await eventually(() => replicas() === 4, 'four gateways for thirty players', 120_000);
      await settled(4);
      expect(more.seen().ends).toEqual([]);
    });
    expect(crowd.cuts).toEqual([]);
  });

  test('fewer players leave fewer gateways, one drained after the other', async () => {
    const all = await noticed(players, PLAYERS, async () => {
      await eventually(() => replicas() === 2, 'two gateways for twelve players', 180_000);
      await settled(2);
    });
    expectOnlyDrains(all);
    expect(new Set(all.cuts.map(({ gateway }) => gateway)).size).toBeLessThanOrEqual(2);
  });
});

/** The adapter beside the pods, as an aggregated API of the cluster. */
function adapterService(port: number): string {
  const metadata = { name: 'custom-metrics', namespace: NAMESPACE };
  const ports = [{ name: 'https', port, protocol: 'TCP' }];
  const objects = [
    { apiVersion: 'v1', kind: 'Service', metadata, spec: { ports: [{ ...ports[0], port: 443 }] } },
    {
      apiVersion: 'discovery.k8s.io/v1',
      kind: 'EndpointSlice',
      metadata: { ...metadata, labels: { 'kubernetes.io/service-name': metadata.name } },
      addressType: 'IPv4',
      endpoints: [{ addresses: [HOST], conditions: { ready: true } }],
      ports,
    },
    {
      apiVersion: 'apiregistration.k8s.io/v1',
      kind: 'APIService',
      metadata: { name: 'v1beta1.custom.metrics.k8s.io' },
      spec: {
        group: 'custom.metrics.k8s.io',
        version: 'v1beta1',
        service: metadata,
        insecureSkipTLSVerify: true,
        groupPriorityMinimum: 100,
        versionPriority: 100,
      },
    },
  ];
  return objects.map((object) => `---\n${JSON.stringify(object)}\n`).join('');
}
