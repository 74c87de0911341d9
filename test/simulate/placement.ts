/**
 * A day of changes without a fault: a gateway is added and sessions move to it, all are replaced by another generation, and
 * all read another configuration, while players play. In virtual time; all rules of the simulation hold, and those below.
 * `node test/simulate/placement.ts SEED` plays one, and prints what came of it as JSON.
 */
import { pathToFileURL } from 'node:url';

import { makeStage } from './game.ts';
import { watchMachine } from './machine.ts';
import { SENT_AWAY } from './player-link.ts';
import type { Stage } from './stage.ts';
import { type Violation, World } from './world.ts';

const GATEWAYS = 3;
const CLIENTS = 90;
const SECOND = 1_000;
const MINUTE = 60_000;

/** One of the gateways is away while players come. */
const AWAY_MS = 3 * MINUTE;
/** From its return: two minutes until sessions move, five minutes for that. */
const MOVED_BY_MS = 8 * MINUTE;
/** From one gateway's end to the next one's. */
const BETWEEN_MS = 20 * SECOND;
const PER_SECOND = 5;
/** In which all have read their configuration again, and hardly anybody leaves by chance. */
const RELOAD_MS = 50;

export type PlacementRun = {
  readonly violations: readonly Violation[];
  readonly answered: number;
  /** Sessions that were moved, by the gateways' metrics. */
  readonly moved: number;
  /** Sessions of each gateway at the end of the moves. */
  readonly spread: readonly number[];
  /** The most that one player was cut: by the moves, and by the rollout. */
  readonly most: { readonly moves: number; readonly rollout: number };
  /** Sessions that gateways have sent away in the rollout. */
  readonly sentAway: number;
  /** What each gateway said of the reload. */
  readonly reloads: readonly (readonly string[])[];
  /** Sessions that were closed by anybody while they reloaded. */
  readonly closedByReload: number;
};

/** By configuration: what gateways begin with, all as they start anew, and the same with another pace. */
const [, NEXT, RELOADED] = [0, 3, 4];

function own(configuration: number): string {
  const generation = configuration < NEXT ? 1 : 2;
  const perSecond = configuration === RELOADED ? PER_SECOND + 1 : PER_SECOND;
  return (
    `generation: game/${generation}\n` +
    `drain: { generations: true, rebalance: true, budget: 30s, signal: kick, per_second: ${perSecond} }`
  );
}

export async function playPlacement(seed: string): Promise<PlacementRun> {
  const world = new World(seed);
  using _ = watchMachine((what) => {
    world.violate('time, chance and I/O are the world’s', what);
  });
  const { stage } = makeStage(world, { gateways: GATEWAYS, clients: CLIENTS, own });
  const told = new Told(stage);
  const until = async (ms: number): Promise<void> => world.run(ms);

  const [, , added] = stage.gateways.all;
  stage.gateways.kill(added!, 'reset', AWAY_MS);
  await until(AWAY_MS);
  told.begin();
  await until(AWAY_MS + MOVED_BY_MS);
  const moves = told.end();
  const spread = stage.running.map(({ gateway }) => gateway.registry.size);
  const moved = stage.running.reduce((sum, one) => sum + one.count('pith_sessions_moved_total'), 0);

  told.begin();
  let atMs = AWAY_MS + MOVED_BY_MS;
  for (const place of stage.gateways.all) {
    stage.gateways.drain(place, SECOND, NEXT);
    atMs += BETWEEN_MS + 30 * SECOND;
    await until(atMs);
  }
  const rollout = told.end();

  const closedBefore = stage.running.reduce((sum, one) => sum + one.closed(), 0);
  const outcomes = stage.running.map((one) => one.reload(stage.yamlOf(one.place, RELOADED)));
  await until(atMs + RELOAD_MS);
  const reloads = (await Promise.all(outcomes)).map(({ changed, needsRestart, errors }) => [
    ...changed,
    ...[...needsRestart, ...errors].map((what) => `refused: ${what}`),
  ]);
  const closedByReload = stage.running.reduce((sum, one) => sum + one.closed(), 0) - closedBefore;
  return {
    violations: world.violations,
    answered: stage.ledger.counts.answered,
    ...{ moved, spread, reloads, closedByReload },
    most: { moves: moves.most, rollout: rollout.most },
    sentAway: rollout.sessions,
  };
}

/** What players are told by kicks: each session once. */
class Told {
  readonly #sessions = new Map<string, number>();
  readonly #players = new Map<string, number>();

  constructor(stage: Stage) {
    stage.onKicked = ({ name }, why) => {
      const times = (this.#sessions.get(name) ?? 0) + 1;
      this.#sessions.set(name, times);
      if (times > 1) stage.world.violate('a session is told once why it ends', `${name}: ${why}`);
      if (!SENT_AWAY.test(why)) return;
      const [player] = name.split('/');
      this.#players.set(player!, (this.#players.get(player!) ?? 0) + 1);
    };
  }

  begin(): void {
    this.#players.clear();
  }

  end(): { most: number; sessions: number } {
    const counts = [...this.#players.values()];
    const sessions = counts.reduce((sum, count) => sum + count, 0);
    return { most: Math.max(0, ...counts), sessions };
  }
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const run = await playPlacement(process.argv[2] ?? '1');
  process.stdout.write(JSON.stringify(run, null, 2), () => process.exit(0));
}
