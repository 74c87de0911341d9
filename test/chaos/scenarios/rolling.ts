/**
 * A rolling restart of three gateways under load: each player stays in its session, and gets each kept push once, in
 * order. The same where gateways are killed, and where nats-server restarts in the middle.
 */
import { type Counts, Players } from '../rolling/players.ts';
import { RollingFleet, type Way } from '../rolling/rolling-fleet.ts';
import { type Order, type Row, type Scenario, sum } from '../scenario.ts';

/** Kept pushes a second for each player, and as many requests. */
const PER_PLAYER = 1;
/** For how long they come before and after. */
const CALM_MS = 2_000;

type Case = { readonly way: Way; readonly isBusToo: boolean };

const CASES: readonly Case[] = [
  { way: 'SIGTERM', isBusToo: false },
  { way: 'SIGTERM', isBusToo: true },
  { way: 'SIGKILL', isBusToo: false },
  { way: 'SIGKILL', isBusToo: true },
];

async function* play({ sessions, next }: Order): AsyncGenerator<Row> {
  for (let run = next(); run !== null; run = next())
    yield await roll(sessions, CASES[(run - 1) % CASES.length]!, run);
}

/** One rolling restart of a fleet of its own. */
export async function roll(sessions: number, { way, isBusToo }: Case, run = 1): Promise<Row> {
  await using fleet = await RollingFleet.start();
  await using players = await Players.start(fleet.url, sessions, fleet.nc);
  const beganAt = performance.now();
  players.publish(sessions * PER_PLAYER);
  await calm();
  await fleet.roll(way, async (n) => {
    if (!isBusToo || n !== 0) return;
    await fleet.nats.kill();
    await fleet.nats.restart();
  });
  await calm();
  const seconds = (performance.now() - beganAt) / 1_000;
  const counts = await players.end();
  const cells = {
    run,
    way,
    'NATS too': isBusToo ? 'yes' : 'no',
    players: sessions,
    seconds: seconds.toFixed(1),
    ...counts,
    replayed: await fleet.sum('pith_replayed_pushes_total'),
  };
  const totals = {
    ...{ sent: counts.asked, refused: counts.refused, disconnects: counts.resumed },
    ...{ 'lost pushes': counts.lost, 'peak MiB': fleet.peakMib },
  };
  return { cells, faults: [...faultsOf(counts, sessions), ...fleet.faults()], totals };
}

function calm(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, CALM_MS));
}

function faultsOf({ lost, twice, disordered, logins, resumed }: Counts, sessions: number) {
  const faults: string[] = [];
  if (lost > 0) faults.push(`${lost} kept pushes are lost`);
  if (twice > 0) faults.push(`${twice} kept pushes came twice`);
  if (disordered > 0) faults.push(`${disordered} kept pushes came in the wrong order`);
  if (logins > 0) faults.push(`players had to log in ${logins} times again`);
  if (resumed < sessions) faults.push(`players came back only ${resumed} times`);
  return faults;
}

export const rolling: Scenario = {
  name: 'rolling',
  about:
    'a rolling restart of three gateways under load, also with nats-server, also by kill -9: no kept push is lost or comes twice, and nobody logs in again',
  ...{ sessions: 500, runs: 4, jobs: 1 },
  play,
  summary: (rows) =>
    `${rows.length} rolling restarts, ${sum(rows, 'pushes')} kept pushes: ${sum(rows, 'lost')} lost, ${sum(rows, 'twice')} twice; ${sum(rows, 'resumed')} times back, ${sum(rows, 'logins')} logins`,
};
