/** The game that is played: routes, backends, and how gateways are configured for them. */
import { DialInBackend } from './backends/dial-in-backend.ts';
import { LinkBackend } from './backends/link-backend.ts';
import { NatsBackend } from './backends/nats-backend.ts';
import { letInMost } from './backends/shapes.ts';
import { EventLog } from './event-log.ts';
import { BusPlace } from './bus-place.ts';
import type { RouteChoice } from './wishes.ts';
import { CALM_MS, ROUND_MS } from './faults.ts';
import { makeConnectGrpc } from './grpc-connection.ts';
import { BACKEND_LINK, natsDialer } from './nats-link.ts';
import type { RouteRules } from './records.ts';
import type { Session } from './nats-session.ts';
import type { Packet } from './nats-wire.ts';
import { Resuming } from './resuming.ts';
import type { BusView } from './rounds.ts';
import { SAGAS, Sagas } from './sagas.ts';
import { Seasons } from './seasons.ts';
import { Stage, USERS_PER_CLIENT } from './stage.ts';
import type { Node, World } from './world.ts';

type Route = RouteChoice & {
  readonly idempotent: boolean;
  readonly ordered: RouteRules['ordered'];
  readonly isSpread?: boolean;
};

const ROUTES: readonly Route[] = [
  {
    route: 'rooms.move',
    timeoutMs: 5_000,
    weight: 4,
    binds: true,
    idempotent: false,
    ordered: 'all',
  },
  {
    route: 'rooms.trade',
    timeoutMs: 5_000,
    weight: 1,
    binds: true,
    idempotent: false,
    ordered: 'all',
  },
  {
    route: 'rooms.craft',
    timeoutMs: 25_000,
    weight: 1,
    binds: false,
    idempotent: false,
    ordered: 'all',
  },
  {
    route: 'rooms.again',
    timeoutMs: 5_000,
    weight: 3,
    binds: false,
    idempotent: true,
    ordered: 'none',
  },
  {
    route: 'world.step',
    timeoutMs: 5_000,
    weight: 3,
    binds: true,
    idempotent: false,
    ordered: 'requests',
  },
  {
    route: 'halls.enter',
    timeoutMs: 5_000,
    weight: 1,
    binds: true,
    idempotent: false,
    ordered: 'all',
    isSpread: true,
  },
  {
    route: 'ships.sail',
    timeoutMs: 5_000,
    weight: 1,
    binds: true,
    idempotent: false,
    ordered: 'requests',
    isSpread: true,
  },
  {
    route: 'lore.read',
    timeoutMs: 3_000,
    weight: 2,
    binds: false,
    idempotent: true,
    ordered: 'none',
  },
  {
    route: 'shop.buy',
    timeoutMs: 5_000,
    weight: 2,
    binds: true,
    idempotent: false,
    ordered: 'all',
  },
  {
    route: 'duel.strike',
    timeoutMs: 4_000,
    weight: 1,
    binds: true,
    idempotent: false,
    ordered: 'all',
  },
];

const CHOICES = [
  ['hall', ['r1', 'r2']],
  ['ship', ['w1', 'w2']],
] as const;

const SERVERS = ['n1', 'n2', 'n3'] as const;

/** From then on in a round every client is let in, for good: before the calm each of the others has been asked for again. */
const QUIET_MS = CALM_MS - 100_000;

/** What a gateway may be started with beside its first configuration. */
const CONFIGURATIONS = [
  `${slices(1)} }\ndrain: { budget: 4s }\nsessions: { group_ttl: 20s }`,
  `${slices(2)}, outbox: 256KiB, in_flight_per_session: 8 }\nauth: { mode: connect, backend: rooms }`,
  `${slices(1)}, in_flight_per_backend: 1000 }\ndrain: { budget: 2s, per_second: 1000, signal: kick }`,
  `${slices(3)} }\nauth: { mode: connect, backend: duel }`,
  'auth: { mode: connect, backend: world }',
] as const;

/** Pushes to a room or to all take several turns: eight outboxes in each for each write. */
function slices(perTurn: number): string {
  return `limits: { fanout: { per_turn: ${perTurn} }`;
}

const LINK = [
  '',
  'links: 2, balance: hash, hash_by: uid, ',
  'link_age: 40s, balance: least_in_flight, ',
  '',
  'link_age: 60s, ',
] as const;
const BREAKER = [
  'breaker: { failures: 3, open: 2s }',
  'breaker: { failures: 6, open: 3s }',
  '',
  '',
  '',
] as const;

