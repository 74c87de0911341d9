/**
 * Much at once for clients that read well, and for clients that do not: who reads gets everything, whatever one turn
 * of the event loop brings; what all others hold together is bounded, and is what the metric says.
 */
import net from 'node:net';
import { afterAll, describe, expect, test } from 'vitest';

import { TestClient } from '../support/client.ts';
import { startGateway, type TestGateway } from '../support/gateway.ts';
import { watchHeld } from '../support/held.ts';
import { type LinkBackend, startLinkBackend } from '../support/link-backend.ts';
import { startNats } from '../support/nats.ts';
import { headersOf } from '../support/nats-backend.ts';
import { ACK, ask, HANDSHAKE } from '../support/raw.ts';
import { serve } from '../support/serve.ts';
import { Authority, connectTls, SecretFolder, TlsPipe } from '../support/tls.ts';
import { eventually } from '../support/wait.ts';

const MEBIBYTE = 1024 * 1024;
const authority = new Authority();
const secret = new SecretFolder(authority.issue('server'));
const HOSTS = ['tcp', 'ws', 'tcp over TLS', 'ws over TLS'] as const;
/** Alarms look at sessions seldom: what goes on, goes on by events. */
const NO_ALARMS = 'heartbeat: 0s\nlimits: { assemble: 1h, slow: { close_after: 1h } }\n';
const LISTEN = `listen: [{ url: "auto://127.0.0.1:0", tls: { cert: ${secret.cert}, key: ${secret.key} } }]\n`;

afterAll(() => {
  secret[Symbol.dispose]();
});

function routes(backend: LinkBackend): string {
  return `backends: { b: { grpc: "${backend.address}" } }\nroutes: [{ match: ">", backend: b }]\n`;
}

type Crowd = AsyncDisposable & { readonly clients: readonly TestClient[] };

async function crowd(port: number, how: (typeof HOSTS)[number], count: number): Promise<Crowd> {
  const isSecure = how.endsWith('TLS');
  const pipe = isSecure ? await TlsPipe.open(port, { ca: authority.cert }) : null;
  const transport = how.startsWith('ws') ? 'ws' : 'tcp';
  const clients: TestClient[] = [];
  for (let i = 0; i < count; i++)
    clients.push(await TestClient.connect(pipe?.port ?? port, transport));
  return {
    clients,
    async [Symbol.asyncDispose]() {
      await Promise.all(clients.map((client) => client[Symbol.asyncDispose]()));
      await pipe?.[Symbol.asyncDispose]();
    },
  };
}

/** Takes some of what comes, and pauses. */
function readSteadily(socket: net.Socket): void {
  let taken = 0;
  socket.on('data', (chunk) => {
    taken += chunk.length;
    if (taken < 400_000) return;
    taken = 0;
    socket.pause();
    setTimeout(() => socket.resume(), 100);
  });
}

test.each(['tcp', 'tls'] as const)(
  'a client that reads slowly, but all the time, is not slow, however long one answer is: %s',
  async (transport) => {
    await using backend = await startLinkBackend((request) => {
      request.answer({ padding: 'x'.repeat(12_000_000), end: 'THE END' });
    });
    await using gateway = await startGateway(
      `${routes(backend)}${LISTEN}heartbeat: 0s\nlimits: { slow: { drop_after: 100ms, close_after: 2s } }\n`,
    );
    const { port } = gateway;
    const socket =
      transport === 'tls'
        ? await connectTls(port, { ca: authority.cert })
        : net.connect({ port, host: '127.0.0.1' });
    let tail = '';
    const whole = new Promise<void>((resolve, reject) => {
      socket.on('close', () => {
        reject(new Error('closed before the end'));
      });
      socket.on('data', (chunk) => {
        tail = (tail + chunk.toString('latin1')).slice(-200);
        if (tail.includes('THE END')) resolve();
      });
    });
    readSteadily(socket);
    socket.write(Buffer.concat([HANDSHAKE, ACK, ask(1, 'a.big')]));
    await whole;
    expect(slowOnes(gateway)).toBe(0);
    socket.destroy();
  },
);

const numbered = (n: number, bytes: number): Buffer =>
  Buffer.from(JSON.stringify({ n, padding: 'x'.repeat(bytes) }));

async function expectAll(client: TestClient, count: number): Promise<void> {
  const pushes = (): number => client.received.filter(({ kind }) => kind === 'push').length;
  await client.wait(() => (pushes() >= count ? true : undefined), `${count} pushes`);
  expect(client.pushes('onTest').map(({ body }) => body['n'])).toEqual(
    Array.from({ length: count }, (_, n) => n),
  );
}

const slowOnes = (gateway: TestGateway): number =>
  gateway.count('pith_sessions_closed_total', 'slow_consumer');

