/**
 * A gateway that is away for less than 6 s is not lost: its process was stopped, its connection to NATS was cut or
 * passed nothing on, or the nats-server itself was stopped or killed. What happened meanwhile is told afterwards.
 */
import { Fleet, type Member } from '../fleet.ts';
import { Requests } from '../requests.ts';
import { type Order, type Row, type Scenario, sum } from '../scenario.ts';
import { peakMib } from '../totals.ts';

/** The hardest first. */
const SECONDS = [5.5, 5, 4, 3, 2, 1];
/** What is promised. */
const NOT_LOST_MS = 6_000;
/**
 * A gateway that has given no sign of life for 7 s may have been taken for lost, and says that it has returned. The last
 * one may be a second old when it is cut off, and connecting again may take another half.
 */
const NOT_RETURNED_MS = 5_500;
const LEAVING = 5;
const ASKED_PER_SECOND = 50;
/** In which a loss that was noticed too late would be told: of 7.5 s of silence some have passed. */
const REST_SECONDS = 8;

type Way = {
  readonly name: string;
  /** Clients that hang up meanwhile. */
  readonly leaving: number;
  away(fleet: Fleet, gateway: Member): Promise<void> | void;
  back(fleet: Fleet, gateway: Member): Promise<void> | void;
};

const STOPPED: Way = {
  name: 'process stopped',
  leaving: LEAVING,
  away: (_, { served }) => served.running.freeze(),
  back: (_, { served }) => {
    served.running.kill('SIGCONT');
  },
};

const CUTS: readonly Way[] = [
  {
    name: 'connection cut',
    leaving: LEAVING,
    away: (_, { cable }) => {
      cable.cut();
    },
    back: (_, { cable }) => {
      cable.mend();
    },
  },
  {
    name: 'connection mute',
    leaving: LEAVING,
    away: (_, { cable }) => {
      cable.freeze();
    },
    back: (_, { cable }) => {
      cable.thaw();
    },
  },
  {
    name: 'server stopped',
    leaving: LEAVING,
    away: ({ nats }) => {
      nats.signal('SIGSTOP');
    },
    back: ({ nats }) => {
      nats.signal('SIGCONT');
    },
  },
  {
    name: 'server killed',
    // Nobody may be there to hear of them: the listener has lost its connection, too.
    leaving: 0,
    away: ({ nats }) => nats.kill(),
    back: ({ nats }) => nats.restart(),
  },
];

function playing(ways: readonly Way[]) {
  return async function* play({ sessions, next }: Order): AsyncGenerator<Row> {
    await using fleet = await Fleet.start();
    for (let run = next(); run !== null; run = next()) {
      for (const gateway of fleet.gateways) await fleet.fill(gateway, Math.ceil(sessions / 3));
      const way = ways[(run - 1) % ways.length]!;
      const seconds = SECONDS[Math.floor((run - 1) / ways.length) % SECONDS.length]!;
      yield await leaveAlone(fleet, way, seconds, run);
    }
  };
}

async function leaveAlone(fleet: Fleet, way: Way, seconds: number, run: number): Promise<Row> {
  const { presence, crowd } = fleet;
  const gateway = fleet.gateways[run % 3]!;
  const other = fleet.gateways[(run + 1) % 3]!;
  const unsettled = await fleet.settle();
  const since = (name: string): number => presence.named(name).length;
  const before = { lost: since('gateway.lost'), returned: since('gateway.returned') };
  const requests = await Requests.begin(crowd, ASKED_PER_SECOND);
  await way.away(fleet, gateway);
  const awayAt = performance.now();
  const left = await fleet.leave(gateway, way.leaving);
  await new Promise((resolve) => setTimeout(resolve, seconds * 1_000));
  await way.back(fleet, gateway);
  const ms = performance.now() - awayAt;
  await presence.seconds(REST_SECONDS, other.id);
  const differences = await fleet.settle();
  const asked = await requests.end();
  const cells = {
    run,
    gateway: gateway.name,
    what: way.name.padEnd(15),
    'away s': (ms / 1_000).toFixed(1),
    sessions: fleet.gateways.reduce((all, { sids }) => all + sids.size, 0),
    left: left.length,
    'told closed': left.filter((sid) => presence.ended.get(sid)?.[0]?.by === 'closed').length,
    lost: since('gateway.lost') - before.lost,
    returned: since('gateway.returned') - before.returned,
    ...asked.cells,
  };
  const faults = [...unsettled, ...differences, ...asked.faults];
  if (ms < NOT_LOST_MS && cells.lost > 0)
    faults.push(`a gateway that was away for ${cells['away s']} s was told to be lost`);
  if (ms < NOT_RETURNED_MS && cells.returned > 0)
    faults.push(`a gateway that was away for ${cells['away s']} s said that it had returned`);
  if (cells['told closed'] < left.length) faults.push('who hung up was not told closed');
  const peak = peakMib(fleet.gateways.map(({ served }) => served.running));
  return { cells, faults, totals: { ...asked.totals, disconnects: 0, 'peak MiB': peak } };
}

function summary(rows: readonly Row[]): string {
  return `${rows.length} times away: ${sum(rows, 'lost')} lost, ${sum(rows, 'returned')} returned; ${sum(rows, 'left')} hung up meanwhile, ${sum(rows, 'told closed')} told closed`;
}

export const stall: Scenario = {
  name: 'stall',
  about: 'SIGSTOP of one of three gateways for less than 6 s: none is told to be lost',
  ...{ sessions: 300, runs: 18, jobs: 3 },
  ...{ play: playing([STOPPED]), summary },
};

export const cut: Scenario = {
  name: 'cut',
  about:
    'a gateway, or all of them, without NATS for less than 6 s: none is told to be lost, and what happened is told afterwards',
  ...{ sessions: 300, runs: 24, jobs: 3 },
  ...{ play: playing(CUTS), summary },
};
