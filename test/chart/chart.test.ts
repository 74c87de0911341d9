/** The chart, on the objects that it renders: what is there, what never is, and what it refuses to render. */
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import {
  CHART,
  clean,
  folder,
  type KubeObject,
  lint,
  read,
  refusal,
  render,
  ROOT,
  type Values,
} from './helm.ts';

afterAll(() => {
  clean();
});

const fleetFile = join(CHART, 'examples/fleet.yaml');
const sidecarFile = join(CHART, 'examples/sidecar.yaml');
/** The chart, the package and the default image are released in step. */
const VERSION = (
  JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { version: string }
).version;
const valuesOf = (file: string): Values => parse(readFileSync(file, 'utf8')) as Values;
const fleet = valuesOf(fleetFile);
const sidecar = valuesOf(sidecarFile);
const app = { name: 'chat', image: 'chat:1.0.0' };

/** Everything that the chart can make, in each mode. */
const everything: Values = {
  ...fleet,
  autoscaling: { enabled: true },
  resources: { requests: { cpu: '500m', memory: '256Mi' } },
  networkPolicy: {
    enabled: true,
    clientsFrom: [{ ipBlock: { cidr: '10.0.0.0/8' } }],
    healthFrom: [{ namespaceSelector: {} }],
    egress: [{ ports: [{ port: 4222, protocol: 'TCP' }] }],
  },
  metrics: {
    serviceMonitor: { enabled: true, interval: '15s', labels: { release: 'prometheus' } },
  },
  existingSecret: 'pith-secret',
  env: [{ name: 'PITH_LOG__LEVEL', value: 'debug' }],
  envFrom: [{ secretRef: { name: 'more' } }],
  extraVolumes: [{ name: 'sock', emptyDir: {} }],
  extraVolumeMounts: [{ name: 'sock', mountPath: '/run/app' }],
  imagePullSecrets: [{ name: 'pull' }],
  priorityClassName: 'high',
  nodeSelector: { 'kubernetes.io/os': 'linux' },
  tolerations: [{ key: 'games', operator: 'Exists' }],
  affinity: { nodeAffinity: {} },
  commonLabels: { team: 'games' },
  podAnnotations: { 'example.com/a': 'b' },
  podLabels: { tier: 'edge' },
  service: {
    type: 'LoadBalancer',
    nodePort: 30_010,
    appProtocol: 'kubernetes.io/ws',
    annotations: { 'example.com/a': 'b' },
    labels: { a: 'b' },
    externalTrafficPolicy: 'Local',
    loadBalancerClass: 'example.com/lb',
    loadBalancerSourceRanges: ['192.0.2.0/24'],
  },
};

const cases: Record<string, Values> = {
  default: {},
  fleet,
  sidecar,
  'sidecar, not native': { ...sidecar, sidecar: { native: false, containers: [app] } },
  'sidecar of another chart': { mode: 'sidecar', sidecar: { selector: { app: 'chat' } } },
  everything,
  'pod monitor': { metrics: { podMonitor: { enabled: true } } },
  'two listeners': { config: twoListeners() },
  'no hook': { preStopSeconds: 0 },
};

function twoListeners(): Values {
  return { listen: [{ url: 'ws://0.0.0.0:80' }, { url: 'tcp://[::]:4010' }] };
}

const podOf = (deployment: KubeObject) => deployment.spec.template.spec;

/** The gateway's container, wherever in the pod it is. */
function gatewayOf(deployment: KubeObject) {
  const { containers, initContainers = [] } = podOf(deployment);
  return [...containers, ...initContainers].find(({ name }: { name: string }) => name === 'pith');
}

describe('lint', () => {
  test.each([[[]], [[fleetFile]], [[sidecarFile]]])('helm lint --strict takes %j', (files) => {
    const { code, out } = lint(...files);
    expect(out).toContain('0 chart(s) failed');
    expect(code).toBe(0);
  });
});

