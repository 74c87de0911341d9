/** What the gateway says of itself to Consul. */
import { expect, test } from 'vitest';

import {
  serviceEntry,
  type ServiceFacts,
  serviceFacts,
} from '../../../src/discovery/service-entry.ts';
import { load } from '../config/support.ts';

const FACTS: ServiceFacts = {
  id: 'pith-a1b2c3d4e5',
  name: 'pith',
  tags: ['eu'],
  meta: { version: '1.2.3' },
  clients: { host: '', port: 3010 },
  check: 'http',
  health: { host: '', port: 7072 },
  control: { host: '127.0.0.1', port: 7070 },
  controlTls: false,
  deregisterAfterMs: 60_000,
};

function checkOf(facts: Partial<ServiceFacts>, localAddress: string): unknown {
  return serviceEntry({ ...FACTS, ...facts }, localAddress)['Check'];
}

test('a gateway on every interface is at the address that the agent sees', () => {
  expect(serviceEntry(FACTS, '10.1.2.3')).toEqual({
    ID: 'pith-a1b2c3d4e5',
    Name: 'pith',
    Tags: ['eu'],
    Meta: { version: '1.2.3' },
    Address: '10.1.2.3',
    Port: 3010,
    Check: {
      CheckID: 'service:pith-a1b2c3d4e5',
      Name: 'pith',
      HTTP: 'http://10.1.2.3:7072/readyz?warn',
      Interval: '5s',
      Timeout: '2s',
      DeregisterCriticalServiceAfter: '60000ms',
    },
  });
});

test.each(['127.0.0.1', '::1', ''])(
  'with the agent on the same machine (%j) its node stands for us',
  (local) => {
    const entry = serviceEntry(FACTS, local);
    expect(entry['Address']).toBe('');
    const host = local === '::1' ? '[::1]' : '127.0.0.1';
    expect(entry['Check']).toMatchObject({ HTTP: `http://${host}:7072/readyz?warn` });
  },
);

test('what is configured is said as it is', () => {
  const entry = serviceEntry(
    { ...FACTS, clients: { host: 'game.example', port: 443 } },
    '10.1.2.3',
  );
  expect(entry).toMatchObject({ Address: 'game.example', Port: 443 });
});

test('a grpc check asks control where it listens, with TLS if it has it', () => {
  expect(checkOf({ check: 'grpc' }, '10.1.2.3')).toMatchObject({
    GRPC: '127.0.0.1:7070/pith.v1.Control',
    GRPCUseTLS: false,
    Interval: '5s',
  });
  const control = { host: '', port: 7070 };
  expect(checkOf({ check: 'grpc', control, controlTls: true }, 'fd00::5')).toMatchObject({
    GRPC: '[fd00::5]:7070/pith.v1.Control',
    GRPCUseTLS: true,
  });
});

test('a grpc check without a port of control is refused', () => {
  expect(() => checkOf({ check: 'grpc', control: null }, '10.1.2.3')).toThrow(
    'control.listen on a TCP port',
  );
});

test('a ttl check asks nobody', () => {
  expect(checkOf({ check: 'ttl' }, '10.1.2.3')).toEqual({
    CheckID: 'service:pith-a1b2c3d4e5',
    Name: 'pith',
    TTL: '15000ms',
    DeregisterCriticalServiceAfter: '60000ms',
  });
});

const LISTENING = {
  clients: ['ws://0.0.0.0:3010', 'tcp://10.0.0.9:3011'],
  controlPort: 7070,
  healthPort: 7072,
};

function factsOf(yaml: string, listening = LISTENING): ServiceFacts {
  return serviceFacts(load(yaml), 'pith-a1b2c3d4e5', '1.2.3', listening);
}

test('what a configuration says is what is registered, with the real ports', () => {
  const facts = factsOf(`
consul: { address: "127.0.0.1:8500", register: true, service: edge, tags: [eu], meta: { zone: a }, check: grpc, deregister_after: 5m }
control: { listen: "127.0.0.1:0" }
`);
  expect(facts).toEqual({
    id: 'pith-a1b2c3d4e5',
    name: 'edge',
    tags: ['eu'],
    meta: { zone: 'a', version: '1.2.3', control_port: '7070', health_port: '7072' },
    clients: { host: '', port: 3010 },
    check: 'grpc',
    health: { host: '', port: 7072 },
    control: { host: '127.0.0.1', port: 7070 },
    controlTls: false,
    deregisterAfterMs: 300_000,
  });
});

test('clients dial what consul.advertise says, and else the first listener', () => {
  const consul = 'consul: { address: "127.0.0.1:8500", advertise: "game.example.com:443" }';
  expect(factsOf(consul).clients).toEqual({ host: 'game.example.com', port: 443 });
  const own = { ...LISTENING, clients: ['wss://10.0.0.9:3010'] };
  expect(factsOf('', own).clients).toEqual({ host: '10.0.0.9', port: 3010 });
});

test.each(['0.0.0.0', '[::]'])('%s is no host that somebody could dial', (host) => {
  const clients = [`ws://${host}:3010`];
  const facts = factsOf(`health: { listen: "${host}:7072" }`, { ...LISTENING, clients });
  expect([facts.health, facts.clients]).toEqual([
    { host: '', port: 7072 },
    { host: '', port: 3010 },
  ]);
});

test('a Control on a Unix socket is nothing that Consul could ask', () => {
  const facts = factsOf('control: { listen: "unix:/run/pith.sock" }');
  expect(facts.control).toBe(null);
  expect(facts.meta).toEqual({ version: '1.2.3', health_port: '7072' });
});
