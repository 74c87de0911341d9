/** Who comes and goes, as gateways tell it on a real bus. */
import { expect, test } from 'vitest';

import { TestClient } from '../support/client.ts';
import { startGateway } from '../support/gateway.ts';
import { startNats } from '../support/nats.ts';
import { Heard, serve } from '../support/nats-backend.ts';
import { eventually } from '../support/wait.ts';

type Event = {
  readonly name: string;
  readonly seq: string;
  readonly gateway?: string;
  readonly session?: Readonly<Record<string, unknown>>;
  readonly lasted?: string;
};

function eventsOf(heard: Heard): Event[] {
  return heard.messages.map((msg) => ({
    name: msg.subject.replace('pith.event.', ''),
    ...msg.json<{ seq: string }>(),
  }));
}

/** Without those that come whatever happens. */
function counted(heard: Heard): Event[] {
  return eventsOf(heard).filter(({ name }) => name !== 'gateway.alive');
}

test('a backend on NATS hears who comes and goes, with the data that its routes forward', async () => {
  await using nats = await startNats();
  const backend = await nats.connect();
  const heard = await Heard.on(backend, 'pith.event.>');
  await serve(backend, 'pith.rpc.chat.>', () => ({
    body: '{}',
    headers: {
      'Pith-Bind': 'ann',
      'Pith-Set': '{"room":"lobby","mine":1,"theirs":2}',
      'Pith-Join': '["room.lobby"]',
    },
  }));
  const config = `
bus: ${nats.url}
events: { data: [mine] }
backends: { chat: { nats: {} }, other: { nats: { prefix: elsewhere } } }
routes:
  - { match: "chat.>", backend: chat, forward: [room] }
  - { match: "other.>", backend: other, forward: [theirs] }`;
  let id = '';
  {
    await using gateway = await startGateway(config);
    id = gateway.gateway.id;
    const client = await TestClient.connect(gateway.port);
    await client.request('chat.room.join', {});
    await client[Symbol.asyncDispose]();
    await heard.until(
      () => counted(heard).some(({ name }) => name === 'session.closed'),
      'the end of the session',
    );
  }
  await heard.until(() => counted(heard).length >= 6, 'the end of the gateway');
  const events = counted(heard);
  expect(events.map(({ name, seq }) => `${seq} ${name}`)).toEqual([
    '1 gateway.ready',
    '2 session.opened',
    '3 session.bound',
    '4 session.closed',
    '5 gateway.draining',
    '6 gateway.stopped',
  ]);
  for (const { gateway, session } of events) expect(gateway ?? session?.['gateway']).toBe(id);
  const bound = { sid: `${id}.1`, uid: 'ann', data: { room: 'lobby', mine: 1 }, groups: [] };
  expect(events[2]!.session).toMatchObject(bound);
  expect(events[3]).toMatchObject({ session: bound, reason: 'client_closed', code: 0 });
  expect(events[3]!.lasted).toMatch(/^\d+(\.\d+)?s$/);
});

test('what happens while the bus is away is told when it is back', async () => {
  await using nats = await startNats();
  await using gateway = await startGateway(`bus: ${nats.url}\nbackends: {}\nroutes: []`);
  const { metrics, registry } = gateway.gateway;
  const isUp = () => metrics.count('pith_bus_up', []) === 1;
  const ann = await TestClient.connect(gateway.port);
  await using _bob = await TestClient.connect(gateway.port);
  await eventually(() => metrics.count('pith_events_waiting', []) === 0, 'the confirmation');
  // Is connected again before the gateway is, which waits a moment between two attempts.
  const backend = await nats.connect({ reconnectTimeWait: 5, maxReconnectAttempts: -1 });
  const heard = await Heard.on(backend, 'pith.event.>');
  nats.signal('SIGSTOP');
  await eventually(() => !isUp(), 'the loss of the bus');
  await ann[Symbol.asyncDispose]();
  await eventually(() => registry.size === 1, 'the end of the session');
  expect(metrics.count('pith_events_waiting', [])).toBe(1);
  nats.signal('SIGCONT');
  await heard.until(
    () => counted(heard).some(({ name }) => name === 'session.closed'),
    'the end of the session',
  );
  await eventually(() => metrics.count('pith_events_waiting', []) === 0, 'the confirmation');
});
