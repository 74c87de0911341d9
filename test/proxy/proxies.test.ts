/** Each proxy with the file that is shipped for it, in front of two gateways. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { parse } from 'yaml';

import { admin } from '../support/admin.ts';
import { TestClient } from '../support/client.ts';
import { RawSocket } from '../support/raw.ts';
import { eventually } from '../support/wait.ts';
import { type Gateways, startGateways, untilCounts } from './gateways.ts';
import { type ProxyName, type RunningProxy, shipped, startProxy } from './proxies.ts';

const TRANSPORTS = [
  { transport: 'tcp', port: 'tcp', what: 'TCP' },
  { transport: 'ws', port: 'tcp', what: 'WebSocket through the port of bytes' },
  { transport: 'ws', port: 'web', what: 'WebSocket over HTTP' },
] as const;
/** Of the gateways' default, in seconds. */
const HEARTBEAT = 30;

describe.each<ProxyName>(['nginx', 'haproxy', 'envoy'])('%s', (name) => {
  let gateways: Gateways;
  let proxy: RunningProxy;

  beforeAll(async () => {
    gateways = await startGateways('{ budget: 60s, accept_for: 60s }');
    proxy = await startProxy(name, gateways.ports);
    await untilCounts(gateways, [0, 0]);
  });
  afterEach(() => untilCounts(gateways, [0, 0]));
  afterAll(async () => {
    await proxy[Symbol.asyncDispose]();
    await gateways[Symbol.asyncDispose]();
  });

  test.each(TRANSPORTS)('$what: the gateway knows the client’s address', async (way) => {
    await using client = await TestClient.connect(proxy.ports[way.port], way.transport, {
      from: '127.0.0.77',
    });
    expect(await client.request('echo.a')).toEqual({ code: 200 });
    const known = [...(await gateways.addresses(0)), ...(await gateways.addresses(1))];
    expect(known).toEqual(['127.0.0.77']);
  });

  test('WebSocket over HTTP: a client that claims another address is where it is', async () => {
    await using client = await TestClient.connect(proxy.ports.web, 'ws', {
      from: '127.0.0.78',
      headers: { 'X-Forwarded-For': '203.0.113.7', Forwarded: 'for=203.0.113.8' },
    });
    expect(await client.request('echo.a')).toEqual({ code: 200 });
    const known = [...(await gateways.addresses(0)), ...(await gateways.addresses(1))];
    expect(known).toEqual(['127.0.0.78']);
  });

  test('TCP: a client that sends a PROXY header of its own is refused', async () => {
    await using raw = await RawSocket.connect(proxy.ports.tcp, '127.0.0.79');
    raw.send('PROXY TCP4 203.0.113.7 198.51.100.1 1 2\r\n');
    await raw.ended;
    const lines = [...gateways.both[0].log(), ...gateways.both[1].log()];
    expect(
      lines.filter(({ msg }) => msg === 'connection refused').map((line) => line['remoteAddress']),
    ).toEqual(['127.0.0.79']);
  });

  test('new clients go where the fewest are', async () => {
    const clients = await connectMany(proxy, 8);
    await untilCounts(gateways, [4, 4]);
    await admin(gateways.both[0], 'Kick', { target: { all: true } });
    await eventually(() => clients.filter(({ isEnded }) => isEnded).length === 4, 'four to end');
    clients.push(...(await connectMany(proxy, 3)));
    await untilCounts(gateways, [3, 4]);
    expect(await gateways.counts()).toEqual([3, 4]);
    await endAll(clients);
    await untilCounts(gateways, [0, 0]);
  });

  test('timeouts are far above the heartbeat', () => {
    for (const seconds of TIMEOUTS[name](shipped(name))) {
      expect(seconds === 0 || seconds >= 10 * HEARTBEAT, `${seconds} s`).toBe(true);
    }
  });

  test('a reload cuts nobody', async () => {
    const before = await Promise.all(
      TRANSPORTS.map(({ transport, port }) => TestClient.connect(proxy.ports[port], transport)),
    );
    await proxy.reload();
    for (const { transport, port } of TRANSPORTS) {
      await using client = await TestClient.connect(proxy.ports[port], transport);
      expect(await client.request('echo.a')).toEqual({ code: 200 });
    }
    for (const client of before) {
      expect(await client.request('echo.a')).toEqual({ code: 200 });
      await client[Symbol.asyncDispose]();
    }
    await untilCounts(gateways, [0, 0]);
  });
});

