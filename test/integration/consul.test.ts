/**
 * A whole gateway with Consul: it finds its backends there, and registers. Consul is played here by a double of the
 * endpoints used; test/slow/consul.test.ts has a real one.
 */
import { expect, test } from 'vitest';

import { TestClient } from '../support/client.ts';
import { type ConsulAsk, ConsulDouble, healthy } from '../support/consul-double.ts';
import { startGateway } from '../support/gateway.ts';
import { GrpcBackend } from '../support/grpc-backend.ts';
import { eventually } from '../support/wait.ts';

const ROUTES = 'routes: [{ match: ">", backend: chat, timeout: 10s }]\n';

function consulOf(consul: ConsulDouble, more = ''): string {
  return `consul: { address: "${consul.url}"${more} }\n`;
}

test('sessions go where Consul says, and a change is followed at once', async () => {
  await using a = await GrpcBackend.start({ instance: 'a' });
  await using b = await GrpcBackend.start({ instance: 'b' });
  await using consul = await ConsulDouble.start(({ query }) =>
    query.has('index') ? null : { index: 3, body: [healthy('127.0.0.1', a.port)] },
  );
  await using gateway = await startGateway(
    `${consulOf(consul)}backends: { chat: { grpc: "consul:///chat?tag=blue" } }\n${ROUTES}`,
  );
  await using client = await TestClient.connect(gateway.port);
  expect(await client.request('chat.hello')).toMatchObject({ instance: 'a' });
  expect(consul.asks[0]!.query.get('tag')).toBe('blue');

  await eventually(() => consul.held.length === 1, 'the query that waits');
  consul.release({ index: 4, body: [healthy('127.0.0.1', b.port)] });
  await eventually(
    async () => (await client.request('chat.hello'))['instance'] === 'b',
    'the other instance',
  );
});

test('a Consul that is away at the start keeps nothing from starting', async () => {
  await using a = await GrpcBackend.start({ instance: 'a' });
  await using consul = await ConsulDouble.start(() => ({
    index: 1,
    body: [healthy('127.0.0.1', a.port)],
  }));
  await consul.stop();
  await using gateway = await startGateway(
    `${consulOf(consul)}backends: { chat: { grpc: "consul:///chat" } }\n${ROUTES}`,
  );
  await using client = await TestClient.connect(gateway.port);
  expect(await client.request('chat.hello')).toMatchObject({ reason: 'BACKEND_AWAY' });
  expect(gateway.log).toContainEqual(
    expect.objectContaining({
      level: 'warn',
      backend: 'chat',
      msg: 'Consul query failed; keeping the last known addresses',
    }),
  );
  await consul.listen();
  await eventually(
    async () => (await client.request('chat.hello'))['instance'] === 'a',
    'the backend',
    30_000,
  );
});

test('it registers once it listens, and leaves when it has drained', async () => {
  let known = false;
  await using consul = await ConsulDouble.start(({ method, path }) => {
    if (path === '/v1/agent/service/register') known = true;
    return method === 'GET' && !known ? { status: 404 } : {};
  });
  const asked = (part: string): ConsulAsk | undefined =>
    consul.asks.find(({ path }) => path.includes(part));
  await using gateway = await startGateway(
    consulOf(
      consul,
      ', register: true, advertise: "game.example:443", token: abc, meta: { zone: a }',
    ),
  );
  const { id } = gateway.gateway;
  const { body, headers } = await eventually(() => asked('/register'), 'the registration');
  expect(headers['x-consul-token']).toBe('abc');
  expect(body).toMatchObject({
    ID: id,
    Name: 'pith',
    Address: 'game.example',
    Port: 443,
    Meta: {
      zone: 'a',
      version: '0.0.0-test',
      control_port: String(gateway.controlPort),
      health_port: String(gateway.healthPort),
    },
    Check: {
      HTTP: `http://127.0.0.1:${gateway.healthPort}/readyz?warn`,
      DeregisterCriticalServiceAfter: '60000ms',
    },
  });
  // What it names can be asked, and says that it is ready.
  const ready = await fetch((body as { Check: { HTTP: string } }).Check.HTTP);
  expect(ready.status).toBe(200);

  await gateway.gateway.drain();
  const verbs = consul.asks.map(({ path }) => path).filter((path) => path.endsWith(`/${id}`));
  expect(verbs.slice(-2)).toEqual([
    `/v1/agent/service/maintenance/${id}`,
    `/v1/agent/service/deregister/${id}`,
  ]);
  expect(gateway.log.map(({ msg }) => msg)).toContain('deregistered from Consul');
});
