/**
 * The compose file: its form, that what it names is there, and its parts as processes of this machine with the same
 * files, in which only addresses are replaced.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parse } from 'yaml';

import { Networks } from '../../src/ip.ts';
import { TestClient } from '../support/client.ts';
import { installPython, startPythonChat } from '../support/examples.ts';
import { startGrpcChat } from '../support/go.ts';
import { startNats } from '../support/nats.ts';
import { freePort, run, type Running, start } from '../support/process.ts';
import { ROOT, serve, type Served } from '../support/serve.ts';
import { eventually } from '../support/wait.ts';
import { type RunningProxy, startProxy } from './proxies.ts';

const FOLDER = join(ROOT, 'deploy/compose');
const read = (name: string): string => readFileSync(join(FOLDER, name), 'utf8');

type Addressed = { pith: { ipv4_address: string } };
type Service = {
  image: string;
  volumes?: string[];
  networks: string[] | Addressed;
  depends_on?: string[] | Record<string, unknown>;
};
const compose = parse(read('compose.yaml'), { merge: true }) as {
  services: Record<string, Service>;
  networks: { pith: { ipam: { config: [{ subnet: string }] } } };
  volumes: Record<string, null>;
};
const services = Object.entries(compose.services);

describe('compose.yaml', () => {
  test('has the form of the Compose specification', async () => {
    const file = join(FOLDER, 'compose.yaml');
    const checked = await run('check-jsonschema', [
      '--builtin-schema',
      'vendor.compose-spec',
      file,
    ]);
    expect(checked).toEqual({ code: 0, output: 'ok -- validation done\n' });
  });

  test('mounts what is there', () => {
    const sources = services
      .flatMap(([, { volumes = [] }]) => volumes.map((volume) => volume.split(':')[0]!))
      .filter((source) => !(source in compose.volumes));
    expect(sources.length).toBeGreaterThan(5);
    expect(sources.filter((source) => !existsSync(join(FOLDER, source)))).toEqual([]);
  });

  test('every host in a file is a service', () => {
    const files = ['pith.yaml', 'prometheus.yml', '../proxies/haproxy/haproxy.cfg'].map(read);
    const hosts = files.flatMap((text) => [
      ...text.matchAll(/(?:nats:\/\/|dns:\/\/\/|http:\/\/)([a-z][a-z0-9-]*):\d/g),
      ...text.matchAll(/\b(gateway-\d):\d/g),
    ]);
    const names = new Set(hosts.map(([, host = '']) => host));
    expect([...names].sort((a, b) => a.localeCompare(b))).toEqual([
      'chat-go',
      'collector',
      'gateway-1',
      'gateway-2',
      'nats',
    ]);
    expect([...names].filter((name) => !(name in compose.services))).toEqual([]);
  });

  test('gateways trust HAProxy, and nothing else', () => {
    const { listen } = parse(read('pith.yaml')) as { listen: { trusted_proxies: string[] }[] };
    const { haproxy } = compose.services;
    const { ipv4_address: address } = (haproxy!.networks as Addressed).pith;
    expect(listen.map(({ trusted_proxies: trusted }) => trusted)).toEqual([[address], [address]]);
    const { subnet } = compose.networks.pith.ipam.config[0];
    expect(new Networks([subnet]).has(address)).toBe(true);
  });

  test('an image has a version, except our own', () => {
    const unversioned = services.filter(([, { image }]) => !image.includes(':'));
    expect(unversioned.map(([name]) => name)).toEqual(['gateway-1', 'gateway-2']);
  });
});

test('Prometheus takes its file', async () => {
  const { code, output } = await run('promtool', [
    'check',
    'config',
    join(FOLDER, 'prometheus.yml'),
  ]);
  expect([code, output]).toEqual([0, expect.stringContaining('is valid prometheus config')]);
});

test('the collector takes its file, which has the port that the gateways send to', async () => {
  const checked = await run('otelcol', ['validate', `--config=${join(FOLDER, 'collector.yaml')}`]);
  expect(checked).toEqual({ code: 0, output: '' });
  const { receivers } = parse(read('collector.yaml')) as {
    receivers: { otlp: { protocols: { http: { endpoint: string } } } };
  };
  const { telemetry } = parse(read('pith.yaml')) as { telemetry: { otlp: string } };
  expect(new URL(telemetry.otlp).port).toBe(receivers.otlp.protocols.http.endpoint.split(':')[1]);
});

describe('its parts, on this machine', () => {
  const stack = new AsyncDisposableStack();
  const folder = mkdtempSync(join(tmpdir(), 'pith-compose-'));
  const gateways: Served[] = [];
  let proxy: RunningProxy;
  let collector: Running;
  let prometheusUrl: string;

  beforeAll(async () => {
    stack.defer(() => {
      rmSync(folder, { recursive: true, force: true });
    });
    const nats = stack.use(await startNats());
    const go = stack.use(await startGrpcChat());
    const otlp = await freePort();
    collector = stack.use(await startCollector(otlp));
    const python = await installPython();
    if (python === null) throw new Error('no Python for the chat');
    stack.use(await startPythonChat(python, nats.url));
    const text = read('pith.yaml')
      .replaceAll(/:(3010|3020)"/g, ':0"')
      .replaceAll('172.30.91.2', '127.0.0.1')
      .replace('nats://nats:4222', nats.url)
      .replace('dns:///chat-go:9000', go.address)
      .replace('collector:4318', `127.0.0.1:${otlp}`);
    for (let i = 0; i < 2; i++) gateways.push(stack.use(await serve(text)));
    const ports = gateways.map(({ clients, healthPort }) => {
      const [tcp = 0, web = 0] = clients.map((url) => Number(url.split(':').pop()));
      return { tcp, web, health: healthPort };
    });
    proxy = stack.use(await startProxy('haproxy', [ports[0]!, ports[1]!]));
    stack.use(await startPrometheus());
  }, 180_000);
  afterAll(() => stack.disposeAsync());

  function startCollector(port: number): Promise<Running> {
    const file = join(folder, 'collector.yaml');
    writeFileSync(file, read('collector.yaml').replace('0.0.0.0:4318', `127.0.0.1:${port}`));
    return start('otelcol', [`--config=${file}`], { ready: /Everything is ready/ });
  }

  async function startPrometheus(): Promise<Running> {
    const port = await freePort();
    prometheusUrl = `http://127.0.0.1:${port}`;
    let text = read('prometheus.yml').replace('scrape_interval: 5s', 'scrape_interval: 1s');
    for (const [i, { healthPort }] of gateways.entries()) {
      text = text.replace(`gateway-${i + 1}:7072`, `127.0.0.1:${healthPort}`);
    }
    const file = join(folder, 'prometheus.yml');
    writeFileSync(file, text);
    return start(
      'prometheus',
      [
        `--config.file=${file}`,
        `--storage.tsdb.path=${join(folder, 'data')}`,
        `--web.listen-address=127.0.0.1:${port}`,
      ],
      { ready: /Server is ready/ },
    );
  }

  test('a room that is joined in Go and in Python is one', async () => {
    await using ann = await TestClient.connect(proxy.ports.tcp);
    await using bob = await TestClient.connect(proxy.ports.web, 'ws');
    expect(await ann.request('chat.room.join', { name: 'ann', room: 'hall' })).toMatchObject({
      code: 200,
    });
    expect(await bob.request('py.room.join', { name: 'bob', room: 'hall' })).toMatchObject({
      code: 200,
    });
    expect(await ann.push('onJoin')).toEqual({ name: 'bob' });
    expect(await ann.request('chat.room.send', { text: 'from Go' })).toMatchObject({ code: 200 });
    expect(await bob.push('onChat')).toEqual({ from: 'ann', text: 'from Go' });
    expect(await bob.request('py.room.send', { text: 'from Python' })).toMatchObject({ code: 200 });
    expect(await ann.push('onChat')).toEqual({ from: 'bob', text: 'from Python' });
  });

  test('the collector has traces of it', async () => {
    const [, spans] = await collector.waitFor(/"spans": (\d+)/);
    expect(Number(spans)).toBeGreaterThan(0);
  });

  test('Prometheus has the numbers of both gateways', async () => {
    const query = encodeURIComponent('count(pith_build_info)');
    await eventually(async () => {
      const answer = await fetch(`${prometheusUrl}/api/v1/query?query=${query}`);
      const { data } = (await answer.json()) as { data: { result: { value: [number, string] }[] } };
      return data.result[0]?.value[1] === '2';
    }, 'Prometheus to have both');
    const answer = await fetch(`${prometheusUrl}/api/v1/targets`);
    const { data } = (await answer.json()) as { data: { activeTargets: { health: string }[] } };
    expect(data.activeTargets.map(({ health }) => health)).toEqual(['up', 'up']);
  });
});