describe.each(Object.entries(cases))('%s', (_, values) => {
  const rendered = render(values);

  test('every object has a kind, a name and labels', () => {
    expect(rendered.objects.length).toBeGreaterThan(0);
    for (const { apiVersion, kind, metadata } of rendered.objects) {
      expect(apiVersion).toBeTypeOf('string');
      expect(kind).toBeTypeOf('string');
      expect(metadata.name).toMatch(/^pith/);
      expect(metadata.labels?.['app.kubernetes.io/name']).toBe('pith');
    }
  });

  test('names are not used twice', () => {
    const names = rendered.objects.map(({ kind, metadata }) => `${kind} ${metadata.name}`);
    expect(new Set(names).size).toBe(names.length);
  });

  test('no object exposes control or admin', () => {
    const ports: unknown[] = [];
    JSON.stringify(rendered.objects, (key, value: unknown) => {
      if (/port$/i.test(key)) ports.push(value);
      return value;
    });
    for (const hidden of [7070, 7071, '7070', '7071', 'control', 'admin'])
      expect(ports).not.toContain(hidden);
  });

  test('the gateway takes the configuration that is rendered', () => {
    const file = join(folder('check'), 'pith.yaml');
    writeFileSync(file, rendered.the('ConfigMap').data!['pith.yaml']!);
    const { status, stderr } = spawnSync(
      process.execPath,
      [join(ROOT, 'src/main.ts'), 'check', '--config', file],
      { encoding: 'utf8' },
    );
    expect(stderr).toBe('');
    expect(status).toBe(0);
  });
});

const withPods = Object.entries(cases).filter(([name]) => name !== 'sidecar of another chart');

describe.each(withPods)('%s: the pods', (_, values) => {
  const rendered = render(values);

  test('probes ask the health port and nothing else', () => {
    const container = gatewayOf(rendered.the('Deployment'));
    const health = container.ports.find(({ name }: { name: string }) => name === 'health');
    expect(health.containerPort).toBe(7072);
    expect(container.ports.length).toBeGreaterThan(1);
    expect(container.startupProbe.httpGet).toEqual({ path: '/livez', port: 'health' });
    expect(container.livenessProbe.httpGet).toEqual({ path: '/livez', port: 'health' });
    expect(container.readinessProbe.httpGet).toEqual({ path: '/readyz', port: 'health' });
  });

  test('the container can do as little as possible', () => {
    const deployment = rendered.the('Deployment');
    expect(gatewayOf(deployment).securityContext).toEqual({
      runAsNonRoot: true,
      runAsUser: 65_532,
      runAsGroup: 65_532,
      readOnlyRootFilesystem: true,
      allowPrivilegeEscalation: false,
      privileged: false,
      capabilities: { drop: ['ALL'] },
      seccompProfile: { type: 'RuntimeDefault' },
    });
    expect(podOf(deployment).enableServiceLinks).toBe(false);
    expect(podOf(deployment).automountServiceAccountToken).toBe(false);
    expect(podOf(deployment).serviceAccountName).toBe('pith');
  });

  test('volumes and mounts fit together', () => {
    const pod = podOf(rendered.the('Deployment'));
    const volumes = pod.volumes.map(({ name }: { name: string }) => name);
    for (const { name } of gatewayOf(rendered.the('Deployment')).volumeMounts)
      expect(volumes).toContain(name);
  });

  test('every selector finds the pods', () => {
    const deployment = rendered.the('Deployment');
    const labels = deployment.spec.template.metadata.labels;
    const selectors = [
      deployment.spec.selector.matchLabels,
      ...rendered.objects.filter(({ kind }) => kind === 'Service').map(({ spec }) => spec.selector),
      ...rendered.objects
        .filter(({ kind }) => ['PodDisruptionBudget', 'PodMonitor'].includes(kind))
        .map(({ spec }) => spec.selector.matchLabels),
      ...rendered.objects
        .filter(({ kind }) => kind === 'NetworkPolicy')
        .map(({ spec }) => spec.podSelector.matchLabels),
      ...podOf(deployment).topologySpreadConstraints.map(
        (spread: { labelSelector: { matchLabels: unknown } }) => spread.labelSelector.matchLabels,
      ),
    ];
    for (const selector of selectors) expect(labels).toMatchObject(selector);
  });
});

