/** The double of nats-server: its index of subscriptions, the client for backends, and gateways on a cluster of it. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { Network } from '../simulate/channel.ts';
import { type GatewayLine, SimGateway } from '../simulate/gateway.ts';
import { NatsClient } from '../simulate/nats-client.ts';
import { Interest, isSubscribable } from '../simulate/nats-interest.ts';
import { natsDialer } from '../simulate/nats-link.ts';
import { type NatsService, natsServices } from '../simulate/nats-service.ts';
import { Views } from '../simulate/nats-views.ts';
import { Packet } from '../simulate/nats-wire.ts';
import { Node, World } from '../simulate/world.ts';

describe('the index of subscriptions', () => {
  const token = fc.constantFrom('a', 'b', 'ab', '*', '>', '', 'a*');
  const subject = fc.array(token, { minLength: 1, maxLength: 5 }).map((tokens) => tokens.join('.'));

  /** As the documentation of NATS has it, token by token. */
  function matches(pattern: string, published: string): boolean {
    const wanted = pattern.split('.');
    const tokens = published.split('.');
    if (tokens.includes('')) return false;
    const many = wanted.at(-1) === '>';
    const fixed = many ? wanted.slice(0, -1) : wanted;
    if (many ? tokens.length <= fixed.length : tokens.length !== fixed.length) return false;
    return fixed.every((one, i) => one === '*' || one === tokens[i]);
  }

  test('finds those that match, and no others, whatever was added and removed before', () => {
    const rows = fc.array(subject.filter(isSubscribable), { maxLength: 12 });
    fc.assert(
      fc.property(rows, rows, fc.array(subject, { maxLength: 8 }), (kept, removed, published) => {
        const index = new Interest<{ subject: string; queue: string }>();
        const gone = removed.map((one) => ({ subject: one, queue: 'q' }));
        for (const one of gone) index.add(one);
        for (const one of kept) index.add({ subject: one, queue: '' });
        for (const one of gone) index.remove(one);
        expect(index.size).toBe(new Set(kept).size);
        for (const one of published) {
          const found = index.match(one).flatMap(({ plain }) => plain);
          const wanted = kept.filter((pattern) => matches(pattern, one));
          expect(found.map((pattern) => pattern.subject).sort()).toEqual(wanted.sort());
        }
      }),
      { numRuns: 500 },
    );
  });
});

test('a view of a message that is kept beyond its call is spoilt', () => {
  const kept: Uint8Array[] = [];
  const block = Buffer.from('NATS/1.0\r\n\r\n');
  const packet = new Packet('game.x', '', block.length, Buffer.concat([block, Buffer.from('hi')]));
  new Views().show(packet, (_, { data, _rdata, _msg }) => {
    expect(Buffer.from(data).toString()).toBe('hi');
    expect(Buffer.from(_rdata.buffer, _rdata.byteOffset, _msg.hdr)).toEqual(block);
    kept.push(data);
  });
  expect([...kept[0]!]).toEqual([0xff, 0xff]);
});

type Bus = { world: World; network: Network; services: NatsService[] };

function startBus(servers: number, seed = '1'): Bus {
  const world = new World(seed);
  const network = new Network(world);
  const services = natsServices(servers, { world, network });
  for (const service of services) service.start();
  return { world, network, services };
}

function clientOn({ world, network }: Bus, name: string, servers = ['n1:4222']): NatsClient {
  return new NatsClient({ network, node: new Node(world, `${name}#1`), servers, name });
}

/** Runs for a second, at most. */
async function within<T>(world: World, promise: Promise<T>): Promise<T> {
  await world.run(world.nowMs + 1_000);
  return promise;
}

