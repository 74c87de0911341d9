/**
 * What a real API server says of what the chart renders, value set by value set, in a namespace that enforces the
 * restricted standard: created and server-side applied, both as a dry run. Nothing that the chart lets through may be
 * refused or warned of, but for what stands in the values as it goes to the server, unread by the chart.
 */
import { beforeAll, expect, inject, test } from 'vitest';

import { CHART, Cluster } from './cluster.ts';

const nats = { bus: 'nats://nats:4222' };
const restricted = {
  allowPrivilegeEscalation: false,
  capabilities: { drop: ['ALL'] },
  runAsNonRoot: true,
  seccompProfile: { type: 'RuntimeDefault' },
};
const chat = { name: 'chat', image: 'chat:1', securityContext: restricted };
const sidecar = { mode: 'sidecar', sidecar: { containers: [chat] } };
const sysctls = [{ name: 'net.ipv4.ip_unprivileged_port_start', value: '80' }];

/** taken: without a word. chart: refused by the chart. server: by the server, whose message names the field. */
type Verdict = 'taken' | 'chart' | RegExp;

const cases: [string, object, Verdict][] = [
  ['the defaults', {}, 'taken'],
  [
    'a fleet behind a load balancer',
    {
      replicaCount: 3,
      config: nats,
      service: {
        type: 'LoadBalancer',
        externalTrafficPolicy: 'Local',
        loadBalancerSourceRanges: ['10.0.0.0/8'],
        loadBalancerClass: 'x/y',
      },
    },
    'taken',
  ],
  [
    'nearly everything',
    {
      config: {
        ...nats,
        listen: [{ url: 'auto://0.0.0.0:3010' }, { url: 'tcp://0.0.0.0:3011' }],
        drain: { budget: '40s', accept_for: '5s' },
      },
      autoscaling: { enabled: true },
      resources: { requests: { cpu: '500m', memory: '256Mi' }, limits: { memory: '512Mi' } },
      networkPolicy: {
        enabled: true,
        clientsFrom: [{ ipBlock: { cidr: '0.0.0.0/0' } }],
        healthFrom: [{ namespaceSelector: {} }],
        egress: [{ to: [{ podSelector: {} }] }],
      },
      existingSecret: 's',
      env: [{ name: 'PITH_LOG__LEVEL', value: 'debug' }],
      envFrom: [{ secretRef: { name: 'x', optional: true } }],
      podLabels: { a: 'b' },
      podAnnotations: { c: 'd' },
      annotations: { e: 'f' },
      commonLabels: { team: 'x' },
      commonAnnotations: { owner: 'x' },
      priorityClassName: 'system-cluster-critical',
      nodeSelector: { 'kubernetes.io/os': 'linux' },
      tolerations: [{ key: 'a', operator: 'Exists' }],
      affinity: {
        podAntiAffinity: {
          preferredDuringSchedulingIgnoredDuringExecution: [
            {
              weight: 1,
              podAffinityTerm: {
                topologyKey: 'kubernetes.io/hostname',
                labelSelector: { matchLabels: { a: 'b' } },
              },
            },
          ],
        },
      },
      hostAliases: [{ ip: '10.0.0.1', hostnames: ['nats'] }],
      dnsPolicy: 'ClusterFirst',
      dnsConfig: { options: [{ name: 'ndots', value: '2' }] },
      extraContainers: [{ ...chat, ports: [{ name: 'http', containerPort: 9000 }] }],
      initContainers: [{ ...chat, name: 'first' }],
      lifecycle: { postStart: { exec: { command: ['node', '-v'] } } },
      terminationGracePeriodSeconds: 90,
      service: {
        type: 'NodePort',
        ports: [{ name: 'ws', port: 80, nodePort: 41_570, appProtocol: 'kubernetes.io/ws' }],
        trafficDistribution: 'PreferSameZone',
        sessionAffinity: 'ClientIP',
        sessionAffinityConfig: { clientIP: { timeoutSeconds: 60 } },
        ipFamilyPolicy: 'SingleStack',
      },
      ingress: { enabled: true, className: 'nginx', hosts: ['a.example.com'], tls: [{}] },
      extraVolumes: [{ name: 'tls', secret: { secretName: 'tls' } }],
      extraVolumeMounts: [{ name: 'tls', mountPath: '/tls' }],
      extraObjects: [{ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'mine' } }],
      patches: { Deployment: { spec: { paused: true } } },
    },
    'taken',
  ],
  ['Recreate', { strategy: { type: 'Recreate' } }, 'taken'],
  ['Recreate, with null', { strategy: { type: 'Recreate', rollingUpdate: null } }, 'taken'],
  ['no surge, none unavailable', { strategy: { rollingUpdate: { maxSurge: 0 } } }, 'chart'],
  [
    'no surge, one unavailable',
    { strategy: { rollingUpdate: { maxSurge: 0, maxUnavailable: 1 } } },
    'taken',
  ],
  ['a local policy of a ClusterIP', { service: { externalTrafficPolicy: 'Local' } }, 'chart'],
  ['a node port of a ClusterIP', { service: { ports: [{ nodePort: 41_570 }] } }, 'chart'],
  ['a class of a ClusterIP', { service: { loadBalancerClass: 'x/y' } }, 'chart'],
  ['ranges of a ClusterIP', { service: { loadBalancerSourceRanges: ['10.0.0.0/8'] } }, 'chart'],
  [
    'a range that is none',
    { service: { type: 'LoadBalancer', loadBalancerSourceRanges: ['10.0.0.1'] } },
    'chart',
  ],
  [
    'one Service port twice',
    {
      service: { ports: [{ port: 3011 }] },
      config: { listen: [{ url: 'ws://0.0.0.0:3010' }, { url: 'tcp://0.0.0.0:3011' }] },
    },
    'chart',
  ],
  [
    'two listeners on one port',
    { config: { listen: [{ url: 'ws://0.0.0.0:3010' }, { url: 'tcp://0.0.0.0:3010' }] } },
    'chart',
  ],
  ['clients on the health port', { config: { listen: [{ url: 'ws://0.0.0.0:7072' }] } }, 'chart'],
  ['the Service on 443', { service: { ports: [{ port: 443 }] } }, 'taken'],
  ['a listener on 80', { config: { listen: [{ url: 'ws://0.0.0.0:80' }] } }, 'chart'],
  [
    'a listener on 80, allowed',
    {
      config: { listen: [{ url: 'ws://0.0.0.0:80' }] },
      podSecurityContext: { sysctls },
    },
    'taken',
  ],
  [
    'IPv6 listeners',
    { config: { listen: [{ url: 'ws://[::]:3010' }], health: { listen: '[::]:7072' } } },
    'taken',
  ],
  ['nameOverride Pith_X', { nameOverride: 'Pith_X' }, 'chart'],
  ['nameOverride 1234', { nameOverride: '1234' }, 'taken'],
  ['fullnameOverride 9pith', { fullnameOverride: '9pith' }, 'chart'],
  ['fullnameOverride a.b', { fullnameOverride: 'a.b' }, 'chart'],
  ['serviceAccount.name 1234', { serviceAccount: { name: '1234' } }, 'taken'],
  ['existingConfigMap 1234', { existingConfigMap: '1234', replicaCount: 2 }, 'taken'],
  ['liveness that must succeed twice', { probes: { liveness: { successThreshold: 2 } } }, 'chart'],
  [
    'readiness that ends pods',
    { probes: { readiness: { terminationGracePeriodSeconds: 5 } } },
    'chart',
  ],
  ['minReadySeconds 600', { minReadySeconds: 600 }, 'chart'],
  ['no hook', { preStopSeconds: 0 }, 'taken'],
  ['a long hook', { preStopSeconds: 300, terminationGracePeriodSeconds: 600 }, 'taken'],
  [
    "commonLabels with the selector's",
    { commonLabels: { 'app.kubernetes.io/name': 'x' } },
    'chart',
  ],
  ['commonLabels with part-of', { commonLabels: { 'app.kubernetes.io/part-of': 'game' } }, 'taken'],
  ["podLabels with the selector's", { podLabels: { 'app.kubernetes.io/instance': 'x' } }, 'chart'],
  ['one label in both', { podLabels: { team: 'a' }, commonLabels: { team: 'b' } }, 'taken'],
  [
    'a variable twice',
    {
      env: [
        { name: 'A', value: '1' },
        { name: 'A', value: '2' },
      ],
    },
    'chart',
  ],
  ['a number as a variable', { env: [{ name: 'A', value: 1 }] }, 'chart'],
  ['memory in MB', { resources: { limits: { memory: '512MB' } } }, 'chart'],
  [
    'a request above its limit',
    { resources: { requests: { memory: '1Gi' }, limits: { memory: '512Mi' } } },
    /must be less than or equal to memory limit/,
  ],
  [
    'a budget of none',
    { replicaCount: 2, config: nats, podDisruptionBudget: { maxUnavailable: 0 } },
    'chart',
  ],
  [
    'a budget of half',
    { replicaCount: 2, config: nats, podDisruptionBudget: { maxUnavailable: '50%' } },
    'taken',
  ],
  [
    'a budget of 500%',
    { replicaCount: 2, config: nats, podDisruptionBudget: { maxUnavailable: '500%' } },
    'chart',
  ],
  [
    'a budget by minAvailable',
    { replicaCount: 3, config: nats, podDisruptionBudget: { minAvailable: 2 } },
    'taken',
  ],
  [
    'scaling by sessions',
    {
      config: nats,
      autoscaling: {
        enabled: true,
        metrics: [
          {
            type: 'Pods',
            pods: {
              metric: { name: 'pith_sessions' },
              target: { type: 'AverageValue', averageValue: '2000' },
            },
          },
        ],
      },
    },
    'taken',
  ],
  [
    'a metric misspelt',
    {
      config: nats,
      autoscaling: { enabled: true, metrics: [{ type: 'Pods', pod: { metric: { name: 'x' } } }] },
    },
    /spec\.metrics\[0\]\.pod\b/,
  ],
  ['spread as one likes', { topologySpreadConstraints: [] }, 'taken'],
  ['no service account', { serviceAccount: { create: false } }, 'taken'],
  ['a mount without a volume', { extraVolumeMounts: [{ name: 'x', mountPath: '/x' }] }, 'chart'],
  ["the chart's own volume", { extraVolumes: [{ name: 'pith-config', emptyDir: {} }] }, 'chart'],
  [
    'a volume misspelt',
    { extraVolumes: [{ name: 'x', emptydir: {} }] },
    /spec\.template\.spec\.volumes\[[^\]]*\]\.emptydir\b/,
  ],
  [
    'affinity misspelt',
    { affinity: { podAntiAfinity: {} } },
    /spec\.template\.spec\.affinity\.podAntiAfinity\b/,
  ],
  ['a sidecar', sidecar, 'taken'],
  [
    'a sidecar that is not native',
    { mode: 'sidecar', sidecar: { native: false, containers: [chat] } },
    'taken',
  ],
  ['a sidecar that scales', { ...sidecar, config: nats, autoscaling: { enabled: true } }, 'taken'],
  [
    "a sidecar beside the gateway's port name",
    {
      mode: 'sidecar',
      sidecar: { containers: [{ ...chat, ports: [{ name: 'health', containerPort: 9001 }] }] },
    },
    'chart',
  ],
  [
    "a sidecar beside the gateway's port",
    {
      mode: 'sidecar',
      sidecar: { containers: [{ ...chat, ports: [{ name: 'http', containerPort: 7072 }] }] },
    },
    'chart',
  ],
  [
    'a sidecar with postStart',
    {
      mode: 'sidecar',
      sidecar: {
        containers: [{ ...chat, lifecycle: { postStart: { exec: { command: ['true'] } } } }],
      },
    },
    'taken',
  ],
  ['a sidecar without a hook', { ...sidecar, preStopSeconds: 0 }, 'taken'],
  ['a sidecar of another chart', { mode: 'sidecar', sidecar: { selector: { app: 'x' } } }, 'taken'],
];

