/** kill -9 of one of three gateways: each of its sessions is told closed or lost, once, within 10 s; and no other. */
import { eventually } from '../../support/wait.ts';
import { Fleet, type Member } from '../fleet.ts';
import { Requests } from '../requests.ts';
import { type Order, type Row, type Scenario, spread, sum } from '../scenario.ts';
import { peakMib } from '../totals.ts';

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
    yield await kill(fleet, victim, { run, sessions });
    await fleet.restart(victim);
  }
}

type Run = { readonly run: number; readonly sessions: number };

async function kill(fleet: Fleet, victim: Member, { run, sessions }: Run): Promise<Row> {
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
  const lost = presence.named('gateway.lost').slice(lostBefore) as unknown as readonly LostSaid[];
  const ofVictim = lost.filter(({ gateway }) => gateway === victim.id);
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
    events: ofVictim.length,
    'false lost':
      lost.length - ofVictim.length + presence.named('gateway.returned').length - returnedBefore,
    'http grpc ipc': told.map((ids) => ids.length).join(' '),
    ...asked.cells,
  };
  const faults = [...unsettled, ...asked.faults, ...(await fleet.settle())];
  if (sids.length !== sessions)
    faults.push(`it had ${sids.length} sessions when it was killed, not ${sessions}`);
  if (cells.untold > 0) faults.push(`${cells.untold} sessions were never told to be over`);
  if (cells.twice > 0) faults.push(`${cells.twice} sessions were told to be over twice`);
  if (toldS * 1_000 > TOLD_MS) faults.push(`it took ${cells['all told s']} s until all were told`);
  if (cells['false lost'] > 0) faults.push('a gateway that lives was told to be lost');
  const totals = {
    ...asked.totals,
    disconnects: sids.length,
    'peak MiB': peakMib(fleet.gateways.map(({ served }) => served.running)),
    'recovery s': toldS,
  };
  return { cells, faults: [...faults, ...wrongIn(ofVictim, told)], totals };
}

type LostSaid = { readonly gateway: string; readonly id: string; readonly by: string };

/** Each of those that are left may say it once, and tell each backend once: always with the same id. */
function wrongIn(lost: readonly LostSaid[], told: readonly (readonly string[])[]): string[] {
  const faults: string[] = [];
  if (lost.length === 0) faults.push('nobody said that it is lost');
  const ids = new Set([...lost.map(({ id }) => id), ...told.flat()]);
  if (ids.size > 1) faults.push(`the loss has several ids: ${[...ids].join(', ')}`);
  for (const speaker of new Set(lost.map(({ by }) => by))) {
    const times = lost.filter(({ by }) => by === speaker).length;
    if (times > 1) faults.push(`lost was said ${times} times by ${speaker}`);
  }
  for (const ofBackend of told)
    if (ofBackend.length < 1 || ofBackend.length > Math.max(1, lost.length))
      faults.push(`a backend was told ${ofBackend.length} times that it is lost`);
  return faults;
}

function summary(rows: readonly Row[]): string {
  return (
    `${rows.length} gateways killed, with ${sum(rows, 'sessions')} sessions: ${sum(rows, 'closed')} told closed, ` +
    `${sum(rows, 'lost')} lost, ${sum(rows, 'untold')} never, ${sum(rows, 'twice')} twice, ` +
    `${sum(rows, 'false lost')} false; all told after ${spread(rows, 'all told s')}; ` +
    `lost said more than once: ${rows.filter(({ cells }) => Number(cells['events']) > 1).length} times`
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
