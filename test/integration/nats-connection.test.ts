/** The connection to NATS, ended at every step and in every way: it comes back, and nothing piles up meanwhile. */
import { once } from 'node:events';
import net from 'node:net';
import { describe, expect, test } from 'vitest';

import { dialNats } from '../../src/upstream/nats/dial.ts';
import { TestClient } from '../support/client.ts';
import { startGateway, type TestGateway } from '../support/gateway.ts';
import { startNats, type TestNats } from '../support/nats.ts';
import { push, serve as serveOn, tellJson } from '../support/nats-backend.ts';
import { freePort, run } from '../support/process.ts';
import { serve } from '../support/serve.ts';
import { eventually } from '../support/wait.ts';

const CONFIG = `
backends: { game: { nats: {} } }
routes: [{ match: ">", backend: game, timeout: 2s }]
limits: { packet: 1MiB }
drain: { budget: 1s }
`;

type Proxy = AsyncDisposable & { readonly url: string; connections: number };

/** What a proxy does with one connection: `near` is the gateway's socket, `far` the server's. */
type Treat = (near: net.Socket, far: net.Socket) => void;

/** Treats the connections as listed, in their order; later ones pass. */
async function startProxy(nats: TestNats, ...treats: Treat[]): Promise<Proxy> {
  const sockets = new Set<net.Socket>();
  const server = net.createServer((near) => {
    const far = net.connect(nats.port, '127.0.0.1');
    for (const socket of [near, far]) {
      sockets.add(socket);
      socket.on('error', () => {});
      socket.on('close', () => {
        sockets.delete(socket);
        near.destroy();
        far.destroy();
      });
    }
    near.pipe(far);
    (treats[proxy.connections++] ?? pass)(near, far);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const proxy: Proxy = {
    url: `nats://127.0.0.1:${(server.address() as net.AddressInfo).port}`,
    connections: 0,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
  return proxy;
}

const pass: Treat = (near, far) => void far.pipe(near);

/** Passes what the server says up to and with the `n`th line that begins with `word`, and ends the connection. */
function endAfter(word: string, n = 1): Treat {
  return (near, far) => {
    let said = '';
    far.on('data', (chunk: Buffer) => {
      said += chunk.toString('latin1');
      const seen = said.split(word).length - 1;
      if (seen < n) near.write(chunk);
      else near.end(chunk, () => near.destroy());
    });
  };
}

const ways: [string, Treat][] = [
  ['before INFO', (near) => void near.destroy()],
  ['before INFO, by a reset', (near) => void near.resetAndDestroy()],
  [
    'in the middle of INFO',
    (near, far) => void far.once('data', (all: Buffer) => near.end(all.subarray(0, 40))),
  ],
  ['with something else than INFO', (near) => void near.end('HTTP/1.1 400 Bad Request\r\n\r\n')],
  ['after INFO', endAfter('INFO')],
  ['after the first PONG', endAfter('PONG')],
  ['after the second PONG', endAfter('PONG', 2)],
  [
    'by an error of authorization',
    (near, far) =>
      void far.once('data', (info: Buffer) =>
        near.end(`${info.toString()}-ERR 'Authorization Violation'\r\n`),
      ),
  ],
  [
    'by an error that nobody knows',
    (near, far) =>
      void far.once('data', (info: Buffer) => near.end(`${info.toString()}-ERR 'Nonsense'\r\n`)),
  ],
];

async function expectServes(gateway: TestGateway): Promise<void> {
  await eventually(() => gateway.gateway.notReady().length === 0, 'the bus');
  await using client = await TestClient.connect(gateway.port);
  const answer = await eventually(async () => {
    const said = await client.request('game.echo', { n: 1 });
    // In a cluster, one server hears a little later who has subscribed at the other.
    return !['BUS_AWAY', 'BACKEND_AWAY'].includes(String(said['reason'])) && said;
  }, 'an answer over the bus');
  expect(answer).toEqual({ ok: true });
}

describe('a connection that ends', () => {
  test.concurrent.each(ways)('%s is made again', async (_, treat) => {
    await using nats = await startNats();
    const nc = await nats.connect();
    await serveOn(nc, 'pith.rpc.>', () => ({ body: '{"ok":true}' }));
    await using proxy = await startProxy(nats, treat, treat);
    await using gateway = await startGateway(`bus: ${proxy.url}\n${CONFIG}`);
    await expectServes(gateway);
    expect(proxy.connections).toBeGreaterThan(2);
    const tries = (outcome: string) => gateway.count('pith_bus_connects_total', outcome);
    expect(tries('refused') + tries('connected')).toBe(proxy.connections);
  });

  test('is waited for, and a request whose time is up before is answered 503: nobody has had it', async () => {
    await using nats = await startNats();
    await serveOn(await nats.connect(), 'pith.rpc.>', () => ({ body: '{"ok":true}' }));
    const short = CONFIG.replace('timeout: 2s', 'timeout: 300ms');
    await using gateway = await startGateway(`bus: ${nats.url}\n${short}`);
    await using client = await TestClient.connect(gateway.port);
    expect(await client.request('game.echo')).toEqual({ ok: true });
    await nats.kill();
    await eventually(() => gateway.gateway.metrics.render().includes('pith_bus_up 0'), 'the loss');
    expect(await client.request('game.echo')).toMatchObject({ code: 503, reason: 'BUS_AWAY' });
    expect(gateway.count('pith_requests_total', 'game', 'BUS_AWAY')).toBe(1);
    await nats.restart();
  });

  test('has its subscriptions again, those of users that were bound before it too', async () => {
    await using nats = await startNats();
    await using gateway = await startGateway(`bus: ${nats.url}\n${CONFIG}`);
    await using client = await TestClient.connect(gateway.port);
    const [session] = [...gateway.gateway.registry.all()];
    await tellJson(await nats.connect(), `pith.session.${session!.sid}.bind`, { uid: 'ann' });
    for (let n = 1; n <= 3; n++) {
      await nats.kill();
      await eventually(
        () => gateway.gateway.metrics.render().includes('pith_bus_up 0'),
        'the loss',
      );
      await nats.restart();
      await eventually(() => gateway.count('pith_bus_connects_total', 'connected') === n + 1, 'it');
      push(await nats.connect(), 'pith.user.ann.push', `onNews${n}`, { n });
      expect(await client.push(`onNews${n}`)).toEqual({ n });
    }
    expect(gateway.log.filter(({ msg }) => msg === 'bus connection lost')).toHaveLength(3);
    expect(gateway.log.filter(({ msg }) => msg === 'bus reconnected')).toHaveLength(3);
  });
});

test.concurrent('a server that takes the connection and says nothing costs one socket at a time', async () => {
  const sockets = new Set<net.Socket>();
  const silent = net.createServer((socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => {});
  });
  silent.listen(0, '127.0.0.1');
  await once(silent, 'listening');
  const url = `127.0.0.1:${(silent.address() as net.AddressInfo).port}`;
  const none = { creds: '', user: '', password: '', token: '', nkey: '' };
  const options = { gatewayId: 'g', inboxPrefix: '_INBOX.g', ...none };
  await expect(dialNats(options, [url])).rejects.toThrow('timeout');
  await eventually(() => sockets.size === 0, 'the end of the socket');
  silent.close();
});

test.concurrent('a server that has joined the cluster meanwhile is used when the configured one is gone', async () => {
  const [portA, portB] = [await freePort(), await freePort()];
  await using a = await startNats(`cluster { name: c, listen: 127.0.0.1:${portA} }`);
  await using gateway = await startGateway(`bus: ${a.url}\n${CONFIG}`);
  await using b = await startNats(
    `cluster { name: c, listen: 127.0.0.1:${portB}, routes: [nats://127.0.0.1:${portA}] }`,
  );
  const told = await a.connect();
  await eventually(
    () => told.info?.connect_urls?.includes(`127.0.0.1:${b.port}`),
    'the word that there is another',
  );
  await serveOn(await b.connect(), 'pith.rpc.>', () => ({ body: '{"ok":true}' }));
  // Its answer comes after that word.
  await expectServes(gateway);
  const before = busBytes(gateway, 'received');
  await a.kill();
  await eventually(() => gateway.count('pith_bus_connects_total', 'connected') === 2, 'the other');
  await expectServes(gateway);
  // The answer to each request, {"ok":true}, is among them.
  expect(before).toBeGreaterThanOrEqual(11);
  expect(busBytes(gateway, 'received')).toBeGreaterThanOrEqual(before + 11);
  expect(busBytes(gateway, 'sent')).toBeGreaterThan(0);
  const servers = gateway.log.filter(({ msg }) => /^bus (re)?connected$/.test(msg));
  expect(servers.map(({ server }) => server)).toEqual([
    `127.0.0.1:${a.port}`,
    `127.0.0.1:${b.port}`,
  ]);
});

test.concurrent('a connection that is discarded rejects who waits for it, and leaves nothing open', async () => {
  await using nats = await startNats();
  const script = `
    import { dialNats } from './src/upstream/nats/dial.ts';
    const none = { creds: '', user: '', password: '', token: '', nkey: '' };
    const options = { gatewayId: 'g', inboxPrefix: '_INBOX.g', ...none };
    const nc = await dialNats(options, ['${nats.url}']);
    nc.listen({ onRoom() {}, onStale() {}, onLameDuck() {}, onError() {} });
    nc.subscribe('a', () => {}, '');
    const trip = nc.flush();
    nc.discard();
    nc.discard();
    console.log(await trip.catch(({ message }) => message));
    console.log(process.getActiveResourcesInfo().filter((type) => type === 'Timeout'));
    // The socket closes in a later turn; if it did not, this would not end.
  `;
  const { code, output } = await run('node', ['--input-type=module', '-e', script]);
  expect({ code, output }).toEqual({ code: 0, output: 'connection disconnected\n[]\n' });
});

const BODY = 'x'.repeat(500_000);
const MIB = 1_048_576;
/** What a client may be told while nats-server hangs. */
const AWAY_WORDS = new Set<unknown>(['OVERLOADED', 'TIMEOUT', 'BUS_AWAY']);

function busBytes({ gateway }: TestGateway, direction: 'received' | 'sent'): number {
  const line = new RegExp(`^pith_bus_bytes_total\\{direction="${direction}"\\} (\\d+)$`, 'm');
  return Number(line.exec(gateway.metrics.render())![1]);
}

async function metric(port: number, name: string): Promise<number> {
  const page = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
  return Number(new RegExp(`^${name} (.*)$`, 'm').exec(page)![1]);
}

describe('a nats-server that', { concurrent: true }, () => {
  test('hangs costs 16 MiB; what is too late is taken back, it is found out, and used again', async () => {
    await using nats = await startNats();
    const nc = await nats.connect();
    const heard = await serveOn(nc, 'pith.rpc.>', () => ({ body: '{"ok":true}' }));
    await using served = await serve(`bus: ${nats.url}\n${CONFIG.replace('2s', '1s')}`);
    const clients = await Promise.all(
      Array.from({ length: 20 }, () => TestClient.connect(served.port)),
    );
    expect(await clients[0]!.request('game.echo', {})).toEqual({ ok: true });
    nats.signal('SIGSTOP');
    let isOver = false;
    const answers = Promise.all(
      clients.flatMap((client) =>
        Array.from({ length: 5 }, () => client.request('game.echo', { text: BODY })),
      ),
    ).finally(() => (isOver = true));
    while (!isOver)
      expect(await metric(served.healthPort, 'pith_bus_unsent_bytes')).toBeLessThan(16 * MIB);
    const reasons = (await answers).map(({ reason }) => reason);
    expect(reasons).toContain('OVERLOADED');
    expect(new Set(reasons).difference(AWAY_WORDS)).toEqual(new Set());
    // What was late is taken back, but for what the client library has begun.
    expect(await metric(served.healthPort, 'pith_bus_unsent_bytes')).toBeLessThan(2 * MIB);

    await served.logged('bus connection lost');
    expect(await metric(served.healthPort, 'pith_bus_up')).toBe(0);
    expect(await metric(served.healthPort, 'pith_bus_unsent_bytes')).toBe(0);
    // For two seconds requests wait for another connection; these time out after one.
    const isRefused = async (): Promise<boolean> =>
      ((await clients[0]!.request('game.echo', {})) as { reason: string }).reason === 'BUS_AWAY';
    await eventually(isRefused, 'requests to be refused');
    expect((await fetch(`http://127.0.0.1:${served.healthPort}/readyz`)).status).toBe(200);
    nats.signal('SIGCONT');
    await served.logged('bus reconnected');
    expect(served.log().filter(({ msg }) => msg.startsWith('bus '))).toHaveLength(3);
    expect(await clients[0]!.request('game.last', {})).toEqual({ ok: true });
    const taken = heard.messages.filter(({ subject }) => subject === 'pith.rpc.game.echo').length;
    const late = reasons.filter((reason) => reason !== 'OVERLOADED').length;
    expect(taken).toBeLessThan(late - 20);
    for (const client of clients) client.close();
  });

  test('refuses the password, and takes it later, is used then; the log says what is wrong', async () => {
    await using nats = await startNats('authorization { user: u, password: new }');
    const yaml = (password: string) =>
      `bus: ${nats.url}\nnats: { user: u, password: ${password} }\n${CONFIG}`;
    await using gateway = await startGateway(yaml('old'));
    expect(gateway.log.filter(({ level }) => level === 'warn')).toEqual([
      expect.objectContaining({ why: 'Authorization Violation' }),
    ]);
    await nats.kill();
    await nats.restart('authorization { user: u, password: old }');
    await eventually(() => gateway.gateway.notReady().length === 0, 'the bus');
    const lines = gateway.log.filter(({ level }) => level !== 'debug').map(({ msg }) => msg);
    // While the server is down, an attempt may fall into that time, and is logged with its own reason.
    const rest = lines.slice(1).filter((msg) => msg !== 'bus unreachable');
    expect(rest).toEqual(['listening', 'bus connected', 'ready']);
  });

  test('comes back with a smaller max_payload still carries what fits', async () => {
    await using nats = await startNats();
    await using gateway = await startGateway(`bus: ${nats.url}\n${CONFIG}`);
    await using client = await TestClient.connect(gateway.port);
    await nats.kill();
    await nats.restart('max_payload: 4096');
    await serveOn(await nats.connect(), 'pith.rpc.>', () => ({ body: '{"ok":true}' }));
    await eventually(() => gateway.count('pith_bus_connects_total', 'connected') === 2, 'the bus');
    expect(await client.request('game.big', { text: 'x'.repeat(5_000) })).toMatchObject({
      code: expect.toSatisfy((code) => code === 400 || code === 413),
    });
    expect(await client.request('game.small', {})).toEqual({ ok: true });
    expect(gateway.count('pith_bus_connects_total', 'connected')).toBe(2);
  });

  test('takes a message of more than 1 MiB at once also gets what was sent right after it', async () => {
    await using nats = await startNats('max_payload: 8MB');
    await serveOn(await nats.connect(), 'pith.rpc.>', () => ({ body: '{"ok":true}' }));
    const config = CONFIG.replace('packet: 1MiB', 'packet: 4MiB');
    await using gateway = await startGateway(`bus: ${nats.url}\n${config}`);
    await using client = await TestClient.connect(gateway.port);
    const bodies = [{ text: 'x'.repeat(1_500_000) }, {}, { text: 'x'.repeat(1_500_000) }, {}, {}];
    const answers = await Promise.all(bodies.map((body) => client.request('game.echo', body)));
    expect(answers).toEqual(bodies.map(() => ({ ok: true })));
  });

  test('goes away in lame duck mode is told once, and its successor is used', async () => {
    await using nats = await startNats('lame_duck_duration: "30s"\nlame_duck_grace_period: "1s"');
    await using gateway = await startGateway(`bus: ${nats.url}\n${CONFIG}`);
    nats.signal('SIGUSR2');
    await eventually(
      () => gateway.log.some(({ what }) => String(what).includes('lame duck')),
      'it',
    );
    await nats.kill();
    await nats.restart();
    await serveOn(await nats.connect(), 'pith.rpc.>', () => ({ body: '{"ok":true}' }));
    await expectServes(gateway);
    const about = gateway.log.filter(({ msg }) => msg.startsWith('bus'));
    expect(about.map(({ msg }) => msg)).toEqual([
      'bus connected',
      'bus',
      'bus connection lost',
      'bus reconnected',
    ]);
  });
});

test('an orderly stop loses no bus', async () => {
  await using nats = await startNats();
  const gateway = await startGateway(`bus: ${nats.url}\n${CONFIG}`);
  await gateway[Symbol.asyncDispose]();
  const lines = gateway.log.filter(({ level }) => level !== 'debug').map(({ msg }) => msg);
  expect(lines).toEqual(['bus connected', 'listening', 'draining', 'stopped']);
});