describe('fleet', () => {
  test('the default is one gateway with the embedded bus', () => {
    const rendered = render();
    expect(rendered.objects.map(({ kind }) => kind).sort()).toEqual([
      'ConfigMap',
      'Deployment',
      'Service',
      'ServiceAccount',
    ]);
    expect(rendered.the('Deployment').spec.replicas).toBe(1);
    expect(rendered.the('Service').spec.ports).toEqual([
      { name: 'client', port: 3010, targetPort: 3010 },
    ]);
  });

  test('with NATS it has replicas, a disruption budget, and its configuration word for word', () => {
    const rendered = render(fleet);
    expect(rendered.the('Deployment').spec.replicas).toBe(3);
    expect(rendered.the('PodDisruptionBudget').spec.maxUnavailable).toBe(1);
    expect(rendered.config).toEqual(fleet['config']);
  });

  test('the configuration survives values that YAML likes to change', () => {
    const config = {
      id: '007',
      log: { level: 'info' },
      nats: { password: '${file:/etc/pith-secret/p}' },
      limits: { in_flight_per_backend: 5_000_000, packet: '64KiB' },
      telemetry: { metrics: true },
      backends: {
        gate: { reply: { code: 200, host: '0x10', text: 'yes', big: 9_007_199_254_740_991 } },
      },
      routes: [{ match: 'gate.>', backend: 'gate' }],
    };
    expect(render({ config }).config).toEqual(config);
  });

  test('SIGTERM comes after a native sleep, and there is time for the drain', () => {
    const pod = podOf(render().the('Deployment'));
    expect(pod.containers[0].lifecycle).toEqual({ preStop: { sleep: { seconds: 5 } } });
    expect(pod.terminationGracePeriodSeconds).toBe(60);
    expect(podOf(render({ preStopSeconds: 0 }).the('Deployment')).containers[0].lifecycle).toBe(
      undefined,
    );
  });

  test('a rollout takes no gateway away before there is another', () => {
    expect(render().the('Deployment').spec.strategy).toEqual({
      type: 'RollingUpdate',
      rollingUpdate: { maxUnavailable: 0, maxSurge: 1 },
    });
  });

  test('a change of the configuration rolls the pods, anything else in the values does not', () => {
    const checksum = (values: Values): unknown =>
      render(values).the('Deployment').spec.template.metadata.annotations['checksum/config'];
    expect(checksum({ config: { heartbeat: '10s' } })).not.toBe(checksum({}));
    expect(checksum({ service: { port: 80 } })).toBe(checksum({}));
  });

  test('ports come from the configuration', () => {
    const config = { ...twoListeners(), health: { listen: '0.0.0.0:9072' } };
    const rendered = render({ config, service: { port: 3010 } });
    expect(rendered.the('Service').spec.ports).toEqual([
      { name: 'client', port: 3010, targetPort: 80 },
      { name: 'client-2', port: 4010, targetPort: 4010 },
    ]);
    expect(gatewayOf(rendered.the('Deployment')).ports).toEqual([
      { name: 'client', containerPort: 80 },
      { name: 'client-2', containerPort: 4010 },
      { name: 'health', containerPort: 9072 },
    ]);
  });

  test('with autoscaling the Deployment says no number', () => {
    const rendered = render(everything);
    expect(rendered.the('Deployment').spec).not.toHaveProperty('replicas');
    expect(rendered.the('HorizontalPodAutoscaler').spec).toMatchObject({
      scaleTargetRef: { kind: 'Deployment', name: rendered.the('Deployment').metadata.name },
      minReplicas: 2,
      maxReplicas: 10,
    });
    expect(rendered.has('PodDisruptionBudget')).toBe(true);
  });

  test('the network policy opens the listeners and the health port', () => {
    const { spec } = render(everything).the('NetworkPolicy');
    expect(spec.ingress).toEqual([
      {
        ports: [{ protocol: 'TCP', port: 'client' }],
        from: [{ ipBlock: { cidr: '10.0.0.0/8' } }],
      },
      { ports: [{ protocol: 'TCP', port: 'health' }], from: [{ namespaceSelector: {} }] },
    ]);
    expect(spec.policyTypes).toEqual(['Ingress', 'Egress']);
    expect(
      render({ networkPolicy: { enabled: true } }).the('NetworkPolicy').spec.policyTypes,
    ).toEqual(['Ingress']);
  });

  test('metrics are scraped from the health port, which the Service for clients has not', () => {
    const rendered = render(everything);
    const services = rendered.objects.filter(({ kind }) => kind === 'Service');
    const metrics = services.find(({ metadata }) => metadata.name === 'pith-metrics')!;
    expect(metrics.spec.ports).toEqual([{ name: 'health', port: 7072, targetPort: 7072 }]);
    const monitor = rendered.the('ServiceMonitor').spec;
    expect(monitor.endpoints).toEqual([{ port: 'health', path: '/metrics', interval: '15s' }]);
    const found = services.filter(({ metadata }) =>
      Object.entries(monitor.selector.matchLabels as Record<string, string>).every(
        ([key, value]) => metadata.labels?.[key] === value,
      ),
    );
    expect(found).toEqual([metrics]);
    const pods = render({ metrics: { podMonitor: { enabled: true } } }).the('PodMonitor').spec;
    expect(pods.podMetricsEndpoints).toEqual([{ port: 'health', path: '/metrics' }]);
  });

  test('a ConfigMap and a Secret of your own are mounted', () => {
    const rendered = render({ existingConfigMap: 'mine', existingSecret: 'hush', replicaCount: 2 });
    expect(rendered.has('ConfigMap')).toBe(false);
    expect(podOf(rendered.the('Deployment')).volumes).toEqual([
      { name: 'pith-config', configMap: { name: 'mine' } },
      { name: 'pith-secret', secret: { secretName: 'hush', defaultMode: 0o444 } },
    ]);
  });

  test('an image is named by registry, tag or digest', () => {
    const image = (values: Values): unknown =>
      gatewayOf(render({ image: values }).the('Deployment')).image;
    const digest = `sha256:${'0'.repeat(64)}`;
    expect(image({})).toBe(`pith:${VERSION}`);
    expect(image({ registry: 'example.com/games', tag: '2' })).toBe('example.com/games/pith:2');
    expect(image({ tag: '2', digest })).toBe(`pith@${digest}`);
  });
});

