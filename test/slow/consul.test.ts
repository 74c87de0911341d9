/** A real Consul agent: addresses of backends by health, and the gateway as a service. `make consul-test` */
import { describe, expect, test } from 'vitest';

import { TestClient } from '../support/client.ts';
import { type HealthEntry, startConsul, type TestConsul } from '../support/consul.ts';
import { startGateway, type TestGateway } from '../support/gateway.ts';
import { GrpcBackend } from '../support/grpc-backend.ts';
import { serve } from '../support/serve.ts';
import { eventually } from '../support/wait.ts';

/** A gateway whose backend is the service `chat`. */
function startWith(consul: TestConsul, more = ''): Promise<TestGateway> {
  return startGateway(
    `consul: { address: "${consul.address}"${more} }\n` +
      'backends: { chat: { grpc: "consul:///chat" } }\n' +
      'routes: [{ match: ">", backend: chat, timeout: 10s }]\n',
  );
}

function registered(consul: TestConsul, more = ''): Promise<TestGateway> {
  return startGateway(`consul: { address: "${consul.address}", register: true${more} }`);
}

/** Which instance answers a client that is new. */
async function answering(gateway: TestGateway): Promise<string> {
  await using client = await TestClient.connect(gateway.port);
  const { instance, reason } = await client.request('chat.hello');
  return String(instance ?? reason);
}

/** Resolves when these instances answer new clients in turn, and no others. */
async function answeredBy(gateway: TestGateway, ...names: string[]): Promise<void> {
  const look = async (): Promise<boolean> => {
    const seen = new Set<string>();
    for (let i = 0; i < 2 * names.length; i++) seen.add(await answering(gateway));
    return [...seen].sort().join() === names.join();
  };
  await eventually(look, `answers of ${names.join(' and ')}`);
}

/** The gateway's entry, when `isIt`. */
function entryOf(
  consul: TestConsul,
  isIt: (entry: HealthEntry) => boolean,
  service = 'pith',
): Promise<HealthEntry> {
  const look = async (): Promise<HealthEntry | undefined> =>
    (await consul.health(service)).find(isIt);
  return eventually(look, `an entry of ${service}`, 30_000);
}

function isPassing(entry: HealthEntry): boolean {
  return entry.Checks.every(({ Status }) => Status === 'passing');
}

describe('backends that Consul knows', () => {
  test('are those that are healthy: registered, critical and back, deregistered', async () => {
    await using consul = await startConsul();
    await using a = await GrpcBackend.start({ instance: 'a' });
    await using b = await GrpcBackend.start({ instance: 'b' });
    await using gateway = await startWith(consul);
    expect(await answering(gateway)).toBe('BACKEND_AWAY');

    await consul.register('chat', 'chat-a', a.port);
    await answeredBy(gateway, 'a');
    await consul.register('chat', 'chat-b', b.port);
    await answeredBy(gateway, 'a', 'b');

    await consul.put('agent/check/fail/service:chat-a');
    await answeredBy(gateway, 'b');
    await consul.put('agent/check/pass/service:chat-a');
    await answeredBy(gateway, 'a', 'b');

    await consul.put('agent/service/maintenance/chat-b?enable=true');
    await answeredBy(gateway, 'a');
    await consul.put('agent/service/maintenance/chat-b?enable=false');
    await answeredBy(gateway, 'a', 'b');

    await consul.put('agent/service/deregister/chat-b');
    await answeredBy(gateway, 'a');
    // The last one is held for a moment, and then nobody is there.
    await consul.put('agent/service/deregister/chat-a');
    await eventually(
      async () => (await answering(gateway)) === 'BACKEND_AWAY',
      'the end of the hold',
      30_000,
    );
  });

  test('stay while Consul is away, and change when it is back', async () => {
    await using consul = await startConsul();
    await using a = await GrpcBackend.start({ instance: 'a' });
    await using b = await GrpcBackend.start({ instance: 'b' });
    await consul.register('chat', 'chat-a', a.port);
    await using gateway = await startWith(consul);
    await answeredBy(gateway, 'a');
    await consul.kill();
    const said = 'Consul query failed; keeping the last known addresses';
    await eventually(() => gateway.log.some(({ msg }) => msg === said), said);
    await answeredBy(gateway, 'a');
    // Its memory is empty now; that alone does not take the backend away.
    await consul.restart();
    await eventually(
      () => gateway.log.some(({ msg }) => msg === 'Consul answers again'),
      'back',
      60_000,
    );
    await answeredBy(gateway, 'a');
    await consul.register('chat', 'chat-b', b.port);
    await answeredBy(gateway, 'b');
    expect(gateway.log.filter(({ msg }) => msg === said)).toHaveLength(1);
  });

  test('may be away with Consul at the start', async () => {
    await using consul = await startConsul();
    await consul.kill();
    await using a = await GrpcBackend.start({ instance: 'a' });
    await using gateway = await startWith(consul);
    expect(await answering(gateway)).toBe('BACKEND_AWAY');
    await consul.restart();
    await consul.register('chat', 'chat-a', a.port);
    await eventually(async () => (await answering(gateway)) === 'a', 'a', 60_000);
  });
});

