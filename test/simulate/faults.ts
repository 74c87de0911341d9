/** What goes wrong, and when: a list that a seed makes, and that can be read, cut down and played again. */
import { SeededRandom } from './random.ts';

/** Every kind of fault, how often it comes in an hour of storm, and how long it lasts, in milliseconds. */
export const FAULTS = {
  'client: connection cut': { perHour: 40, ms: [0, 0] },
  'client: every third cut': { perHour: 12, ms: [0, 0] },
  'client: all cut': { perHour: 3, ms: [0, 0] },
  'client: rush': { perHour: 3, ms: [0, 0] },
  'client: vanishes': { perHour: 25, ms: [0, 0] },
  'client: does not read': { perHour: 25, ms: [500, 40_000] },
  'client: partition': { perHour: 20, ms: [500, 60_000] },
  'gateway: kill -9': { perHour: 5, ms: [500, 20_000] },
  'gateway: machine lost': { perHour: 3, ms: [2_000, 40_000] },
  'gateway: pause': { perHour: 12, ms: [50, 20_000] },
  'gateway: drain and restart': { perHour: 7, ms: [500, 5_000] },
  'gateway: other configuration': { perHour: 5, ms: [500, 5_000] },
  'gateway: clock jumps': { perHour: 8, ms: [0, 0] },
  'backend: kill -9': { perHour: 10, ms: [200, 20_000] },
  'backend: machine lost': { perHour: 8, ms: [2_000, 60_000] },
  'backend: pause': { perHour: 12, ms: [50, 45_000] },
  'backend: stop and restart': { perHour: 8, ms: [200, 5_000] },
  'backend: misbehaves': { perHour: 40, ms: [1_000, 30_000] },
  'bus: connection cut': { perHour: 15, ms: [0, 0] },
  'bus: server killed': { perHour: 4, ms: [200, 10_000] },
  'bus: server pause': { perHour: 10, ms: [50, 15_000] },
  'bus: server lame duck': { perHour: 3, ms: [500, 5_000] },
  'bus: partition': { perHour: 12, ms: [200, 30_000] },
  'link: partition': { perHour: 12, ms: [200, 60_000] },
  'link: connection cut': { perHour: 20, ms: [0, 0] },
  'network: slow': { perHour: 8, ms: [1_000, 30_000] },
  'network: one place slow': { perHour: 16, ms: [1_000, 30_000] },
} as const satisfies Record<string, { perHour: number; ms: readonly [number, number] }>;

export type FaultKind = keyof typeof FAULTS;

export type Fault = {
  readonly atMs: number;
  readonly kind: FaultKind;
  /** How long it lasts; 0: it has no length. */
  readonly ms: number;
  /** The place that it befalls, `g1`, `c17`, `rooms-1`, `n1`. */
  readonly target: string;
  /**
   * The other place of a partition; how a backend misbehaves; which configuration; by how much a clock jumps; how many
   * times slower the network is, or by how many milliseconds at one place; what players ask for.
   */
  readonly more?: string;
};

/** The share of faults that another follows at once, and within how many milliseconds. */
const AFTERSHOCKS = 0.3;
const AFTERSHOCK_MS_MAX = 400;
/** By these connections break, or are ended. */
const BREAKS: readonly FaultKind[] = [
  'gateway: drain and restart',
  'gateway: other configuration',
  'backend: kill -9',
  'link: connection cut',
  'bus: connection cut',
  'bus: server killed',
];
/** The share of them right before which all players ask for something, so that much is in flight, and when. */
const RUSHES = 0.5;
const RUSH_MS = [5, 80] as const;
/** The share of them right after which all players go, while what they wait for is to be sent again, and when. */
const ALL_CUT = 0.3;
const ALL_CUT_MS = [5, 100] as const;
/** After these a backend is back, and gets sessions of others: of that share all players ask twice around that time. */
const RETURNS: readonly FaultKind[] = [
  'backend: kill -9',
  'backend: machine lost',
  'backend: stop and restart',
  'link: partition',
];
const RETURN_MS = [-1_000, 3_000] as const;
const SECOND_MS = [200, 1_500] as const;
/** What all players ask for in a rush: to join a group, each one of its own; something that takes seconds; else anything. */
export const JOINS = 'joins';
export const TAKES_LONG = 'takes long';
/** While these last, nobody is answered: in that share of them all players go at some time. */
const SILENCES: readonly FaultKind[] = [
  'backend: machine lost',
  'backend: pause',
  'link: partition',
  'bus: server pause',
  'bus: partition',
];
const IMPATIENCE = 0.3;

/** A storm, and the rest of the round, in which all is mended and checked. */
export const ROUND_MS = 600_000;
export const STORM_MS = 400_000;
/** When it must work again, and be checked. */
export const CALM_MS = 510_000;

export type Places = {
  readonly gateways: readonly string[];
  readonly clients: readonly string[];
  readonly backends: readonly {
    readonly place: string;
    readonly wrongs: readonly string[];
    readonly isOnBus: boolean;
  }[];
  readonly servers: readonly string[];
  readonly configurations: number;
};

