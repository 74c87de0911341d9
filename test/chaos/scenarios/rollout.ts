/**
 * All gateways are replaced one by one, under players that connect again at once: with generations each is cut once, and
 * they come back no faster than gateways let them go. The same without generations.
 */
import { eventually } from '../../support/wait.ts';
import { RolloutFleet, type RolloutOptions } from '../generations/rollout-fleet.ts';
import { mostInASecond, StockPlayers } from '../generations/stock-players.ts';
import type { Order, Row, Scenario } from '../scenario.ts';

const GATEWAYS = 10;
const PER_SECOND = 100;
/**
 * What clients see of a gateway's even pace: the system hands what came during a stall of theirs, or of the balancer's, to
 * them at once, and stalls of up to a second are normal on a machine that does all of it.
 */
const STALL = 2;

async function* play({ sessions, next }: Order): AsyncGenerator<Row> {
  for (let run = next(); run !== null; run = next()) {
    const generations = run % 2 === 1;
    yield await rollOut(sessions, { gateways: GATEWAYS, generations, perSecond: PER_SECOND }, run);
  }
}

/** One rollout of a fleet of its own. */
export async function rollOut(sessions: number, options: RolloutOptions, run = 1): Promise<Row> {
  const { gateways, generations, perSecond } = options;
  await using fleet = await RolloutFleet.start(options);
  using players = await StockPlayers.start(fleet.port, sessions);
  const beganAt = performance.now();
  await fleet.roll();
  // Whoever does not know yet that it was cut has no session.
  await eventually(async () => {
    const here = (await fleet.sessions()).reduce((sum, count) => sum + count, 0);
    return here === sessions && players.served === sessions;
  }, 'all to be back');
  const seconds = (performance.now() - beganAt) / 1_000;
  const { cuts, backPerSecond } = players;
  const spread = (await fleet.sessions()).sort((a, b) => a - b);
  const most = Math.max(...cuts);
  const closedPerSecond = Math.max(...fleet.closings.map(mostInASecond));
  const cells = {
    run,
    generations: generations ? 'yes' : 'no',
    gateways,
    players: sessions,
    seconds: seconds.toFixed(1),
    disconnects: cuts.reduce((sum, count) => sum + count, 0),
    'of one': most,
    'drain/s': perSecond,
    'closed/s': closedPerSecond,
    'back/s': backPerSecond,
    'sessions after': `${spread[0]} to ${spread.at(-1)}`,
  };
  const faults: string[] = [];
  if (generations && most > 1) faults.push(`a player was cut ${most} times`);
  if (cells.disconnects < sessions) faults.push('not all players were cut: nothing was rolled out');
  if (closedPerSecond > perSecond)
    faults.push(`${closedPerSecond} sessions were closed in a second, not ${perSecond}`);
  if (backPerSecond > perSecond * STALL)
    faults.push(`${backPerSecond} players came back in a second, not ${perSecond}`);
  return { cells, faults, totals: { disconnects: cells.disconnects } };
}

export const rollout: Scenario = {
  name: 'rollout',
  about:
    'ten gateways replaced one by one, under clients that connect again at once: with generations each is cut once; without, again and again. In no second more come back than the drain lets go',
  ...{ sessions: 2_000, runs: 2, jobs: 1 },
  play,
  summary: (rows) =>
    rows
      .map(
        ({ cells }) =>
          `generations ${cells['generations']}: ${(Number(cells['disconnects']) / Number(cells['players'])).toFixed(2)} disconnects per player, ${cells['of one']} at most`,
      ) // prettier-ignore
      .join('; '),
};