describe('a client', () => {
  test('gets an answer with its headers, hears that nobody is there, or that time is up', async () => {
    const bus = startBus(1);
    const asking = clientOn(bus, 'a');
    const answering = clientOn(bus, 'b');
    answering.subscribe('game.x', 'q', ({ reply }) => {
      answering.publish(reply!, Buffer.from('pong'), { headers: 'A: 1\r\n' });
    });
    answering.subscribe('game.silent', '', () => {});
    await bus.world.run(100);
    const ask = (subject: string) => within(bus.world, asking.request(subject, Buffer.of(), 500));
    expect(await ask('game.x')).toEqual({
      kind: 'answer',
      data: Buffer.from('pong'),
      headers: Buffer.from('NATS/1.0\r\nA: 1\r\n\r\n'),
    });
    expect(await ask('game.y')).toEqual({ kind: 'nobody' });
    expect(await ask('game.silent')).toEqual({ kind: 'timeout' });
  });

  test('has its subscriptions again after its connection was cut, and asks in vain meanwhile', async () => {
    const bus = startBus(2);
    const asking = clientOn(bus, 'a', ['n1:4222']);
    const answering = clientOn(bus, 'b', ['n2:4222']);
    let ups = 0;
    answering.onUp = () => ups++;
    answering.subscribe('game.x', '', ({ reply }) => {
      answering.publish(reply!, Buffer.from('pong'));
    });
    await bus.world.run(3_000);
    answering.cut();
    expect(answering.publish('game.y', Buffer.of())).toBe(false);
    await bus.world.run(3_010);
    expect(await within(bus.world, asking.request('game.x', Buffer.of(), 10))).toEqual({
      kind: 'nobody',
    });
    await bus.world.run(10_000);
    expect(ups).toBe(2);
    expect((await within(bus.world, asking.request('game.x', Buffer.of(), 500))).kind).toBe('answer'); // prettier-ignore
    bus.network.kill(bus.services[0]!.node!, 'reset');
    expect(await within(bus.world, asking.request('game.x', Buffer.of(), 500))).toEqual({
      kind: 'away',
    });
  });

  test('leaves nothing with the server when it closes', async () => {
    const bus = startBus(1);
    const client = clientOn(bus, 'a');
    client.subscribe('game.*', 'q', () => {});
    await bus.world.run(100);
    const { server } = bus.services[0]!;
    expect(server!.routing.subjects).toBe(2);
    await within(bus.world, client.close());
    expect([server!.routing.subjects, server!.sessions.size]).toEqual([0, 0]);
    await bus.world.run(10_000);
    expect(bus.network.open.size).toBe(0);
  });
});

const YAML = (id: string): string => `
id: ${id}
listen: [{ url: auto://0.0.0.0:3010 }]
bus: nats://n1:4222
backends: { game: { nats: {} } }
routes: [{ match: ">", backend: game, timeout: 2s }]
`;

/** Two gateways on a cluster, of which the server they know is killed, and later all are paused. */
async function play(seed: string): Promise<{ bus: Bus; lines: string[] }> {
  const bus = startBus(3, seed);
  const { world, network, services } = bus;
  const lines: string[] = [];
  const onLog = ({ place }: SimGateway, { msg, fields }: GatewayLine): void => {
    lines.push(`${place} ${msg}`);
    world.trace(`${place} ${msg} ${(fields as { server?: string }).server ?? ''}`);
  };
  const connectGrpc = () => () => {
    throw new Error('there is no backend on gRPC');
  };
  const dialNats = (node: Node) => natsDialer(network, node);
  const starts = ['g1', 'g2'].map((place) => {
    const more = { place, generation: 1, yaml: YAML(place), dialNats, connectGrpc, onLog };
    return new SimGateway({ world, network, ...more }).gateway.start();
  });
  await world.run(3_000);
  await Promise.all(starts);
  network.kill(services[0]!.node!, 'reset');
  await world.run(9_000);
  services[0]!.start();
  for (const { node } of services) node!.pause();
  await world.run(30_000);
  for (const { node } of services) node!.resume();
  network.resumed();
  await world.run(40_000);
  return { bus, lines };
}

describe('gateways on a cluster of doubles', () => {
  test('find another server whenever theirs is killed, paused or stopped, and each other there', async () => {
    const { bus, lines } = await play('1');
    const { world, services } = bus;
    for (const place of ['g1', 'g2'])
      expect(lines.filter((line) => line.startsWith(`${place} bus `))).toEqual([
        `${place} bus connected`,
        `${place} bus connection lost`,
        `${place} bus reconnected`,
        `${place} bus connection lost`,
        `${place} bus reconnected`,
      ]);
    const gone: string[] = [];
    for (const service of services.slice(0, 2)) service.stop(() => gone.push(service.place));
    await world.run(90_000);
    expect(gone.sort()).toEqual(['n1', 'n2']);
    const asking = clientOn(bus, 'a', ['n3:4222']);
    const answers: string[] = [];
    asking.subscribe('_INBOX.a.all', '', ({ data }) => answers.push(Buffer.from(data).toString()));
    await world.run(91_000);
    asking.publish('pith.all.get', Buffer.from('{}'), { reply: '_INBOX.a.all' });
    await world.run(92_000);
    expect(answers).toEqual(['{"sessions":0}', '{"sessions":0}']);
    expect(world.violations).toEqual([]);
  });

  test('have one history for one seed, and another for another', async () => {
    const digests: string[] = [];
    for (const seed of ['1', '1', '2']) {
      const { world } = (await play(seed)).bus;
      digests.push(`${world.digest()} ${world.steps}`);
    }
    expect(digests[1]).toBe(digests[0]);
    expect(digests[2]).not.toBe(digests[0]);
  });
});
