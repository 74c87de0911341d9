/** The chart, on the objects that it renders: what is there, what never is, and what it refuses to render. */
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { configJsonSchema } from '../../src/config/json-schema.ts';
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
const natsExample = valuesOf(join(CHART, 'examples/nats.yaml'));
const autoscaleExample = valuesOf(join(CHART, 'examples/autoscale-by-sessions.yaml'));
const app = { name: 'chat', image: 'chat:1.0.0' };

const CONFIG_ARGS = ['--config', '/etc/pith/pith.yaml', '--live', '/etc/pith-live/live.yaml'];

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
    ports: [{ port: 80, nodePort: 30_010, appProtocol: 'kubernetes.io/ws' }],
    annotations: { 'example.com/a': 'b' },
    labels: { a: 'b' },
    externalTrafficPolicy: 'Local',
    loadBalancerClass: 'example.com/lb',
    loadBalancerSourceRanges: ['192.0.2.0/24'],
    trafficDistribution: 'PreferClose',
    sessionAffinity: 'ClientIP',
    sessionAffinityConfig: { clientIP: { timeoutSeconds: 60 } },
    ipFamilyPolicy: 'PreferDualStack',
    ipFamilies: ['IPv4', 'IPv6'],
  },
  ingress: {
    enabled: true,
    className: 'nginx',
    hosts: ['play.example.com'],
    tls: [{ secretName: 'play', hosts: ['play.example.com'] }],
  },
  httpRoute: { enabled: true, parentRefs: [{ name: 'public' }], hostnames: ['play.example.com'] },
  tcpRoute: { enabled: true, parentRefs: [{ name: 'public', sectionName: 'tcp' }] },
  extraContainers: [{ name: 'logs', image: 'logs:1', ports: [{ containerPort: 9000 }] }],
  initContainers: [{ name: 'wait', image: 'wait:1' }],
  lifecycle: { postStart: { exec: { command: ['true'] } } },
  hostAliases: [{ ip: '10.0.0.1', hostnames: ['nats'] }],
  dnsPolicy: 'ClusterFirst',
  dnsConfig: { options: [{ name: 'ndots', value: '2' }] },
  runtimeClassName: 'gvisor',
  schedulerName: 'mine',
  annotations: { 'example.com/reload': 'true' },
  commonAnnotations: { owner: 'games' },
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
  'the NATS of deploy/nats': natsExample,
  'scaled by sessions': { ...natsExample, ...autoscaleExample },
};

function twoListeners(): Values {
  return { listen: [{ url: 'ws://0.0.0.0:8080' }, { url: 'tcp://[::]:4010' }] };
}