/** @param uids Keys of `auth`; '': none. @param own Beside what all have. */
function yamlOf(
  uids: string,
  resume: string,
  place: string,
  { configuration, own }: { configuration: number; own: string },
): string {
  const others = own.includes('auth: {')
    ? own.replace('auth: {', uids === '' ? 'auth: {' : `auth: { ${uids},`)
    : `${own}\nauth: { ${uids} }`;
  return `
id: ${place}
listen: [{ url: auto://0.0.0.0:3010 }]
heartbeat: 15s
bus: nats://${SERVERS.map((server) => `${server}:4222`).join(',nats://')}
backends:
  rooms: { grpc: "ipv4:10.0.0.1:9000,10.0.0.2:9000", ${LINK[configuration]} dead_after: 15s }
  world: { nats: {} }
  shop: { dial_in: { token: secret }, dead_after: 15s, balance: hash, hash_by: uid }
  duel: { grpc: "ipv4:10.0.0.3:9000", mode: handle, dead_after: 15s, ${BREAKER[configuration]} }
routes:
  - { match: rooms.again, backend: rooms, timeout: 5s, idempotent: true }
  - { match: rooms.trade, backend: rooms, timeout: 5s, order: serial }
  - { match: rooms.craft, backend: rooms, timeout: 25s }
  - { match: "rooms.>", backend: rooms, timeout: 5s }
  - { match: "halls.>", backend: rooms, timeout: 5s, to: "{data.hall}" }
  - { match: "ships.>", backend: world, timeout: 5s, order: serial, to: "{data.ship}", else: any }
  - { match: "world.>", backend: world, timeout: 5s, order: serial }
  - { match: "lore.>", backend: world, timeout: 3s, idempotent: true }
  - { match: "shop.>", backend: shop, timeout: 5s }
${SAGAS.map((saga) => `  - { match: "${saga}.>", backend: world, timeout: 3s, join: ${saga} }`).join('\n')}
  - { match: "duel.>", backend: duel, timeout: 4s }
${others.includes('sessions: {') ? others.replace('sessions: {', `sessions: { ${resume}${resume && ','}`) : `${others}\nsessions: { ${resume} }`}
`;
}

export function makeStage(
  world: World,
  options: {
    gateways: number;
    clients: number;
    /** What gateways are configured with beside what all have; absent: CONFIGURATIONS. */
    own?: (configuration: number) => string;
  },
): { stage: Stage; bus: BusView | null; seasons: Seasons; resuming: Resuming } {
  const seasons = new Seasons(world);
  const resuming = new Resuming(world, seasons);
  let servers: BusPlace[] = [];
  const events = new EventLog(
    world,
    (id) =>
      stage.ledger.fairWeather.isFair && stage.running.some(({ gateway }) => gateway.id === id),
  );
  const taken = (packet: Packet): void => {
    events.take(packet);
  };
  const stage = new Stage({
    ...options,
    world,
    resuming,
    yaml: (place, configuration) =>
      yamlOf(seasons.current.policy.yaml, resuming.yaml, place, {
        configuration,
        own: options.own?.(configuration) ?? CONFIGURATIONS[configuration]!,
      }),
    configurations: CONFIGURATIONS.length,
    routes: ROUTES,
    choices: CHOICES,
    servers: ({ network }) =>
      (servers = SERVERS.map((place) => new BusPlace(world, network, place, SERVERS, taken))),
    backends: ({ network, ledger }) => {
      const around = { world, network, ledger };
      const letIn = letInMost(
        Math.ceil(options.clients * USERS_PER_CLIENT),
        () => world.nowMs % ROUND_MS > QUIET_MS,
      );
      const features = ['credit', 'extend'] as const;
      const link = { instance: '', features, maxInFlight: 0, letIn } as const;
      const nats = {
        dialNats: (node: Node) => natsDialer(network, node, BACKEND_LINK),
        servers: SERVERS.map((server) => `${server}:4222`),
        instance: '',
        keepsOrder: true,
      };
      const shop = {
        ...around,
        gateways: Array.from({ length: options.gateways }, (_, i) => `g${i + 1}/attach`),
        link: { ...link, backend: 'shop', token: 'secret' },
      };
      const rooms2 = { ...link, instance: 'r2', features: [], maxInFlight: 50 };
      return [
        new LinkBackend({
          ...around,
          place: 'rooms-1',
          address: 'ipv4:10.0.0.1:9000',
          mode: 'link',
          link: { ...link, instance: 'r1' },
        }),
        new LinkBackend({
          ...around,
          place: 'rooms-2',
          address: 'ipv4:10.0.0.2:9000',
          mode: 'link',
          link: rooms2,
        }),
        new LinkBackend({
          ...around,
          place: 'duel-1',
          address: 'ipv4:10.0.0.3:9000',
          mode: 'handle',
          link,
        }),
        new NatsBackend({
          ...around,
          ...nats,
          place: 'world-1',
          instance: 'w1',
          letIn,
          routes: ['world.>', 'ships.>'],
          queue: 'world',
        }),
        new NatsBackend({
          ...around,
          ...nats,
          place: 'world-2',
          instance: 'w2',
          letIn,
          routes: ['world.>', 'ships.>', 'lore.>'],
          queue: 'world',
        }),
        new NatsBackend({
          ...around,
          ...nats,
          place: 'lore-1',
          routes: ['lore.>'],
          queue: 'world',
        }),
        new DialInBackend({ ...shop, place: 'shop-1' }),
        new DialInBackend({ ...shop, place: 'shop-2' }),
        new Sagas(
          world,
          network,
          SERVERS.map((server) => `${server}:4222`),
        ),
      ];
    },
    dialNats: ({ network }, node) => natsDialer(network, node),
    connectGrpc: ({ network }, node) => makeConnectGrpc(network, node),
  });
  /** Its connections, as the servers have them. */
  const sessionsOf = (node: Node): Session[] => {
    const found: Session[] = [];
    for (const { server } of servers)
      for (const session of server?.sessions ?? []) if (session.from === node) found.push(session);
    return found;
  };
  const bus = {
    events,
    subscriptions(node: Node): Map<string, number> {
      const found = new Map<string, number>();
      for (const session of sessionsOf(node))
        for (const subject of session.subjects) found.set(subject, (found.get(subject) ?? 0) + 1);
      return found;
    },
    isSubscribed: (node: Node, subject: string) =>
      sessionsOf(node).some((session) => session.has(subject)),
    connectedSinceMs(node: Node): number | null {
      const its = sessionsOf(node);
      return its.length === 1 ? its[0]!.sinceMs : null;
    },
  };
  stage.ledger.bindsWait = () => seasons.current.policy.refuses;
  return { stage, bus, seasons, resuming };
}