describe('the gateway as a service', () => {
  test.each(['http', 'grpc', 'ttl'])('with a check by %s', async (check) => {
    await using consul = await startConsul();
    await using gateway = await registered(
      consul,
      `, check: ${check}, service: gate, tags: [eu], meta: { zone: a }`,
    );
    const { Service, Checks } = await entryOf(consul, isPassing, 'gate');
    expect(Service).toMatchObject({
      ID: gateway.gateway.id,
      Address: '127.0.0.1',
      Port: gateway.port,
      Tags: ['eu'],
      Meta: {
        zone: 'a',
        version: '0.0.0-test',
        control_port: String(gateway.controlPort),
        health_port: String(gateway.healthPort),
      },
    });
    expect(Checks.find(({ CheckID }) => CheckID === `service:${Service.ID}`)?.Type).toBe(check);
  });

  test('is in maintenance while it drains, and gone when it has stopped', async () => {
    await using consul = await startConsul();
    await using gateway = await startGateway(
      `consul: { address: "${consul.address}", register: true }\n` +
        'drain: { accept_for: 1m, budget: 2s, per_second: 10000 }',
    );
    await entryOf(consul, isPassing);
    // It goes on accepting until this says so.
    let enough = false;
    const drained = gateway.gateway.drain(() => enough);
    const seen = await entryOf(consul, (entry) =>
      entry.Checks.some(({ CheckID }) => CheckID.startsWith('_service_maintenance:')),
    );
    enough = true;
    await drained;
    const maintenance = seen.Checks.find(({ CheckID }) => CheckID.startsWith('_service_m'));
    expect(maintenance).toMatchObject({ Status: 'critical', Notes: 'draining' });
    await eventually(async () => (await consul.health('pith')).length === 0, 'no entry');
    expect(gateway.log.map(({ msg }) => msg)).toContain('deregistered from Consul');
  });

  test('registers again where it was forgotten', async () => {
    await using consul = await startConsul();
    await using gateway = await registered(consul, ', check: ttl');
    await entryOf(consul, isPassing);
    await consul.kill();
    await consul.restart();
    await entryOf(consul, isPassing);
    expect(gateway.log.map(({ msg }) => msg)).toContain(
      'Consul had lost our registration; registered again',
    );
  });

  test('starts without Consul, and registers when it is there', async () => {
    await using consul = await startConsul();
    await consul.kill();
    await using gateway = await registered(consul);
    const said = 'Consul rejected our registration; retrying';
    await eventually(() => gateway.log.some(({ msg }) => msg === said), said);
    await consul.restart();
    const { Service } = await entryOf(consul, isPassing);
    expect(Service.ID).toBe(gateway.gateway.id);
  });

  test('is taken out by Consul when it was killed', async () => {
    await using consul = await startConsul();
    await using served = await serve(`consul: { address: "${consul.address}", register: true }\n`);
    await entryOf(consul, isPassing);
    served.running.kill('SIGKILL');
    await served.running.exited;
    const { Checks } = await entryOf(consul, (entry) => !isPassing(entry));
    expect(Checks.some(({ Output }) => Output.includes('connection refused'))).toBe(true);
    // [Consul: a minute at least, and it looks every half minute]
    await eventually(async () => (await consul.health('pith')).length === 0, 'no entry', 150_000);
  });
});
