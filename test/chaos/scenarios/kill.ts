/** kill -9 of one of three gateways: each of its sessions is told closed or lost, once, within 10 s; and no other. */
import { eventually } from '../../support/wait.ts';
import { Fleet, type Member } from '../fleet.ts';
import { Requests } from '../requests.ts';
import { type Order, type Row, type Scenario, spread, sum } from '../scenario.ts';

/** What is promised. */
const TOLD_MS = 10_000;
/** After it, what has not been told counts as never told. */
const NEVER_MS = 20_000;
/** How many clients each other gateway has, of those of the one that is killed. */
const OTHERS = 0.1;
/** How many hang up right before. */
const LEAVING = 0.02;
const ASKED_PER_SECOND = 50;
/** In which what is told twice would come. */
const REST_SECONDS = 2;

async function* play({ sessions, next }: Order): AsyncGenerator<Row> {
  await using fleet = await Fleet.start();
  for (let run = next(); run !== null; run = next()) {
    const victim = fleet.gateways[(run - 1) % 3]!;
    for (const gateway of fleet.gateways)
      await fleet.fill(gateway, gateway === victim ? sessions : Math.ceil(sessions * OTHERS));
    yield await kill(fleet, victim, run);
    await fleet.restart(victim);
  }
}

async function kill(fleet: Fleet, victim: Member, run: number): Promise<Row> {
  const { presence, crowd } = fleet;
  const unsettled = await fleet.settle();
  const lostBefore = presence.named('gateway.lost').length;
  const returnedBefore = presence.named('gateway.returned').length;
  const requests = await Requests.begin(crowd, ASKED_PER_SECOND);
  const sids = [...victim.sids];
  await fleet.leave(victim, Math.ceil(sids.length * LEAVING));
  // So that it has heard of none of these, of some, or of all.
  await new Promise((resolve) => setTimeout(resolve, (run % 10) * 20));
  victim.served.running.kill('SIGKILL');
  const killedAt = performance.now();
  await victim.served.running.exited;
  victim.sids.clear();
  await eventually(
    () => sids.every((sid) => presence.ended.has(sid)),
    'the end of all',
    NEVER_MS,
  ).catch(() => {});
  await presence.seconds(REST_SECONDS, fleet.gateways.find((one) => one !== victim)!.id);

  const ends = sids.map((sid) => presence.ended.get(sid) ?? []);
  const count = (is: (end: (typeof ends)[number]) => boolean): number => ends.filter(is).length;
  const toldS = Math.max(...ends.flatMap((end) => end.map(({ at }) => at - killedAt)), 0) / 1_000;
  const lost = presence.named('gateway.lost').slice(lostBefore);
  const asked = await requests.end();
  const told = fleet.told(victim.id);
  const cells = {
    run,
    killed: victim.name,
    sessions: sids.length,
    closed: count((end) => end[0]?.by === 'closed'),
    lost: count((end) => end[0]?.by === 'lost'),
    untold: count((end) => end.length === 0),
    twice: count((end) => end.length > 1),
    'all told s': toldS.toFixed(1),
    events: lost.length,
    'false lost':
      lost.filter(({ gateway }) => gateway !== victim.id).length +
      presence.named('gateway.returned').length -
      returnedBefore,
    'http grpc ipc': told.join(' '),
    ...asked.cells,
  };
  const faults = [...unsettled, ...asked.faults, ...(await fleet.settle())];
  if (cells.untold > 0) faults.push(`${cells.untold} sessions were never told to be over`);
  if (cells.twice > 0) faults.push(`${cells.twice} sessions were told to be over twice`);
  if (toldS * 1_000 > TOLD_MS) faults.push(`it took ${cells['all told s']} s until all were told`);
  if (cells['false lost'] > 0) faults.push('a gateway that lives was told to be lost');
  if (cells.events !== 1) faults.push(`lost was said ${cells.events} times`);
  if (told.some((times) => times !== 1)) faults.push('a backend was not told once that it is lost');
  return { cells, faults };
}

function summary(rows: readonly Row[]): string {
  return (
    `${rows.length} gateways killed, with ${sum(rows, 'sessions')} sessions: ${sum(rows, 'closed')} told closed, ` +
    `${sum(rows, 'lost')} lost, ${sum(rows, 'untold')} never, ${sum(rows, 'twice')} twice, ` +
    `${sum(rows, 'false lost')} false; all told after ${spread(rows, 'all told s')}`
  );
}

const about =
  'kill -9 of one of three gateways while 2% of its clients hang up: each session is told closed or lost, once, within 10 s';

export const kill5000: Scenario = {
  ...{ name: 'kill-5000', about, sessions: 5_000, runs: 10, jobs: 1 },
  ...{ play, summary },
};

export const kill500: Scenario = {
  ...{ name: 'kill-500', about, sessions: 500, runs: 100, jobs: 4 },
  ...{ play, summary },
};