/** What a pod of this template reads as /etc/pith/pith.yaml. */
const settingsOf = (template: { metadata: { annotations: Record<string, string> } }): string =>
  template.metadata.annotations['pith.yaml']!;

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
      expect(metadata.labels?.['app.kubernetes.io/name']).toMatch(/^pith/);
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
    const { template } = rendered.the('Job').spec;
    writeFileSync(file, settingsOf(template));
    const environment = (template.spec.containers[0].env ?? []).map(
      ({ name, value }: { name: string; value?: string }) => [name, value ?? 'from a Secret'],
    );
    const { status, stderr } = spawnSync(
      process.execPath,
      [join(ROOT, 'src/main.ts'), 'check', '--config', file],
      { encoding: 'utf8', env: { ...process.env, ...Object.fromEntries(environment) } },
    );
    // Their NATS is in the same cluster, with a password and without TLS.
    const isPlain = environment.some(([name]: string[]) => name === 'NATS_GATEWAY_PASSWORD');
    expect(stderr.replace(/^warning: \S+: /, '').trim()).toBe(
      isPlain
        ? 'nats.password: it crosses the network unencrypted unless the server insists on TLS: use tls:// in bus, or nkey or creds, which never send their seed'
        : '',
    );
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
      'Job',
      'Pod',
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

  test('with drain.generations each rollout has its label, and unready pods are not evicted at once', () => {
    const on = { ...(fleet['config'] as object), drain: { generations: true } };
    const rendered = render({ ...fleet, config: on, env: [{ name: 'A', value: 'b' }] });
    expect(rendered.the('PodDisruptionBudget').spec.unhealthyPodEvictionPolicy).toBe('IfHealthyBudget'); // prettier-ignore
    expect(rendered.the('Deployment').spec.template.spec.containers[0].env).toEqual([
      {
        name: 'POD_TEMPLATE_HASH',
        valueFrom: { fieldRef: { fieldPath: "metadata.labels['pod-template-hash']" } },
      },
      { name: 'PITH_GENERATION', value: 'pith/$(POD_TEMPLATE_HASH)' },
      { name: 'A', value: 'b' },
    ]);
    // The job that checks the settings has no such hash.
    expect(rendered.the('Job').spec.template.spec.containers[0].env).toEqual([
      { name: 'PITH_GENERATION', value: 'pith/check' },
      { name: 'A', value: 'b' },
    ]);
    const named = render({ ...fleet, config: { ...on, generation: 'mine' } });
    expect(named.the('Deployment').spec.template.spec.containers[0].env).toBe(undefined);
    const off = render(fleet);
    expect(off.the('PodDisruptionBudget').spec.unhealthyPodEvictionPolicy).toBe('AlwaysAllow');
    expect(off.the('Deployment').spec.template.spec.containers[0].env).toBe(undefined);
  });

  test('the configuration survives values that YAML likes to change', () => {
    const config = {
      id: '007',
      log: { level: 'info' },
      nats: { password: '${file:/etc/pith-secret/p}' },
      limits: { in_flight_per_backend: 900_000, packet: '64KiB' },
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

  test('the settings are a part of the pod, so that each ReplicaSet has its own', () => {
    const { template } = render({ config: { heartbeat: '10s' } }).the('Deployment').spec;
    expect(parse(settingsOf(template))).toEqual({ heartbeat: '10s' });
    expect(template.spec.volumes).toEqual([
      {
        name: 'pith-config',
        downwardAPI: {
          items: [
            { path: 'pith.yaml', fieldRef: { fieldPath: "metadata.annotations['pith.yaml']" } },
          ],
        },
      },
      { name: 'pith-live', configMap: { name: 'pith-live' } },
    ]);
    const before = render().the('Deployment').spec.template;
    expect(render({ service: { ports: [{ port: 80 }] } }).the('Deployment').spec.template).toEqual(
      before,
    );
  });

  test('what may change while gateways run is in a ConfigMap, and no part of the pods', () => {
    const before = render();
    const live = { routes: [{ match: 'a', backend: 'b' }], log: { level: 'debug' } };
    const after = render({ live });
    const { spec } = after.the('Deployment');
    expect(spec).toEqual(before.the('Deployment').spec);
    expect(spec.template.spec.containers[0].args).toEqual(['serve', ...CONFIG_ARGS]);
    expect(spec.template.spec.containers[0].volumeMounts).toContainEqual({
      name: 'pith-live',
      mountPath: '/etc/pith-live',
      readOnly: true,
    });
    expect(before.the('ConfigMap').data).toEqual({ 'live.yaml': '{}' });
    expect(after.the('ConfigMap').metadata.name).toBe('pith-live');
    expect(parse(after.the('ConfigMap').data!['live.yaml']!)).toEqual(live);
    // The ConfigMap of the cluster has the old ones when the Job runs.
    const { template } = after.the('Job').spec;
    expect(parse(template.metadata.annotations['live.yaml'])).toEqual(live);
    expect(template.spec.volumes).toContainEqual({
      name: 'pith-live',
      downwardAPI: {
        items: [
          { path: 'live.yaml', fieldRef: { fieldPath: "metadata.annotations['live.yaml']" } },
        ],
      },
    });
    // The chart reckons with what holds.
    expect(refusal({ live: { drain: { budget: '10m' } } })).toMatch(
      /terminationGracePeriodSeconds/,
    );
  });

  test('settings are checked by a Job before anything changes', () => {
    const job = render(everything).the('Job');
    expect(job.metadata.annotations).toMatchObject({
      'helm.sh/hook': 'pre-install,pre-upgrade',
      'helm.sh/hook-delete-policy': 'before-hook-creation,hook-succeeded',
    });
    const [container] = job.spec.template.spec.containers;
    expect(container.args).toEqual(['check', ...CONFIG_ARGS]);
    expect(container.env).toEqual([{ name: 'PITH_LOG__LEVEL', value: 'debug' }]);
    expect(container.volumeMounts).toContainEqual({
      name: 'pith-secret',
      mountPath: '/etc/pith-secret',
      readOnly: true,
    });
    expect(settingsOf(job.spec.template)).toBe(
      settingsOf(render(everything).the('Deployment').spec.template),
    );
    expect(render({ check: { enabled: false } }).has('Job')).toBe(false);
  });

  test.each(['y', 'on', '1234', '1e3', 'a.b', '0x10'])(
    'a release may be called %s, whatever YAML reads it as',
    (release) => {
      const rendered = render(
        { existingSecret: '1234', serviceAccount: { name: '007' }, priorityClassName: 'on' },
        CHART,
        release,
      );
      for (const { metadata } of rendered.objects) {
        expect(metadata.name).toMatch(/^([a-z]([-a-z0-9]*[a-z0-9])?|007)$/);
        expect(metadata.labels!['app.kubernetes.io/instance']).toBe(release);
      }
      const { spec } = rendered.the('Deployment').spec.template;
      expect(spec.serviceAccountName).toBe('007');
      expect(spec.priorityClassName).toBe('on');
      expect(spec.volumes[1].secret.secretName).toBe('1234');
    },
  );

  test('Recreate works by itself', () => {
    const { strategy } = render({ strategy: { type: 'Recreate' } }).the('Deployment').spec;
    expect(strategy).toEqual({ type: 'Recreate' });
  });

  test('pods spread over nodes and zones, and those of an older ReplicaSet do not count', () => {
    const spreads = podOf(render().the('Deployment')).topologySpreadConstraints;
    expect(
      spreads.map((spread: Values) => [spread['topologyKey'], spread['matchLabelKeys']]),
    ).toEqual([
      ['kubernetes.io/hostname', ['pod-template-hash']],
      ['topology.kubernetes.io/zone', ['pod-template-hash']],
    ]);
  });

  test('what other charts of the release share is taken', () => {
    const pod = podOf(
      render({
        global: { imageRegistry: 'mirror.example.com', imagePullSecrets: ['a', { name: 'b' }] },
        image: { registry: 'other.example.com' },
        imagePullSecrets: [{ name: 'b' }, { name: 'c' }],
      }).the('Deployment'),
    );
    expect(pod.containers[0].image).toBe(`mirror.example.com/pith:${VERSION}`);
    expect(pod.imagePullSecrets).toEqual([{ name: 'a' }, { name: 'b' }, { name: 'c' }]);
  });

  test('WebSockets and TCP come in by Ingress and the Gateway API', () => {
    const config = twoListeners();
    const rendered = render({
      config,
      service: { ports: [{ port: 80 }] },
      ingress: { enabled: true, hosts: ['a.example.com'] },
      httpRoute: { enabled: true, parentRefs: [{ name: 'public' }] },
      tcpRoute: { enabled: true, parentRefs: [{ name: 'public' }], listener: 1 },
    });
    expect(rendered.the('Ingress').spec.rules).toEqual([
      {
        host: 'a.example.com',
        http: {
          paths: [
            {
              path: '/',
              pathType: 'Prefix',
              backend: { service: { name: 'pith', port: { name: 'client' } } },
            },
          ],
        },
      },
    ]);
    expect(rendered.the('Ingress').metadata.annotations).toMatchObject({
      'nginx.ingress.kubernetes.io/proxy-read-timeout': '3600',
    });
    expect(rendered.the('HTTPRoute').spec.rules).toEqual([
      {
        matches: [{ path: { type: 'PathPrefix', value: '/' } }],
        timeouts: { request: '0s', backendRequest: '0s' },
        backendRefs: [{ name: 'pith', port: 80 }],
      },
    ]);
    expect(rendered.the('TCPRoute').spec.rules).toEqual([
      { backendRefs: [{ name: 'pith', port: 4010 }] },
    ]);
  });

  test('patches and objects of your own go where the chart has no value', () => {
    const rendered = render({
      patches: {
        Deployment: { spec: { paused: true, template: { spec: { hostNetwork: true } } } },
        Service: { metadata: { annotations: { a: 'b' } } },
      },
      extraObjects: [
        {
          apiVersion: 'v1',
          kind: 'Secret',
          metadata: { name: 'x' },
          stringData: { a: '{{ .Release.Name }}' },
        },
        'apiVersion: v1\nkind: ConfigMap\nmetadata: { name: "{{ .Chart.Name }}-y" }\n',
      ],
    });
    const { spec } = rendered.the('Deployment');
    expect([spec.paused, spec.template.spec.hostNetwork, spec.replicas]).toEqual([true, true, 1]);
    expect(rendered.the('Service').metadata.annotations).toEqual({ a: 'b' });
    expect(rendered.the('Secret')).toMatchObject({ stringData: { a: 'pith' } });
    expect(
      rendered.objects
        .filter(({ kind }) => kind === 'ConfigMap')
        .map(({ metadata }) => metadata.name),
    ).toEqual(['pith-y', 'pith-live']);
  });

  test('helm test shakes hands as the clients of the first listener do', () => {
    const args = (config: Values): unknown => render({ config }).the('Pod').spec.containers[0].args;
    expect(args({})).toEqual(['client', 'ws://pith:3010', '--dialect', 'pomelo']);
    expect(args({ listen: [{ url: 'tls://0.0.0.0:4443', dialect: 'nano', tls: {} }] })).toEqual([
      'client',
      'tls://pith:4443',
      '--dialect',
      'nano',
      '--insecure',
    ]);
  });

  test('ports come from the configuration', () => {
    const config = { ...twoListeners(), health: { listen: '0.0.0.0:9072' } };
    const rendered = render({ config, service: { ports: [{ port: 3010 }] } });
    expect(rendered.the('Service').spec.ports).toEqual([
      { name: 'client', port: 3010, targetPort: 8080 },
      { name: 'client-2', port: 4010, targetPort: 4010 },
    ]);
    expect(gatewayOf(rendered.the('Deployment')).ports).toEqual([
      { name: 'client', containerPort: 8080 },
      { name: 'client-2', containerPort: 4010 },
      { name: 'health', containerPort: 9072 },
    ]);
  });

  test('with autoscaling and no cluster to ask, the Deployment says no number', () => {
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

  test('the alerts, and the dashboard', () => {
    const metrics = {
      prometheusRule: {
        enabled: true,
        labels: { release: 'prometheus' },
        without: ['PithTracesLost'],
        alerts: { PithSlow: { for: '5m', labels: { severity: 'critical' } } },
      },
      dashboard: { enabled: true, namespace: 'monitoring' },
    };
    const rendered = render({ metrics });
    const { metadata, spec } = rendered.the('PrometheusRule');
    expect(metadata).toMatchObject({ name: 'pith', labels: { release: 'prometheus' } });
    type Alert = { alert: string; for?: string; expr: string; annotations: { summary: string } };
    const alerts = (spec.groups as { rules: Alert[] }[]).flatMap(({ rules }) => rules);
    expect(alerts).toHaveLength(24);
    expect(alerts.map(({ alert }) => alert)).not.toContain('PithTracesLost');
    expect(alerts.find(({ alert }) => alert === 'PithSlow')).toMatchObject({
      for: '5m',
      labels: { severity: 'critical' },
    });
    // What Prometheus fills in is left to it.
    expect(alerts[0]!.annotations.summary).toBe('Gateway {{ $labels.instance }} cannot be scraped');
    const board = rendered.objects.find(({ metadata: { name } }) => name === 'pith-dashboard')!;
    expect(board.metadata).toMatchObject({
      namespace: 'monitoring',
      labels: { grafana_dashboard: '1' },
    });
    const { data } = board as unknown as { data: Record<string, string> };
    expect(JSON.parse(data['pith.json']!)).toMatchObject({ title: 'Pith', uid: 'pith-gateways' });
    expect(render({}).objects.map(({ kind }) => kind)).not.toContain('PrometheusRule');
  });

  test('a monitor takes what an operator of Prometheus sets', () => {
    const relabelings = [{ targetLabel: 'game', replacement: 'chess' }];
    const metricRelabelings = [{ action: 'drop', regex: 'nodejs_.*', sourceLabels: ['__name__'] }];
    const monitor = {
      enabled: true,
      namespace: 'monitoring',
      labels: { release: 'prometheus' },
      annotations: { 'example.com/a': 'b' },
      interval: '15s',
      scrapeTimeout: '5s',
      honorLabels: true,
      relabelings,
      metricRelabelings,
    };
    for (const [kind, key, endpoints] of [
      ['PodMonitor', 'podMonitor', 'podMetricsEndpoints'],
      ['ServiceMonitor', 'serviceMonitor', 'endpoints'],
    ] as const) {
      const { metadata, spec } = render({ metrics: { [key]: monitor } }).the(kind);
      expect(metadata).toMatchObject({
        namespace: 'monitoring',
        labels: { release: 'prometheus' },
        annotations: { 'example.com/a': 'b' },
      });
      expect(spec.namespaceSelector).toEqual({ matchNames: ['default'] });
      expect(spec[endpoints]).toEqual([
        {
          port: 'health',
          path: '/metrics',
          interval: '15s',
          scrapeTimeout: '5s',
          honorLabels: true,
          relabelings,
          metricRelabelings,
        },
      ]);
    }
  });

  test("the Service's ports have the names that they are given", () => {
    const ports = [{ name: 'ws-game' }];
    const { spec } = render({ config: twoListeners(), service: { ports } }).the('Service');
    expect(spec.ports.map(({ name }: { name: string }) => name)).toEqual(['ws-game', 'client-2']);
  });

  test('a ConfigMap and a Secret of your own are mounted', () => {
    const rendered = render({ existingConfigMap: 'mine', existingSecret: 'hush', replicaCount: 2 });
    expect(rendered.the('Deployment').spec.template.metadata.annotations).not.toHaveProperty(
      'pith.yaml',
    );
    expect(podOf(rendered.the('Deployment')).volumes).toEqual([
      { name: 'pith-config', configMap: { name: 'mine' } },
      { name: 'pith-secret', secret: { secretName: 'hush', defaultMode: 0o444 } },
      { name: 'pith-live', configMap: { name: 'pith-live' } },
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
    // The gateway answers once it has drained.
    expect(chat.lifecycle.preStop).toEqual({ httpGet: { path: '/drained', port: 7072 } });
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

  test('without containers there is the check only, and a Service for the pods you name', () => {
    const bare = render({ mode: 'sidecar' });
    expect(bare.objects.map(({ kind }) => kind)).toEqual(['Job']);
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
    expect(pod.containers[0].lifecycle.preStop.httpGet.path).toBe('/drained');
    expect(pod.terminationGracePeriodSeconds).toBe(60);
    expect(pod.volumes.map(({ name }: { name: string }) => name)).toEqual([
      'pith-config',
      'pith-secret',
    ]);
    expect(parse(settingsOf(rendered.the('Deployment').spec.template))).toHaveProperty('backends');
    expect(rendered.the('Service').spec.selector).toEqual({ app: 'chat' });
  });
});

function references(): Values {
  return {
    id: '${env:ID}',
    heartbeat: '${env:HEARTBEAT}',
    log: { level: '${env:LEVEL}' },
    limits: { packet: '${env:PACKET}', in_flight_per_backend: '${env:MANY}', outboxes: 'auto' },
    telemetry: { metrics: '${env:METRICS}', sample: '${env:SAMPLE}' },
    auth: { mode: '${file:/etc/pith-secret/mode}' },
    events: { data: '${env:KEYS}' },
  };
}

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
      { autoscaling: { enabled: true } },
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
      /config\.control\.listen is "0\.0\.0\.0:7070": beyond loopback it needs config\.control\.token/,
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
      /the container's name pith is reserved for the gateway/,
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
      { config: nats, autoscaling: { enabled: true }, resources: { requests: { cpu: null } } },
      /resources\.requests\.cpu/,
    ],
    [
      'both monitors',
      { metrics: { podMonitor: { enabled: true }, serviceMonitor: { enabled: true } } },
      /twice/,
    ],
    [
      'a drain from the environment that is too long',
      { env: [{ name: 'PITH_DRAIN__BUDGET', value: '2m' }] },
      /terminationGracePeriodSeconds is 60: it needs at least 130/,
    ],
    [
      'health on loopback, from the environment',
      { env: [{ name: 'PITH_HEALTH__LISTEN', value: '127.0.0.1:7072' }] },
      /probes cannot reach/,
    ],
    [
      'a local policy inside the cluster',
      { service: { externalTrafficPolicy: 'Local' } },
      /externalTrafficPolicy needs service\.type NodePort or LoadBalancer/,
    ],
    [
      'a node port of a ClusterIP',
      { service: { ports: [{ nodePort: 30_010 }] } },
      /service\.ports\[0\]\.nodePort needs/,
    ],
    [
      'a load balancer class without one',
      { service: { type: 'NodePort', loadBalancerClass: 'x/y' } },
      /loadBalancerClass needs service\.type LoadBalancer/,
    ],
    [
      'source ranges without a load balancer',
      { service: { loadBalancerSourceRanges: ['10.0.0.0/8'] } },
      /loadBalancerSourceRanges needs/,
    ],
    [
      'one port of the Service for two listeners',
      { config: twoListeners(), service: { ports: [{ port: 4010 }] } },
      /Service's port 4010/,
    ],
    ['more ports than listeners', { service: { ports: [{}, {}] } }, /has 2 entries.*listen has 1/],
    [
      'two listeners on one port',
      { config: { listen: [{ url: 'ws://0.0.0.0:3010' }, { url: 'tcp://0.0.0.0:3010' }] } },
      /listen\[0\] and config\.listen\[1\] have the same port, 3010/,
    ],
    [
      'clients on the health port',
      { config: { listen: [{ url: 'ws://0.0.0.0:7072' }] } },
      /listen\[0\] and config\.health\.listen have the same port, 7072/,
    ],
    [
      'a container on the health port',
      { ...sidecar, sidecar: { containers: [{ ...app, ports: [{ containerPort: 7072 }] }] } },
      /health\.listen and a port of the container chat have the same port/,
    ],
    [
      'a container on the control port',
      { extraContainers: [{ ...app, ports: [{ containerPort: 7070 }] }] },
      /control\.listen and a port of the container chat/,
    ],
    [
      "a port with the gateway's name",
      {
        ...sidecar,
        sidecar: { containers: [{ ...app, ports: [{ name: 'health', containerPort: 9001 }] }] },
      },
      /has a port named health, as the gateway has/,
    ],
    [
      'a port that only root may open',
      { config: { listen: [{ url: 'wss://0.0.0.0:443' }] } },
      /port 443 is below 1024.*service\.ports\[0\]\.port to 443/,
    ],
    [
      'a rollout that cannot begin',
      { strategy: { rollingUpdate: { maxSurge: '0%' } } },
      /both 0, so no pod could ever be replaced/,
    ],
    [
      'a rollout that cannot end',
      { minReadySeconds: 600 },
      /minReadySeconds is 600: it must be less than progressDeadlineSeconds/,
    ],
    [
      'a budget that blocks every drain',
      { replicaCount: 2, config: nats, podDisruptionBudget: { maxUnavailable: 0 } },
      /no node with a gateway could ever be drained/,
    ],
    [
      'a budget of all pods',
      { replicaCount: 2, config: nats, podDisruptionBudget: { minAvailable: 2 } },
      /minAvailable is 2 of at least 2 replicas.*set it to 1/,
    ],
    [
      'labels by which the pods are found',
      { podLabels: { 'app.kubernetes.io/instance': 'x' } },
      /podLabels contains app\.kubernetes\.io\/instance/,
    ],
    ["the chart's own labels", { commonLabels: { 'helm.sh/chart': 'x' } }, /commonLabels contains/],
    ["the chart's own volume", { extraVolumes: [{ name: 'pith-config' }] }, /the chart's own/],
    [
      'a mount of no volume',
      { extraVolumeMounts: [{ name: 'x', mountPath: '/x' }] },
      /mounts "x", which is not among extraVolumes/,
    ],
    ['a variable twice', { env: [{ name: 'A' }, { name: 'A' }] }, /env has A twice/],
    [
      'an Ingress for TCP',
      { config: { listen: [{ url: 'tcp://0.0.0.0:4010' }] }, ingress: { enabled: true } },
      /ingress is for WebSockets, and config\.listen\[0\] is tcp/,
    ],
    [
      'a route without a gateway',
      { httpRoute: { enabled: true } },
      /httpRoute\.parentRefs is empty/,
    ],
    [
      'a route to a listener that is not there',
      { tcpRoute: { enabled: true, listener: 1, parentRefs: [{ name: 'x' }] } },
      /tcpRoute\.listener is 1: config\.listen has 1, counted from 0/,
    ],
    [
      'a route without a Service',
      { ingress: { enabled: true }, service: { enabled: false } },
      /ingress\.enabled needs the Service/,
    ],
    [
      'live settings of a sidecar',
      { ...sidecar, live: { log: { level: 'warn' } } },
      /live is for mode: fleet/,
    ],
    [
      'settings that no pod can carry to the check',
      { live: { routes: [{ match: 'x'.repeat(250_000), backend: 'b' }] } },
      /config and live have \d+ bytes together/,
    ],
    [
      "two of the Service's ports with one name",
      { config: twoListeners(), service: { ports: [{ name: 'client-2' }] } },
      /two of the Service's ports would be called client-2/,
    ],
    ['a patch of nothing', { patches: { StatefulSet: {} } }, /makes no object of this kind/],
    [
      'settings that no pod can carry',
      { config: { routes: [{ match: 'x'.repeat(250_000), backend: 'b' }] } },
      /use existingConfigMap/,
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
    ['a live setting that needs a restart', { live: { bus: 'embedded' } }, 'bus'],
    ['the same further in', { live: { limits: { packet: '1KiB' } } }, 'packet'],
    ['a negative time', { preStopSeconds: -1 }, 'preStopSeconds'],
    ['a backend that is text', { config: { backends: { chat: 'chat:9000' } } }, 'chat'],
    ['an unknown key below the first level', { config: { limits: { paket: '1KiB' } } }, 'paket'],
    ['a duration without its unit', { config: { heartbeat: 5 } }, 'heartbeat'],
    ['a word that is none', { config: { log: { level: 'loud' } } }, 'level'],
    ['an unknown key of a backend', { config: { backends: { chat: { nats: {}, x: 1 } } } }, 'x'],
    [
      'a probe that must succeed twice',
      { probes: { liveness: { successThreshold: 2 } } },
      'success',
    ],
    ['a number in the environment', { env: [{ name: 'A', value: 1 }] }, 'value'],
    ['more than all', { podDisruptionBudget: { maxUnavailable: '500%' } }, 'maxUnavailable'],
    ['a name that no Service can have', { fullnameOverride: '9pith' }, 'fullnameOverride'],
    ['a range that is none', { service: { loadBalancerSourceRanges: ['10.0.0.1'] } }, 'Ranges'],
    ['a name that no port can have', { service: { ports: [{ name: 'WS_1' }] } }, 'name'],
    ['memory in MB', { resources: { limits: { memory: '512MB' } } }, 'memory'],
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
    [
      'a low port that is allowed',
      {
        config: { listen: [{ url: 'ws://0.0.0.0:443' }] },
        podSecurityContext: {
          sysctls: [{ name: 'net.ipv4.ip_unprivileged_port_start', value: '443' }],
        },
      },
    ],
    ['references for every type of value', { config: references() }],
    ['control on a socket', { config: { control: { listen: 'unix:/run/pith.sock' } } }],
  ])('but not with %s', (_, values) => {
    expect(render(values).has('Deployment')).toBe(true);
  });
});

describe('kept in step', () => {
  test('the values in README.md and deploy/README.md are what the chart takes', () => {
    const pages = ['README.md', 'deploy/README.md'].map((path) =>
      readFileSync(join(ROOT, path), 'utf8'),
    );
    const found = pages.flatMap((page) => [
      ...page.matchAll(/^```yaml\n(# values\.yaml[^`]*)^```$/gm),
    ]);
    expect(found.length).toBeGreaterThanOrEqual(3);
    for (const [, text] of found)
      expect(render(parse(text!) as Values).has('Deployment')).toBe(true);
  });

  test("the schema's part for pith.yaml is what the gateway says", () => {
    const schema = JSON.parse(readFileSync(join(CHART, 'values.schema.json'), 'utf8')) as {
      properties: Record<string, { properties?: Record<string, unknown> }>;
    };
    const { properties } = configJsonSchema();
    expect(schema.properties['config']!.properties, 'run make manifests').toEqual(properties);
    const every = parse(readFileSync(join(ROOT, 'deploy/pith.yaml'), 'utf8')) as Values;
    expect(Object.keys(properties!).sort()).toEqual(Object.keys(every).sort());
    const values = valuesOf(join(CHART, 'values.yaml'));
    expect(Object.keys(schema.properties).sort()).toEqual(Object.keys(values).sort());
  });

  test('the version of the chart is that of the gateway', () => {
    const chart = parse(readFileSync(join(CHART, 'Chart.yaml'), 'utf8')) as Values;
    const own = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as Values;
    expect(chart['appVersion']).toBe(own['version']);
  });

  test("the chart's README and icon are made from values.yaml and icon.svg", () => {
    const made = folder('readme');
    const { status, stderr } = spawnSync('node', [join(ROOT, 'deploy/helm/readme.ts'), made]);
    expect({ status, err: String(stderr) }).toEqual({ status: 0, err: '' });
    for (const name of ['README.md', 'Chart.yaml'])
      expect(readFileSync(join(CHART, name), 'utf8'), 'run make manifests').toBe(
        readFileSync(join(made, name), 'utf8'),
      );
    const page = readFileSync(join(CHART, 'README.md'), 'utf8');
    expect(page).toContain('| `replicaCount` | `1` | Not used when autoscaling is on.');
    expect(page).toContain('| `mode` | `"fleet"` | fleet: a Deployment of gateways');
    expect(page).toContain('| `image.digest` |  | As sha256:…; takes precedence over the tag. |');
    // Every value is there, itself or as the beginning of others.
    const named = [...page.matchAll(/^\| `([A-Za-z.]+)`/gm)].map(
      ([, path]) => path!.split('.')[0]!,
    );
    const values = valuesOf(join(CHART, 'values.yaml'));
    expect([...new Set(named)]).toEqual(Object.keys(values));
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
    // These are the Prometheus Operator's and the Gateway API's.
    for (const line of lines)
      expect(line).toMatch(/: ok$|^(PodMonitor|ServiceMonitor|HTTPRoute|TCPRoute) .*unknown kind/);
    expect(code).toBe(0);
  });

  test('deploy/nats: no field is unknown or of another type', () => {
    const { lines, code } = decode(
      readFileSync(join(ROOT, 'deploy/nats/statefulset.yaml'), 'utf8'),
    );
    expect(lines).toHaveLength(4);
    for (const line of lines) expect(line).toMatch(/: ok$/);
    expect(code).toBe(0);
  });

  test('a field that does not exist is found', () => {
    const { lines, code } = decode(render().text.replace('seconds: 5', 'second: 5'));
    expect(lines.join('\n')).toContain('Deployment pith: ');
    expect(lines.join('\n')).toContain('unknown field "second"');
    expect(code).toBe(1);
  });
});

test('control may listen beyond loopback with a token from a Secret, or with client certificates', () => {
  const token = '${file:/etc/pith-secret/token}';
  const tls = { cert: '/tls/tls.crt', key: '/tls/tls.key', ca: '/tls/ca.crt' };
  for (const guard of [
    { token },
    { tokens: [{ token, role: 'read' }] },
    { tls: { ...tls, require_client_cert: true } },
    { tls, spiffe: [{ id: 'spiffe://prod.example/ops/*' }] },
  ])
    expect(
      render({ config: { control: { listen: '0.0.0.0:7070', ...guard } }, existingSecret: 'ops' }),
    ).not.toEqual([]);
});
