/**
 * One virtual address for two machines, here two network namespaces on a bridge, each with HAProxy and keepalived as
 * they are shipped. The gateways and the players are outside, at 198.18.51.1.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';

import { TestClient } from '../support/client.ts';
import { run, type Running, start } from '../support/process.ts';
import { ROOT, serve, type Served } from '../support/serve.ts';
import { eventually } from '../support/wait.ts';
import { render, shipped } from './proxies.ts';

/** Instead of the address in the file, which is of a network for documents. [RFC 2544: 198.18.0.0/15 is for tests] */
const VIRTUAL = '198.18.51.10';
const SHIPPED_VIRTUAL = '198.51.100.10';
/** Names of interfaces have at most 15 characters, and must not meet those of another run. */
const RUN = `pt${process.pid}`;
const FAILOVER_MS_MAX = 3_000;

type Machine = { readonly name: string; readonly running: Running[] };

let gateway: Served | undefined;
let folder: string;
const machines: Machine[] = [];

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'pith-keepalived-'));
  await ip(`link add ${RUN} type bridge`);
  await ip(`address add 198.18.51.1/24 dev ${RUN}`);
  await ip(`link set ${RUN} up`);
  gateway = await serve(`
listen:
  - { url: "auto://198.18.51.1:0", proxy_protocol: required, trusted_proxies: [198.18.51.11, 198.18.51.12] }
  - { url: "ws://198.18.51.1:0", trusted_proxies: [198.18.51.11, 198.18.51.12] }
health: { listen: 198.18.51.1:0 }
backends: { echo: { reply: { code: 200 } } }
routes: [{ match: "echo.>", backend: echo }]
`);
  const text = readFileSync(join(ROOT, 'deploy/proxies/keepalived/keepalived.conf'), 'utf8');
  writeFileSync(join(folder, 'keepalived.conf'), text.replace(SHIPPED_VIRTUAL, VIRTUAL));
  for (const n of [1, 2]) machines.push(await startMachine(n));
}, 60_000);

afterAll(async () => {
  for (const { name, running } of machines) {
    for (const one of running) await one[Symbol.asyncDispose]();
    await ip(`netns del ${name}`);
  }
  for (const link of [RUN, `${RUN}v1`, `${RUN}v2`]) await run('ip', ['link', 'del', link]);
  await gateway?.[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
});

async function ip(words: string): Promise<string> {
  const { code, output } = await run('ip', words.split(' '));
  if (code !== 0) throw new Error(`ip ${words}: ${output}`);
  return output;
}

function inside(name: string, ...command: readonly string[]): string[] {
  return ['netns', 'exec', name, ...command];
}

async function startMachine(n: number): Promise<Machine> {
  const name = `${RUN}-${n}`;
  await ip(`netns add ${name}`);
  await ip(`link add ${RUN}v${n} type veth peer name eth0 netns ${name}`);
  await ip(`link set ${RUN}v${n} master ${RUN} up`);
  await ip(inside(name, 'ip', 'address', 'add', `198.18.51.1${n}/24`, 'dev', 'eth0').join(' '));
  for (const device of ['lo', 'eth0']) {
    await ip(inside(name, 'ip', 'link', 'set', device, 'up').join(' '));
  }
  const machine: Machine = { name, running: [] };
  await startProxy(machine);
  const pids = ['keepalived', 'vrrp'].map((what) => join(folder, `${name}-${what}.pid`));
  machine.running.push(
    await start(
      'ip',
      inside(
        name,
        ...['keepalived', '--dont-fork', '--log-console', '--vrrp', '--use-file'],
        ...[join(folder, 'keepalived.conf')],
        ...['--pid', pids[0]!, '--vrrp_pid', pids[1]!],
      ),
      { ready: /Entering (?:BACKUP|MASTER) STATE/ },
    ),
  );
  return machine;
}

/** HAProxy, with the ports as they are shipped. */
async function startProxy({ name, running }: Machine): Promise<void> {
  const [tcp = 0, web = 0] = gateway!.clients.map((url) => Number(url.split(':').pop()));
  const ports = { tcp, web, health: gateway!.healthPort };
  const text = render(shipped('haproxy'), [ports, ports], { tcp: 3010, web: 8080, health: 8404 });
  const file = join(folder, `${name}.cfg`);
  writeFileSync(file, text.replaceAll('127.0.0.1:', '198.18.51.1:'));
  const args = inside(name, 'haproxy', '-W', '-db', '-f', file);
  running.unshift(await start('ip', args, { ready: /Loading success/ }));
}

/** The load balancer that holds the virtual address. */
async function holders(): Promise<Machine[]> {
  const found: Machine[] = [];
  for (const machine of machines) {
    const output = await ip(inside(machine.name, 'ip', '-brief', 'address').join(' '));
    if (output.includes(`${VIRTUAL}/`)) found.push(machine);
  }
  return found;
}

/** Tries until a player gets an answer at the virtual address. */
async function untilAnswered(): Promise<void> {
  await eventually(
    async () => {
      const client = await within(500, TestClient.open(3010, 'tcp', { host: VIRTUAL }));
      if (client === null) return false;
      const answer = await within(
        500,
        client.handshake().then(() => true),
      );
      await client[Symbol.asyncDispose]();
      return answer;
    },
    'an answer at the virtual address',
    15_000,
  );
}

/** null: it failed, or took longer. */
async function within<T>(ms: number, work: Promise<T>): Promise<T | null> {
  const late = new Promise<null>((resolve) => setTimeout(resolve, ms, null));
  return Promise.race([work.catch(() => null), late]);
}

test('the address is on one of the machines, and players are answered there', async () => {
  await untilAnswered();
  expect(await holders()).toHaveLength(1);
});

test('a machine whose proxy ends gives the address up within 3 s', async () => {
  const [lost] = await holders();
  const [proxy] = lost!.running.splice(0, 1);
  const before = performance.now();
  await proxy![Symbol.asyncDispose]();
  await untilAnswered();
  const tookMs = performance.now() - before;
  console.info(`answered again after ${Math.round(tookMs)} ms`);
  expect(tookMs).toBeLessThan(FAILOVER_MS_MAX);
  const [holder, ...others] = await holders();
  expect(others).toEqual([]);
  expect(holder!.name).not.toBe(lost!.name);

  // When it is back, it does not take the address again, which would cut everybody a second time.
  await startProxy(lost!);
  await lost!.running[1]!.waitFor(/Entering FAULT STATE[^]*Entering BACKUP STATE/);
  expect((await holders()).map(({ name }) => name)).toEqual([holder!.name]);
});

test('a machine that is lost loses the address within 3 s', async () => {
  const [lost] = await holders();
  const before = performance.now();
  await ip(`link set ${RUN}v${lost!.name.slice(-1)} down`);
  await untilAnswered();
  const tookMs = performance.now() - before;
  console.info(`answered again after ${Math.round(tookMs)} ms`);
  expect(tookMs).toBeLessThan(FAILOVER_MS_MAX);
  const others = (await holders()).filter(({ name }) => name !== lost!.name);
  expect(others).toHaveLength(1);
});