describe('sidecar', () => {
  test('a native sidecar starts its drain when the pod is to go, and your container stays for it', () => {
    const pod = podOf(render(sidecar).the('Deployment'));
    const [gateway] = pod.initContainers;
    expect(gateway).toMatchObject({ name: 'pith', restartPolicy: 'Always' });
    expect(gateway.lifecycle.preStop.exec.command).toEqual([
      'node',
      '-e',
      'setTimeout(() => process.kill(1), 5000)',
    ]);
    const [chat] = pod.containers;
    expect(chat).toMatchObject({ name: 'chat', image: 'chat:1.0.0' });
    // preStop 5, budget 25, letting go 5.
    expect(chat.lifecycle.preStop.sleep.seconds).toBe(35);
    expect(pod.terminationGracePeriodSeconds).toBeGreaterThan(35);
    expect(pod).not.toHaveProperty('securityContext');
  });

  test('your own preStop is left as it is', () => {
    const lifecycle = { preStop: { exec: { command: ['/bin/stop'] } } };
    const values = { ...sidecar, sidecar: { containers: [{ ...app, lifecycle }] } };
    expect(podOf(render(values).the('Deployment')).containers[0].lifecycle).toEqual(lifecycle);
  });

  test('an ordinary container gets its SIGTERM at once, after the sleep', () => {
    const pod = podOf(
      render({ ...sidecar, sidecar: { native: false, containers: [app] } }).the('Deployment'),
    );
    expect(pod).not.toHaveProperty('initContainers');
    expect(pod.containers.map(({ name }: { name: string }) => name)).toEqual(['chat', 'pith']);
    expect(pod.containers[1].lifecycle).toEqual({ preStop: { sleep: { seconds: 5 } } });
    expect(pod.containers[1]).not.toHaveProperty('restartPolicy');
  });

  test('your init containers run before it', () => {
    const values = {
      ...sidecar,
      sidecar: { containers: [app], initContainers: [{ name: 'first' }] },
    };
    const { initContainers } = podOf(render(values).the('Deployment'));
    expect(initContainers.map(({ name }: { name: string }) => name)).toEqual(['first', 'pith']);
  });

  test('without containers there is the configuration only, and a Service for the pods you name', () => {
    const bare = render({ mode: 'sidecar' });
    expect(bare.objects.map(({ kind }) => kind)).toEqual(['ConfigMap']);
    const named = render({ mode: 'sidecar', sidecar: { selector: { app: 'chat' } } });
    expect(named.the('Service').spec.selector).toEqual({ app: 'chat' });
    expect(named.has('Deployment')).toBe(false);
  });

  test('another chart takes the container, the volumes and the times from the templates', () => {
    const parent = join(folder('parent'), 'chat');
    cpSync(join(ROOT, 'test/chart/parent'), parent, { recursive: true });
    mkdirSync(join(parent, 'charts'));
    cpSync(CHART, join(parent, 'charts/pith'), { recursive: true });
    const rendered = render({}, parent);
    const pod = podOf(rendered.the('Deployment'));
    expect(pod.initContainers).toHaveLength(1);
    expect(pod.initContainers[0]).toMatchObject({ name: 'pith', image: `pith:${VERSION}` });
    expect(pod.containers[0].lifecycle.preStop.sleep.seconds).toBe(35);
    expect(pod.terminationGracePeriodSeconds).toBe(60);
    expect(pod.volumes.map(({ name }: { name: string }) => name)).toEqual([
      'pith-config',
      'pith-secret',
    ]);
    expect(pod.volumes[0].configMap.name).toBe(rendered.the('ConfigMap').metadata.name);
    expect(rendered.the('Service').spec.selector).toEqual({ app: 'chat' });
  });
});

