/** The scripted table: targets, policies and events on three gateways; what was said, and what was counted. */
import type { Order, Row, Scenario } from '../scenario.ts';
import { Bus } from '../table/buses.ts';
import { Cases } from '../table/cases.ts';
import { bothAreLost, goAway, lives, theThirdIsBack } from '../table/lives.ts';
import { bothAreLetIn, kickOld, many, max, refuseNew, theNewerStays } from '../table/policies.ts';
import { targets } from '../table/targets.ts';

async function* play({ next }: Order): AsyncGenerator<Row> {
  for (let run = next(); run !== null; run = next()) {
    await using bus = await (run % 2 === 1 ? Bus.ofOne() : Bus.ofThree());
    yield* await playOn(bus);
  }
}

/** Fleets of different policies share the bus, so that what takes its time is waited for once. */
async function playOn(bus: Bus): Promise<Row[]> {
  const cases = Array.from({ length: 6 }, () => new Cases(bus.name));
  const [forTargets, forMany, forMax, forOld, forNew, forLives] = cases as [Cases, Cases, Cases, Cases, Cases, Cases]; // prettier-ignore
  const [old, neu, living] = await Promise.all([
    kickOld(bus, forOld),
    refuseNew(bus, forNew),
    lives(bus, forLives),
    targets(bus, forTargets),
    many(bus, forMany),
    max(bus, forMax),
  ]);
  await using fleets = new AsyncDisposableStack();
  for (const fleet of [old.stage.fleet, neu.stage.fleet, living.fleet]) fleets.use(fleet);
  bus.isolate();
  await Promise.all([goAway(living), bothAreLetIn(old), bothAreLetIn(neu)]);
  await bothAreLost(living, forLives);
  await bus.rejoin();
  const isTold = bus.isOneServer;
  await Promise.all([
    theThirdIsBack(living, forLives),
    theNewerStays(old, forOld, isTold),
    theNewerStays(neu, forNew, isTold),
  ]);
  return cases.flatMap(({ rows }) => rows);
}

export const fleetTable: Scenario = {
  name: 'fleet-table',
  about:
    'each target, policy and event on three gateways, with one nats-server and with a cluster of three: who got what',
  ...{ sessions: 0, runs: 2, jobs: 2 },
  play,
  summary: (rows) =>
    `${rows.length} cases, ${rows.filter(({ faults }) => faults.length > 0).length} wrong`,
};
