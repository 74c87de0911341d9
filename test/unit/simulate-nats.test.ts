/** The double of nats-server: its index of subscriptions, its clients, and gateways on a cluster of it. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import type { NatsConnection, NatsMessage } from '../../src/upstream/nats/nats-connection.ts';
import { BusPlace } from '../simulate/bus-place.ts';
import { Network } from '../simulate/network.ts';
import { type GatewayLine, SimGateway } from '../simulate/gateway.ts';
import { Interest, isSubscribable } from '../simulate/nats-interest.ts';
import { BACKEND_LINK, natsDialer } from '../simulate/nats-link.ts';
import { NATS_DEFAULTS, NatsServerDouble } from '../simulate/nats-server.ts';
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

const SERVERS = ['n1', 'n2', 'n3'];
const NONE = { inboxPrefix: '', creds: '', user: '', password: '', token: '', nkey: '' };

type Bus = { world: World; network: Network; places: BusPlace[] };

function startBus(seed = '1'): Bus {
  const world = new World(seed);
  const network = new Network(world);
  const places = SERVERS.map((place) => new BusPlace(world, network, place, SERVERS));
  for (const place of places) place.start();
  return { world, network, places };
}

/** Connects, which takes less than a second. */
async function connect(
  { world, network }: Bus,
  name: string,
  server: string,
): Promise<NatsConnection> {
  const dial = natsDialer(network, new Node(world, `${name}#1`), BACKEND_LINK);
  const dialled = dial({ ...NONE, gatewayId: name }, [`nats://${server}:4222`]);
  await world.run(world.nowMs + 1_000);
  const nc = await dialled;
  nc.listen({ onRoom: () => {}, onStale: () => {}, onLameDuck: () => {}, onError: () => {} });
  return nc;
}

describe('a client of a double', () => {
  test('hears its own messages, if it is no gateway', async () => {
    const bus = startBus();
    const nc = await connect(bus, 'a', 'n1');
    const heard: string[] = [];
    nc.subscribe('game.*', (_, { subject }) => heard.push(subject), '');
    nc.publish('game.x', Buffer.of());
    await bus.world.run(2_000);
    expect(heard).toEqual(['game.x']);
  });

  test('leaves nothing with any server when it drains', async () => {
    const bus = startBus();
    const nc = await connect(bus, 'a', 'n1');
    nc.subscribe('game.*', () => {}, 'q');
    nc.subscribe('game.x', () => {}, '');
    await bus.world.run(2_000);
    const subjects = (): number[] => bus.places.map(({ server }) => server!.routing.subjects);
    expect(subjects()).toEqual([2, 2, 2]);
    const drained = nc.drain();
    await bus.world.run(3_000);
    await drained;
    expect(subjects()).toEqual([0, 0, 0]);
    expect(bus.places[0]!.server!.sessions.size).toBe(0);
    // The routes are left.
    expect(bus.network.open.size).toBe(3);
  });

  test.each([
    ['a write is not taken in time', { writeMs: 2_000 }, 2_000],
    ['more waits for it than may', { writeMs: 600_000, pendingBytesMax: 5_000_000 }, 0],
  ])('is cut when %s, and not before', async (_, bound, afterMs) => {
    const bus = startBus();
    const options = { ...NATS_DEFAULTS, ...bound, host: 'n4', others: [] };
    const server = new NatsServerDouble(bus.network, new Node(bus.world, 'n4#1'), options);
    const slow = await connect(bus, 'a', 'n4');
    const fast = await connect(bus, 'b', 'n4');
    slow.subscribe('game.x', () => {}, '');
    await bus.world.run(3_000);
    const session = [...server.sessions].find(({ name }) => name === 'pith/a')!;
    for (const { a } of bus.network.of(session.from)) a.pauseReading();
    for (let i = 0; i < 4; i++) fast.publish('game.x', Buffer.alloc(1_000_000));
    await bus.world.run(3_000 + afterMs);
    expect(server.sessions.has(session)).toBe(true);
    for (let i = 0; i < 4; i++) fast.publish('game.x', Buffer.alloc(1_000_000));
    await bus.world.run(3_010 + afterMs);
    expect(server.sessions.has(session)).toBe(false);
    expect([slow.isClosed, server.sessions.size]).toEqual([true, 1]);
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
  const bus = startBus(seed);
  const { world, network, places } = bus;
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
  network.kill(places[0]!.node!, 'reset');
  await world.run(9_000);
  places[0]!.start();
  for (const { node } of places) node!.pause();
  await world.run(30_000);
  for (const { node } of places) node!.resume();
  network.resumed();
  await world.run(40_000);
  return { bus, lines };
}

describe('gateways on a cluster of doubles', () => {
  test('find another server whenever theirs is killed, paused or stopped, and each other there', async () => {
    const { bus, lines } = await play('1');
    const { world, places } = bus;
    for (const place of ['g1', 'g2'])
      expect(lines.filter((line) => line.startsWith(`${place} bus `))).toEqual([
        `${place} bus connected`,
        `${place} bus connection lost`,
        `${place} bus reconnected`,
        `${place} bus connection lost`,
        `${place} bus reconnected`,
      ]);
    const gone: string[] = [];
    for (const place of places.slice(0, 2)) place.stop(() => gone.push(place.place));
    await world.run(90_000);
    expect(gone.sort()).toEqual(['n1', 'n2']);
    const asking = await connect(bus, 'a', 'n3');
    const answers: string[] = [];
    const take = (_: Error | null, { data }: NatsMessage): void => {
      answers.push(Buffer.from(data).toString());
    };
    asking.subscribe('_INBOX.a.all', take, '');
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