export function planFaults(seed: string, hours: number, places: Places): Fault[] {
  const random = new SeededRandom(`${seed}/faults`);
  const faults: Fault[] = [];
  const untilMs = hours * 3_600_000;
  for (const kind of Object.keys(FAULTS) as FaultKind[]) {
    const { perHour, ms } = FAULTS[kind];
    let atMs = 60_000;
    for (;;) {
      atMs += random.exponential(3_600_000 / perHour);
      if (atMs > untilMs) break;
      const one = aim(kind, random, places);
      const inRound = atMs % ROUND_MS;
      const wanted = Math.round(random.between(ms[0], ms[1]));
      if (one === null || inRound >= STORM_MS) continue;
      const length = Math.min(wanted, Math.max(0, Math.round(STORM_MS - inRound)));
      faults.push({ atMs: Math.round(atMs), kind, ms: length, ...one });
    }
  }
  const crowds = faults.flatMap((fault) => crowd(fault, random));
  const more = faults.flatMap((fault) => aftershock(fault, random, places));
  return [...faults, ...crowds, ...more].sort((a, b) => a.atMs - b.atMs);
}

/** All players at once: they ask before a break, go after it, go while nobody answers, or join groups where that takes long. */
function crowd({ atMs, kind, ms, more }: Fault, random: SeededRandom): Fault[] {
  const crowds: Fault[] = [];
  const add = (what: 'client: rush' | 'client: all cut', laterMs: number, more = ''): void => {
    const one = { atMs: atMs + Math.round(laterMs), kind: what, ms: 0, target: 'all' };
    crowds.push(more === '' ? one : { ...one, more });
  };
  if (BREAKS.includes(kind)) {
    if (random.chance(RUSHES)) add('client: rush', -random.between(...RUSH_MS), random.pick(['', TAKES_LONG])); // prettier-ignore
    if (random.chance(ALL_CUT)) add('client: all cut', random.between(...ALL_CUT_MS));
  }
  if (RETURNS.includes(kind) && random.chance(RUSHES)) {
    const firstMs = ms + random.between(...RETURN_MS);
    const secondMs = firstMs + random.between(...SECOND_MS);
    for (const laterMs of [firstMs, secondMs]) add('client: rush', laterMs, TAKES_LONG);
  }
  if (kind === 'network: one place slow' && random.chance(RUSHES)) {
    // The second one while the first waits for the way back, and what it says is on its way still.
    const firstMs = random.between(0, ms);
    const secondMs = firstMs + random.between(1, 2) * Number(more);
    for (const laterMs of [firstMs, secondMs]) add('client: rush', laterMs, JOINS);
  }
  if (SILENCES.includes(kind) && random.chance(IMPATIENCE)) add('client: all cut', random.between(0, ms)); // prettier-ignore
  return crowds.filter((one) => one.atMs % ROUND_MS < STORM_MS);
}

/** Faults seldom come alone: what a power cut or a broken switch takes down, it takes down together. */
function aftershock({ atMs }: Fault, random: SeededRandom, places: Places): Fault[] {
  if (!random.chance(AFTERSHOCKS)) return [];
  const kind = random.pick(Object.keys(FAULTS) as FaultKind[]);
  const [leastMs, mostMs] = FAULTS[kind].ms;
  const one = aim(kind, random, places);
  const later = atMs + Math.round(random.between(0, AFTERSHOCK_MS_MAX));
  const roomMs = STORM_MS - (later % ROUND_MS);
  const ms = Math.min(Math.round(random.between(leastMs, mostMs)), roomMs);
  return one === null || ms < 0 ? [] : [{ atMs: later, kind, ms, ...one }];
}

function aim(
  kind: FaultKind,
  random: SeededRandom,
  places: Places,
): Pick<Fault, 'target' | 'more'> | null {
  const { gateways, clients, backends, servers, configurations } = places;
  const backend = random.pick(backends);
  if (backend === undefined) return null;
  switch (kind) {
    case 'client: connection cut':
    case 'client: vanishes':
    case 'client: does not read':
      return { target: random.pick(clients) };
    case 'client: all cut':
    case 'client: rush':
      return { target: 'all' };
    case 'client: every third cut':
      return { target: 'all', more: String(random.int(0, 2)) };
    case 'client: partition':
      return { target: random.pick(clients), more: random.pick(gateways) };
    case 'gateway: kill -9':
    case 'gateway: machine lost':
    case 'gateway: pause':
    case 'gateway: drain and restart':
      return { target: random.pick(gateways) };
    case 'gateway: other configuration':
      return { target: random.pick(gateways), more: String(random.int(0, configurations - 1)) };
    case 'gateway: clock jumps':
      return {
        target: random.pick(gateways),
        more: String(random.pick([-86_400_000, -5_000, 700, 60_000, 31_536_000_000])),
      };
    case 'backend: kill -9':
    case 'backend: machine lost':
    case 'backend: pause':
    case 'backend: stop and restart':
      return { target: backend.place };
    case 'backend: misbehaves':
      return backend.wrongs.length === 0
        ? null
        : { target: backend.place, more: random.pick(backend.wrongs) };
    case 'bus: connection cut':
      return { target: random.chance(0.7) ? random.pick(gateways) : backend.place };
    case 'bus: server killed':
    case 'bus: server pause':
    case 'bus: server lame duck':
      return { target: random.pick(servers) };
    case 'bus: partition': {
      const other = random.chance(0.6)
        ? random.pick(gateways)
        : random.chance(0.5)
          ? backend.place
          : random.pick(servers);
      const target = random.pick(servers);
      return target === other ? null : { target, more: other };
    }
    case 'link: partition':
      return { target: backend.place, more: random.pick(gateways) };
    case 'link: connection cut':
      return { target: backend.place, more: random.pick(gateways) };
    case 'network: slow':
      return { target: 'all', more: String(random.int(2, 40)) };
    case 'network: one place slow': {
      const others = random.chance(0.5) ? gateways : [backend.place];
      const target = random.pick(random.chance(0.4) ? servers : others);
      return { target, more: String(random.int(20, 500)) };
    }
  }
}
