/** The proxies of deploy/proxies, each as its own file says, with the ports and addresses of a test in it. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parse, stringify } from 'yaml';

import { freePort, type Running, start } from '../support/process.ts';
import { TestClient } from '../support/client.ts';
import { ROOT } from '../support/serve.ts';
import { eventually } from '../support/wait.ts';

/** Where a gateway listens: for PROXY headers, for WebSocket without them, and for probes. */
export type GatewayPorts = { readonly tcp: number; readonly web: number; readonly health: number };

/** Where a proxy listens. */
export type ProxyPorts = { readonly tcp: number; readonly web: number; readonly health: number };

export type RunningProxy = AsyncDisposable & {
  readonly ports: ProxyPorts;
  /** The file that it runs with. */
  readonly text: string;
  /** Reads its file again, without cutting anybody; resolves when the new one serves. */
  reload(): Promise<void>;
};

export type ProxyName = 'nginx' | 'haproxy' | 'envoy';
const FILES = {
  nginx: 'nginx/nginx.conf',
  haproxy: 'haproxy/haproxy.cfg',
  envoy: 'envoy/envoy.yaml',
} as const;

/** The file as it is shipped. */
export function shipped(name: ProxyName): string {
  return readFileSync(join(ROOT, 'deploy/proxies', FILES[name]), 'utf8');
}

/** Starts one in front of two gateways. */
export async function startProxy(
  name: ProxyName,
  gateways: readonly [GatewayPorts, GatewayPorts],
): Promise<RunningProxy> {
  const ports = { tcp: await freePort(), web: await freePort(), health: await freePort() };
  const folder = mkdtempSync(join(tmpdir(), `pith-${name}-`));
  const text =
    name === 'envoy'
      ? renderYaml(shipped(name), gateways, ports)
      : render(shipped(name), gateways, ports);
  const file = join(folder, FILES[name].split('/')[1]!);
  writeFileSync(file, text);
  const proxy = await STARTERS[name](file, folder, ports);
  // Envoy accepts only once it has asked the gateways.
  await eventually(() => serves(ports), `${name} to serve`);
  return {
    ports,
    text,
    reload: () => proxy.reload(),
    async [Symbol.asyncDispose]() {
      for (const running of proxy.running) await running[Symbol.asyncDispose]();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

async function serves({ tcp, web }: ProxyPorts): Promise<boolean> {
  try {
    for (const port of [tcp, web]) {
      await using client = await TestClient.connect(port, 'ws');
      await client.request('echo.a');
    }
    return true;
  } catch {
    return false;
  }
}

type Started = { readonly running: Running[]; reload(): Promise<void> };

const STARTERS: Readonly<
  Record<ProxyName, (file: string, folder: string, ports: ProxyPorts) => Promise<Started>>
> = {
  async nginx(file, folder) {
    const pid = join(folder, 'nginx.pid');
    const args = ['-c', file, '-g', `daemon off; pid ${pid}; error_log stderr notice;`];
    const running = await start('nginx', args, { ready: /start worker process/ });
    return {
      running: [running],
      async reload() {
        const workers = (): number => running.output().split('start worker process').length;
        const before = workers();
        running.kill('SIGHUP');
        await running.waitFor(new RegExp(`(?:start worker process [^]*){${before}}`));
      },
    };
  },

  async haproxy(file) {
    const loaded = /Loading success/g;
    const running = await start('haproxy', ['-W', '-db', '-f', file], { ready: loaded });
    return {
      running: [running],
      async reload() {
        const times = running.output().match(loaded)!.length + 1;
        running.kill('SIGUSR2');
        await running.waitFor(new RegExp(`(?:Loading success[^]*){${times}}`));
      },
    };
  },

  async envoy(file) {
    const base = String(await freePort());
    const launch = (epoch: number): Promise<Running> =>
      start(
        'envoy',
        ['-c', file, '--base-id', base, '--restart-epoch', String(epoch), '--concurrency', '1'],
        { ready: /starting main dispatch loop/ },
      );
    const running = [await launch(0)];
    return {
      running,
      async reload() {
        running.push(await launch(running.length));
      },
    };
  },
};

/** A file of nginx or HAProxy with these ports, and gateways on 127.0.0.1. */
export function render(
  text: string,
  gateways: readonly [GatewayPorts, GatewayPorts],
  ports: ProxyPorts,
): string {
  let done = text;
  for (const [i, { tcp, web, health }] of gateways.entries()) {
    done = done
      // Probes go to another port of each gateway here.
      .replaceAll(new RegExp(`server gateway-${i + 1} .*`, 'g'), `$& port ${health}`)
      .replaceAll(`gateway-${i + 1}:3010`, `127.0.0.1:${tcp}`)
      .replaceAll(`gateway-${i + 1}:3020`, `127.0.0.1:${web}`);
  }
  return done
    .replace(/(listen |bind :)3010/, `$1${ports.tcp}`)
    .replace(/(listen |bind :)8080/, `$1${ports.web}`)
    .replace(/(listen |bind :)8404/, `$1${ports.health}`);
}

type Address = { address: string; port_value: number };
type Endpoint = {
  endpoint: { address: { socket_address: Address }; health_check_config: { port_value: number } };
};
type Envoy = {
  static_resources: {
    listeners: { address: { socket_address: Address } }[];
    clusters: { load_assignment: { endpoints: { lb_endpoints: Endpoint[] }[] } }[];
  };
  admin: { address: { socket_address: Address } };
};

function renderYaml(
  text: string,
  gateways: readonly [GatewayPorts, GatewayPorts],
  ports: ProxyPorts,
): string {
  const envoy = parse(text) as Envoy;
  const { listeners, clusters } = envoy.static_resources;
  for (const { address } of listeners) {
    const { socket_address: at } = address;
    at.port_value = at.port_value === 3010 ? ports.tcp : ports.web;
  }
  for (const { load_assignment: assignment } of clusters) {
    for (const { endpoint } of assignment.endpoints.flatMap((some) => some.lb_endpoints)) {
      const { socket_address: at } = endpoint.address;
      const gateway = gateways[Number(at.address.slice('gateway-'.length)) - 1]!;
      at.address = '127.0.0.1';
      at.port_value = at.port_value === 3010 ? gateway.tcp : gateway.web;
      endpoint.health_check_config.port_value = gateway.health;
    }
  }
  envoy.admin.address.socket_address.port_value = ports.health;
  return stringify(envoy);
}