describe.each<ProxyName>(['haproxy', 'envoy'])(
  '%s asks gateways whether they are ready',
  (name) => {
    test('one that drains gets nobody new, and keeps those it has', async () => {
      await using gateways = await startGateways('{ budget: 60s, accept_for: 60s }');
      await using proxy = await startProxy(name, gateways.ports);
      const clients = await connectMany(proxy, 6);
      await untilCounts(gateways, [3, 3]);
      gateways.both[0].running.kill('SIGTERM');
      await eventually(async () => {
        const tries = [...(await connectMany(proxy, 4)), ...(await connectMany(proxy, 4, 'ws'))];
        const [one] = await gateways.counts();
        await endAll(tries);
        return one === 3;
      }, 'newcomers to go to the other gateway');
      await untilCounts(gateways, [3, 3]);
      clients.push(...(await connectMany(proxy, 4)), ...(await connectMany(proxy, 4, 'ws')));
      expect(await gateways.counts()).toEqual([3, 11]);
      for (const client of clients) expect(await client.request('echo.a')).toEqual({ code: 200 });
      await endAll(clients);
    });
  },
);

describe('nginx, which does not ask', () => {
  test('goes to another gateway when one no longer accepts', async () => {
    await using gateways = await startGateways('{ budget: 60s, per_second: 1 }');
    await using proxy = await startProxy('nginx', gateways.ports);
    const clients = await connectMany(proxy, 6);
    await untilCounts(gateways, [3, 3]);
    gateways.both[0].running.kill('SIGTERM');
    await gateways.both[0].logged('draining');
    const newcomers = [...(await connectMany(proxy, 4)), ...(await connectMany(proxy, 4, 'ws'))];
    expect(await gateways.addresses(1)).toHaveLength(11);
    for (const client of newcomers) expect(await client.request('echo.a')).toEqual({ code: 200 });
    await endAll([...clients, ...newcomers]);
  });
});

/** One after the other, so that each finds the counts of those before it. */
async function connectMany(
  { ports }: RunningProxy,
  count: number,
  transport: 'tcp' | 'ws' = 'tcp',
): Promise<TestClient[]> {
  const clients: TestClient[] = [];
  for (let i = 0; i < count; i++) {
    clients.push(await TestClient.connect(transport === 'ws' ? ports.web : ports.tcp, transport));
  }
  return clients;
}

async function endAll(clients: readonly TestClient[]): Promise<void> {
  await Promise.all(clients.map((client) => client[Symbol.asyncDispose]()));
}

/** The seconds of every timeout of an idle client; 0: none. */
const TIMEOUTS: Readonly<Record<ProxyName, (text: string) => number[]>> = {
  nginx: (text) =>
    secondsIn(text, /^\s*(?:proxy_timeout|proxy_read_timeout|proxy_send_timeout) (\S+);/gm, 3),
  haproxy: (text) => secondsIn(text, /^\s*timeout (?:client|server|tunnel) (\S+)/gm, 3),
  envoy: (text) =>
    secondsIn(
      JSON.stringify(parse(text)),
      /"(?:idle_timeout|stream_idle_timeout|cluster":"gateways-web","timeout)":"(\d+s)"/g,
      3,
    ),
};

function secondsIn(text: string, pattern: RegExp, least: number): number[] {
  const found = [...text.matchAll(pattern)].map(([, value = '']) => {
    const [, number, unit] = /^(\d+)(h|m|s)$/.exec(value)!;
    return Number(number) * { h: 3_600, m: 60, s: 1 }[unit as 'h' | 'm' | 's'];
  });
  expect(found.length).toBeGreaterThanOrEqual(least);
  return found;
}