describe('refused, with the reason', () => {
  const nats = { bus: 'nats://nats:4222' };
  test.each<[string, Values, RegExp]>([
    [
      'the embedded bus with replicas',
      { replicaCount: 2 },
      /2 replicas with the embedded bus.*config\.bus/,
    ],
    [
      'the embedded bus with autoscaling',
      { autoscaling: { enabled: true }, resources: { requests: { cpu: 1 } } },
      /10 replicas with the embedded bus/,
    ],
    [
      'the embedded bus with replicas of a sidecar',
      { ...sidecar, replicaCount: 2 },
      /allowEmbeddedBusWithReplicas/,
    ],
    ['too little grace', { terminationGracePeriodSeconds: 34 }, /it needs at least 35/],
    [
      'a drain that is too long',
      { config: { drain: { budget: '1m', accept_for: '500ms' } } },
      /terminationGracePeriodSeconds is 60: it needs at least 71/,
    ],
    [
      'too little grace for your container',
      { ...sidecar, sidecar: { containers: [app], stopSeconds: 30 } },
      /needs at least 65.*sidecar\.stopSeconds \(30\)/,
    ],
    [
      'a drain that cannot be read',
      { config: { drain: { budget: '${env:BUDGET}' } } },
      /config\.drain\.budget is .*must be a duration/,
    ],
    [
      'control beyond loopback',
      { config: { control: { listen: '0.0.0.0:7070' } } },
      /config\.control\.listen/,
    ],
    [
      'admin beyond loopback',
      { config: { admin: { listen: '0.0.0.0:7071' } } },
      /config\.admin\.listen/,
    ],
    [
      'health on loopback',
      { config: { health: { listen: '127.0.0.1:7072' } } },
      /probes cannot reach/,
    ],
    [
      'a listener without a port',
      { config: { listen: [{ url: 'ws://0.0.0.0:0' }] } },
      /listen\[0\]\.url/,
    ],
    ['containers in a fleet', { sidecar: { containers: [app] } }, /mode: sidecar/],
    [
      'a container named as the gateway',
      { mode: 'sidecar', sidecar: { containers: [{ name: 'pith' }] } },
      /the name pith is reserved for the gateway/,
    ],
    [
      'a network policy for a sidecar',
      { ...sidecar, networkPolicy: { enabled: true } },
      /networkPolicy\.enabled is for mode: fleet/,
    ],
    [
      'autoscaling of pods that it does not make',
      { mode: 'sidecar', autoscaling: { enabled: true } },
      /your own chart creates the Deployment/,
    ],
    [
      'autoscaling upside down',
      { config: nats, autoscaling: { enabled: true, minReplicas: 3, maxReplicas: 2 } },
      /less than autoscaling\.minReplicas/,
    ],
    [
      'autoscaling by cpu without a request',
      { config: nats, autoscaling: { enabled: true } },
      /resources\.requests\.cpu/,
    ],
    [
      'both monitors',
      { metrics: { podMonitor: { enabled: true }, serviceMonitor: { enabled: true } } },
      /twice/,
    ],
  ])('%s', (_, values, message) => {
    expect(refusal(values)).toMatch(message);
  });

  test.each<[string, Values, string]>([
    ['an unknown value', { replicas: 3 }, 'replicas'],
    ['an unknown value further in', { image: { name: 'x' } }, 'name'],
    ['a mode that does not exist', { mode: 'daemonset' }, 'mode'],
    ['a number as text', { replicaCount: '2' }, 'replicaCount'],
    ['a port that does not exist', { service: { port: 70_000 } }, 'port'],
    ['a digest that is none', { image: { digest: 'latest' } }, 'digest'],
    ['an unknown key of the configuration', { config: { lisen: [] } }, 'lisen'],
    ['a negative time', { preStopSeconds: -1 }, 'preStopSeconds'],
    ['a backend that is text', { config: { backends: { chat: 'chat:9000' } } }, 'chat'],
  ])('by the schema: %s', (_, values, where) => {
    const said = refusal(values);
    expect(said).toContain("values don't meet the specifications of the schema");
    expect(said).toContain(where);
  });

  test.each<[string, Values]>([
    ['a NATS bus', { replicaCount: 2, config: nats }],
    [
      'a bus from the environment',
      { replicaCount: 2, env: [{ name: 'PITH_BUS', value: nats.bus }] },
    ],
    ['the word of whoever knows', { replicaCount: 2, allowEmbeddedBusWithReplicas: true }],
    ['a ConfigMap of your own', { replicaCount: 2, existingConfigMap: 'mine' }],
    ['a bus by reference', { replicaCount: 2, config: { bus: '${env:NATS_URL}' } }],
    ['exactly enough grace', { terminationGracePeriodSeconds: 35 }],
    ['control on a socket', { config: { control: { listen: 'unix:/run/pith.sock' } } }],
  ])('but not with %s', (_, values) => {
    expect(render(values).has('Deployment')).toBe(true);
  });
});