describe.each(HOSTS)('clients that read, by %s', (how) => {
  test.each([
    { count: 60, bytes: 20_000 },
    { count: 1_200, bytes: 1_000 },
    { count: 6, bytes: 700_000 },
  ])(
    'get $count pushes of $bytes bytes that come in one message of a Link',
    async ({ count, bytes }) => {
      await using backend = await startLinkBackend((request) => request.answer({}));
      await using gateway = await startGateway(routes(backend) + LISTEN);
      await using readers = await crowd(gateway.port, how, 5);
      await readers.clients[0]!.request('a.b');
      backend.pushAll(
        Array.from({ length: count }, (_, n) => ({
          target: { all: true },
          route: 'onTest',
          body: { bytes: numbered(n, bytes) },
        })),
      );
      for (const client of readers.clients) await expectAll(client, count);
      expect(slowOnes(gateway)).toBe(0);
    },
  );

  test.each([600_000, 3_000_000])(
    'are read from after an answer of %d bytes, and it arrives whole',
    async (bytes) => {
      await using backend = await startLinkBackend((request) => {
        request.answer(request.route === 'a.big' ? { padding: 'x'.repeat(bytes) } : { small: 1 });
      });
      await using gateway = await startGateway(routes(backend) + LISTEN + NO_ALARMS);
      await using readers = await crowd(gateway.port, how, 1);
      const [client] = readers.clients;
      for (let i = 0; i < 3; i++) {
        const { padding } = await client!.request('a.big');
        expect((padding as string).length).toBe(bytes);
        expect(await client!.request('a.small')).toEqual({ small: 1 });
      }
    },
  );
});

test('clients that read get what comes over NATS in one flush, also after a pause of the gateway', async () => {
  await using nats = await startNats();
  await using gateway = await serve(
    `bus: ${nats.url}\nlimits: { slow: { close_after: 1500ms, drop_after: 1500ms } }\n`,
  );
  const nc = await nats.connect();
  await using readers = await crowd(gateway.port, 'tcp', 10);
  const flood = async (from: number, count: number, bytes: number): Promise<void> => {
    const headers = headersOf({ 'Pith-Route': 'onTest' });
    for (let n = from; n < from + count; n++)
      nc.publish('pith.all.push', numbered(n, bytes), { headers });
    await nc.flush();
  };
  await flood(0, 60, 20_000);
  for (const client of readers.clients) await expectAll(client, 60);
  await gateway.running.freeze();
  await flood(60, 1_200, 1_000);
  const since = performance.now();
  await eventually(() => performance.now() - since > 2_000, 'two seconds of pause');
  gateway.running.kill('SIGCONT');
  for (const client of readers.clients) await expectAll(client, 1_260);
});

describe('clients that do not read', () => {
  test('cost what the metric says, however often their latest pushes are replaced', async () => {
    await using backend = await startLinkBackend((request) => request.answer({}));
    await using gateway = await startGateway(routes(backend) + NO_ALARMS);
    await using deaf = await crowd(gateway.port, 'ws', 3);
    await deaf.clients[0]!.request('a.b');
    for (const client of deaf.clients) client.pauseReading(true);
    const push = (n: number): Record<string, unknown> => ({
      target: { all: true },
      route: 'onTest',
      body: { bytes: numbered(n, 60_000) },
      delivery: 'DELIVERY_LATEST',
    });
    const held = (): number => gaugeOf(gateway, 'pith_outbox_bytes');
    // What the kernels take is not ours.
    for (let n = 0; n < 2_000 && held() < 3 * 60_000; n++) await backend.push(push(n));
    const memory = await watchHeld();
    for (let n = 0; n < 2_000; n++) await backend.push(push(n));
    expect(held()).toBeLessThan(3 * 3 * 61_000);
    await memory.expectGrownLess(20 * MEBIBYTE);
  });

  test('hold no more than limits.outboxes together; who reads stays', async () => {
    await using backend = await startLinkBackend((request) => request.answer({}));
    await using gateway = await startGateway(
      `${routes(backend)}heartbeat: 0s\nlimits: { outbox: 1MiB, outboxes: 4MiB, slow: { close_after: 1h } }\n`,
    );
    await using readers = await crowd(gateway.port, 'tcp', 1);
    await using deaf = await crowd(gateway.port, 'tcp', 12);
    await readers.clients[0]!.request('a.b');
    for (const client of deaf.clients) client.pauseReading(true);
    let most = 0;
    let n = 0;
    for (; n < 3_000 && slowOnes(gateway) < 8; n++) {
      await backend.push({
        target: { all: true },
        route: 'onTest',
        body: { bytes: numbered(n, 60_000) },
      });
      most = Math.max(most, gaugeOf(gateway, 'pith_outbox_bytes'));
    }
    expect(slowOnes(gateway)).toBeGreaterThanOrEqual(8);
    expect(most).toBeLessThanOrEqual(4 * MEBIBYTE);
    expect(most).toBeGreaterThan(3 * MEBIBYTE);
    await expectAll(readers.clients[0]!, n);
    for (const client of deaf.clients) client.close();
    await eventually(() => gaugeOf(gateway, 'pith_outbox_bytes') === 0, 'nothing to be held');
  });
});

function gaugeOf(gateway: TestGateway, name: string): number {
  const text = gateway.gateway.metrics.render();
  return Number(new RegExp(`^${name} (.*)$`, 'm').exec(text)![1]);
}
