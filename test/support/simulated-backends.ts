/** A small simulation with a backend of every kind, for tests of the simulated backends. */
import { BusPlace } from '../simulate/bus-place.ts';
import { DialInBackend } from '../simulate/backends/dial-in-backend.ts';
import { LinkBackend } from '../simulate/backends/link-backend.ts';
import { NatsBackend } from '../simulate/backends/nats-backend.ts';
import { makeConnectGrpc } from '../simulate/grpc-connection.ts';
import { natsDialer } from '../simulate/nats-link.ts';
import { Resuming } from '../simulate/resuming.ts';
import { Seasons } from '../simulate/seasons.ts';
import { Stage } from '../simulate/stage.ts';
import { type Node, type Violation, World } from '../simulate/world.ts';

export type PlayOptions = {
  readonly seed: string;
  /** Virtual. */
  readonly seconds: number;
  /** Only routes of this backend are asked for. */
  readonly only?: string;
  /** Says what is to happen, and when. */
  readonly atMs?: (at: (ms: number, what: () => void) => void, stage: Stage) => void;
};

export type Answered = {
  readonly atMs: number;
  readonly code: number;
  /** Milliseconds that the client has waited. */
  readonly ms: number;
};

export type Play = {
  readonly stage: Stage;
  readonly violations: readonly Violation[];
  /** What clients were answered. */
  readonly answers: readonly Answered[];
  /** Results of pushes that backends were given. */
  readonly counted: number;
  readonly digest: string;
  /** Requests that reached processes whose names begin so. */
  requestsAt(process: string): number;
};

const BACKENDS = ['rooms', 'duel', 'laptop', 'chat'] as const;
const CLIENTS = 24;
const GATEWAYS = ['g1', 'g2'] as const;

const yamlOf = (place: string): string => `
id: ${place}
listen: [{ url: auto://0.0.0.0:3010 }]
heartbeat: 15s
bus: nats://n1:4222
backends:
  rooms: { grpc: "ipv4:10.0.0.1:9000,10.0.0.2:9000" }
  duel: { grpc: "ipv4:10.0.0.3:9000", mode: handle }
  laptop: { dial_in: { token: t } }
  chat: { nats: {} }
routes:
  - { match: "rooms.>", backend: rooms, timeout: 5s }
  - { match: "duel.>", backend: duel, timeout: 5s }
  - { match: "laptop.>", backend: laptop, timeout: 5s }
  - { match: "chat.>", backend: chat, timeout: 5s, order: serial }
`;

function backendsOf({ world, network, ledger }: Stage): ReturnType<Stage['backends']['slice']> {
  const around = { world, network, ledger };
  const full = { instance: '', features: ['credit', 'extend'], maxInFlight: 0 } as const;
  const plain = { instance: '', features: [], maxInFlight: 50 } as const;
  const attached = { backend: 'laptop', token: 't' };
  const gateways = GATEWAYS.map((gateway) => `${gateway}/attach`);
  const dialNats = (node: Node): ReturnType<typeof natsDialer> => natsDialer(network, node);
  const bus = { dialNats, servers: ['n1:4222'], queue: 'q', instance: '', keepsOrder: false };
  const ip = (last: number): string => `ipv4:10.0.0.${last}:9000`;
  return [
    new LinkBackend({ ...around, place: 'rooms-1', address: ip(1), mode: 'link', link: full }),
    new LinkBackend({ ...around, place: 'rooms-2', address: ip(2), mode: 'link', link: plain }),
    new LinkBackend({ ...around, place: 'duel-1', address: ip(3), mode: 'handle', link: full }),
    new DialInBackend({ ...around, place: 'laptop-1', gateways, link: { ...full, ...attached } }),
    new DialInBackend({ ...around, place: 'laptop-2', gateways, link: { ...plain, ...attached } }),
    new NatsBackend({ ...around, ...bus, place: 'chat-1', routes: ['chat.>'] }),
    new NatsBackend({ ...around, ...bus, place: 'chat-2', routes: ['chat.>'] }),
  ];
}

export async function playBackends({ seed, seconds, only = '', atMs }: PlayOptions): Promise<Play> {
  const world = new World(seed);
  const answers: Answered[] = [];
  const reached: string[] = [];
  let counted = 0;
  const asked = BACKENDS.filter((backend) => only.startsWith(backend));
  const stage = new Stage({
    world,
    resuming: new Resuming(world, new Seasons(world)),
    gateways: GATEWAYS.length,
    clients: CLIENTS,
    configurations: 1,
    yaml: yamlOf,
    routes: (asked.length === 0 ? BACKENDS : asked).map((backend) => ({
      ...{ route: `${backend}.go`, timeoutMs: 5_000, weight: 1, binds: true },
      ...{
        idempotent: false,
        ordered: backend === 'chat' ? ('requests' as const) : ('all' as const),
      },
    })),
    servers: ({ network }) => [new BusPlace(world, network, 'n1', ['n1'])],
    backends: backendsOf,
    dialNats: ({ network }, node) => natsDialer(network, node),
    connectGrpc: ({ network }, node) => makeConnectGrpc(network, node),
  });
  world.onTrace = (line) => {
    const answer = /^(\d+) c\d+\/\d+ \d+ (\d{3}) .* (\d+)$/.exec(line);
    if (answer !== null) {
      const [atUs, code, ms] = answer.slice(1).map(Number);
      answers.push({ atMs: atUs! / 1_000, code: code!, ms: ms! });
    }
    const got = /^\d+ (\S+) got \d+$/.exec(line);
    if (got !== null) reached.push(got[1]!);
    if (/^\d+ push \d+ \d+ \d+ \d+$/.test(line)) counted++;
  };
  atMs?.((ms, what) => { world.after(ms, what); }, stage); // prettier-ignore
  await world.run(seconds * 1_000);
  return {
    stage,
    violations: world.violations,
    answers,
    counted,
    digest: world.digest(),
    requestsAt: (process) => reached.filter((way) => way.startsWith(process)).length,
  };
}