describe('kept in step', () => {
  test("the schema knows the first level of the gateway's own keys", () => {
    const schema = JSON.parse(readFileSync(join(CHART, 'values.schema.json'), 'utf8')) as {
      properties: Record<string, { properties?: Record<string, unknown> }>;
    };
    const every = parse(readFileSync(join(ROOT, 'deploy/pith.yaml'), 'utf8')) as Values;
    expect(Object.keys(schema.properties['config']!.properties!).sort()).toEqual(
      Object.keys(every).sort(),
    );
    const values = valuesOf(join(CHART, 'values.yaml'));
    expect(Object.keys(schema.properties).sort()).toEqual(
      ['global', ...Object.keys(values)].sort(),
    );
  });

  test('the version of the chart is that of the gateway', () => {
    const chart = parse(readFileSync(join(CHART, 'Chart.yaml'), 'utf8')) as Values;
    const own = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as Values;
    expect(chart['appVersion']).toBe(own['version']);
  });

  test('deploy/README.md names every value', () => {
    const page = readFileSync(join(ROOT, 'deploy/README.md'), 'utf8');
    const table = page.slice(page.indexOf('| value |')).split('\n\n', 1)[0]!;
    const rows = table.split('\n').filter((line) => line.startsWith('| `'));
    const named = new Set(rows.flatMap((row) => row.split('|')[1]!.match(/[A-Za-z.]+/g) ?? []));
    const values = valuesOf(join(CHART, 'values.yaml'));
    expect([...Object.keys(values)].filter((key) => !named.has(key))).toEqual([]);
    expect([...named].filter((key) => !(key.split('.')[0]! in values))).toEqual([]);
  });

  test.each(['fleet', 'sidecar'])('deploy/manifests/%s.yaml is what the chart renders', (name) => {
    const made = folder('manifests');
    const { status } = spawnSync('sh', [join(ROOT, 'deploy/manifests/render.sh'), made]);
    expect(status).toBe(0);
    const text = readFileSync(join(ROOT, `deploy/manifests/${name}.yaml`), 'utf8');
    expect(text, 'run make manifests').toBe(readFileSync(join(made, `${name}.yaml`), 'utf8'));
    expect(read(text).has('Deployment')).toBe(true);
    expect(text).not.toMatch(/helm\.sh|managed-by/);
  });
});

