/**
 * A cluster of three nats-servers loses one, all in turn, or falls apart, while clients ask backends on a Link and on
 * NATS. Nobody is disconnected, and what goes by a Link does not notice; of what goes by NATS, at most what is with a
 * server in that moment is refused, and nothing where the server says before that it will stop.
 */
import type { TestNats } from '../../support/nats.ts';
import { BusFleet } from '../bus-fleet.ts';
import { Requests } from '../requests.ts';
import { type Order, type Row, type Scenario, spread, sum } from '../scenario.ts';
import { peakMib } from '../totals.ts';

/** Of each crowd. */
const ASKED_PER_SECOND = 200;
/** In which they ask before and after. */
const CALM_MS = 1_000;
/** What is promised: from the loss, or from when the servers can reach each other again, until each gateway reaches all. */
const WHOLE_MS = 3_000;
const STOPPED_MS = 15_000;
const APART_MS = 5_000;

export type Way = {
  readonly name: string;
  /** Milliseconds that a backend on NATS takes to answer: of so many, what is under way can be lost. */
  readonly answerMs: number;
  /** Requests on NATS that may be refused. */
  readonly refusedMax: number;
  /** Does it, and calls `begin` when the fleet can be whole again. `server` is that of the first gateway. */
  play(fleet: BusFleet, server: TestNats, begin: () => void): Promise<void>;
};

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** As `nats-server --signal ldm` does it, until the process has ended; and starts it again. */
async function restart(server: TestNats): Promise<void> {
  server.signal('SIGUSR2');
  await server.restart();
}

export const KILLED: Way = {
  name: 'server killed',
  answerMs: 0,
  // What is under way.
  refusedMax: 6,
  async play(fleet, server, begin) {
    await server.kill();
    begin();
    await fleet.whole();
    await server.restart();
  },
};

export const LAME_DUCK: Way = {
  name: 'lame duck',
  answerMs: 300,
  refusedMax: 0,
  async play(_, server, begin) {
    await restart(server);
    begin();
  },
};

const ROLLING: Way = {
  name: 'rolling restart',
  answerMs: 300,
  refusedMax: 0,
  async play(fleet, _, begin) {
    for (const server of fleet.bus.servers) {
      await restart(server);
      begin();
      await fleet.whole();
      // As an orchestrator waits until a server is ready.
      await fleet.bus.joined();
    }
  },
};

const STOPPED: Way = {
  name: 'server stopped',
  // Whoever is on it is not heard, and one of three backends is there: the others do not know.
  answerMs: 0,
  refusedMax: (STOPPED_MS / 1_000) * ASKED_PER_SECOND,
  async play(_, server, begin) {
    server.signal('SIGSTOP');
    await pause(STOPPED_MS);
    server.signal('SIGCONT');
    begin();
  },
};

const APART: Way = {
  // The third gateway is on the server that is cut off.
  name: 'partition',
  answerMs: 0,
  refusedMax: 6,
  async play({ bus }, _, begin) {
    bus.isolate();
    await pause(APART_MS);
    begin();
    await bus.rejoin();
  },
};

const WAYS = [KILLED, LAME_DUCK, ROLLING, APART, STOPPED];

async function* play({ sessions, next }: Order): AsyncGenerator<Row> {
  for (let run = next(); run !== null; run = next())
    yield await lose(sessions, WAYS[(run - 1) % WAYS.length]!, run);
}

/** One of them, with a fleet of its own. */
export async function lose(sessions: number, way: Way, run = 1): Promise<Row> {
  await using fleet = await BusFleet.start(sessions, way.answerMs);
  const before = await fleet.sessions();
  const link = await Requests.begin(fleet.link, ASKED_PER_SECOND);
  const nats = await Requests.begin(fleet.nats, ASKED_PER_SECOND);
  await pause(CALM_MS);
  let beganAt = performance.now();
  await way.play(fleet, fleet.serverOf(fleet.gateways[0]!), () => {
    beganAt = performance.now();
  });
  await fleet.whole();
  const wholeMs = performance.now() - beganAt;
  await pause(CALM_MS);
  const byLink = await link.end();
  const byNats = await nats.end();
  const gone = before - (await fleet.sessions());
  const cells = {
    run,
    what: way.name.padEnd(15),
    sessions: before,
    gone,
    'whole s': (wholeMs / 1_000).toFixed(1),
    'link: asked': byLink.cells['asked']!,
    'link: refused': byLink.cells['refused']!,
    'nats: asked': byNats.cells['asked']!,
    once: byNats.cells['once']!,
    refused: byNats.cells['refused']!,
    never: byNats.cells['never']! + byLink.cells['never']!,
    again: byNats.cells['again']! + byLink.cells['again']!,
    crossed: byNats.cells['crossed']! + byLink.cells['crossed']!,
  };
  const faults = [...byLink.faults, ...byNats.faults];
  if (gone > 0) faults.push(`${gone} clients were disconnected`);
  if (cells['link: refused'] > 0)
    faults.push(`${cells['link: refused']} requests by a Link were refused`);
  if (cells.refused > way.refusedMax) faults.push(`${cells.refused} requests by NATS were refused`);
  const totals = {
    sent: cells['link: asked'] + cells['nats: asked'],
    once: cells.once + byLink.cells['once']!,
    refused: cells.refused + cells['link: refused'],
    ...{ never: cells.never, again: cells.again, crossed: cells.crossed, disconnects: gone },
    'peak MiB': peakMib(fleet.gateways.map(({ served }) => served.running)),
    'recovery s': wholeMs / 1_000,
  };
  return { cells, faults, totals };
}

export const busLoss: Scenario = {
  name: 'bus-loss',
  about:
    'one of three nats-servers, or all in turn, are lost: nobody is disconnected, a Link does not notice, and on NATS only what is under way is refused',
  ...{ sessions: 300, runs: WAYS.length, jobs: 1 },
  async *play(order) {
    for await (const row of play(order)) {
      const seconds = Number(row.cells['whole s']);
      const isLate = seconds * 1_000 > WHOLE_MS;
      yield isLate
        ? { ...row, faults: [...row.faults, `the fleet was whole only after ${seconds} s`] }
        : row;
    }
  },
  summary: (rows) =>
    `${rows.length} losses: ${sum(rows, 'gone')} disconnected, ${sum(rows, 'link: refused')} of ${sum(rows, 'link: asked')} refused by a Link, ${sum(rows, 'refused')} of ${sum(rows, 'nats: asked')} on NATS; whole after ${spread(rows, 'whole s')}`,
};
