/**
 * Gateways are added under load, and sessions move to them: how evenly, how fast, whose, and where newcomers go meanwhile.
 * What is configured is what a user has, so it takes its time: twice two minutes pass before anybody is moved.
 */
import { startLinkBackend } from '../../support/link-backend.ts';
import { type Looked, RolloutFleet } from '../generations/rollout-fleet.ts';
import { mostInASecond, StockPlayers } from '../generations/stock-players.ts';
import type { Order, Row, Scenario } from '../scenario.ts';

const GATEWAYS = 3;
const PER_SECOND = 12;
/** Two gateways are added, so long after one another. */
const BETWEEN_MS = 30_000;
/** The fleet must have been the same for this long; `deploy/README.md`. */
const SETTLED_MS = 120_000;
/** From the first move until all have their share; the same page. */
const MOVING_MS = 300_000;
const LOOK_MS = 500;
/** After a gateway has begun, the balancer asks it, and who was on the way arrives. */
const NOTICED_MS = 1_000;
/** Requests a second of those who play, and those who wait for an answer all the time. */
const ASKED_PER_SECOND = 200;
const HELD_SHARE = 0.1;

async function* play({ sessions, next }: Order): AsyncGenerator<Row> {
  for (let run = next(); run !== null; run = next()) yield await scaleUp(sessions, run);
}

async function scaleUp(sessions: number, run: number): Promise<Row> {
  await using backend = await startLinkBackend();
  const options = { gateways: GATEWAYS, generations: true, perSecond: PER_SECOND, rebalance: true };
  await using fleet = await RolloutFleet.start({ ...options, held: backend.address });
  using players = await StockPlayers.start(fleet.port, sessions);
  const held = Math.floor(sessions * HELD_SHARE);
  players.ask(held, 'held.a');
  await backend.came(held);
  players.askOn(held, 'a.b', ASKED_PER_SECOND);
  const watch = new Watch(fleet);
  await fleet.add();
  await watch.pass(BETWEEN_MS);
  await fleet.add();
  const addedAt = performance.now();
  const settledMs = await watch.untilMoving(addedAt);
  using newcomers = await StockPlayers.start(fleet.port, Math.floor(sessions / 20));
  const evenMs = await watch.untilEven();
  const first = await fleet.look();
  const firstCuts = players.cuts.reduce((sum, count) => sum + count, 0);
  // Those who were moved are left alone, though the third one lacks sessions as well.
  await fleet.add();
  await watch.untilMoving(performance.now());
  await watch.untilEven();
  players.stopAsking();
  for (const request of backend.requests.slice(0, held)) request.answer({ code: 200 });
  await watch.pass(2_000);
  const { cuts, asked } = players;
  const most = Math.max(...cuts);
  const mean = first.reduce((sum, one) => sum + one.sessions, 0) / first.length;
  const fullest = Math.max(...first.map((one) => one.sessions)) / mean;
  const closings = fleet.closingsNow();
  const cells = {
    run,
    ...{ players: sessions, gateways: `${GATEWAYS} + 2 + 1` },
    'settled s': (settledMs / 1_000).toFixed(1),
    'even after s': (evenMs / 1_000).toFixed(1),
    'fullest, of the mean': fullest.toFixed(2),
    moved: firstCuts,
    'moved later': cuts.reduce((sum, count) => sum + count, 0) - firstCuts,
    'of one': most,
    ...{ 'drain/s': PER_SECOND, 'closed/s': mostInASecond(closings.flat().sort((a, b) => a - b)) },
    ...{ asked: asked.sent, 'cut off': asked.cutOff, strays: asked.strays },
    'newcomers to movers': watch.lost,
  };
  const heldCut = cuts.slice(0, held).filter((count) => count > 0).length;
  const faults: string[] = [];
  if (settledMs < SETTLED_MS - LOOK_MS)
    faults.push(`sessions were moved ${cells['settled s']} s after a gateway was added`);
  if (evenMs > MOVING_MS) faults.push('sessions were not spread evenly in five minutes');
  if (fullest > 1.1) faults.push(`a gateway has ${fullest.toFixed(2)} times the mean`);
  if (most > 1) faults.push(`a player was moved ${most} times`);
  if (heldCut > 0) faults.push(`${heldCut} players were moved who had a request in flight`);
  if (cells['closed/s'] > PER_SECOND + GATEWAYS)
    faults.push(`${cells['closed/s']} sessions were closed in a second, not ${PER_SECOND}`);
  if (watch.lost > 0) faults.push(`${watch.lost} newcomers came to a gateway that moves sessions`);
  if (asked.once + asked.cutOff !== asked.sent || asked.strays > 0)
    faults.push(`${asked.sent} requests, ${asked.once} answers, ${asked.strays} strays`);
  if (newcomers.cuts.some((count) => count > 0)) faults.push('a newcomer was moved at once');
  const totals = {
    ...{ sent: asked.sent, once: asked.once, again: asked.strays, never: asked.cutOff },
    ...{ disconnects: firstCuts + cells['moved later'], 'peak MiB': fleet.peakMib },
  };
  return { cells, faults, totals };
}

/** Looks at a fleet again and again. */
class Watch {
  readonly #fleet: RolloutFleet;
  /** Of each gateway, since when it moves sessions, and what it had accepted once that was known. */
  readonly #moving = new Map<number, { since: number; accepted: number | null }>();
  /** Newcomers that gateways got while they moved sessions, and were known to do so. */
  lost = 0;

  constructor(fleet: RolloutFleet) {
    this.#fleet = fleet;
  }

  async #look(): Promise<readonly Looked[]> {
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    const all = await this.#fleet.look();
    for (const { gateway, at, isMoving, accepted } of all) {
      const known = this.#moving.get(gateway);
      if (!isMoving) this.#moving.delete(gateway);
      else if (known === undefined) this.#moving.set(gateway, { since: at, accepted: null });
      else if (known.accepted === null && at - known.since >= NOTICED_MS) known.accepted = accepted;
      else if (known.accepted !== null) {
        this.lost += accepted - known.accepted;
        known.accepted = accepted;
      }
    }
    return all;
  }

  async pass(ms: number): Promise<void> {
    const until = performance.now() + ms;
    while (performance.now() < until) await this.#look();
  }

  /** Milliseconds from `since` until a gateway begins. */
  async untilMoving(since: number): Promise<number> {
    while (!(await this.#look()).some(({ isMoving }) => isMoving))
      if (performance.now() - since > 3 * SETTLED_MS) throw new Error('nobody is moved');
    return performance.now() - since;
  }

  /** Milliseconds until none moves sessions any more, for as long as those who were sent away need to be back. */
  async untilEven(): Promise<number> {
    const since = performance.now();
    let lastAt = since;
    while (performance.now() - lastAt < 2_000) {
      if ((await this.#look()).some(({ isMoving }) => isMoving)) lastAt = performance.now();
      if (performance.now() - since > 2 * MOVING_MS) break;
    }
    return lastAt - since;
  }
}

export const rebalance: Scenario = {
  name: 'rebalance',
  about:
    'three gateways get a fourth and a fifth, and later a sixth, under players that ask all the time: once the fleet has been the same for two minutes, sessions move until all have 1.1 times the mean at most, no faster than the drain lets go, nobody twice, and nobody who waits for an answer; newcomers go elsewhere. It takes six minutes',
  ...{ sessions: 900, runs: 1, jobs: 1 },
  play,
  summary: (rows) =>
    rows
      .map(({ cells }) => `${cells['moved']} of ${cells['players']} moved, then ${cells['moved later']}, ${cells['of one']} times at most`)
      .join('; '), // prettier-ignore
};