describe('the notes', () => {
  // Helm shows them only where there is a cluster, so here they are rendered as a file of the chart.
  function notes(values: Values): string {
    const chart = join(folder('notes'), 'pith');
    cpSync(CHART, chart, { recursive: true });
    cpSync(join(CHART, 'templates/NOTES.txt'), join(chart, 'notes.txt'));
    writeFileSync(
      join(chart, 'templates/notes.yaml'),
      'kind: Notes\ndata:\n  text: |\n{{ tpl (.Files.Get "notes.txt") . | indent 4 }}\n',
    );
    return render(values, chart).the('Notes').data!['text']!;
  }

  test('tell how to reach control from outside', () => {
    const text = notes(fleet);
    expect(text).toContain('port-forward deploy/pith 7070:7070');
    expect(text).toContain('grpcurl -plaintext 127.0.0.1:7070 pith.v1.Control/ListSessions');
    expect(text).not.toContain('The bus is embedded');
    expect(notes({})).toContain('The bus is embedded');
    expect(notes({ mode: 'sidecar' })).toContain(
      'include "pith.sidecar.container" .Subcharts.pith',
    );
    expect(notes({ existingConfigMap: 'mine', replicaCount: 2 })).toContain('does not look into');
  });
});

const hasGo = spawnSync('go', ['version']).status === 0;

describe.runIf(hasGo)("against Kubernetes' own types", () => {
  let strict = '';
  beforeAll(() => {
    strict = join(folder('strict'), 'strict');
    const built = spawnSync('go', ['build', '-o', strict, '.'], {
      cwd: join(ROOT, 'test/chart/strict'),
      encoding: 'utf8',
    });
    if (built.status !== 0) throw new Error(built.stderr);
  });

  const decode = (text: string): { lines: string[]; code: number | null } => {
    const { stdout, status } = spawnSync(strict, { input: text, encoding: 'utf8' });
    return { lines: stdout.trimEnd().split('\n'), code: status };
  };

  test.each(Object.entries(cases))('%s: no field is unknown or of another type', (_, values) => {
    const rendered = render(values);
    const { lines, code } = decode(rendered.text);
    expect(lines).toHaveLength(rendered.objects.length);
    // The monitors are the Prometheus Operator's.
    for (const line of lines) expect(line).toMatch(/: ok$|^(Pod|Service)Monitor .*unknown kind/);
    expect(code).toBe(0);
  });

  test('a field that does not exist is found', () => {
    const { lines, code } = decode(render().text.replace('seconds: 5', 'second: 5'));
    expect(lines.join('\n')).toContain('Deployment pith: ');
    expect(lines.join('\n')).toContain('unknown field "second"');
    expect(code).toBe(1);
  });
});