let cluster: Cluster;

beforeAll(() => {
  cluster = new Cluster(inject('cluster'));
  cluster.namespace('strict');
});

/** What the server says: '' without a word, else its errors and warnings. */
function verdictOf(manifest: string, ...how: string[]): string {
  const { code, err } = cluster.run(
    [
      'kubectl',
      'apply',
      '-n',
      'strict',
      '--dry-run=server',
      '--validate=strict',
      ...how,
      '-f',
      '-',
    ],
    manifest,
  );
  return code === 0 ? err.trim() : err.trim() || `exit ${code}`;
}

const judgedBy = (is: (verdict: Verdict) => boolean) =>
  cases.filter(([, , verdict]) => is(verdict));

test.each(judgedBy((verdict) => verdict === 'taken'))('the server takes %s', (_, values) => {
  const { out, err } = cluster.helm(['template', 'try', CHART, '-n', 'strict'], values);
  expect(err).toBe('');
  expect([verdictOf(out), verdictOf(out, '--server-side')]).toEqual(['', '']);
});

test.each(judgedBy((verdict) => verdict === 'chart'))('the chart refuses %s', (_, values) => {
  const { code, err } = cluster.helm(['template', 'try', CHART, '-n', 'strict'], values);
  expect(code).not.toBe(0);
  expect(err).not.toMatch(/nil pointer|reflect|can't evaluate/);
});

test.each(judgedBy((verdict) => verdict instanceof RegExp))(
  'the server refuses %s, and names the field',
  (_, values, verdict) => {
    const { out, err } = cluster.helm(['template', 'try', CHART, '-n', 'strict'], values);
    expect(err).toBe('');
    expect(verdictOf(out)).toMatch(verdict as RegExp);
    expect(verdictOf(out, '--server-side')).toMatch(verdict as RegExp);
  },
);

test.each([
  ['existingConfigMap', 'ConfigMap', 'config'],
  ['existingSecret', 'Secret', 'secret'],
])('the pods change with the content of %s', (key, kind, stamp) => {
  const rendered = (content: string): string | undefined => {
    const data = { [kind === 'Secret' ? 'stringData' : 'data']: { 'pith.yaml': content } };
    const object = { apiVersion: 'v1', kind, metadata: { name: 'own', namespace: 'strict' } };
    cluster.apply(JSON.stringify({ ...object, ...data }));
    const install = ['install', 'own', CHART, '-n', 'strict', '--dry-run=server'];
    const { code, out, err } = cluster.helm(install, { [key]: 'own' });
    expect({ code, err }).toEqual({ code: 0, err: '' });
    return new RegExp(`checksum/existing-${stamp}: "([0-9a-f]{64})"`).exec(out)?.[1];
  };
  const before = rendered('{}');
  expect(before).toHaveLength(64);
  expect(rendered('{}')).toBe(before);
  expect(rendered('id: two')).not.toBe(before);
});

test.each(['y', 'on', '1234', '1e3', 'a.b', '0x10'])('a release called %s is installed', (name) => {
  const { code, err } = cluster.helm(['install', name, CHART, '-n', 'strict', '--dry-run=server']);
  expect({ code, err }).toEqual({ code: 0, err: '' });
  const rendered = cluster.helm(['template', name, CHART, '-n', 'strict']);
  expect(verdictOf(rendered.out)).toBe('');
});
